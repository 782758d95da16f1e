package collectives_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

var sizes = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17}

// lengths are below, at and above what travels with the fingerprint, and long
// enough for the algorithms for long vectors.
func lengths(size int) []int {
	if size > 5 || testing.Short() {
		return []int{0, 1, 1500}
	}
	return []int{0, 1, 3, 512, 513, 60_001}
}

// val is what a rank contributes: small, so that sums and products are exact.
func val[T runtime.Elem](rank, i int) T {
	v := 1 + (rank*7+i*3)%5
	var x T
	switch p := any(&x).(type) {
	case *int8:
		*p = int8(v)
	case *int32:
		*p = int32(v)
	case *int64:
		*p = int64(v)
	case *float32:
		*p = float32(v)
	case *float64:
		*p = float64(v)
	case *complex128:
		*p = complex(float64(v), 1)
	}
	return x
}

func vector[T runtime.Elem](rank, n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = val[T](rank, i)
	}
	return x
}

// concat is what Gather makes.
func concat[T runtime.Elem](counts []int) []T {
	var all []T
	for r, n := range counts {
		all = append(all, vector[T](r, n)...)
	}
	return all
}

func expect[T runtime.Elem](what string, got, want []T) error {
	for i := range want {
		if got[i] != want[i] {
			return errors.Errorf("%s: element %d of %d is %v, want %v", what, i, len(want), got[i], want[i])
		}
	}
	return nil
}

func junk[T runtime.Elem](n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = val[T](17, i) * 3
	}
	return x
}

// testVerbs runs every verb, for one type, on one job.
func testVerbs[T runtime.Elem](ctx context.Context, c *runtime.Comm) error {
	rank, size := c.Rank(), c.Size()
	for _, n := range lengths(size) {
		mine := vector[T](rank, n)
		sum := make([]T, n)
		for r := range size {
			for i := range sum {
				sum[i] += val[T](r, i)
			}
		}
		for _, opts := range [][]collectives.Option{nil, {collectives.InOrder}} {
			dst := junk[T](n)
			if err := collectives.Allreduce(ctx, c, dst, mine, collectives.Sum, opts...); err != nil {
				return err
			}
			if err := expect("allreduce", dst, sum); err != nil {
				return err
			}
			copy(dst, mine)
			if err := collectives.Allreduce(ctx, c, dst, dst, collectives.Sum, opts...); err != nil {
				return err
			}
			if err := expect("allreduce in place", dst, sum); err != nil {
				return err
			}
		}
		equal := make([]int, size)
		rising := make([]int, size)
		for r := range equal {
			equal[r], rising[r] = n, n+r%3
		}
		for _, counts := range [][]int{equal, rising} {
			var opts []collectives.Option
			if counts[size-1] != n || size == 2 {
				opts = append(opts, collectives.Counts(counts))
			}
			if size > 2 && &counts[0] == &rising[0] {
				opts = []collectives.Option{collectives.Counts(counts)}
			}
			all, part := concat[T](counts), vector[T](rank, counts[rank])
			dst := junk[T](len(all))
			if err := collectives.Allgather(ctx, c, dst, part, opts...); err != nil {
				return err
			}
			if err := expect("allgather", dst, all); err != nil {
				return err
			}
			for _, root := range []int{0, size / 2, size - 1} {
				dst := junk[T](len(all))
				if rank != root {
					dst = nil
				}
				if err := collectives.Gather(ctx, c, dst, part, root, opts...); err != nil {
					return err
				}
				if rank == root {
					if err := expect("gather", dst, all); err != nil {
						return err
					}
				}
				block := junk[T](counts[rank])
				src := all
				if rank != root {
					src = nil
				}
				if err := collectives.Scatter(ctx, c, block, src, root, opts...); err != nil {
					return err
				}
				if err := expect("scatter", block, part); err != nil {
					return err
				}
			}
		}
		for _, root := range []int{0, size / 2, size - 1} {
			buf := junk[T](n)
			if rank == root {
				copy(buf, mine)
			}
			if err := collectives.Bcast(ctx, c, buf, root); err != nil {
				return err
			}
			if err := expect("bcast", buf, vector[T](root, n)); err != nil {
				return err
			}
			dst := junk[T](n)
			if err := collectives.Reduce(ctx, c, dst, mine, collectives.Sum, root); err != nil {
				return err
			}
			want := sum
			if rank != root {
				want = junk[T](n)
			}
			if err := expect("reduce", dst, want); err != nil {
				return err
			}
			copy(dst, mine)
			if err := collectives.Reduce(ctx, c, dst, dst, collectives.Sum, root); err != nil {
				return err
			}
			if rank == root {
				if err := expect("reduce in place", dst, sum); err != nil {
					return err
				}
			}
		}
	}
	return collectives.Barrier(ctx, c)
}

func TestVerbs(t *testing.T) {
	for _, size := range sizes {
		t.Run(fmt.Sprintf("ranks=%d", size), func(t *testing.T) {
			runtimetest.SPMD(t, size, testVerbs[float64])
			if size <= 5 {
				runtimetest.SPMD(t, size, testVerbs[int8])
				runtimetest.SPMD(t, size, testVerbs[float32])
				runtimetest.SPMD(t, size, testVerbs[complex128])
			}
			if size <= 9 {
				runtimetest.SPMD(t, size, testVerbs[int32])
			}
		})
	}
}

func TestVerbsOverTCP(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5} {
		t.Run(fmt.Sprintf("ranks=%d", size), func(t *testing.T) {
			runtimetest.TCP(t, size, testVerbs[float64])
		})
	}
}

func TestOps(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5, 8} {
		runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
			r := int64(c.Rank())
			bits := uint32(1)<<c.Rank() | 0x80000000
			product, all, xor := int64(1), uint32(0), uint32(0)
			for q := range size {
				product *= int64(q + 1)
				all |= 1<<q | 0x80000000
				xor ^= 1<<q | 0x80000000
			}
			and := bits
			if size > 1 {
				and = 0x80000000
			}
			for _, check := range []struct {
				name string
				op   collectives.Op[int64]
				v    int64
				want int64
			}{
				{"sum", collectives.Sum[int64], r, int64(size * (size - 1) / 2)},
				{"prod", collectives.Prod[int64], r + 1, product},
				{"max", collectives.Max[int64], -r, 0},
				{"min", collectives.Min[int64], -r, int64(1 - size)},
			} {
				got, err := collectives.AllreduceValue(ctx, c, check.v, check.op)
				if err != nil || got != check.want {
					return errors.Errorf("%s: got %d, want %d: %v", check.name, got, check.want, err)
				}
			}
			for _, check := range []struct {
				name string
				op   collectives.Op[uint32]
				want uint32
			}{{"and", collectives.BitAnd[uint32], and}, {"or", collectives.BitOr[uint32], all}, {"xor", collectives.BitXor[uint32], xor}} {
				got, err := collectives.AllreduceValue(ctx, c, bits, check.op)
				if err != nil || got != check.want {
					return errors.Errorf("%s: got %x, want %x: %v", check.name, got, check.want, err)
				}
			}
			nan, err := collectives.AllreduceValue(ctx, c, map[bool]float64{true: math.NaN(), false: 1}[c.Rank() == size-1], collectives.Max)
			if err != nil || !math.IsNaN(nan) {
				return errors.Errorf("max with a NaN: %v: %v", nan, err)
			}
			// Affine maps x -> a*x+b compose, and do not commute.
			const mod = 1_000_003
			type affine = [2]int64
			compose := collectives.FuncOf("compose", 2, func(dst, src []int64) {
				for i := 0; i+1 < len(dst); i += 2 {
					a, b := affine{dst[i], dst[i+1]}, affine{src[i], src[i+1]}
					dst[i], dst[i+1] = a[0]*b[0]%mod, (b[0]*a[1]+b[1])%mod
				}
			})
			want := affine{1, 0}
			for q := range int64(size) {
				want = affine{want[0] * (q + 2) % mod, ((q+2)*want[1] + q + 5) % mod}
			}
			x := []int64{r + 2, r + 5}
			if err := collectives.Allreduce(ctx, c, x, x, compose, collectives.InOrder); err != nil || affine(x) != want {
				return errors.Errorf("in order: got %v, want %v: %v", x, want, err)
			}
			x = []int64{r + 2, r + 5}
			if err := collectives.Reduce(ctx, c, x, x, compose, size-1, collectives.InOrder); err != nil || int(r) == size-1 && affine(x) != want {
				return errors.Errorf("reduce in order: got %v, want %v: %v", x, want, err)
			}
			return nil
		})
	}
}

// TestBitEqual: sums of floats whose result depends on the order are the same
// on all ranks.
func TestBitEqual(t *testing.T) {
	for _, size := range []int{2, 3, 5, 7, 8} {
		for _, n := range []int{1, 100, 50_000} {
			runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
				x := make([]float32, n)
				for i := range x {
					x[i] = float32(math.Sin(float64(c.Rank()*n+i))) * float32(math.Pow(10, float64(c.Rank()%5)))
				}
				if err := collectives.Allreduce(ctx, c, x, x, collectives.Sum); err != nil {
					return err
				}
				all := make([]float32, n*size)
				if err := collectives.Allgather(ctx, c, all, x); err != nil {
					return err
				}
				for r := range size {
					if !slices.Equal(all[r*n:(r+1)*n], x) {
						return errors.Errorf("%d ranks, %d elements: rank %d differs from rank %d", size, n, r, c.Rank())
					}
				}
				return nil
			})
		}
	}
}

// TestPrivate: collectives do not meet the program's wildcards, and split
// communicators do not meet each other.
func TestPrivate(t *testing.T) {
	runtimetest.SPMD(t, 5, func(ctx context.Context, c *runtime.Comm) error {
		in := make([]int32, 1)
		r := runtime.Irecv(c, runtime.AnySource, runtime.AnyTag, in)
		half, err := c.Split(ctx, c.Rank()%2, c.Rank())
		if err != nil {
			return err
		}
		want := map[int]int32{0: 0 + 2 + 4, 1: 1 + 3}[c.Rank()%2]
		for range 3 {
			if got, err := collectives.AllreduceValue(ctx, half, int32(c.Rank()), collectives.Sum); err != nil || got != want {
				return errors.Errorf("half: got %d, want %d: %v", got, want, err)
			}
			if got, err := collectives.AllreduceValue(ctx, c, int32(1), collectives.Sum); err != nil || got != 5 {
				return errors.Errorf("all: got %d: %v", got, err)
			}
		}
		if err := runtime.Send(ctx, c, (c.Rank()+1)%5, 7, []int32{42}); err != nil {
			return err
		}
		if st, err := r.Wait(ctx); err != nil || in[0] != 42 || st.Tag != 7 {
			return errors.Errorf("wildcard got %d with tag %d: %v", in[0], st.Tag, err)
		}
		return half.Close()
	})
}
