package collectives

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// Graph is a communicator whose ranks have neighbours as they say themselves.
type Graph struct {
	c *runtime.Comm
	t *topology
}

// NewGraph makes a communicator of the ranks of c in which this rank receives
// from those of in and sends to those of out, which may name a rank several
// times, and this rank. It is collective. When what one rank says to send is not
// what another says to receive, all get an error that matches [ErrMismatch], and
// when a neighbour is no rank of c one that matches [ErrArgument]; c goes on.
func NewGraph(ctx context.Context, c *runtime.Comm, in, out []int) (g *Graph, err error) {
	bad, kind := "", ErrArgument
	sends, receives := make([]int32, c.Size()), make([]int32, c.Size())
	for _, side := range []struct {
		list  []int
		times []int32
	}{{in, receives}, {out, sends}} {
		for _, r := range side.list {
			if r < 0 || r >= c.Size() {
				bad = fmt.Sprintf("neighbor %d of %d ranks", r, c.Size())
				continue
			}
			side.times[r]++
		}
	}
	d, err := c.Dup(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = d.Close() // what went wrong is the news
		}
	}()
	theirs := make([]int32, c.Size())
	if err := Alltoall(ctx, d, theirs, sends); err != nil {
		return nil, err
	}
	for r, n := range theirs {
		if bad == "" && n != receives[r] {
			kind = ErrMismatch
			bad = fmt.Sprintf("rank %d sends to rank %d %d times, which receives %d times", r, c.Rank(), n, receives[r])
		}
	}
	// All learn of it, also those for whom all is well: of wrong arguments first,
	// which others then do not fit.
	wrong := []int32{0, 0}
	switch {
	case bad == "":
	case kind == ErrArgument:
		wrong[0] = int32(c.Rank()) + 1
	default:
		wrong[1] = int32(c.Rank()) + 1
	}
	if err := Allreduce(ctx, d, wrong, wrong, Max); err != nil {
		return nil, err
	}
	switch {
	case wrong[0] > 0 && (bad == "" || kind != ErrArgument):
		kind, bad = ErrArgument, fmt.Sprintf("rank %d has neighbors that are no ranks", wrong[0]-1)
	case wrong[1] > 0 && bad == "":
		kind, bad = ErrMismatch, fmt.Sprintf("rank %d has neighbors that do not fit", wrong[1]-1)
	}
	if bad != "" {
		return nil, &callError{kind, "graph on " + c.Name() + ": " + bad}
	}
	return &Graph{d, newTopology(slices.Clone(in), slices.Clone(out))}, nil
}

// Comm is the communicator.
func (g *Graph) Comm() *runtime.Comm { return g.c }

// Neighbors are those given to [NewGraph].
func (g *Graph) Neighbors() (in, out []int) { return g.t.in, g.t.out }

func (g *Graph) neighbors() *topology { return g.t }

// Subset makes a communicator of some ranks of c, in the order given. It is
// collective over all ranks of c, which pass the same list; those not in it get
// nil. A rank that is named twice, or is none, is an error, and so are lists that
// differ (see [ErrMismatch]).
func Subset(ctx context.Context, c *runtime.Comm, ranks []int) (*runtime.Comm, error) {
	bad := error(nil)
	color, key := runtime.NoColor, 0
	for i, r := range ranks {
		if r < 0 || r >= c.Size() || slices.Contains(ranks[:i], r) {
			bad = errors.Errorf("collectives: a subset of %d ranks with rank %d, number %d", c.Size(), r, i+1)
		}
		if r == c.Rank() {
			color, key = 0, i
		}
	}
	switch same, err := agree(ctx, c, ranks); {
	case err != nil:
		return nil, err
	case !same:
		return nil, &callError{ErrMismatch, "subset of " + c.Name() + ": the lists of ranks differ"}
	case bad != nil:
		return nil, bad
	}
	return c.Split(ctx, color, key)
}

// agree reports to all ranks whether all have passed the same numbers. It is
// collective.
func agree(ctx context.Context, c *runtime.Comm, xs []int) (bool, error) {
	h := fnv.New64a()
	for _, x := range xs {
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(x)))
	}
	ends := []uint64{h.Sum64(), ^h.Sum64()} // of the hashes: the greatest, and the least turned over
	if err := Allreduce(ctx, c, ends, ends, Max); err != nil {
		return false, err
	}
	return ends[0] == ^ends[1], nil
}

// Translate returns the rank that a rank of one communicator has in another,
// NoRank when it is not in it. It is local.
func Translate(from *runtime.Comm, rank int, to *runtime.Comm) int {
	job := from.JobRank(rank)
	for r := range to.Size() {
		if to.JobRank(r) == job {
			return r
		}
	}
	return NoRank
}
