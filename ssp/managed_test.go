package ssp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// none is a bandwidth at which nothing leaves that may wait, enough one at which
// all does as soon as a clock has taken a moment.
const none, enough = 1, 1e12

// TestManagedRule: the rule and the sums hold whether rows have to wait as long as
// they can, or some of them, or hardly any.
func TestManagedRule(t *testing.T) {
	for _, bandwidth := range []float64{none, 20e6, enough, 0} {
		for _, p := range []ssp.Policy{ssp.Managed(3, ssp.RelativeMagnitude), ssp.Managed(1, ssp.Magnitude), ssp.Managed(5, ssp.FIFO), ssp.Managed(2, ssp.Random), ssp.Managed(0, ssp.Random)} {
			for _, n := range []int{1, 2, 3, 5, 8} {
				for _, workers := range []int{1, 2} {
					if workers > 1 && n != 2 && n != 3 {
						continue
					}
					t.Run(fmt.Sprintf("%v/%v/ranks=%d/workers=%d", p, bandwidth, n, workers), func(t *testing.T) {
						runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
							cfg := ssp.Config{Workers: workers, Policy: p, Bandwidth: bandwidth, Seed: 3}
							return countClocksThen(ctx, c, cfg, n%2 == 1, func(s *ssp.Store) {
								st := s.Stats()
								switch may := st.Bytes["voluntary"]; {
								case n == 1 || p == ssp.Managed(0, ssp.Random):
									if st.Held != 0 || may != 0 {
										t.Errorf("rank %d: %d rows held, %d bytes might have been: there is nobody or no time to wait", c.Rank(), st.Held, may)
									}
								case bandwidth == none && (st.Held == 0 || may != 0):
									t.Errorf("rank %d: %d rows held, %d bytes left that might have waited", c.Rank(), st.Held, may)
								case bandwidth == enough && may == 0:
									t.Errorf("rank %d: %d rows held, nothing left before it had to", c.Rank(), st.Held)
								}
							})
						})
					})
				}
			}
		}
	}
}

// TestManagedAge: a copy has what its age says, whatever waits.
func TestManagedAge(t *testing.T) {
	const clocks, n, rows = 30, 3, 6
	for _, bandwidth := range []float64{none, enough} {
		for s := range 6 {
			p := ssp.Managed(s, ssp.RelativeMagnitude)
			t.Run(fmt.Sprintf("%v/%v", p, bandwidth), func(t *testing.T) {
				runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
					age := ssp.Clock(-1)
					store, err := ssp.Open(ctx, c, ssp.Config{Policy: p, Bandwidth: bandwidth, Access: func(a ssp.Access) {
						if a.Kind == ssp.Read {
							age = a.Age
						}
					}})
					if err != nil {
						return err
					}
					table, err := ssp.CreateTable(ctx, store, ssp.TableSpec[float32]{Name: "x", Rows: rows, Width: n})
					if err != nil {
						return err
					}
					err = store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
						v, x := table.View(w), make([]float32, n)
						for range clocks {
							for row := range int64(rows) {
								if err := v.Get(ctx, row, x); err != nil {
									return err
								}
								for r, got := range x {
									if ssp.Clock(got) < age || r == c.Rank() && ssp.Clock(got) != w.Now() {
										return errors.Errorf("clock %d: row %d of age %d holds %v of rank %d", w.Now(), row, age, got, r)
									}
								}
								if age < w.Now()-ssp.Clock(s) {
									return errors.Errorf("age %d at clock %d", age, w.Now())
								}
								v.IncAt(row, c.Rank(), 1)
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
					return store.Close(ctx)
				})
			})
		}
	}
}

// TestManagedSums: rounding goes together with waiting.
func TestManagedSums(t *testing.T) {
	for _, text := range []string{"none", "half", "byte+hold:1", "half+keys"} {
		for _, n := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%s/ranks=%d", text, n), func(t *testing.T) {
				filter := mustFilter(t, text)
				runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
					if err := sumFloats[float32](ctx, c, ssp.Managed(3, ssp.Magnitude), filter, 1e-5); err != nil {
						return err
					}
					return sumFloats[float64](ctx, c, ssp.Managed(2, ssp.RelativeMagnitude), filter, 1e-13)
				})
			})
		}
	}
}

// TestManagedRefused: two that decide what waits; a table whose updates are not
// added has nothing that waits.
func TestManagedRefused(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		if _, err := ssp.Open(ctx, c, ssp.Config{Bandwidth: -1}); err == nil || !strings.Contains(err.Error(), "bandwidth -1") {
			return errors.Errorf("a bandwidth below 0: %v", err)
		}
		s, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.Managed(4, ssp.FIFO)})
		if err != nil {
			return err
		}
		_, err = ssp.CreateTable(ctx, s, ssp.TableSpec[float64]{Name: "x", Rows: 1, Width: 1, Filter: mustFilter(t, "topk:1")})
		if err == nil || !strings.Contains(err.Error(), "the policy says which rows wait") {
			return errors.Errorf("a filter that lets rows wait: %v", err)
		}
		steps, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float64]{Name: "steps", Rows: 2, Width: 1, Update: ssp.SGD(1)})
		if err != nil {
			return err
		}
		counts, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "counts", Rows: 2, Width: 1})
		if err != nil {
			return err
		}
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			x, n := make([]float64, 1), make([]int32, 1)
			if _, err := steps.View(w).GetWithin(ctx, 0, x, 0); err != nil {
				return err
			}
			if _, err := counts.View(w).GetWithin(ctx, 0, n, 2); err == nil || !strings.Contains(err.Error(), "managed:4,fifo keeps updates back") {
				return errors.Errorf("a copy without what waits: %v", err)
			}
			_, err := counts.View(w).GetWithin(ctx, 0, n, 3)
			return err
		})
		if err != nil {
			return err
		}
		return s.Close(ctx)
	})
}
