package ssp_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

var policies = []ssp.Policy{ssp.BSP(), ssp.SSP(1), ssp.SSP(3), ssp.ESSP(0), ssp.ESSP(2), ssp.Async(), ssp.ABSP(4), ssp.WPC(2, 1), ssp.CAP(2), ssp.Auto(3),
	ssp.VAP(3), ssp.VAP(2, ssp.Strong), ssp.CVAP(1, 1, ssp.Strong, ssp.Element),
	ssp.Managed(3, ssp.RelativeMagnitude), ssp.Managed(1, ssp.Random)}

// rows, clocks and what a worker adds where.
const (
	testRows   = 23
	testClocks = 12
)

func step(worker int, clock, row int64) int64 {
	return int64(worker+1)*1000 + clock*10 + row
}

// TestRule: every worker counts its clocks in a column of its own; each read is
// checked against the rule, the sums at the end exactly.
func TestRule(t *testing.T) {
	for _, p := range append(slices.Clone(policies), ssp.CAP(0), ssp.CVAP(2, 4, ssp.Sqrt)) {
		for _, n := range []int{1, 2, 3, 5, 8} {
			for _, workers := range []int{1, 3} {
				t.Run(fmt.Sprintf("%v/ranks=%d/workers=%d", p, n, workers), func(t *testing.T) {
					runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
						return countClocks(ctx, c, ssp.Config{Workers: workers, Policy: p}, false)
					})
				})
			}
		}
	}
}

func countClocks(ctx context.Context, c *runtime.Comm, cfg ssp.Config, sparse bool) error {
	return countClocksThen(ctx, c, cfg, sparse, func(*ssp.Store) {})
}

func countClocksThen(ctx context.Context, c *runtime.Comm, cfg ssp.Config, sparse bool, then func(*ssp.Store)) error {
	s, err := ssp.Open(ctx, c, cfg)
	if err != nil {
		return err
	}
	all := c.Size() * cfg.Workers
	table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "counts", Rows: testRows, Width: all, Sparse: sparse})
	if err != nil {
		return err
	}
	sums, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "sums", Rows: testRows, Width: 2, Place: ssp.Range})
	if err != nil {
		return err
	}
	for round := range int64(2) {
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			self := c.Rank()*cfg.Workers + w.Index()
			v, u := table.View(w), sums.View(w)
			x := make([]int64, all)
			last := make([][]int64, testRows)
			for k := range int64(testClocks) {
				clock := round*testClocks + k
				if int64(w.Now()) != clock {
					return errors.Errorf("clock %d, want %d", w.Now(), clock)
				}
				for row := range int64(testRows) {
					if (row+clock+int64(self))%3 == 0 {
						continue
					}
					if err := v.Get(ctx, row, x); err != nil {
						return err
					}
					if x[self] != clock {
						return errors.Errorf("worker %d at clock %d reads %d own updates in row %d", self, clock, x[self], row)
					}
					for o, n := range x {
						low, high := round*testClocks, (round+1)*testClocks
						if from, to, ok := cfg.Policy.Window(ssp.Clock(clock)); ok {
							low, high = max(low, int64(from)), min(high, int64(to))
						}
						if o != self && (n < low || n > high) {
							return errors.Errorf("worker %d at clock %d reads %d updates of %d in row %d: want %d to %d", self, clock, n, o, row, low, high)
						}
						if last[row] != nil && n < last[row][o] {
							return errors.Errorf("worker %d: row %d went back from %d to %d", self, row, last[row][o], n)
						}
					}
					last[row] = append(last[row][:0], x...)
				}
				for row := range int64(testRows) {
					v.IncAt(row, self, 1)
					u.Inc(row, []int32{1, int32(step(self, clock, row))})
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
	for root := range min(2, c.Size()) {
		want := int64(0)
		err := table.Collect(ctx, root, func(row int64, x []int64) error {
			if row != want {
				return errors.Errorf("row %d, want %d", row, want)
			}
			want++
			for o, n := range x {
				if n != 2*testClocks {
					return errors.Errorf("row %d: %d updates of worker %d at the end", row, n, o)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if c.Rank() == root && want != testRows {
			return errors.Errorf("%d rows", want)
		}
	}
	for row, x := range sums.Owned() {
		n := int64(0)
		for self := range all {
			for clock := range int64(2 * testClocks) {
				n += step(self, clock, row)
			}
		}
		if x[0] != int32(2*testClocks*all) || x[1] != int32(n) {
			return errors.Errorf("row %d: %d, want %d", row, x, n)
		}
	}
	then(s)
	return s.Close(ctx)
}

// pushes: owners push rows under the policy.
func pushes(p ssp.Policy) bool {
	name, _, _ := strings.Cut(p.String(), ":")
	return slices.Contains([]string{"essp", "async", "cap", "auto", "vap", "cvap", "managed"}, name)
}

// keeps is how many clocks updates may wait under the policy, without a filter.
func keeps(p ssp.Policy) ssp.Clock {
	if s, _ := p.Staleness(); strings.HasPrefix(p.String(), "managed") {
		return (s + 1) / 2
	}
	return 0
}
