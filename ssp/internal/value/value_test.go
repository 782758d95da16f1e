package value

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// TestBook compares with a list of all changes and sums of all their runs.
func TestBook(t *testing.T) {
	type entry struct {
		by      int
		version uint64
		key     Key
		delta   float64
	}
	steps := 0
	for seed := range seeds.Count(t, 8) {
		rng := rand.New(rand.NewPCG(seed, 3))
		const writers = 3
		signed := seed%2 == 0
		b := NewBook(writers)
		var all []entry
		next := make([]uint64, writers)
		for range 4000 {
			steps++
			k := Key{rng.Int64N(3), int32(rng.IntN(2)) - 1}
			switch by := rng.IntN(writers); rng.IntN(5) {
			case 0:
				to := rng.Uint64N(next[by] + 1)
				b.Visible(by, to)
				all = slices.DeleteFunc(all, func(e entry) bool { return e.by == by && e.version <= to })
			case 1:
				if b.Lags(by, next[by]/2) != slices.ContainsFunc(all, func(e entry) bool { return e.by == by && e.version > next[by]/2 }) {
					t.Fatalf("seed %d: writer %d lags or not", seed, by)
				}
			default:
				delta := float64(rng.IntN(7))
				if signed {
					delta -= 3
				}
				limit := float64(rng.IntN(12))
				sum, want := delta, true
				for _, e := range slices.Backward(all) {
					if e.key == k {
						sum += e.delta
						want = want && math.Abs(sum) <= max(limit, math.Abs(delta))
					}
				}
				if got := b.Fits(k, delta, limit); got != want {
					t.Fatalf("seed %d: %v of %v under %v fits: %t, want %t; %v", seed, delta, k, limit, got, want, all)
				}
				if want {
					next[by]++
					b.Add(by, next[by], k, delta)
					if delta != 0 {
						all = append(all, entry{by, next[by], k, delta})
					}
				}
			}
			if b.Len() != len(all) {
				t.Fatalf("seed %d: %d changes, want %d", seed, b.Len(), len(all))
			}
		}
		b.Reset()
		if b.Len() != 0 || !b.Fits(Key{}, 100, 0) {
			t.Error("the book is not empty")
		}
	}
	t.Logf("%d steps", steps)
}

// TestSpread compares with the sets of batches that each rank has.
func TestSpread(t *testing.T) {
	for seed := range seeds.Count(t, 6) {
		rng := rand.New(rand.NewPCG(seed, 4))
		const ranks = 4
		siblings := seed%2 == 0
		s := NewSpread(ranks, siblings)
		var batches []struct {
			from    int
			version uint64
		}
		joined, has := make([]bool, ranks), make([]int, ranks)
		versions := make([]uint64, ranks)
		for range 2000 {
			r := rng.IntN(ranks)
			switch k := rng.IntN(10); {
			case k == 0 && rng.IntN(20) == 0:
				s.Join(r, uint64(len(batches)))
				if !joined[r] {
					joined[r], has[r] = true, len(batches)
				}
			case k < 5:
				versions[r] += 1 + rng.Uint64N(2) // some batches are not counted
				batches = append(batches, struct {
					from    int
					version uint64
				}{r, versions[r]})
				s.Applied(r, versions[r], uint64(len(batches)))
			case joined[r]:
				has[r] = max(has[r], rng.IntN(len(batches)+1))
				s.Installed(r, uint64(has[r]))
			}
			for from := range ranks {
				want := uint64(0)
				for i, b := range batches {
					everywhere := true
					for r := range ranks {
						if joined[r] && has[r] <= i && (r != from || siblings) {
							everywhere = false
						}
					}
					if b.from != from {
						continue
					}
					if !everywhere {
						break
					}
					want = b.version
				}
				// A batch that was visible stays so: nobody who joins later lacks it.
				if got := s.Visible(from); got != want {
					t.Fatalf("seed %d: rank %d is visible up to %d, want %d", seed, from, got, want)
				}
			}
		}
	}
}
