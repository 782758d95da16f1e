package runtime

import (
	"bytes"
	"math"
	"math/cmplx"
	"testing"
)

// TestAccumulators compares every accumulator of some element types with its
// meaning.
func TestAccumulators(t *testing.T) {
	nan := math.NaN()
	ints := map[Accumulator]int64{Replace: -5, Keep: 12, Add: 7, Prod: -60, Min: -5, Max: 12, And: 8, Or: -1, Xor: -9}
	for a := range accumulators {
		checkAccumulator(t, a, int64(12), -5, ints[a])
		checkAccumulator(t, a, int8(12), -5, int8(ints[a]))
		checkAccumulator(t, a, int16(12), -5, int16(ints[a]))
		checkAccumulator(t, a, int32(12), -5, int32(ints[a]))
	}
	uints := map[Accumulator]uint8{Replace: 250, Keep: 12, Add: 6, Prod: 184, Min: 12, Max: 250, And: 8, Or: 254, Xor: 246}
	for a := range accumulators {
		checkAccumulator(t, a, uint8(12), 250, uints[a])
	}
	checkAccumulator(t, Max, uint16(12), 65530, 65530)
	checkAccumulator(t, Min, uint32(1<<31), 1<<31-1, 1<<31-1)
	checkAccumulator(t, Prod, uint64(1<<63), 3, 1<<63)
	checkAccumulator(t, Add, float32(1.5), 2, 3.5)
	checkAccumulator(t, Min, 1.5, -2, -2)
	checkAccumulator(t, Max, 1.5, nan, nan)
	checkAccumulator(t, Min, nan, 1.5, nan)
	checkAccumulator(t, Prod, complex64(complex(0, 1)), complex(0, 1), -1)
	checkAccumulator(t, Add, complex(1, 2), complex(3, 4), complex(4, 6))
	checkAccumulator(t, Replace, 1, cmplx.Inf(), cmplx.Inf())
	for _, no := range []struct {
		a    Accumulator
		elem uint8
	}{{Min, elemOf[complex64]()}, {Max, elemOf[complex128]()}, {And, elemOf[float32]()}, {Xor, elemOf[complex128]()}, {accumulators, elemOf[int8]()}, {255, elemOf[int8]()}} {
		if no.a.suits(no.elem) {
			t.Errorf("%v of %s is allowed", no.a, elemName(no.elem))
		}
	}
}

func checkAccumulator[T Elem](t *testing.T, a Accumulator, there, sent, want T) {
	t.Helper()
	if !a.suits(elemOf[T]()) {
		t.Errorf("%v of %T is not allowed", a, there)
	}
	for _, n := range []int{1, 3, 17} {
		dst, src, all := make([]T, n), make([]T, n), make([]T, n)
		for i := range n {
			dst[i], src[i], all[i] = there, sent, want
		}
		accumulate(a, elemOf[T](), bytesOf(dst), bytesOf(src))
		nan := want != want && dst[n-1] != dst[n-1]
		if !nan && !bytes.Equal(bytesOf(dst), bytesOf(all)) {
			t.Errorf("%v of %v and %v (%T): got %v, want %v", a, there, sent, there, dst, all)
		}
	}
}
