package main

import (
	"math"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/apps"
)

// random returns rows of about entries values each in columns 0 to columns-1,
// the lower ones more often.
func random(rows, columns, entries int, seed uint64) *apps.Rows {
	r := &apps.Rows{}
	for i := range rows {
		var col []int32
		for k := range entries {
			u := apps.Uniform(seed, uint64(i), uint64(k))
			col = append(col, int32(u*u*float64(columns)))
		}
		slices.Sort(col)
		col = slices.Compact(col)
		val := make([]float32, len(col))
		for k := range val {
			val[k] = float32(2*apps.Uniform(seed+1, uint64(i), uint64(k)) - 1)
		}
		r.Append(int64(i), float64(apps.Mix(uint64(i))&1), col, val)
	}
	return r
}

func counts(r *apps.Rows, columns int) []int32 {
	freq := make([]int32, columns)
	for _, c := range r.Col {
		freq[c]++
	}
	return freq
}

// TestShareHoldsItsRows: the renumbered columns are the rows' own, whatever the
// width, and a pass's penalties on a weight add up to the number of rows.
func TestShareHoldsItsRows(t *testing.T) {
	const columns = 137
	for _, rows := range []int{0, 1, 5, 200} {
		r := random(rows, columns, 9, 3)
		freq := counts(r, columns)
		for _, batches := range []int{1, 3, 8, 300} {
			for _, width := range []int{1, 8, 50, 256} {
				s := newShare(r, batches, width, columns, freq, int64(rows))
				penalty := make([]float64, columns)
				next := 0
				for i := range s.batches {
					b := &s.batches[i]
					if b.from != next || b.to < b.from || !slices.IsSorted(b.rows) || b.to-b.from > rows/batches+1 {
						t.Fatalf("batch %d: rows %d to %d after %d, table rows %v", i, b.from, b.to, next, b.rows)
					}
					next = b.to
					column := func(p int32) int32 { return int32(b.rows[int(p)/width])*int32(width) + p%int32(width) }
					for e := s.start[b.from]; e < s.start[b.to]; e++ {
						if got := column(s.col[e]); got != r.Col[e] {
							t.Fatalf("width %d: column %d, want %d", width, got, r.Col[e])
						}
					}
					for k, p := range b.place {
						penalty[column(p)] += float64(b.weight[k])
					}
				}
				if next != rows || len(s.batches) != batches || !slices.Equal(s.val, r.Val) {
					t.Fatalf("%d rows in %d batches: %d in %d", rows, batches, next, len(s.batches))
				}
				for j, n := range penalty {
					want := float64(rows)
					if freq[j] == 0 {
						want = 0
					}
					if math.Abs(n-want) > 1e-4*want {
						t.Fatalf("column %d: %g penalties, want %g", j, n, want)
					}
				}
			}
		}
	}
}

// TestGradientAgainstDifferences: the gradient is that of the batch's losses and
// its part of the penalty.
func TestGradientAgainstDifferences(t *testing.T) {
	const columns, width, l2 = 40, 8, 0.05
	r := random(30, columns, 6, 8)
	s := newShare(r, 3, width, columns, counts(r, columns), 30)
	for i := range s.batches {
		b := &s.batches[i]
		w, g := make([]float32, len(b.rows)*width), make([]float32, len(b.rows)*width)
		for p := range w {
			w[p] = float32(apps.Uniform(4, uint64(i), uint64(p)) - 0.5)
		}
		objective := func() float64 {
			sum := 0.0
			for k := b.from; k < b.to; k++ {
				z := 0.0
				for e := s.start[k]; e < s.start[k+1]; e++ {
					z += float64(w[s.col[e]]) * float64(s.val[e])
				}
				sum += math.Log1p(math.Exp(z)) - float64(s.label[k])*z
			}
			for k, p := range b.place {
				sum += l2 / 2 * float64(b.weight[k]) * float64(w[p]) * float64(w[p])
			}
			return sum
		}
		s.gradient(b, w, g, l2)
		for p := range w {
			was := w[p]
			const step = 1.0 / 256
			w[p] = was + step
			up := objective()
			w[p] = was - step
			down := objective()
			width := float64(was+step) - float64(was-step)
			w[p] = was
			if want := (up - down) / width; math.Abs(float64(g[p])-want) > 1e-4 {
				t.Errorf("batch %d, weight %d: gradient %g, by differences %g", i, p, g[p], want)
			}
		}
	}
}

// TestDescendGoesAlongTheGradient: a small step is one against the gradient, and
// the penalties on absolute values stop at zero.
func TestDescendGoesAlongTheGradient(t *testing.T) {
	const columns, width, rate = 40, 8, 1e-3
	r := random(30, columns, 6, 8)
	s := newShare(r, 1, width, columns, counts(r, columns), 30)
	b := &s.batches[0]
	w, g := make([]float32, len(b.rows)*width), make([]float32, len(b.rows)*width)
	for p := range w {
		w[p] = float32(apps.Uniform(4, 4, uint64(p)) - 0.5)
	}
	was := slices.Clone(w)
	s.gradient(b, w, g, 0.01)
	s.descend(b, w, rate, 0, 0.01)
	for p := range w {
		if want := -rate * float64(g[p]); math.Abs(float64(w[p])-float64(was[p])-want) > 1e-3*rate+0.05*math.Abs(want) {
			t.Errorf("weight %d: moved by %g, want about %g", p, w[p]-was[p], want)
		}
	}
	s.descend(b, w, rate, 1e9, 0)
	for k, p := range b.place {
		if w[p] != 0 {
			t.Errorf("weight %d (%d): %g after a large penalty", k, p, w[p])
		}
	}
}

func TestShrink(t *testing.T) {
	for _, x := range []struct{ x, by, want float32 }{{3, 1, 2}, {-3, 1, -2}, {0.5, 1, 0}, {-0.5, 1, 0}, {1, 1, 0}, {0, 0, 0}, {2, 0, 2}} {
		if got := shrink(x.x, x.by); got != x.want {
			t.Errorf("shrink(%g, %g) = %g, want %g", x.x, x.by, got, x.want)
		}
	}
}

func TestKernelsDoNotAllocate(t *testing.T) {
	r := random(100, 1000, 30, 1)
	s := newShare(r, 1, 64, 1000, counts(r, 1000), 100)
	b := &s.batches[0]
	w, g := make([]float32, len(b.rows)*64), make([]float32, len(b.rows)*64)
	if n := testing.AllocsPerRun(10, func() {
		s.gradient(b, w, g, 0.1)
		s.descend(b, w, 0.1, 0.1, 0.1)
		s.loss(b, w)
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// BenchmarkKernel: what a worker computes, for rows like those of texts, 130
// values in one of 45 000 columns.
func BenchmarkKernel(b *testing.B) {
	const columns, width, batches = 45000, 128, 16
	r := random(2048, columns, 130, 1)
	for _, name := range []string{"gradient", "gradient with l2", "descend"} {
		b.Run(name, func(b *testing.B) {
			s := newShare(r, batches, width, columns, counts(r, columns), int64(r.Len()))
			w, g := make([]float32, columns+width), make([]float32, columns+width)
			b.ReportAllocs()
			for b.Loop() {
				for i := range s.batches {
					switch name {
					case "gradient":
						s.gradient(&s.batches[i], w, g, 0)
					case "gradient with l2":
						s.gradient(&s.batches[i], w, g, 1e-6)
					default:
						s.descend(&s.batches[i], w, 1e-6, 0, 0)
					}
				}
			}
			b.ReportMetric(float64(len(r.Col))*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mnonzeros/s")
		})
	}
}
