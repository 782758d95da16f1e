package main

import (
	"math"
	"slices"
)

// comparison is the processor seconds of a workload's runs, by pair.
type comparison struct {
	name    string
	off, on []float64
}

// ratios are those of the pairs, with records to without.
func (c comparison) ratios() []float64 {
	r := make([]float64, len(c.off))
	for i := range r {
		r[i] = c.on[i] / c.off[i]
	}
	return r
}

// good reports whether the limits are kept.
func (c comparison) good() bool {
	_, high := interval(c.ratios())
	return median(c.ratios()) < 1+medianLimit && high < 1+intervalLimit
}

func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	if n == 0 {
		return math.NaN()
	}
	return (s[(n-1)/2] + s[n/2]) / 2
}

// interval is where the median of what x was drawn from lies, with a probability
// of at least 95 % whatever the distribution: between two of the values in order
// of size, since the number of those below it is binomial. Fewer than six values
// can not say that; then it is all of them.
func interval(x []float64) (low, high float64) {
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	k := 0 // values outside on each side
	for tail, p := 0.0, math.Pow(0.5, float64(n)); k < (n-1)/2; k++ {
		tail += p // that at most k values are below
		if tail > 0.025 {
			break
		}
		p *= float64(n-k) / float64(k+1)
	}
	k = max(k-1, 0)
	return s[k], s[n-1-k]
}
