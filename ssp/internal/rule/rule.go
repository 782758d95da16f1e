package rule

import (
	"fmt"
	"math"

	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// Func is a step of the user: x are the values of the row, which it changes;
// state the columns of state one after another; g what was sent, added up.
type Func[T codec.Elem] func(row int64, x, state, g []T)

// Rule is a Spec for rows of one width.
type Rule[T codec.Elem] struct {
	spec   Spec
	width  int
	user   Func[T]
	low    bool // the clamp has a lower bound
	high   bool
	lo, hi T
}

// New returns the rule for rows of a width; user is the step of User.
func New[T codec.Elem](spec Spec, width int, user Func[T]) *Rule[T] {
	r := &Rule[T]{spec: spec, width: width, user: user}
	if spec.Clamped {
		// Bounds beyond the type's are none: its conversion would not be defined.
		least, most := limits[T]()
		r.low, r.high = spec.Lo > least, spec.Hi < most
		if r.low {
			r.lo = T(min(spec.Lo, most))
		}
		if r.high {
			r.hi = T(max(spec.Hi, least))
		}
	}
	return r
}

func limits[T codec.Elem]() (least, most float64) {
	switch codec.TypeOf[T]() {
	case codec.Int32:
		return math.MinInt32, math.MaxInt32
	case codec.Int64:
		return math.MinInt64, math.MaxInt64
	}
	return math.Inf(-1), math.Inf(1)
}

// Width returns the values of a row.
func (r *Rule[T]) Width() int { return r.width }

// Packed returns the elements of a packed row.
func (r *Rule[T]) Packed() int {
	n := r.width * (1 + r.spec.State())
	if r.spec.Counts() {
		n++
	}
	return n
}

// Head returns the elements of a packed row that leave its owner, and those that
// are sent to it: the gradient and, under AdaRevision, the gradient sum of the
// copy that it was computed from.
func (r *Rule[T]) Head() int { return r.width * r.spec.Travels() }

// Start makes the state fit the values of a packed row, which are new.
func (r *Rule[T]) Start(packed []T) {
	if r.spec.Kind != FTRL {
		return
	}
	// The z of which the closed form makes these values.
	s := &r.spec
	for i, x := range packed[:r.width] {
		if x != 0 {
			w := float64(x)
			packed[r.width+i] = T(-(w*(s.Arg[0]/s.Rate+s.Arg[2]) + math.Copysign(s.Arg[1], w)))
		}
	}
}

// Step takes the gradient g of Head elements into a packed row. It changes g.
func (r *Rule[T]) Step(row int64, packed, g []T) {
	if len(packed) != r.Packed() || len(g) != r.Head() {
		panic(fmt.Sprintf("rule: gradient of %d elements for a packed row of %d", len(g), len(packed)))
	}
	var count *T
	if r.spec.Counts() {
		count = &packed[len(packed)-1]
		packed = packed[:len(packed)-1]
	}
	x, state := packed[:r.width], packed[r.width:]
	if r.spec.Kind == User {
		r.user(row, x, state, g)
		r.project(x)
		return
	}
	r.Elements(x, state, count, g)
}

// Elements is Step for some elements of a row: state has for each column as many
// elements as x. count, where the rule counts, is the row's.
func (r *Rule[T]) Elements(x, state []T, count *T, g []T) {
	s := &r.spec
	n := len(x)
	t := 0.0
	if s.Counts() {
		*count++
		t = float64(*count)
	}
	rate := s.Rate
	switch s.Schedule {
	case Sqrt:
		rate /= math.Sqrt(t)
	case Inverse:
		rate /= 1 + s.Decay*t
	}
	switch s.Kind {
	case Add:
		for i, d := range g[:n] {
			x[i] += d
		}
	case SGD:
		for i, d := range g[:n] {
			x[i] = T(float64(x[i]) - rate*float64(d))
		}
	case Momentum:
		momentum(x, state, g, rate, s.Arg[0])
	case AdaGrad:
		adagrad(x, state, g, rate)
	case Adam:
		adam(x, state[:n], state[n:], g, rate, s.Arg[0], s.Arg[1], t)
	case FTRL:
		ftrl(x, state[:n], state[n:], g, rate, s.Arg)
	case AdaRevision:
		adarevision(x, state[:n], state[n:2*n], state[2*n:], g[:n], g[n:], rate)
	}
	r.project(x)
}

// project brings x back to where it may be.
func (r *Rule[T]) project(x []T) {
	if r.low {
		for i, v := range x {
			if v < r.lo {
				x[i] = r.lo
			}
		}
	}
	if r.high {
		for i, v := range x {
			if v > r.hi {
				x[i] = r.hi
			}
		}
	}
	if r.spec.Radius == 0 {
		return
	}
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	if norm := math.Sqrt(sum); norm > r.spec.Radius {
		scale := r.spec.Radius / norm
		for i, v := range x {
			x[i] = T(float64(v) * scale)
		}
	}
}
