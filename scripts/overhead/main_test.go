package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, x := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 4}, 4}, {[]float64{5, 1, 9, 2}, 3.5}} {
		if got := median(x.values); got != x.want {
			t.Errorf("median of %v: %v, want %v", x.values, got, x.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("a median of nothing")
	}
}

// TestInterval compares with the ranks in tables of the sign test.
func TestInterval(t *testing.T) {
	for n, low := range map[int]int{1: 1, 2: 1, 5: 1, 6: 1, 8: 1, 9: 2, 10: 2, 12: 3, 15: 4, 20: 6, 25: 8, 30: 10, 50: 18} {
		x := make([]float64, n)
		for i, at := range rand.New(rand.NewPCG(1, 1)).Perm(n) {
			x[i] = float64(at + 1)
		}
		if a, b := interval(x); a != float64(low) || b != float64(n+1-low) {
			t.Errorf("%d values: from number %v to %v, want %d to %d", n, a, b, low, n+1-low)
		}
	}
}

// TestIntervalCovers: it holds the median as often as it says.
func TestIntervalCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	hit := 0
	for range 2000 {
		x := make([]float64, 20)
		for i := range x {
			x[i] = rng.ExpFloat64()
		}
		if low, high := interval(x); low <= math.Ln2 && math.Ln2 <= high {
			hit++
		}
	}
	if hit < 1880 || hit > 1950 { // 95.9 %
		t.Errorf("%d of 2000 intervals hold the median", hit)
	}
}

func TestLimits(t *testing.T) {
	even := func(ratio float64) comparison {
		c := comparison{name: "x"}
		for i := range 20 {
			off := 1 + float64(i)/10
			c.off, c.on = append(c.off, off), append(c.on, off*ratio)
		}
		return c
	}
	wide := even(1)
	for i := range 8 {
		wide.on[i] *= 1.05
	}
	for _, x := range []struct {
		c    comparison
		good bool
	}{{even(1), true}, {even(1.019), true}, {even(0.9), true}, {even(1.021), false}, {wide, false}} {
		var b bytes.Buffer
		err := print(&b, []comparison{x.c})
		if x.c.good() != x.good || (err == nil) != x.good || err != nil && !errors.Is(err, errMissed) || strings.Contains(b.String(), "MISSED") == x.good {
			t.Errorf("good %v, %v, want %v:\n%s", x.c.good(), err, x.good, b.String())
		}
	}
}

func TestRatingsAreFixed(t *testing.T) {
	var text [2][]byte
	for i := range text {
		path := filepath.Join(t.TempDir(), "r")
		if err := writeRatings(path); err != nil {
			t.Fatal(err)
		}
		var err error
		if text[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if n := bytes.Count(text[0], []byte{'\n'}); !bytes.Equal(text[0], text[1]) || n < 1_430_000 || n > 1_450_000 {
		t.Errorf("%d ratings, the same each time: %v", n, bytes.Equal(text[0], text[1]))
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{{"-pairs", "0"}, {"-record", "no"}, {"nothing"}, {"-x"}} {
		if err := run(context.Background(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
