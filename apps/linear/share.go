package main

import (
	"math"
	"slices"

	"github.com/sspurn/sspurn/apps"
)

// share is what a worker trains on: rows in batches, a batch a clock. The
// columns of a batch are numbered by their place in the weights that it reads,
// which lie table row after table row.
type share struct {
	label   []float32 // 1 or 0
	start   []int     // the entries of row i are [start[i], start[i+1])
	col     []int32   // place in the batch's weights
	val     []float32
	batches []batch
}

// batch is the work of a clock: the rows [from, to).
type batch struct {
	from, to int
	rows     []int64 // of the table, ascending

	// With a penalty: the places of the weights that the rows touch, and how much
	// of a pass's penalty on each falls to this batch: rows of all × rows of the
	// batch that have the column / rows that have it. Over a pass they add up to
	// the number of rows.
	place  []int32
	weight []float32
}

// newShare cuts rows, in their order, into batches of about equal length.
// Without freq, the number of training rows of all workers that have each
// column, there are no penalties; total is the number of all training rows.
func newShare(r *apps.Rows, batches, width, weights int, freq []int32, total int64) *share {
	s := &share{val: r.Val, col: make([]int32, len(r.Col)), start: slices.Clone(r.Start)}
	if len(s.start) == 0 {
		s.start = []int{0}
	}
	for _, x := range r.Label {
		s.label = append(s.label, float32(x))
	}
	place := make([]int32, (weights+width-1)/width) // of each table row, from 1
	var count []int32
	for b := range batches {
		x := batch{from: r.Len() * b / batches, to: r.Len() * (b + 1) / batches}
		from, to := s.start[x.from], s.start[x.to]
		for _, c := range r.Col[from:to] {
			if t := int(c) / width; place[t] == 0 {
				place[t] = 1
				x.rows = append(x.rows, int64(t))
			}
		}
		slices.Sort(x.rows)
		for i, t := range x.rows {
			place[t] = int32(i)
		}
		for e := from; e < to; e++ {
			c := int(r.Col[e])
			s.col[e] = place[c/width]*int32(width) + int32(c%width)
		}
		if freq != nil {
			count = append(count[:0], make([]int32, len(x.rows)*width)...)
			for _, p := range s.col[from:to] {
				count[p]++
			}
			for p, n := range count {
				if n > 0 {
					all := freq[x.rows[p/width]*int64(width)+int64(p%width)]
					x.place = append(x.place, int32(p))
					x.weight = append(x.weight, float32(float64(total)*float64(n)/float64(all)))
				}
			}
		}
		for _, t := range x.rows {
			place[t] = 0
		}
		s.batches = append(s.batches, x)
	}
	return s
}

// sigmoid returns 1/(1+exp(-z)).
func sigmoid(z float32) float32 { return float32(1 / (1 + math.Exp(-float64(z)))) }

// score returns the sum of w[col[k]]·val[k], in two interleaved sums.
func score(w []float32, col []int32, val []float32) float32 {
	val = val[:len(col)]
	var a, b float32
	k := 0
	for ; k+1 < len(col); k += 2 {
		a += w[col[k]] * val[k]
		b += w[col[k+1]] * val[k+1]
	}
	if k < len(col) {
		a += w[col[k]] * val[k]
	}
	return a + b
}

// axpy adds alpha·val[k] to y[col[k]].
func axpy(y []float32, alpha float32, col []int32, val []float32) {
	val = val[:len(col)]
	for k, c := range col {
		y[c] += alpha * val[k]
	}
}

// gradient adds to g the gradient of the batch's part of the objective at w:
// the sum of its rows' losses and its share of the penalty on squares.
func (s *share) gradient(b *batch, w, g []float32, l2 float32) {
	for i := b.from; i < b.to; i++ {
		col, val := s.col[s.start[i]:s.start[i+1]], s.val[s.start[i]:s.start[i+1]]
		axpy(g, sigmoid(score(w, col, val))-s.label[i], col, val)
	}
	if l2 > 0 {
		for k, p := range b.place {
			g[p] += l2 * b.weight[k] * w[p]
		}
	}
}

// descend takes a step along each of the batch's rows and then the proximal step
// of the penalties, which makes small weights zero (the truncated gradient of
// Langford, Li, Zhang: Sparse online learning via truncated gradient, JMLR 10,
// 2009, with a truncation a batch).
func (s *share) descend(b *batch, w []float32, rate, l1, l2 float32) {
	for i := b.from; i < b.to; i++ {
		col, val := s.col[s.start[i]:s.start[i+1]], s.val[s.start[i]:s.start[i+1]]
		axpy(w, -rate*(sigmoid(score(w, col, val))-s.label[i]), col, val)
	}
	for k, p := range b.place {
		step := rate * b.weight[k]
		w[p] = shrink(w[p], step*l1) / (1 + step*l2)
	}
}

// shrink moves x towards zero by a distance, and no further.
func shrink(x, by float32) float32 {
	switch {
	case x > by:
		return x - by
	case x < -by:
		return x + by
	}
	return 0
}

// loss returns the sum of the logarithmic losses of a batch's rows at w.
func (s *share) loss(b *batch, w []float32) float64 {
	sum := 0.0
	for i := b.from; i < b.to; i++ {
		z := score(w, s.col[s.start[i]:s.start[i+1]], s.val[s.start[i]:s.start[i+1]])
		sum += logloss(float64(z), s.label[i] > 0)
	}
	return sum
}
