package filter_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/ssp/internal/filter"
)

// TestSpend: what is due and what costs nothing leaves; of the rest no row leaves
// while one that is clearly more important stays; the bytes are those of the rows,
// and no more fit.
func TestSpend(t *testing.T) {
	var q filter.Queue // used again and again
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 3))
		r := filter.Rule{Order: filter.Order(1 + rng.IntN(4)), Hold: 1 + rng.Int64N(6), Seed: seed}
		const clock = 100
		cands := make([]filter.Candidate, rng.IntN(60))
		for i := range cands {
			cands[i] = filter.Candidate{
				Row: int64(i), Since: clock - rng.Int64N(8), Max: math.Exp(30 * rng.NormFloat64()), Bytes: int32(rng.IntN(5) * 20),
			}
			if rng.IntN(20) == 0 {
				cands[i].Max = []float64{math.NaN(), math.Inf(1), 0}[rng.IntN(3)]
			}
		}
		allowed := rng.Int64N(3000) - 500
		must, may, short := r.Spend(cands, clock, allowed, &q)
		var gotMust, gotMay int64
		var left, stayed []filter.Candidate
		for _, c := range cands {
			switch {
			case c.Bytes == 0 || r.Due(c.Since, clock):
				if !c.Leave {
					t.Fatalf("seed %d: %+v is due and stays", seed, c)
				}
				gotMust += int64(c.Bytes)
			case c.Leave:
				gotMay += int64(c.Bytes)
				left = append(left, c)
			default:
				stayed = append(stayed, c)
			}
		}
		if must != gotMust || may != gotMay || short != (len(stayed) > 0) || may > max(0, allowed-must) {
			t.Fatalf("seed %d: %d and %d bytes of %d, short %v; they are %d and %d, %d stay", seed, must, may, allowed, short, gotMust, gotMay, len(stayed))
		}
		if len(stayed) > 0 {
			most := slices.MaxFunc(stayed, func(a, b filter.Candidate) int { return cmp.Compare(a.Bytes, b.Bytes) })
			if allowed-must-may >= int64(most.Bytes) {
				t.Fatalf("seed %d: %d bytes of %d were left", seed, allowed-must-may, allowed)
			}
		}
		for _, a := range left {
			for _, b := range stayed {
				switch r.Order {
				case filter.FIFO:
					if b.Since < a.Since {
						t.Fatalf("seed %d: %+v leaves before %+v", seed, a, b)
					}
				case filter.Relative, filter.Magnitude:
					if x := min(b.Max, 1<<60); x > 1e-18 && !(x <= a.Max*1.26) && a.Max == a.Max || b.Max != b.Max && a.Max < 1<<60 {
						t.Fatalf("seed %d: %+v leaves before %+v", seed, a, b)
					}
				}
			}
		}
	}
}

// TestSpendRandom: every row has the same chance, and each clock another one.
func TestSpendRandom(t *testing.T) {
	const rows, clocks = 100, 4000
	var q filter.Queue
	r := filter.Rule{Order: filter.Random, Hold: 10, Seed: 9}
	var count [rows]int
	for clock := range int64(clocks) {
		cands := make([]filter.Candidate, rows)
		for i := range cands {
			cands[i] = filter.Candidate{Row: int64(i), Since: clock, Max: float64(i), Bytes: 10}
		}
		r.Spend(cands, clock, 10*rows/4, &q)
		for i, c := range cands {
			if c.Leave {
				count[i]++
			}
		}
	}
	for row, n := range count {
		if n < clocks/4*85/100 || n > clocks/4*115/100 {
			t.Errorf("row %d left %d times, want about %d", row, n, clocks/4)
		}
	}
}
