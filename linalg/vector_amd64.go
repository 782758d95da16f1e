//go:build !noasm && !race

// The race detector sees no assembly, so that race builds have the loops.

package linalg

import "golang.org/x/sys/cpu"

// vectors says whether the kernels can be used.
var vectors = cpu.X86.HasAVX2

// vectorMin is the length from which the kernels are quicker than the loops.
const vectorMin = 32

// whole is how many of n elements the kernels take, from the first on.
func whole(n int) int {
	if !vectors || n < vectorMin {
		return 0
	}
	return n &^ (lanes - 1)
}

// addVector is add for the first elements; it returns how many.
func addVector[T Number](dst, a, b []T) int {
	n := whole(len(dst))
	if n == 0 {
		return 0
	}
	switch d := any(&dst[0]).(type) {
	case *float32:
		addFloat32(d, any(&a[0]).(*float32), any(&b[0]).(*float32), n)
	case *float64:
		addFloat64(d, any(&a[0]).(*float64), any(&b[0]).(*float64), n)
	case *int32:
		addInt32(d, any(&a[0]).(*int32), any(&b[0]).(*int32), n)
	case *int64:
		addInt64(d, any(&a[0]).(*int64), any(&b[0]).(*int64), n)
	}
	return n
}

// axpyVector is axpy for the first elements; it returns how many.
func axpyVector[T Number](dst []T, alpha T, x []T) int {
	n := whole(len(dst))
	if n == 0 {
		return 0
	}
	switch d := any(&dst[0]).(type) {
	case *float32:
		axpyFloat32(d, any(alpha).(float32), any(&x[0]).(*float32), n)
	case *float64:
		axpyFloat64(d, any(alpha).(float64), any(&x[0]).(*float64), n)
	default:
		return 0
	}
	return n
}

// dotVector adds the products of the first elements, i to sum i mod 8; it
// returns how many.
func dotVector[T Number](sums *[lanes]T, x, y []T) int {
	n := whole(len(x))
	if n == 0 {
		return 0
	}
	switch s := any(sums).(type) {
	case *[lanes]float32:
		dotFloat32(s, any(&x[0]).(*float32), any(&y[0]).(*float32), n)
	case *[lanes]float64:
		dotFloat64(s, any(&x[0]).(*float64), any(&y[0]).(*float64), n)
	default:
		return 0
	}
	return n
}

// factorVector is factor for the first elements; it returns how many.
func factorVector[T Float](w, h []T, step, keep T) int {
	n := whole(len(w))
	if n == 0 {
		return 0
	}
	switch p := any(&w[0]).(type) {
	case *float32:
		factorFloat32(p, any(&h[0]).(*float32), any(step).(float32), any(keep).(float32), n)
	case *float64:
		factorFloat64(p, any(&h[0]).(*float64), any(step).(float64), any(keep).(float64), n)
	}
	return n
}
