package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSpread(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{3}, Spread{3, 3, 3, 1}},
		{[]float64{5, 1, 3}, Spread{3, 1, 5, 3}},
		{[]float64{4, 1, 3, 2}, Spread{2.5, 1, 4, 4}},
		{[]float64{nan, 2, 1}, Spread{1.5, 1, 2, 2}},
		{[]float64{inf, 2, inf}, Spread{inf, 2, inf, 3}},
		{[]float64{inf, 2, 1}, Spread{2, 1, inf, 3}},
		{[]float64{inf, inf}, Spread{inf, inf, inf, 2}},
	} {
		if got := spread(c.values); got != c.want {
			t.Errorf("%v: got %v, want %v", c.values, got, c.want)
		}
	}
	if s := spread(nil); !math.IsNaN(s.Median) || s.N != 0 {
		t.Errorf("of nothing: %v", s)
	}
}

// Quantile and mean agree with the sorted list of all that was counted.
func TestHistogram(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		h := map[int64]int64{}
		var all []int64
		for range 1 + rng.IntN(300) {
			k := rng.Int64N(20) - 3
			h[k]++
			all = append(all, k)
		}
		slices.Sort(all)
		sum := int64(0)
		for _, k := range all {
			sum += k
		}
		for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
			want := all[int(math.Ceil(q*float64(len(all))-1e-9))-1]
			if got, ok := quantile(h, q); !ok || got != want {
				t.Errorf("seed %d: quantile %g: got %d, want %d", seed, q, got, want)
			}
		}
		if got, ok := mean(h); !ok || math.Abs(got-float64(sum)/float64(len(all))) > 1e-12 {
			t.Errorf("seed %d: mean %g", seed, got)
		}
	}
	if _, ok := quantile(nil, 0.5); ok {
		t.Error("a quantile of nothing")
	}
}

// A series forgets moments, never the first and the newest, and stays near to
// what it was given.
func TestSeries(t *testing.T) {
	for _, n := range []int{1, 2, 3, seriesPoints - 1, seriesPoints, seriesPoints + 1, 10000} {
		var s series
		for i := range n {
			s.add(float64(i), float64(i)*float64(i))
		}
		if len(s.x) > seriesPoints || s.x[0] != 0 || s.x[len(s.x)-1] != float64(n-1) || !slices.IsSorted(s.x) {
			t.Fatalf("%d moments: %d are kept, %g to %g", n, len(s.x), s.x[0], s.x[len(s.x)-1])
		}
		for i := range n {
			if got, want := s.at(float64(i)), float64(i)*float64(i); math.Abs(got-want) > 0.01*float64(n)*float64(n) {
				t.Errorf("of %d: at %d got %g, want %g", n, i, got, want)
			}
		}
	}
	var s series
	s.add(5, 1)
	s.add(4, 9) // earlier: dropped
	if s.at(4) != 0 || s.at(5) != 1 || s.at(6) != 1 {
		t.Errorf("got %v", s)
	}
}

func TestBands(t *testing.T) {
	line := func(from, to, slope float64) series {
		return series{x: []float64{from, to}, y: []float64{slope * from, slope * to}}
	}
	bent := series{x: []float64{1, 5, 11}, y: []float64{2, 10, 22}}
	b := bands([]series{line(0, 10, 1), line(2, 12, 3), {}, bent})
	if b.x[0] != 2 || b.x[len(b.x)-1] != 12 || len(b.x) != bandPoints {
		t.Fatalf("places %v", b.x)
	}
	for i, x := range b.x { // each as far as it goes, and then its last value
		if math.Abs(b.median[i]-2*min(x, 11)) > 1e-9 || math.Abs(b.low[i]-min(x, 10)) > 1e-9 || math.Abs(b.high[i]-3*x) > 1e-9 {
			t.Errorf("at %g: %g (%g to %g)", x, b.median[i], b.low[i], b.high[i])
		}
	}
	b = bands([]series{line(0, 10, 1), line(2, 12, 3), line(1, 11, 2)})
	if !slices.Equal(b.x, []float64{1, 11}) || !slices.Equal(b.median, []float64{2, 22}) || !slices.Equal(b.low, []float64{0, 10}) || !slices.Equal(b.high, []float64{6, 36}) {
		t.Errorf("curves of as many points: %v", b)
	}
	if b := bands([]series{line(0, 4, 2)}); !slices.Equal(b.median, []float64{0, 8}) {
		t.Errorf("one curve: %v", b)
	}
	if b := bands([]series{line(0, 4, 2), line(0, 4, 4)}); !slices.Equal(b.x, []float64{0, 4}) || !slices.Equal(b.median, []float64{0, 12}) {
		t.Errorf("curves at the same places: %v", b)
	}
}

func TestTicks(t *testing.T) {
	for _, c := range [][2]float64{{0, 1}, {0, 15}, {1.17, 1.23}, {-7.42, -7.38}, {0, 1e-7}, {0, 123456}, {-3, 1e6}} {
		all := ticks{}.Ticks(c[0], c[1])
		if len(all) < 4 || len(all) > 10 {
			t.Errorf("%v: %d ticks", c, len(all))
		}
		labels := map[string]bool{}
		for _, k := range all {
			if labels[k.Label] || k.Value < c[0]-1e-9*(c[1]-c[0]) || k.Value > c[1]+1e-6*(c[1]-c[0]) {
				t.Errorf("%v: tick %v", c, k)
			}
			labels[k.Label] = true
		}
	}
	for _, c := range [][2]float64{{1, 1}, {0, math.Inf(1)}, {math.NaN(), 1}} {
		if all := (ticks{}).Ticks(c[0], c[1]); len(all) > 0 {
			t.Errorf("%v: %v", c, all)
		}
	}
}

func TestNumbersAreReadable(t *testing.T) {
	for _, c := range []struct {
		got, want string
	}{
		{significant(0, 3), "0"}, {significant(1.18137, 4), "1.181"}, {significant(-7.4042, 4), "-7.404"}, {significant(123.456, 3), "123"},
		{significant(3, 6), "3"}, {significant(0.00001234, 3), "1.23e-05"}, {significant(4.1e12, 3), "4.10e+12"}, {significant(math.Inf(1), 3), "Inf"},
		{thousands(0, "B"), "0 B"}, {thousands(999, "B"), "999 B"}, {thousands(999.7, "B"), "1 kB"}, {thousands(1234567, "B"), "1.23 MB"}, {thousands(4e13, "B"), "40 TB"},
		{percent(0).Text, "0 %"}, {percent(0.0042).Text, "0.4 %"}, {percent(0.25).Text, "25 %"}, {percent(math.NaN()).Text, "–"},
		{spreadCell(Spread{0.25, 0.2, 0.3, 3}, percent).Text, "25 % (20–30)"}, {spreadCell(Spread{0.25, 0.2501, 0.2502, 3}, percent).Text, "25 %"},
		{spreadCell(Spread{2e6, 9e5, 3e6, 3}, octets).Text, "2 MB (900 kB–3 MB)"}, {spreadCell(Spread{2, 1, math.Inf(1), 3}, never(func(v float64) Cell { return number(v, 3) })).Text, "2 (1–never)"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
