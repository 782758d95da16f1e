package oplog

import (
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/filter"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// kept is what the reference knows of a row: the sums of all updates and of what
// has left, and since when the two have differed.
type kept struct {
	all, left [width]float64
	since     int64 // timestamp of the oldest update that has not left whole; -1: none
}

// TestCarry: under every rule, what leaves and what a worker replays are all
// updates, once; nothing waits longer than it may; a flush leaves nothing.
func TestCarry(t *testing.T) {
	rules := []filter.Rule{
		{Threshold: 4, Hold: 1}, {Threshold: 9, Hold: 3}, {Top: 3, Hold: 2}, {Top: 0.2, Hold: filter.Never}, {Threshold: 2, Top: 0.5, Hold: 4},
		{Bits: codec.Bits8}, {Bits: codec.Bits16}, {Bits: codec.Bits8, Hold: 3, Strict: true},
		{Threshold: 6, Bits: codec.Bits8, Hold: 2}, {Top: 0.3, Bits: codec.Bits8, Hold: 2, Strict: true}, {Threshold: 5, Bits: codec.Bits16, Hold: filter.Never},
	}
	steps, held := 0, 0
	for seed := range seeds.Count(t, 2) {
		for i, rule := range rules {
			for _, sparse := range []bool{false, true} {
				n, h := carried(t, seed, i, rule, sparse)
				steps += n
				held += h
			}
		}
	}
	if steps < 20_000 || held < 5000 {
		t.Errorf("%d steps, %d rows held", steps, held)
	}
	t.Logf("%d steps, %d rows held", steps, held)
}

func carried(t *testing.T, seed uint64, number int, rule filter.Rule, sparse bool) (steps, held int) {
	const rows, clocks = 40, 60
	rng := rand.New(rand.NewPCG(seed, uint64(number)))
	l := New[float64](1000, width, sparse)
	l.Filter(rule, func(row int64) bool { return row%2 == 0 })
	ref := make([]kept, rows)
	for i := range ref {
		ref[i].since = -1
	}
	dst := slab.NewRows[float64](width, sparse)
	dst.Grow(rows)
	x := make([]float64, width)
	version := uint64(0)
	sent := []*Entry[float64]{}
	check := func(i int, clock int64) {
		// A copy that lacks the last batches of owner 0: they are replayed with the rest.
		applied := version - min(version, rng.Uint64N(3))
		dst.Clear(i)
		for _, e := range sent {
			if e.sent[0] > applied {
				continue
			}
			for j, row := range e.Rows {
				if row == int64(i)*7 {
					dst.Add(i, &e.Delta, int(e.At[j]))
				}
			}
		}
		l.Replay(&dst, i, 0, applied)
		dst.CopyTo(x, i)
		if [width]float64(x) != ref[i].all {
			t.Fatalf("seed %d rule %+v clock %d: row %d reads %v, want %v", seed, rule, clock, i, x, ref[i].all)
		}
	}
	for clock := range int64(clocks) {
		flush := clock == clocks-1 || rng.IntN(25) == 0
		for range rng.IntN(30) {
			steps++
			i, col, d := rng.IntN(rows), rng.IntN(width), float64(rng.IntN(400)-200)/64
			if rng.IntN(10) == 0 {
				d *= 1024 // the others are lost in rounding, for now
			}
			l.Open().AddAt(l.Touch(int64(i)*7, i), col, d)
			ref[i].all[col] += d
			if ref[i].since < 0 {
				ref[i].since = clock
			}
			check(rng.IntN(rows), clock)
		}
		e := l.SealSome(clock, flush)
		if e != nil {
			version++
			l.Sent([]uint64{version})
			sent = append(sent, e)
			for j, row := range e.Rows {
				if j > 0 && row <= e.Rows[j-1] {
					t.Fatalf("seed %d rule %+v: rows %v", seed, rule, e.Rows)
				}
				e.Delta.CopyTo(x, int(e.At[j]))
				for col, d := range x {
					ref[row/7].left[col] += d
				}
			}
		}
		for i := range ref {
			r := &ref[i]
			if r.left == r.all {
				r.since = -1
				continue
			}
			if r.since < 0 { // updates that cancelled out
				r.since = clock
			}
			if flush {
				t.Fatalf("seed %d rule %+v clock %d: row %d keeps %v of %v after a flush", seed, rule, clock, i, r.left, r.all)
			}
			held++
			exact := rule.Bits == codec.Full || rule.Strict
			if exact && rule.Due(r.since, clock) {
				t.Fatalf("seed %d rule %+v: row %d waits since clock %d at the end of %d", seed, rule, i, r.since, clock)
			}
		}
		if flush && l.Held() != 0 {
			t.Fatalf("seed %d rule %+v: %d rows held after a flush", seed, rule, l.Held())
		}
		for i := range rows {
			check(i, clock)
		}
	}
	if f := l.Filtered(); f.Before <= 0 || f.After <= 0 || rule.Withholds() && f.Held == 0 {
		t.Fatalf("seed %d rule %+v: %+v", seed, rule, f)
	}
	return steps, held
}

// TestPick: of equal rows the smaller number leaves; what is due does not count.
func TestPick(t *testing.T) {
	r := filter.Rule{Top: 2, Threshold: 1, Hold: 3}
	c := []filter.Candidate{{Row: 4, Max: 2, Since: 9}, {Row: 1, Max: 2, Since: 9}, {Row: 2, Max: 2, Since: 9}, {Row: 3, Max: 0.5, Since: 6}, {Row: 5, Max: 0.9, Since: 9}}
	r.Pick(c, 9, nil)
	for i, want := range []bool{false, true, true, true, false} {
		if c[i].Leave != want {
			t.Errorf("row %d: leaves %v", c[i].Row, c[i].Leave)
		}
	}
}
