package ssp

import (
	"context"
	"strings"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/codec"
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

// earlyBytes of updates that have gathered leave before their clock ends.
const earlyBytes = 64 << 10

// handEarly hands the updates over that have gathered, where they wait for
// nobody and the bound makes early ones worth a message.
func (v *View[T]) handEarly(ctx context.Context) error {
	if v.t.spec.Policy.kind != capped || v.log.Touched() == 0 {
		return nil
	}
	row := v.t.spec.Width * codec.TypeOf[T]().Size()
	if v.t.spec.Sparse {
		row = 32 // as good as any
	}
	if v.log.Touched()*row < earlyBytes {
		return nil
	}
	v.eager = append(v.eager, source[T]{e: v.log.Seal(int64(v.w.clock))})
	return errors.WithMessagef(v.w.sendEager(ctx), "table %s: worker %d: hand over at clock %d", v.t.spec.Name, v.w.index, v.w.clock)
}
