package conformance

import (
	"context"
	"encoding/binary"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// layouts: messages that are not one slice, or not one of known length.
var layouts = []program{
	{"parts", []int{1, 2, 3}, parts},
	{"transpose", []int{1, 2}, transpose},
	{"parts given up", []int{1, 2}, partsGivenUp},
	{"length unknown", []int{1, 2}, lengthUnknown},
	{"every type", []int{1, 2}, everyType},
}

// cut cuts b into parts of the given lengths, again and again.
func cut(b []int32, pieces ...int) (parts [][]int32) {
	for i := 0; len(b) > 0; i++ {
		n := min(pieces[i%len(pieces)], len(b))
		parts = append(parts, b[:n])
		b = b[n:]
	}
	return parts
}

// parts are sent cut in one way and received cut in another, or whole.
func parts(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for i, n := range lengths {
		for _, pieces := range [][]int{{1, 0, 3}, {300}, {5000, 1, 70_000}} {
			out, in := filled(n, c.Rank(), i), make([]int32, n)
			s := runtime.IsendParts(c, right, 0, cut(out, pieces...))
			if _, err := runtime.Recv(ctx, c, left, 0, in); err != nil {
				return err
			}
			if err := same(in, left, i); err != nil {
				return err
			}
			clear(in)
			r := runtime.IrecvParts(c, left, 1, cut(in, 7, 0, 400))
			if err := runtime.SendParts(ctx, c, right, 1, cut(out, pieces...)); err != nil {
				return err
			}
			st, err := r.Wait(ctx)
			if err != nil {
				return err
			}
			if err := expect(st, left, 1, n); err != nil {
				return err
			}
			if err := same(in, left, i); err != nil {
				return err
			}
			if _, err := s.Wait(ctx); err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			s = runtime.Isend(c, right, 2, out)
			var long *runtime.TruncationError
			if _, err := runtime.RecvParts(ctx, c, left, 2, cut(in[:n-1], 40)); !errors.As(err, &long) || long.Bytes != 4*n || long.Room != 4*(n-1) {
				return errors.Errorf("%d elements into parts of %d: %v", n, n-1, err)
			}
			if _, err := s.Wait(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// transpose sends the columns of a matrix and receives them as rows, and the
// other way round.
func transpose(ctx context.Context, c *runtime.Comm) error {
	const rows, cols = 300, 200
	right, left := neighbours(c)
	m := filled(rows*cols, c.Rank(), 0)
	got := make([]int32, cols*rows)
	back := make([]int32, rows*cols)
	var sends []*runtime.Request
	for j := range cols {
		sends = append(sends, runtime.IsendParts(c, right, 0, runtime.Strided(m[j:], 1, cols, rows)))
	}
	for j := range cols {
		if _, err := runtime.Recv(ctx, c, left, 0, got[j*rows:(j+1)*rows]); err != nil {
			return err
		}
	}
	theirs := filled(rows*cols, left, 0)
	for i, v := range got {
		if want := theirs[i%rows*cols+i/rows]; v != want {
			return errors.Errorf("element %d is %#x, want %#x", i, v, want)
		}
	}
	for j := range cols {
		sends = append(sends, runtime.Isend(c, right, 1, got[j*rows:(j+1)*rows]))
	}
	for j := range cols {
		if _, err := runtime.RecvParts(ctx, c, left, 1, runtime.Strided(back[j:], 1, cols, rows)); err != nil {
			return err
		}
	}
	from := (left + c.Size() - 1) % c.Size() // whose matrix came to the left neighbour
	if err := same(back, from, 0); err != nil {
		return err
	}
	return runtime.WaitAll(ctx, sends...)
}

// partsGivenUp: what is cancelled leaves the parts alone, and the stream whole.
func partsGivenUp(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	in := filled(1000, c.Rank(), 1)
	r := runtime.IrecvParts(c, left, 0, cut(in, 10))
	if _, err := r.Wait(ended(ctx)); !errors.Is(err, errEnough) {
		return errors.Errorf("given up: %v", err)
	}
	if err := same(in, c.Rank(), 1); err != nil {
		return err
	}
	if err := meet(ctx, c); err != nil {
		return err
	}
	r = runtime.IrecvParts(c, left, 0, cut(in, 10))
	if err := runtime.SendParts(ctx, c, right, 0, cut(filled(1000, c.Rank(), 2), 999)); err != nil {
		return err
	}
	if _, err := r.Wait(ctx); err != nil {
		return err
	}
	return same(in, left, 2)
}

func lengthUnknown(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for i, n := range lengths {
		for range 2 {
			s := runtime.Isend(c, right, 0, filled(n, c.Rank(), i))
			buf, st, err := runtime.RecvAlloc[int32](ctx, c, left, 0, max(n, 1))
			if err != nil || len(buf) != n {
				return errors.Errorf("%d elements: %d, %v", n, len(buf), err)
			}
			if err := expect(st, left, 0, n); err != nil {
				return err
			}
			if err := same(buf, left, i); err != nil {
				return err
			}
			if _, err := s.Wait(ctx); err != nil {
				return err
			}
		}
		if n == 0 {
			continue
		}
		s := runtime.Isend(c, right, 0, filled(n, c.Rank(), i))
		buf, _, err := runtime.RecvAlloc[int32](ctx, c, left, 0, n-1)
		var long *runtime.TruncationError
		if !errors.As(err, &long) || long.Bytes != 4*n || long.Room != 4*(n-1) || buf != nil {
			return errors.Errorf("%d elements, limit %d: %d, %v", n, n-1, len(buf), err)
		}
		if _, err := s.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

func everyType(ctx context.Context, c *runtime.Comm) error {
	type celsius float32
	type phase complex64
	for _, exchange := range []func(context.Context, *runtime.Comm) error{
		typed(number[int8]), typed(number[int16]), typed(number[int32]), typed(number[int64]),
		typed(number[uint8]), typed(number[uint16]), typed(number[uint32]), typed(number[uint64]),
		typed(number[float32]), typed(number[float64]), typed(number[celsius]),
		typed(func(i int) complex64 { return complex(number[float32](i), -number[float32](i+1)) }),
		typed(func(i int) complex128 { return complex(number[float64](i), -number[float64](i+1)) }),
		typed(func(i int) phase { return phase(complex(-number[float32](i), number[float32](i+1))) }),
	} {
		if err := exchange(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func number[T ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64](i int) T {
	return T(i % 100)
}

// typed exchanges elements, of which the i'th of a rank is of(i + rank).
func typed[T runtime.Elem](of func(i int) T) func(context.Context, *runtime.Comm) error {
	return func(ctx context.Context, c *runtime.Comm) error {
		right, left := neighbours(c)
		for _, n := range []int{1, 3, 1001, 70_001} {
			out := make([]T, n)
			for i := range out {
				out[i] = of(i + c.Rank())
			}
			s := runtime.Isend(c, right, 0, out)
			in, st, err := runtime.RecvAlloc[T](ctx, c, left, 0, n)
			want := runtime.Status{Source: left, Count: n, Bytes: n * binary.Size(out[0])}
			if err != nil || st != want || len(in) != n {
				return errors.Errorf("%T: %+v, want %+v: %v", out, st, want, err)
			}
			for i := range in {
				if in[i] != of(i+left) {
					return errors.Errorf("%T: element %d is %v, want %v", in, i, in[i], of(i+left))
				}
			}
			if _, err := s.Wait(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}
