package ssp_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// TestCompression: on a slow link, what can be made shorter is; on one that
// costs nothing it is not. The rows come out the same.
func TestCompression(t *testing.T) {
	for _, p := range []ssp.Policy{ssp.BSP(), ssp.SSP(1), ssp.ESSP(1), ssp.Async()} {
		t.Run(p.String(), func(t *testing.T) {
			fast, slow := repetitive(t, p, ""), repetitive(t, p, "rate=20mbit")
			for _, class := range []string{"update", "fetch", "push"} {
				// What is large was rows, what is not were requests and acknowledgements.
				if large := fast[class] > 100_000; large && slow[class] > fast[class]/2 {
					t.Errorf("%s: %d bytes over a slow link, %d over a fast one", class, slow[class], fast[class])
				}
			}
		})
	}
}

// repetitive runs a job whose rows compress well over links as specified and
// returns what left rank 0, by class.
func repetitive(t *testing.T, p ssp.Policy, emulate string) (bytes map[string]int64) {
	const rows, width, clocks = 16, 256, 60
	synctest.Test(t, func(t *testing.T) {
		cluster := runtimetest.NewCluster(2)
		cluster.Edit = func(cfg *runtime.Config) { cfg.Emulate = emulate }
		errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			s, err := ssp.Open(ctx, c, ssp.Config{Policy: p})
			if err != nil {
				return err
			}
			table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float64]{Name: "x", Rows: rows, Width: width})
			if err != nil {
				return err
			}
			err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
				v, x, d := table.View(w), make([]float64, width), make([]float64, width)
				for clock := range int64(clocks) {
					for row := range 1 + clock%rows { // messages of many lengths
						if err := v.Get(ctx, row, x); err != nil {
							return err
						}
						for i := range d {
							d[i] = float64(1 + i/64 + c.Rank())
						}
						v.Inc(row, d)
					}
					if err := w.Clock(ctx); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			if err := s.Sync(ctx); err != nil {
				return err
			}
			for row, x := range table.Owned() {
				n := 0.0
				for clock := range int64(clocks) {
					if row <= clock%rows {
						n++
					}
				}
				for i, got := range x {
					if want := n * float64(2*(1+i/64)+1); got != want {
						return errors.Errorf("row %d, element %d: %v, want %v", row, i, got, want)
					}
				}
			}
			if c.Rank() == 0 {
				bytes = s.Stats().Bytes
			}
			return s.Close(ctx)
		})
		if err := runtimetest.Primary(errs); err != nil {
			t.Fatal(fmt.Errorf("over %q: %w", emulate, err))
		}
	})
	t.Logf("over %q: %v", emulate, bytes)
	return bytes
}
