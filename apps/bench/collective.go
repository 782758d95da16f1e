package main

import (
	"bytes"
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
)

var (
	vectorSizes = []int{8, 1 << 10, 16 << 10, 128 << 10, 2 << 20, 16 << 20}
	blockSizes  = []int{8, 1 << 10, 16 << 10, 128 << 10, 1 << 20}
)

// collective are what all ranks do together.
var collective = []benchmark{
	{
		name: "barrier", ranks: 1, sizes: []int{0}, fixed: true,
		text: "a barrier; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			return e.together(func(ctx context.Context) error { return collectives.Barrier(ctx, e.Comm) }, func() error { return nil }), nil
		},
	},
	{
		name: "bcast", ranks: 1, sizes: vectorSizes,
		text: "bytes from rank 0 to all; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			buf := make([]byte, e.size)
			if e.Rank() == 0 {
				buf = filled(e.size, 0)
			}
			return e.together(func(ctx context.Context) error { return collectives.Bcast(ctx, e.Comm, buf, 0) },
				func() error { return checkBytes(buf, 0) }), nil
		},
	},
	{
		name: "reduce", ranks: 1, unit: 4, sizes: vectorSizes,
		text: "the sum of all ranks' vectors of float32 at rank 0; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			dst, src := vectors[float32](e.size/4, e.Rank())
			return e.together(func(ctx context.Context) error {
				return collectives.Reduce(ctx, e.Comm, dst, src, collectives.Sum, 0)
			}, func() error {
				if e.Rank() != 0 {
					return nil
				}
				return checkSums(dst, 0, e.Size())
			}), nil
		},
	},
	{
		name: "allreduce", ranks: 1, unit: 4, sizes: vectorSizes,
		text:  "the same at all ranks; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) { return allreduce[float32](e, 4), nil },
	},
	{
		name: "allreduce64", ranks: 1, unit: 8, sizes: vectorSizes,
		text:  "allreduce of float64; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) { return allreduce[float64](e, 8), nil },
	},
	{
		name: "reduce-scatter", ranks: 1, unit: 4, sizes: vectorSizes,
		text: "the same in parts, one for each rank; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			_, src := vectors[float32](e.size/4, e.Rank())
			counts, off := e.parts(len(src))
			dst := make([]float32, counts[e.Rank()])
			return e.together(func(ctx context.Context) error {
				return collectives.ReduceScatter(ctx, e.Comm, dst, src, collectives.Sum, collectives.Counts(counts))
			}, func() error { return checkSums(dst, off, e.Size()) }), nil
		},
	},
	{
		name: "gather", ranks: 1, sizes: blockSizes,
		text: "so many bytes of each rank to rank 0; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			dst, src := make([]byte, e.size*e.Size()), filled(e.size, e.Rank())
			return e.together(func(ctx context.Context) error { return collectives.Gather(ctx, e.Comm, dst, src, 0) },
				func() error {
					if e.Rank() != 0 {
						return nil
					}
					return e.checkBlocks(dst)
				}), nil
		},
	},
	{
		name: "allgather", ranks: 1, sizes: blockSizes,
		text: "so many bytes of each rank to all; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			dst, src := make([]byte, e.size*e.Size()), filled(e.size, e.Rank())
			return e.together(func(ctx context.Context) error { return collectives.Allgather(ctx, e.Comm, dst, src) },
				func() error { return e.checkBlocks(dst) }), nil
		},
	},
	{
		name: "scatter", ranks: 1, sizes: blockSizes,
		text: "so many bytes from rank 0 to each rank; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			dst, src := make([]byte, e.size), []byte(nil)
			if e.Rank() == 0 {
				src = e.blocks()
			}
			return e.together(func(ctx context.Context) error { return collectives.Scatter(ctx, e.Comm, dst, src, 0) },
				func() error { return checkBytes(dst, e.Rank()) }), nil
		},
	},
	{
		name: "alltoall", ranks: 1, sizes: blockSizes,
		text: "so many bytes from each rank to each; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			dst := make([]byte, e.size*e.Size())
			src := bytes.Repeat(filled(e.size, e.Rank()), e.Size())
			return e.together(func(ctx context.Context) error { return collectives.Alltoall(ctx, e.Comm, dst, src) },
				func() error { return e.checkBlocks(dst) }), nil
		},
	},
	{
		name: "scan", ranks: 1, unit: 4, sizes: vectorSizes,
		text: "the sum of the vectors of float32 of the ranks up to each; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			dst, src := vectors[float32](e.size/4, e.Rank())
			return e.together(func(ctx context.Context) error {
				return collectives.Scan(ctx, e.Comm, dst, src, collectives.Sum)
			}, func() error { return checkSums(dst, 0, e.Rank()+1) }), nil
		},
	},
	{
		name: "exscan", ranks: 2, unit: 4, sizes: vectorSizes,
		text: "scan without the own vector; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			dst, src := vectors[float32](e.size/4, e.Rank())
			return e.together(func(ctx context.Context) error {
				return collectives.Exscan(ctx, e.Comm, dst, src, collectives.Sum)
			}, func() error {
				if e.Rank() == 0 {
					return nil // whose vector stays as it is
				}
				return checkSums(dst, 0, e.Rank())
			}), nil
		},
	},
}

// parts divides n elements among the ranks, as evenly as they go, and returns how
// many each has and where the own ones begin.
func (e env) parts(n int) (counts []int, off int) {
	counts = make([]int, e.Size())
	for r := range counts {
		counts[r] = (r+1)*n/e.Size() - r*n/e.Size()
	}
	return counts, e.Rank() * n / e.Size()
}

// blocks are the bytes of all ranks, one block after the other.
func (e env) blocks() []byte {
	b := make([]byte, 0, e.size*e.Size())
	for r := range e.Size() {
		b = append(b, filled(e.size, r)...)
	}
	return b
}

// checkBlocks reports whether b is what blocks returns.
func (e env) checkBlocks(b []byte) error {
	for r := range e.Size() {
		if err := checkBytes(b[r*e.size:(r+1)*e.size], r); err != nil {
			return err
		}
	}
	return nil
}

func allreduce[T float32 | float64](e env, width int) *trial {
	dst, src := vectors[T](e.size/width, e.Rank())
	return e.together(func(ctx context.Context) error {
		return collectives.Allreduce(ctx, e.Comm, dst, src, collectives.Sum)
	}, func() error { return checkSums(dst, 0, e.Size()) })
}

// vectors returns the vector that a rank adds, and one for the sum.
func vectors[T float32 | float64](n, rank int) (dst, src []T) {
	src = make([]T, n)
	for i := range src {
		src[i] = T((i+rank)%cycle + 1)
	}
	return make([]T, n), src
}

const cycle = 7 // of the numbers in a vector

// checkSums reports whether x is the sum, from element off on, of the vectors of
// the first so many ranks. The numbers are small, so that sums are exact.
func checkSums[T float32 | float64](x []T, off, ranks int) error {
	var want [cycle]T
	for i := range want {
		for r := range ranks {
			want[i] += T((i+r)%cycle + 1)
		}
	}
	for i, got := range x {
		if want := want[(i+off)%cycle]; got != want {
			return errors.Errorf("wrong sum of %d ranks: element %d is %v, expected %v", ranks, i+off, got, want)
		}
	}
	return nil
}
