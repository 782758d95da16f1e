package collectives

import (
	"cmp"
	"reflect"
	"unsafe"

	"github.com/sspurn/sspurn/runtime"
)

// Op names an operation for vectors of T: Sum, Prod, Max, Min, BitAnd, BitOr,
// BitXor, MaxLoc, MinLoc, or what [Func] or [FuncOf] returns. They are functions
// so that the element type need not be written where they are passed.
type Op[T runtime.Elem] func() Kernel[T]

// Kernel is an operation at work.
type Kernel[T runtime.Elem] struct {
	name    string
	unit    int // elements that belong together
	builtin opcode
	combine func(dst, src []T) // of the program; nil for those of this package
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
func Sum[T runtime.Elem]() Kernel[T] { return Kernel[T]{name: "sum", unit: 1, builtin: opSum} }

// Prod multiplies.
func Prod[T runtime.Elem]() Kernel[T] { return Kernel[T]{name: "prod", unit: 1, builtin: opProd} }

// Max keeps the greater; a NaN wins.
func Max[T Ordered]() Kernel[T] { return Kernel[T]{name: "max", unit: 1, builtin: opMax} }

// Min keeps the lesser; a NaN wins.
func Min[T Ordered]() Kernel[T] { return Kernel[T]{name: "min", unit: 1, builtin: opMin} }

// BitAnd keeps the bits that are set in both.
func BitAnd[T Integer]() Kernel[T] { return Kernel[T]{name: "bitand", unit: 1, builtin: opAnd} }

// BitOr keeps the bits that are set in either.
func BitOr[T Integer]() Kernel[T] { return Kernel[T]{name: "bitor", unit: 1, builtin: opOr} }

// BitXor keeps the bits that are set in one only.
func BitXor[T Integer]() Kernel[T] { return Kernel[T]{name: "bitxor", unit: 1, builtin: opXor} }

// MaxLoc is for vectors of pairs, of a value and where it was found, one behind
// the other: it keeps the pair of the greater value, and of equal values that
// of the lesser place; a NaN wins.
func MaxLoc[T Ordered]() Kernel[T] { return Kernel[T]{name: "maxloc", unit: 2, builtin: opMaxLoc} }

// MinLoc is MaxLoc for the lesser value.
func MinLoc[T Ordered]() Kernel[T] { return Kernel[T]{name: "minloc", unit: 2, builtin: opMinLoc} }

// Func makes an operation of combine, which sets dst[i] to dst[i] op src[i] for
// slices of equal length that do not overlap, and must be associative; one that
// does not commute needs [InOrder]. combine is called for parts of the vectors
// and leaves src as it is. Ranks compare names, of which the first 20 bytes count.
// A panic of combine ends the job like one of the body, in a started call too.
func Func[T runtime.Elem](name string, combine func(dst, src []T)) Op[T] {
	return FuncOf(name, 1, combine)
}

// FuncOf is Func for elements of the operation, such as matrices, that take unit
// elements of the vector each: parts of vectors have whole ones.
func FuncOf[T runtime.Elem](name string, unit int, combine func(dst, src []T)) Op[T] {
	return func() Kernel[T] { return Kernel[T]{name: name, unit: unit, combine: combine} }
}

// combiner is a kernel without its type: it sets dst to left op right, slices of
// the same length, of which dst may be either. If it is right, left is lost
// unless the combiner keeps it.
type combiner interface {
	combine(dst, left, right []byte)
}

// keeps reports whether a combiner leaves left as it is even if dst is right.
func keeps(k combiner) bool {
	_, ok := k.(kernelFunc)
	return ok
}

// combinerOf returns what a kernel does with bytes.
func combinerOf[T runtime.Elem](k Kernel[T]) combiner {
	if k.combine != nil {
		return userFunc[T]{k.combine}
	}
	return builtins[k.builtin][reflect.TypeFor[T]().Kind()]
}

// userFunc is an operation of the program.
type userFunc[T runtime.Elem] struct{ f func(dst, src []T) }

func (u userFunc[T]) combine(dst, left, right []byte) {
	d, l, r := elemsOf[T](dst), elemsOf[T](left), elemsOf[T](right)
	switch {
	case &d[0] == &r[0]:
		u.f(l, r)
		copy(d, l)
	case &d[0] == &l[0]:
		u.f(d, r)
	default:
		copy(d, l)
		u.f(d, r)
	}
}

// elemsOf views bytes, at the address of an element and not none, as elements.
func elemsOf[T runtime.Elem](b []byte) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/sizeOf[T]())
}
