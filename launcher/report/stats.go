package report

import (
	"math"
	"slices"
	"sort"
)

// Spread is a median with the range of the values around it.
type Spread struct {
	Median, Low, High float64
	N                 int // values
}

// spread returns the spread of values; the median is NaN without any. An
// infinite value, a target that was never reached say, counts as larger than all.
func spread(values []float64) Spread {
	values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(values) == 0 {
		nan := math.NaN()
		return Spread{nan, nan, nan, 0}
	}
	slices.Sort(values)
	return Spread{Median: median(values), Low: values[0], High: values[len(values)-1], N: len(values)}
}

// median is that of ordered values.
func median(ordered []float64) float64 {
	n := len(ordered)
	low, high := ordered[(n-1)/2], ordered[n/2]
	if low == high { // infinite ones too
		return low
	}
	return (low + high) / 2
}

// quantile returns the least key of a histogram below or at which at least the
// share q of the counts lies.
func quantile(h map[int64]int64, q float64) (int64, bool) {
	keys, total := sortedKeys(h)
	if total == 0 {
		return 0, false
	}
	seen := int64(0)
	for _, k := range keys {
		seen += h[k]
		if float64(seen) >= q*float64(total) {
			return k, true
		}
	}
	return keys[len(keys)-1], true
}

// mean returns the mean key of a histogram; ok is false when it is empty.
func mean(h map[int64]int64) (float64, bool) {
	sum, n := 0.0, 0.0
	for k, c := range h {
		sum, n = sum+float64(k)*float64(c), n+float64(c)
	}
	return share(sum, n), n > 0
}

func sortedKeys(h map[int64]int64) (keys []int64, total int64) {
	for k, n := range h {
		keys, total = append(keys, k), total+n
	}
	slices.Sort(keys)
	return keys, total
}

// series is a function of time that is known at some moments, and between them
// on straight lines. It keeps no more than seriesPoints.
type series struct {
	x, y []float64
	step float64 // least distance of two moments
}

const seriesPoints = 512

// add appends a value; values at earlier moments are dropped. The newest is
// always kept.
func (s *series) add(x, y float64) {
	n := len(s.x)
	switch {
	case n > 0 && x < s.x[n-1]:
		return
	case n > 1 && x-s.x[n-2] < s.step: // replaces the newest, which lies too near to the one before
		s.x[n-1], s.y[n-1] = x, y
		return
	}
	s.x, s.y = append(s.x, x), append(s.y, y)
	if n+1 < seriesPoints {
		return
	}
	kept := 0
	for i := 0; i < len(s.x); i += 2 {
		s.x[kept], s.y[kept] = s.x[i], s.y[i]
		kept++
	}
	if last := len(s.x) - 1; last%2 != 0 {
		s.x[kept], s.y[kept] = s.x[last], s.y[last]
		kept++
	}
	s.x, s.y = s.x[:kept], s.y[:kept]
	s.step = (s.x[kept-1] - s.x[0]) / float64(seriesPoints/2)
}

// at returns the value at a moment: 0 before the first, the last after it.
func (s *series) at(x float64) float64 {
	n := len(s.x)
	if n == 0 || x < s.x[0] {
		return 0
	}
	i := sort.SearchFloat64s(s.x, x)
	if i == n {
		return s.y[n-1]
	}
	if s.x[i] == x {
		return s.y[i]
	}
	return s.y[i-1] + (s.y[i]-s.y[i-1])*(x-s.x[i-1])/(s.x[i]-s.x[i-1])
}

// band is what several curves have in common: their median, and how far they
// lie apart, at some places.
type band struct {
	x, median, low, high []float64
}

// bandPoints is the number of places of a band of several curves.
const bandPoints = 60

// bands combines curves. One curve is taken as it is. Curves of as many points, as
// of a loss that was measured after each pass, go point by point. Others go from
// where all are known to where the last ends, with the last value of those that
// end before: as far as the tables.
func bands(curves []series) band {
	curves = slices.DeleteFunc(slices.Clone(curves), func(s series) bool { return len(s.x) == 0 })
	switch len(curves) {
	case 0:
		return band{}
	case 1:
		c := curves[0]
		return band{c.x, c.y, c.y, c.y}
	}
	from, to := math.Inf(-1), math.Inf(-1)
	pointwise := true
	for _, c := range curves {
		from, to = max(from, c.x[0]), max(to, c.x[len(c.x)-1])
		pointwise = pointwise && len(c.x) == len(curves[0].x)
	}
	var b band
	add := func(x float64, of func(s *series) float64) {
		values := make([]float64, len(curves))
		for i := range curves {
			values[i] = of(&curves[i])
		}
		if s := spread(values); s.N == len(curves) {
			b.x, b.median, b.low, b.high = append(b.x, x), append(b.median, s.Median), append(b.low, s.Low), append(b.high, s.High)
		}
	}
	if pointwise {
		for i := range curves[0].x {
			places := make([]float64, len(curves))
			for k := range curves {
				places[k] = curves[k].x[i]
			}
			add(spread(places).Median, func(s *series) float64 { return s.y[i] })
		}
		return b
	}
	for i := range bandPoints {
		x := from + (to-from)*float64(i)/(bandPoints-1)
		add(x, func(s *series) float64 { return s.at(x) })
	}
	return b
}
