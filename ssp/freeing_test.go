package ssp_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// drag runs workers for two stretches of time with a Sync between, in each of
// which one rank takes factor times as long for the first part of it. It checks
// all reads and the sums, and returns the iterations of all ranks and how often
// the slow one was freed.
func drag(t *testing.T, n, workers int, p ssp.Policy, slow int, factor, part float64) (iterations, freed int64, notes string) {
	const base, stretch = 10 * time.Millisecond, 4 * time.Second
	s, _ := p.Staleness()
	var made [16][4]int64 // by rank and worker
	var total, times atomic.Int64
	cluster := runtimetest.NewCluster(n)
	cluster.Delay(func(int, int) time.Duration { return 200 * time.Microsecond })
	cluster.Edit = func(cfg *runtime.Config) { cfg.Record = bootstrap.RecordReport }
	errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
		rank := c.Rank()
		age := make([]ssp.Clock, workers)
		store, err := ssp.Open(ctx, c, ssp.Config{Policy: p, Workers: workers, Access: func(a ssp.Access) {
			if a.Kind == ssp.Read {
				age[a.Worker] = a.Age
			}
		}})
		if err != nil {
			return err
		}
		const rows = 7
		table, err := ssp.CreateTable(ctx, store, ssp.TableSpec[int64]{Name: "x", Rows: rows, Width: n * workers})
		if err != nil {
			return err
		}
		for range 2 {
			start := time.Now()
			err := store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
				self := rank*workers + w.Index()
				v, x, last, begin := table.View(w), make([]int64, n*workers), make([]int64, rows*n*workers), w.Now()
				for i := int64(0); time.Since(start) < stretch; i++ {
					clock := w.Now()
					for row := range int64(rows) {
						if (row+i)%3 == 0 {
							continue
						}
						if err := v.Get(ctx, row, x); err != nil {
							return err
						}
						for o, sum := range x {
							before := last[row*int64(n*workers)+int64(o)]
							last[row*int64(n*workers)+int64(o)] = sum
							switch {
							case o == self && sum != made[rank][w.Index()]:
								return errors.Errorf("worker %d at clock %d finds %d updates of its own, made %d", self, clock, sum, made[rank][w.Index()])
							case sum < before:
								return errors.Errorf("worker %d at clock %d: %d updates of worker %d after %d", self, clock, sum, o, before)
							case rank != slow && o/workers != slow && sum < int64(clock-s):
								return errors.Errorf("worker %d at clock %d: %d updates of worker %d", self, clock, sum, o)
							}
						}
						if rank != slow && age[w.Index()] < max(begin, clock-s) {
							return errors.Errorf("worker %d at clock %d: age %d", self, clock, age[w.Index()])
						}
					}
					d := base
					if rank == slow && time.Since(start) < time.Duration(part*float64(stretch)) {
						d = time.Duration(factor * float64(base))
					}
					<-time.After(d)
					for row := range int64(rows) {
						v.IncAt(row, self, 1)
					}
					made[rank][w.Index()]++
					if err := w.Clock(ctx); err != nil {
						return err
					}
					if w.Now() <= clock || rank != slow && w.Now() != clock+1 {
						return errors.Errorf("worker %d: clock %d after %d", self, w.Now(), clock)
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
			for row, x := range table.Owned() {
				for o, sum := range x {
					if want := made[o/workers][o%workers]; sum != want {
						return errors.Errorf("row %d holds %d of worker %d, which made %d", row, sum, o, want)
					}
				}
			}
			seen := int64(0)
			if err := table.Collect(ctx, 0, func(int64, []int64) error { seen++; return nil }); err != nil {
				return err
			}
			if rank == 0 && seen != rows {
				return errors.Errorf("%d rows collected", seen)
			}
		}
		stats := store.Stats()
		total.Add(stats.Clocks)
		if rank == slow {
			times.Add(stats.Freed)
		} else if stats.Freed > 0 {
			return errors.Errorf("rank %d is freed, which is not slow", rank)
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
	return total.Load(), times.Load(), notes
}

// TestFreed: a rank that is slow all the time holds nobody back, and no update is
// lost; also when it is the one that decides.
func TestFreed(t *testing.T) {
	for _, x := range []struct {
		n, workers, slow int
		s                int
	}{{4, 1, 3, 3}, {5, 2, 0, 1}, {8, 1, 2, 0}} {
		t.Run(fmt.Sprintf("ranks=%d/workers=%d/slow=%d/s=%d", x.n, x.workers, x.slow, x.s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				with, freed, notes := drag(t, x.n, x.workers, ssp.FSSP(x.s), x.slow, 8, 1)
				without, _, _ := drag(t, x.n, x.workers, ssp.ESSP(x.s), x.slow, 8, 1)
				if freed != 1 || float64(with) < 5*float64(without) || !strings.HasPrefix(notes, fmt.Sprintf("rank %d is freed: ", x.slow)) || strings.Count(notes, "\n") != 1 {
					t.Errorf("freed %d times, %d iterations, %d where it is not:\n%s", freed, with, without, notes)
				}
			})
		})
	}
}

// TestComesBack: a rank that is not slow any more counts again, skips to the
// clock of the others, and is held to the bound.
func TestComesBack(t *testing.T) {
	for _, x := range []struct{ n, workers, slow, s int }{{4, 1, 2, 2}, {5, 2, 0, 3}, {8, 1, 7, 0}} {
		t.Run(fmt.Sprintf("ranks=%d/workers=%d/slow=%d/s=%d", x.n, x.workers, x.slow, x.s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, freed, notes := drag(t, x.n, x.workers, ssp.FSSP(x.s), x.slow, 8, 0.5)
				if freed != 2 || strings.Count(notes, " is freed: ") != 2 || strings.Count(notes, " counts again from clock ") != 2 {
					t.Errorf("freed %d times\n%s", freed, notes)
				}
			})
		})
	}
}

// TestNobodyIsFreed: not for being late in turn or by chance, and not where too
// few would be left.
func TestNobodyIsFreed(t *testing.T) {
	for _, x := range []struct {
		n        int
		straggle string
	}{{8, "rotate,delay=200ms"}, {8, "random,p=0.05,delay=200ms"}, {3, "rank=1,factor=9"}, {2, "rank=0,factor=9"}} {
		synctest.Test(t, func(t *testing.T) {
			cluster := runtimetest.NewCluster(x.n)
			errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
				store, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.FSSP(3), Straggle: x.straggle})
				if err != nil {
					return err
				}
				table, err := ssp.CreateTable(ctx, store, ssp.TableSpec[int64]{Name: "x", Rows: int64(x.n), Width: 1})
				if err != nil {
					return err
				}
				err = store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
					v, y := table.View(w), []int64{0}
					for range 150 {
						for row := range table.Rows() {
							if err := v.Get(ctx, row, y); err != nil {
								return err
							}
						}
						<-time.After(50 * time.Millisecond)
						if err := w.Clock(ctx); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
				if n := store.Stats().Freed; n > 0 {
					return errors.Errorf("freed %d times", n)
				}
				return store.Close(ctx)
			})
			if err := runtimetest.Primary(errs); err != nil {
				t.Errorf("%d ranks, %s: %v", x.n, x.straggle, err)
			}
		})
	}
}

// TestFreeingIsOfTheStore: a table can not have FSSP alone, nor another bound
// beside it.
func TestFreeingIsOfTheStore(t *testing.T) {
	for _, x := range []struct {
		store, table ssp.Policy
		good         bool
	}{
		{ssp.FSSP(2), ssp.Policy{}, true}, {ssp.FSSP(2), ssp.FSSP(2), true}, {ssp.FSSP(2), ssp.Async(), true},
		{ssp.FSSP(2), ssp.FSSP(3), false}, {ssp.FSSP(2), ssp.BSP(), false}, {ssp.FSSP(2), ssp.SSP(2), false}, {ssp.SSP(2), ssp.FSSP(2), false},
	} {
		runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			store, err := ssp.Open(ctx, c, ssp.Config{Policy: x.store})
			if err != nil {
				return err
			}
			if _, err := ssp.CreateTable(ctx, store, ssp.TableSpec[int64]{Name: "x", Rows: 1, Width: 1, Policy: x.table}); (err == nil) != x.good {
				return errors.Errorf("table of %v in a store of %v: %v", x.table, x.store, err)
			}
			return store.Close(ctx)
		})
	}
}
