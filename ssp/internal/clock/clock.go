// Package clock holds the clocks of the parameter store as pure machines: the
// vector clock whose minimum decides what may be read, the requests that wait
// for it, and the order in which BSP applies batches.
package clock

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Forever is the clock of a member that holds nobody back.
const Forever int64 = math.MaxInt64

// Vector holds the clocks of a member set and their minimum. A clock c says
// that everything with a timestamp below c has been announced. The set has an
// epoch: what members announce for another set is not for this one.
type Vector struct {
	epoch  uint32
	clocks []int64
	low    int64
}

// NewVector returns a vector of n members at clock 0.
func NewVector(n int) *Vector { return &Vector{clocks: make([]int64, n)} }

// Epoch names the member set.
func (v *Vector) Epoch() uint32 { return v.epoch }

// Len returns the number of members.
func (v *Vector) Len() int { return len(v.clocks) }

// Min is the clock of the slowest member, Forever when nobody holds back. It
// never falls but by Reset.
func (v *Vector) Min() int64 { return v.low }

// At returns the clock of a member.
func (v *Vector) At(member int) int64 { return v.clocks[member] }

// Step advances a member to a clock and reports whether the minimum rose.
// Announcements of another epoch, and those that do not advance, change
// nothing.
func (v *Vector) Step(epoch uint32, member int, to int64) (rose bool) {
	if epoch != v.epoch || to <= v.clocks[member] {
		return false
	}
	was := v.clocks[member]
	v.clocks[member] = to
	if was > v.low {
		return false
	}
	low := slices.Min(v.clocks)
	rose = low > v.low
	v.low = low
	return rose
}

// Raise puts all members that are behind a clock at it and reports whether the
// minimum rose.
func (v *Vector) Raise(to int64) (rose bool) {
	for i := range v.clocks {
		v.clocks[i] = max(v.clocks[i], to)
	}
	rose = to > v.low
	v.low = max(v.low, to)
	return rose
}

// Rejoin puts a member that holds nobody back at a clock, from which on it does
// again. It panics when the minimum has passed that clock.
func (v *Vector) Rejoin(member int, to int64) {
	if to < v.low || v.clocks[member] != Forever {
		panic("clock: member " + strconv.Itoa(member) + " rejoins at " + text(to) + ": " + v.String())
	}
	v.clocks[member] = to
	v.low = slices.Min(v.clocks)
}

// Reset puts all members at one clock, in a new epoch.
func (v *Vector) Reset(to int64) {
	for i := range v.clocks {
		v.clocks[i] = to
	}
	v.low = to
	v.epoch++
}

// String draws the clocks.
func (v *Vector) String() string {
	var b strings.Builder
	b.WriteString("min=" + text(v.low) + " [")
	for i, c := range v.clocks {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(text(c))
	}
	return b.String() + "]"
}

func text(c int64) string {
	if c == Forever {
		return "∞"
	}
	return strconv.FormatInt(c, 10)
}

// Parking keeps requests until the minimum is what they need.
type Parking[R any] struct {
	heap []waiting[R]
	next uint64
}

type waiting[R any] struct {
	at    int64
	order uint64
	who   R
}

func (w waiting[R]) before(o waiting[R]) bool {
	return w.at < o.at || w.at == o.at && w.order < o.order
}

// Park keeps a request until Release with a minimum of at least at.
func (p *Parking[R]) Park(at int64, who R) {
	p.heap = append(p.heap, waiting[R]{at, p.next, who})
	p.next++
	for i := len(p.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !p.heap[i].before(p.heap[up]) {
			break
		}
		p.heap[i], p.heap[up] = p.heap[up], p.heap[i]
		i = up
	}
}

// Release removes and returns one request that the minimum serves, those of
// lower clocks first, in the order they came.
func (p *Parking[R]) Release(low int64) (who R, ok bool) {
	if len(p.heap) == 0 || p.heap[0].at > low {
		return who, false
	}
	who = p.heap[0].who
	last := len(p.heap) - 1
	p.heap[0] = p.heap[last]
	p.heap[last] = waiting[R]{}
	p.heap = p.heap[:last]
	for i := 0; ; {
		least := i
		for _, j := range [2]int{2*i + 1, 2*i + 2} {
			if j < last && p.heap[j].before(p.heap[least]) {
				least = j
			}
		}
		if least == i {
			return who, true
		}
		p.heap[i], p.heap[least] = p.heap[least], p.heap[i]
		i = least
	}
}

// Len returns the number of requests that wait.
func (p *Parking[R]) Len() int { return len(p.heap) }

// Order holds the batches of ordered application until all batches of their
// clock are in, and then gives them out by clock and, within one, by member.
type Order[B any] struct {
	held [][]heldBatch[B] // by member, clocks increasing
}

type heldBatch[B any] struct {
	clock int64
	batch B
}

// NewOrder returns an Order of n members.
func NewOrder[B any](n int) *Order[B] { return &Order[B]{held: make([][]heldBatch[B], n)} }

// Hold keeps a member's batch with the updates of timestamp clock.
func (o *Order[B]) Hold(member int, clock int64, batch B) {
	o.held[member] = append(o.held[member], heldBatch[B]{clock, batch})
}

// Next removes and returns the next batch whose clock lies below the minimum.
func (o *Order[B]) Next(low int64) (member int, batch B, ok bool) {
	best := low
	member = -1
	for m, h := range o.held {
		if len(h) > 0 && h[0].clock < best {
			member, best = m, h[0].clock
		}
	}
	if member < 0 {
		return 0, batch, false
	}
	batch = o.held[member][0].batch
	o.held[member][0] = heldBatch[B]{}
	o.held[member] = o.held[member][1:]
	if len(o.held[member]) == 0 {
		o.held[member] = nil
	}
	return member, batch, true
}
