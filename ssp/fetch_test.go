package ssp_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// Rows that are fetched together take the time of one, under every policy, and
// reads of them none.
func TestFetch(t *testing.T) {
	const rows, delay = 40, time.Millisecond
	for _, policy := range []ssp.Policy{ssp.BSP(), ssp.SSP(2), ssp.ESSP(1), ssp.CAP(1), ssp.ABSP(4), ssp.Async()} {
		for _, ranks := range []int{1, 2, 3, 5} {
			t.Run(policy.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cluster := runtimetest.NewCluster(ranks)
					cluster.Delay(func(int, int) time.Duration { return delay })
					errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
						s, err := ssp.Open(ctx, c, ssp.Config{Policy: policy})
						if err != nil {
							return err
						}
						table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "x", Rows: rows, Width: 2, Init: func(row int64, x []int64) { x[1] = row }})
						if err != nil {
							return err
						}
						err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
							v := table.View(w)
							var all []int64
							for row := range int64(rows) {
								all = append(all, rows-1-row, row) // each twice
							}
							if err := v.Fetch(ctx, 0, rows); err == nil {
								return errors.New("no error for a row that is not there")
							}
							start := time.Now()
							if err := v.Fetch(ctx, all...); err != nil {
								return err
							}
							if took := time.Since(start); took > 2*delay {
								return errors.Errorf("fetched in %v, a round trip takes %v", took, 2*delay)
							}
							start = time.Now()
							x := []int64{0, 0}
							for row := range int64(rows) {
								if err := v.Get(ctx, row, x); err != nil {
									return err
								}
								e, err := v.Edit(ctx, row)
								if err != nil {
									return err
								}
								if x[1] != row || e[1] != row {
									return errors.Errorf("row %d is %v and %v", row, x, e)
								}
							}
							if took := time.Since(start); took > 0 {
								return errors.Errorf("read in %v", took)
							}
							return w.Clock(ctx)
						})
						if err != nil {
							return err
						}
						if err := s.Sync(ctx); err != nil {
							return err
						}
						far := int64(rows)
						for range table.Owned() {
							far--
						}
						if got := s.Stats(); got.Reads != 2*rows || got.Fetches != far {
							return errors.Errorf("%d reads and %d rows asked for, want %d and %d", got.Reads, got.Fetches, 2*rows, far)
						}
						return s.Close(ctx)
					})
					if err := runtimetest.Primary(errs); err != nil {
						t.Fatal(err)
					}
				})
			})
		}
	}
}
