// Package member says whose clocks count: the machines of flexible SSP, which
// frees the others from ranks that are slow all the time (Shi et al., A free
// stale synchronous parallel strategy for distributed machine learning, BDE
// 2019). Of the paper we know the abstract; the rules are our definition.
//
// One coordinator looks at the clock messages of all ranks and orders changes,
// one at a time. A change takes effect at every shard with one batch, the same
// for all of them, and so at one clock:
//
//   - A rank that is to be freed announces the clock of one that holds nobody
//     back, behind its batch of some clock c: up to c it counts everywhere, from
//     c on nowhere. No other clock would do: one ahead of all known ones, which
//     shards could agree on without it, it would first have to reach.
//   - A freed rank comes back with a ticking batch of another rank, its sponsor,
//     at the clock E that this announces. Before that batch the sponsor's own
//     clock is below E, and so is every shard's minimum: it does not fall.
//
// Changes have terms, which increase, so that a shard that hears of them in
// another order still ends with the last one. It is pure.
package member

import (
	"slices"

	"github.com/sspurn/sspurn/ssp/internal/clock"
)

// Rules says who is slow.
type Rules struct {
	Staleness int64   // of the reads
	Weight    float64 // of the latest iteration in a rank's mean time
	Ratio     float64 // a rank is slow whose time is so many times the median
	Checks    int     // iterations for which it must have been
	Back      float64 // a freed rank is quick whose mean time is below so many times the median
	BackFor   int     // iterations in a row for which it must have been
	Share     float64 // of the ranks that may be freed at a time; two always count
}

// DefaultRules returns those for a staleness. Three checks would free ranks that
// are late by chance: in simulations of 100 runs of eight ranks, 300 clocks each,
// in which an iteration is late with a probability of 5 %, it happened 18 times
// with three checks, once with four and never with five.
func DefaultRules(staleness int64) Rules {
	return Rules{Staleness: staleness, Weight: 0.3, Ratio: 1.5, Checks: 5, Back: 1.2, BackFor: 3, Share: 0.3}
}

// Order is a change of who counts.
type Order struct {
	Term    uint32
	Subject int  // who is freed or comes back
	Sender  int  // whose batch makes the change known: the subject, or the sponsor
	Admit   bool // it comes back
}

// Batch is what the coordinator looks at of a rank's batch.
type Batch struct {
	Ticks   bool
	Clock   int64   // that it announces, when it ticks
	Took    float64 // the rank's own time for the iteration, waits excluded; 0: no iteration
	Term    uint32  // of the change that it makes known; 0: none
	Subject int     // of that change
}

// Standing is what the coordinator knows of a rank.
type Standing uint8

// The standings.
const (
	Counts Standing = iota
	Freed
	Closed // it has no workers any more
)

type rank struct {
	standing Standing
	clock    int64 // of one that counts
	mean     float64
	slow     int // checks that found it slow
	quick    int
}

// Coordinator decides. It sees the batches of every rank in their order.
type Coordinator struct {
	rules Rules
	ranks []rank
	term  uint32
	order Order // not in effect yet; Term 0: none
	times []float64
}

// NewCoordinator returns the coordinator of so many ranks, which all count.
func NewCoordinator(ranks int, rules Rules) *Coordinator {
	return &Coordinator{rules: rules, ranks: make([]rank, ranks)}
}

// Standing returns whether a rank counts.
func (c *Coordinator) Standing(rank int) Standing { return c.ranks[rank].standing }

// Mean returns the weighted mean of a rank's times, and Median that of the means
// of the ranks that count.
func (c *Coordinator) Mean(rank int) float64 { return c.ranks[rank].mean }

// Median is described at Mean. Of an even number it takes the upper one: where
// half of the ranks are slow, they are not few.
func (c *Coordinator) Median() float64 {
	c.times = c.times[:0]
	for i := range c.ranks {
		if r := &c.ranks[i]; r.standing != Freed && r.mean > 0 {
			c.times = append(c.times, r.mean)
		}
	}
	if len(c.times) == 0 {
		return 0
	}
	slices.Sort(c.times)
	return c.times[len(c.times)/2]
}

// Batch takes a rank's next batch and returns an order to send to its Sender, if
// there is one.
func (c *Coordinator) Batch(from int, b Batch) (order Order, ok bool) {
	r := &c.ranks[from]
	if b.Took > 0 {
		if r.mean == 0 {
			r.mean = b.Took
		} else {
			r.mean += c.rules.Weight * (b.Took - r.mean)
		}
	}
	if b.Term != 0 && b.Term == c.order.Term {
		c.effect(b)
	} else if b.Ticks && b.Clock == clock.Forever {
		r.standing = Closed
		if c.order.Term != 0 && (c.order.Subject == from || c.order.Sender == from) {
			c.order = Order{} // nobody will make it known
		}
	}
	switch {
	case r.standing == Freed && b.Took > 0:
		if r.quick++; r.mean >= c.rules.Back*c.Median() {
			r.quick = 0
		}
	case r.standing == Counts && b.Ticks:
		if b.Took > 0 {
			c.check(from, b.Took)
		}
		r.clock = max(r.clock, b.Clock)
	}
	if c.order.Term != 0 {
		return Order{}, false
	}
	switch {
	case r.standing == Counts && r.slow >= c.rules.Checks && c.room():
		return c.issue(Order{Subject: from, Sender: from}), true
	case r.standing == Freed && r.quick >= c.rules.BackFor:
		for s := range c.ranks {
			if c.ranks[s].standing == Counts {
				return c.issue(Order{Subject: from, Sender: s, Admit: true}), true
			}
		}
	}
	return Order{}, false
}

func (c *Coordinator) issue(o Order) Order {
	c.term++
	o.Term = c.term
	c.order = o
	return o
}

// effect takes note of a change that has become known.
func (c *Coordinator) effect(b Batch) {
	r := &c.ranks[b.Subject]
	r.slow, r.quick = 0, 0
	if c.order.Admit {
		if r.standing == Freed {
			r.standing, r.clock = Counts, b.Clock
		}
	} else {
		r.standing = Freed
	}
	c.order = Order{}
}

// check looks at a rank that ends an iteration, before it counts: it is slow
// when its mean is, and it is the last one, and somebody waits for it. An
// iteration that was not slow itself takes a check back.
func (c *Coordinator) check(from int, took float64) {
	r := &c.ranks[from]
	low, high := clock.Forever, int64(0)
	for i := range c.ranks {
		if o := &c.ranks[i]; o.standing == Counts {
			low, high = min(low, o.clock), max(high, o.clock)
		}
	}
	limit := c.rules.Ratio * c.Median()
	switch {
	case r.mean <= limit || r.clock > low || high-low <= c.rules.Staleness:
		r.slow = 0
	case took > limit:
		r.slow++
	default:
		r.slow = max(0, r.slow-1)
	}
}

// room reports whether one more may be freed.
func (c *Coordinator) room() bool {
	counts, freed := 0, 0
	for i := range c.ranks {
		switch c.ranks[i].standing {
		case Counts:
			counts++
		case Freed:
			freed++
		}
	}
	return counts > 2 && float64(freed+1) <= c.rules.Share*float64(len(c.ranks))
}

// Sync begins an epoch: all ranks are at one clock. Who was freed still is.
func (c *Coordinator) Sync(to int64) {
	c.order = Order{}
	for i := range c.ranks {
		r := &c.ranks[i]
		r.slow, r.quick, r.clock = 0, 0, to
		if r.standing == Closed {
			r.standing = Counts
		}
	}
}
