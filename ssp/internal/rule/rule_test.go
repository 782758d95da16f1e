package rule_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/rule"
)

// scalar is a rule for one element, written from the papers with no thought of
// rows, columns or element types.
type scalar struct {
	s          rule.Spec
	x          float64
	m, v, n, z float64
	sum, most  float64
	t          float64
}

func (e *scalar) step(g, old float64) {
	e.t++
	rate := e.s.Rate
	if e.s.Schedule == rule.Sqrt {
		rate = e.s.Rate / math.Sqrt(e.t)
	}
	if e.s.Schedule == rule.Inverse {
		rate = e.s.Rate / (1 + e.s.Decay*e.t)
	}
	a := e.s.Arg
	switch e.s.Kind {
	case rule.Add:
		e.x += g
	case rule.SGD:
		e.x -= rate * g
	case rule.Momentum:
		e.v = a[0]*e.v + g
		e.x -= rate * e.v
	case rule.AdaGrad:
		e.n += g * g
		e.x -= rate * g / (math.Sqrt(e.n) + 1e-8)
	case rule.Adam:
		e.m = a[0]*e.m + (1-a[0])*g
		e.v = a[1]*e.v + (1-a[1])*g*g
		e.x -= rate * e.m / (1 - math.Pow(a[0], e.t)) / (math.Sqrt(e.v/(1-math.Pow(a[1], e.t))) + 1e-8)
	case rule.FTRL:
		sigma := (math.Sqrt(e.n+g*g) - math.Sqrt(e.n)) / rate
		e.z += g - sigma*e.x
		e.n += g * g
		e.x = 0
		if e.z > a[1] {
			e.x = (a[1] - e.z) / ((a[0]+math.Sqrt(e.n))/rate + a[2])
		}
		if e.z < -a[1] {
			e.x = (-a[1] - e.z) / ((a[0]+math.Sqrt(e.n))/rate + a[2])
		}
	case rule.AdaRevision:
		b := e.sum - old
		before := rate / math.Sqrt(e.most+1)
		e.z += g*g + 2*g*b
		e.most = math.Max(e.most, e.z)
		after := rate / math.Sqrt(e.most+1)
		e.x += -after*g + (before-after)*b
		e.sum += g
	}
	if e.s.Clamped {
		e.x = math.Max(e.s.Lo, math.Min(e.s.Hi, e.x))
	}
}

var specs = []rule.Spec{
	{},
	{Clamped: true, Lo: -0.5, Hi: 0.75},
	{Kind: rule.SGD, Rate: 0.3},
	{Kind: rule.SGD, Rate: 0.3, Schedule: rule.Sqrt, Clamped: true, Lo: -0.1, Hi: math.Inf(1)},
	{Kind: rule.SGD, Rate: 0.3, Schedule: rule.Inverse, Decay: 0.25},
	{Kind: rule.Momentum, Rate: 0.1, Arg: [3]float64{0.9}},
	{Kind: rule.Momentum, Rate: 0.1, Arg: [3]float64{0.5}, Schedule: rule.Sqrt},
	{Kind: rule.AdaGrad, Rate: 0.1},
	{Kind: rule.AdaGrad, Rate: 0.1, Schedule: rule.Inverse, Decay: 2, Clamped: true, Lo: math.Inf(-1), Hi: 0.2},
	{Kind: rule.Adam, Rate: 0.01, Arg: [3]float64{0.9, 0.999}},
	{Kind: rule.Adam, Rate: 0.01, Arg: [3]float64{0, 0.9}, Schedule: rule.Sqrt},
	{Kind: rule.FTRL, Rate: 0.1, Arg: [3]float64{1, 0.5, 0.01}},
	{Kind: rule.FTRL, Rate: 0.5, Arg: [3]float64{0.1, 0, 0}},
	{Kind: rule.AdaRevision, Rate: 0.2},
	{Kind: rule.AdaRevision, Rate: 0.2, Clamped: true, Lo: -1, Hi: 1},
}

// TestScalar: rows of all widths follow the scalar reference, for both kinds of
// floats, gradient after gradient, with gradients that others have overtaken.
func TestScalar(t *testing.T) {
	steps := 0
	for seed := range seeds.Count(t, 4) {
		for _, s := range specs {
			for _, width := range []int{1, 2, 3, 5, 8, 33} {
				steps += follow[float64](t, seed, s, width, 1e-9)
				steps += follow[float32](t, seed, s, width, 2e-3)
			}
		}
	}
	if steps < 100_000 {
		t.Errorf("%d steps", steps)
	}
	t.Logf("%d steps", steps)
}

func follow[T codec.Elem](t *testing.T, seed uint64, s rule.Spec, width int, tolerance float64) int {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, uint64(width)))
	r := rule.New[T](s, width, nil)
	x := make([]T, r.Packed())
	want := make([]scalar, width)
	for i := range want {
		want[i].s = s
	}
	var sums [][]float64 // gradient sums of the reference after each step
	var sumsT [][]T
	const steps = 60
	for k := range steps {
		sum, sumT := make([]float64, width), make([]T, width)
		for i := range want {
			sum[i] = want[i].sum
		}
		if r.Head() > width {
			copy(sumT, x[width:])
		}
		sums, sumsT = append(sums, sum), append(sumsT, sumT)
		from := max(0, k-rng.IntN(6)) // the copy that the gradient is computed from
		g := make([]T, r.Head())
		for i := range width {
			if rng.IntN(5) > 0 {
				g[i] = T(float32(rng.NormFloat64()))
			}
		}
		unknown := rng.IntN(20) == 0
		for i := range g[width:] {
			g[width+i] = sumsT[from][i]
			if unknown {
				g[width+i] = T(math.NaN())
			}
		}
		for i := range want {
			old := sums[from][i]
			if unknown {
				old = want[i].sum
			}
			want[i].step(float64(g[i]), old)
		}
		r.Step(int64(k), x, g)
		for i := range want {
			if d := math.Abs(float64(x[i]) - want[i].x); !(d <= tolerance*max(1, math.Abs(want[i].x))) {
				t.Fatalf("seed %d, %+v, %T, width %d: element %d after step %d is %v, want %v", seed, s, x, width, i, k, x[i], want[i].x)
			}
		}
	}
	return steps * width
}

// TestClosedForms: constant gradients have sums that can be written down.
func TestClosedForms(t *testing.T) {
	const g, rate, steps = 0.5, 0.1, 400
	for _, c := range []struct {
		name string
		s    rule.Spec
		want float64
	}{
		{"sgd", rule.Spec{Kind: rule.SGD, Rate: rate}, -rate * g * steps},
		{"sgd, sqrt", rule.Spec{Kind: rule.SGD, Rate: rate, Schedule: rule.Sqrt}, -rate * g * sum(func(t float64) float64 { return 1 / math.Sqrt(t) }, steps)},
		{"sgd, inverse", rule.Spec{Kind: rule.SGD, Rate: rate, Schedule: rule.Inverse, Decay: 3}, -rate * g * sum(func(t float64) float64 { return 1 / (1 + 3*t) }, steps)},
		// v after k steps is g(1−µᵏ)/(1−µ).
		{"momentum", rule.Spec{Kind: rule.Momentum, Rate: rate, Arg: [3]float64{0.9}}, -rate * g / 0.1 * (steps - 0.9*(1-math.Pow(0.9, steps))/0.1)},
		// g/√(kg²) is 1/√k.
		{"adagrad", rule.Spec{Kind: rule.AdaGrad, Rate: rate}, -rate * sum(func(t float64) float64 { return 1 / math.Sqrt(t) }, steps)},
		// Both corrected means are those of a constant.
		{"adam", rule.Spec{Kind: rule.Adam, Rate: rate, Arg: [3]float64{0.9, 0.999}}, -rate * steps},
		// Never a delay: AdaGrad with 1 below the root.
		{"adarevision", rule.Spec{Kind: rule.AdaRevision, Rate: rate}, -rate * sum(func(t float64) float64 { return g / math.Sqrt(1+g*g*t) }, steps)},
		{"clamp", rule.Spec{Kind: rule.SGD, Rate: rate, Clamped: true, Lo: -3, Hi: 3}, -3},
		{"ball", rule.Spec{Kind: rule.SGD, Rate: rate, Radius: 2}, -2 / math.Sqrt(3)},
	} {
		r := rule.New[float64](c.s, 3, nil)
		x := make([]float64, r.Packed())
		for range steps {
			d := make([]float64, r.Head())
			for i := range 3 {
				d[i] = g
			}
			if r.Head() > 3 {
				copy(d[3:], x[3:6])
			}
			r.Step(0, x, d)
		}
		for i := range 3 {
			if math.Abs(x[i]-c.want) > 1e-5*math.Abs(c.want) {
				t.Errorf("%s: %v, want %v", c.name, x[:3], c.want)
			}
		}
	}
}

func sum(f func(t float64) float64, n int) (s float64) {
	for t := 1; t <= n; t++ {
		s += f(float64(t))
	}
	return s
}

// TestRevisionIsSerial: with every gradient computed from the copy before all of
// them, AdaRevision ends where AdaGrad with one step of their sum would have: at
// the same z and, with one rate for all, near the same point. Gradients of one
// copy that are added up first come to the same z as one after the other.
func TestRevisionIsSerial(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := rule.Spec{Kind: rule.AdaRevision, Rate: 0.3}
	for range 200 {
		r := rule.New[float64](s, 1, nil)
		one, many := make([]float64, r.Packed()), make([]float64, r.Packed())
		total := 0.0
		for range 1 + rng.IntN(8) {
			d := rng.Float64() // of one sign, so that z only grows
			total += d
			r.Step(0, many, []float64{d, 0})
		}
		r.Step(0, one, []float64{total, 0})
		for i, name := range []string{"x", "G", "z", "z'"} {
			if math.Abs(one[i]-many[i]) > 1e-12 {
				t.Fatalf("%s: %v one by one, %v together", name, many[i], one[i])
			}
		}
		if want := -0.3 * total / math.Sqrt(1+total*total); math.Abs(one[0]-want) > 1e-12 {
			t.Fatalf("x: %v, want %v", one[0], want)
		}
	}
}

// TestStartStays: values from before stay what they are under FTRL until there
// is a gradient, and a tiny one moves them little.
func TestStartStays(t *testing.T) {
	for _, arg := range [][3]float64{{1, 0, 0}, {1, 0.5, 0}, {0.1, 2, 3}} {
		r := rule.New[float64](rule.Spec{Kind: rule.FTRL, Rate: 0.1, Arg: arg}, 4, nil)
		x := make([]float64, r.Packed())
		init := []float64{0, 1, -2, 1e-3}
		copy(x, init)
		r.Start(x)
		g := []float64{1e-9, 1e-9, 1e-9, 1e-9}
		r.Step(0, x, g)
		for i := range init {
			if math.Abs(x[i]-init[i]) > 1e-6 {
				t.Errorf("%v: %v, want %v", arg, x[:4], init)
			}
		}
	}
}

// TestIntegers: addition under a clamp is exact, up to the ends of the types.
func TestIntegers(t *testing.T) {
	small := rule.New[int32](rule.Spec{Clamped: true, Lo: -5, Hi: 7}, 3, nil)
	x := []int32{0, 0, 0}
	small.Step(0, x, []int32{9, -9, 3})
	if fmt.Sprint(x) != "[7 -5 3]" {
		t.Errorf("%v", x)
	}
	open := rule.New[int64](rule.Spec{Clamped: true, Lo: 0, Hi: math.Inf(1)}, 2, nil)
	y := []int64{0, 0}
	open.Step(0, y, []int64{math.MaxInt64, -1})
	if y[0] != math.MaxInt64 || y[1] != 0 {
		t.Errorf("%v", y)
	}
	top := rule.New[int64](rule.Spec{Clamped: true, Lo: math.Inf(-1), Hi: 1 << 53}, 1, nil)
	z := []int64{0}
	top.Step(0, z, []int64{1<<53 + 1})
	if z[0] != 1<<53 {
		t.Errorf("%v", z)
	}
}

func TestUser(t *testing.T) {
	r := rule.New[float64](rule.Spec{Kind: rule.User, Columns: 2, Radius: 5}, 2, func(row int64, x, state, g []float64) {
		for i := range x {
			state[i] += g[i]
			state[2+i] = float64(row)
			x[i] = state[i] * 3
		}
	})
	x := make([]float64, r.Packed())
	r.Step(7, x, []float64{1, 0})
	if fmt.Sprint(x) != "[3 0 1 0 7 7]" {
		t.Errorf("%v", x)
	}
	r.Step(7, x, []float64{3, 0})
	if fmt.Sprint(x) != "[5 0 4 0 7 7]" {
		t.Errorf("%v", x)
	}
}

func TestAllocs(t *testing.T) {
	for _, s := range specs {
		r := rule.New[float32](s, 16, nil)
		x, g := make([]float32, r.Packed()), make([]float32, r.Head())
		if n := testing.AllocsPerRun(100, func() { r.Step(0, x, g) }); n != 0 {
			t.Errorf("%+v: %v allocations", s, n)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	for _, s := range specs {
		b.Run(fmt.Sprintf("kind=%d/schedule=%d/clamped=%t", s.Kind, s.Schedule, s.Clamped), func(b *testing.B) {
			r := rule.New[float32](s, 64, nil)
			x, g := make([]float32, r.Packed()), make([]float32, r.Head())
			for i := range g {
				g[i] = float32(i%7) - 3
			}
			b.SetBytes(64 * 4)
			b.ReportAllocs()
			for b.Loop() {
				r.Step(0, x, g)
			}
		})
	}
}
