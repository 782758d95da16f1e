package collectives

import (
	"reflect"

	"github.com/sspurn/sspurn/linalg"
	"github.com/sspurn/sspurn/runtime"
)

// opcode is an operation of this package.
type opcode uint8

const (
	opSum opcode = iota + 1
	opProd
	opMax
	opMin
	opAnd
	opOr
	opXor
	opMaxLoc
	opMinLoc
)

// kernelFunc is an operation of this package on vectors of one type.
type kernelFunc func(dst, left, right []byte)

func (f kernelFunc) combine(dst, left, right []byte) { f(dst, left, right) }

// byKind is an operation by element type; nil where it has none.
type byKind [reflect.Complex128 + 1]combiner

var builtins = [...]byKind{
	opSum: withComplex(byKind{
		reflect.Int8: kernelFunc(sum[int8]), reflect.Int16: kernelFunc(sum[int16]), reflect.Int32: kernelFunc(add[int32]),
		reflect.Int64: kernelFunc(add[int64]), reflect.Uint8: kernelFunc(sum[uint8]), reflect.Uint16: kernelFunc(sum[uint16]),
		// Sums of the same bits are the same, with a sign or without.
		reflect.Uint32: kernelFunc(add[int32]), reflect.Uint64: kernelFunc(add[int64]),
		reflect.Float32: kernelFunc(add[float32]), reflect.Float64: kernelFunc(add[float64]),
	}, sum[complex64], sum[complex128]),
	opProd: withComplex(withFloats(integers(prod[int8], prod[int16], prod[int32], prod[int64], prod[uint8], prod[uint16], prod[uint32], prod[uint64]),
		prod[float32], prod[float64]), prod[complex64], prod[complex128]),
	opMax: withFloats(integers(greater[int8], greater[int16], greater[int32], greater[int64], greater[uint8], greater[uint16], greater[uint32], greater[uint64]),
		greater[float32], greater[float64]),
	opMin: withFloats(integers(lesser[int8], lesser[int16], lesser[int32], lesser[int64], lesser[uint8], lesser[uint16], lesser[uint32], lesser[uint64]),
		lesser[float32], lesser[float64]),
	opAnd: integers(and[int8], and[int16], and[int32], and[int64], and[uint8], and[uint16], and[uint32], and[uint64]),
	opOr:  integers(or[int8], or[int16], or[int32], or[int64], or[uint8], or[uint16], or[uint32], or[uint64]),
	opXor: integers(xor[int8], xor[int16], xor[int32], xor[int64], xor[uint8], xor[uint16], xor[uint32], xor[uint64]),
	opMaxLoc: withFloats(integers(maxLoc[int8], maxLoc[int16], maxLoc[int32], maxLoc[int64], maxLoc[uint8], maxLoc[uint16], maxLoc[uint32], maxLoc[uint64]),
		maxLoc[float32], maxLoc[float64]),
	opMinLoc: withFloats(integers(minLoc[int8], minLoc[int16], minLoc[int32], minLoc[int64], minLoc[uint8], minLoc[uint16], minLoc[uint32], minLoc[uint64]),
		minLoc[float32], minLoc[float64]),
}

func integers(i8, i16, i32, i64, u8, u16, u32, u64 kernelFunc) byKind {
	return byKind{
		reflect.Int8: i8, reflect.Int16: i16, reflect.Int32: i32, reflect.Int64: i64,
		reflect.Uint8: u8, reflect.Uint16: u16, reflect.Uint32: u32, reflect.Uint64: u64,
	}
}

func withFloats(k byKind, f32, f64 kernelFunc) byKind {
	k[reflect.Float32], k[reflect.Float64] = f32, f64
	return k
}

func withComplex(k byKind, c64, c128 kernelFunc) byKind {
	k[reflect.Complex64], k[reflect.Complex128] = c64, c128
	return k
}

// operands views the operands of a kernel as elements.
func operands[T runtime.Elem](dst, left, right []byte) (d, l, r []T) {
	d = elemsOf[T](dst)
	return d, elemsOf[T](left)[:len(d)], elemsOf[T](right)[:len(d)]
}

func sum[T runtime.Elem](dst, left, right []byte) {
	d, l, r := operands[T](dst, left, right)
	for i := range d {
		d[i] = l[i] + r[i]
	}
}

// add is sum for the types that linalg has vector instructions for.
func add[T linalg.Number](dst, left, right []byte) {
	linalg.AddTo(operands[T](dst, left, right))
}

func prod[T runtime.Elem](dst, left, right []byte) {
	d, l, r := operands[T](dst, left, right)
	for i := range d {
		d[i] = l[i] * r[i]
	}
}

func greater[T Ordered](dst, left, right []byte) {
	d, l, r := operands[T](dst, left, right)
	for i := range d {
		d[i] = max(l[i], r[i])
	}
}

func lesser[T Ordered](dst, left, right []byte) {
	d, l, r := operands[T](dst, left, right)
	for i := range d {
		d[i] = min(l[i], r[i])
	}
}

func and[T Integer](dst, left, right []byte) {
	d, l, r := operands[T](dst, left, right)
	for i := range d {
		d[i] = l[i] & r[i]
	}
}

func or[T Integer](dst, left, right []byte) {
	d, l, r := operands[T](dst, left, right)
	for i := range d {
		d[i] = l[i] | r[i]
	}
}

func xor[T Integer](dst, left, right []byte) {
	d, l, r := operands[T](dst, left, right)
	for i := range d {
		d[i] = l[i] ^ r[i]
	}
}

// above reports whether a is greater than b; a NaN is.
func above[T Ordered](a, b T) bool { return a > b || a != a && b == b }

// below reports whether a is less than b; a NaN is.
func below[T Ordered](a, b T) bool { return a < b || a != a && b == b }

func maxLoc[T Ordered](dst, left, right []byte) {
	d, l, r := operands[T](dst, left, right)
	for i := 0; i+1 < len(d); i += 2 {
		from := l
		if above(r[i], l[i]) || !above(l[i], r[i]) && r[i+1] < l[i+1] {
			from = r
		}
		d[i], d[i+1] = from[i], from[i+1]
	}
}

func minLoc[T Ordered](dst, left, right []byte) {
	d, l, r := operands[T](dst, left, right)
	for i := 0; i+1 < len(d); i += 2 {
		from := l
		if below(r[i], l[i]) || !below(l[i], r[i]) && r[i+1] < l[i+1] {
			from = r
		}
		d[i], d[i+1] = from[i], from[i+1]
	}
}
