package backup

import (
	"cmp"
	"slices"
)

// Queue holds the batches of a shard until the sets of their clocks are known
// and complete.
type Queue[B any] struct {
	clock   int64 // not complete
	held    map[int64][]Item[B]
	decided map[int64][]int
	last    []Item[B] // of no clock, for the end
}

// Item is a batch of a rank.
type Item[B any] struct {
	Rank  int
	Batch B
}

// NewQueue returns an empty queue at clock 0.
func NewQueue[B any]() *Queue[B] {
	return &Queue[B]{held: map[int64][]Item[B]{}, decided: map[int64][]int{}}
}

// Clock returns the clock that is complete next.
func (q *Queue[B]) Clock() int64 { return q.clock }

// Hold keeps a rank's batch of a clock. It reports whether that is too late: the
// clock is complete without it, and the batch to be dropped.
func (q *Queue[B]) Hold(rank int, clock int64, b B) (late bool) {
	if clock < q.clock {
		return true
	}
	q.held[clock] = append(q.held[clock], Item[B]{rank, b})
	return false
}

// Keep keeps a batch that belongs to no clock until Rest.
func (q *Queue[B]) Keep(rank int, b B) { q.last = append(q.last, Item[B]{rank, b}) }

// Decide takes the set of a clock, in the order of the ranks.
func (q *Queue[B]) Decide(clock int64, set []int) {
	if clock >= q.clock {
		q.decided[clock] = set
	}
}

// Next removes the batches of the next clock when all of its set are here: those
// to apply, in the order of the ranks, and those to drop.
func (q *Queue[B]) Next() (apply, drop []Item[B], ok bool) {
	set := q.decided[q.clock]
	if set == nil {
		return nil, nil, false
	}
	held := q.held[q.clock]
	for _, b := range held {
		if slices.Contains(set, b.Rank) {
			apply = append(apply, b)
		} else {
			drop = append(drop, b)
		}
	}
	if len(apply) < len(set) {
		return nil, nil, false
	}
	slices.SortFunc(apply, func(a, b Item[B]) int { return cmp.Compare(a.Rank, b.Rank) })
	delete(q.held, q.clock)
	delete(q.decided, q.clock)
	q.clock++
	return apply, drop, true
}

// Rest removes what Keep has kept, in the order of the ranks and of each rank.
func (q *Queue[B]) Rest() []Item[B] {
	rest := q.last
	q.last = nil
	slices.SortStableFunc(rest, func(a, b Item[B]) int { return cmp.Compare(a.Rank, b.Rank) })
	return rest
}

// Len returns how many batches wait for their sets.
func (q *Queue[B]) Len() (n int) {
	for _, held := range q.held {
		n += len(held)
	}
	return n
}

// Sync begins an epoch at a clock, with nothing held.
func (q *Queue[B]) Sync(to int64) {
	q.clock, q.last = to, nil
	clear(q.held)
	clear(q.decided)
}
