package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestWindowList builds one linked list of elements at all ranks, which all
// push to at once without locks, and walks it.
func TestWindowList(t *testing.T) {
	const each = 20
	eachSize(t, func(ctx context.Context, c *runtime.Comm) error {
		// An element is named by rank·each+place+1; 0 is the end. The head is the
		// last word at rank 0.
		w, err := runtime.NewWindow[uint32](ctx, c, each+1)
		if err != nil {
			return err
		}
		for i := range each {
			name := uint32(c.Rank()*each + i + 1)
			head, err := w.Fetch(ctx, 0, each, 0, runtime.Keep)
			for err == nil {
				if err = w.Put(ctx, c.Rank(), i, []uint32{head}); err != nil {
					break
				}
				var was uint32
				if was, err = w.CompareAndSwap(ctx, 0, each, head, name); was == head {
					break
				}
				head = was
			}
			if err != nil {
				return err
			}
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		next, err := w.Fetch(ctx, 0, each, 0, runtime.Keep)
		var names []uint32
		for err == nil && next != 0 && len(names) <= each*c.Size() {
			names = append(names, next)
			v := []uint32{0}
			err = w.Get(ctx, int(next-1)/each, int(next-1)%each, v)
			next = v[0]
		}
		if err != nil {
			return err
		}
		slices.Sort(names)
		if n := len(slices.Compact(names)); n != each*c.Size() {
			return fmt.Errorf("%d elements in the list, want %d", n, each*c.Size())
		}
		return w.Close(ctx)
	})
}

// TestWindowTranspose writes columns of a matrix whose rows are at the ranks,
// and reads it back by columns, all in batches.
func TestWindowTranspose(t *testing.T) {
	eachSize(t, func(ctx context.Context, c *runtime.Comm) error {
		const rows = 40 // at each rank
		n, columns := c.Size(), rows*c.Size()
		w, err := runtime.NewWindow[float64](ctx, c, rows*columns)
		if err != nil {
			return err
		}
		value := func(row, column int) float64 { return float64(1000*row + column) }
		for target := range n {
			b := w.Batch(target)
			for row := range rows {
				for column := c.Rank(); column < columns; column += n {
					if err := b.Put(ctx, row*columns+column, []float64{value(target*rows+row, column)}); err != nil {
						return err
					}
				}
			}
			if err := b.Flush(ctx); err != nil {
				return err
			}
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		for i, v := range w.Local() {
			if want := value(c.Rank()*rows+i/columns, i%columns); v != want {
				return fmt.Errorf("element %d is %v, want %v", i, v, want)
			}
		}
		column, got := (c.Rank()*7+1)%columns, make([]float64, n*rows)
		for target := range n {
			b := w.Batch(target)
			for row := range rows {
				if err := b.Get(ctx, row*columns+column, got[target*rows+row:][:1]); err != nil {
					return err
				}
			}
			if err := b.Flush(ctx); err != nil {
				return err
			}
		}
		for row, v := range got {
			if v != value(row, column) {
				return fmt.Errorf("row %d of column %d is %v", row, column, v)
			}
		}
		return w.Close(ctx)
	})
}

// TestWindowNested holds locks at several ranks, in one order, and moves units
// between them.
func TestWindowNested(t *testing.T) {
	eachSize(t, func(ctx context.Context, c *runtime.Comm) error {
		const each, start = 10, 1000
		w, err := runtime.NewWindow[int32](ctx, c, 1)
		if err != nil {
			return err
		}
		if err := stderrors.Join(w.Put(ctx, c.Rank(), 0, []int32{start}), w.Fence(ctx)); err != nil {
			return err
		}
		rnd := rand.New(rand.NewPCG(5, uint64(c.Rank())))
		for range each {
			a, b := rnd.IntN(c.Size()), rnd.IntN(c.Size())
			if a == b {
				continue
			}
			err := w.Exclusive(ctx, min(a, b), func() error {
				return w.Exclusive(ctx, max(a, b), func() error {
					x, y := []int32{0}, []int32{0}
					if err := stderrors.Join(w.Get(ctx, a, 0, x), w.Get(ctx, b, 0, y)); err != nil {
						return err
					}
					return stderrors.Join(w.Put(ctx, a, 0, []int32{x[0] - 1}), w.Put(ctx, b, 0, []int32{y[0] + 1}))
				})
			})
			if err != nil {
				return err
			}
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		sum := int32(0)
		for r := range c.Size() {
			v := []int32{0}
			if err := w.Get(ctx, r, 0, v); err != nil {
				return err
			}
			sum += v[0]
		}
		if want := int32(start * c.Size()); sum != want {
			return fmt.Errorf("%d units, want %d", sum, want)
		}
		return w.Close(ctx)
	})
}

// TestWindowCancelled ends calls by their contexts at any moment. Each has been
// done or not; whatever comes after is exact.
func TestWindowCancelled(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			const n = 300_000
			w, err := runtime.NewWindow[int64](ctx, c, n+1)
			if err != nil {
				return err
			}
			other := 1 - c.Rank()
			src, dst := make([]int64, n), make([]int64, n)
			rnd := rand.New(rand.NewPCG(9, uint64(c.Rank())))
			turns := int64(0)
			for i := range 40 {
				k := 1 + rnd.IntN(n)
				if i%2 == 0 {
					k = 1 + k%100
				}
				limited, cancel := context.WithCancel(ctx)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for range i % 7 * 500 {
						_ = ctx.Err()
					}
					cancel()
				}()
				b := w.Batch(other)
				err := stderrors.Join(w.Put(limited, other, 0, src[:k]), w.Get(limited, other, 0, dst[:k]),
					w.Exclusive(limited, other, func() error { return nil }),
					b.GetAccumulate(limited, 0, src[:k], dst[:k], runtime.Add), b.Get(limited, 0, dst[:k]), b.Flush(limited))
				<-ended
				if err != nil && !stderrors.Is(err, context.Canceled) {
					return err
				}
				for j := range k {
					src[j], dst[j] = int64(i+j), -1
				}
				if err := stderrors.Join(w.Put(ctx, other, 0, src[:k]), w.Get(ctx, other, 0, dst[:k])); err != nil {
					return err
				}
				if !slices.Equal(src[:k], dst[:k]) {
					return fmt.Errorf("turn %d: got other elements than were put", i)
				}
				if v, err := w.Fetch(ctx, other, n, 1, runtime.Add); err != nil || v != turns {
					return fmt.Errorf("turn %d: %d, %v", i, v, err)
				}
				turns++
			}
			return w.Close(ctx)
		})
	})
}
