package main

import (
	"slices"
	"testing"

	"github.com/sspurn/sspurn/apps"
)

// skewed returns weights of n numbers as they occur in ratings: a few heavy
// ones, many light ones, some zero.
func skewed(n int) []int32 {
	w := make([]int32, n)
	for i := range w {
		w[i] = int32(3 * n / (i + 1))
		if i%13 == 12 {
			w[i] = 0
		}
	}
	return w
}

func TestDivideBalances(t *testing.T) {
	for _, n := range []int{1, 2, 10, 1000} {
		weight := skewed(n)
		total, heaviest := int64(0), int64(slices.Max(weight))
		for _, w := range weight {
			total += int64(w)
		}
		for _, parts := range []int{1, 2, 3, 5, 8, 64} {
			part := divide(7, parts, weight)
			sums := make([]int64, parts)
			for i, p := range part {
				if p < 0 || int(p) >= parts {
					t.Fatalf("number %d in part %d of %d", i, p, parts)
				}
				sums[p] += int64(weight[i])
			}
			for p, s := range sums {
				if s > total/int64(parts)+heaviest {
					t.Errorf("%d numbers, %d parts: part %d weighs %d of %d, the heaviest number %d", n, parts, p, s, total, heaviest)
				}
			}
			if again := divide(7, parts, weight); !slices.Equal(part, again) {
				t.Errorf("%d numbers, %d parts: not the same twice", n, parts)
			}
		}
	}
}

// TestWorkersMeetLate is what the plan is for: between two workers' visits to
// an item lie at least as many clocks as the derived number promises, and every
// worker visits every block once a pass.
func TestWorkersMeetLate(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 5, 8} {
		for _, s := range []int{0, 1, 3} {
			blocks := derivedClocks(workers, s, 1<<20)
			p := &plan{workers: workers, blocks: blocks}
			for b := range blocks {
				var visits []int // clocks of a pass, by whomever
				for w := range workers {
					seen := 0
					for c := range blocks {
						if p.at(w, int64(c)) == b {
							visits = append(visits, c)
							seen++
						}
					}
					if seen != 1 {
						t.Fatalf("%d workers: worker %d does block %d %d times a pass", workers, w, b, seen)
					}
				}
				slices.Sort(visits)
				visits = append(visits, visits[0]+blocks)
				for i := 1; i < len(visits); i++ {
					if gap := visits[i] - visits[i-1]; gap < gapClocks*(s+1) {
						t.Errorf("%d workers, staleness %d: %d clocks between visits to block %d, want %d", workers, s, gap, b, gapClocks*(s+1))
					}
				}
			}
		}
	}
	if got := derivedClocks(4, 3, 10); got != 10 {
		t.Errorf("%d clocks for 10 items, want 10", got)
	}
}

func TestShardHoldsItsRatings(t *testing.T) {
	const users, items = 40, 30
	var all []entry
	counts := make([]int32, items)
	for u := range int32(users) {
		for i := range int32(items) {
			if apps.Mix(uint64(u*100+i))%3 == 0 {
				all = append(all, entry{user: u, item: i, value: float32(u*100 + i)})
				counts[i]++
			}
		}
	}
	p := newPlan(1, 2, 7, make([]int32, users), counts)
	train, test := slices.Clone(all[20:]), slices.Clone(all[:20])
	s := newShard(p, train, test)
	var got []entry
	seen := map[int32]bool{}
	for b := range p.blocks {
		for _, r := range s.block(b) {
			if p.block[r.item] != int32(b) || seen[r.item] || r.from >= r.to {
				t.Errorf("run %+v in block %d", r, b)
			}
			seen[r.item] = true
			for i := r.from; i < r.to; i++ {
				got = append(got, entry{user: s.users[s.user[i]], item: r.item, value: s.value[i]})
			}
		}
	}
	for _, e := range s.test {
		got = append(got, entry{user: s.users[e.user], item: e.item, value: e.value})
	}
	order := func(a, b entry) int { return int(a.value - b.value) }
	slices.SortFunc(got, order)
	slices.SortFunc(all, order)
	if !slices.Equal(got, all) {
		t.Errorf("%d ratings, want %d, or different ones", len(got), len(all))
	}
}

// TestVisitsStayApart: workers that visit an item several times a pass keep
// clear of each other by twice the staleness.
func TestVisitsStayApart(t *testing.T) {
	const count = 100000
	for _, workers := range []int{1, 2, 3, 4, 5, 6, 8} {
		for _, s := range []int{0, 1, 3} {
			p := &plan{workers: workers, blocks: derivedClocks(workers, s, 1<<20), block: []int32{5}, count: []int32{count}}
			ratings := make([]entry, count)
			p.arrange(ratings)
			at := map[int]bool{}
			for _, e := range ratings {
				at[int(e.key>>32)] = true
			}
			if want := p.visits(count); len(at) != want || workers > 1 && workers < 6 && want < 2 {
				t.Errorf("%d workers: %d blocks, want %d", workers, len(at), want)
			}
			last, first := -1, -1
			for clock := range p.blocks {
				for w := range workers {
					if !at[p.at(w, int64(clock))] {
						continue
					}
					if last >= 0 && clock-last < 2*(s+1) {
						t.Errorf("%d workers, staleness %d: visits at clocks %d and %d", workers, s, last, clock)
					}
					if first < 0 {
						first = clock
					}
					last = clock
				}
			}
			if first+p.blocks-last < 2*(s+1) {
				t.Errorf("%d workers, staleness %d: visits at clocks %d and %d", workers, s, last, first+p.blocks)
			}
		}
	}
}
