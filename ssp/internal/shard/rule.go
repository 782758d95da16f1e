package shard

import (
	"slices"

	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// steps is the scratch of rules.
type steps[T codec.Elem] struct {
	g []T // dense: what was sent for a row

	// Of sparse rows: the gradient's entries, and the elements of the row in
	// these columns, values and state column after column.
	col    []int32
	val, x []T
	out    []int32 // the new row
	outVal []T
}

// step is apply under a rule, which runs once for each row of the block.
func (t *Rows[T]) step(d *codec.Decoder) error {
	for d.NextRow() {
		row := d.Row()
		if err := t.owns(row); err != nil {
			return err
		}
		s := t.Slot(row)
		if t.spec.Sparse {
			if err := t.stepSparse(s, d); err != nil {
				return err
			}
		} else {
			if t.steps.g == nil {
				t.steps.g = make([]T, t.spec.Rule.Head())
			}
			if err := codec.CopyTo(d, t.steps.g); err != nil {
				return err
			}
			t.spec.Rule.Step(row, t.rows.At(s), t.steps.g)
		}
		t.touch(s)
	}
	return d.Err()
}

// stepSparse runs the rule on those elements of a sparse row for which there is
// a gradient. State lies in columns of its own: element c of column k of the
// state in column (1+k)·width + c, the count behind all of them.
func (t *Rows[T]) stepSparse(s int, d *codec.Decoder) error {
	p, r, width := &t.steps, t.spec.Rule, t.spec.Width
	var err error
	if p.col, p.val, err = codec.SparseTo(d, width, p.col[:0], p.val[:0]); err != nil {
		return err
	}
	n, parts := len(p.col), t.rows.Width()/width
	p.x = slices.Grow(p.x[:0], parts*n)[:parts*n]
	clear(p.x)
	col, val := t.rows.Entries(s)
	for k, at := 0, 0; k < parts; k++ {
		i := 0
		for ; at < len(col) && int(col[at]) < (k+1)*width; at++ {
			for i < n && int(p.col[i])+k*width < int(col[at]) {
				i++
			}
			if i < n && int(p.col[i])+k*width == int(col[at]) {
				p.x[k*n+i] = val[at]
			}
		}
	}
	var count T
	counts := t.rows.Width() > parts*width
	if counts && len(col) > 0 && int(col[len(col)-1]) == parts*width {
		count = val[len(col)-1]
	}
	r.Elements(p.x[:n], p.x[n:], &count, p.val)
	p.out, p.outVal = p.out[:0], p.outVal[:0]
	add := func(c int, v T) {
		if v != 0 {
			p.out, p.outVal = append(p.out, int32(c)), append(p.outVal, v)
		}
	}
	at := 0
	for k := range parts {
		for i, c := range p.col {
			c := int(c) + k*width
			for at < len(col) && int(col[at]) < c {
				add(int(col[at]), val[at])
				at++
			}
			if at < len(col) && int(col[at]) == c {
				at++
			}
			add(c, p.x[k*n+i])
		}
	}
	for ; at < len(col) && int(col[at]) < parts*width; at++ {
		add(int(col[at]), val[at])
	}
	if counts {
		add(parts*width, count)
	}
	t.rows.Put(s, p.out, p.outVal)
	return nil
}
