package main

import (
	"context"
	"io"
	"math"
	"testing"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// TestRecord: the plan comes before the first clock and has the one that counts
// the tokens; every loss says what it is and when, also where passes are left
// over between evaluations.
func TestRecord(t *testing.T) {
	for _, target := range []float64{math.NaN(), -1e9} { // never reached, reached at once
		path, _ := writePlanted(t, 60, 40, 20)
		cluster := runtimetest.NewCluster(2)
		errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			o := apps.Options{Policy: ssp.SSP(1), Workers: 2, Epochs: 5, ClocksPerEpoch: 3, Data: []string{path}, Target: target}
			cfg := small()
			cfg.evaluate = 2
			return cfg.run(ctx, apps.NewJob("lda", o, c, io.Discard, io.Discard))
		})
		if err := runtimetest.Primary(errs); err != nil {
			t.Fatal(err)
		}
		passes := []float64{0, 2, 4, 5}
		if target < 0 {
			passes = passes[:2]
		}
		planned, last, losses := int64(0), int64(0), 0
		for _, e := range cluster.Events(t, 0) {
			switch e.Kind {
			case "plan":
				planned = e.Clocks
			case "clock":
				if last = e.Clock; planned == 0 {
					t.Errorf("a clock before the plan")
				}
			case "loss":
				if losses == len(passes) {
					t.Fatalf("one loss too many: %+v", e)
				}
				pass := passes[losses]
				if e.Metric != "loglik" || e.Better != "higher" || e.Value >= 0 || e.Pass != pass || e.Clocks != int64(pass)*3 || e.Goal != 5 ||
					(e.Seconds > 0) != (pass > 0) || (e.Rate > 0) != (pass > 0) {
					t.Errorf("loss %+v", e)
				}
				losses++
			}
		}
		if planned != 16 || losses != len(passes) || last != 1+int64(passes[losses-1])*3 {
			t.Errorf("%d clocks planned, %d made, %d losses", planned, last, losses)
		}
	}
}
