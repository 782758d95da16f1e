package main

import (
	"context"
	"io"
	"testing"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// TestRecord: the plan comes before the first clock, and is kept.
func TestRecord(t *testing.T) {
	cluster := runtimetest.NewCluster(2)
	errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
		cfg := config{descend: -1, clocks: 30, rows: 4, touch: 2}
		return cfg.run(ctx, apps.NewJob("synth", apps.Options{Policy: ssp.ESSP(1), Workers: 2}, c, io.Discard, io.Discard))
	})
	if err := runtimetest.Primary(errs); err != nil {
		t.Fatal(err)
	}
	planned, last := int64(0), int64(0)
	for _, e := range cluster.Events(t, 0) {
		switch e.Kind {
		case "plan":
			planned = e.Clocks
		case "clock":
			if last = e.Clock; planned == 0 {
				t.Errorf("a clock before the plan")
			}
		}
	}
	if planned != 30 || last != 30 {
		t.Errorf("%d clocks planned, %d made", planned, last)
	}
}
