package main

import (
	"context"
	"math"
	"testing"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/runtime"
)

// pairs is the area under the curve by looking at every pair.
func pairs(score []float64, positive func(i int) bool) float64 {
	sum, n := 0.0, 0.0
	for i, a := range score {
		for j, b := range score {
			if positive(i) && !positive(j) {
				n++
				switch {
				case a > b:
					sum++
				case a == b:
					sum += 0.5
				}
			}
		}
	}
	return sum / n
}

func TestAUCIsOfAllPairs(t *testing.T) {
	for _, levels := range []int{1, 2, 5, 40, 1 << 30} { // few levels: many ties
		score := make([]float64, 301)
		for i := range score {
			score[i] = math.Floor(apps.Uniform(1, uint64(levels), uint64(i))*float64(levels)) - 2
		}
		for _, rare := range []float64{0.5, 0.02, 0, 1} {
			positive := func(i int) bool { return apps.Uniform(2, 2, uint64(i)) < rare }
			want := pairs(score, positive)
			for _, ranks := range []int{1, 2, 3, 5, 8} {
				err := runtime.RunLocal(t.Context(), ranks, func(ctx context.Context, c *runtime.Comm) error {
					var of [2][]float64
					for i, s := range score {
						if int(apps.Mix(uint64(i))%uint64(ranks+1))%ranks != c.Rank() { // uneven parts
							continue
						}
						k := 0
						if positive(i) {
							k = 1
						}
						of[k] = append(of[k], s)
					}
					got, err := auc(ctx, c, of[1], of[0])
					if got != want && math.Abs(got-want) > 1e-15 || math.IsNaN(got) != math.IsNaN(want) {
						t.Errorf("%d levels, share %g, %d ranks: rank %d has %v, want %v", levels, rare, ranks, c.Rank(), got, want)
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestLogloss(t *testing.T) {
	for z := -800.0; z <= 800; z += 0.37 {
		for _, positive := range []bool{true, false} {
			p := probability(z)
			if !positive {
				p = probability(-z)
			}
			want := -math.Log(min(max(p, 1e-15), 1-1e-15))
			if got := logloss(z, positive); math.Abs(got-want) > 1e-12+1e-9*want && math.Abs(got-want) > 1e-15 {
				t.Fatalf("score %g, %v: %g, want %g", z, positive, got, want)
			}
		}
	}
	if !math.IsNaN(logloss(math.NaN(), true)) {
		t.Error("the loss of no number is a number: divergence would not be seen")
	}
}
