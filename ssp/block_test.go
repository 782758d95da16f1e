package ssp_test

import (
	"context"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// TestWindow compares with the rule of the paper, spelled out.
func TestWindow(t *testing.T) {
	for k := 1; k <= 5; k++ {
		for s := range 4 {
			for c := range ssp.Clock(40) {
				block := int(c) / k
				low := max(0, (block-s)*k)
				high := (block + s + 1) * k
				if s == 0 {
					high = low
				}
				p := ssp.WPC(k, s)
				if l, h, ok := p.Window(c); !ok || int(l) != low || int(h) != high {
					t.Errorf("%v at clock %d: %d to %d, %t; want %d to %d", p, c, l, h, ok, low, high)
				}
				if bound, _ := p.Staleness(); int(c)-int(bound) > low {
					t.Errorf("%v at clock %d: a staleness of %d", p, c, bound)
				}
			}
		}
	}
	if l, h, ok := ssp.SSP(3).Window(10); l != 7 || h != 14 || !ok {
		t.Errorf("ssp:3 at clock 10: %d to %d, %t", l, h, ok)
	}
	if _, _, ok := ssp.Async().Window(10); ok {
		t.Error("async has a window")
	}
}

// TestClosedInBlock: what a worker that ends in the middle of a block hands over
// becomes visible with the block, whether its rank goes on or not: results must
// not depend on when it comes. A Sync in the middle of a block shows it all.
func TestClosedInBlock(t *testing.T) {
	const n, workers, block = 3, 2, 5
	runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
		s, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.ABSP(block), Workers: workers})
		if err != nil {
			return err
		}
		table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "x", Rows: 4, Width: n * workers})
		if err != nil {
			return err
		}
		ends := func(self int) int64 { return []int64{2, 13, 6, 6, 13, 9}[self] } // rank 1 ends as a whole
		start := int64(0)
		for round := range int64(3) { // Sync falls into a block: 13, 26
			err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
				self := c.Rank()*workers + w.Index()
				v, x := table.View(w), make([]int64, n*workers)
				for k := range ends(self) + 1 {
					clock := start + k
					seen := max(start, clock-clock%block) - start // clocks of this epoch that are out
					if int64(w.Now()) != clock {
						return errors.Errorf("clock %d, want %d", w.Now(), clock)
					}
					for row := range int64(4) {
						if err := v.Get(ctx, row, x); err != nil {
							return err
						}
						for o, got := range x {
							// An ended worker has added once more than it has clocked, in the block
							// in which it ended.
							want := round*(ends(o)+1) + min(seen, ends(o))
							if last := start + ends(o); last-last%block+block <= clock {
								want = (round + 1) * (ends(o) + 1)
							}
							if o == self {
								want = round*(ends(o)+1) + k
							}
							if got != want {
								return errors.Errorf("worker %d at clock %d reads %d of %d in row %d, want %d", self, clock, got, o, row, want)
							}
						}
						v.IncAt(row, self, 1)
					}
					if k == ends(self) {
						return nil
					}
					v.Prefetch(0, 1, 2, 3)
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
			start += 13
		}
		for row, x := range table.Owned() {
			for o, got := range x {
				if got != 3*(ends(o)+1) {
					return errors.Errorf("row %d holds %d of %d", row, got, o)
				}
			}
		}
		return s.Close(ctx)
	})
}

// TestPrefetchModes: rows come before they are needed, which costs as many
// fetches as the mode says: none beyond those that will be missed, or one a row
// and clock.
func TestPrefetchModes(t *testing.T) {
	const rows, clocks, slack = 8, 41, 3 // half of the rows are another rank's
	for _, x := range []struct {
		mode      ssp.Prefetch
		low, high int64
	}{
		// Both ranks keep step by reads at slack 0 of a second table: a copy lasts
		// slack + 1 clocks, or one less when the other rank's clock was not in.
		{ssp.Conservative, rows / 2 * (clocks / (slack + 1)), rows / 2 * (clocks/slack + 1)},
		{ssp.Aggressive, rows / 2 * (clocks - 1), rows / 2 * (clocks + 1)},
	} {
		t.Run(x.mode.String(), func(t *testing.T) {
			runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
				s, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.SSP(slack), Prefetch: x.mode})
				if err != nil {
					return err
				}
				table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "x", Rows: rows, Width: 1})
				if err != nil {
					return err
				}
				step, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: "step", Rows: 2, Width: 1, Policy: ssp.ESSP(0)})
				if err != nil {
					return err
				}
				err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
					v, u, y := table.View(w), step.View(w), []int64{0}
					for range clocks {
						for row := range int64(2) {
							if err := u.Get(ctx, row, y); err != nil {
								return err
							}
						}
						for row := range int64(rows) {
							if err := v.Get(ctx, row, y); err != nil {
								return err
							}
							v.IncAt(row, 0, 1)
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
				if got := s.Stats().Fetches - 1; got < x.low || got > x.high { // one of the second table
					return errors.Errorf("%d rows asked for, want %d to %d", got, x.low, x.high)
				}
				return s.Close(ctx)
			})
		})
	}
	if p, err := ssp.ParsePrefetch("conservative"); p != ssp.Conservative || err != nil {
		t.Errorf("%v, %v", p, err)
	}
	if _, err := ssp.ParsePrefetch(""); err == nil {
		t.Error("no error")
	}
}
