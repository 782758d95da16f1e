package main

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// TestRecord: the plan comes before the first clock, and every loss says what it
// is and when.
func TestRecord(t *testing.T) {
	names := []string{"train_logloss", "test_acc", "test_auc", "test_logloss"}
	better := map[string]string{"train_logloss": "lower", "test_acc": "higher", "test_auc": "higher", "test_logloss": "lower"}
	for _, target := range []float64{-1, 1e9} { // never reached, reached at once
		path, cfg := planted(t, 400, 9), defaults()
		cluster := runtimetest.NewCluster(2)
		errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			o := apps.Options{Policy: ssp.SSP(1), Workers: 2, Epochs: 3, ClocksPerEpoch: 6, Data: []string{path}, Target: target}
			own := cfg
			if err := own.check(&o); err != nil {
				return err
			}
			return own.run(ctx, apps.NewJob("linear", o, c, io.Discard, io.Discard))
		})
		if err := runtimetest.Primary(errs); err != nil {
			t.Fatal(err)
		}
		passes := 3
		if target > 0 {
			passes = 1
		}
		var metrics []string
		planned, last := int64(0), int64(0)
		for _, e := range cluster.Events(t, 0) {
			switch e.Kind {
			case "plan":
				planned = e.Clocks
			case "clock":
				if last = e.Clock; planned == 0 {
					t.Errorf("a clock before the plan")
				}
			case "loss":
				pass := float64(len(metrics)/len(names) + 1)
				if e.Better != better[e.Metric] || e.Value <= 0 || e.Pass != pass || e.Clocks != int64(pass)*6 || e.Goal != 3 || e.Seconds <= 0 || e.Rate <= 0 {
					t.Errorf("loss %+v", e)
				}
				metrics = append(metrics, e.Metric)
			}
		}
		want := slices.Repeat(names, passes)
		if planned != 18 || last != int64(6*passes) || !slices.Equal(metrics, want) {
			t.Errorf("%d clocks planned, %d made, losses %v, want %v", planned, last, metrics, want)
		}
		for _, e := range cluster.Events(t, 1) {
			if e.Kind == "plan" || e.Kind == "loss" {
				t.Errorf("rank 1: %+v", e)
			}
		}
	}
}
