package backup

// Times estimates T(h, k): how long it takes, from the moment at which a model is
// known, until the k-th gradient of it comes, when the iteration before waited for
// h: of the others some are still busy then (Xu, Neglia and Sebastianelli, Dynamic
// backup workers, 2020). Samples are few, and what is known of T is used to fill
// the gaps: it rises with k and falls with h. The fit is the one of least squares
// under these two conditions, by Dykstra's alternating projections, of which each
// is a regression by pooling adjacent violators.
type Times struct {
	n      int
	keep   float64 // share of its weight that a sample has an iteration later
	sum    []float64
	weight []float64
	fit    []float64
	stale  bool
	x, w   []float64
	p, q   []float64
	pool   []pool
}

type pool struct {
	mean, weight float64
	n            int
}

// NewTimes returns an estimator for n workers that forgets, in an iteration, the
// share 1-keep of what it knows.
func NewTimes(n int, keep float64) *Times {
	return &Times{n: n, keep: keep, sum: make([]float64, n*n), weight: make([]float64, n*n), fit: make([]float64, n*n), p: make([]float64, n*n), q: make([]float64, n*n)}
}

func (t *Times) at(h, k int) int { return (h-1)*t.n + k - 1 }

// Add takes a sample; h and k are from 1 to n.
func (t *Times) Add(h, k int, seconds float64) {
	i := t.at(h, k)
	t.sum[i] += seconds
	t.weight[i]++
	t.stale = true
}

// Next says that an iteration is over.
func (t *Times) Next() {
	for i := range t.sum {
		t.sum[i] *= t.keep
		t.weight[i] *= t.keep
	}
}

// At returns the estimate; 0 when nothing is known.
func (t *Times) At(h, k int) float64 {
	if t.stale {
		t.solve()
	}
	return t.fit[t.at(h, k)]
}

// guess is the weight of a place without samples.
const guess = 1e-2

// solve fits.
func (t *Times) solve() {
	t.stale = false
	n := t.n
	t.x, t.w = t.x[:0], t.w[:0]
	for i := range t.sum {
		w := t.weight[i]
		if w > 1e-9 {
			t.x, t.w = append(t.x, t.sum[i]/w), append(t.w, w+guess)
		} else {
			t.x, t.w = append(t.x, -1), append(t.w, guess)
		}
	}
	// Where there are no samples: those of the same k, of the nearest h, else of
	// the nearest smaller k of the row.
	for k := 1; k <= n; k++ {
		for h := 1; h <= n; h++ {
			if i := t.at(h, k); t.weight[i] <= 1e-9 {
				for d := 1; d < n && t.x[i] < 0; d++ {
					for _, o := range [2]int{h + d, h - d} {
						if o >= 1 && o <= n && t.weight[t.at(o, k)] > 1e-9 {
							t.x[i] = t.sum[t.at(o, k)] / t.weight[t.at(o, k)]
							break
						}
					}
				}
				if t.x[i] < 0 && k > 1 {
					t.x[i] = t.x[t.at(h, k-1)]
				}
			}
		}
	}
	for i := range t.x {
		t.x[i] = max(t.x[i], 0)
	}
	clear(t.p)
	clear(t.q)
	const rounds = 100
	for range rounds {
		// x + p onto "rises with k", then + q onto "falls with h".
		for i := range t.x {
			t.fit[i] = t.x[i] + t.p[i]
		}
		for h := range n {
			t.project(h*n, 1, n)
		}
		for i := range t.x {
			t.p[i] += t.x[i] - t.fit[i]
			t.x[i] = t.fit[i]
			t.fit[i] += t.q[i]
		}
		for k := range n {
			t.project((n-1)*n+k, -n, n)
		}
		for i := range t.x {
			t.q[i] += t.x[i] - t.fit[i]
			t.x[i] = t.fit[i]
		}
	}
	for h := range n { // what is left to do falls on the other condition
		t.project(h*n, 1, n)
	}
}

// project makes n places of fit, from one on in steps, rise.
func (t *Times) project(from, step, n int) {
	t.pool = t.pool[:0]
	for j := range n {
		i := from + j*step
		t.pool = append(t.pool, pool{t.fit[i], t.w[i], 1})
		for len(t.pool) > 1 && t.pool[len(t.pool)-2].mean > t.pool[len(t.pool)-1].mean {
			a, b := t.pool[len(t.pool)-2], t.pool[len(t.pool)-1]
			t.pool = t.pool[:len(t.pool)-1]
			t.pool[len(t.pool)-1] = pool{(a.mean*a.weight + b.mean*b.weight) / (a.weight + b.weight), a.weight + b.weight, a.n + b.n}
		}
	}
	j := 0
	for _, b := range t.pool {
		for range b.n {
			t.fit[from+j*step] = b.mean
			j++
		}
	}
}
