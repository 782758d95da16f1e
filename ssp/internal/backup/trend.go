package backup

// trendWindow is of how many iterations a trend is.
const trendWindow = 20

// trend is the line of least squares through the losses of the last iterations.
type trend struct {
	losses, shares [trendWindow]float64 // shares are 1/k
	n              int                  // iterations, of which the last are kept
}

func (t *trend) add(loss float64, k int) {
	t.losses[t.n%trendWindow], t.shares[t.n%trendWindow] = loss, 1/float64(k)
	t.n++
}

// line returns by how much the loss falls an iteration, the variance of that, and
// the mean of 1/k; ok is false before there are enough iterations.
func (t *trend) line() (fall, variance, share float64, ok bool) {
	if t.n < trendWindow {
		return 0, 0, 0, false
	}
	const (
		n      = float64(trendWindow)
		middle = (n - 1) / 2
		under  = n * (n*n - 1) / 12 // sum of the squared distances from middle
	)
	mean := 0.0
	for i := range trendWindow {
		mean += t.losses[i] / n
		share += t.shares[i] / n
	}
	slope := 0.0
	for i := range trendWindow {
		slope += (float64(i) - middle) * (t.losses[(t.n+i)%trendWindow] - mean) / under
	}
	for i := range trendWindow {
		e := t.losses[(t.n+i)%trendWindow] - mean - slope*(float64(i)-middle)
		variance += e * e / (n - 2) / under
	}
	return -slope, variance, share, true
}
