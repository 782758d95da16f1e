// Package linalg holds the vector kernels that the parameter store and the
// apps share: dense and sparse rows, the arithmetic of deltas between them,
// and the row update of matrix factorisation.
//
// Kernels panic when lengths disagree (a programming error, never a condition
// of a run), do not allocate when given a destination, start no goroutines and
// are safe for concurrent use on disjoint data. Destinations come first.
//
// Equal inputs give bit-equal results, wherever the slices lie in memory and on
// every platform: products are rounded before they are added (no fused
// multiply-add) and the order of additions is fixed. That is why [Dot] is not
// BLAS's, whose assembly adds in an order that depends on the alignment of its
// arguments; a run of the store could not be repeated with it.
//
// On amd64 with AVX2, [Add], [AddTo], [Axpy], [Dot] and [FactorStep] do all but
// the last few elements in assembly, which asm/ writes; elsewhere, and with
// -tags noasm or the race detector, in the loops here. These loops say what the
// assembly computes, to the bit (but which of two NaNs a sum is). Slices are the
// same memory or share none.
package linalg

import "fmt"

// Number is the set of element types of rows.
type Number interface {
	float32 | float64 | int32 | int64
}

// Float is the set of element types of rows that are not counts.
type Float interface {
	float32 | float64
}

// lanes is how many elements the kernels take at once, and in how many sums Dot
// adds.
const lanes = 8

func sameLen(what string, a, b int) {
	if a != b {
		panic(fmt.Sprintf("linalg: %s of lengths %d and %d", what, a, b))
	}
}

// Add sets dst[i] += x[i].
func Add[T Number](dst, x []T) {
	sameLen("Add", len(dst), len(x))
	n := addVector(dst, dst, x)
	add(dst[n:], dst[n:], x[n:])
}

// AddTo sets dst[i] = a[i] + b[i]. dst may be a or b.
func AddTo[T Number](dst, a, b []T) {
	sameLen("AddTo", len(dst), len(a))
	sameLen("AddTo", len(dst), len(b))
	n := addVector(dst, a, b)
	add(dst[n:], a[n:], b[n:])
}

func add[T Number](dst, a, b []T) {
	for len(dst) >= 4 && len(a) >= 4 && len(b) >= 4 {
		dst[0] = a[0] + b[0]
		dst[1] = a[1] + b[1]
		dst[2] = a[2] + b[2]
		dst[3] = a[3] + b[3]
		dst, a, b = dst[4:], a[4:], b[4:]
	}
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Sub sets dst[i] = a[i] - b[i]. dst may be a or b.
func Sub[T Number](dst, a, b []T) {
	sameLen("Sub", len(dst), len(a))
	sameLen("Sub", len(dst), len(b))
	for len(dst) >= 4 && len(a) >= 4 && len(b) >= 4 {
		dst[0] = a[0] - b[0]
		dst[1] = a[1] - b[1]
		dst[2] = a[2] - b[2]
		dst[3] = a[3] - b[3]
		dst, a, b = dst[4:], a[4:], b[4:]
	}
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

// Axpy sets dst[i] += alpha*x[i]. With alpha zero it does nothing, whatever x
// holds, as in BLAS.
func Axpy[T Number](dst []T, alpha T, x []T) {
	sameLen("Axpy", len(dst), len(x))
	if alpha == 0 {
		return
	}
	n := axpyVector(dst, alpha, x)
	dst, x = dst[n:], x[n:]
	for len(dst) >= 8 && len(x) >= 8 {
		dst[0] += T(alpha * x[0])
		dst[1] += T(alpha * x[1])
		dst[2] += T(alpha * x[2])
		dst[3] += T(alpha * x[3])
		dst[4] += T(alpha * x[4])
		dst[5] += T(alpha * x[5])
		dst[6] += T(alpha * x[6])
		dst[7] += T(alpha * x[7])
		dst, x = dst[8:], x[8:]
	}
	for i, v := range x {
		dst[i] += T(alpha * v)
	}
}

// Scale sets x[i] *= alpha.
func Scale[T Number](x []T, alpha T) {
	for len(x) >= 4 {
		x[0] *= alpha
		x[1] *= alpha
		x[2] *= alpha
		x[3] *= alpha
		x = x[4:]
	}
	for i := range x {
		x[i] *= alpha
	}
}

// Dot returns the sum of x[i]*y[i] in T. It adds in eight interleaved sums,
// element i to sum i mod 8 (the last len mod 8 elements to the first), and then
// the sums by halves.
func Dot[T Number](x, y []T) T {
	sameLen("Dot", len(x), len(y))
	return dot(x, y)
}

func dot[T Number](x, y []T) T {
	var s [lanes]T
	n := dotVector(&s, x, y)
	x, y = x[n:], y[n:]
	s0, s1, s2, s3, s4, s5, s6, s7 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	for len(x) >= 8 && len(y) >= 8 {
		s0 += T(x[0] * y[0])
		s1 += T(x[1] * y[1])
		s2 += T(x[2] * y[2])
		s3 += T(x[3] * y[3])
		s4 += T(x[4] * y[4])
		s5 += T(x[5] * y[5])
		s6 += T(x[6] * y[6])
		s7 += T(x[7] * y[7])
		x, y = x[8:], y[8:]
	}
	y = y[:len(x)]
	for i, v := range x {
		s0 += T(v * y[i])
	}
	return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
}

// Sum returns the sum of x in T, added in four interleaved sums.
func Sum[T Number](x []T) T {
	var s0, s1, s2, s3 T
	for len(x) >= 4 {
		s0 += x[0]
		s1 += x[1]
		s2 += x[2]
		s3 += x[3]
		x = x[4:]
	}
	for _, v := range x {
		s0 += v
	}
	return (s0 + s2) + (s1 + s3)
}

// FactorStep is one step of stochastic gradient descent for matrix
// factorisation: with e = target - w·h it sets, at once,
//
//	w[k] += rate*(e*h[k] - reg*w[k])
//	h[k] += rate*(e*w[k] - reg*h[k])
//
// and returns e, the error before the step. w and h must not overlap. It is one
// pass for the product and one for both rows; three kernel calls would pass
// over each row three times.
func FactorStep[T Float](w, h []T, target, rate, reg T) T {
	sameLen("FactorStep", len(w), len(h))
	e := target - dot(w, h)
	step, keep := T(rate*e), 1-T(rate*reg)
	n := factorVector(w, h, step, keep)
	factor(w[n:], h[n:], step, keep)
	return e
}

// factor sets w, h = keep*w + step*h, keep*h + step*w.
func factor[T Float](w, h []T, step, keep T) {
	for len(w) >= 8 && len(h) >= 8 {
		p, q := (*[8]T)(w), (*[8]T)(h)
		a, b := p[0], q[0]
		p[0], q[0] = T(keep*a)+T(step*b), T(keep*b)+T(step*a)
		a, b = p[1], q[1]
		p[1], q[1] = T(keep*a)+T(step*b), T(keep*b)+T(step*a)
		a, b = p[2], q[2]
		p[2], q[2] = T(keep*a)+T(step*b), T(keep*b)+T(step*a)
		a, b = p[3], q[3]
		p[3], q[3] = T(keep*a)+T(step*b), T(keep*b)+T(step*a)
		a, b = p[4], q[4]
		p[4], q[4] = T(keep*a)+T(step*b), T(keep*b)+T(step*a)
		a, b = p[5], q[5]
		p[5], q[5] = T(keep*a)+T(step*b), T(keep*b)+T(step*a)
		a, b = p[6], q[6]
		p[6], q[6] = T(keep*a)+T(step*b), T(keep*b)+T(step*a)
		a, b = p[7], q[7]
		p[7], q[7] = T(keep*a)+T(step*b), T(keep*b)+T(step*a)
		w, h = w[8:], h[8:]
	}
	h = h[:len(w)]
	for i, a := range w {
		b := h[i]
		w[i] = T(keep*a) + T(step*b)
		h[i] = T(keep*b) + T(step*a)
	}
}
