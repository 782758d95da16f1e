package ssp_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// delayed runs body as a worker of each of n ranks on links with a delay, in
// fake time, and returns how long the slowest worker took and rank 1's totals.
func delayed(t *testing.T, n int, delay time.Duration, p ssp.Policy, body func(ctx context.Context, w *ssp.Worker, v *ssp.View[int64], rank int) error) (took time.Duration, st ssp.Stats) {
	synctest.Test(t, func(t *testing.T) {
		cluster := runtimetest.NewCluster(n)
		// Links to rank 1 are a little faster, so that nothing depends on which of two
		// messages is the first of those that come at one moment.
		cluster.Delay(func(from, to int) time.Duration {
			if from == 1 || to == 1 {
				return delay - delay/50
			}
			return delay
		})
		var mu sync.Mutex
		errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			s, err := ssp.Open(ctx, c, ssp.Config{Policy: p})
			if err != nil {
				return err
			}
			table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "x", Rows: int64(n), Width: n})
			if err != nil {
				return err
			}
			start := time.Now()
			err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
				return body(ctx, w, table.View(w), c.Rank())
			})
			if err != nil {
				return err
			}
			mu.Lock()
			took = max(took, time.Since(start))
			if c.Rank() == 1 {
				st = s.Stats()
			}
			mu.Unlock()
			return s.Close(ctx)
		})
		if err := runtimetest.Primary(errs); err != nil {
			t.Fatal(err)
		}
	})
	return took, st
}

// TestThrottle: updates of one sign leave at the rate of the bound to the time
// in which one becomes visible to all. That is four times the delay of a link, also
// where all write and one push is on its way when the next is due.
func TestThrottle(t *testing.T) {
	const n, delay, clocks, u = 4, 5 * time.Millisecond, 400, 3
	for _, writers := range []int{1, n} {
		for _, b := range [][]ssp.Bound{nil, {ssp.Element}} {
			var rates []float64
			for _, v := range []float64{u, 10 * u, 20 * u} {
				took, st := delayed(t, n, delay, ssp.VAP(v, b...), func(ctx context.Context, w *ssp.Worker, x *ssp.View[int64], rank int) error {
					if err := x.Get(ctx, 0, make([]int64, n)); err != nil {
						return err
					}
					if writers == 1 && rank != 1 { // its rank still has the row
						return nil
					}
					for range clocks {
						x.IncAt(0, 0, u)
						if err := w.Clock(ctx); err != nil {
							return err
						}
					}
					return nil
				})
				rate := clocks / took.Seconds()
				want := v / (u * 4 * delay.Seconds())
				if rate < 0.97*want || rate > 1.05*want {
					t.Errorf("%d writers, bound %v%v: %.1f updates a second, want about %.1f", writers, v, b, rate, want)
				}
				if st.Value < took/2 || st.Value > st.Gate {
					t.Errorf("%d writers, bound %v: held back for %v of %v, %v at the gate", writers, v, st.Value, took, st.Gate)
				}
				rates = append(rates, rate)
			}
			t.Logf("%d writers, %v: %.1f updates a second", writers, b, rates)
		}
	}
}

// TestCVAPLimits: without one of its bounds CVAP is the policy of the other.
func TestCVAPLimits(t *testing.T) {
	const n, clocks = 4, 60
	run := func(p ssp.Policy) (took time.Duration, age float64) {
		took, st := delayed(t, n, 5*time.Millisecond, p, func(ctx context.Context, w *ssp.Worker, v *ssp.View[int64], rank int) error {
			rng := rand.New(rand.NewPCG(uint64(rank), 1))
			x := make([]int64, n)
			for range clocks {
				for row := range int64(n) {
					if err := v.Get(ctx, row, x); err != nil {
						return err
					}
				}
				d := time.Duration(8+rng.IntN(5)) * time.Millisecond
				if int(w.Now())%n == rank {
					d += 60 * time.Millisecond
				}
				<-time.After(d)
				for row := range int64(n) {
					v.IncAt(row, rank, 1)
				}
				if err := w.Clock(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		for behind, reads := range st.Stale {
			age += float64(behind) * float64(reads) / float64(st.Reads)
		}
		return took, age
	}
	for _, x := range [][2]ssp.Policy{
		{ssp.CAP(2), ssp.CVAP(2, math.Inf(1))},
		{ssp.CAP(2), ssp.CVAP(2, math.Inf(1), ssp.Strong)},
		{ssp.VAP(2), ssp.CVAP(clocks, 2)},
		{ssp.VAP(2, ssp.Strong), ssp.CVAP(clocks, 2, ssp.Strong)},
	} {
		one, age := run(x[0])
		other, young := run(x[1])
		if r := other.Seconds() / one.Seconds(); r < 0.97 || r > 1.03 || math.Abs(age-young) > 0.25 {
			t.Errorf("%v takes %v and reads at %.2f, %v takes %v and reads at %.2f", x[0], one, age, x[1], other, young)
		}
		t.Logf("%v: %v, %.2f; %v: %v, %.2f", x[0], one, age, x[1], other, young)
	}
}

// TestUnseen: whoever reads finds all of another worker's updates but as much as
// the bound lets be on its way.
func TestUnseen(t *testing.T) {
	const rows, clocks, workers = 5, 60, 2
	for _, p := range []ssp.Policy{
		ssp.VAP(7), ssp.VAP(7, ssp.Element), ssp.VAP(7, ssp.Strong), ssp.CVAP(3, 7), ssp.CVAP(3, 7, ssp.Strong, ssp.Element),
	} {
		for _, n := range []int{2, 3, 5} {
			t.Run(fmt.Sprintf("%v/ranks=%d", p, n), func(t *testing.T) {
				const most = 12 // the largest update
				handed := make([][rows]atomic.Int64, n*workers)
				begun := make([][rows]atomic.Int64, n*workers)
				runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
					s, err := ssp.Open(ctx, c, ssp.Config{Policy: p, Workers: workers})
					if err != nil {
						return err
					}
					table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "x", Rows: rows, Width: n * workers})
					if err != nil {
						return err
					}
					err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
						self := c.Rank()*workers + w.Index()
						rng := rand.New(rand.NewPCG(uint64(self), 2))
						v, x := table.View(w), make([]int64, n*workers)
						for range clocks {
							for row := range int64(rows) {
								low := make([]int64, len(x))
								for o := range low {
									low[o] = handed[o][row].Load() - max(most, 7)
								}
								if err := v.Get(ctx, row, x); err != nil {
									return err
								}
								for o, got := range x {
									if o != self && (got < low[o] || got > begun[o][row].Load()) {
										return errors.Errorf("worker %d at clock %d finds %d of %d in row %d, want %d to %d", self, w.Now(), got, o, row, low[o], begun[o][row].Load())
									}
								}
							}
							var add [rows]int64
							for row := range int64(rows) {
								if rng.IntN(3) == 0 {
									continue
								}
								add[row] = 1 + rng.Int64N(4)
								if rng.IntN(20) == 0 {
									add[row] = most
								}
								begun[self][row].Add(add[row])
								v.IncAt(row, self, add[row])
							}
							if err := w.Clock(ctx); err != nil {
								return err
							}
							for row, d := range add {
								handed[self][row].Add(d)
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
						for o, got := range x {
							if got != handed[o][row].Load() {
								return errors.Errorf("row %d ends with %d of %d", row, got, o)
							}
						}
					}
					return s.Close(ctx)
				})
			})
		}
	}
}
