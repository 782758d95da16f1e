package slab

import (
	"slices"

	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// pageBytes is about the size of a page of rows.
const pageBytes = 32 << 10

// Rows is an array of rows of one width, by slot. Dense rows lie in pages that
// never move, so a row's slice is good until the slot is reused; sparse rows
// are entries (columns increasing, no zeros) in arenas by size.
type Rows[T codec.Elem] struct {
	width  int
	head   int // elements that Encode takes
	sparse bool
	n      int

	pages [][]T
	shift uint
	mask  int

	spans   []span
	classes []class[T]
	col     []int32 // scratch
	val     []T
	col2    []int32
	val2    []T
}

type span struct{ class, len, at int32 }

// class holds rows of up to 4<<class entries.
type class[T codec.Elem] struct {
	col  []int32
	val  []T
	free []int32
}

// NewRows returns no rows of a width.
func NewRows[T codec.Elem](width int, sparse bool) Rows[T] {
	r := Rows[T]{width: width, head: width, sparse: sparse}
	for r.shift < 12 && (width<<r.shift)*codec.TypeOf[T]().Size() < pageBytes {
		r.shift++
	}
	r.mask = 1<<r.shift - 1
	return r
}

// NewPacked returns rows of a width of which only the first head elements leave
// by Encode, and by Set into rows of that width.
func NewPacked[T codec.Elem](width, head int, sparse bool) Rows[T] {
	r := NewRows[T](width, sparse)
	r.head = head
	return r
}

// Len returns the number of slots.
func (r *Rows[T]) Len() int { return r.n }

// Sparse reports whether rows are entries.
func (r *Rows[T]) Sparse() bool { return r.sparse }

// Width returns the elements of a row.
func (r *Rows[T]) Width() int { return r.width }

// Head returns the elements of a row that leave.
func (r *Rows[T]) Head() int { return r.head }

// PageRows returns the number of dense rows in a page.
func (r *Rows[T]) PageRows() int { return r.mask + 1 }

// Grow makes slots up to n, of zero rows.
func (r *Rows[T]) Grow(n int) {
	if n <= r.n {
		return
	}
	if r.sparse {
		for len(r.spans) < n {
			r.spans = append(r.spans, span{class: -1})
		}
	} else {
		for len(r.pages)<<r.shift < n {
			r.pages = append(r.pages, make([]T, r.width<<r.shift))
		}
	}
	r.n = n
}

// Reserve makes slots up to n whose dense pages do not exist yet.
func (r *Rows[T]) Reserve(n int) {
	if r.sparse {
		r.Grow(n)
		return
	}
	for len(r.pages)<<r.shift < n {
		r.pages = append(r.pages, nil)
	}
	r.n = max(r.n, n)
}

// Page makes the page of a slot if it does not exist, and reports that it did
// not.
func (r *Rows[T]) Page(slot int) bool {
	if p := slot >> r.shift; r.pages[p] == nil {
		r.pages[p] = make([]T, r.width<<r.shift)
		return true
	}
	return false
}

// Missing reports that the page of a slot does not exist.
func (r *Rows[T]) Missing(slot int) bool { return r.pages[slot>>r.shift] == nil }

// At returns the memory of a dense row.
func (r *Rows[T]) At(slot int) []T {
	at := (slot & r.mask) * r.width
	return r.pages[slot>>r.shift][at : at+r.width : at+r.width]
}

// Entries returns a sparse row, good until the next change of any.
func (r *Rows[T]) Entries(slot int) ([]int32, []T) {
	s := r.spans[slot]
	if s.class < 0 {
		return nil, nil
	}
	c := &r.classes[s.class]
	return c.col[s.at : s.at+s.len], c.val[s.at : s.at+s.len]
}

// leaving is Entries without those beyond the head.
func (r *Rows[T]) leaving(slot int) ([]int32, []T) {
	col, val := r.Entries(slot)
	if r.head < r.width {
		n, _ := slices.BinarySearch(col, int32(r.head))
		col, val = col[:n], val[:n]
	}
	return col, val
}

// Put makes the entries, columns increasing and none of them zero, the row of a
// slot; they must not be its own.
func (r *Rows[T]) Put(slot int, col []int32, val []T) { r.put(slot, col, val) }

// Bytes returns the memory that a slot takes.
func (r *Rows[T]) Bytes(slot int) int {
	size := codec.TypeOf[T]().Size()
	if !r.sparse {
		return r.width * size
	}
	if s := r.spans[slot]; s.class >= 0 {
		return (4 << s.class) * (4 + size)
	}
	return 0
}

// put makes the entries the row of a slot; they must not be its own.
func (r *Rows[T]) put(slot int, col []int32, val []T) {
	s := &r.spans[slot]
	want := int32(-1)
	if len(col) > 0 {
		for want = 0; 4<<want < len(col); want++ {
		}
	}
	if s.class != want {
		if s.class >= 0 {
			c := &r.classes[s.class]
			c.free = append(c.free, s.at)
		}
		s.class = want
		if want >= 0 {
			for int(want) >= len(r.classes) {
				r.classes = append(r.classes, class[T]{})
			}
			c := &r.classes[want]
			if n := len(c.free); n > 0 {
				s.at = c.free[n-1]
				c.free = c.free[:n-1]
			} else {
				s.at = int32(len(c.col))
				c.col = append(c.col, make([]int32, 4<<want)...)
				c.val = append(c.val, make([]T, 4<<want)...)
			}
		}
	}
	s.len = int32(len(col))
	if want >= 0 {
		c := &r.classes[want]
		copy(c.col[s.at:], col)
		copy(c.val[s.at:], val)
	}
}

// Clear makes a row zero.
func (r *Rows[T]) Clear(slot int) {
	if r.sparse {
		r.put(slot, nil, nil)
	} else {
		clear(r.At(slot))
	}
}

// Set makes a row that of other rows.
func (r *Rows[T]) Set(slot int, from *Rows[T], at int) {
	if r.sparse {
		col, val := from.leaving(at)
		r.put(slot, col, val)
	} else {
		copy(r.At(slot), from.At(at))
	}
}

// SetDense makes a row x.
func (r *Rows[T]) SetDense(slot int, x []T) {
	if !r.sparse {
		copy(r.At(slot), x)
		return
	}
	r.gather(x)
	r.put(slot, r.col, r.val)
}

func (r *Rows[T]) gather(x []T) {
	r.col, r.val = r.col[:0], r.val[:0]
	for i, v := range x {
		if v != 0 {
			r.col, r.val = append(r.col, int32(i)), append(r.val, v)
		}
	}
}

// Add adds a row of other rows of the same kind.
func (r *Rows[T]) Add(slot int, from *Rows[T], at int) {
	if r.sparse {
		col, val := from.Entries(at)
		r.AddEntries(slot, col, val)
		return
	}
	Add(r.At(slot), from.At(at))
}

// Add adds src, which is as long, to dst.
func Add[T codec.Elem](dst, src []T) {
	src = src[:len(dst)]
	for len(dst) >= 8 && len(src) >= 8 {
		d, x := (*[8]T)(dst), (*[8]T)(src)
		d[0] += x[0]
		d[1] += x[1]
		d[2] += x[2]
		d[3] += x[3]
		d[4] += x[4]
		d[5] += x[5]
		d[6] += x[6]
		d[7] += x[7]
		dst, src = dst[8:], src[8:]
	}
	for i, v := range src {
		dst[i] += v
	}
}

// AddDense adds x.
func (r *Rows[T]) AddDense(slot int, x []T) {
	if !r.sparse {
		Add(r.At(slot), x)
		return
	}
	r.gather(x)
	r.AddEntries(slot, r.col, r.val)
}

// AddEntries adds entries whose columns increase.
func (r *Rows[T]) AddEntries(slot int, col []int32, val []T) {
	if !r.sparse {
		x := r.At(slot)
		for i, c := range col {
			x[c] += val[i]
		}
		return
	}
	a, av := r.Entries(slot)
	out, ov := r.col2[:0], r.val2[:0]
	for i, j := 0, 0; i < len(a) || j < len(col); {
		switch {
		case j == len(col) || i < len(a) && a[i] < col[j]:
			out, ov = append(out, a[i]), append(ov, av[i])
			i++
		case i == len(a) || col[j] < a[i]:
			if val[j] != 0 {
				out, ov = append(out, col[j]), append(ov, val[j])
			}
			j++
		default:
			if v := av[i] + val[j]; v != 0 {
				out, ov = append(out, a[i]), append(ov, v)
			}
			i++
			j++
		}
	}
	r.col2, r.val2 = out, ov
	r.put(slot, out, ov)
}

// AddAt adds to one element.
func (r *Rows[T]) AddAt(slot, col int, v T) {
	if r.sparse {
		r.AddEntries(slot, []int32{int32(col)}, []T{v})
	} else {
		r.At(slot)[col] += v
	}
}

// Decode makes a row what the decoder holds.
func (r *Rows[T]) Decode(slot int, d *codec.Decoder) error {
	if !r.sparse {
		return codec.CopyTo(d, r.At(slot))
	}
	var err error
	r.col, r.val, err = codec.SparseTo(d, r.width, r.col[:0], r.val[:0])
	if err == nil {
		r.put(slot, r.col, r.val)
	}
	return err
}

// DecodeAdd adds what the decoder holds.
func (r *Rows[T]) DecodeAdd(slot int, d *codec.Decoder) error {
	if !r.sparse {
		return codec.AddTo(d, r.At(slot))
	}
	var err error
	r.col, r.val, err = codec.SparseTo(d, r.width, r.col[:0], r.val[:0])
	if err == nil {
		r.AddEntries(slot, r.col, r.val)
	}
	return err
}

// Encode adds the row to a message.
func (r *Rows[T]) Encode(slot int, e *codec.Encoder, row int64) {
	if r.sparse {
		col, val := r.leaving(slot)
		codec.Sparse(e, row, col, val)
	} else {
		codec.Dense(e, row, r.At(slot)[:r.head])
	}
}

// CopyTo sets dst to the row.
func (r *Rows[T]) CopyTo(dst []T, slot int) {
	if !r.sparse {
		copy(dst, r.At(slot))
		return
	}
	clear(dst)
	col, val := r.Entries(slot)
	for i, c := range col {
		dst[c] = val[i]
	}
}

// Zero reports whether all elements of a row are zero.
func (r *Rows[T]) Zero(slot int) bool {
	if r.sparse {
		return r.spans[slot].class < 0
	}
	for _, v := range r.At(slot) {
		if v != 0 {
			return false
		}
	}
	return true
}
