package collectives

import (
	"context"
	"fmt"
	"slices"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// Dims spreads n ranks over a grid: it fills the zeros of dims so that the
// product of all is n, as evenly as possible, the greater ones first. It is an
// error when the others do not divide n.
func Dims(n int, dims []int) ([]int, error) {
	out := slices.Clone(dims)
	rest, free := n, 0
	for i, d := range out {
		switch {
		case d < 0:
			return nil, errors.Errorf("collectives: dimension %d is %d", i, d)
		case d == 0:
			free++
		case rest%d != 0:
			return nil, errors.Errorf("collectives: %d ranks do not fill a grid of %v", n, dims)
		default:
			rest /= d
		}
	}
	if n < 1 || free == 0 && rest != 1 {
		return nil, errors.Errorf("collectives: %d ranks do not fill a grid of %v", n, dims)
	}
	best := balance(rest, free, rest)
	for i := range out {
		if out[i] == 0 {
			out[i] = best[0]
			best = best[1:]
		}
	}
	return out, nil
}

// balance writes n as k factors of at most limit, falling, the first as small as
// possible, and so on. It returns nil when there are none.
func balance(n, k, limit int) []int {
	if k == 0 {
		if n == 1 {
			return []int{}
		}
		return nil
	}
	for first := 1; first <= min(n, limit); first++ {
		if n%first != 0 {
			continue
		}
		if rest := balance(n/first, k-1, first); rest != nil {
			return append([]int{first}, rest...)
		}
	}
	return nil
}

// Cart is a communicator whose ranks lie on a grid, the last coordinate running
// fastest. Along each dimension a rank has two neighbours, the one before and
// the one after, in this order; where the grid ends and is not periodic, NoRank.
type Cart struct {
	c        *runtime.Comm
	dims     []int
	periodic []bool
	t        *topology
}

// NewCart makes a grid of the first ranks of c. It is collective over all ranks
// of c, which pass the same; those for which the grid has no place get nil.
// periodic says for each dimension whether its ends meet; nil: none. Where ranks
// pass what differs, all get an error that matches [ErrMismatch].
func NewCart(ctx context.Context, c *runtime.Comm, dims []int, periodic []bool) (*Cart, error) {
	if periodic == nil {
		periodic = make([]bool, len(dims))
	}
	passed := append([]int{len(dims), len(periodic)}, dims...)
	for d, p := range periodic {
		if p {
			passed = append(passed, d)
		}
	}
	n, bad := gridSize(c.Size(), dims)
	if bad == nil && len(periodic) != len(dims) {
		bad = errors.Errorf("collectives: a grid of %d dimensions, %d of which are said to be periodic or not", len(dims), len(periodic))
	}
	switch same, err := agree(ctx, c, passed); {
	case err != nil:
		return nil, err
	case !same:
		return nil, &callError{ErrMismatch, fmt.Sprintf("grid of %s: ranks differ, rank %d has %v, periodic %v", c.Name(), c.Rank(), dims, periodic)}
	case bad != nil:
		return nil, bad
	}
	color := 0
	if c.Rank() >= n {
		color = runtime.NoColor
	}
	d, err := c.Split(ctx, color, c.Rank())
	if err != nil || d == nil {
		return nil, err
	}
	return newCart(d, slices.Clone(dims), slices.Clone(periodic)), nil
}

// gridSize is the product of dims, which is at most the number of ranks.
func gridSize(ranks int, dims []int) (int, error) {
	n := 1
	for i, d := range dims {
		if d < 1 {
			return 0, errors.Errorf("collectives: dimension %d of a grid is %d", i, d)
		}
		if d > ranks/n { // not n*d, which may overflow
			return 0, errors.Errorf("collectives: a grid of %v for %d ranks", dims, ranks)
		}
		n *= d
	}
	return n, nil
}

func newCart(c *runtime.Comm, dims []int, periodic []bool) *Cart {
	g := &Cart{c: c, dims: dims, periodic: periodic}
	var all, arrive []int
	for d := range dims {
		before, after := g.Shift(d, 1)
		// What goes to the one before arrives there from the one after.
		arrive = append(arrive, 2*d+1, 2*d)
		all = append(all, before, after)
	}
	g.t = &topology{in: all, out: all, arrive: arrive}
	return g
}

// Comm is the communicator.
func (g *Cart) Comm() *runtime.Comm { return g.c }

// Neighbors are, for each dimension, the rank before and the rank after this one.
func (g *Cart) Neighbors() (in, out []int) { return g.t.in, g.t.out }

func (g *Cart) neighbors() *topology { return g.t }

// Dims are the lengths of the grid.
func (g *Cart) Dims() []int { return slices.Clone(g.dims) }

// Periodic says for each dimension whether its ends meet.
func (g *Cart) Periodic() []bool { return slices.Clone(g.periodic) }

// Coords is where a rank lies.
func (g *Cart) Coords(rank int) []int {
	at := make([]int, len(g.dims))
	for d := len(g.dims) - 1; d >= 0; d-- {
		at[d] = rank % g.dims[d]
		rank /= g.dims[d]
	}
	return at
}

// RankAt is the rank at a place, around the ends of periodic dimensions; NoRank
// outside the grid.
func (g *Cart) RankAt(coords ...int) int {
	if len(coords) != len(g.dims) {
		return NoRank
	}
	rank := 0
	for d, x := range coords {
		if g.periodic[d] {
			x = (x%g.dims[d] + g.dims[d]) % g.dims[d]
		}
		if x < 0 || x >= g.dims[d] {
			return NoRank
		}
		rank = rank*g.dims[d] + x
	}
	return rank
}

// Shift returns who sends to this rank and to whom it sends when all send by
// ranks along a dimension: the ranks that far before and behind it.
func (g *Cart) Shift(dim, by int) (src, dst int) {
	at := g.Coords(g.c.Rank())
	here := at[dim]
	at[dim] = here - by
	src = g.RankAt(at...)
	at[dim] = here + by
	return src, g.RankAt(at...)
}

// Sub cuts the grid into grids of the dimensions that are kept: the ranks that
// differ only in these. It is collective.
func (g *Cart) Sub(ctx context.Context, keep []bool) (*Cart, error) {
	if len(keep) != len(g.dims) {
		return nil, errors.Errorf("collectives: a grid of %d dimensions, %d of which are said to be kept or not", len(g.dims), len(keep))
	}
	color, key := 0, 0
	var dims []int
	var periodic []bool
	for d, x := range g.Coords(g.c.Rank()) {
		if keep[d] {
			key = key*g.dims[d] + x
			dims, periodic = append(dims, g.dims[d]), append(periodic, g.periodic[d])
		} else {
			color = color*g.dims[d] + x
		}
	}
	c, err := g.c.Split(ctx, color, key)
	if err != nil {
		return nil, err
	}
	return newCart(c, dims, periodic), nil
}
