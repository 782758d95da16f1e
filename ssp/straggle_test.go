package ssp

import (
	"math"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

func parseStraggle(t testing.TB, text string) bootstrap.Straggle {
	t.Helper()
	s, err := bootstrap.ParseStraggle(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDelay follows stragglers without chance through a few clocks of three
// ranks.
func TestDelay(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		text string
		want [3][4]time.Duration // by rank and clock
	}{
		{"", [3][4]time.Duration{}},
		{"rank=1,factor=4", [3][4]time.Duration{1: {150 * ms, 150 * ms, 150 * ms, 150 * ms}}},
		{"rank=0+2,delay=5ms", [3][4]time.Duration{{5 * ms, 5 * ms, 5 * ms, 5 * ms}, {}, {5 * ms, 5 * ms, 5 * ms, 5 * ms}}},
		{"rotate,delay=7ms", [3][4]time.Duration{{7 * ms, 0, 0, 7 * ms}, {0, 7 * ms}, {0, 0, 7 * ms}}},
		{"random,p=1,delay=2ms;random,p=0,delay=1s", [3][4]time.Duration{{2 * ms, 2 * ms, 2 * ms, 2 * ms}, {2 * ms, 2 * ms, 2 * ms, 2 * ms}, {2 * ms, 2 * ms, 2 * ms, 2 * ms}}},
		{"rotate,delay=7ms;rank=1,factor=2;rank=1,delay=1ms", [3][4]time.Duration{{7 * ms, 0, 0, 7 * ms}, {51 * ms, 58 * ms, 51 * ms, 51 * ms}, {0, 0, 7 * ms}}},
		{"exp,mean=0s", [3][4]time.Duration{}},
		{"rank=0,delay=24h;rank=0,factor=1e6", [3][4]time.Duration{{24 * time.Hour, 24 * time.Hour, 24 * time.Hour, 24 * time.Hour}}},
	}
	for _, test := range tests {
		s := parseStraggle(t, test.text)
		for rank, clocks := range test.want {
			for c, want := range clocks {
				if got := delay(s, rank, 3, Clock(c), 1, 50*ms); got != want {
					t.Errorf("%q: rank %d at clock %d: %v, want %v", test.text, rank, c, got, want)
				}
			}
		}
	}
}

// TestChance checks moments and independence of stragglers by chance: from
// clock to clock, of ranks, of stragglers of a specification, and of seeds.
func TestChance(t *testing.T) {
	const clocks, limit = 20000, 0.03 // four standard errors of a mean or a correlation
	series := func(text string, rank int, seed uint64) []float64 {
		s := parseStraggle(t, text)
		x := make([]float64, clocks)
		for c := range x {
			a := delay(s, rank, 8, Clock(c), seed, 0)
			if b := delay(s, rank, 8, Clock(c), seed, time.Hour); a != b {
				t.Fatalf("%q: %v and %v at the same clock", text, a, b)
			}
			x[c] = a.Seconds()
		}
		return x
	}
	tests := []struct {
		text            string
		mean, deviation float64
	}{
		{"exp,mean=1s", 1, 1},
		{"random,p=0.5,delay=2s", 1, 1},
		{"random,p=0.2,delay=5s", 1, 2},
		{"rotate,delay=0s;exp,mean=1s", 1, 1},
		{"exp,mean=500ms;exp,mean=500ms", 1, math.Sqrt(0.5)},
	}
	for _, test := range tests {
		x := series(test.text, 1, 7)
		mean, variance := moments(x)
		if math.Abs(mean-test.mean) > limit*test.deviation || math.Abs(math.Sqrt(variance)/test.deviation-1) > 2*limit {
			t.Errorf("%q: mean %.3f, deviation %.3f, want %.3f, %.3f", test.text, mean, math.Sqrt(variance), test.mean, test.deviation)
		}
		for _, other := range []struct {
			name string
			x    []float64
		}{
			{"another rank", series(test.text, 2, 7)},
			{"another seed", series(test.text, 1, 8)},
			{"the clock before", append(x[1:len(x):len(x)], x[0])},
		} {
			if r := correlation(x, other.x); math.Abs(r) > limit {
				t.Errorf("%q: correlation of %.3f with %s", test.text, r, other.name)
			}
		}
	}
	// The second of two is not the first again.
	first, second := series("exp,mean=1s", 0, 7), series("rank=5,delay=0s;exp,mean=1s", 0, 7)
	if r := correlation(first, second); math.Abs(r) > limit {
		t.Errorf("two stragglers have a correlation of %.3f", r)
	}
	// Exponential: the share beyond t is e^(−t).
	for _, at := range []float64{0.1, 1, 3} {
		beyond := 0.0
		for _, x := range first {
			if x > at {
				beyond++
			}
		}
		if want := math.Exp(-at); math.Abs(beyond/clocks-want) > limit/2 {
			t.Errorf("%.4f of the delays are longer than %v means, want %.4f", beyond/clocks, at, want)
		}
	}
}

func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x))
	}
	return mean, variance
}

func correlation(x, y []float64) float64 {
	mx, vx := moments(x)
	my, vy := moments(y)
	sum := 0.0
	for i := range x {
		sum += (x[i] - mx) * (y[i] - my)
	}
	return sum / float64(len(x)) / math.Sqrt(vx*vy)
}

// Delays of whatever can be asked for are within bounds.
func FuzzDelay(f *testing.F) {
	for _, s := range []string{"rank=1,factor=4", "rotate,delay=200ms", "random,p=0.05,delay=200ms", "rank=2,delay=1s", "exp,mean=24h;rank=1+2,delay=24h"} {
		f.Add(s, int64(time.Second))
	}
	f.Fuzz(func(t *testing.T, text string, busy int64) {
		s, err := bootstrap.ParseStraggle(text)
		if err != nil {
			return
		}
		for c := range Clock(5) {
			if d := delay(s, 1, 3, c, 9, time.Duration(busy)); d < 0 || d > bootstrap.MaxStraggle {
				t.Fatalf("%q: delay %v", text, d)
			}
		}
	})
}
