package ssp

import (
	"context"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestFetchOfRepeatedRows: a row that is wanted twice is asked for once. It is
// where an older request for it is answered between two looks at the cache.
func TestFetchOfRepeatedRows(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		s, err := Open(ctx, c, Config{Policy: BSP()})
		if err != nil {
			return err
		}
		table, err := CreateTable(ctx, s, TableSpec[float64]{Name: "x", Rows: 8, Width: 1})
		if err != nil {
			return err
		}
		err = s.Work(ctx, func(ctx context.Context, w *Worker) error {
			other := 1 - c.Rank()
			var rows []int64
			for row := range int64(8) {
				if table.owner(row) == other {
					rows = append(rows, row, row)
				}
			}
			p := &table.peers[other]
			p.mu.Lock()
			for _, row := range rows {
				p.cache.Want(row, 0, 0, false)
			}
			p.mu.Unlock()
			if asked := table.fetch(other, rows, 0); asked != len(rows)/2 {
				return errors.Errorf("asked for %d of %d rows", asked, len(rows)/2)
			}
			v, x := table.View(w), []float64{1}
			for row := range int64(8) {
				if err := v.Get(ctx, row, x); err != nil || x[0] != 0 {
					return errors.Errorf("row %d is %v, error %v", row, x, err)
				}
			}
			return nil
		})
		return errors.WithMessage(err, "work")
	})
}
