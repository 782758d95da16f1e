package linalg

import (
	"fmt"
	"sort"

	"github.com/pkg/errors"
)

// Sparse is a sparse row or delta: the value Val[i] stands at column Col[i] and
// every other column is zero. Col increases strictly, is never negative, and is
// as long as Val. The zero value is the empty row. A Sparse refers to its
// slices as a slice does to its array; copies share them.
type Sparse[T Number] struct {
	Col []int32
	Val []T
}

// Len returns the number of stored entries.
func (s Sparse[T]) Len() int { return len(s.Col) }

// Reset returns s without entries, its memory kept for appending.
func (s Sparse[T]) Reset() Sparse[T] { return Sparse[T]{Col: s.Col[:0], Val: s.Val[:0]} }

// Append returns s with an entry behind the others; col must be greater than
// all of them, which Append does not check ([Sparse.Check] and
// [Sparse.Normalize] do).
func (s Sparse[T]) Append(col int32, v T) Sparse[T] {
	return Sparse[T]{Col: append(s.Col, col), Val: append(s.Val, v)}
}

// At returns the value at a column, zero when no entry is stored there.
func (s Sparse[T]) At(col int32) T {
	i := sort.Search(len(s.Col), func(i int) bool { return s.Col[i] >= col })
	if i < len(s.Col) && s.Col[i] == col {
		return s.Val[i]
	}
	return 0
}

// Check reports what keeps s from being a row of the given width: lengths that
// differ, or columns that do not increase or lie outside [0, width).
func (s Sparse[T]) Check(width int) error {
	if len(s.Col) != len(s.Val) {
		return errors.Errorf("sparse row of %d columns and %d values", len(s.Col), len(s.Val))
	}
	last := int32(-1)
	for i, c := range s.Col {
		if c <= last {
			return errors.Errorf("sparse row: column %d after %d at entry %d", c, last, i)
		}
		if int(c) >= width {
			return errors.Errorf("sparse row: column %d outside the width %d", c, width)
		}
		last = c
	}
	return nil
}

// Normalize sorts entries in any order by column, in place, adds those of the
// same column in the order they had, drops sums of zero, and returns the
// result, which shares the memory of s.
func (s Sparse[T]) Normalize() Sparse[T] {
	sameLen("Normalize", len(s.Col), len(s.Val))
	s.sort()
	n := 0
	for i := 0; i < len(s.Col); {
		c, v := s.Col[i], s.Val[i]
		for i++; i < len(s.Col) && s.Col[i] == c; i++ {
			v += s.Val[i]
		}
		if v != 0 {
			s.Col[n], s.Val[n] = c, v
			n++
		}
	}
	return Sparse[T]{Col: s.Col[:n], Val: s.Val[:n]}
}

// sort orders the entries by column and keeps equal columns in their order.
func (s Sparse[T]) sort() {
	// Logs are short or nearly sorted; the interface of sort.Stable costs an
	// allocation.
	moves := 0
	for i := 1; i < len(s.Col); i++ {
		c, v := s.Col[i], s.Val[i]
		j := i
		for ; j > 0 && s.Col[j-1] > c; j-- {
			s.Col[j], s.Val[j] = s.Col[j-1], s.Val[j-1]
			moves++
		}
		s.Col[j], s.Val[j] = c, v
		if moves > 16*len(s.Col) {
			sort.Stable(byColumn[T](s))
			return
		}
	}
}

type byColumn[T Number] Sparse[T]

func (s byColumn[T]) Len() int           { return len(s.Col) }
func (s byColumn[T]) Less(i, j int) bool { return s.Col[i] < s.Col[j] }
func (s byColumn[T]) Swap(i, j int) {
	s.Col[i], s.Col[j] = s.Col[j], s.Col[i]
	s.Val[i], s.Val[j] = s.Val[j], s.Val[i]
}

// MergeTo appends the column-wise sum of a and b to dst, without columns whose
// sum is zero, and returns it. dst must not share memory with a or b; when it
// holds entries already, their columns must be smaller than those of a and b.
func MergeTo[T Number](dst, a, b Sparse[T]) Sparse[T] {
	sameLen("MergeTo", len(a.Col), len(a.Val))
	sameLen("MergeTo", len(b.Col), len(b.Val))
	i, j := 0, 0
	for i < len(a.Col) && j < len(b.Col) {
		ca, cb := a.Col[i], b.Col[j]
		switch {
		case ca < cb:
			dst = appendNonzero(dst, ca, a.Val[i])
			i++
		case ca > cb:
			dst = appendNonzero(dst, cb, b.Val[j])
			j++
		default:
			dst = appendNonzero(dst, ca, a.Val[i]+b.Val[j])
			i++
			j++
		}
	}
	for ; i < len(a.Col); i++ {
		dst = appendNonzero(dst, a.Col[i], a.Val[i])
	}
	for ; j < len(b.Col); j++ {
		dst = appendNonzero(dst, b.Col[j], b.Val[j])
	}
	return dst
}

func appendNonzero[T Number](s Sparse[T], col int32, v T) Sparse[T] {
	if v == 0 {
		return s
	}
	return s.Append(col, v)
}

// GatherTo appends the entries of the dense row x that are not zero to dst and
// returns it.
func GatherTo[T Number](dst Sparse[T], x []T) Sparse[T] {
	for i, v := range x {
		if v != 0 {
			dst = dst.Append(int32(i), v)
		}
	}
	return dst
}

// DiffTo appends the entries in which x differs from base, as x - base, to dst
// and returns it.
func DiffTo[T Number](dst Sparse[T], x, base []T) Sparse[T] {
	sameLen("DiffTo", len(x), len(base))
	for i, v := range x {
		if d := v - base[i]; d != 0 {
			dst = dst.Append(int32(i), d)
		}
	}
	return dst
}

// Nonzeros returns how many elements of x are not zero.
func Nonzeros[T Number](x []T) int {
	n := 0
	for _, v := range x {
		if v != 0 {
			n++
		}
	}
	return n
}

// Scatter sets dst to the dense form of x; it panics if a column of x lies
// outside dst.
func Scatter[T Number](dst []T, x Sparse[T]) {
	clear(dst)
	checkColumns("Scatter", len(dst), x)
	for i, c := range x.Col {
		dst[c] = x.Val[i]
	}
}

// AddSparse sets dst[c] += v for every entry of x; it panics if a column of x
// lies outside dst.
func AddSparse[T Number](dst []T, x Sparse[T]) {
	checkColumns("AddSparse", len(dst), x)
	val := x.Val[:len(x.Col)]
	for i, c := range x.Col {
		dst[c] += val[i]
	}
}

// AxpySparse sets dst[c] += alpha*v for every entry of x; it panics if a column
// of x lies outside dst. With alpha zero it does nothing.
func AxpySparse[T Number](dst []T, alpha T, x Sparse[T]) {
	checkColumns("AxpySparse", len(dst), x)
	if alpha == 0 {
		return
	}
	val := x.Val[:len(x.Col)]
	for i, c := range x.Col {
		dst[c] += T(alpha * val[i])
	}
}

// DotSparse returns the sum of x's values times y at their columns, added in
// the order of the entries; it panics if a column of x lies outside y.
func DotSparse[T Number](x Sparse[T], y []T) T {
	checkColumns("DotSparse", len(y), x)
	val := x.Val[:len(x.Col)]
	var s T
	for i, c := range x.Col {
		s += T(val[i] * y[c])
	}
	return s
}

// checkColumns panics before anything is written when x does not fit: the
// columns increase, so the first and the last decide.
func checkColumns[T Number](what string, width int, x Sparse[T]) {
	sameLen(what, len(x.Col), len(x.Val))
	if n := len(x.Col); n > 0 && (x.Col[0] < 0 || int(x.Col[n-1]) >= width) {
		panic(fmt.Sprintf("linalg: %s: columns %d to %d of a row of %d", what, x.Col[0], x.Col[n-1], width))
	}
}
