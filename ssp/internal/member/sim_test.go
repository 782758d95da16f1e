package member

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
	"github.com/sspurn/sspurn/ssp/internal/clock"
)

// The simulation runs ranks in virtual time: each reads at all shards under the
// bound, computes, and sends its batch to all shards. Messages of a pair stay in
// order and are under way for a random time, now and then for a long one. The
// truth of who counts is kept apart, by clocks: what a shard's minimum passes is
// compared with it.

type event struct {
	at    float64
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any     { old := *e; x := old[len(old)-1]; *e = old[:len(old)-1]; return x }

// absence is a stretch of clocks at which a rank does not count.
type absence struct{ from, to int64 }

type simBatch struct {
	from    int
	stamp   int64 // of the updates; -1: none
	ticks   bool
	clock   int64
	took    float64
	term    uint32
	subject int
	admit   bool
}

type simRank struct {
	set      *Set
	min      int64
	got      []int64 // by rank: batches of iterations that have come
	clock    int64
	iters    int64
	away     bool
	rejoin   int64
	duty     *Order
	sent     int64 // clock announced
	waiting  bool
	closed   bool
	absences []absence
	until    []float64 // by receiver: when its last message arrives
	done     []map[int64]bool
}

type sim struct {
	t      *testing.T
	rng    *rand.Rand
	n      int
	s      int64
	now    float64
	queue  events
	seq    int
	ranks  []*simRank
	coord  *Coordinator
	time   func(rank int, iter int64, now float64) float64
	delay  float64
	end    float64 // no new iterations
	steps  int
	freed  int
	came   int
	firsts []float64 // when each rank was first freed
}

func newSim(t *testing.T, seed uint64, n int, s int64, delay, end float64, time func(*rand.Rand, int, int64, float64) float64) *sim {
	w := &sim{t: t, rng: rand.New(rand.NewPCG(seed, 11)), n: n, s: s, delay: delay, end: end, coord: NewCoordinator(n, DefaultRules(s)), firsts: make([]float64, n)}
	w.time = func(r int, i int64, now float64) float64 { return time(w.rng, r, i, now) }
	for range n {
		x := &simRank{set: NewSet(n), got: make([]int64, n), until: make([]float64, n)}
		for range n {
			x.done = append(x.done, map[int64]bool{})
		}
		w.ranks = append(w.ranks, x)
	}
	return w
}

func (w *sim) at(t float64, do func()) {
	w.seq++
	heap.Push(&w.queue, event{t, w.seq, do})
}

func (w *sim) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("at %g, step %d: %s", w.now, w.steps, fmt.Sprintf(format, args...))
}

// send hands a message over after a delay, in the order of its pair.
func (w *sim) send(from, to int, do func()) {
	d := w.delay * w.rng.ExpFloat64()
	if w.rng.IntN(50) == 0 {
		d *= 30
	}
	if from == to {
		d = 0
	}
	x := w.ranks[from]
	x.until[to] = max(x.until[to], w.now+d)
	w.at(x.until[to], do)
}

func (w *sim) post(b simBatch) {
	for to := range w.n {
		w.send(b.from, to, func() { w.arrive(to, b) })
	}
}

// counts is the truth.
func (w *sim) counts(rank int, at int64) bool {
	for _, a := range w.ranks[rank].absences {
		if at >= a.from && at < a.to {
			return false
		}
	}
	return true
}

func (w *sim) arrive(to int, b simBatch) {
	x := w.ranks[to]
	if b.stamp >= 0 {
		if x.done[b.from][b.stamp] {
			w.fail("shard %d: clock %d of rank %d twice", to, b.stamp, b.from)
		}
		x.done[b.from][b.stamp] = true
	}
	switch {
	case b.term != 0 && !b.admit:
		x.set.Free(0, b.from, b.term)
	case b.ticks:
		if b.term != 0 {
			x.set.Admit(0, b.subject, b.term, b.clock)
			if b.subject == to {
				x.rejoin = b.clock
			}
		}
		x.set.Step(0, b.from, b.clock)
	}
	if to == 0 {
		o, ok := w.coord.Batch(b.from, Batch{Ticks: b.ticks, Clock: b.clock, Took: b.took, Term: b.term, Subject: b.subject})
		if ok {
			w.send(0, o.Sender, func() { w.ordered(o) })
		}
	}
	low := x.set.Min()
	if low < x.min {
		w.fail("shard %d: the minimum falls from %d to %d: %v", to, x.min, low, x.set)
	}
	for c := x.min; c < low && c < 1<<40; c++ {
		for q := range w.n {
			if w.ranks[q].closed && !x.done[q][c] && w.ranks[q].sent <= c {
				continue
			}
			if w.counts(q, c) && !x.done[q][c] {
				w.fail("shard %d passes clock %d without the updates of rank %d, which counts: %v; absences %v", to, c, q, x.set, w.ranks[q].absences)
			}
		}
		if low == clock.Forever && c > x.min+100 {
			break
		}
	}
	x.min = low
	for r := range w.n {
		if w.ranks[r].waiting {
			w.read(r)
		}
	}
}

// ordered takes an order of the coordinator.
func (w *sim) ordered(o Order) {
	x := w.ranks[o.Sender]
	switch {
	case o.Admit:
		x.duty = &o
	case !x.closed && !x.away:
		x.away = true
		x.absences = append(x.absences, absence{x.sent, clock.Forever})
		w.freed++
		if w.firsts[o.Subject] == 0 {
			w.firsts[o.Subject] = w.now
		}
		w.post(simBatch{from: o.Sender, stamp: -1, ticks: true, clock: clock.Forever, term: o.Term, subject: o.Sender})
	}
}

// read starts an iteration when the bound allows it at all shards.
func (w *sim) read(r int) {
	x := w.ranks[r]
	if !x.away {
		for _, o := range w.ranks {
			if o.set.Min() < x.clock-w.s {
				x.waiting = true
				return
			}
		}
	}
	x.waiting = false
	d := w.time(r, x.iters, w.now)
	w.at(w.now+d, func() { w.tick(r, d) })
}

func (w *sim) tick(r int, took float64) {
	x := w.ranks[r]
	stamp := x.clock
	x.iters++
	next := max(x.clock+1, x.rejoin)
	if x.away && x.rejoin > 0 {
		x.away = false
		x.rejoin = 0
	}
	b := simBatch{from: r, stamp: stamp, ticks: !x.away, clock: next, took: took}
	if d := x.duty; d != nil && b.ticks {
		x.duty = nil
		b.term, b.subject, b.admit = d.Term, d.Subject, true
		p := w.ranks[d.Subject]
		p.absences[len(p.absences)-1].to = next
		w.came++
	}
	x.clock, x.sent = next, next
	w.post(b)
	if w.now >= w.end {
		x.closed = true
		w.post(simBatch{from: r, stamp: -1, ticks: true, clock: clock.Forever})
		return
	}
	w.read(r)
}

func (w *sim) run() {
	for r := range w.n {
		w.read(r)
	}
	for len(w.queue) > 0 {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		w.steps++
		e.do()
	}
	for r, x := range w.ranks {
		if !x.closed {
			w.fail("rank %d is stuck at clock %d: %v", r, x.clock, x.set)
		}
		for q, o := range w.ranks {
			if int64(len(x.done[q])) != o.iters {
				w.fail("shard %d has %d batches of rank %d, which made %d", r, len(x.done[q]), q, o.iters)
			}
		}
		if x.set.Min() != clock.Forever {
			w.fail("shard %d ends with %v", r, x.set)
		}
	}
}

func (w *sim) total() (sum int64) {
	for _, x := range w.ranks {
		sum += x.iters
	}
	return sum
}

// TestSimulation: ranks whose speed changes at random moments are freed and come
// back; no shard's minimum falls, none passes a clock without the updates of all
// that count there, and all say the same of that; nobody is stuck.
func TestSimulation(t *testing.T) {
	steps, freed, came := 0, 0, 0
	for seed := range seeds.Count(t, 12) {
		for _, n := range []int{1, 2, 3, 4, 5, 8} {
			rng := rand.New(rand.NewPCG(seed, 5))
			s := rng.Int64N(5)
			delay := []float64{0.1, 3, 30}[rng.IntN(3)]
			slow := map[[2]int]float64{}
			w := newSim(t, seed, n, s, delay, 12_000, func(r *rand.Rand, rank int, iter int64, now float64) float64 {
				key := [2]int{rank, int(now / 2500)}
				if _, ok := slow[key]; !ok {
					slow[key] = 1
					if r.IntN(4) == 0 {
						slow[key] = 2 + 8*r.Float64()
					}
				}
				return 50 * slow[key] * (0.9 + 0.2*r.Float64())
			})
			w.run()
			steps, freed, came = steps+w.steps, freed+w.freed, came+w.came
		}
	}
	if freed < 20 || came < 10 || steps < 100_000 {
		t.Errorf("%d steps, %d times freed, %d times back", steps, freed, came)
	}
	t.Logf("%d steps, %d times freed, %d times back", steps, freed, came)
}

// TestPermanent: systems of a few steadily slow ranks are as fast as those that
// are not slow, and these are freed within a few iterations.
func TestPermanent(t *testing.T) {
	for _, x := range []struct {
		factor float64
		ratio  float64 // over SSP, at least
	}{{4, 2.8}, {12, 6}} {
		slow := func(_ *rand.Rand, rank int, _ int64, _ float64) float64 {
			if rank == 0 {
				return 50 * x.factor
			}
			return 50
		}
		w := newSim(t, 1, 8, 3, 0.1, 10_000, slow)
		w.run()
		bound := newSim(t, 1, 8, 3, 0.1, 10_000, slow)
		bound.coord.rules.Checks = 1 << 30
		bound.run()
		ratio := float64(w.total()) / float64(bound.total())
		iterations := w.firsts[0] / (50 * x.factor)
		t.Logf("%g times slower: %d iterations, %d under the bound, ratio %.2f; freed after %.1f slow iterations", x.factor, w.total(), bound.total(), ratio, iterations)
		if ratio < x.ratio || w.freed != 1 || w.firsts[0] == 0 || iterations > 6.5 {
			t.Errorf("factor %g: ratio %.2f, want %g; freed %d times, first after %.1f slow iterations", x.factor, ratio, x.ratio, w.freed, iterations)
		}
	}
}

// TestTransientStragglersStay: nobody is freed who is late in turn or by chance.
func TestTransientStragglersStay(t *testing.T) {
	steps, freed := 0, map[string]int{}
	for seed := range seeds.Count(t, 10) {
		for name, time := range map[string]func(*rand.Rand, int, int64, float64) float64{
			"in turn": func(_ *rand.Rand, rank int, iter int64, _ float64) float64 {
				if iter%8 == int64(rank) {
					return 250
				}
				return 50
			},
			"5 %": func(r *rand.Rand, _ int, _ int64, _ float64) float64 {
				if r.Float64() < 0.05 {
					return 250
				}
				return 50
			},
		} {
			w := newSim(t, seed, 8, 3, 0.1, 15_000, time)
			w.run()
			steps += w.steps
			freed[name] += w.freed
		}
	}
	t.Logf("%d steps, %v freed", steps, freed)
	for name, n := range freed {
		if n > 0 {
			t.Errorf("late %s: freed %d times", name, n)
		}
	}
}
