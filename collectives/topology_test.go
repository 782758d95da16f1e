package collectives_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

func TestDims(t *testing.T) {
	for _, x := range []struct {
		n          int
		dims, want []int
	}{
		{12, []int{0, 0}, []int{4, 3}}, {12, []int{0, 2}, []int{6, 2}}, {12, []int{0, 0, 0}, []int{3, 2, 2}},
		{7, []int{0, 0}, []int{7, 1}}, {64, []int{0, 0, 0}, []int{4, 4, 4}}, {36, []int{0, 0}, []int{6, 6}},
		{1, []int{0, 0}, []int{1, 1}}, {6, []int{2, 3}, []int{2, 3}}, {1, nil, []int{}}, {12, []int{0, 5}, nil}, {6, []int{2, 2}, nil},
		{6, []int{-1, 2}, nil}, {0, []int{0}, nil}, {2, nil, nil},
	} {
		got, err := collectives.Dims(x.n, x.dims)
		if (err != nil) != (x.want == nil) || x.want != nil && !slices.Equal(got, x.want) {
			t.Errorf("%d over %v: %v, %v, want %v", x.n, x.dims, got, err, x.want)
		}
	}
}

// TestCart: every rank is where it says, its neighbours are those next to it,
// and what they exchange is what lies there, whatever the lengths of the grid
// and whether it is periodic, also where both neighbours are one rank, or this.
func TestCart(t *testing.T) {
	for _, dims := range [][]int{{1}, {2}, {5}, {2, 2}, {3, 2}, {1, 4}, {2, 2, 2}, {3, 1, 2}} {
		n := 1
		for _, d := range dims {
			n *= d
		}
		for mask := range 1 << len(dims) {
			periodic := make([]bool, len(dims))
			for d := range periodic {
				periodic[d] = mask>>d&1 != 0
			}
			t.Run(fmt.Sprint(dims, periodic), func(t *testing.T) {
				runtimetest.SPMD(t, n+1, func(ctx context.Context, c *runtime.Comm) error {
					g, err := collectives.NewCart(ctx, c, dims, periodic)
					if err != nil || (g == nil) != (c.Rank() == n) {
						return errors.Errorf("rank %d: %v: %v", c.Rank(), g, err)
					}
					if g == nil {
						return nil
					}
					return testCart(ctx, g)
				})
			})
		}
	}
}

// TestCartTooLarge: also where the number of places is more than an int holds.
func TestCartTooLarge(t *testing.T) {
	err := runtime.RunLocal(t.Context(), 2, func(ctx context.Context, c *runtime.Comm) error {
		for _, dims := range [][]int{{3}, {2, 2}, {1 << 32, 1 << 32}, {2, 1 << 62, 2}} {
			if g, err := collectives.NewCart(ctx, c, dims, nil); err == nil || g != nil {
				return errors.Errorf("%v fit", dims)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestCartDiffers: all learn of it where ranks pass what differs, also where one
// of them passes what is none.
func TestCartDiffers(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
			for _, last := range []struct {
				dims     []int
				periodic []bool
			}{{[]int{1, 2}, nil}, {[]int{2}, nil}, {[]int{2, 1}, []bool{true, false}}, {[]int{n + 1}, nil}, {[]int{0, 1}, nil}, {[]int{2, 1}, []bool{false}}} {
				dims, periodic := []int{2, 1}, []bool{false, false}
				if c.Rank() == n-1 {
					dims, periodic = last.dims, last.periodic
				}
				if g, err := collectives.NewCart(ctx, c, dims, periodic); !stderrors.Is(err, collectives.ErrMismatch) || g != nil {
					return errors.Errorf("%v %v among others: %v", last.dims, last.periodic, err)
				}
			}
			if g, err := collectives.NewCart(ctx, c, []int{2}, nil); err != nil || (g != nil) != (c.Rank() < 2) {
				return errors.Errorf("after that: %v: %v", g, err)
			}
			return nil
		})
	}
}

func testCart(ctx context.Context, g *collectives.Cart) error {
	rank, dims := g.Comm().Rank(), g.Dims()
	at := g.Coords(rank)
	if g.RankAt(at...) != rank {
		return errors.Errorf("rank %d is at %v, where rank %d is", rank, at, g.RankAt(at...))
	}
	in, out := g.Neighbors()
	for d := range dims {
		src, dst := g.Shift(d, 1)
		if in[2*d] != src || out[2*d+1] != dst {
			return errors.Errorf("dimension %d: neighbors %v, %v; shift %d, %d", d, in, out, src, dst)
		}
		if dst != collectives.NoRank {
			next := slices.Clone(at)
			next[d] = (at[d] + 1) % dims[d]
			if !slices.Equal(g.Coords(dst), next) {
				return errors.Errorf("dimension %d: %v comes after %v", d, g.Coords(dst), at)
			}
		}
	}
	// Block 2d is for the one before in dimension d: (this rank, block).
	const unit = 3
	lengths := []int{1}
	if g.Comm().Size() <= 4 {
		lengths = append(lengths, 12_000) // beyond what leaves in pieces
	}
	for _, long := range lengths {
		src, dst := make([]int64, unit*long*len(out)), make([]int64, unit*long*len(in))
		for i := range src {
			src[i] = int64(rank*1000 + i/(unit*long))
		}
		for _, exchange := range []func() error{
			func() error { return collectives.NeighborAlltoall(ctx, g, dst, src) },
			func() error { return collectives.StartNeighborAlltoall(g, dst, src).Wait(ctx) },
			func() error {
				even := make([]int, len(out))
				for i := range even {
					even[i] = unit * long
				}
				return collectives.NeighborAlltoall(ctx, g, dst, src, collectives.Counts(even), collectives.RecvCounts(even))
			},
		} {
			for i := range dst {
				dst[i] = -7
			}
			if err := exchange(); err != nil {
				return err
			}
			for i, v := range dst {
				b := i / (unit * long)
				want := int64(-7)
				if in[b] != collectives.NoRank {
					want = int64(in[b]*1000 + b ^ 1) // from behind it was sent forwards
				}
				if v != want {
					return errors.Errorf("rank %d at %v, block %d from %d: %d, want %d", rank, at, b, in[b], v, want)
				}
			}
		}
	}
	got := make([]int32, len(in))
	if err := collectives.NeighborAllgather(ctx, g, got, []int32{int32(rank)}); err != nil {
		return err
	}
	for i, r := range in {
		if r != collectives.NoRank && got[i] != int32(r) {
			return errors.Errorf("rank %d gathers %v of %v", rank, got, in)
		}
	}
	keep := make([]bool, len(dims))
	keep[0] = true
	line, err := g.Sub(ctx, keep)
	if err != nil {
		return err
	}
	if !slices.Equal(line.Dims(), dims[:1]) || line.Comm().Rank() != at[0] || line.Periodic()[0] != g.Periodic()[0] {
		return errors.Errorf("rank %d at %v is rank %d of a line of %v", rank, at, line.Comm().Rank(), line.Dims())
	}
	if r := collectives.Translate(line.Comm(), line.Comm().Rank(), g.Comm()); r != rank {
		return errors.Errorf("rank %d is translated to %d", rank, r)
	}
	return nil
}

// TestGraph: a star with double edges, loops, and blocks of different lengths.
func TestGraph(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5} {
		body := func(ctx context.Context, c *runtime.Comm) error {
			rank := c.Rank()
			// Everyone sends to rank 0 twice and to itself; rank 0 to all others.
			in, out := []int{rank}, []int{0, rank, 0}
			if rank == 0 {
				in = nil
				for r := range size {
					in = append(in, r, r)
				}
				in = append(in, 0)
				for r := 1; r < size; r++ {
					out = append(out, r)
				}
			} else {
				in = append(in, 0)
			}
			g, err := collectives.NewGraph(ctx, c, in, out)
			if err != nil {
				return err
			}
			// The e-th message from q to r has 1+q+e elements of 100·q+e.
			var send, recv []int
			var src, want []float64
			times := map[int]int{}
			fill := func(to []float64, q, e int) []float64 {
				for range 1 + q + e {
					to = append(to, float64(100*q+e))
				}
				return to
			}
			for _, r := range out {
				e := times[r]
				times[r]++
				send = append(send, 1+rank+e)
				src = fill(src, rank, e)
			}
			clear(times)
			for _, q := range in {
				e := times[q]
				times[q]++
				recv = append(recv, 1+q+e)
				want = fill(want, q, e)
			}
			dst := make([]float64, len(want))
			p, err := collectives.PrepareNeighborAlltoall(g, dst, src, collectives.Counts(send), collectives.RecvCounts(recv))
			if err != nil {
				return err
			}
			for range 3 {
				clear(dst)
				if err := p.Run(ctx); err != nil || !reflect.DeepEqual(dst, want) {
					return errors.Errorf("rank %d: %v, want %v: %v", rank, dst, want, err)
				}
				p.Start()
				if err := p.Wait(ctx); err != nil {
					return err
				}
			}
			// Every rank gathers vectors of different lengths.
			recv, want = nil, nil
			for _, q := range in {
				recv = append(recv, q)
				for range q {
					want = append(want, float64(q))
				}
			}
			mine := make([]float64, rank)
			for i := range mine {
				mine[i] = float64(rank)
			}
			dst = make([]float64, len(want))
			if err := collectives.NeighborAllgather(ctx, g, dst, mine, collectives.Counts(recv)); err != nil || !slices.Equal(dst, want) {
				return errors.Errorf("rank %d gathers %v, want %v: %v", rank, dst, want, err)
			}
			return nil
		}
		runtimetest.SPMD(t, size, body)
		runtimetest.TCP(t, size, body)
	}
	runtimetest.SPMD(t, 3, func(ctx context.Context, c *runtime.Comm) error {
		// Rank 1 is sent something and does not know.
		in, out := []int{}, []int{}
		if c.Rank() == 0 {
			out = append(out, 1)
		}
		if _, err := collectives.NewGraph(ctx, c, in, out); !stderrors.Is(err, collectives.ErrMismatch) || !strings.Contains(err.Error(), "rank 1") {
			return errors.Errorf("rank %d: %v", c.Rank(), err)
		}
		if _, err := collectives.NewGraph(ctx, c, []int{7}, nil); !stderrors.Is(err, collectives.ErrArgument) {
			return errors.Errorf("a neighbor 7 of 3: %v", err)
		}
		// Rank 1 says a neighbour that is none instead of rank 0, which sends to it.
		in = nil
		if c.Rank() == 1 {
			in = []int{3}
		}
		if _, err := collectives.NewGraph(ctx, c, in, out); !stderrors.Is(err, collectives.ErrArgument) || !strings.Contains(err.Error(), "rank") {
			return errors.Errorf("a neighbor 3 of 3 at rank 1, rank %d: %v", c.Rank(), err)
		}
		return collectives.Barrier(ctx, c)
	})
}

// TestGraphOneSided: ranks that only send, only receive, or do neither, in all
// exchanges, with blocks of one length and with counts, of which some are nil.
func TestGraphOneSided(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5} {
		for _, long := range []int{0, 1, 20_000} {
			body := func(ctx context.Context, c *runtime.Comm) error {
				// All before the last send to it.
				rank, last := c.Rank(), size-1
				var in, out []int
				if rank == last {
					for r := range last {
						in = append(in, r)
					}
				} else {
					out = []int{last}
				}
				g, err := collectives.NewGraph(ctx, c, in, out)
				if err != nil {
					return err
				}
				mine := slices.Repeat([]int64{int64(rank + 1)}, long)
				src := slices.Repeat(mine, len(out))
				var want []int64
				for _, r := range in {
					want = append(want, slices.Repeat([]int64{int64(r + 1)}, long)...)
				}
				lengths := func(n int) []int {
					if n == 0 {
						return nil
					}
					return slices.Repeat([]int{long}, n)
				}
				send, recv := lengths(len(out)), lengths(len(in))
				empty := func(counts []int) []int { return append([]int{}, counts...) }
				dst := make([]int64, len(want))
				for _, exchange := range []struct {
					name string
					run  func() error
				}{
					{"alltoall", func() error { return collectives.NeighborAlltoall(ctx, g, dst, src) }},
					{"started alltoall", func() error { return collectives.StartNeighborAlltoall(g, dst, src).Wait(ctx) }},
					{"alltoall, counts", func() error {
						return collectives.NeighborAlltoall(ctx, g, dst, src, collectives.Counts(empty(send)), collectives.RecvCounts(empty(recv)))
					}},
					{"alltoall, nil counts", func() error {
						return collectives.NeighborAlltoall(ctx, g, dst, src, collectives.Counts(send), collectives.RecvCounts(recv))
					}},
					{"allgather", func() error { return collectives.NeighborAllgather(ctx, g, dst, mine) }},
					{"allgather, counts", func() error { return collectives.NeighborAllgather(ctx, g, dst, mine, collectives.Counts(empty(recv))) }},
					{"allgather, nil counts", func() error { return collectives.NeighborAllgather(ctx, g, dst, mine, collectives.Counts(recv)) }},
				} {
					for i := range dst {
						dst[i] = -7
					}
					if err := exchange.run(); err != nil {
						return errors.WithMessage(err, exchange.name)
					}
					if err := expect(exchange.name, dst, want); err != nil {
						return err
					}
				}
				return nil
			}
			t.Run(fmt.Sprintf("ranks=%d/count=%d", size, long), func(t *testing.T) { runtimetest.SPMD(t, size, body) })
		}
	}
}

// TestSubset: the ranks of a list, in its order.
func TestSubset(t *testing.T) {
	runtimetest.SPMD(t, 5, func(ctx context.Context, c *runtime.Comm) error {
		list := []int{3, 0, 4}
		sub, err := collectives.Subset(ctx, c, list)
		if err != nil {
			return err
		}
		at := slices.Index(list, c.Rank())
		if (sub == nil) != (at < 0) {
			return errors.Errorf("rank %d gets %v", c.Rank(), sub)
		}
		if sub != nil {
			if sub.Rank() != at || sub.Size() != 3 {
				return errors.Errorf("rank %d is %d of %d", c.Rank(), sub.Rank(), sub.Size())
			}
			for r, want := range map[int]int{3: 0, 0: 1, 4: 2, 1: collectives.NoRank} {
				if got := collectives.Translate(c, r, sub); got != want {
					return errors.Errorf("rank %d is %d there, want %d", r, got, want)
				}
			}
			if n, err := collectives.AllreduceValue(ctx, sub, int64(1), collectives.Sum); err != nil || n != 3 {
				return errors.Errorf("%d ranks: %v", n, err)
			}
		}
		for _, bad := range [][]int{{1, 1}, {5}, {-1}} {
			if _, err := collectives.Subset(ctx, c, bad); err == nil {
				return errors.Errorf("subset %v", bad)
			}
		}
		if _, err := collectives.Subset(ctx, c, []int{c.Rank()}); !stderrors.Is(err, collectives.ErrMismatch) {
			return errors.Errorf("different lists: %v", err)
		}
		return nil
	})
}

// TestCartBorder: a program of messages along a grid needs no cases at the
// border, where its neighbour is nobody to package runtime, too.
func TestCartBorder(t *testing.T) {
	runtimetest.SPMD(t, 3, func(ctx context.Context, c *runtime.Comm) error {
		g, err := collectives.NewCart(ctx, c, []int{3}, nil)
		if err != nil {
			return err
		}
		before, after := g.Shift(0, 1)
		in := []int32{-1}
		if _, err := runtime.SendRecv(ctx, g.Comm(), after, []int32{int32(c.Rank())}, before, in, 0); err != nil {
			return err
		}
		if in[0] != int32(c.Rank())-1 {
			return errors.Errorf("rank %d got %d", c.Rank(), in[0])
		}
		return nil
	})
}
