package slab

import (
	"math"

	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// Max returns the largest magnitude of a row's elements: NaN where one of them is.
func (r *Rows[T]) Max(slot int) float64 {
	var x []T
	if r.sparse {
		_, x = r.Entries(slot)
	} else {
		x = r.At(slot)
	}
	least, most := T(0), T(0)
	for _, v := range x {
		if v != v {
			return math.NaN()
		}
		least, most = min(least, v), max(most, v)
	}
	return max(-float64(least), float64(most))
}

// Round rounds a row to what travels in so many bits, as codec.Round does, and
// makes the row at a slot of rest, of the same kind, what is left over. It
// reports whether that is anything.
func (r *Rows[T]) Round(slot int, rest *Rows[T], at int, bits codec.Bits) bool {
	if !r.sparse {
		codec.Round(r.At(slot), rest.At(at), bits)
		return !rest.Zero(at)
	}
	col, val := r.Entries(slot)
	if len(col) == 0 {
		rest.put(at, nil, nil)
		return false
	}
	r.val = append(r.val[:0], val...)
	if cap(r.val2) < len(val) {
		r.val2 = make([]T, len(val))
	}
	left := r.val2[:len(val)]
	codec.Round(r.val, left, bits)
	r.col, r.col2 = r.col[:0], r.col2[:0]
	a, b := 0, 0
	for i, c := range col {
		if v := left[i]; v != 0 {
			left[b] = v
			r.col2 = append(r.col2, c)
			b++
		}
		if v := r.val[i]; v != 0 {
			r.val[a] = v
			r.col = append(r.col, c)
			a++
		}
	}
	rest.put(at, r.col2, left[:b])
	r.put(slot, r.col, r.val[:a])
	return b > 0
}

// Travel is about how many bytes a row takes in a message when its values have
// so many bits.
func (r *Rows[T]) Travel(slot int, bits codec.Bits) int {
	t := codec.TypeOf[T]()
	head := 1
	if bits != codec.Full {
		head++
	}
	if t >= codec.Int32 { // counts, mostly small: a byte each, and one for the column
		n := 0
		if r.sparse {
			col, _ := r.Entries(slot)
			n = len(col)
		} else {
			for _, v := range r.At(slot) {
				if v != 0 {
					n++
				}
			}
		}
		return head + min(1+2*n, r.width)
	}
	if r.sparse {
		col, _ := r.Entries(slot)
		return min(head+1+len(col)*(1+bits.Size(t)), head+r.width*bits.Size(t))
	}
	return head + r.width*bits.Size(t)
}
