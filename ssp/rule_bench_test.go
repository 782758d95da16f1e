package ssp_test

import (
	"context"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/race"
	"github.com/sspurn/sspurn/ssp"
)

var benchUpdates = []ssp.Update{
	ssp.Add(), ssp.Add().Clamp(-1, 1), ssp.SGD(0.1), ssp.Momentum(0.1, 0.9), ssp.AdaGrad(0.1), ssp.Adam(0.1, 0.9, 0.999),
	ssp.FTRL(0.1, 1, 0.1, 0), ssp.AdaRevision(0.1),
}

// ruledCycle runs body on the only worker of the only rank, with a clock that
// reads and sends so many rows of 32.
func ruledCycle(t testing.TB, u ssp.Update, rows int64, body func(cycle func())) {
	runtimetest.SPMD(t, 1, func(ctx context.Context, c *runtime.Comm) error {
		s, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.SSP(3)})
		if err != nil {
			return err
		}
		table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float32]{Name: "x", Rows: rows, Width: 32, Update: u})
		if err != nil {
			return err
		}
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			v, x := table.View(w), make([]float32, 32)
			body(func() {
				for row := range rows {
					if err := v.Get(ctx, row, x); err != nil {
						t.Error(err)
					}
					x[row%32]++
					v.Inc(row, x)
				}
				if err := w.Clock(ctx); err != nil {
					t.Error(err)
				}
			})
			return nil
		})
		if err != nil {
			return err
		}
		return s.Close(ctx)
	})
}

// BenchmarkUpdate is a clock that reads and sends many rows under each rule.
func BenchmarkUpdate(b *testing.B) {
	const rows = 10_000
	for _, u := range benchUpdates {
		b.Run("rule="+u.String(), func(b *testing.B) {
			ruledCycle(b, u, rows, func(cycle func()) {
				b.ReportAllocs()
				for b.Loop() {
					cycle()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
			})
		})
	}
}

// TestUpdateAllocs: no rule allocates for rows.
func TestUpdateAllocs(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for _, u := range benchUpdates {
		ruledCycle(t, u, 500, func(cycle func()) {
			for range 20 {
				cycle()
			}
			if n := testing.AllocsPerRun(100, cycle); n > 8 {
				t.Errorf("%v: %v allocations a clock of 500 rows", u, n)
			}
		})
	}
}
