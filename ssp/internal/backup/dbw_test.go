package backup

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// The simulation trains a quadratic loss |w|²/2 in some dimensions with n workers
// whose gradients have a variance of V and take random times; a worker whose
// model is outdated finishes, and goes on with the newest (push and wait).

const (
	dbwWorkers   = 16
	dbwDimension = 500
	dbwRate      = 0.05
	dbwFirst     = 150.0
	dbwTarget    = 1.2
	dbwLimit     = 400.0
)

type finish struct {
	at    float64
	who   int
	model int
}

type finishes []finish

func (f finishes) Len() int           { return len(f) }
func (f finishes) Less(i, j int) bool { return f[i].at < f[j].at }
func (f finishes) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *finishes) Push(x any)        { *f = append(*f, x.(finish)) }
func (f *finishes) Pop() any {
	old := *f
	x := old[len(old)-1]
	*f = old[:len(old)-1]
	return x
}

// train returns the time at which the loss is first below the target. static is
// the k of all iterations, 0 for the chooser's.
func train(seed uint64, first, variance float64, static int, rule Rule, time func(rng *rand.Rand, who int, now float64) float64) (seconds float64, steps int, ks []int) {
	rng := rand.New(rand.NewPCG(seed, 3))
	n := dbwWorkers
	w := make([]float64, dbwDimension)
	for i := range w {
		w[i] = math.Sqrt(2 * first / dbwDimension)
	}
	chooser := NewChooser(n, rule)
	k := n
	if static > 0 {
		k = static
	}
	var queue finishes
	idle := make([]int, n)
	for i := range idle {
		idle[i] = i
	}
	model, now := 0, 0.0
	type history struct {
		start float64
		h     int
		came  int
	}
	past := map[int]*history{0: {0, n, 0}}
	sum, squares, losses := make([]float64, dbwDimension), 0.0, 0.0
	start := func() {
		for _, who := range idle {
			heap.Push(&queue, finish{now + time(rng, who, now), who, model})
		}
		idle = idle[:0]
	}
	start()
	for now < dbwLimit {
		steps++
		f := heap.Pop(&queue).(finish)
		now = f.at
		if p := past[f.model]; p != nil && static == 0 {
			chooser.Came(p.h, p.came+1, now-p.start)
		}
		if p := past[f.model]; p != nil {
			p.came++
		}
		idle = append(idle, f.who)
		if f.model < model {
			start()
			continue
		}
		loss := 0.0
		for i, x := range w {
			noise := rng.NormFloat64() * math.Sqrt(variance/dbwDimension)
			g := x + noise
			sum[i] += g
			squares += g * g
			loss += x*x/2 + noise*x
		}
		losses += loss
		if past[model].came < k {
			continue
		}
		mean, left := 0.0, 0.0
		for i := range w {
			m := sum[i] / float64(k)
			mean += m * m
			w[i] -= dbwRate * m
			left += w[i] * w[i] / 2
			sum[i] = 0
		}
		ks = append(ks, k)
		if left < dbwTarget {
			return now, steps, ks
		}
		h := k
		if static == 0 {
			chooser.Learn(Iteration{K: k, Loss: losses / float64(k), Rate: dbwRate, Squares: squares, Mean: mean})
			k = chooser.Done(k)
		}
		squares, losses = 0, 0
		delete(past, model-20)
		model++
		past[model] = &history{now, h, 0}
		start()
	}
	return dbwLimit, steps, ks
}

func exponential(rng *rand.Rand, _ int, _ float64) float64 { return rng.ExpFloat64() }

// changing: six of the workers become ten times slower after a while.
func changing(rng *rand.Rand, who int, now float64) float64 {
	d := rng.ExpFloat64()
	if who < 6 && now > 15 {
		d *= 10
	}
	return d
}

func average(first, variance float64, static int, rule Rule, time func(*rand.Rand, int, float64) float64, runs uint64) (mean float64, steps int) {
	for seed := range runs {
		s, n, _ := train(seed, first, variance, static, rule, time)
		mean += s / float64(runs)
		steps += n
	}
	return mean, steps
}

// TestDynamicBackup: DBW needs at most 1.6 times as long as the best k that stays,
// which depends on the noise, and 0.65 times as long as waiting for all.
func TestDynamicBackup(t *testing.T) {
	runs, steps := min(seeds.Count(t, 3), 24), 0
	for _, variance := range []float64{50, 200, 600} {
		best, at, all := math.Inf(1), 0, 0.0
		for _, k := range []int{1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16} {
			s, n := average(dbwFirst, variance, k, Gain, exponential, runs)
			steps += n
			t.Logf("V=%g: k=%d %.1f s", variance, k, s)
			if s < best {
				best, at = s, k
			}
			all = s
		}
		s, n := average(dbwFirst, variance, 0, Gain, exponential, runs)
		blind, _ := average(dbwFirst, variance, 0, Blind, exponential, runs)
		adaptive, _ := average(dbwFirst, variance, 0, Adaptive, exponential, runs)
		steps += n
		_, _, ks := train(1, dbwFirst, variance, 0, Gain, exponential)
		t.Logf("V=%g: DBW %.1f s, blind %.1f, adaptive %.1f; best k=%d %.1f s, all %.1f s; %v", variance, s, blind, adaptive, at, best, all, ks)
		if s > 1.6*best || s > 0.65*all {
			t.Errorf("V=%g: DBW takes %.1f s, the best k=%d %.1f s, k=%d %.1f s", variance, s, at, best, dbwWorkers, all)
		}
	}
	t.Logf("%d steps", steps)
}

// TestDynamicBackupAdapts: when six of 16 workers become slow in the middle of a
// long run, DBW is faster than every k that stays.
func TestDynamicBackupAdapts(t *testing.T) {
	runs := min(seeds.Count(t, 3), 12)
	for _, x := range []struct{ first, variance float64 }{{20_000, 600}, {1e6, 200}} {
		best, at := math.Inf(1), 0
		for _, k := range []int{1, 2, 3, 4, 5, 6, 8, 10, 12, 16} {
			s, _ := average(x.first, x.variance, k, Gain, changing, runs)
			t.Logf("V=%g: k=%d %.1f s", x.variance, k, s)
			if s < best {
				best, at = s, k
			}
		}
		s, _ := average(x.first, x.variance, 0, Gain, changing, runs)
		_, _, ks := train(1, x.first, x.variance, 0, Gain, changing)
		t.Logf("V=%g: DBW %.1f s, best k=%d %.1f s, %.2f times; %v", x.variance, s, at, best, best/s, ks)
		if best/s < 1.25 {
			t.Errorf("V=%g: DBW takes %.1f s, k=%d %.1f s: expected 1.25 times as long", x.variance, s, at, best)
		}
	}
}

// TestTrend: the line is that of the last iterations, and its error that of the
// noise around it.
func TestTrend(t *testing.T) {
	var x trend
	for i := range 3 * trendWindow {
		if _, _, _, ok := x.line(); ok != (i >= trendWindow) {
			t.Fatalf("a line after %d iterations: %t", i, ok)
		}
		loss := 7.0 // long ago
		if i >= 2*trendWindow {
			loss = 100 - 3*float64(i)
		}
		x.add(loss, 1+i%2)
	}
	if fall, variance, share, _ := x.line(); math.Abs(fall-3) > 1e-9 || variance > 1e-9 || math.Abs(share-0.75) > 1e-9 {
		t.Errorf("a straight line falls by %g ± %g at 1/k = %g, want 3, 0, 0.75", fall, math.Sqrt(variance), share)
	}
	rng, inside, lines := rand.New(rand.NewPCG(1, 2)), 0, 2000
	for range lines {
		for i := range trendWindow {
			x.add(-0.5*float64(i)+rng.NormFloat64(), 1)
		}
		if fall, variance, _, _ := x.line(); math.Abs(fall-0.5) < math.Sqrt(variance) {
			inside++
		}
	}
	if share := float64(inside) / float64(lines); share < 0.63 || share > 0.72 {
		t.Errorf("%g of the lines fall as expected within a standard error, want 0.67", share)
	}
}

// TestTimesFit: the fit rises with k, falls with h but for what the projections leave, keeps samples that are, and takes the mean of
// those that are not.
func TestTimesFit(t *testing.T) {
	for seed := range seeds.Count(t, 20) {
		rng := rand.New(rand.NewPCG(seed, 9))
		n := []int{1, 2, 3, 5, 8, 16}[seed%6]
		x := NewTimes(n, 0.9)
		for range rng.IntN(4 * n * n) {
			x.Add(1+rng.IntN(n), 1+rng.IntN(n), rng.ExpFloat64())
		}
		left := 0.0 // of what should fall with h and rises
		for h := 1; h <= n; h++ {
			for k := 1; k <= n; k++ {
				if k < n && x.At(h, k) > x.At(h, k+1) {
					t.Fatalf("seed %d, n=%d: T(%d,%d)=%g, T(%d,%d)=%g", seed, n, h, k, x.At(h, k), h, k+1, x.At(h, k+1))
				}
				if h < n {
					left += max(0, x.At(h+1, k)-x.At(h, k)) / float64(n*n)
				}
			}
		}
		if left > 0.1 {
			t.Fatalf("seed %d, n=%d: T rises with h by %g on average", seed, n, left)
		}
	}
	x := NewTimes(2, 1)
	for h := 1; h <= 2; h++ {
		for k := 1; k <= 2; k++ {
			x.Add(h, k, float64(3*k-h))
		}
	}
	for h := 1; h <= 2; h++ {
		for k := 1; k <= 2; k++ {
			if got := x.At(h, k); math.Abs(got-float64(3*k-h)) > 0.02 {
				t.Errorf("T(%d,%d) = %g, want %d", h, k, got, 3*k-h)
			}
		}
	}
	y := NewTimes(2, 1)
	y.Add(1, 1, 4)
	y.Add(1, 2, 2)
	if a, b := y.At(1, 1), y.At(1, 2); math.Abs(a-3) > 0.02 || math.Abs(b-3) > 0.02 {
		t.Errorf("samples 4 and 2 where they must rise: %g and %g, want 3", a, b)
	}
}
