package ssp_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// reserves runs workers for two stretches of clocks with a Sync between; the last
// rank takes factor times as long as the others. It checks that all ranks read
// the same model at a clock that is not over, and that the sums are what was
// counted as applied. It returns the counts by rank, and the time.
func reserves(t *testing.T, n, workers, b int, factor float64, interrupt bool) (applied, dropped []int64, took time.Duration) {
	const base, clocks, rows = 10 * time.Millisecond, 40, 5
	applied, dropped = make([]int64, n), make([]int64, n)
	var mu sync.Mutex
	models := map[ssp.Clock][]int64{}
	cluster := runtimetest.NewCluster(n)
	cluster.Delay(func(from, to int) time.Duration { return time.Duration(100+37*(from*n+to)) * time.Microsecond })
	begin := time.Now()
	errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
		rank := c.Rank()
		store, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.Backup(b), Workers: workers})
		if err != nil {
			return err
		}
		table, err := ssp.CreateTable(ctx, store, ssp.TableSpec[int64]{Name: "x", Rows: rows, Width: n})
		if err != nil {
			return err
		}
		for round := range ssp.Clock(2) {
			err := store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
				v, x := table.View(w), make([]int64, n)
				for w.Now() < clocks*(round+1) {
					model := []int64{}
					for row := range int64(rows) {
						if err := v.Get(ctx, row, x); err != nil {
							return err
						}
						model = append(model, x...)
					}
					if !w.Outdated() {
						mu.Lock()
						other := models[w.Now()]
						if other == nil {
							models[w.Now()] = model
						}
						mu.Unlock()
						if other != nil && !slices.Equal(model, other) && !w.Outdated() {
							return errors.Errorf("clock %d is %v on rank %d and %v elsewhere", w.Now(), model, rank, other)
						}
					}
					d := time.Duration(float64(base) * (1 + float64((rank+w.Index()+int(w.Now()))%3)/10))
					if rank == n-1 {
						d = time.Duration(factor * float64(d))
					}
					for end := time.Now().Add(d); time.Now().Before(end); {
						if interrupt && w.Outdated() {
							break
						}
						<-time.After(min(base/4, time.Until(end)))
					}
					for row := range int64(rows) {
						v.IncAt(row, rank, 1)
						if err := v.Get(ctx, row, x); err != nil {
							return err
						}
						if len(model) > 0 && x[rank] < model[row*int64(n)+int64(rank)]+1 {
							return errors.Errorf("rank %d at clock %d does not see its own update", rank, w.Now())
						}
					}
					before := w.Now()
					if err := w.Clock(ctx); err != nil {
						return err
					}
					if w.Now() <= before || b == 0 && w.Now() != before+1 {
						return errors.Errorf("clock %d after %d", w.Now(), before)
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			if err := store.Sync(ctx); err != nil {
				return err
			}
		}
		stats := store.Stats()
		applied[rank], dropped[rank] = stats.Applied, stats.Dropped
		sums := make([]int64, n)
		if err := table.Collect(ctx, 0, func(row int64, x []int64) error {
			copy(sums, x)
			models[ssp.Clock(-row-1)] = slices.Clone(x)
			return nil
		}); err != nil {
			return err
		}
		return store.Close(ctx)
	})
	if err := runtimetest.Primary(errs); err != nil {
		t.Fatal(err)
	}
	for row := range ssp.Clock(rows) {
		for r, sum := range models[-row-1] {
			if sum != applied[r]*int64(workers) {
				t.Errorf("row %d holds %d of rank %d, of which %d batches of %d workers were applied", row, sum, r, applied[r], workers)
			}
		}
	}
	for clock := range ssp.Clock(2 * clocks) {
		if m := models[clock]; m != nil && clock < clocks {
			sum := int64(0)
			for _, k := range m[:n] {
				sum += k
			}
			if want := int64(clock) * int64((n-b)*workers); sum != want {
				t.Errorf("the model of clock %d is made of %d updates, want %d", clock, sum, want)
			}
		}
	}
	return applied, dropped, time.Since(begin)
}

// TestBackupWorkers: an iteration waits for the first ranks only, the same on all
// shards, and a slow one holds nobody back.
func TestBackupWorkers(t *testing.T) {
	for _, x := range []struct{ n, workers, b int }{{1, 1, 0}, {2, 1, 1}, {3, 1, 0}, {4, 1, 1}, {5, 2, 2}, {8, 1, 3}} {
		for _, interrupt := range []bool{false, true} {
			t.Run(fmt.Sprintf("ranks=%d/workers=%d/backup=%d/interrupt=%t", x.n, x.workers, x.b, interrupt), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					applied, dropped, took := reserves(t, x.n, x.workers, x.b, 8, interrupt)
					total := int64(0)
					for _, a := range applied {
						total += a
					}
					slow := x.n - 1
					if x.b == 0 && (total != int64(80*x.n) || took < 80*80*time.Millisecond) || x.b > 0 && (dropped[slow] == 0 || took > 80*24*time.Millisecond) {
						t.Errorf("applied %v, dropped %v in %v", applied, dropped, took)
					}
				})
			})
		}
	}
}

// TestBackupIsOfTheStore: with all its tables, and fewer than the ranks.
func TestBackupIsOfTheStore(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		if _, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.Backup(2)}); err == nil {
			return errors.New("two of two ranks are backup workers")
		}
		store, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.Backup(1)})
		if err != nil {
			return err
		}
		for i, p := range []ssp.Policy{ssp.Backup(1), {}, ssp.Backup(0), ssp.BSP(), ssp.Async(), ssp.SSP(1)} {
			_, err := ssp.CreateTable(ctx, store, ssp.TableSpec[int64]{Name: p.String(), Rows: 1, Width: 1, Policy: p})
			if (err == nil) != (i < 2) {
				return errors.Errorf("table of %v: %v", p, err)
			}
		}
		return store.Close(ctx)
	})
}
