package main

import (
	"testing"

	"github.com/sspurn/sspurn/ssp"
)

// TestFactorsLearn: the loss falls, whatever is kept back.
func TestFactorsLearn(t *testing.T) {
	for _, policy := range []ssp.Policy{ssp.BSP(), ssp.ESSP(3), ssp.Managed(6, ssp.RelativeMagnitude)} {
		for _, x := range []struct{ ranks, workers int }{{1, 1}, {3, 2}} {
			line, err := simulate(t, x.ranks, x.workers, policy, config{clocks: 120, rows: 20, width: 8, step: 0.05, load: loadFactors})
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
