package shard_test

import (
	"testing"

	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/filter"
	"github.com/sspurn/sspurn/ssp/internal/shard"
)

// TestPace: a row that changes in each clock is pushed when it has waited for as
// many clocks as it may, not before where no byte is allowed and at once where
// enough are; the clock and the version that are announced are those up to which
// nothing waits, and rows say what else is in them.
func TestPace(t *testing.T) {
	const lag, clocks = 3, 40
	for _, allowed := range []int64{0, 1 << 20} {
		s := shard.New[int](0, 2)
		rows := shard.NewRows(shard.Spec[float32]{
			Rows: 1, Local: func(row int64) int64 { return row }, Global: func(l int64) int64 { return l },
			Owned: func(row int64) bool { return row == 0 }, Width: 1, Pushed: true, Pace: filter.Rule{Order: filter.Relative, Hold: lag},
		}, 2)
		s.AddTable(rows)
		block := codec.Block{Type: codec.Float32, Width: 1}
		var e codec.Encoder
		e.Begin(nil, codec.Header{Kind: codec.Request, Flags: codec.Subscribe, Rank: 1})
		e.Table(block)
		e.Want(0)
		if _, err := s.Answer(nil, 1, e.End(), false); err != nil {
			t.Fatal(err)
		}
		last, told := int64(0), int64(0) // the clock of the last push of the row, and what was announced
		for c := int64(1); c <= clocks; c++ {
			for r := range 2 {
				e.Begin(nil, codec.Header{Kind: codec.Batch, Flags: codec.Ticks, Rank: r, Version: uint64(c), Clock: c})
				e.Table(block)
				codec.Dense(&e, 0, []float32{1})
				if _, _, err := s.Batch(r, e.End()); err != nil {
					t.Fatal(err)
				}
			}
			bytes, short := s.Pace(allowed)
			if pending := s.Pending(); pending != bytes || short != (bytes == 0) {
				t.Fatalf("clock %d: %d bytes pending, %d released, short %v", c, pending, bytes, short)
			}
			msg, ok := s.Push(nil, 1)
			if !ok {
				if c-told > lag {
					t.Fatalf("clock %d: nothing is announced after %d", c, told)
				}
				continue
			}
			var d codec.Decoder
			if err := d.Reset(msg); err != nil {
				t.Fatal(err)
			}
			h, has := d.Header(), d.NextTable() && d.NextRow()
			if wait := c - last; has && wait != 1+lag && allowed == 0 && last > 0 || has && wait != 1 && allowed > 0 || s.Pending() != 0 {
				t.Fatalf("%d bytes a clock: row pushed at clock %d after %d, %d bytes pending", allowed, c, last, s.Pending())
			}
			if has {
				last = c
			}
			if h.Clock < c-lag || h.Clock < told || h.Clock > last || h.Version != uint64(h.Clock) || h.Version+uint64(h.Branch) != uint64(c) {
				t.Fatalf("clock %d, row of clock %d: announced %d, version %d and %d in rows", c, last, h.Clock, h.Version, h.Branch)
			}
			told = h.Clock
		}
		if last < clocks-lag {
			t.Errorf("%d bytes a clock: the row left at clock %d of %d last", allowed, last, clocks)
		}
	}
}
