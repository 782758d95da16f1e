package ssp

import (
	"context"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestPriority: with room for some rows of the other rank only, those leave that
// matter most: rows have values 1 + row², and row + 1 is added.
func TestPriority(t *testing.T) {
	const rows, room = 64, 8
	first := func(row int64) bool { return row < rows/2 }
	last := func(row int64) bool { return row >= rows/2 }
	for _, x := range []struct {
		p      Priority
		read   bool
		sparse bool
		leaves func(row int64) bool
	}{
		{Magnitude, true, false, last}, {RelativeMagnitude, true, false, first}, {RelativeMagnitude, true, true, first},
		{RelativeMagnitude, false, false, last}, {RelativeMagnitude, false, true, last}, // nothing is known but what is added
	} {
		runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			s, err := Open(ctx, c, Config{Policy: Managed(9, x.p), Bandwidth: 1})
			if err != nil {
				return err
			}
			table, err := CreateTable(ctx, s, TableSpec[float64]{Name: "x", Rows: rows, Width: 2, Sparse: x.sparse, Init: func(row int64, x []float64) {
				x[1] = float64(1 + row*row)
			}})
			if err != nil {
				return err
			}
			err = s.Work(ctx, func(ctx context.Context, w *Worker) error {
				v, got := table.View(w), make([]float64, 2)
				if err := w.Clock(ctx); err != nil { // copies of age 0 are known, too
					return err
				}
				for row := range int64(rows) {
					if x.read {
						if err := v.Get(ctx, row, got); err != nil {
							return err
						}
					}
					v.IncAt(row, 1, float64(row+1))
				}
				log := v.log.Open()
				bytes := int64(log.Travel(0, 0))
				v.log.Allow(room * bytes)
				e := v.log.SealSome(int64(w.clock), false)
				if e == nil {
					return errors.New("nothing leaves")
				}
				far := 0
				for _, row := range e.Rows {
					if table.owner(row) == s.rank {
						continue
					}
					far++
					if !x.leaves(row) {
						return errors.Errorf("row %d leaves among the first, of %v", row, e.Rows)
					}
				}
				if far != room || len(e.Rows) != room+rows/2 || v.log.Held() != rows/2-room {
					return errors.Errorf("%d rows leave, %d of them for the other rank, %d stay", len(e.Rows), far, v.log.Held())
				}
				if got := v.log.Spent(); got.Bytes != room*bytes || got.May != got.Bytes || !got.Short {
					return errors.Errorf("spent %+v", got)
				}
				table.sealed[w.index] = append(table.sealed[w.index], e)
				return nil
			})
			if err != nil {
				return errors.WithMessagef(err, "%+v", x.p)
			}
			if err := s.Sync(ctx); err != nil {
				return err
			}
			for row, got := range table.Owned() {
				if want := float64(1+row*row) + 2*float64(row+1); got[1] != want {
					return errors.Errorf("row %d: %v, want %v", row, got, want)
				}
			}
			return s.Close(ctx)
		})
	}
}
