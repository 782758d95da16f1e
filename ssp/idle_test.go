package ssp

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestIdlePush: rows for which an advance of the clock had no bytes come during a
// clock that is longer than what the bucket holds, and not during a short one.
func TestIdlePush(t *testing.T) {
	const rows, width = 4096, 64 // 0.5 MB of rank 0's, at 0.25 MB a second
	for _, x := range []struct {
		clock     time.Duration
		low, high int
	}{{100 * time.Millisecond, 0, rows / 8}, {20 * time.Second, rows / 2, rows / 2}} {
		synctest.Test(t, func(t *testing.T) {
			cluster := runtimetest.NewCluster(2)
			cluster.Delay(func(from, to int) time.Duration { return time.Millisecond })
			changed := 0
			errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
				s, err := Open(ctx, c, Config{Policy: Managed(30, RelativeMagnitude), Bandwidth: 2e6})
				if err != nil {
					return err
				}
				table, err := CreateTable(ctx, s, TableSpec[float32]{Name: "x", Rows: rows, Width: width})
				if err != nil {
					return err
				}
				all, got, ones := make([]int64, rows), make([]float32, rows*width), make([]float32, rows*width)
				for i := range all {
					all[i] = int64(i)
				}
				for i := range ones {
					ones[i] = 1
				}
				err = s.Work(ctx, func(ctx context.Context, w *Worker) error {
					v := table.View(w)
					if err := v.GetMany(ctx, all, got); err != nil { // subscribes
						return err
					}
					if err := w.Clock(ctx); err != nil {
						return err
					}
					if c.Rank() == 0 {
						v.IncMany(all, ones)
					}
					if err := w.Clock(ctx); err != nil {
						return err
					}
					<-time.After(x.clock)
					if c.Rank() == 0 {
						return nil
					}
					if err := v.GetMany(ctx, all, got); err != nil {
						return err
					}
					for _, row := range all {
						if table.owner(row) == 0 && got[row*width] == 1 {
							changed++
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
				return s.Close(ctx)
			})
			if err := runtimetest.Primary(errs); err != nil {
				t.Fatal(err)
			}
			if changed < x.low || changed > x.high {
				t.Errorf("%d rows have come after %v, want %d to %d", changed, x.clock, x.low, x.high)
			}
		})
	}
}
