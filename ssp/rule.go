package ssp

import (
	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/rule"
)

// Update says what a row's owner does with what workers send for it. It is a
// comparable value; the zero Update is addition. All ranks name the same.
//
// Under every other rule what workers give to Inc are gradients, of a loss that
// is to fall: the rule steps against them. Rules differ from addition in this:
//
//   - The rule runs once for each row and merged batch: those gradients of a
//     rank's workers that leave together are added up first. (AdaRevision merges
//     those that were computed from the same copy.)
//   - Reads return rows as their owner left them. The worker's own gradients are
//     in them when their owner has applied them and not before: those of clock k
//     are in a copy of an age above k, which GetWithin returns and, with a slack
//     of 0, waits for. Under BSP every read has all own gradients of earlier
//     clocks.
//   - Edit returns an error: the difference of an edited row is no gradient.
//   - Init sets the values; the state of the rule starts at zero, that of FTRL
//     such that the values stay until the first gradient. A projection applies
//     from the first step on.
//
// State lies beside the values in the same row of the owner's memory, does not
// travel, and is neither in Owned nor in Collect. Rules but addition, clamped or
// not, and those of the user, want a table of floats. In a sparse table a step
// changes those elements, values and state, for which there is a gradient.
type Update struct {
	spec rule.Spec
	name string // of the user's
}

// Add adds: the default.
func Add() Update { return Update{} }

// SGD is stochastic gradient descent: x −= rate·g. The rate of SGD, Momentum,
// AdaGrad and Adam may follow a schedule; see Sqrt and Inverse. It panics unless
// rate > 0, as the other rules do for numbers out of range.
func SGD(rate float64) Update { return known(rule.Spec{Kind: rule.SGD, Rate: rate}) }

// Momentum is the heavy ball (Polyak 1964): v = µv + g, x −= rate·v, with µ from
// 0 to below 1. One column of state.
func Momentum(rate, mu float64) Update {
	return known(rule.Spec{Kind: rule.Momentum, Rate: rate, Arg: [3]float64{mu}})
}

// AdaGrad divides by the root of the sum of squares (Duchi, Hazan, Singer, JMLR
// 2011): n += g², x −= rate·g/(√n + 10⁻⁸). One column of state.
func AdaGrad(rate float64) Update { return known(rule.Spec{Kind: rule.AdaGrad, Rate: rate}) }

// Adam follows decaying means of gradients and of their squares (Kingma, Ba,
// ICLR 2015, algorithm 1, ε = 10⁻⁸); beta1 and beta2 are from 0 to below 1,
// usually 0.9 and 0.999. Two columns of state and a count of steps.
func Adam(rate, beta1, beta2 float64) Update {
	return known(rule.Spec{Kind: rule.Adam, Rate: rate, Arg: [3]float64{beta1, beta2}})
}

// FTRL is FTRL-Proximal with one rate for each coordinate and penalties l1·|x|
// and l2·x²/2 (McMahan et al., Ad click prediction: a view from the trenches,
// KDD 2013, algorithm 1); beta > 0, usually 1. Two columns of state.
func FTRL(alpha, beta, l1, l2 float64) Update {
	return known(rule.Spec{Kind: rule.FTRL, Rate: alpha, Arg: [3]float64{beta, l1, l2}})
}

// AdaRevision is AdaGrad with a correction for gradients that other gradients
// have overtaken (McMahan, Streeter, Delay-tolerant algorithms for asynchronous
// distributed online learning, NIPS 2014, algorithm 1). Three columns of state.
//
// It has to know which gradients the copy lacked that a gradient was computed
// from. Rows travel with the sum G of their gradients, and come back with the
// gradient, so messages are twice as long, and the owner keeps nothing for a
// reader: the correction is exact for any staleness, and for copies from pushes,
// of the own rank, or read with a slack of their own. What counts is the copy
// that the worker has at its first Inc of the row in a clock, also one that it
// read in an earlier clock; without any, no correction is made. Gradients of the
// same G are added up, which comes to the same as one after the other but for the
// running maximum of z; others of a batch are applied one by one.
func AdaRevision(alpha float64) Update {
	return known(rule.Spec{Kind: rule.AdaRevision, Rate: alpha})
}

// UserDefined is a rule of the program: TableSpec.Rule, with so many columns of
// state, up to 64. Ranks agree on the name, of up to 64 letters, digits, dots,
// dashes and underscores.
func UserDefined(name string, columns int) Update {
	if !goodName(name) {
		panic("ssp: update rule named " + name)
	}
	u := known(rule.Spec{Kind: rule.User, Columns: columns})
	u.name = name
	return u
}

// Sqrt makes the rate of a rule fall as rate/√t. t counts the steps of the row:
// it is 1 at the first merged batch that has a gradient for it. Rows of float32
// count to 2²⁴.
func (u Update) Sqrt() Update {
	u.spec.Schedule, u.spec.Decay = rule.Sqrt, 0
	return u.checked()
}

// Inverse makes the rate of a rule fall as rate/(1 + decay·t), with t as for
// Sqrt.
func (u Update) Inverse(decay float64) Update {
	u.spec.Schedule, u.spec.Decay = rule.Inverse, decay
	return u.checked()
}

// Clamp keeps the elements of a row between lo and hi, which may be infinite:
// after each step the values outside are set to the nearer bound. It works with
// addition too, and with integers.
func (u Update) Clamp(lo, hi float64) Update {
	u.spec.Clamped, u.spec.Lo, u.spec.Hi = true, lo+0, hi+0 // never -0
	return u.checked()
}

// Ball projects a row after each step, and after a clamp, on the ball of a radius
// around zero.
func (u Update) Ball(radius float64) Update {
	u.spec.Radius = radius
	if !(radius > 0) {
		panic("ssp: update rule: ball of a radius that is not above 0")
	}
	return u.checked()
}

func known(s rule.Spec) Update { return Update{spec: s}.checked() }

func (u Update) checked() Update {
	if err := u.spec.Check(); err != nil {
		panic("ssp: update rule: " + err.Error())
	}
	return u
}

// newRule makes the rule of a table; nil is addition.
func newRule[T Elem](spec *TableSpec[T]) (*rule.Rule[T], error) {
	u := spec.Update
	fail := func(err error) (*rule.Rule[T], error) {
		return nil, errors.WithMessagef(err, "table %s: update %v", spec.Name, u)
	}
	switch user := u.spec.Kind == rule.User; {
	case user && spec.Rule == nil:
		return fail(errors.New("expected the function Rule"))
	case !user && spec.Rule != nil:
		return fail(errors.New("the function Rule is for a rule of the user"))
	case u.spec.Plain():
		return nil, nil
	}
	kind := codec.TypeOf[T]()
	if err := u.spec.Fits(kind == codec.Int32 || kind == codec.Int64, spec.Sparse); err != nil {
		return fail(err)
	}
	r := rule.New[T](u.spec, spec.Width, spec.Rule)
	if r.Head() > codec.MaxWidth {
		return fail(errors.Errorf("width %d: expected 1 to %d", spec.Width, codec.MaxWidth/u.spec.Travels()))
	}
	return r, nil
}
