package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// eachSize runs test over each network with several numbers of ranks.
func eachSize(t *testing.T, body runtimetest.Body) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, n := range []int{1, 2, 3, 5, 8} {
			t.Run(fmt.Sprintf("ranks=%d", n), func(t *testing.T) { run(t, n, body) })
		}
	})
}

// inTurn makes calls of all ranks until one fails. The rank's error ends the job
// then, where it would wait in the next call for others that wait in this one.
func inTurn(calls ...func() error) error {
	for _, call := range calls {
		if err := call(); err != nil {
			return err
		}
	}
	return nil
}

// TestWindowTickets: all ranks, with several goroutines each, draw numbers from
// one counter; each number is drawn once.
func TestWindowTickets(t *testing.T) {
	const goroutines, each = 3, 40
	eachSize(t, func(ctx context.Context, c *runtime.Comm) error {
		all := c.Size() * goroutines * each
		counter, err := runtime.NewWindow[int64](ctx, c, 1)
		if err != nil {
			return err
		}
		drawn, err := runtime.NewWindow[uint8](ctx, c, all)
		if err != nil {
			return err
		}
		target := c.Size() - 1
		errs := make([]error, goroutines)
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for range each {
					i, err := counter.Fetch(ctx, target, 0, 1, runtime.Add)
					if err == nil {
						err = drawn.Accumulate(ctx, 0, int(i), []uint8{1}, runtime.Add)
					}
					if err != nil {
						errs[g] = err
						return
					}
				}
			})
		}
		wg.Wait()
		if err := stderrors.Join(errs...); err != nil {
			return err
		}
		if err := drawn.Fence(ctx); err != nil {
			return err
		}
		if c.Rank() == target && counter.Local()[0] != int64(all) {
			return fmt.Errorf("%d numbers drawn, want %d", counter.Local()[0], all)
		}
		if c.Rank() == 0 && slices.ContainsFunc(drawn.Local(), func(v uint8) bool { return v != 1 }) {
			return fmt.Errorf("not each number was drawn once: %v", drawn.Local())
		}
		return stderrors.Join(drawn.Close(ctx), counter.Close(ctx))
	})
}

// TestWindowMutex builds a lock of compare-and-swap and fetch, the queue of
// Mellor-Crummey and Scott (1991), and counts under it without atomics.
func TestWindowMutex(t *testing.T) {
	const each = 10
	eachSize(t, func(ctx context.Context, c *runtime.Comm) error {
		const tail, next, blocked, count = 0, 1, 2, 3 // tail and count at rank 0
		w, err := runtime.NewWindow[int32](ctx, c, 4)
		if err != nil {
			return err
		}
		me := int32(c.Rank() + 1) // 0 is nobody
		rank := func(who int32) int { return int(who) - 1 }
		set := func(rank, at int, v int32) error { return w.Accumulate(ctx, rank, at, []int32{v}, runtime.Replace) }
		for range each {
			err := stderrors.Join(set(c.Rank(), next, 0), set(c.Rank(), blocked, 1))
			before, fetched := w.Fetch(ctx, 0, tail, me, runtime.Replace)
			if err = stderrors.Join(err, fetched); err != nil {
				return err
			}
			if before != 0 {
				if err := stderrors.Join(set(rank(before), next, me), w.Flush(ctx, rank(before))); err != nil {
					return err
				}
				if _, err := w.WaitFor(ctx, blocked, func(v int32) bool { return v == 0 }); err != nil {
					return err
				}
			}
			v := make([]int32, 1)
			if err := w.Get(ctx, 0, count, v); err != nil {
				return err
			}
			v[0]++
			if err := stderrors.Join(w.Put(ctx, 0, count, v), w.Flush(ctx, 0)); err != nil {
				return err
			}
			if was, err := w.CompareAndSwap(ctx, 0, tail, me, 0); err != nil {
				return err
			} else if was != me {
				after, err := w.WaitFor(ctx, next, func(v int32) bool { return v != 0 })
				if err != nil {
					return err
				}
				if err := stderrors.Join(set(rank(after), blocked, 0), w.Flush(ctx, rank(after))); err != nil {
					return err
				}
			}
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		if got, want := w.Local()[count], int32(each*c.Size()); c.Rank() == 0 && got != want {
			return fmt.Errorf("counted %d, want %d", got, want)
		}
		return w.Close(ctx)
	})
}

// TestWindowProgress uses the memory of a rank that only computes.
func TestWindowProgress(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		var served atomic.Bool
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			const n = 100_000
			w, err := runtime.NewWindow[float64](ctx, c, n)
			if err != nil {
				return err
			}
			if c.Rank() == 1 {
				for !served.Load() { // no call of the runtime
				}
				return w.Close(ctx)
			}
			defer served.Store(true)
			out, in := make([]float64, n), make([]float64, n)
			for i := range out {
				out[i] = float64(i)
			}
			if err := w.Put(ctx, 1, 0, out); err != nil {
				return err
			}
			if err := w.Accumulate(ctx, 1, 0, out, runtime.Add); err != nil {
				return err
			}
			if err := w.Get(ctx, 1, 0, in); err != nil {
				return err
			}
			for i := range out {
				if in[i] != 2*out[i] {
					return fmt.Errorf("element %d is %v", i, in[i])
				}
			}
			for i := range 100 {
				if v, err := w.Fetch(ctx, 1, 0, 1, runtime.Add); err != nil || v != float64(i) {
					return fmt.Errorf("fetch %d: %v, %v", i, v, err)
				}
			}
			if err := w.Exclusive(ctx, 1, func() error { return w.Put(ctx, 1, 0, out[5:6]) }); err != nil {
				return err
			}
			if v, err := w.Fetch(ctx, 1, 0, 0, runtime.Keep); err != nil || v != 5 {
				return fmt.Errorf("after the lock: %v, %v", v, err)
			}
			served.Store(true)
			return w.Close(ctx)
		})
	})
}

// TestWindowLocks: writers change two cells under the exclusive lock, readers
// that share it never see them differ.
func TestWindowLocks(t *testing.T) {
	const each = 12
	eachSize(t, func(ctx context.Context, c *runtime.Comm) error {
		w, err := runtime.NewWindow[int32](ctx, c, 2)
		if err != nil {
			return err
		}
		for i := range each {
			target := (c.Rank() + i) % c.Size()
			err := w.Exclusive(ctx, target, func() error {
				v := make([]int32, 2)
				if err := w.Get(ctx, target, 0, v); err != nil {
					return err
				}
				if v[0] != v[1] {
					return fmt.Errorf("%v under the lock", v)
				}
				if err := w.Put(ctx, target, 0, []int32{v[0] + 1}); err != nil {
					return err
				}
				return w.Put(ctx, target, 1, []int32{v[1] + 1})
			})
			if err != nil {
				return err
			}
			err = w.Shared(ctx, c.Rank(), func() error {
				if v := w.Local(); v[0] != v[1] { // plain access: the writers hold the lock
					return fmt.Errorf("%v shared", v)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		errBody := stderrors.New("of the body")
		if err := w.Exclusive(ctx, 0, func() error { return errBody }); !stderrors.Is(err, errBody) {
			return fmt.Errorf("got %v, want the error of the body", err)
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		sum := make([]int32, 1)
		for r := range c.Size() {
			v := make([]int32, 1)
			if err := w.Get(ctx, r, 0, v); err != nil {
				return err
			}
			sum[0] += v[0]
		}
		if want := int32(each * c.Size()); sum[0] != want {
			return fmt.Errorf("%d changes, want %d", sum[0], want)
		}
		return w.Close(ctx)
	})
}

// TestWindowNotify passes numbers round by notified puts: each is there when
// its notification is, those of one rank in order.
func TestWindowNotify(t *testing.T) {
	eachSize(t, func(ctx context.Context, c *runtime.Comm) error {
		const many, long = 50, 3000 // of many, some longer than what is collected
		n := c.Size()
		w, err := runtime.NewWindow[int32](ctx, c, n*many+long)
		if err != nil {
			return err
		}
		for i := range many {
			for r := range n {
				src := make([]int32, 1)
				if i%10 == 9 {
					src = make([]int32, long)
				}
				src[0] = int32(1000*c.Rank() + i)
				off := c.Rank()*many + i
				if len(src) > 1 && c.Rank() != n-1 {
					src = src[:1] // only the last rank has room behind its part
				}
				if err := w.PutNotify(ctx, r, off, src, runtime.Tag(i%2)); err != nil {
					return err
				}
			}
		}
		next := make([]int, 2*n) // by source and tag
		for i := range next {
			next[i] = i % 2
		}
		for i := range n * many {
			src, tag := runtime.AnySource, runtime.AnyTag
			if i < many/2 {
				src, tag = 0, 1
			}
			got, err := w.WaitNotify(ctx, src, tag)
			if err != nil {
				return err
			}
			want := &next[2*got.Source+int(got.Tag)]
			if got.Offset != got.Source*many+*want {
				return fmt.Errorf("notification %+v, want that of number %d", got, *want)
			}
			if v, err := w.Fetch(ctx, c.Rank(), got.Offset, 0, runtime.Keep); err != nil || v != int32(1000*got.Source+*want) && got.Source != n-1 {
				return fmt.Errorf("%d, %v with notification %+v", v, err, got)
			}
			*want += 2
		}
		return w.Close(ctx)
	})
}

// TestWindowNotifyFlood sends more notifications than there are credits for,
// to a rank that waits for them late.
func TestWindowNotifyFlood(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			const many = 70_000 // at 128 bytes each more than two credit windows
			w, err := runtime.NewWindow[int32](ctx, c, 1)
			if err != nil {
				return err
			}
			if c.Rank() == 0 {
				for i := range many {
					if i == 30_000 {
						if err := runtime.Send(ctx, c, 1, 0, nil8(1)); err != nil {
							return err
						}
					}
					if err := w.PutNotify(ctx, 1, 0, nil, runtime.Tag(i)); err != nil {
						return err
					}
				}
				return w.Close(ctx)
			}
			if _, err := runtime.Recv(ctx, c, 0, 0, nil8(1)); err != nil {
				return err
			}
			for i := range many {
				if got, err := w.WaitNotify(ctx, 0, runtime.AnyTag); err != nil || got.Tag != runtime.Tag(i) {
					return fmt.Errorf("got %+v, %v, want number %d", got, err, i)
				}
			}
			return w.Close(ctx)
		})
	})
}

// TestWindowFlood puts far more than fits on the way, without a flush, to a
// rank that only computes.
func TestWindowFlood(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		var put atomic.Bool
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			const n = 1 << 20
			w, err := runtime.NewWindow[int64](ctx, c, n)
			if err != nil {
				return err
			}
			if c.Rank() == 1 {
				for !put.Load() {
				}
				if err := w.Fence(ctx); err != nil {
					return err
				}
				for i, v := range w.Local() {
					if v != int64(i)+2 {
						return fmt.Errorf("element %d is %d", i, v)
					}
				}
				return w.Close(ctx)
			}
			defer put.Store(true)
			src := make([]int64, n)
			for i := range src {
				src[i] = int64(i)
			}
			for off := 0; off < n; off += 500 {
				if err := w.Put(ctx, 1, off, src[off:min(off+500, n)]); err != nil {
					return err
				}
			}
			if err := w.Put(ctx, 1, 0, src); err != nil {
				return err
			}
			for i := range src {
				src[i] = 1
			}
			for range 2 {
				if err := w.Accumulate(ctx, 1, 0, src, runtime.Add); err != nil {
					return err
				}
			}
			put.Store(true)
			if err := w.Fence(ctx); err != nil {
				return err
			}
			back := make([]int64, n)
			if err := w.Get(ctx, 1, 0, back); err != nil || back[n-1] != n+1 {
				return fmt.Errorf("got %d, %v", back[n-1], err)
			}
			return w.Close(ctx)
		})
	})
}

// TestWindowPieces accumulates more than fits a frame, of elements of several
// sizes and at odd places.
func TestWindowPieces(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			return inTurn(func() error { return pieces[int8](ctx, c) }, func() error { return pieces[int16](ctx, c) },
				func() error { return pieces[float32](ctx, c) }, func() error { return pieces[complex128](ctx, c) })
		})
	})
}

func pieces[T int8 | int16 | float32 | complex128](ctx context.Context, c *runtime.Comm) error {
	const n, off, times = 200_003, 5, 3
	w, err := runtime.NewWindow[T](ctx, c, n)
	if err != nil {
		return err
	}
	src, old := make([]T, n-off), make([]T, n-off)
	for i := range src {
		src[i] = src[i/2] + 1 // small in every type
	}
	other := 1 - c.Rank()
	for range times {
		if err := w.Accumulate(ctx, other, off, src, runtime.Add); err != nil {
			return err
		}
	}
	if err := w.GetAccumulate(ctx, other, off, src, old, runtime.Replace); err != nil {
		return err
	}
	if err := w.Fence(ctx); err != nil {
		return err
	}
	for i, v := range src {
		if old[i] != times*v || w.Local()[off+i] != v {
			return fmt.Errorf("element %d of %T: got %v, then %v, want %v, then %v", i, v, old[i], w.Local()[off+i], times*v, v)
		}
	}
	return w.Close(ctx)
}
