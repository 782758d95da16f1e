package main

import (
	"math"
	"testing"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/ssp"
)

// TestFactorsLearn: the loss falls, whatever is kept back.
func TestFactorsLearn(t *testing.T) {
	for _, policy := range []ssp.Policy{ssp.BSP(), ssp.ESSP(3), ssp.Managed(6, ssp.RelativeMagnitude)} {
		for _, x := range []struct{ ranks, workers int }{{1, 1}, {3, 2}} {
			line, err := simulate(t, x.ranks, x.workers, policy, config{clocks: 120, rows: 20, width: 8, step: 0.05, skew: 1, load: loadFactors})
			if err != nil {
				t.Errorf("%v, %d × %d: %v", policy, x.ranks, x.workers, err)
				continue
			}
			if first, last := value(t, line, "start_loss"), value(t, line, "loss"); !(last < 0.5*first) {
				t.Errorf("%v, %d × %d: the loss went from %g to %g", policy, x.ranks, x.workers, first, last)
			}
		}
	}
}

// TestSkew: the k-th item gets (k/j)^-skew of the ratings of the j-th.
func TestSkew(t *testing.T) {
	for _, skew := range []float64{0, 0.5, 1, 2} {
		f := newFactors(&bench{job: &apps.Job{}, cfg: &config{rows: 100, skew: skew}, width: 2})
		share := func(k int) float64 {
			if k == 1 {
				return f.often[0]
			}
			return f.often[k-1] - f.often[k-2]
		}
		for _, k := range []int{2, 7, 100} {
			if got, want := share(k)/share(1), math.Pow(float64(k), -skew); math.Abs(got-want) > 1e-9 {
				t.Errorf("skew %g: item %d gets %g of the first, want %g", skew, k, got, want)
			}
		}
		if last := f.often[99]; math.Abs(last-1) > 1e-12 {
			t.Errorf("skew %g: all get %g", skew, last)
		}
	}
	for _, skew := range []float64{-1, 9, math.NaN(), math.Inf(1)} {
		if err := (&config{load: loadFactors, skew: skew}).verifyLoad(); err == nil {
			t.Errorf("skew %g is taken", skew)
		}
	}
}
