package ssp_test

import (
	"context"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

// TestEarly: under CAP much that has gathered leaves before the clock ends, and
// another rank sees it in its running clock; the worker itself sees each of its
// updates once, also those of a row that it edits meanwhile.
func TestEarly(t *testing.T) {
	const rows, width = 64, 1 << 10 // 4 KiB a row, sixteen of them leave early
	seen := make(chan struct{})
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		s, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.CAP(1 << 20)})
		if err != nil {
			return err
		}
		table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "x", Rows: rows, Width: width})
		if err != nil {
			return err
		}
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			v, x := table.View(w), make([]int32, width)
			if c.Rank() == 1 { // sees what the other does in its first clock
				for n := int32(0); n < rows/2; {
					n = 0
					for row := range int64(rows) {
						if err := v.Get(ctx, row, x); err != nil {
							return err
						}
						n += x[7]
					}
					if err := w.Clock(ctx); err != nil { // reads are good for a clock
						return err
					}
				}
				close(seen)
				return nil
			}
			y, err := v.Edit(ctx, 0)
			if err != nil {
				return err
			}
			for row := range int64(rows) {
				y[3]++
				v.IncAt(row, 7, 1)
				if err := v.Get(ctx, (row+1)%rows, x); err != nil {
					return err
				}
				for at := range row + 1 {
					if err := v.Get(ctx, at, x); err != nil {
						return err
					}
					if x[7] != 1 || at == 0 && x[3] != int32(row)+1 {
						return errors.Errorf("row %d after row %d: %d and %d", at, row, x[7], x[3])
					}
				}
			}
			select {
			case <-seen: // in the running clock
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		if err != nil {
			return err
		}
		st := s.Stats()
		if c.Rank() == 0 && st.Clocks != 0 {
			return errors.Errorf("%d clocks", st.Clocks)
		}
		if err := s.Sync(ctx); err != nil {
			return err
		}
		for row, x := range table.Owned() {
			if x[7] != 1 || row == 0 && x[3] != rows {
				return errors.Errorf("row %d: %d and %d", row, x[7], x[3])
			}
		}
		return s.Close(ctx)
	})
}
