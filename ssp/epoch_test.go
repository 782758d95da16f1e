package ssp_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// TestSyncOutdatesCopies: copies that have the age of the clock that Sync sets
// lack the updates that were handed over without a clock; the next read has them
// all the same, the reader's own included.
func TestSyncOutdatesCopies(t *testing.T) {
	const rows, rounds, clocks = 7, 4, 3
	for _, p := range policies {
		for _, n := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%v/ranks=%d", p, n), func(t *testing.T) {
				runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
					s, err := ssp.Open(ctx, c, ssp.Config{Policy: p})
					if err != nil {
						return err
					}
					table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "x", Rows: rows, Width: 1})
					if err != nil {
						return err
					}
					held := keeps(p)
					for round := range int64(rounds) {
						err := s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
							v, x := table.View(w), []int64{0}
							for k := range int64(clocks + 1) {
								for row := range int64(rows) {
									// Copies of the newest age, whatever the policy.
									if _, err := v.GetWithin(ctx, row, x, held); err != nil {
										return err
									}
									done := int64(n) * (round*(clocks+1) + k)
									if block := int64(p.Block()); block > 1 { // the others' updates of the running block are not out
										done -= int64(n-1) * min(k, int64(w.Now())%block)
									}
									done -= int64(n-1) * min(k, int64(held))
									if k == 0 && x[0] < done || k > 0 && x[0] < done-int64(n)+1 {
										return errors.Errorf("round %d, clock %d: row %d is %d", round, k, row, x[0])
									}
								}
								for row := range int64(rows) {
									v.IncAt(row, 0, 1)
								}
								if k == clocks { // the last updates are handed over by the end
									return nil
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
					}
					for row, x := range table.Owned() {
						if x[0] != int64(n)*rounds*(clocks+1) {
							return errors.Errorf("row %d: %d at the end", row, x[0])
						}
					}
					return s.Close(ctx)
				})
			})
		}
	}
}

// TestUnevenEpochs: workers that end at different clocks, with updates of a
// running one, and tables that are made between epochs and have fewer rows than
// there are ranks.
func TestUnevenEpochs(t *testing.T) {
	const n, workers = 3, 2
	for _, p := range policies {
		t.Run(p.String(), func(t *testing.T) {
			runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
				s, err := ssp.Open(ctx, c, ssp.Config{Policy: p, Workers: workers})
				if err != nil {
					return err
				}
				var tables []*ssp.Table[int32]
				want := int32(0)
				sums := make([]int32, 0, 4)
				for round := range 4 {
					table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{
						Name: fmt.Sprint("t", round), Rows: int64(round), Width: 2, Place: ssp.Placement(round % 2),
					})
					if err != nil {
						return err
					}
					tables, sums = append(tables, table), append(sums, 0)
					ends := func(rank, worker int) int { return (rank*workers + worker + round) % 5 }
					want = 0
					for r := range n {
						for w := range workers {
							want += int32(ends(r, w) + 1)
						}
					}
					err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
						start := w.Now()
						for k := range ends(c.Rank(), w.Index()) + 1 {
							for i, table := range tables {
								v, x := table.View(w), make([]int32, 2)
								for row := range table.Rows() {
									if err := v.Get(ctx, row, x); err != nil {
										return err
									}
									if least := sums[i] + int32(k); x[0] < least {
										return errors.Errorf("round %d: worker %d at clock %d+%d: table %d, row %d: %v, want %d", round, w.Index(), start, k, i, row, x, least)
									}
									v.IncAt(row, 0, 1)
								}
							}
							if k < ends(c.Rank(), w.Index()) {
								if err := w.Clock(ctx); err != nil {
									return err
								}
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
					for i, table := range tables {
						sums[i] += want
						for row, x := range table.Owned() {
							if x[0] != sums[i] {
								return errors.Errorf("round %d: table %d, row %d: %v, want %d", round, i, row, x, sums[i])
							}
						}
					}
				}
				return s.Close(ctx)
			})
		})
	}
}

// TestOwnedNested: rows can be ranged over within one another, far enough to
// copy more than once, while other ranks collect.
func TestOwnedNested(t *testing.T) {
	const rows = 7001
	runtimetest.SPMD(t, 3, func(ctx context.Context, c *runtime.Comm) error {
		s, err := ssp.Open(ctx, c, ssp.Config{})
		if err != nil {
			return err
		}
		var tables [2]*ssp.Table[int64]
		for i := range tables {
			tables[i], err = ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{
				Name: fmt.Sprint(i), Rows: rows, Width: 1, Sparse: i == 1, Init: func(row int64, x []int64) { x[0] = row },
			})
			if err != nil {
				return err
			}
		}
		want := int64(c.Rank())
		for row, x := range tables[0].Owned() {
			if row != want || x[0] != row {
				return errors.Errorf("row %d: %v, want row %d", row, x, want)
			}
			if want += 3; row%1000 != 0 {
				continue
			}
			for inner, x := range tables[1].Owned() {
				if x[0] != inner {
					return errors.Errorf("row %d: %v", inner, x)
				}
				if inner > 4000 {
					break
				}
			}
		}
		if want < rows {
			return errors.Errorf("row %d is missing", want)
		}
		return s.Close(ctx)
	})
}
