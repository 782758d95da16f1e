package ssp

import (
	"math"

	"github.com/sspurn/sspurn/linalg"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/oplog"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// The worker's side of update rules that are not addition: gradients collect in
// the log and show in no read. Where rows travel with their gradient sum
// (AdaRevision), behind the values, a gradient has that of the copy behind it.

// gradient returns the slot in the open entry of a row's gradient.
func (v *View[T]) gradient(row int64, s int) int {
	n := v.log.Touched()
	at := v.log.Touch(row, s)
	if width := v.t.spec.Width; at == n && v.t.wire > width {
		copy(v.log.Open().At(at)[width:], v.data.At(s)[width:])
	}
	return at
}

func (v *View[T]) incGradient(row int64, s int, g []T) {
	at, open := v.gradient(row, s), v.log.Open()
	if v.t.spec.Sparse {
		open.AddDense(at, g)
	} else {
		slab.Add(open.At(at)[:len(g)], g)
	}
}

func (v *View[T]) incGradientAt(row int64, s, col int, g T) {
	v.log.Open().AddAt(v.gradient(row, s), col, g)
}

func (v *View[T]) incGradientSparse(row int64, s int, g linalg.Sparse[T]) {
	v.log.Open().AddEntries(v.gradient(row, s), g.Col, g.Val)
}

// unread makes the gradient sum of a copy that does not exist yet: unknown.
func (v *View[T]) unread(s int) {
	x := v.data.At(s)[v.t.spec.Width:]
	for i := range x {
		x[i] = T(math.NaN())
	}
}

// pick is a worker's gradient of a row.
type pick[T Elem] struct {
	row int64
	e   *oplog.Entry[T]
	at  int32
}

// encodeRevised is encodeMerged for gradients that have the gradient sum of
// their copy behind them. Those of a row with the same sum are added up; where
// there are several sums, rows come in as many blocks.
func (t *Table[T]) encodeRevised(merge []source[T], encs []codec.Encoder, touched []bool) (rows int) {
	t.picks = t.picks[:0]
	for last := int64(-1); ; rows++ {
		row := int64(-1)
		for _, m := range merge {
			if m.at < len(m.e.Rows) && (row < 0 || m.e.Rows[m.at] < row) {
				row = m.e.Rows[m.at]
			}
		}
		if row < 0 {
			break
		}
		if row <= last {
			panic("ssp: rows of an entry are out of order")
		}
		last = row
		for i := range merge {
			if m := &merge[i]; m.at < len(m.e.Rows) && m.e.Rows[m.at] == row {
				t.picks = append(t.picks, pick[T]{row, m.e, m.e.At[m.at]})
				m.at++
			}
		}
	}
	block := codec.Block{Table: uint32(t.id), Type: codec.TypeOf[T](), Width: t.wire}
	width := t.spec.Width
	for left := t.picks; len(left) > 0; {
		for o := range encs {
			encs[o].Table(block)
		}
		later := 0
		for i := 0; i < len(left); {
			row := left[i].row
			t.sum.Set(0, &left[i].e.Delta, int(left[i].at))
			sum := t.sum.At(0)
			for i++; i < len(left) && left[i].row == row; i++ {
				next := left[i].e.Delta.At(int(left[i].at))
				if !same(sum[width:], next[width:]) {
					left[later] = left[i]
					later++
					continue
				}
				slab.Add(sum[:width], next[:width])
			}
			o := t.owner(row)
			touched[o] = true
			t.sum.Encode(0, &encs[o], row)
		}
		left = left[:later]
	}
	return rows
}

// same reports whether a and b are equal, where what is no number is equal too.
func same[T Elem](a, b []T) bool {
	b = b[:len(a)]
	for i, x := range a {
		if y := b[i]; x != y && !(math.IsNaN(float64(x)) && math.IsNaN(float64(y))) {
			return false
		}
	}
	return true
}
