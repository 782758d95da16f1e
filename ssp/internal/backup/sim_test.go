package backup

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// The simulation runs ranks and shards in one goroutine: a rank starts a clock
// when all shards have completed the one before, sends its batch to all, and goes
// on to the newest clock that its own shard knows of. Messages of a pair stay in
// order, everything else happens in any order; some ranks are picked seldom.

type note struct { // a message: a batch of a rank, or a decision
	rank   int
	clock  int64 // -1: the rank closes
	set    []int
	decide bool
}

type simulation struct {
	t       *testing.T
	rng     *rand.Rand
	n, k    int
	coord   *Coordinator
	queues  []*Queue[int64]
	links   [][][]note // from, to
	clocks  []int64
	closed  []bool
	applied []map[int64][]int // by shard and clock
	fate    []map[int64]bool  // by rank and clock: applied
	batches int
	steps   int
}

func (s *simulation) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("step %d: %s", s.steps, fmt.Sprintf(format, args...))
}

func (s *simulation) send(from int, m note) {
	for to := range s.n {
		s.links[from][to] = append(s.links[from][to], m)
	}
}

func (s *simulation) deliver(from, to int) bool {
	q := &s.links[from][to]
	if len(*q) == 0 {
		return false
	}
	m := (*q)[0]
	*q = (*q)[1:]
	x := s.queues[to]
	switch {
	case m.decide:
		x.Decide(m.clock, m.set)
	case m.clock < 0:
		x.Keep(m.rank, m.clock)
	default:
		if x.Hold(m.rank, m.clock, m.clock) {
			s.settled(to, m.rank, m.clock, false)
		}
	}
	if to == 0 && !m.decide {
		if m.clock < 0 {
			s.coord.Close(m.rank)
		} else {
			s.coord.Arrive(m.rank, m.clock)
		}
		for {
			clock, set, ok := s.coord.Next()
			if !ok {
				break
			}
			open := 0
			for _, c := range s.closed {
				if !c {
					open++
				}
			}
			if len(set) > s.k || len(set) < min(s.k, open) || !slices.IsSorted(set) {
				s.fail("clock %d is made of %v, waiting for %d, %d open", clock, set, s.k, open)
			}
			s.send(0, note{clock: clock, set: set, decide: true})
		}
	}
	for {
		clock := x.Clock()
		apply, drop, ok := x.Next()
		if !ok {
			return true
		}
		var set []int
		for _, b := range apply {
			if b.Batch != clock {
				s.fail("a batch of clock %d in clock %d", b.Batch, clock)
			}
			set = append(set, b.Rank)
			s.settled(to, b.Rank, b.Batch, true)
		}
		for _, b := range drop {
			s.settled(to, b.Rank, b.Batch, false)
		}
		if !slices.IsSorted(set) || len(set) == 0 {
			s.fail("shard %d applies %v", to, set)
		}
		s.applied[to][clock] = set
		for other := range s.n {
			if o := s.applied[other][clock]; o != nil && !slices.Equal(o, set) {
				s.fail("clock %d is made of %v on shard %d and %v on %d", clock, set, to, o, other)
			}
		}
	}
}

// settled notes what has become of a batch, which is the same on all shards.
func (s *simulation) settled(shard, rank int, clock int64, applied bool) {
	s.batches++
	if was, ok := s.fate[rank][clock]; ok && was != applied {
		s.fail("shard %d: batch of rank %d and clock %d: applied %t, elsewhere %t", shard, rank, clock, applied, was)
	}
	s.fate[rank][clock] = applied
}

// work ends a clock of a rank, if it can have started.
func (s *simulation) work(r int, end int64) bool {
	if s.closed[r] {
		return false
	}
	for _, q := range s.queues {
		if q.Clock() < s.clocks[r] {
			return false
		}
	}
	if s.clocks[r] >= end {
		s.closed[r] = true
		s.send(r, note{rank: r, clock: -1})
		return true
	}
	s.send(r, note{rank: r, clock: s.clocks[r]})
	s.clocks[r] = max(s.clocks[r]+1, s.queues[r].Clock())
	return true
}

func TestSimulation(t *testing.T) {
	steps, dropped := 0, 0
	for seed := range seeds.Count(t, 6) {
		for _, n := range []int{1, 2, 3, 5, 8} {
			for b := 0; b < n; b += 1 + n/3 {
				s := &simulation{t: t, rng: rand.New(rand.NewPCG(seed, uint64(n*10+b))), n: n, k: n - b, coord: NewCoordinator(n, n-b), clocks: make([]int64, n), closed: make([]bool, n)}
				for range n {
					s.queues = append(s.queues, NewQueue[int64]())
					s.links = append(s.links, make([][]note, n))
					s.applied = append(s.applied, map[int64][]int{})
					s.fate = append(s.fate, map[int64]bool{})
				}
				const end = 120
				for idle := 0; idle < 200*n*n+200; s.steps++ {
					moved := false
					if s.rng.IntN(3) == 0 {
						r := min(s.rng.IntN(n), s.rng.IntN(n)) // late ranks are picked seldom
						moved = s.work(r, end)
					} else {
						moved = s.deliver(s.rng.IntN(n), s.rng.IntN(n))
					}
					idle++
					if moved {
						idle = 0
					}
				}
				sent := 0
				for r := range n {
					if !s.closed[r] || s.queues[r].Clock() < end || s.queues[r].Len() > 0 || len(s.queues[r].Rest()) != n {
						s.fail("seed %d, %d of %d: rank %d is stuck at clock %d, its shard at %d with %d held", seed, n-b, n, r, s.clocks[r], s.queues[r].Clock(), s.queues[r].Len())
					}
					sent += len(s.fate[r])
					for _, applied := range s.fate[r] {
						if !applied {
							dropped++
						}
					}
				}
				if s.batches != sent*n {
					s.fail("%d batches are settled, %d were sent to %d shards", s.batches, sent, n)
				}
				if b == 0 && sent != n*end {
					s.fail("without backup %d batches are made", sent)
				}
				steps += s.steps
			}
		}
	}
	t.Logf("%d steps, %d batches dropped", steps, dropped)
	if steps < 100_000 || dropped < 100 {
		t.Errorf("%d steps, %d dropped", steps, dropped)
	}
}

// TestQueueIsReset: nothing of an epoch is left in the next.
func TestQueueIsReset(t *testing.T) {
	q, c := NewQueue[int64](), NewCoordinator(2, 1)
	q.Hold(1, 0, 0)
	q.Keep(0, 7)
	q.Decide(1, []int{0})
	c.Arrive(1, 3)
	c.Close(0)
	q.Sync(5)
	c.Sync(5)
	if q.Clock() != 5 || q.Len() != 0 || len(q.Rest()) != 0 || !q.Hold(0, 4, 4) || c.Clock() != 5 || c.Arrive(0, 4) {
		t.Errorf("%+v %+v", q, c)
	}
	if _, _, ok := c.Next(); ok {
		t.Error("a clock without batches is decided")
	}
}
