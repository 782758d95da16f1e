package backup

import "math"

// Rule says how a Chooser chooses.
type Rule uint8

// The rules.
const (
	// Gain chooses the k that promises the largest decrease of the loss a second:
	// DBW.
	Gain Rule = iota
	// Blind chooses the largest share of gradients a second, whatever they are worth:
	// B-DBW.
	Blind
	// Adaptive raises k as the loss falls, with the square root of first loss over
	// loss: the growth of AdaSync (Dutta et al., Slow and stale gradients can win the
	// race, 2018) in our reading.
	Adaptive
)

// Chooser chooses for how many of n gradients an iteration waits (Xu, Neglia and
// Sebastianelli, Dynamic backup workers for parallel machine learning, 2020).
//
// With a loss F of smoothness L and a step η against the mean of k gradients, each
// of variance V, an iteration is expected to gain
//
//	G(k) = (η − Lη²/2)·|∇F|² − (Lη²/2)·V/k
//
// and takes T(h, k), when the one before waited for h. The rule is the largest
// G(k)/T(h, k); the first iteration waits for all, which gives the estimators their
// data. V comes from the spread of the gradients that were received, L from what the
// loss fell by over many iterations, at most 1/η. |∇F|² comes from the square of
// their mean less V/k, and from the trend of the losses, which must be G at the k
// that were waited for: near the end of a descent |∇F|² is much smaller than V/k and
// its error, while the losses show well enough that a k brings nothing any more.
// Each of the two has the weight of its accuracy. When the mean of the losses has
// risen by more than 1 % and two standard errors from one window to the next, k
// rises. Where no gain is positive, k rises too, at least to that which gets the
// most gradients a second: the paper's k = n would wait for ranks that are far
// behind whenever the estimates do. Lengths and bounds are ours, and so are the
// trend and the quotient of sums for L: a mean of quotients drowns in the noise of
// the losses.
type Chooser struct {
	n     int
	rule  Rule
	times *Times
	h     int // what the last iteration waited for
	first float64
	count int // iterations seen

	v      fading  // V
	p      fading  // |∇F|², by the gradients
	off    fading  // squared errors of what p is the mean of, times k²
	p2     float64 // sum of the squares of p's weights over those errors' k²
	l      fading  // L
	loss   window
	trend  trend
	before Iteration
	excess float64 // of before: |∇F|² as that iteration showed it
	rose   bool
}

// Iteration is what an iteration showed.
type Iteration struct {
	K       int     // gradients in it
	Loss    float64 // mean of the minibatch losses, before the step; NaN: nobody said it
	Rate    float64 // η: the model moved by −η times the mean gradient
	Squares float64 // sum over the k gradients of their squared norms
	Mean    float64 // squared norm of the mean gradient
}

// Window is how many iterations the mean of the losses is of.
const Window = 5

// warmUp is how many iterations wait for all, to give the estimators their data.
// More cost more than they bring where the slowest is far behind.
const warmUp = 1

// keepTimes is the share of its weight that a time keeps over an iteration.
const keepTimes = 0.95

// What an iteration later is left of the weight of a sample of V, |∇F|² and L.
const (
	keepVariance = 0.98
	keepSquare   = 0.85
	keepSmooth   = 0.99
)

// fading is a quotient of sums in which old terms fade.
type fading struct{ over, under float64 }

func (f *fading) add(over, under, keep float64) {
	f.over, f.under = keep*f.over+over, keep*f.under+under
}

func (f *fading) mean() float64 {
	if f.under <= 0 {
		return 0
	}
	return f.over / f.under
}

type window struct {
	x    [Window]float64
	n, i int
}

func (w *window) add(x float64) {
	w.x[w.i] = x
	w.i = (w.i + 1) % Window
	w.n = min(w.n+1, Window)
}

func (w *window) mean() float64 {
	if w.n == 0 {
		return 0
	}
	s := 0.0
	for _, x := range w.x[:w.n] {
		s += x
	}
	return s / float64(w.n)
}

// spread is the standard deviation of the mean.
func (w *window) spread() float64 {
	m, s := w.mean(), 0.0
	for _, x := range w.x[:w.n] {
		s += (x - m) * (x - m)
	}
	return math.Sqrt(s/float64(max(1, w.n-1))) / math.Sqrt(float64(max(1, w.n)))
}

// NewChooser returns a Chooser for n workers.
func NewChooser(n int, rule Rule) *Chooser {
	return &Chooser{n: n, rule: rule, times: NewTimes(n, keepTimes), h: n}
}

// Came says that the k-th gradient of a model came so many seconds after the
// model was known, which an iteration that waited for h had made.
func (c *Chooser) Came(h, k int, seconds float64) {
	if k <= c.n {
		c.times.Add(h, k, seconds)
	}
}

// Last returns for how many the last iteration waited: the h of the running one.
func (c *Chooser) Last() int { return c.h }

// Done says that an iteration of k gradients is over, and returns for how many
// the next one waits. What the iteration showed may follow later, by Learn.
func (c *Chooser) Done(k int) int {
	c.h = k
	c.count++
	c.times.Next()
	return c.Next()
}

// Pause says that the gradients that come next were not begun when the last
// iteration ended.
func (c *Chooser) Pause() {
	c.before = Iteration{Rate: c.before.Rate, K: c.before.K, Loss: math.NaN()}
	c.trend = trend{}
}

// Learn takes what an iteration showed, in their order.
func (c *Chooser) Learn(it Iteration) {
	if it.K < 1 || !(it.Rate > 0) || math.IsNaN(it.Loss) || math.IsInf(it.Loss, 0) {
		return
	}
	if c.first == 0 {
		c.first = it.Loss
	}
	k := float64(it.K)
	if it.K > 1 {
		c.v.add(it.Squares-k*it.Mean, k-1, keepVariance)
	}
	v := c.v.mean()
	excess := it.Mean - v/k
	if c.p.under > 0 {
		e := excess - c.p.mean()
		c.off.add(k*k*e*e, 1, keepSquare)
	}
	c.p.add(k*k*excess, k*k, keepSquare) // the error of it falls with k
	c.p2 = keepSquare*keepSquare*c.p2 + k*k
	c.trend.add(it.Loss, it.K)
	if b := c.before; b.K > 0 && !math.IsNaN(b.Loss) {
		// The step before has changed the loss by −η|∇F|² + (Lη²/2)·(|∇F|² + V/k),
		// and the last two terms are the square of its mean gradient.
		c.l.add(2*(it.Loss-b.Loss+b.Rate*c.excess), b.Rate*b.Rate*b.Mean, keepSmooth)
	}
	c.excess = excess
	old := c.loss
	c.loss.add(it.Loss)
	c.rose = old.n == Window && c.loss.mean() > old.mean()+0.01*math.Abs(old.mean())+2*old.spread()
	c.before = it
}

// square returns |∇F|² by gradients and losses; a is Lη²/2.
func (c *Chooser) square(a float64) float64 {
	p := c.p.mean()
	fall, variance, share, ok := c.trend.line()
	if !ok || c.off.under <= 0 {
		return p
	}
	b := c.before.Rate - a
	other, variance := (fall+a*c.v.mean()*share)/b, variance/(b*b)
	own := c.off.mean() * c.p2 / (c.p.under * c.p.under)
	if own+variance <= 0 {
		return p
	}
	return (p*variance + other*own) / (own + variance)
}

// gain returns what an iteration of k gradients is expected to gain, as
// all − noise/k.
func (c *Chooser) gain() (all, noise float64) {
	rate := c.before.Rate
	a := min(max(c.l.mean(), 0), 1/rate) * rate * rate / 2
	return (rate - a) * max(0, c.square(a)), a * c.v.mean()
}

// Next returns for how many gradients the running iteration waits, by what is
// known now.
func (c *Chooser) Next() int {
	if c.count < warmUp {
		return c.n
	}
	if c.rule != Blind && c.before.K == 0 {
		return c.n // nobody has said a loss
	}
	if c.rule == Adaptive {
		k := math.Sqrt(c.first / max(c.loss.mean(), 1e-300))
		return min(max(1, int(k)), c.n)
	}
	k, found := c.best(c.rule)
	if !found {
		k = c.n
		if j, ok := c.best(Blind); ok {
			k = max(j, min(c.h+1, c.n))
		}
	}
	if c.rule == Gain && c.rose {
		k = max(k, min(c.h+1, c.n))
	}
	return k
}

// best returns the k that is worth most a second; ok is false where none is worth
// anything.
func (c *Chooser) best(rule Rule) (k int, ok bool) {
	best, all, noise := 0.0, 0.0, 0.0
	if rule == Gain {
		all, noise = c.gain()
	}
	for j := 1; j <= c.n; j++ {
		t := c.times.At(c.h, j)
		if t <= 0 {
			continue
		}
		worth := float64(j)
		if rule == Gain {
			worth = all - noise/float64(j)
		}
		if worth/t > best {
			best, k, ok = worth/t, j, true
		}
	}
	return k, ok
}
