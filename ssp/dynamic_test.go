package ssp_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// minimise minimises |w|²/2 with noisy gradients on n ranks whose iterations take
// exponentially distributed times, until it is a hundredth of what it was at first,
// and returns the time. Models of a clock are compared among the ranks.
func minimise(t *testing.T, n, workers int, p ssp.Policy, noise float64, say bool) (took time.Duration, notes string) {
	const rows, width, rate = 8, 32, 0.1
	var mu sync.Mutex
	models := map[ssp.Clock]float64{}
	cluster := runtimetest.NewCluster(n)
	cluster.Delay(func(from, to int) time.Duration { return time.Duration(200+17*(from+to)) * time.Microsecond })
	cluster.Edit = func(cfg *runtime.Config) { cfg.Record = bootstrap.RecordReport }
	begin := time.Now()
	errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
		store, err := ssp.Open(ctx, c, ssp.Config{Policy: p, Workers: workers})
		if err != nil {
			return err
		}
		table, err := ssp.CreateTable(ctx, store, ssp.TableSpec[float64]{Name: "w", Rows: rows, Width: width, Init: func(_ int64, x []float64) {
			for i := range x {
				x[i] = 1
			}
		}})
		if err != nil {
			return err
		}
		err = store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			rng := rand.New(rand.NewPCG(uint64(c.Rank()*workers+w.Index()), 4))
			v, x := table.View(w), make([]float64, rows*width)
			for {
				for row := range int64(rows) {
					if err := v.Get(ctx, row, x[row*width:(row+1)*width]); err != nil {
						return err
					}
				}
				loss := 0.0
				for _, y := range x {
					loss += y * y / 2
				}
				if !w.Outdated() {
					mu.Lock()
					other, ok := models[w.Now()]
					models[w.Now()] = loss
					mu.Unlock()
					if ok && other != loss && !w.Outdated() {
						return errors.Errorf("the loss of clock %d is %g on rank %d and %g elsewhere", w.Now(), loss, c.Rank(), other)
					}
				}
				if loss < rows*width/200. {
					return nil
				}
				<-time.After(time.Duration(20 * float64(time.Millisecond) * rng.ExpFloat64()))
				for i := range x {
					e := rng.NormFloat64() * math.Sqrt(noise/rows/width)
					loss += e * x[i]
					x[i] = -rate / float64(n*workers) * (x[i] + e)
				}
				if say {
					w.Loss(loss, rate)
				}
				for row := range int64(rows) {
					v.Inc(row, x[row*width:(row+1)*width])
				}
				if err := w.Clock(ctx); err != nil {
					return err
				}
			}
		})
		if err != nil {
			return err
		}
		return store.Close(ctx)
	})
	if err := runtimetest.Primary(errs); err != nil {
		t.Fatal(err)
	}
	for _, e := range cluster.Events(t, 0) {
		if e.Kind == "note" {
			notes += e.Text + "\n"
		}
	}
	return time.Since(begin), notes
}

// TestDynamicBackup: with little noise a few ranks are enough, and the descent is
// faster than when it waits for all, also where it is blind or adapts.
func TestDynamicBackup(t *testing.T) {
	for _, x := range []struct{ n, workers int }{{4, 2}, {8, 1}, {16, 1}} {
		t.Run(fmt.Sprintf("ranks=%d", x.n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, _ := minimise(t, x.n, x.workers, ssp.Backup(0), 10, false)
				for _, p := range []ssp.Policy{ssp.DBW(), ssp.BlindDBW(), ssp.AdaSync()} {
					took, notes := minimise(t, x.n, x.workers, p, 10, true)
					t.Logf("%v: %v, waiting for all %v; %s", p, took, all, notes)
					if float64(took) > 0.9*float64(all) || !strings.HasPrefix(notes, "waited for ") {
						t.Errorf("%v takes %v, waiting for all %v; %s", p, took, all, notes)
					}
				}
			})
		})
	}
}

// TestDynamicBackupWithoutLoss: nothing is known, so it waits for all, and is the
// same as Backup(0) and as BSP.
func TestDynamicBackupWithoutLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dynamic, notes := minimise(t, 4, 1, ssp.DBW(), 10, false)
		static, _ := minimise(t, 4, 1, ssp.Backup(0), 10, false)
		bsp, _ := minimise(t, 4, 1, ssp.BSP(), 10, false)
		if !strings.HasPrefix(notes, "waited for 4 of 4 ranks") || dynamic > static*11/10 || bsp > static*11/10 || static > bsp*11/10 {
			t.Errorf("dbw %v, backup:0 %v, bsp %v; %s", dynamic, static, bsp, notes)
		}
	})
}
