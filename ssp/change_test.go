package ssp_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// TestSetPolicy: a table goes through the policies, and another one keeps its
// own; each read keeps the bound that holds then, and no update is lost or
// counted twice.
func TestSetPolicy(t *testing.T) {
	way := []ssp.Policy{
		ssp.SSP(3), ssp.BSP(), ssp.ESSP(2), ssp.SSP(0), ssp.Async(), ssp.BSP(), ssp.ABSP(3), ssp.CAP(1), ssp.Auto(4), ssp.Async(), ssp.ESSP(0), ssp.SSP(2),
	}
	const clocks, rows = 4, 9
	for _, n := range []int{1, 2, 3, 5, 8} {
		for _, workers := range []int{1, 2} {
			if workers > 1 && n != 2 && n != 3 {
				continue
			}
			t.Run(fmt.Sprintf("ranks=%d/workers=%d", n, workers), func(t *testing.T) {
				runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
					s, err := ssp.Open(ctx, c, ssp.Config{Workers: workers, Policy: ssp.ESSP(1)})
					if err != nil {
						return err
					}
					all := n * workers
					table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "x", Rows: rows, Width: all, Policy: ssp.ESSP(1)})
					if err != nil {
						return err
					}
					other, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "y", Rows: rows, Width: all})
					if err != nil {
						return err
					}
					for _, p := range append([]ssp.Policy{ssp.ESSP(1)}, way...) {
						if p != table.Policy() {
							if err := table.SetPolicy(ctx, p); err != nil {
								return err
							}
						}
						if table.Policy() != p {
							return errors.Errorf("policy %v, want %v", table.Policy(), p)
						}
						err := s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
							self, x := c.Rank()*workers+w.Index(), make([]int64, all)
							for range clocks {
								for _, t := range []*ssp.Table[int64]{table, other} {
									low, high, bounded := t.Policy().Window(w.Now())
									for row := range int64(rows) {
										if err := t.View(w).Get(ctx, row, x); err != nil {
											return err
										}
										for k, got := range x {
											switch {
											case k == self && got != int64(w.Now()):
												return errors.Errorf("%v: clock %d: %d own updates", t.Policy(), w.Now(), got)
											case k != self && bounded && (got < int64(low) || got > int64(high)+1):
												return errors.Errorf("%v: clock %d: %d updates of worker %d, want %d to %d", t.Policy(), w.Now(), got, k, low, high)
											}
										}
										t.View(w).IncAt(row, self, 1)
									}
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
					for _, t := range []*ssp.Table[int64]{table, other} {
						for row, x := range t.Owned() {
							for k, got := range x {
								if want := int64((len(way) + 1) * clocks); got != want {
									return errors.Errorf("table %s: row %d: worker %d added %d, want %d", t.Name(), row, k, got, want)
								}
							}
						}
					}
					return s.Close(ctx)
				})
			})
		}
	}
}

// TestSetPolicyRefuses: what can not be changed is said, also that ranks disagree.
func TestSetPolicyRefuses(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		s, err := ssp.Open(ctx, c, ssp.Config{})
		if err != nil {
			return err
		}
		table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float32]{Name: "x", Rows: 1, Width: 1})
		if err != nil {
			return err
		}
		for p, text := range map[ssp.Policy]string{
			{}: "no policy", ssp.VAP(1): "whole of a table's life", ssp.FSSP(1): "whole of a table's life", ssp.Backup(1): "whole of a table's life",
		} {
			if err := table.SetPolicy(ctx, p); err == nil || !strings.Contains(err.Error(), text) {
				return errors.Errorf("%v: %v, want %q", p, err, text)
			}
		}
		view := (*ssp.View[float32])(nil)
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			view = table.View(w)
			return nil
		})
		if err != nil {
			return err
		}
		if err := table.SetPolicy(ctx, ssp.SSP(2)); err != nil {
			return err
		}
		if err := view.Get(ctx, 0, []float32{0}); err == nil || !strings.Contains(err.Error(), "closed") {
			return errors.Errorf("an old view: %v", err)
		}
		if err := table.SetPolicy(ctx, ssp.SSP(c.Rank())); !stderrors.Is(err, ssp.ErrMismatch) {
			return errors.Errorf("ranks that disagree: %v", err)
		}
		return s.Close(ctx)
	})
}
