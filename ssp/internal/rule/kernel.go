package rule

import (
	"math"

	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// epsilon keeps the steps of AdaGrad and Adam finite.
const epsilon = 1e-8

// All arithmetic is in float64; state is rounded when it is stored.

// momentum: v = µv + g, x −= ηv (Polyak 1964, heavy ball).
func momentum[T codec.Elem](x, v, g []T, rate, mu float64) {
	v, g = v[:len(x)], g[:len(x)]
	for i := range x {
		m := mu*float64(v[i]) + float64(g[i])
		v[i] = T(m)
		x[i] = T(float64(x[i]) - rate*m)
	}
}

// adagrad: n += g², x −= ηg/(√n + ε) (Duchi, Hazan, Singer, JMLR 2011).
func adagrad[T codec.Elem](x, n, g []T, rate float64) {
	n, g = n[:len(x)], g[:len(x)]
	for i := range x {
		d := float64(g[i])
		if d == 0 {
			continue
		}
		sum := float64(n[i]) + d*d
		n[i] = T(sum)
		x[i] = T(float64(x[i]) - rate*d/(math.Sqrt(sum)+epsilon))
	}
}

// adam: m = β₁m + (1−β₁)g, v = β₂v + (1−β₂)g², x −= ηm̂/(√v̂ + ε) with m̂ and v̂
// corrected for their start at zero (Kingma, Ba, ICLR 2015, algorithm 1).
func adam[T codec.Elem](x, m, v, g []T, rate, b1, b2, t float64) {
	m, v, g = m[:len(x)], v[:len(x)], g[:len(x)]
	c1, c2 := 1-math.Pow(b1, t), 1-math.Pow(b2, t)
	for i := range x {
		d := float64(g[i])
		first := b1*float64(m[i]) + (1-b1)*d
		second := b2*float64(v[i]) + (1-b2)*d*d
		m[i], v[i] = T(first), T(second)
		x[i] = T(float64(x[i]) - rate*(first/c1)/(math.Sqrt(second/c2)+epsilon))
	}
}

// ftrl: per coordinate FTRL-Proximal with L1 and L2 (McMahan et al., Ad click
// prediction, KDD 2013, algorithm 1).
func ftrl[T codec.Elem](x, z, n, g []T, alpha float64, arg [3]float64) {
	beta, l1, l2 := arg[0], arg[1], arg[2]
	z, n, g = z[:len(x)], n[:len(x)], g[:len(x)]
	for i := range x {
		d := float64(g[i])
		if d == 0 {
			continue
		}
		before := float64(n[i])
		root := math.Sqrt(before + d*d)
		sigma := (root - math.Sqrt(before)) / alpha
		sum := float64(z[i]) + d - sigma*float64(x[i])
		z[i], n[i] = T(sum), T(before+d*d)
		if math.Abs(sum) <= l1 {
			x[i] = 0
			continue
		}
		x[i] = T(-(sum - math.Copysign(l1, sum)) / ((beta+root)/alpha + l2))
	}
}

// adarevision: AdaGrad with delays (McMahan, Streeter, Delay-tolerant algorithms
// for asynchronous distributed online learning, NIPS 2014, algorithm 1). sum is
// G, the sum of all gradients; old what it was in the copy of which g was
// computed, not a number where that is unknown, which counts as no delay.
//
//	b = G − G_old;  z += g² + 2gb;  z' = max(z, z');  η = α/√(z'+1)
//	x −= ηg + (η − η_old)b;  G += g
func adarevision[T codec.Elem](x, sum, z, most, g, old []T, alpha float64) {
	sum, z, most, g, old = sum[:len(x)], z[:len(x)], most[:len(x)], g[:len(x)], old[:len(x)]
	for i := range x {
		d := float64(g[i])
		if d == 0 {
			continue
		}
		b := float64(sum[i]) - float64(old[i])
		if math.IsNaN(b) {
			b = 0
		}
		was := alpha / math.Sqrt(float64(most[i])+1)
		z[i] = T(float64(z[i]) + d*d + 2*d*b)
		most[i] = max(most[i], z[i])
		rate := alpha / math.Sqrt(float64(most[i])+1)
		x[i] = T(float64(x[i]) - (rate*d + (rate-was)*b))
		sum[i] = T(float64(sum[i]) + d)
	}
}
