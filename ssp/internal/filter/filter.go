// Package filter decides which of a worker's updates leave at the end of a clock
// and which wait, and in how many bits their values travel. It is pure.
//
// A row whose updates wait is held: later updates add to it, and at the latest
// Hold clocks after the oldest of them it leaves. What is left over when values
// are rounded waits likewise, for the next update of the row (error feedback:
// Seide et al., Interspeech 2014), and only of a Strict rule not longer than Hold.
// Magnitude filters and deadlines: Li et al., OSDI 2014; Wei et al., SoCC 2015.
package filter

import (
	"cmp"
	"math"
	"slices"

	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// Never is the timestamp of updates without a deadline.
const Never int64 = math.MaxInt64

// Rule says what waits. The zero Rule lets all leave as it is.
type Rule struct {
	Threshold float64    // rows leave whose largest element has at least this magnitude; 0: all
	Top       float64    // of those, so many: below 1 a share of the rows that wait, else a number; 0: all
	Bits      codec.Bits // of float values
	Hold      int64      // clocks that updates wait at most; Never: until they are flushed
	Strict    bool       // Hold bounds what rounding leaves over, too
	Order     Order      // rows leave by it as a budget of bytes allows, see Spend; instead of Threshold and Top
	Seed      uint64     // of Random
}

// Withholds reports whether whole rows may wait.
func (r Rule) Withholds() bool { return (r.Threshold > 0 || r.Top > 0 || r.Order > 0) && r.Hold > 0 }

// Due reports whether updates, the oldest with a timestamp, leave with those of
// a clock.
func (r Rule) Due(since, clock int64) bool {
	return r.Hold <= 0 || since != Never && r.Hold != Never && since <= clock-r.Hold
}

// Exact reports that a row leaves without rounding.
func (r Rule) Exact(since, clock int64) bool { return r.Strict && r.Due(since, clock) }

// Rest returns the timestamp that what rounding leaves over waits with.
func (r Rule) Rest(since int64) int64 {
	if r.Strict {
		return since
	}
	return Never
}

// Candidate is a row that may leave.
type Candidate struct {
	Row   int64
	Max   float64 // the largest magnitude of its elements, or its importance
	Since int64   // the timestamp of its oldest update
	At    int32   // the caller's
	Kept  bool    // it has no update of the clock that ends
	Bytes int32   // that it takes, with a budget
	Leave bool    // the decision
}

// Pick decides which candidates leave with the updates of a clock: those that
// are due, and of the others those of a sufficient magnitude, the largest first;
// of equal ones that of the smaller number. order is scratch and returned.
func (r Rule) Pick(cands []Candidate, clock int64, order []int32) []int32 {
	order = order[:0]
	waiting := 0
	for i := range cands {
		c := &cands[i]
		c.Leave = r.Due(c.Since, clock) || !r.Withholds() && !c.Kept
		if c.Leave || !r.Withholds() {
			continue
		}
		waiting++
		// A number that is none must not hide.
		if c.Max >= r.Threshold || c.Max != c.Max {
			c.Leave = r.Top == 0
			order = append(order, int32(i))
		}
	}
	if r.Top == 0 || !r.Withholds() {
		return order
	}
	n := len(order)
	if r.Top < 1 {
		n = min(n, int(math.Ceil(r.Top*float64(waiting))))
	} else if r.Top < float64(n) {
		n = int(r.Top)
	}
	if n < len(order) {
		slices.SortFunc(order, func(a, b int32) int {
			x, y := &cands[a], &cands[b]
			return cmp.Or(cmp.Compare(y.Max, x.Max), cmp.Compare(x.Row, y.Row))
		})
	}
	for _, i := range order[:n] {
		cands[i].Leave = true
	}
	return order
}
