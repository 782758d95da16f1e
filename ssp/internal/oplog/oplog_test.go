package oplog

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/race"
	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

const (
	owners = 3
	width  = 4
)

// plain is an entry of the reference: all entries are kept, none is linked.
type plain struct {
	clock  int64
	deltas map[int64][width]int64
	sent   []uint64 // nil while unsent
	gone   bool
}

// TestLog compares the log with a list of maps, dense and sparse, with rows in
// an array and with more rows than any bitmap has.
func TestLog(t *testing.T) {
	for seed := range seeds.Count(t, 24) {
		rng := rand.New(rand.NewPCG(seed, 1))
		rows, sparse := int64(60), seed%2 == 1
		if seed%4 >= 2 {
			rows = 1 << 40
		}
		number := func(i int) int64 { return int64(i) * (rows / 60) }
		l := New[int64](rows, width, sparse)
		dst := slab.NewRows[int64](width, sparse)
		dst.Grow(60)
		open := map[int64][width]int64{}
		var entries []*plain
		clock, version := int64(0), uint64(0)
		kept := int64(0)
		for step := range 3000 {
			switch k := rng.IntN(20); {
			case k < 12:
				for range 1 + rng.IntN(3)*rng.IntN(12) {
					i, col, d := rng.IntN(60), rng.IntN(width), rng.Int64N(9)-4
					l.Open().AddAt(l.Touch(number(i), i), col, d)
					x := open[number(i)]
					x[col] += d
					open[number(i)] = x
				}
			case k < 15: // the clock ends
				e := l.Seal(clock)
				if (e == nil) != (len(open) == 0) {
					t.Fatalf("seed %d step %d: sealed %v of %v", seed, step, e, open)
				}
				if e != nil {
					if want := slices.Sorted(maps.Keys(open)); !slices.Equal(e.Rows, want) {
						t.Fatalf("seed %d step %d: rows %v, want %v", seed, step, e.Rows, want)
					}
					x := make([]int64, width)
					for i, row := range e.Rows {
						e.Delta.CopyTo(x, int(e.At[i]))
						if [width]int64(x) != open[row] {
							t.Fatalf("seed %d step %d: row %d: %v, want %v", seed, step, row, x, open[row])
						}
					}
					entries = append(entries, &plain{clock: clock, deltas: maps.Clone(open)})
					clear(open)
				}
				clock++
			case k < 17: // some leave
				for c, ok := l.Pending(); ok && rng.IntN(4) > 0; c, ok = l.Pending() {
					version++
					sent := []uint64{version, version + 5, 0}
					l.Sent(sent)
					for _, e := range entries {
						if e.sent == nil {
							if e.clock != c {
								t.Fatalf("seed %d step %d: pending clock %d, want %d", seed, step, c, e.clock)
							}
							e.sent = sent
							break
						}
					}
				}
			case k == 17:
				c := clock - rng.Int64N(6)
				l.Trim(c)
				waits := false
				for _, e := range entries {
					waits = waits || e.sent == nil
					e.gone = e.gone || !waits && e.clock < c
				}
				if !slices.ContainsFunc(entries, func(e *plain) bool { return !e.gone && e.clock < c }) {
					kept = max(kept, c)
				}
			case k == 18:
				told := []uint64{version - min(version, rng.Uint64N(4)), version + 5 - rng.Uint64N(4), 0}
				l.Acked(told)
				waits := false
				for _, e := range entries {
					waits = waits || !e.gone && (e.sent == nil || e.sent[0] > told[0] || e.sent[1] > told[1])
					e.gone = e.gone || !waits
				}
			case rng.IntN(10) == 0 && len(open) == 0:
				l.Forget(clock)
				entries, kept = nil, clock
			}
			entries = slices.DeleteFunc(entries, func(e *plain) bool { return e.gone })
			if l.Len() != len(entries) || l.Kept() != kept || l.Touched() != len(open) || (l.Bytes() == 0) != (len(entries) == 0) {
				t.Fatalf("seed %d step %d: %d entries of %d bytes, kept %d, %d touched: want %d, %d, %d", seed, step, l.Len(), l.Bytes(), l.Kept(), l.Touched(), len(entries), kept, len(open))
			}
			owner, applied := rng.IntN(2), version+5-min(version+5, rng.Uint64N(9))
			if len(entries) > 0 {
				if lags := entries[0].sent != nil && entries[0].sent[owner] > applied; lags != l.Lags(owner, applied) {
					t.Fatalf("seed %d step %d: owner %d at %d lags: %v", seed, step, owner, applied, !lags)
				}
			}
			i := rng.IntN(60)
			x, want := make([]int64, width), open[number(i)]
			for _, e := range entries {
				if e.sent == nil || e.sent[owner] > applied {
					for col, d := range e.deltas[number(i)] {
						want[col] += d
					}
				}
			}
			dst.Clear(i)
			l.Replay(&dst, i, owner, applied)
			dst.CopyTo(x, i)
			if [width]int64(x) != want {
				t.Fatalf("seed %d step %d: row %d at owner %d, %d applied: %v, want %v", seed, step, i, owner, applied, x, want)
			}
		}
	}
}

// TestSteadyAllocs: entries are used again.
func TestSteadyAllocs(t *testing.T) {
	l := New[float32](1000, 32, false)
	clock, versions := int64(0), []uint64{0}
	cycle := func() {
		for i := range 100 {
			l.Open().AddAt(l.Touch(int64(i*7), i), 3, 1)
		}
		l.Seal(clock)
		clock++
		versions[0]++
		l.Sent(versions)
		l.Trim(clock - 2)
	}
	for range 10 {
		cycle()
	}
	if n := testing.AllocsPerRun(50, cycle); n != 0 && !race.Enabled {
		t.Errorf("%v allocations a clock", n)
	}
}
