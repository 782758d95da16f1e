package ssp

import (
	"math"
	"strconv"
	"strings"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/filter"
)

// Filter says which updates of a table travel at the end of a clock, and in
// which form. It is a comparable value, made by ParseFilter; the zero Filter is
// none at all: in a TableSpec it stands for that of Config.
//
// Rows whose updates are small wait in the worker's log, add up, and leave when
// they have grown, and at the latest at a deadline. A copy's age counts that: of
// a table whose filter lets updates wait h clocks, an owner's clock a gives copies
// of age a−h, so reads keep the bound s of the policy and wait as under s−h. Where
// nothing may wait (BSP, s = 0), nothing does.
//
// Values in 16 or 8 bits leave in their clock. What rounding leaves over is
// added to the row's next update and, unless the filter says hold, has no deadline
// of its own: copies are complete up to half a unit of the last place that the
// row's updates had. Sync, Close and the end of a worker send all that has
// waited, unrounded: the sums are those of all increments then.
//
// Owners remember the last 256 sets of rows of a sender and table, of up to 64 KiB
// of numbers each (key caching: Li et al., OSDI 2014), which pays for narrow rows
// that are updated in the same order again and again.
//
// Whatever waits, a worker reads all its own updates, once.
type Filter struct {
	threshold float64
	top       float64
	bits      codec.Bits
	hold      int32 // 1 + clocks; 0: not said
	keys      bool
	none      bool // none, whatever Config says
}

// maxHold bounds the clocks that hold may say.
const maxHold = 1 << 30

// ParseFilter reads "none" or parts joined by "+", each at most once:
//
//	threshold:X  a row leaves when the largest element of its updates has at least magnitude X > 0
//	topk:K       of the rows with updates, the K (below 1: the share K) with the largest elements leave
//	half         float values travel as 16-bit integers with one exponent a row
//	byte         and as 8-bit integers
//	keys         the numbers of rows that a batch to an owner has had before are not sent again
//	hold:H       nothing waits longer than H clocks, also not what rounding leaves over
//
// With threshold and topk, rows wait for half the staleness of the policy,
// rounded up (under Managed a third), unless hold says another number; never longer than the staleness.
// Without a bound (Async) they wait until Sync.
func ParseFilter(text string) (Filter, error) {
	if text == "none" {
		return Filter{none: true}, nil
	}
	var f Filter
	for part := range strings.SplitSeq(text, "+") {
		name, arg, given := strings.Cut(part, ":")
		twice := false
		switch name {
		case "threshold":
			x, err := strconv.ParseFloat(arg, 64)
			if err != nil || !(x > 0) || math.IsInf(x, 0) {
				return Filter{}, errors.Errorf("filter %q: threshold %q: expected a number above 0", text, arg)
			}
			twice, f.threshold = f.threshold > 0, x
		case "topk":
			x, err := strconv.ParseFloat(arg, 64)
			if err != nil || !(x > 0) || x > 1<<53 || x >= 1 && x != math.Trunc(x) {
				return Filter{}, errors.Errorf("filter %q: topk %q: expected a share between 0 and 1 or a whole number", text, arg)
			}
			twice, f.top = f.top > 0, x
		case "hold":
			h, err := strconv.ParseUint(arg, 10, 31)
			if err != nil || h > maxHold {
				return Filter{}, errors.Errorf("filter %q: hold %q: expected a number from 0 to %d", text, arg, maxHold)
			}
			twice, f.hold = f.hold > 0, int32(h)+1
		case "half", "byte", "keys":
			if given {
				return Filter{}, errors.Errorf("filter %q: %s takes no argument", text, name)
			}
			if name == "keys" {
				twice, f.keys = f.keys, true
				break
			}
			twice, f.bits = f.bits != codec.Full, codec.Bits16
			if name == "byte" {
				f.bits = codec.Bits8
			}
		default:
			return Filter{}, errors.Errorf("filter %q: part %q: expected threshold:X, topk:K, half, byte, keys, hold:H or none", text, part)
		}
		if twice {
			return Filter{}, errors.Errorf("filter %q: a second %s", text, name)
		}
	}
	if f.hold > 0 && f.threshold == 0 && f.top == 0 && f.bits == codec.Full {
		return Filter{}, errors.Errorf("filter %q: hold without anything that waits", text)
	}
	return f, nil
}

// String returns a text that ParseFilter reads.
func (f Filter) String() string {
	var parts []string
	if f.threshold > 0 {
		parts = append(parts, "threshold:"+strconv.FormatFloat(f.threshold, 'g', -1, 64))
	}
	if f.top > 0 {
		parts = append(parts, "topk:"+strconv.FormatFloat(f.top, 'g', -1, 64))
	}
	switch f.bits {
	case codec.Bits16:
		parts = append(parts, "half")
	case codec.Bits8:
		parts = append(parts, "byte")
	}
	if f.keys {
		parts = append(parts, "keys")
	}
	if f.hold > 0 {
		parts = append(parts, "hold:"+strconv.Itoa(int(f.hold)-1))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, "+")
}

// filtered returns the filter of a table: its own, or that of the store, of
// which integers take what does not round.
func filtered(own, store Filter, integer bool) (Filter, error) {
	if own != (Filter{}) {
		if integer && own.bits != codec.Full {
			return Filter{}, errors.Errorf("filter %v: integers are not rounded", own)
		}
		return own, nil
	}
	if integer {
		store.bits = codec.Full
	}
	return store, nil
}

// fits reports what keeps the filter from a table of a policy, whose updates are
// added or not, and whose rows travel as they are or with more.
func (f Filter) fits(p Policy, added, bare bool) error {
	r, hold := f.rule(p, added)
	switch {
	case p.kind == managed && (f.threshold > 0 || f.top > 0):
		return errors.Errorf("filter %v under %v: the policy says which rows wait", f, p)
	case f.none || r == (filter.Rule{}):
		return nil
	case p.Drops() || p.valued():
		return errors.Errorf("filter %v under %v: what is dropped, or counted, must be what was added", f, p)
	case !bare:
		return errors.Errorf("filter %v: the update rule needs the gradients as they are", f)
	case hold > 0 && (!added || p.kind != ssp && p.kind != essp && p.kind != capped && p.kind != managed && p.kind != async):
		return errors.Errorf("filter %v under %v: updates wait only where they are added, under ssp, essp, cap, managed and async", f, p)
	}
	return nil
}

// rule returns what the filter does under a policy to updates that are added or
// not, with what a managed policy keeps back itself, and for how many clocks it
// keeps updates back that the age of copies must count.
func (f Filter) rule(p Policy, added bool) (r filter.Rule, hold Clock) {
	r = filter.Rule{Threshold: f.threshold, Top: f.top, Bits: f.bits, Strict: f.hold > 0}
	if added {
		r.Order = p.order()
	}
	s, bounded := p.Staleness()
	switch {
	case f.hold > 0:
		r.Hold = int64(f.hold) - 1
	case p.kind == managed:
		r.Hold = int64(s+2) / 3
	case bounded:
		r.Hold = int64(s+1) / 2
	default:
		r.Hold = filter.Never
	}
	if bounded {
		r.Hold = min(r.Hold, int64(s))
	}
	if r.Strict && r.Hold == 0 {
		r.Bits = codec.Full
	}
	if !r.Withholds() {
		r.Threshold, r.Top, r.Order = 0, 0, filter.Unordered
		if r.Bits == codec.Full {
			return filter.Rule{}, 0 // nothing to do: the zero Rule costs nothing
		}
	}
	if !r.Withholds() && r.Bits == codec.Full {
		return filter.Rule{}, 0
	}
	if r.Withholds() || r.Strict && r.Bits != codec.Full {
		hold = Clock(min(r.Hold, int64(unbounded)))
	}
	return r, hold
}

// pushRule returns which rows an owner pushes first that have changed, and for how
// many clocks they may wait there: under a managed policy, where workers keep
// updates back for hold clocks. The zero Rule lets none wait.
func (p Policy) pushRule(first filter.Order, hold Clock, seed uint64) filter.Rule {
	if first == filter.Unordered {
		return filter.Rule{}
	}
	s, _ := p.Staleness()
	wait := min((s+1)/3, s-hold)
	if wait <= 0 {
		return filter.Rule{}
	}
	return filter.Rule{Order: first, Hold: int64(wait), Seed: seed}
}

// pack takes out of a batch the keys that the owner knows, with the right to send.
func (s *Store) pack(owner int, msg []byte) []byte {
	out := s.packers[owner].Pack(msg, func(table uint32) bool { return s.packing[table] })
	s.spared.Add(int64(len(msg) - len(out)))
	return out
}
