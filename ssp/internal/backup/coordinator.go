// Package backup holds the machines of synchronous iterations that wait for the
// first k of n ranks only; the others are backup workers (Chen et al., Revisiting
// distributed synchronous SGD, ICLR 2016 workshop; Xu, Neglia and Sebastianelli,
// Dynamic backup workers for parallel machine learning, 2020). It is pure.
//
// The batch of a rank for a clock goes to all shards. A coordinator, which sees
// one of the shards' batches in the order in which they come, decides which ranks
// make up each clock, and every shard applies the batches of these, in the order
// of the ranks, and drops the others: the set is the same on all shards.
package backup

import "slices"

// Coordinator decides the sets, one clock after the other.
type Coordinator struct {
	ranks  int
	wait   int             // for how many
	clock  int64           // undecided
	came   map[int64][]int // by clock from clock on: the ranks, in the order they came
	closed []bool
}

// NewCoordinator returns one that waits for so many of the ranks.
func NewCoordinator(ranks, wait int) *Coordinator {
	return &Coordinator{ranks: ranks, wait: wait, came: map[int64][]int{}, closed: make([]bool, ranks)}
}

// Wait changes for how many ranks the clocks that are not decided yet wait.
func (c *Coordinator) Wait(ranks int) { c.wait = ranks }

// Waits returns for how many ranks it waits.
func (c *Coordinator) Waits() int { return c.wait }

// Clock returns the clock that is decided next.
func (c *Coordinator) Clock() int64 { return c.clock }

// Arrive takes a rank's batch of a clock. It reports whether it comes in time to
// count.
func (c *Coordinator) Arrive(rank int, clock int64) (early bool) {
	if clock < c.clock {
		return false
	}
	c.came[clock] = append(c.came[clock], rank)
	return true
}

// Close says that no more batches of a rank will come in this epoch.
func (c *Coordinator) Close(rank int) { c.closed[rank] = true }

// Next decides the next clock, if it can: when as many ranks have come as it
// waits for, or all that still may. The set is in the order of the ranks.
func (c *Coordinator) Next() (clock int64, set []int, ok bool) {
	came := c.came[c.clock]
	left := len(came)
	for r, closed := range c.closed {
		if !closed && !slices.Contains(came, r) {
			left++
		}
	}
	if len(came) == 0 || len(came) < min(c.wait, left) {
		return 0, nil, false
	}
	set = came[:max(1, min(c.wait, len(came)))]
	slices.Sort(set)
	delete(c.came, c.clock)
	clock = c.clock
	c.clock++
	return clock, set, true
}

// Sync begins an epoch at a clock.
func (c *Coordinator) Sync(to int64) {
	c.clock = to
	clear(c.came)
	clear(c.closed)
}
