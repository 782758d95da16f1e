package ssp_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// TestLostRank: a reader that waits at the gate fails at once when a rank goes,
// whoever owns the row.
func TestLostRank(t *testing.T) {
	for _, p := range []ssp.Policy{ssp.BSP(), ssp.SSP(1), ssp.ESSP(1), ssp.ABSP(2), ssp.CAP(1)} {
		t.Run(p.String(), func(t *testing.T) {
			cluster := runtimetest.NewCluster(3)
			var gate atomic.Int32
			bound, _ := p.Staleness()
			errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
				s, err := ssp.Open(ctx, c, ssp.Config{Policy: p})
				if err != nil {
					return err
				}
				table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "x", Rows: 3, Width: 1})
				if err != nil {
					return err
				}
				return s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
					if c.Rank() == 2 { // never clocks: the others come to its gate
						<-ctx.Done()
						return context.Cause(ctx)
					}
					v := table.View(w)
					x := []int32{0}
					for {
						if w.Now() == bound+1 && gate.Add(1) == 2 {
							cluster.Kill(2)
						}
						if err := v.Get(ctx, int64(c.Rank()), x); err != nil {
							return err
						}
						if err := v.Get(ctx, int64(1-c.Rank()), x); err != nil {
							return err
						}
						if err := w.Clock(ctx); err != nil {
							return err
						}
						if w.Now() > bound+1 {
							return errors.Errorf("passed the gate at clock %d", w.Now())
						}
					}
				})
			})
			for r, err := range errs[:2] {
				if !stderrors.Is(err, runtime.ErrRankLost) {
					t.Errorf("rank %d: %v", r, err)
				}
			}
		})
	}
}

// TestGetWithin: slack replaces the bound, tighter and looser, and own updates
// are there whatever the age.
func TestGetWithin(t *testing.T) {
	for _, p := range policies {
		t.Run(p.String(), func(t *testing.T) {
			runtimetest.SPMD(t, 3, func(ctx context.Context, c *runtime.Comm) error {
				s, err := ssp.Open(ctx, c, ssp.Config{Policy: p, Workers: 2})
				if err != nil {
					return err
				}
				table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "x", Rows: 5, Width: 6})
				if err != nil {
					return err
				}
				err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
					v, x, self := table.View(w), make([]int64, 6), c.Rank()*2+w.Index()
					for clock := range ssp.Clock(20) {
						for row := range int64(5) {
							slack := max(keeps(p), (ssp.Clock(row)+clock*3+ssp.Clock(self))%7)
							age, err := v.GetWithin(ctx, row, x, slack)
							if err != nil {
								return err
							}
							least := clock - slack
							if least > 0 {
								least -= least % p.Block() // a copy of the start of a block
							}
							if age < least || age > clock {
								return errors.Errorf("clock %d, slack %d: age %d", clock, slack, age)
							}
							for o, n := range x {
								if o == self && n != int64(clock) || n < int64(age) {
									return errors.Errorf("worker %d at clock %d: age %d, row %d: %v", self, clock, age, row, x)
								}
							}
							v.IncAt(row, self, 1)
							if row == 2 { // an edited row changes under the editor
								y, err := v.Edit(ctx, row)
								if err != nil {
									return err
								}
								y[self] += 5
								if _, err := v.GetWithin(ctx, row, x, keeps(p)); err != nil {
									return err
								}
								if y[self] != int64(clock)+6 || !slices.Equal(x, y) {
									return errors.Errorf("clock %d: edited row %v, read %v", clock, y, x)
								}
								y[self] -= 5
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
				return s.Close(ctx)
			})
		})
	}
}

// TestAcknowledged: a worker that only adds is held back until its updates are
// acknowledged, and no further.
func TestAcknowledged(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		s, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.Async(), LogBytes: 1})
		if err != nil {
			return err
		}
		table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "x", Rows: 50, Width: 8})
		if err != nil {
			return err
		}
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			v := table.View(w)
			for range 200 {
				for row := range int64(50) {
					v.IncAt(row, 3, 1)
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
			if x[3] != 400 {
				return errors.Errorf("row %d: %v", row, x)
			}
		}
		return s.Close(ctx)
	})
}

// TestSyncHandsOver: what no Clock has handed over is there after Sync, and a
// worker that comes back reads everything, whatever its policy.
func TestSyncHandsOver(t *testing.T) {
	for _, p := range policies {
		t.Run(p.String(), func(t *testing.T) {
			runtimetest.SPMD(t, 3, func(ctx context.Context, c *runtime.Comm) error {
				s, err := ssp.Open(ctx, c, ssp.Config{Policy: p})
				if err != nil {
					return err
				}
				table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float64]{Name: "x", Rows: 4, Width: 1})
				if err != nil {
					return err
				}
				for round := range 4 {
					err := s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
						v, x := table.View(w), []float64{0}
						for row := range int64(4) {
							if err := v.Get(ctx, row, x); err != nil {
								return err
							}
							if want := float64(round * 3); x[0] < want || p == ssp.BSP() && x[0] != want {
								return errors.Errorf("round %d: row %d is %v, want %v", round, row, x[0], want)
							}
							v.IncAt(row, 0, 1)
						}
						if round == c.Rank() { // ranks may end at different clocks
							return w.Clock(ctx)
						}
						return nil
					})
					if err != nil {
						return err
					}
					if _, err := s.NewWorker(); err == nil {
						return errors.New("a worker opens again without Sync")
					}
					if err := s.Sync(ctx); err != nil {
						return err
					}
				}
				return s.Close(ctx)
			})
		})
	}
}

// TestMismatch: ranks that bring different things are told what.
func TestMismatch(t *testing.T) {
	spec := func(width int, more func(*ssp.TableSpec[float32])) func(context.Context, *ssp.Store) error {
		return func(ctx context.Context, s *ssp.Store) error {
			x := ssp.TableSpec[float32]{Name: "x", Rows: 4, Width: width, Policy: ssp.SSP(2)}
			if more != nil {
				more(&x)
			}
			_, err := ssp.CreateTable(ctx, s, x)
			return err
		}
	}
	double := func(ctx context.Context, s *ssp.Store) error {
		_, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float64]{Name: "x", Rows: 4, Width: 5, Policy: ssp.SSP(2)})
		return err
	}
	sync := func(ctx context.Context, s *ssp.Store) error { return s.Sync(ctx) }
	end := func(ctx context.Context, s *ssp.Store) error { return s.Close(ctx) }
	tests := []struct {
		name      string
		cfg, last ssp.Config
		call, odd func(ctx context.Context, s *ssp.Store) error // of the ranks, and of the last
		want      string                                        // with the number of the last rank
	}{
		{"policy", ssp.Config{Policy: ssp.SSP(0)}, ssp.Config{Policy: ssp.SSP(1)}, nil, nil, "open store: the ranks disagree: rank 0 has policy ssp:0; rank %d has policy ssp:1"},
		{"workers", ssp.Config{}, ssp.Config{Workers: 2}, nil, nil, "open store: the ranks disagree: rank 0 has 1 worker; rank %d has 2 workers"},
		{"filter", ssp.Config{}, ssp.Config{Workers: 2, Filter: mustFilter(t, "half")}, nil, nil,
			"open store: the ranks disagree: rank 0 has 1 worker, filter none; rank %d has 2 workers, filter half"},
		{"width", ssp.Config{}, ssp.Config{}, spec(4, nil), spec(5, nil), "table x: the ranks disagree: rank 0 has width 4; rank %d has width 5"},
		{"type", ssp.Config{}, ssp.Config{}, spec(4, nil), double, "table x: the ranks disagree: rank 0 has float32, width 4; rank %d has float64, width 5"},
		{"rows", ssp.Config{}, ssp.Config{}, spec(4, nil), spec(4, func(x *ssp.TableSpec[float32]) { x.Rows, x.Sparse, x.Place = 1, true, ssp.Range }),
			"table x: the ranks disagree: rank 0 has dense, 4 rows, cyclic; rank %d has sparse, 1 row, in ranges"},
		{"update", ssp.Config{}, ssp.Config{}, spec(4, nil), spec(4, func(x *ssp.TableSpec[float32]) { x.Update = ssp.SGD(1) }),
			"table x: the ranks disagree: rank 0 has update add; rank %d has update sgd:1"},
		{"name", ssp.Config{}, ssp.Config{}, spec(4, nil), spec(4, func(x *ssp.TableSpec[float32]) { x.Name = "y" }),
			": the ranks disagree: rank 0 is in CreateTable of x, rank %d in CreateTable of y"},
		{"call", ssp.Config{}, ssp.Config{}, sync, spec(4, nil), ": the ranks disagree: rank 0 is in Sync of the store, rank %d in CreateTable of x"},
		{"close", ssp.Config{}, ssp.Config{}, sync, end, ": the ranks disagree: rank 0 is in Sync of the store, rank %d in Close of the store"},
		{"backup", ssp.Config{Policy: ssp.Backup(1)}, ssp.Config{Policy: ssp.Backup(1)}, sync, end, ": the ranks disagree: rank 0 is in Sync of the store, rank %d in Close of the store"},
	}
	for _, test := range tests {
		for _, n := range []int{2, 3, 5} {
			t.Run(fmt.Sprintf("%s/ranks=%d", test.name, n), func(t *testing.T) {
				runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
					cfg, call := test.cfg, test.call
					if c.Rank() == n-1 {
						cfg, call = test.last, test.odd
					}
					s, err := ssp.Open(ctx, c, cfg)
					if call != nil && err == nil {
						err = call(ctx, s)
					}
					want := fmt.Sprintf(test.want, n-1)
					if !stderrors.Is(err, ssp.ErrMismatch) || !strings.HasSuffix(err.Error(), want) {
						return errors.Errorf("rank %d: got %v, want %s", c.Rank(), err, want)
					}
					return nil
				})
			})
		}
	}
}

// TestAccess: the hook sees each access once, with an age the rule allows.
func TestAccess(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		var seen [4]int
		s, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.SSP(2), Refetch: -1, Access: func(a ssp.Access) {
			seen[a.Kind]++
			if a.Kind != ssp.Increment && (a.Age < a.Clock-2 || a.Age > a.Clock) || a.Table != "x" || a.Row != 1 {
				seen[0]++
			}
		}})
		if err != nil {
			return err
		}
		table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "x", Rows: 2, Width: 1})
		if err != nil {
			return err
		}
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			v, x := table.View(w), []int32{0}
			for range 9 {
				for range 3 {
					if err := v.Get(ctx, 1, x); err != nil {
						return err
					}
				}
				y, err := v.Edit(ctx, 1)
				if err != nil {
					return err
				}
				y[0]++
				v.Inc(1, []int32{1})
				if err := w.Clock(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if seen != [4]int{0, 27, 9, 9} {
			return errors.Errorf("seen %v", seen)
		}
		if st := s.Stats(); st.Reads != 36 || st.Clocks != 9 || c.Rank() == 0 && (st.Fetches < 3 || st.Fetches > 9) || c.Rank() == 1 && st.Fetches != 0 {
			return errors.Errorf("%+v", st)
		}
		return s.Close(ctx)
	})
}
