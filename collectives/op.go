package collectives

import (
	"cmp"

	"github.com/sspurn/sspurn/runtime"
)

// Op names an operation for vectors of T: Sum, Prod, Max, Min, BitAnd, BitOr,
// BitXor, or what [Func] returns. They are functions so that the element type
// need not be written where they are passed.
type Op[T runtime.Elem] func() Kernel[T]

// Kernel is an operation at work.
type Kernel[T runtime.Elem] struct {
	name    string
	combine func(dst, src []T)
}

// Integer is the set of elements that have bits.
type Integer interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Ordered is the set of elements that compare.
type Ordered interface {
	runtime.Elem
	cmp.Ordered
}

// Sum adds.
func Sum[T runtime.Elem]() Kernel[T] {
	return Kernel[T]{"sum", func(dst, src []T) {
		src = src[:len(dst)]
		for len(dst) >= 4 && len(src) >= 4 {
			dst[0] += src[0]
			dst[1] += src[1]
			dst[2] += src[2]
			dst[3] += src[3]
			dst, src = dst[4:], src[4:]
		}
		for i := range dst {
			dst[i] += src[i]
		}
	}}
}

// Prod multiplies.
func Prod[T runtime.Elem]() Kernel[T] {
	return Kernel[T]{"prod", func(dst, src []T) {
		src = src[:len(dst)]
		for i := range dst {
			dst[i] *= src[i]
		}
	}}
}

// Max keeps the greater; a NaN wins.
func Max[T Ordered]() Kernel[T] {
	return Kernel[T]{"max", func(dst, src []T) {
		src = src[:len(dst)]
		for i := range dst {
			dst[i] = max(dst[i], src[i])
		}
	}}
}

// Min keeps the lesser; a NaN wins.
func Min[T Ordered]() Kernel[T] {
	return Kernel[T]{"min", func(dst, src []T) {
		src = src[:len(dst)]
		for i := range dst {
			dst[i] = min(dst[i], src[i])
		}
	}}
}

// BitAnd keeps the bits that are set in both.
func BitAnd[T Integer]() Kernel[T] {
	return Kernel[T]{"bitand", func(dst, src []T) {
		src = src[:len(dst)]
		for i := range dst {
			dst[i] &= src[i]
		}
	}}
}

// BitOr keeps the bits that are set in either.
func BitOr[T Integer]() Kernel[T] {
	return Kernel[T]{"bitor", func(dst, src []T) {
		src = src[:len(dst)]
		for i := range dst {
			dst[i] |= src[i]
		}
	}}
}

// BitXor keeps the bits that are set in one only.
func BitXor[T Integer]() Kernel[T] {
	return Kernel[T]{"bitxor", func(dst, src []T) {
		src = src[:len(dst)]
		for i := range dst {
			dst[i] ^= src[i]
		}
	}}
}

// Func makes an operation of combine, which sets dst[i] to dst[i] op src[i] for
// slices of equal length, and must be associative; one that does not commute
// needs [InOrder]. Ranks compare names, of which the first 20 bytes count.
func Func[T runtime.Elem](name string, combine func(dst, src []T)) Op[T] {
	return func() Kernel[T] { return Kernel[T]{name, combine} }
}

// Option tunes one call.
type Option func(*options)

type options struct {
	inOrder bool
	counts  []int
}

// InOrder makes Reduce and Allreduce combine neighbouring runs of ranks only,
// the lower one first: for operations that do not commute, and for sums that
// must not depend on the length of the vector. What is combined with what then
// depends on the number of ranks alone.
func InOrder(o *options) { o.inOrder = true }

// Counts gives the block of every rank its own length, in Gather, Allgather and
// Scatter; without it all blocks are equally long. All ranks pass equal counts,
// one for each rank, none negative.
func Counts(counts []int) Option {
	return func(o *options) { o.counts = counts }
}

func optionsOf(opts []Option) options {
	var o options
	for _, set := range opts {
		set(&o)
	}
	return o
}
