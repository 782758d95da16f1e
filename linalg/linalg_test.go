package linalg_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"gonum.org/v1/gonum/blas/blas64"

	"github.com/sspurn/sspurn/linalg"
)

// lengths are around the unrolled and the vector loops.
var lengths = []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 63, 64, 65, 100, 127, 1000}

// random returns n whole numbers in [-8, 8]: sums and products of them are
// exact in every type.
func random[T linalg.Number](rng *rand.Rand, n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(rng.IntN(17) - 8)
	}
	return x
}

func equal[T linalg.Number](t *testing.T, what string, n int, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s of %d: got %v, want %v", what, n, got, want)
	}
}

func testDense[T linalg.Number](t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range lengths {
		x, y := random[T](rng, n), random[T](rng, n)
		sum, diff, axpy, scaled := make([]T, n), make([]T, n), make([]T, n), make([]T, n)
		var dot, total T
		for i := range n {
			sum[i], diff[i], axpy[i], scaled[i] = y[i]+x[i], y[i]-x[i], y[i]+3*x[i], 3*x[i]
			dot += x[i] * y[i]
			total += x[i]
		}
		got := slices.Clone(y)
		linalg.Add(got, x)
		equal(t, "add", n, got, sum)
		linalg.Sub(got, got, x)
		equal(t, "sub in place", n, got, y)
		linalg.Sub(got, y, x)
		equal(t, "sub", n, got, diff)
		copy(got, y)
		linalg.Axpy(got, 3, x)
		equal(t, "axpy", n, got, axpy)
		linalg.Axpy(got, 0, x)
		equal(t, "axpy by zero", n, got, axpy)
		copy(got, x)
		linalg.Scale(got, 3)
		equal(t, "scale", n, got, scaled)
		if d := linalg.Dot(x, y); d != dot {
			t.Fatalf("dot of %d: got %v, want %v", n, d, dot)
		}
		if s := linalg.Sum(x); s != total {
			t.Fatalf("sum of %d: got %v, want %v", n, s, total)
		}
	}
}

func TestDense(t *testing.T) {
	t.Run("float32", testDense[float32])
	t.Run("float64", testDense[float64])
	t.Run("int32", testDense[int32])
	t.Run("int64", testDense[int64])
}

// TestAgainstBLAS compares sums that round with gonum's.
func TestAgainstBLAS(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range lengths {
		x, y := make([]float64, n), make([]float64, n)
		for i := range x {
			x[i], y[i] = rng.NormFloat64(), rng.NormFloat64()
		}
		vx, vy := blas64.Vector{N: n, Data: x, Inc: 1}, blas64.Vector{N: n, Data: y, Inc: 1}
		if got, want := linalg.Dot(x, y), blas64.Dot(vx, vy); math.Abs(got-want) > 1e-12*float64(1+n) {
			t.Errorf("dot of %d: got %v, want %v", n, got, want)
		}
	}
}

// TestAlignment: results do not depend on where slices lie.
func TestAlignment(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const n = 103
	x, y := make([]float32, n), make([]float32, n)
	for i := range x {
		x[i], y[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	sum := slices.Clone(y)
	for i := range sum {
		sum[i] += float32(0.3 * x[i])
	}
	dot := linalg.Dot(x, y)
	for shift := range 9 {
		mx, my := make([]float32, n+shift)[shift:], make([]float32, n+2*shift)[2*shift:]
		copy(mx, x)
		copy(my, y)
		if got := linalg.Dot(mx, my); got != dot {
			t.Errorf("shift %d: dot %v, unshifted %v", shift, got, dot)
		}
		linalg.Axpy(my, 0.3, mx)
		equal(t, "shifted axpy", n, my, sum)
	}
}

// factorReference is FactorStep as its comment has it.
func factorReference(w, h []float64, target, rate, reg float64) float64 {
	e := target
	for k := range w {
		e -= w[k] * h[k]
	}
	for k := range w {
		a, b := w[k], h[k]
		w[k] += rate * (e*b - reg*a)
		h[k] += rate * (e*a - reg*b)
	}
	return e
}

func TestFactorStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, n := range lengths {
		w, h := make([]float64, n), make([]float64, n)
		w32, h32 := make([]float32, n), make([]float32, n)
		for i := range w {
			w[i], h[i] = rng.NormFloat64()/8, rng.NormFloat64()/8
			w32[i], h32[i] = float32(w[i]), float32(h[i])
		}
		rw, rh := slices.Clone(w), slices.Clone(h)
		for range 3 {
			e, e32, re := linalg.FactorStep(w, h, 3, 0.02, 0.1), linalg.FactorStep(w32, h32, 3, 0.02, 0.1), factorReference(rw, rh, 3, 0.02, 0.1)
			if math.Abs(e-re) > 1e-9 || math.Abs(float64(e32)-re) > 1e-3 {
				t.Fatalf("length %d: error %v, float32 %v, want %v", n, e, e32, re)
			}
		}
		for i := range w {
			if math.Abs(w[i]-rw[i]) > 1e-9 || math.Abs(h[i]-rh[i]) > 1e-9 || math.Abs(float64(w32[i])-rw[i]) > 1e-4 {
				t.Fatalf("length %d element %d: w %v h %v float32 %v, want %v %v", n, i, w[i], h[i], w32[i], rw[i], rh[i])
			}
		}
	}
}

// toMap is the oracle of sparse rows.
func toMap[T linalg.Number](s linalg.Sparse[T]) map[int32]T {
	m := map[int32]T{}
	for i, c := range s.Col {
		m[c] += s.Val[i]
	}
	maps.DeleteFunc(m, func(_ int32, v T) bool { return v == 0 })
	return m
}

func randomSparse[T linalg.Number](rng *rand.Rand, width, n int) linalg.Sparse[T] {
	var s linalg.Sparse[T]
	for range n {
		s = s.Append(int32(rng.IntN(width)), T(rng.IntN(7)-3))
	}
	return s
}

func testSparse[T linalg.Number](t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 9))
		width := 1 + rng.IntN(300)
		a, b := randomSparse[T](rng, width, rng.IntN(2*width)), randomSparse[T](rng, width, rng.IntN(20))
		wa, wb := toMap(a), toMap(b)
		a, b = a.Normalize(), b.Normalize()
		for _, s := range []linalg.Sparse[T]{a, b} {
			if err := s.Check(width); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if !maps.Equal(toMap(a), wa) || len(wa) != a.Len() {
			t.Fatalf("seed %d: normalized %v, want %v", seed, a, wa)
		}
		merged := linalg.MergeTo(linalg.Sparse[T]{}, a, b)
		for c, v := range wb {
			wa[c] += v
		}
		maps.DeleteFunc(wa, func(_ int32, v T) bool { return v == 0 })
		if err := merged.Check(width); err != nil || !maps.Equal(toMap(merged), wa) || merged.Len() != len(wa) {
			t.Fatalf("seed %d: merged %v, want %v: %v", seed, merged, wa, err)
		}
		// The dense way to the same row.
		x := make([]T, width)
		linalg.Scatter(x, a)
		linalg.AddSparse(x, b)
		if got := linalg.GatherTo(linalg.Sparse[T]{}, x); !slices.Equal(got.Col, merged.Col) || !slices.Equal(got.Val, merged.Val) {
			t.Fatalf("seed %d: gathered %v, merged %v", seed, got, merged)
		}
		if n := linalg.Nonzeros(x); n != merged.Len() {
			t.Fatalf("seed %d: %d nonzeros of %d", seed, n, merged.Len())
		}
		for i, v := range x {
			if merged.At(int32(i)) != v {
				t.Fatalf("seed %d: column %d is %v, want %v", seed, i, merged.At(int32(i)), v)
			}
		}
		y := random[T](rng, width)
		if got, want := linalg.DotSparse(merged, y), linalg.Dot(x, y); got != want {
			t.Fatalf("seed %d: sparse dot %v, dense %v", seed, got, want)
		}
		z := slices.Clone(y)
		linalg.AxpySparse(z, 2, merged)
		diff := linalg.DiffTo(linalg.Sparse[T]{}, z, y)
		linalg.Scale(merged.Val, 2)
		if !slices.Equal(diff.Col, merged.Col) || !slices.Equal(diff.Val, merged.Val) {
			t.Fatalf("seed %d: difference %v, want %v", seed, diff, merged)
		}
	}
}

func TestSparse(t *testing.T) {
	t.Run("float32", testSparse[float32])
	t.Run("float64", testSparse[float64])
	t.Run("int32", testSparse[int32])
	t.Run("int64", testSparse[int64])
}

func TestCheck(t *testing.T) {
	for name, s := range map[string]linalg.Sparse[int32]{
		"lengths":  {Col: []int32{1}, Val: nil},
		"repeated": {Col: []int32{1, 1}, Val: []int32{1, 1}},
		"falling":  {Col: []int32{2, 1}, Val: []int32{1, 1}},
		"negative": {Col: []int32{-1}, Val: []int32{1}},
		"outside":  {Col: []int32{4}, Val: []int32{1}},
	} {
		if s.Check(4) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPanics(t *testing.T) {
	outside := linalg.Sparse[float64]{Col: []int32{0, 5}, Val: []float64{1, 1}}
	x := []float64{1, 2, 3}
	for name, f := range map[string]func(){
		"add":        func() { linalg.Add(x, x[:2]) },
		"dot":        func() { linalg.Dot(x, x[:2]) },
		"axpy":       func() { linalg.Axpy(x[:2], 1, x) },
		"sub":        func() { linalg.Sub(x, x, x[:1]) },
		"step":       func() { linalg.FactorStep(x, x[:1], 1, 1, 1) },
		"add sparse": func() { linalg.AddSparse(x, outside) },
		"scatter":    func() { linalg.Scatter(make([]float64, 3), outside) },
		"sparse dot": func() { linalg.DotSparse(outside, x) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	if !slices.Equal(x, []float64{1, 2, 3}) {
		t.Errorf("a refused call wrote: %v", x)
	}
}

func FuzzSparse(f *testing.F) {
	f.Add([]byte{3, 1, 3, 255, 0, 9}, []byte{3, 1})
	f.Fuzz(func(t *testing.T, p, q []byte) {
		row := func(b []byte) linalg.Sparse[int64] {
			var s linalg.Sparse[int64]
			for ; len(b) > 1; b = b[2:] {
				s = s.Append(int32(b[0]), int64(int8(b[1])))
			}
			return s
		}
		want := toMap(linalg.Sparse[int64]{Col: append(row(p).Col, row(q).Col...), Val: append(row(p).Val, row(q).Val...)})
		got := linalg.MergeTo(linalg.Sparse[int64]{}, row(p).Normalize(), row(q).Normalize())
		if err := got.Check(256); err != nil || !maps.Equal(toMap(got), want) {
			t.Fatalf("got %v, want %v: %v", got, want, err)
		}
	})
}

func ExampleMergeTo() {
	a := linalg.Sparse[int32]{Col: []int32{1, 4}, Val: []int32{2, 5}}
	b := linalg.Sparse[int32]{Col: []int32{0, 4}, Val: []int32{1, -5}}
	fmt.Println(linalg.MergeTo(linalg.Sparse[int32]{}, a, b))
	// Output: {[0 1] [1 2]}
}

func ExampleAxpy() {
	x := []float64{1, 2}
	linalg.Axpy(x, 10, []float64{3, 4})
	fmt.Println(x)
	// Output: [31 42]
}

func benchmarkAddTo[T linalg.Number](b *testing.B) {
	for _, n := range []int{16, 64, 4096, 1 << 18} {
		b.Run(fmt.Sprintf("numbers=%d", n), func(b *testing.B) {
			x, y, sum := make([]T, n), make([]T, n), make([]T, n)
			b.ReportAllocs()
			b.SetBytes(int64(n) * int64(unsafe.Sizeof(x[0])))
			for b.Loop() {
				linalg.AddTo(sum, x, y)
			}
		})
	}
}

func BenchmarkAddTo(b *testing.B) {
	b.Run("float32", benchmarkAddTo[float32])
	b.Run("float64", benchmarkAddTo[float64])
	b.Run("int32", benchmarkAddTo[int32])
	b.Run("int64", benchmarkAddTo[int64])
}

func BenchmarkAxpy(b *testing.B) {
	for _, n := range []int{16, 32, 64, 100, 4096} {
		b.Run(fmt.Sprintf("floats=%d", n), func(b *testing.B) {
			x, y := make([]float32, n), make([]float32, n)
			b.ReportAllocs()
			b.SetBytes(int64(12 * n))
			for b.Loop() {
				linalg.Axpy(y, 0.5, x)
			}
		})
	}
}

func BenchmarkDot(b *testing.B) {
	for _, n := range []int{16, 32, 64, 100, 4096} {
		b.Run(fmt.Sprintf("floats=%d", n), func(b *testing.B) {
			x, y := make([]float32, n), make([]float32, n)
			b.ReportAllocs()
			b.SetBytes(int64(8 * n))
			for b.Loop() {
				linalg.Dot(y, x)
			}
		})
	}
}

func BenchmarkFactorStep(b *testing.B) {
	for _, n := range []int{16, 32, 64, 100} {
		b.Run(fmt.Sprintf("floats=%d", n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			w, h := make([]float32, 1000*n), make([]float32, 500*n)
			for i := range w {
				w[i] = rng.Float32()
			}
			b.ReportAllocs()
			for b.Loop() {
				i, j := rng.IntN(1000)*n, rng.IntN(500)*n
				linalg.FactorStep(w[i:i+n], h[j:j+n], 1, 0.001, 0.01)
			}
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	x, y := randomSparse[int32](rng, 1000, 60).Normalize(), randomSparse[int32](rng, 1000, 60).Normalize()
	var dst linalg.Sparse[int32]
	b.ReportAllocs()
	for b.Loop() {
		dst = linalg.MergeTo(dst.Reset(), x, y)
	}
}
