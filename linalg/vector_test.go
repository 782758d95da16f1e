package linalg_test

import (
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/linalg"
)

// without runs f with the loops in place of the kernels.
func without(f func()) {
	defer linalg.SetVectors(linalg.SetVectors(false))
	f()
}

// values returns n numbers of all magnitudes, and of those that are none.
func values[T linalg.Number](rng *rand.Rand, n int) []T {
	x := make([]T, n)
	for i := range x {
		switch v := rng.NormFloat64() * math.Pow(10, float64(rng.IntN(60)-30)); any(x).(type) {
		case []float32, []float64:
			if rng.IntN(8) == 0 {
				v = special[rng.IntN(len(special))]
			}
			x[i] = T(v)
		default:
			u := rng.Uint64() // sums overflow
			x[i] = T(u)
		}
	}
	return x
}

var special = []float64{
	0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, math.MaxFloat64,
	math.SmallestNonzeroFloat32, math.SmallestNonzeroFloat64, 1e-40, 1e-310,
}

// bits are those of elements. All NaNs are alike: which of two a sum is differs.
func bits[T linalg.Number](x []T) []uint64 {
	b := make([]uint64, len(x))
	for i, v := range x {
		switch v := any(v).(type) {
		case float32:
			b[i] = uint64(math.Float32bits(v))
			if v != v {
				b[i] = math.MaxUint64
			}
		case float64:
			b[i] = math.Float64bits(v)
			if v != v {
				b[i] = math.MaxUint64
			}
		case int32:
			b[i] = uint64(uint32(v))
		case int64:
			b[i] = uint64(v)
		}
	}
	return b
}

// compareVectors calls f with the kernels and without, on copies of the same
// vectors, that begin at any address, and looks at all that it leaves and at
// what lies behind.
func compareVectors[T linalg.Number](t *testing.T, what string, f func(x, y, z []T) T) {
	t.Helper()
	rng := rand.New(rand.NewPCG(11, 12))
	for _, n := range slices.Concat(lengths, []int{24, 33, 40, 47, 48, 56, 96, 4095}) {
		const beyond = 9
		shift := rng.IntN(8)
		var in, got, want [3][]T
		for i := range in {
			in[i] = values[T](rng, shift+n+beyond)
			got[i], want[i] = slices.Clone(in[i]), slices.Clone(in[i])
		}
		run := func(v *[3][]T) T {
			var x [3][]T
			for i := range x {
				x[i] = v[i][shift*(i+1)/3:][:n]
			}
			return f(x[0], x[1], x[2])
		}
		r := run(&got)
		var w T
		without(func() { w = run(&want) })
		if !slices.Equal(bits([]T{r}), bits([]T{w})) {
			t.Fatalf("%s of %d: %v, without kernels %v", what, n, r, w)
		}
		for i := range got {
			if !slices.Equal(bits(got[i]), bits(want[i])) {
				t.Fatalf("%s of %d, vector %d: %v, without kernels %v", what, n, i, got[i], want[i])
			}
		}
	}
}

func testVectors[T linalg.Number](t *testing.T) {
	compareVectors(t, "add", func(x, y, _ []T) T { linalg.Add(x, y); return 0 })
	compareVectors(t, "double", func(x, _, _ []T) T { linalg.Add(x, x); return 0 })
	compareVectors(t, "sum of others", func(x, y, z []T) T { linalg.AddTo(x, y, z); return 0 })
	compareVectors(t, "sum to the left", func(x, y, _ []T) T { linalg.AddTo(x, x, y); return 0 })
	compareVectors(t, "sum to the right", func(x, y, _ []T) T { linalg.AddTo(y, x, y); return 0 })
	compareVectors(t, "axpy", func(x, y, _ []T) T { linalg.Axpy(x, 3, y); return 0 })
	compareVectors(t, "dot", func(x, y, _ []T) T { return linalg.Dot(x, y) })
}

// TestVectors compares the assembly with the loops, to the bit.
func TestVectors(t *testing.T) {
	if on := linalg.SetVectors(true); !on {
		linalg.SetVectors(on)
		t.Skip("no kernels on this machine, or -tags noasm, or under the race detector")
	}
	t.Run("float32", testVectors[float32])
	t.Run("float64", testVectors[float64])
	t.Run("int32", testVectors[int32])
	t.Run("int64", testVectors[int64])
	step := func(x, y, _ []float32) float32 { return linalg.FactorStep(x, y, 3, 0.02, 0.1) }
	compareVectors(t, "step of float32", step)
	compareVectors(t, "step of float64", func(x, y, _ []float64) float64 { return linalg.FactorStep(x, y, 3, 0.02, 0.1) })
}

// TestAllocations: the generic functions hand pointers to assembly without
// putting anything on the heap.
func TestAllocations(t *testing.T) {
	x, y, z := make([]float32, 100), make([]float32, 100), make([]float32, 100)
	i, j := make([]int64, 100), make([]int64, 100)
	for name, f := range map[string]func(){
		"add": func() { linalg.Add(i, j) }, "sum": func() { linalg.AddTo(x, y, z) }, "axpy": func() { linalg.Axpy(x, 3, y) },
		"dot": func() { linalg.Dot(x, y) }, "step": func() { linalg.FactorStep(x, y, 3, 0.02, 0.1) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestUpperHalves: a kernel that returned with the upper halves of registers in
// use would make scalar code after it several times slower, and an instruction of
// SSE in a kernel waits for them; no result would show either.
func TestUpperHalves(t *testing.T) {
	text, err := os.ReadFile("kernels_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	returns := regexp.MustCompile(`(?m)^\s*RET\b`).FindAll(text, -1)
	after := regexp.MustCompile(`(?m)^\s*VZEROUPPER\n\s*RET\b`).FindAll(text, -1)
	if len(returns) == 0 || len(after) != len(returns) {
		t.Errorf("%d returns, %d of them right after VZEROUPPER", len(returns), len(after))
	}
	if sse := regexp.MustCompile(`(?m)^\s*[A-UW-Z]\S*\s.*\b[XY][0-9]+.*$`).FindAll(text, -1); len(sse) > 0 {
		t.Errorf("%d instructions of SSE: %s", len(sse), sse[0])
	}
}
