package main

import (
	"math"
	"slices"
)

// point is one operation with one number of bytes.
type point struct {
	benchmark
	size int
}

// figures are what the samples of a point say.
type figures struct {
	op       string
	bytes    int
	ranks    int
	samples  int
	median   float64 // µs for an operation
	p99, min float64
	mbps     float64 // 10⁶ bytes a second, by the median
	rate     float64 // operations a second, by the median
}

// summarize sorts the samples, nanoseconds of an operation that moves flow bytes.
func summarize(p point, ranks, flow int, samples []float64) figures {
	slices.Sort(samples)
	f := figures{
		op: p.name, bytes: p.size, ranks: ranks, samples: len(samples),
		median: quantile(samples, 50) / 1e3, p99: quantile(samples, 99) / 1e3, min: quantile(samples, 0) / 1e3,
	}
	if f.median > 0 { // a clock may be coarse
		f.mbps, f.rate = float64(flow)/f.median, 1e6/f.median
	}
	return f
}

// quantile returns the value below which percent of the sorted values lie; the
// mean of the two in the middle for the median of an even number. NaN of none.
func quantile(sorted []float64, percent int) float64 {
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	at := min(n*percent/100, n-1)
	if percent == 50 && n%2 == 0 {
		return (sorted[at-1] + sorted[at]) / 2
	}
	return sorted[at]
}
