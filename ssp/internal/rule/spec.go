// Package rule is what an owner does with the gradients that arrive for a row:
// the steps of stochastic gradient descent and its relatives, and projections.
// It is pure.
//
// A row lies packed: its values, then the state of the rule column after column,
// each as wide as the values, then the count of its steps where the rule wants
// one. What leaves the owner, and comes back, is the head of it: the values, and
// under AdaRevision the first column.
package rule

import (
	"math"

	"github.com/pkg/errors"
)

// Kind is a rule without its numbers.
type Kind uint8

// The kinds of rules.
const (
	Add Kind = iota
	SGD
	Momentum
	AdaGrad
	Adam
	FTRL
	AdaRevision
	User
)

// Schedule says how the rate changes with the number of steps of a row.
type Schedule uint8

// The schedules. The first step of a row has t = 1.
const (
	Constant Schedule = iota
	Sqrt              // rate/√t
	Inverse           // rate/(1 + Decay·t)
)

// Spec is a rule; the zero Spec adds. It is comparable.
type Spec struct {
	Kind     Kind
	Rate     float64    // of all but Add and User; α of FTRL and AdaRevision
	Arg      [3]float64 // Momentum: µ. Adam: β₁, β₂. FTRL: β, λ₁, λ₂
	Schedule Schedule
	Decay    float64 // of Inverse
	Columns  int     // of state, of User

	// Projection, after each step: first the clamp, then the ball.
	Clamped bool
	Lo, Hi  float64 // may be infinite
	Radius  float64 // of the ball around zero; 0: none
}

// MaxColumns bounds the columns of state of User.
const MaxColumns = 64

// columns of state by kind.
var columns = [...]int{Momentum: 1, AdaGrad: 1, Adam: 2, FTRL: 2, AdaRevision: 3, User: 0}

// State returns the columns of state.
func (s Spec) State() int {
	if s.Kind == User {
		return s.Columns
	}
	return columns[s.Kind]
}

// Counts reports whether a row counts its steps.
func (s Spec) Counts() bool { return s.Kind == Adam || s.Schedule != Constant }

// Travels returns how many times the width of a row leaves its owner and is sent
// to it.
func (s Spec) Travels() int {
	if s.Kind == AdaRevision {
		return 2
	}
	return 1
}

// Plain reports whether the rule is addition and nothing else.
func (s Spec) Plain() bool { return s == Spec{} }

// Scheduled reports whether the kind takes a schedule.
func (k Kind) Scheduled() bool { return k >= SGD && k <= Adam }

// Check returns what is wrong with the numbers.
func (s Spec) Check() error {
	above := func(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
	notBelow := func(x float64) bool { return x >= 0 && !math.IsInf(x, 0) }
	share := func(x float64) bool { return x >= 0 && x < 1 }
	switch {
	case s.Kind != Add && s.Kind != User && !above(s.Rate):
		return errors.Errorf("rate %g: expected a number above 0", s.Rate)
	case s.Kind == Momentum && !share(s.Arg[0]):
		return errors.Errorf("momentum %g: expected 0 to below 1", s.Arg[0])
	case s.Kind == Adam && !(share(s.Arg[0]) && share(s.Arg[1])):
		return errors.Errorf("decays %g and %g: expected 0 to below 1", s.Arg[0], s.Arg[1])
	case s.Kind == FTRL && !above(s.Arg[0]):
		return errors.Errorf("beta %g: expected a number above 0", s.Arg[0])
	case s.Kind == FTRL && !(notBelow(s.Arg[1]) && notBelow(s.Arg[2])):
		return errors.Errorf("penalties %g and %g: expected numbers from 0", s.Arg[1], s.Arg[2])
	case s.Schedule != Constant && !s.Kind.Scheduled():
		return errors.New("the rule takes no schedule")
	case s.Schedule == Inverse && !above(s.Decay):
		return errors.Errorf("decay %g: expected a number above 0", s.Decay)
	case s.Columns < 0 || s.Columns > MaxColumns:
		return errors.Errorf("%d columns of state: expected 0 to %d", s.Columns, MaxColumns)
	case s.Clamped && !(s.Lo <= s.Hi && s.Lo < math.Inf(1) && s.Hi > math.Inf(-1)):
		return errors.Errorf("clamp to %g and %g: expected two numbers, the smaller first", s.Lo, s.Hi)
	case s.Radius != 0 && !above(s.Radius):
		return errors.Errorf("ball of radius %g: expected a number above 0", s.Radius)
	}
	return nil
}

// maxInteger bounds the integers that a clamp can name.
const maxInteger = 1 << 53

// Fits returns why a table of integers, or one that is sparse, can not have the
// rule.
func (s Spec) Fits(integer, sparse bool) error {
	whole := func(x float64) bool {
		return math.IsInf(x, 0) || x == math.Trunc(x) && math.Abs(x) <= maxInteger
	}
	switch {
	case integer && s.Kind != Add && s.Kind != User:
		return errors.New("expected a table of floats")
	case integer && s.Radius != 0:
		return errors.New("the projection on a ball wants a table of floats")
	case integer && s.Clamped && !(whole(s.Lo) && whole(s.Hi)):
		return errors.Errorf("clamp to %g and %g: expected integers up to 2⁵³", s.Lo, s.Hi)
	case sparse && s.Kind == AdaRevision:
		return errors.New("the gradient sums that travel with rows want a dense table")
	case sparse && s.Kind == User:
		return errors.New("a rule of the user wants whole rows: a dense table")
	case sparse && s.Radius != 0:
		return errors.New("the projection on a ball wants whole rows: a dense table")
	}
	return nil
}
