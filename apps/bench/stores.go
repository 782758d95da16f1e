package main

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/ssp"
)

// A rank owns so many rows of a table: fewer of long rows, to stay within bytes.
const (
	mostRows  = 1024
	leastRows = 8
	tableSize = 4 << 20
)

var rowSizes = []int{128}

// stores are what workers do with a table of float32. A row has so many bytes.
var stores = []benchmark{
	{
		name: "store-get-local", ranks: 1, unit: 4, sizes: rowSizes,
		text: "the first Get of a row in a clock, on the rank that owns it",
		start: func(ctx context.Context, e env) (*trial, error) {
			s, err := openStore(ctx, e, true)
			if err != nil {
				return nil, err
			}
			return s.trial(s.clock, func(ctx context.Context) error { return s.getEach(ctx, 0) }, s.share), nil
		},
	},
	{
		name: "store-get-cached", ranks: 2, unit: 4, sizes: rowSizes,
		text: "a Get of another rank's row that was read in this clock before",
		start: func(ctx context.Context, e env) (*trial, error) {
			s, err := openStore(ctx, e, true)
			if err != nil {
				return nil, err
			}
			return s.trial(nil, func(ctx context.Context) error { return s.getEach(ctx, s.share) }, s.share), nil
		},
	},
	{
		name: "store-get-remote", ranks: 2, unit: 4, sizes: rowSizes,
		text: "a Get that asks the row's owner: a round trip",
		start: func(ctx context.Context, e env) (*trial, error) {
			s, err := openStore(ctx, e, true)
			if err != nil {
				return nil, err
			}
			return s.trial(s.clock, func(ctx context.Context) error {
				s.last = int64(s.share) + (s.last+1)%int64(s.share)
				return s.view.Get(ctx, s.last, s.row)
			}, 1), nil
		},
	},
	{
		name: "store-get-many", ranks: 2, unit: 4, sizes: rowSizes,
		text: "a row of up to 1024 that are asked of their owners, all other ranks, at once",
		start: func(ctx context.Context, e env) (*trial, error) {
			s, err := openStore(ctx, e, true)
			if err != nil {
				return nil, err
			}
			rows := make([]int64, s.share)
			for i := range rows {
				owner := 1 + i%(e.Size()-1)
				rows[i] = int64(owner*s.share + i)
			}
			many := make([]float32, s.share*s.width)
			t := s.trial(s.clock, func(ctx context.Context) error { return s.view.GetMany(ctx, rows, many) }, s.share)
			t.check = func(context.Context) error {
				if s.view == nil {
					return nil
				}
				for i, row := range rows {
					if err := s.checkRow(row, many[i*s.width:(i+1)*s.width], 0); err != nil {
						return err
					}
				}
				return nil
			}
			return t, nil
		},
	},
	{
		name: "store-inc", ranks: 1, unit: 4, sizes: rowSizes,
		text: "an Inc of a row; what leaves the rank for it is not counted",
		start: func(ctx context.Context, e env) (*trial, error) {
			s, err := openStore(ctx, e, true)
			if err != nil {
				return nil, err
			}
			ones, times := s.ones(), 0
			t := s.trial(s.clock, func(context.Context) error {
				times++
				for i := range int64(s.share) {
					s.view.Inc(s.rows-int64(s.share)+i, ones)
				}
				return nil
			}, s.share)
			t.check = func(ctx context.Context) error {
				if s.view == nil {
					return nil
				}
				s.last = s.rows - int64(s.share)
				if err := s.view.Get(ctx, s.last, s.row); err != nil {
					return err
				}
				return s.checkRow(s.last, s.row, times)
			}
			return t, nil
		},
	},
	{
		name: "store-clock", ranks: 1, unit: 4, sizes: rowSizes,
		text: "an iteration under bsp: Inc of a row that the next rank owns, Clock, Get of that row; slowest rank",
		start: func(ctx context.Context, e env) (*trial, error) {
			s, err := openStore(ctx, e, false)
			if err != nil {
				return nil, err
			}
			ones, clocks := s.ones(), 0
			row := int64((e.Rank() + 1) % e.Size() * s.share)
			t := s.trial(nil, func(ctx context.Context) error {
				clocks++
				s.view.Inc(row, ones)
				if err := s.worker.Clock(ctx); err != nil {
					return err
				}
				return s.view.Get(ctx, row, s.row)
			}, 1)
			t.before = func(ctx context.Context) error { return collectives.Barrier(ctx, e.Comm) }
			t.check = func(context.Context) error { return s.checkRow(row, s.row, clocks) }
			t.slowest = true
			return t, nil
		},
	},
}

// store is a store with one table. Rank r owns share rows from r·share on.
type store struct {
	env
	*ssp.Store
	worker *ssp.Worker
	view   *ssp.View[float32] // nil on ranks that do nothing
	share  int                // rows that each rank owns
	rows   int64
	width  int
	row    []float32
	last   int64 // the row that was read last
}

// openStore opens a store under bsp. Alone, only rank 0's worker takes part, so
// that its clocks wait for nobody. It is collective.
func openStore(ctx context.Context, e env, alone bool) (*store, error) {
	s := &store{env: e, share: min(max(tableSize/e.size, leastRows), mostRows), width: e.size / 4}
	s.rows = int64(e.Size() * s.share)
	s.row = make([]float32, s.width)
	var err error
	// Only what is read is fetched, so that a sample is what it says.
	if s.Store, err = ssp.Open(ctx, e.Comm, ssp.Config{Policy: ssp.BSP(), Refetch: -1}); err != nil {
		return nil, err
	}
	table, err := ssp.CreateTable(ctx, s.Store, ssp.TableSpec[float32]{
		Name: "bench", Rows: s.rows, Width: s.width, Place: ssp.Range,
		Init: func(row int64, x []float32) {
			for i := range x {
				x[i] = cell(row, i)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	if s.worker, err = s.NewWorker(); err != nil {
		return nil, err
	}
	if alone && e.Rank() != 0 {
		return s, s.worker.Close()
	}
	s.view = table.View(s.worker)
	return s, nil
}

// cell is what the table holds at first.
func cell(row int64, col int) float32 { return float32(1 + (row+int64(col))%101) }

// trial repeats something on ranks that have a view.
func (s *store) trial(before, once func(ctx context.Context) error, per int) *trial {
	t := &trial{per: per, flow: s.size, close: s.close}
	if s.view == nil {
		return t
	}
	t.before, t.once = before, once
	t.check = func(context.Context) error { return s.checkRow(s.last, s.row, 0) }
	return t
}

func (s *store) clock(ctx context.Context) error { return s.worker.Clock(ctx) }

// getEach reads share rows from first on, one by one.
func (s *store) getEach(ctx context.Context, first int) error {
	for i := range s.share {
		s.last = int64(first + i)
		if err := s.view.Get(ctx, s.last, s.row); err != nil {
			return err
		}
	}
	return nil
}

// ones is what one Inc adds.
func (s *store) ones() []float32 {
	x := make([]float32, s.width)
	for i := range x {
		x[i] = 1
	}
	return x
}

// checkRow reports whether x is the row after so many increments of 1. From 2²³
// on float32 may round.
func (s *store) checkRow(row int64, x []float32, added int) error {
	for i, got := range x {
		if want := cell(row, i) + float32(added); got != want {
			return errors.Errorf("wrong data: row %d has %v in column %d after %d increments, expected %v", row, got, i, added, want)
		}
	}
	return nil
}

func (s *store) close(ctx context.Context) error {
	if s.view != nil {
		if err := s.worker.Close(); err != nil {
			return err
		}
	}
	return s.Store.Close(ctx)
}
