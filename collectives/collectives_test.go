package collectives_test

import (
	"context"
	stderrors "errors"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

var sizes = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17}

// values are what ranks contribute: small, so that sums and products are exact.
func values[T runtime.Elem]() (all [5]T) {
	for i := range all {
		switch p := reflect.ValueOf(&all[i]).Elem(); {
		case p.CanInt():
			p.SetInt(int64(i + 1))
		case p.CanUint():
			p.SetUint(uint64(i + 1))
		case p.CanFloat():
			p.SetFloat(float64(i + 1))
		default:
			p.SetComplex(complex(float64(i+1), 1))
		}
	}
	return all
}

// vector is what a rank contributes.
func vector[T runtime.Elem](rank, n int) []T {
	all := values[T]()
	x := make([]T, n)
	for i := range x {
		x[i] = all[(rank*7+i*3)%5]
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

// opTable is all operations that a type has, with what each does to two elements.
type opTable[T runtime.Elem] map[string]struct {
	op  collectives.Op[T]
	ref func(a, b T) T
}

func arithmetic[T runtime.Elem]() opTable[T] {
	return opTable[T]{
		"sum":  {collectives.Sum[T], func(a, b T) T { return a + b }},
		"prod": {collectives.Prod[T], func(a, b T) T { return a * b }},
	}
}

func ordered[T collectives.Ordered]() opTable[T] {
	t := arithmetic[T]()
	maps.Copy(t, opTable[T]{
		"max": {collectives.Max[T], func(a, b T) T { return max(a, b) }},
		"min": {collectives.Min[T], func(a, b T) T { return min(a, b) }},
	})
	return t
}

func integer[T collectives.Integer]() opTable[T] {
	t := arithmetic[T]()
	maps.Copy(t, opTable[T]{
		"max": {collectives.Max[T], func(a, b T) T { return max(a, b) }},
		"min": {collectives.Min[T], func(a, b T) T { return min(a, b) }},
		"and": {collectives.BitAnd[T], func(a, b T) T { return a & b }},
		"or":  {collectives.BitOr[T], func(a, b T) T { return a | b }},
		"xor": {collectives.BitXor[T], func(a, b T) T { return a ^ b }},
	})
	return t
}

// testOps runs all operations of a type: all are exact on what val gives.
func testOps[T runtime.Elem](ctx context.Context, c *runtime.Comm, ops opTable[T]) error {
	for _, n := range []int{1, 3, 40} {
		for _, name := range slices.Sorted(maps.Keys(ops)) {
			x := ops[name]
			want := vector[T](0, n)
			for r := 1; r < c.Size(); r++ {
				for i, v := range vector[T](r, n) {
					want[i] = x.ref(want[i], v)
				}
			}
			got := make([]T, n)
			if err := collectives.Allreduce(ctx, c, got, vector[T](c.Rank(), n), x.op); err != nil {
				return err
			}
			if err := expect(name, got, want); err != nil {
				return err
			}
		}
	}
	return nil
}

// named is a type that a program may make.
type named int16

func TestOps(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5, 8} {
		runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
			for _, err := range []error{
				testOps(ctx, c, integer[int8]()), testOps(ctx, c, integer[int16]()), testOps(ctx, c, integer[int32]()), testOps(ctx, c, integer[int64]()),
				testOps(ctx, c, integer[uint8]()), testOps(ctx, c, integer[uint16]()), testOps(ctx, c, integer[uint32]()), testOps(ctx, c, integer[uint64]()),
				testOps(ctx, c, ordered[float32]()), testOps(ctx, c, ordered[float64]()),
				testOps(ctx, c, arithmetic[complex64]()), testOps(ctx, c, arithmetic[complex128]()), testOps(ctx, c, integer[named]()),
			} {
				if err != nil {
					return err
				}
			}
			r := c.Rank()
			for _, op := range []collectives.Op[float64]{collectives.Max[float64], collectives.Min[float64]} {
				nan, err := collectives.AllreduceValue(ctx, c, map[bool]float64{true: math.NaN(), false: 1}[r == size-1], op)
				if err != nil || !math.IsNaN(nan) {
					return errors.Errorf("with a NaN: %v: %v", nan, err)
				}
			}
			// Values 0 1 2 0 1 2 ...: of equal ones the lowest place.
			at := []float32{float32(r % 3), float32(r), 7, float32(size - r)}
			low, high := make([]float32, 4), make([]float32, 4)
			if err := collectives.Allreduce(ctx, c, low, at, collectives.MinLoc); err != nil {
				return err
			}
			if err := collectives.Allreduce(ctx, c, high, at, collectives.MaxLoc); err != nil {
				return err
			}
			top := min(2, size-1)
			if !slices.Equal(low, []float32{0, 0, 7, 1}) || !slices.Equal(high, []float32{float32(top), float32(top), 7, 1}) {
				return errors.Errorf("least %v, greatest %v", low, high)
			}
			if err := collectives.Allreduce(ctx, c, at[:3], at[:3], collectives.MinLoc); !stderrors.Is(err, collectives.ErrArgument) {
				return errors.Errorf("one pair and a half: %v", err)
			}
			return nil
		})
	}
}

// matrix is the product of 2×2 matrices modulo a prime: it does not commute.
var matrix = collectives.FuncOf("matrix", 4, func(dst, src []int64) {
	const p = 1_000_003
	for i := 0; i+3 < len(dst); i += 4 {
		a, b := [4]int64(dst[i:]), [4]int64(src[i:])
		dst[i], dst[i+1] = (a[0]*b[0]+a[1]*b[2])%p, (a[0]*b[1]+a[1]*b[3])%p
		dst[i+2], dst[i+3] = (a[2]*b[0]+a[3]*b[2])%p, (a[2]*b[1]+a[3]*b[3])%p
	}
})

func matrices(rank, n int) []int64 {
	x := make([]int64, 4*n)
	for i := range x {
		x[i] = int64((rank*31+i*7)%97 + 1)
	}
	return x
}

// total is the sum of the matrices of all ranks.
func total(size, n int) []int64 {
	x := matrices(0, n)
	for r := 1; r < size; r++ {
		for i, y := range matrices(r, n) {
			x[i] += y
		}
	}
	return x
}

// product is that of the matrices of the ranks from lo on, below hi.
func product(lo, hi, n int) []int64 {
	const p = 1_000_003
	x := matrices(lo, n)
	for r := lo + 1; r < hi; r++ {
		y := matrices(r, n)
		for i := 0; i < len(x); i += 4 {
			a, b := [4]int64(x[i:]), [4]int64(y[i:])
			for k := range 4 {
				x[i+k] = (a[k/2*2]*b[k%2] + a[k/2*2+1]*b[2+k%2]) % p
			}
		}
	}
	return x
}

// TestNotCommuting: operands stay in order, in whole elements of the operation,
// by every algorithm that may.
func TestNotCommuting(t *testing.T) {
	for _, size := range sizes {
		runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
			rank := c.Rank()
			for _, n := range []int{0, 1, 3, 50} {
				all := product(0, size, n)
				for _, name := range append([]string{""}, collectives.Algorithms()["allreduce"]...) {
					opts := []collectives.Option{collectives.InOrder, collectives.WithAlgorithm(name)}
					x := matrices(rank, n)
					p, err := collectives.PrepareAllreduce(c, x, x, matrix, opts...)
					if err != nil {
						continue
					}
					if err := p.Run(ctx); err != nil || !slices.Equal(x, all) {
						return errors.Errorf("allreduce of %d by %s: %v, want %v: %v", n, name, x, all, err)
					}
				}
				for _, name := range append([]string{""}, collectives.Algorithms()["reduce"]...) {
					opts := []collectives.Option{collectives.InOrder, collectives.WithAlgorithm(name)}
					x, y := matrices(rank, n), make([]int64, 4*n)
					p, err := collectives.PrepareReduce(c, y, x, matrix, size-1, opts...)
					if err != nil {
						continue
					}
					if err := p.Run(ctx); err != nil || rank == size-1 && !slices.Equal(y, all) {
						return errors.Errorf("reduce of %d by %s: %v, want %v: %v", n, name, y, all, err)
					}
				}
				x, y := matrices(rank, n), make([]int64, 4*n)
				if err := collectives.Scan(ctx, c, y, x, matrix, collectives.InOrder); err != nil || !slices.Equal(y, product(0, rank+1, n)) {
					return errors.Errorf("scan of %d: %v: %v", n, y, err)
				}
				x = matrices(rank, n)
				if err := collectives.Exscan(ctx, c, x, x, matrix); err != nil || rank > 0 && !slices.Equal(x, product(0, rank, n)) {
					return errors.Errorf("exscan of %d: %v: %v", n, x, err)
				}
				x, y = matrices(rank, n*size), make([]int64, 4*n)
				if err := collectives.ReduceScatter(ctx, c, y, x, matrix, collectives.InOrder); err != nil || !slices.Equal(y, product(0, size, n*size)[4*n*rank:4*n*(rank+1)]) {
					return errors.Errorf("reduce-scatter of %d: %v: %v", n, y, err)
				}
			}
			return nil
		})
	}
}

// TestAliasing: ranks of one call have source and destination in one place, side
// by side, or apart, each as it likes; and what is not the destination stays.
func TestAliasing(t *testing.T) {
	for _, size := range []int{1, 2, 3, 4, 5, 6, 8, 9, 13} {
		runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
			rank := c.Rank()
			for k, n := range []int{1, 6, 35, 150} {
				mine, sum, product := matrices(rank, n*size), total(size, n*size), product(0, size, n*size)
				for _, verb := range []string{"allreduce", "reduce-scatter"} {
					for _, name := range append([]string{""}, collectives.Algorithms()[verb]...) {
						for _, inOrder := range []bool{false, true} {
							op, want, opts := collectives.Sum[int64], sum, []collectives.Option{collectives.WithAlgorithm(name)}
							if inOrder {
								op, want, opts = matrix, product, append(opts, collectives.InOrder)
							}
							both := slices.Concat(mine, mine)
							src, dst := both[:len(mine)], both[len(mine):]
							if verb == "reduce-scatter" {
								dst, want = dst[:4*n], want[4*n*rank:4*n*(rank+1)]
							}
							inPlace := (rank+k)%3 == 1 && verb == "allreduce"
							switch {
							case inPlace:
								src = dst
							case (rank+k)%3 == 0:
								src = slices.Clone(mine)
							}
							var p *collectives.Plan
							var err error
							if verb == "allreduce" {
								p, err = collectives.PrepareAllreduce(c, dst, src, op, opts...)
							} else {
								p, err = collectives.PrepareReduceScatter(c, dst, src, op, opts...)
							}
							if err != nil {
								continue // the algorithm does not fit
							}
							if err := p.Run(ctx); err != nil || !slices.Equal(dst, want) {
								return errors.Errorf("%s of %d by %q: %v, want %v: %v", verb, n, name, dst[:min(len(dst), 9)], want[:min(len(want), 9)], err)
							}
							if !inPlace && !slices.Equal(src, mine) {
								return errors.Errorf("%s of %d by %q: the source has changed", verb, n, name)
							}
						}
					}
				}
			}
			return nil
		})
	}
}

// inTree is the sum of the ranks from lo on, below hi, in the order of InOrder.
func inTree(lo, hi int, of func(rank int) float64) float64 {
	if hi-lo == 1 {
		return of(lo)
	}
	half := 1
	for 2*half < hi-lo {
		half *= 2
	}
	return inTree(lo, lo+half, of) + inTree(lo+half, hi, of)
}

// TestReproducible: InOrder gives the same bits by all algorithms, verbs and
// lengths.
func TestReproducible(t *testing.T) {
	of := func(rank, i int) float64 { return math.Sin(float64(rank*31+i)) * math.Pow(10, float64(rank%7)) }
	for _, size := range []int{1, 2, 3, 5, 6, 8, 11} {
		runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
			for _, n := range []int{1, 30, 2000} {
				x, y, want := make([]float64, n), make([]float64, n), make([]float64, n)
				for i := range x {
					x[i] = of(c.Rank(), i)
					want[i] = inTree(0, size, func(r int) float64 { return of(r, i) })
				}
				plans := map[string]*collectives.Plan{}
				for _, name := range append([]string{""}, collectives.Algorithms()["allreduce"]...) {
					if p, err := collectives.PrepareAllreduce(c, y, x, collectives.Sum, collectives.InOrder, collectives.WithAlgorithm(name)); err == nil {
						plans["allreduce "+name] = p
					}
				}
				for _, name := range append([]string{""}, collectives.Algorithms()["reduce"]...) {
					if p, err := collectives.PrepareReduce(c, y, x, collectives.Sum, 0, collectives.InOrder, collectives.WithAlgorithm(name)); err == nil {
						plans["reduce "+name] = p
					}
				}
				for _, name := range slices.Sorted(maps.Keys(plans)) {
					if err := plans[name].Run(ctx); err != nil {
						return err
					}
					if (c.Rank() == 0 || name[0] == 'a') && !slices.Equal(y, want) {
						return errors.Errorf("%s of %d differs", name, n)
					}
				}
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
