package shard_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/oplog"
	"github.com/sspurn/sspurn/ssp/internal/rowcache"
	"github.com/sspurn/sspurn/ssp/internal/shard"
	"github.com/sspurn/sspurn/ssp/internal/value"
)

// The simulation of bounds on values: n ranks with a worker each hand over
// updates of one row each, all messages travel in any order that a connection
// keeps, and after every step all replicas of a row are laid side by side. All add
// to one column, the parameter; beside it a writer has two: what it has added, and
// how often, in small change, which tells what part of its updates a replica has.

const (
	valueRows = 3
	tick      = 1.0 / 1024
)

type valueMode struct {
	strong, element bool
	adversary       bool // ranks 0 and 2… add, 1 takes off and is hard to reach
	v               float64
}

type valueRank struct {
	shard  *shard.Shard[int64]
	rows   *shard.Rows[float64]
	cache  []*rowcache.Cache[float64] // by owner
	log    *oplog.Log[float64]
	book   *value.Book
	next   []uint64 // by owner: the last version
	handed [valueRows]history
	entry  *oplog.Entry[float64] // sealed, waits for the bound
	row    int64
	delta  float64
	clock  int64
	told   []uint64 // by rank: what its shard has told
}

// history is what a writer has handed over for a row, with the sums of all before
// each, and of their magnitudes.
type history struct{ deltas, sums, sizes []float64 }

func (h *history) add(delta float64) {
	h.deltas = append(h.deltas, delta)
	h.sums = append(h.sums, h.sum(len(h.sums))+delta)
	h.sizes = append(h.sizes, h.size(0, len(h.sizes))+math.Abs(delta))
}

// sum adds up the first n.
func (h *history) sum(n int) float64 {
	if n == 0 {
		return 0
	}
	return h.sums[n-1]
}

// size adds up the magnitudes of those from one on.
func (h *history) size(from, to int) float64 {
	s := 0.0
	if to > 0 {
		s = h.sizes[to-1]
	}
	if from > 0 {
		s -= h.sizes[from-1]
	}
	return s
}

type valueWorld struct {
	t     *testing.T
	rng   *rand.Rand
	n     int
	mode  valueMode
	ranks []*valueRank

	batches, asks, answers, pushes [][][][]byte
	acks, news                     [][][]uint64 // from, to
	flying                         [][]bool     // owner, rank: a push is on its way
	counts                         [][]uint64   // and what it has

	u              float64 // the largest update
	steps          int
	waits, held    int
	spread, widest float64 // the greatest difference between replicas, and of what was let go
}

func grid[T any](n int) [][]T {
	g := make([][]T, n)
	for i := range g {
		g[i] = make([]T, n)
	}
	return g
}

func newValueWorld(t *testing.T, seed uint64, n int, mode valueMode) *valueWorld {
	w := &valueWorld{t: t, rng: rand.New(rand.NewPCG(seed, 9)), n: n, mode: mode}
	w.batches, w.asks, w.answers, w.pushes = grid[[][]byte](n), grid[[][]byte](n), grid[[][]byte](n), grid[[][]byte](n)
	w.acks, w.news, w.flying, w.counts = grid[[]uint64](n), grid[[]uint64](n), grid[bool](n), grid[uint64](n)
	local := func(row int64) int64 { return row / int64(n) }
	for r := range n {
		x := &valueRank{
			shard: shard.New[int64](r, n), log: oplog.New[float64](valueRows, 2*n+1, false),
			book: value.NewBook(n), next: make([]uint64, n), told: make([]uint64, n),
		}
		bound := &shard.Bound{Element: mode.element}
		if mode.strong {
			bound.Strong = func(int64) float64 { return mode.v }
		}
		count := func(o int) int64 { return (valueRows + int64(n) - 1 - int64(o)) / int64(n) }
		x.rows = shard.NewRows(shard.Spec[float64]{
			Rows: count(r), Local: local, Global: func(l int64) int64 { return l*int64(n) + int64(r) },
			Owned: func(row int64) bool { return row < valueRows && int(row)%n == r }, Width: 2*n + 1, Eager: true, Pushed: true, Bound: bound,
		}, n)
		x.shard.AddTable(x.rows)
		for o := range n {
			limit := 1 << 20
			if w.rng.IntN(2) == 0 {
				limit = 100 // hardly a row
			}
			x.cache = append(x.cache, rowcache.New[float64](count(o), local, 2*n+1, false, true, limit))
		}
		w.ranks = append(w.ranks, x)
	}
	return w
}

func (w *valueWorld) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%+v, %d ranks, step %d: %s", w.mode, w.n, w.steps, fmt.Sprintf(format, args...))
}

func (w *valueWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.fail("%v", err)
	}
}

// write makes an update.
func (w *valueWorld) write(r int) {
	x := w.ranks[r]
	if x.entry != nil {
		return
	}
	x.row = w.rng.Int64N(valueRows)
	x.delta = float64(1 + w.rng.IntN(3))
	if w.rng.IntN(30) == 0 {
		x.delta *= 20 // more than the bound alone
	}
	switch {
	case w.mode.adversary:
		x.row, x.delta = 2, 1
		if r == 1 {
			x.delta = -1
		}
	case w.rng.IntN(2) == 0:
		x.delta = -x.delta
	}
	d := x.log.Open()
	d.AddAt(x.log.Touch(x.row, int(x.row)), 2*r, x.delta)
	d.AddAt(x.log.Touch(x.row, int(x.row)), 2*r+1, tick)
	d.AddAt(x.log.Touch(x.row, int(x.row)), 2*w.n, x.delta)
	x.entry = x.log.Seal(x.clock)
	x.clock++
}

// leave hands an update over when the bound lets it in.
func (w *valueWorld) leave(r int) bool {
	x := w.ranks[r]
	if x.entry == nil {
		return false
	}
	o := int(x.row) % w.n
	fits := true
	var changes []func(version uint64)
	shard.Weigh(&x.entry.Delta, int(x.entry.At[0]), x.row, w.mode.element, func(k value.Key, delta float64) {
		fits = fits && x.book.Fits(k, delta, w.mode.v)
		changes = append(changes, func(version uint64) { x.book.Add(o, version, k, delta) })
	})
	if !fits {
		w.waits++
		return false
	}
	x.next[o]++
	for _, add := range changes {
		add(x.next[o])
	}
	versions := make([]uint64, w.n)
	versions[o] = x.next[o]
	var e codec.Encoder
	e.Begin(nil, codec.Header{Kind: codec.Batch, Rank: r, Version: x.next[o], Clock: x.clock})
	e.Table(codec.Block{Type: codec.Float64, Width: 2*w.n + 1})
	x.entry.Delta.Encode(int(x.entry.At[0]), &e, x.row)
	w.batches[r][o] = append(w.batches[r][o], e.End())
	x.log.Sent(versions)
	x.entry = nil
	x.handed[x.row].add(x.delta)
	w.u = max(w.u, math.Abs(x.delta))
	if r == o { // own rows do not travel
		w.batch(r, r)
	}
	return true
}

func pop[T any](q *[]T) T {
	x := (*q)[0]
	*q = (*q)[1:]
	return x
}

func (w *valueWorld) batch(from, to int) {
	_, _, err := w.ranks[to].shard.Batch(from, pop(&w.batches[from][to]))
	w.must(err)
	w.held = max(w.held, w.ranks[to].shard.Held())
}

// deliver makes one step of the network or of a rank.
func (w *valueWorld) deliver(kind, a, b int) bool {
	x, y := w.ranks[a], w.ranks[b]
	switch {
	case kind == 0 && len(w.batches[a][b]) > 0:
		w.batch(a, b)
	case kind == 1 && len(w.asks[a][b]) > 0:
		out, err := y.shard.Answer(nil, a, pop(&w.asks[a][b]), false)
		w.must(err)
		w.answers[b][a] = append(w.answers[b][a], out)
	case kind == 2 && len(w.answers[a][b]) > 0:
		w.install(a, b, pop(&w.answers[a][b]))
	case kind == 3 && len(w.pushes[a][b]) > 0:
		h := w.install(a, b, pop(&w.pushes[a][b]))
		y.cache[a].Pushed(h.Epoch, h.Clock, h.Version, h.ID)
		w.acks[b][a] = append(w.acks[b][a], w.counts[a][b])
	case kind == 4 && len(w.acks[a][b]) > 0:
		w.flying[b][a] = false
		_, _, err := y.shard.Installed(a, pop(&w.acks[a][b]))
		w.must(err)
	case kind == 5 && len(w.news[a][b]) > 0:
		y.book.Visible(a, pop(&w.news[a][b]))
	case kind == 6 && a != b && !w.flying[a][b]:
		out, ok := x.shard.Push(nil, b)
		if !ok {
			_, _, err := x.shard.Installed(b, x.shard.Count())
			w.must(err)
			return false
		}
		w.flying[a][b], w.counts[a][b] = true, x.shard.Count()
		w.pushes[a][b] = append(w.pushes[a][b], out)
	case kind == 7:
		if v := x.shard.Visible(b); v > x.told[b] {
			x.told[b] = v
			w.news[a][b] = append(w.news[a][b], v)
			return true
		}
		return false
	case kind == 8:
		return w.leave(a)
	default:
		return false
	}
	return true
}

func (w *valueWorld) install(owner, rank int, msg []byte) codec.Header {
	var d codec.Decoder
	w.must(d.Reset(msg))
	h := d.Header()
	for d.NextTable() {
		for d.NextRow() {
			w.must(w.ranks[rank].cache[owner].Install(&d, h.Epoch, d.Age(), h.Version, h.ID))
		}
	}
	w.must(d.Err())
	return h
}

// ask asks for a row that is not at hand.
func (w *valueWorld) ask(r int) {
	x := w.ranks[r]
	row := w.rng.Int64N(valueRows)
	if w.mode.adversary {
		row = 2
	}
	o := int(row) % w.n
	if o == r || x.cache[o].Find(row) >= 0 || !x.cache[o].Want(row, 0, 0, false) {
		return
	}
	var e codec.Encoder
	e.Begin(nil, codec.Header{Kind: codec.Request, Flags: codec.Subscribe, Rank: r})
	e.Table(codec.Block{Type: codec.Float64, Width: 2*w.n + 1})
	e.Want(row)
	w.asks[r][o] = append(w.asks[r][o], e.End())
}

// replica returns how many of each writer's updates the replica of a row at a rank
// has, nil where there is none.
func (w *valueWorld) replica(r int, row int64, parts []int) bool {
	x := w.ranks[r]
	var data []float64
	if o := int(row) % w.n; o == r {
		data = x.rows.Data().At(x.rows.Slot(row))
	} else if c := x.cache[o].Find(row); c >= 0 {
		data = x.cache[o].Rows().At(c)
	} else {
		return false
	}
	theta := 0.0
	for p := range w.n {
		theta += data[2*p]
		parts[p] = int(data[2*p+1] / tick)
		all := &w.ranks[p].handed[row]
		if parts[p] > len(all.deltas) || data[2*p] != all.sum(parts[p]) {
			w.fail("rank %d has %v of %d in row %d, %d of %v", r, data[2*p], p, row, parts[p], all.deltas)
		}
		if p == r {
			parts[p] = len(all.deltas) // its own updates it sees
		}
	}
	if data[2*w.n] != theta {
		w.fail("rank %d has %v in row %d, %v by writers", r, data[2*w.n], row, theta)
	}
	return true
}

// check lays the replicas of a row side by side.
func (w *valueWorld) check(row int64) {
	most := max(w.u, w.mode.v)
	var parts [8][8]int
	var here [8]bool
	low, high := math.Inf(1), math.Inf(-1)
	for r := range w.n {
		if here[r] = w.replica(r, row, parts[r][:]); !here[r] {
			continue
		}
		theta := 0.0
		for p := range w.n {
			theta += w.ranks[p].handed[row].sum(parts[r][p])
		}
		low, high = min(low, theta), max(high, theta)
	}
	half := 0.0
	for p := range w.n {
		all := &w.ranks[p].handed[row]
		last := len(all.deltas)
		everywhere, somewhere := last, 0
		for r := range w.n {
			if here[r] && r != p {
				everywhere, somewhere = min(everywhere, parts[r][p]), max(somewhere, parts[r][p])
			}
		}
		if !w.mode.element {
			if got := all.size(everywhere, last); got > most {
				w.fail("row %d: %v of rank %d are not everywhere: %v", row, all.deltas[everywhere:], p, got)
			}
		} else {
			for i := everywhere; i < last; i++ {
				for j := i + 1; j <= last; j++ {
					if got := math.Abs(all.sum(j) - all.sum(i)); got > most {
						w.fail("row %d: %v of rank %d are not everywhere, a run of %v", row, all.deltas[everywhere:], p, got)
					}
				}
			}
		}
		if everywhere < somewhere {
			half += all.size(everywhere, somewhere)
		}
	}
	bound := float64(w.n) * most
	if w.mode.strong {
		if bound = 3 * most; half > most {
			w.fail("row %d: %v are half way", row, half)
		}
	}
	if high-low > bound {
		w.fail("row %d: replicas differ by %v", row, high-low)
	}
	w.spread, w.widest = max(w.spread, (high-low)/most), max(w.widest, half/most)
}

// slow says whether a step waits for another time: the adversary's network.
func (w *valueWorld) slow(kind, a, b int) bool {
	if !w.mode.adversary || w.rng.IntN(40) == 0 {
		return false
	}
	return a == 1 && kind != 8 || b == 1
}

func (w *valueWorld) run(steps int) {
	moved := 0
	for writing := true; writing || moved > 0; {
		w.steps++
		kind, a, b := w.rng.IntN(11), w.rng.IntN(w.n), w.rng.IntN(w.n)
		switch {
		case kind == 9 && writing:
			w.write(a)
		case kind == 10 && writing:
			w.ask(a)
		case kind < 9 && !(writing && w.slow(kind, a, b)):
			if w.deliver(kind, a, b) {
				moved = 400 * w.n * w.n
			}
		}
		if writing {
			writing = w.steps < steps
			moved = 400 * w.n * w.n
		} else {
			moved--
		}
		w.check(int64(w.steps) % valueRows)
		if w.mode.adversary {
			w.check(2)
		}
	}
	for r, x := range w.ranks {
		if x.entry != nil || x.book.Len() > 0 || x.shard.Held() > 0 {
			w.fail("rank %d is stuck: %t, %d in the book, %d held back", r, x.entry != nil, x.book.Len(), x.shard.Held())
		}
		x.rows.Each(0, func(row int64, slot int) bool {
			for p, y := range w.ranks {
				all := &y.handed[row]
				if got, want := x.rows.Data().At(slot)[2*p], all.sum(len(all.deltas)); got != want {
					w.fail("row %d ends with %v of rank %d, want %v", row, got, p, want)
				}
			}
			return true
		})
	}
}

// TestValueSimulation: at every moment what a writer has handed over and others
// do not see is within the bound, and under the strong one what some see and
// others do not; nothing is lost, and nobody waits for ever.
func TestValueSimulation(t *testing.T) {
	steps, waits, held := 0, 0, 0
	for seed := range seeds.Count(t, 3) {
		for _, n := range []int{1, 2, 3, 5, 8} {
			for _, mode := range []valueMode{{v: 5}, {v: 5, element: true}, {v: 5, strong: true}, {v: 5, strong: true, element: true}} {
				w := newValueWorld(t, seed, n, mode)
				w.run(4000)
				steps, waits = steps+w.steps, waits+w.waits
				if mode.strong {
					held += w.held
				}
			}
		}
	}
	if steps < 200_000 || waits < 1000 || held < 10 {
		t.Errorf("%d steps, %d waits, %d held back", steps, waits, held)
	}
	t.Logf("%d steps, %d waits, %d held back", steps, waits, held)
}

// TestValueAdversary: one rank takes off what all others add, and is hard to
// reach. Under the weak bound two replicas come to differ by more than three
// times the bound, under the strong one never.
func TestValueAdversary(t *testing.T) {
	for _, strong := range []bool{false, true} {
		most, half := 0.0, 0.0
		for seed := range seeds.Count(t, 3) {
			w := newValueWorld(t, seed, 4, valueMode{v: 10, strong: strong, adversary: true})
			w.run(8000)
			most, half = max(most, w.spread), max(half, w.widest)
		}
		if !strong && most <= 3 || most <= 1 {
			t.Errorf("strong %t: replicas never differ by more than %v times the bound", strong, most)
		}
		t.Logf("strong %t: replicas differ by up to %.2f times the bound, %.2f are half way", strong, most, half)
	}
}
