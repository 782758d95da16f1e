package shard_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/filter"
	"github.com/sspurn/sspurn/ssp/internal/oplog"
	"github.com/sspurn/sspurn/ssp/internal/rowcache"
	"github.com/sspurn/sspurn/ssp/internal/shard"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// The simulation runs all machines of n ranks with one worker each in one
// goroutine: messages of a pair and kind stay in order, everything else is
// delivered in any order, batches sometimes twice. Each worker counts its clocks
// in a column of its own, so that a read shows what it contains.

const simRows = 7

type message struct {
	msg   []byte
	extra bool // a repeat
}

type simRank struct {
	shard *shard.Shard[int64] // parked: index into world.parked
	rows  *shard.Rows[int64]
	cache []*rowcache.Cache[int64] // by owner
	log   *oplog.Log[int64]
	clock int64
	next  uint64
	want  int64            // row being read, -1 none
	left  int              // reads before the next clock
	made  [simRows][]int64 // by clock: the sum of its updates before that
}

// by is the sum of a rank's updates of a row before a clock, as far as there are.
func (x *simRank) by(row, clock int64) int64 {
	return x.made[row][min(max(0, clock), x.clock)]
}

// simRules are filters of the simulation; the first is none.
var simRules = []filter.Rule{
	{}, {Threshold: 3, Hold: 1}, {Threshold: 5, Hold: 2}, {Top: 2, Hold: 2}, {Top: 0.3, Threshold: 2, Hold: 3},
	{Order: filter.Magnitude, Hold: 1}, {Order: filter.FIFO, Hold: 2}, {Order: filter.Random, Hold: 2, Seed: 5},
}

type world struct {
	t       *testing.T
	rng     *rand.Rand
	n       int
	s       int64 // staleness
	hold    int64 // of it, what a filter takes
	lag     int64 // and what owners take that let rows wait
	push    bool
	ordered bool
	clocks  int64
	ranks   []*simRank
	batches [][][]message // from, to
	asks    [][][]message // from, to: requests
	answers [][][]message // owner, rank
	pushes  [][][]message
	parked  []struct {
		rank int
		msg  []byte
	}
	reads, steps int
}

func newWorld(t *testing.T, seed uint64, n int, s int64, push, ordered bool, pace filter.Rule) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), n: n, s: s, push: push, ordered: ordered, lag: pace.Hold}
	grid := func() [][][]message {
		g := make([][][]message, n)
		for i := range g {
			g[i] = make([][]message, n)
		}
		return g
	}
	w.batches, w.asks, w.answers, w.pushes = grid(), grid(), grid(), grid()
	local := func(row int64) int64 { return row / int64(n) }
	for r := range n {
		x := &simRank{shard: shard.New[int64](r, n), log: oplog.New[int64](simRows, n, false), want: -1, left: 3}
		count := (int64(simRows) + int64(n) - 1 - int64(r)) / int64(n)
		x.rows = shard.NewRows(shard.Spec[int64]{
			Rows: count, Local: local, Global: func(l int64) int64 { return l*int64(n) + int64(r) },
			Owned: func(row int64) bool { return row < simRows && int(row)%n == r }, Width: n, Ordered: ordered, Pushed: push, Pace: pace,
		}, n)
		x.shard.AddTable(x.rows)
		for o := range n {
			owned := (int64(simRows) + int64(n) - 1 - int64(o)) / int64(n)
			x.cache = append(x.cache, rowcache.New[int64](owned, local, n, false, push, 100)) // hardly a row
		}
		w.ranks = append(w.ranks, x)
	}
	return w
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("step %d: %s", w.steps, fmt.Sprintf(format, args...))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.fail("%v", err)
	}
}

// tick ends a clock of a rank.
func (w *world) tick(r int) {
	x := w.ranks[r]
	for row := range int64(simRows) {
		d := int64(1)
		if w.hold > 0 {
			d = max(0, w.rng.Int64N(5)-1) // often nothing
		}
		x.made[row] = append(x.made[row], x.made[row][x.clock]+d)
		if d > 0 {
			x.log.Open().AddAt(x.log.Touch(row, int(row)), r, d)
		}
	}
	var e *oplog.Entry[int64]
	if w.hold > 0 {
		x.log.Allow(w.rng.Int64N(400) - 100) // a row takes up to 65 bytes; no matter under other rules
		e = x.log.SealSome(x.clock, x.clock == w.clocks-1)
	} else {
		e = x.log.Seal(x.clock)
	}
	some := e
	if e == nil {
		some = &oplog.Entry[int64]{}
	}
	x.next++
	x.clock++
	versions := make([]uint64, w.n)
	for o := range w.n {
		versions[o] = x.next
		var enc codec.Encoder
		enc.Begin(nil, codec.Header{Kind: codec.Batch, Flags: codec.Ticks, Rank: r, Version: x.next, Clock: x.clock})
		enc.Table(codec.Block{Type: codec.Int64, Width: w.n})
		for i, row := range some.Rows {
			if int(row)%w.n == o {
				some.Delta.Encode(int(some.At[i]), &enc, row)
			}
		}
		m := message{msg: enc.End()}
		w.batches[r][o] = append(w.batches[r][o], m)
		if w.rng.IntN(5) == 0 {
			m.extra = true
			w.batches[r][o] = append(w.batches[r][o], m)
		}
	}
	if e != nil {
		x.log.Sent(versions)
	}
	x.log.Trim(x.clock - w.s)
	x.left = 1 + w.rng.IntN(4) // who reads nothing runs ahead without bound
}

// read tries to go on with the read of a rank.
func (w *world) read(r int) bool {
	x := w.ranks[r]
	o := int(x.want) % w.n
	wanted := max(0, x.clock-w.s+w.hold)
	c := x.cache[o].Find(x.want)
	if c < 0 {
		return false
	}
	age, applied := x.cache[o].Age(c)
	if age < wanted {
		return false
	}
	dst := slab.NewRows[int64](w.n, false)
	dst.Grow(simRows)
	dst.Set(int(x.want), x.cache[o].Rows(), c)
	x.log.Replay(&dst, int(x.want), o, applied)
	for p, n := range dst.At(int(x.want)) {
		low, high := w.ranks[p].by(x.want, x.clock-w.s), w.ranks[p].by(x.want, x.clock+w.s+1)
		if p == r {
			low, high = x.by(x.want, x.clock), x.by(x.want, x.clock)
		}
		if n < low || n > high {
			w.fail("rank %d at clock %d reads %d of rank %d in row %d (age %d, applied %d), want %d to %d", r, x.clock, n, p, x.want, age, applied, low, high)
		}
		if n < w.ranks[p].by(x.want, age-w.hold) && p != r {
			w.fail("a copy of age %d holds %d of rank %d", age, n, p)
		}
	}
	x.cache[o].Unpin(x.want)
	w.reads++
	x.want = -1
	return true
}

// run works a rank: reads, then a clock.
func (w *world) run(r int, clocks int64) bool {
	x := w.ranks[r]
	if x.want >= 0 {
		return w.read(r)
	}
	if x.left > 0 {
		x.left--
		x.want = w.rng.Int64N(simRows)
		o := int(x.want) % w.n
		wanted := max(0, x.clock-w.s+w.hold)
		if c := x.cache[o].Find(x.want); c >= 0 {
			if age, _ := x.cache[o].Age(c); age >= wanted {
				x.cache[o].Want(x.want, wanted, x.clock, true)
				if !w.read(r) {
					w.fail("a copy vanished")
				}
				return true
			}
		}
		if x.cache[o].Want(x.want, wanted, x.clock, true) {
			var enc codec.Encoder
			flags := codec.Flags(0)
			if w.push {
				flags = codec.Subscribe
			}
			enc.Begin(nil, codec.Header{Kind: codec.Request, Flags: flags, Rank: r})
			enc.Table(codec.Block{Type: codec.Int64, Width: w.n, Age: wanted})
			enc.Want(x.want)
			w.asks[r][o] = append(w.asks[r][o], message{msg: enc.End()})
		}
		return true
	}
	if x.clock == clocks {
		return false
	}
	w.tick(r)
	return true
}

func (w *world) answer(owner, rank int, msg []byte, waited bool) {
	out, err := w.ranks[owner].shard.Answer(nil, rank, msg, waited)
	w.must(err)
	w.answers[owner][rank] = append(w.answers[owner][rank], message{msg: out})
}

// deliver hands on one message of a queue, in order.
func (w *world) deliver(kind, from, to int) bool {
	q := &[][][][]message{w.batches, w.asks, w.answers, w.pushes}[kind][from][to]
	if len(*q) == 0 {
		return false
	}
	at := 0
	if kind == 2 { // answers may overtake each other
		at = w.rng.IntN(len(*q))
	}
	m := (*q)[at]
	*q = append((*q)[:at:at], (*q)[at+1:]...)
	x := w.ranks[to]
	switch kind {
	case 0:
		low := x.shard.Min()
		rose, _, err := x.shard.Batch(from, m.msg)
		w.must(err)
		if m.extra && rose || x.shard.Min() < low {
			w.fail("the minimum went from %d to %d by a repeat or backwards", low, x.shard.Min())
		}
		if rose {
			x.shard.Pace(w.rng.Int64N(600) - 300)
		}
		for rose {
			i, ok := x.shard.Release()
			if !ok {
				break
			}
			w.answer(to, w.parked[i].rank, w.parked[i].msg, true)
			sent := w.answers[to][w.parked[i].rank]
			var d codec.Decoder
			w.must(d.Reset(sent[len(sent)-1].msg))
			if last := d.Header().Last - 1; last != from {
				w.fail("an answer that the batch of rank %d releases names rank %d", from, last)
			}
		}
	case 1:
		at, err := shard.Wanted(m.msg)
		w.must(err)
		if x.shard.Min() < at {
			w.parked = append(w.parked, struct {
				rank int
				msg  []byte
			}{from, m.msg})
			x.shard.Park(at, int64(len(w.parked)-1))
			return true
		}
		w.answer(to, from, m.msg, false)
	default:
		var d codec.Decoder
		w.must(d.Reset(m.msg))
		h := d.Header()
		for d.NextTable() {
			for d.NextRow() {
				w.must(x.cache[from].Install(&d, h.Epoch, d.Age(), h.Version+uint64(h.Branch), h.ID))
			}
		}
		w.must(d.Err())
		if kind == 3 {
			x.cache[from].Pushed(h.Epoch, h.Clock, h.Version, h.ID)
		}
	}
	return true
}

func simulate(t *testing.T, seed uint64, n int, s int64, push, ordered bool, rule filter.Rule, clocks int64) *world {
	var pace filter.Rule
	if push && rule.Order != filter.Unordered && rule.Hold < s {
		pace = filter.Rule{Order: rule.Order, Hold: 1 + int64(seed)%(s-rule.Hold), Seed: seed}
	}
	w := newWorld(t, seed, n, s, push, ordered, pace)
	w.clocks, w.hold = clocks, rule.Hold
	for r, x := range w.ranks {
		if w.hold > 0 {
			x.log.Filter(rule, func(row int64) bool { return int(row)%n != r })
		}
		for row := range x.made {
			x.made[row] = []int64{0}
		}
	}
	idle := 0
	for idle < 200*n*n+200 {
		w.steps++
		from, to := w.rng.IntN(n), w.rng.IntN(n)
		moved := false
		switch k := w.rng.IntN(8); {
		case k < 4:
			moved = w.deliver(k, from, to)
		case k < 6:
			moved = w.run(from, clocks)
		case push && len(w.pushes[from][to]) == 0: // one in flight
			if x := w.ranks[from].shard; x.Paced() && w.rng.IntN(3) == 0 { // idle, between two advances
				x.Pace(w.rng.Int64N(600) - 300)
			}
			if out, ok := w.ranks[from].shard.Push(nil, to); ok {
				w.pushes[from][to] = append(w.pushes[from][to], message{msg: out})
				moved = true
			}
		}
		if moved {
			idle = 0
		} else {
			idle++
		}
	}
	for r, x := range w.ranks {
		if x.clock != clocks || x.want >= 0 {
			w.fail("rank %d is stuck at clock %d, row %d: %v", r, x.clock, x.want, x.shard.Clocks())
		}
		if x.shard.Min() != clocks {
			w.fail("shard %d: %v", r, x.shard.Clocks())
		}
		x.rows.Each(0, func(row int64, slot int) bool {
			for p, got := range x.rows.Data().At(slot) {
				if want := w.ranks[p].by(row, clocks); got != want {
					w.fail("row %d holds %d of rank %d, want %d", row, got, p, want)
				}
			}
			return true
		})
		if ordered && x.shard.Applied(0, true) != uint64(clocks) {
			w.fail("shard %d applied %d in order", r, x.shard.Applied(0, true))
		}
	}
	return w
}

// TestSimulation: no read is older than the rule, own updates are in each, no
// update is lost or doubled, everybody who waits is woken.
func TestSimulation(t *testing.T) {
	steps, reads := 0, 0
	for seed := range seeds.Count(t, 4) {
		for _, n := range []int{1, 2, 3, 5, 8} {
			for _, s := range []int64{0, 1, 3} {
				for _, mode := range []string{"pull", "push", "ordered"} {
					if mode == "ordered" && s > 0 {
						continue
					}
					for _, rule := range simRules {
						if rule.Hold > s || rule.Hold > 0 && seed%2 == 1 {
							continue
						}
						w := simulate(t, seed, n, s, mode == "push", mode == "ordered", rule, 25)
						steps += w.steps
						reads += w.reads
					}
				}
			}
		}
	}
	if steps < 100_000 || reads < 10_000 {
		t.Errorf("%d steps, %d reads", steps, reads)
	}
	t.Logf("%d steps, %d reads", steps, reads)
}
