package conformance

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// windows: memory of a rank that others reach.
var windows = []program{
	{"compared bit by bit", []int{1, 2}, comparedBitByBit},
}

// comparedBitByBit: a compare-and-swap sees every bit of an element, and no more:
// 0 is not -0, and a NaN is itself but no other NaN.
func comparedBitByBit(ctx context.Context, c *runtime.Comm) error {
	nan := math.Float64frombits
	narrow := math.Float32frombits
	const quiet, single = 0x7ff8 << 48, 0x7fc0 << 16
	for _, swap := range []func(context.Context, *runtime.Comm) error{
		swaps(0, math.Copysign(0, -1), nan(quiet), nan(quiet|1<<63), nan(quiet|1), nan(quiet|1<<40), nan(quiet|1<<50)),
		swaps(0, narrow(1<<31), narrow(single), narrow(single|1<<31), narrow(single|1), narrow(single|1<<21)),
		swaps(bits[int8](8)...), swaps(bits[int16](16)...), swaps(bits[int32](32)...), swaps(bits[int64](64)...),
		swaps(0, complex(narrow(1<<31), 0), complex(0, narrow(1<<31)), complex(narrow(single), 1), complex(narrow(single|1), 1), complex(1, narrow(single))),
		swaps(0, complex(nan(1<<63), 0), complex(0, nan(1<<63)), complex(nan(quiet), 1), complex(nan(quiet|1), 1), complex(1, nan(quiet))),
	} {
		if err := swap(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// bits returns 0 and the numbers of n bits of which one is set, the last of a byte.
func bits[T int8 | int16 | int32 | int64](n int) []T {
	all := []T{0}
	for i := 7; i < n; i += 8 {
		all = append(all, T(1)<<i)
	}
	return all
}

// swaps has each value, of which no two have the same bits, compared with each.
func swaps[T runtime.Elem](values ...T) func(context.Context, *runtime.Comm) error {
	return func(ctx context.Context, c *runtime.Comm) error {
		right, _ := neighbours(c)
		w, err := runtime.NewWindow[T](ctx, c, 3)
		if err != nil {
			return err
		}
		const at = 1
		spare := []T{values[len(values)-1]} // beside it
		for _, off := range []int{0, 2} {
			if err := w.Put(ctx, right, off, spare); err != nil {
				return err
			}
		}
		for i, there := range values {
			for j, old := range values {
				if err := w.Put(ctx, right, at, []T{there}); err != nil {
					return err
				}
				next := values[(j+1)%len(values)]
				was, err := w.CompareAndSwap(ctx, right, at, old, next)
				if err != nil {
					return err
				}
				now, err := w.Fetch(ctx, right, at, 0, runtime.Keep)
				if err != nil {
					return err
				}
				want := there
				if i == j {
					want = next
				}
				if !alike(was, there) || !alike(now, want) {
					return errors.Errorf("%T: %v, compared with %v (%d and %d) and swapped for %v: was %v, is %v", there, there, old, i, j, next, was, now)
				}
			}
		}
		for _, off := range []int{0, 2} {
			if v, err := w.Fetch(ctx, right, off, 0, runtime.Keep); err != nil || !alike(v, spare[0]) {
				return errors.Errorf("beside it is %v, want %v: %v", v, spare[0], err)
			}
		}
		return w.Close(ctx)
	}
}

// alike compares bits.
func alike[T runtime.Elem](a, b T) bool {
	var x, y [16]byte
	n, _ := binary.Encode(x[:], binary.LittleEndian, []T{a})
	m, _ := binary.Encode(y[:], binary.LittleEndian, []T{b})
	return n > 0 && n == m && x == y
}
