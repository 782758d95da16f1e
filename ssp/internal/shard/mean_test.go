package shard_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/shard"
)

// meanShard has a table of floats and one of integers, of some rows of width 3.
func meanShard(t *testing.T, n, rows int, sparse, scale bool) (s *shard.Shard[int], floats *shard.Rows[float64], integers *shard.Rows[int64]) {
	s = shard.New[int](0, n)
	s.DropLate()
	if scale {
		s.Scale()
	}
	same := func(row int64) int64 { return row }
	owned := func(row int64) bool { return row < int64(rows) }
	floats = shard.NewRows(shard.Spec[float64]{Rows: int64(rows), Local: same, Global: same, Owned: owned, Width: 3, Sparse: sparse, Ordered: true}, n)
	integers = shard.NewRows(shard.Spec[int64]{Number: 1, Rows: int64(rows), Local: same, Global: same, Owned: owned, Width: 3, Sparse: sparse, Ordered: true}, n)
	s.AddTable(floats)
	s.AddTable(integers)
	return s, floats, integers
}

// TestMean compares the rows, the spread and the fate of batches with sums over
// all that count.
func TestMean(t *testing.T) {
	const n, rows, clocks = 4, 5, 30
	for seed := range seeds.Count(t, 12) {
		rng := rand.New(rand.NewPCG(seed, 2))
		sparse, scale := seed%2 == 1, seed%3 > 0
		s, floats, integers := meanShard(t, n, rows, sparse, scale)
		wantFloat, wantInt := make([]float64, 3*rows), make([]int64, 3*rows)
		var fate [n][2]int64
		for clock := range int64(clocks) {
			k := 1 + rng.IntN(n)
			set := rng.Perm(n)[:k]
			in := [n]bool{}
			for _, r := range set {
				in[r] = true
			}
			set = set[:0]
			for r := range n {
				if in[r] {
					set = append(set, r)
				}
			}
			sumFloat, sumInt, squares := make([]float64, 3*rows), make([]int64, 3*rows), 0.0
			late := -1
			for _, r := range rng.Perm(n) {
				var e codec.Encoder
				e.Begin(nil, codec.Header{Kind: codec.Batch, Flags: codec.Ticks, Rank: r, Version: uint64(clock) + 1, Clock: clock + 1})
				for table := range 2 {
					b := codec.Block{Table: uint32(table), Type: codec.Float64, Width: 3}
					if table == 1 {
						b.Type = codec.Int64
					}
					e.Table(b)
					for row := range rows {
						if rng.IntN(3) == 0 {
							continue
						}
						x, y := make([]float64, 3), make([]int64, 3)
						for i := range x {
							if rng.IntN(2) == 0 {
								x[i], y[i] = rng.NormFloat64(), rng.Int64N(9)-4
							}
						}
						for i := range x {
							if !in[r] {
								continue
							}
							if table == 0 {
								sumFloat[3*row+i] += x[i]
								squares += x[i] * x[i]
							} else {
								sumInt[3*row+i] += y[i]
								squares += float64(y[i] * y[i])
							}
						}
						if table == 0 {
							codec.Dense(&e, int64(row), x)
						} else {
							codec.Dense(&e, int64(row), y)
						}
					}
				}
				if _, _, err := s.Batch(r, e.End()); err != nil {
					t.Fatal(err)
				}
				if late < 0 && rng.IntN(3) == 0 {
					late = r
					if _, err := s.Decide(clock, append([]int(nil), set...)); err != nil {
						t.Fatal(err)
					}
				}
				if in[r] {
					fate[r][0]++
				} else {
					fate[r][1]++
				}
			}
			if late < 0 {
				if rose, err := s.Decide(clock, set); !rose || err != nil {
					t.Fatalf("seed %d: the last word on clock %d: %t, %v", seed, clock, rose, err)
				}
			}
			if s.Min() != clock+1 {
				t.Fatalf("seed %d: at clock %d after %d", seed, s.Min(), clock)
			}
			factor, sum := 1.0, 0.0
			if scale {
				factor = float64(n) / float64(k)
			}
			for i := range wantFloat {
				wantFloat[i] += factor * sumFloat[i]
				wantInt[i] += sumInt[i]
				sum += sumFloat[i]*sumFloat[i] + float64(sumInt[i]*sumInt[i])
			}
			spreads := s.Spreads()
			if !scale && len(spreads) > 0 || scale && (len(spreads) != 1 || spreads[0].Clock != clock || spreads[0].K != k ||
				math.Abs(spreads[0].Squares-squares) > 1e-9*squares || math.Abs(spreads[0].Sum-sum) > 1e-9*(1+sum)) {
				t.Fatalf("seed %d: spread %+v, want clock %d, k=%d, squares %g, sum %g", seed, spreads, clock, k, squares, sum)
			}
			x, y := make([]float64, 3), make([]int64, 3)
			for row := range rows {
				floats.Data().CopyTo(x, floats.Slot(int64(row)))
				integers.Data().CopyTo(y, integers.Slot(int64(row)))
				for i := range x {
					if math.Abs(x[i]-wantFloat[3*row+i]) > 1e-9 || y[i] != wantInt[3*row+i] {
						t.Fatalf("seed %d, clock %d: row %d is %v and %v, want %v and %v", seed, clock, row, x, y, wantFloat[3*row:3*row+3], wantInt[3*row:3*row+3])
					}
				}
			}
		}
		for r, want := range fate {
			if applied, dropped := s.Fate(r); applied != want[0] || dropped != want[1] {
				t.Errorf("seed %d: rank %d: %d applied, %d dropped, want %v", seed, r, applied, dropped, want)
			}
		}
	}
}
