package ssp

import (
	"strings"

	"github.com/pkg/errors"
)

// Prefetch says when a worker asks for new copies of the rows of other ranks that
// it used (Cui et al., Exploiting bounded staleness to speed up big data
// analytics, USENIX ATC 2014). It matters where rows are not pushed. All rows
// that are asked for count in Stats.Fetches.
type Prefetch uint8

const (
	// OnDemand asks at the first read that misses, for what Config.Refetch says.
	OnDemand Prefetch = iota
	// Conservative asks, at the end of each clock, for the rows used in it whose
	// copies are too old for the next one. It moves the fewest bytes.
	Conservative
	// Aggressive asks, at the end of each clock, for all rows used in it, also
	// those whose copies would do, and takes what their owners have. Under policies
	// that apply a clock as a whole (BSP, ABSP) that would bring nothing new: there
	// it is Conservative.
	Aggressive
)

var prefetches = []string{"demand", "conservative", "aggressive"}

// String returns the text that ParsePrefetch reads.
func (p Prefetch) String() string { return prefetches[p] }

// ParsePrefetch reads "demand", "conservative" or "aggressive".
func ParsePrefetch(text string) (Prefetch, error) {
	for p, name := range prefetches {
		if name == text {
			return Prefetch(p), nil
		}
	}
	return 0, errors.Errorf("prefetch %q: expected %s", text, strings.Join(prefetches, ", "))
}

// wish asks for the copies of the rows used in the clock before that the mode of
// prefetching wants refreshed; the clock has begun.
func (v *View[T]) wish() {
	p := v.t.spec.Policy
	if p.pushes() {
		return
	}
	all := v.w.s.cfg.Prefetch == Aggressive && !p.ordered()
	wanted, now := int64(v.bound), int64(v.w.clock)
	for _, slot := range v.before {
		if o := v.t.owner(v.rows[slot]); o != v.t.s.rank {
			v.far[o].asks = append(v.far[o].asks, v.rows[slot])
		}
	}
	for o := range v.far {
		if f := &v.far[o]; len(f.asks) > 0 {
			v.reduce(o, f, wanted, now, all)
			v.send(o, f, wanted)
		}
	}
}
