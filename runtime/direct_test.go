//go:build linux && !portable

package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/race"
)

// TestSharedWhole: a get never sees a part of an element, whatever is put, and
// puts and accumulates of neighbours do not touch one another.
func TestSharedWhole(t *testing.T) {
	t.Run("uint16", func(t *testing.T) { whole[uint16](t, 0x0101) })
	t.Run("int32", func(t *testing.T) { whole[int32](t, 0x01010101) })
	t.Run("uint64", func(t *testing.T) { whole[uint64](t, 0x01010101_01010101) })
}

// whole has ranks write elements of equal bytes, all ones times a number.
func whole[T uint16 | int32 | uint64](t *testing.T, ones T) {
	const most = 600
	rounds, often := 20_000, 1_000_000
	if race.Enabled {
		rounds, often = 2000, 10_000
	}
	var enough atomic.Bool
	runtimetest.Network{New: sharedCluster}.Run(t, 3, func(ctx context.Context, c *runtime.Comm) error {
		w, err := runtime.NewWindow[T](ctx, c, most)
		if err != nil {
			return err
		}
		rnd := rand.New(rand.NewPCG(7, uint64(c.Rank())))
		buf := make([]T, most)
		for range rounds {
			lo := rnd.IntN(most)
			part := buf[:1+rnd.IntN(min(most-lo, 1<<rnd.IntN(10)))]
			if rnd.IntN(2) == 0 {
				v := T(rnd.IntN(256)) * ones
				for i := range part {
					part[i] = v
				}
				if err := w.Put(ctx, 0, lo, part); err != nil {
					return err
				}
				continue
			}
			if err := w.Get(ctx, 0, lo, part); err != nil {
				return err
			}
			for i, v := range part {
				if v != v&0xff*ones {
					return errors.Errorf("element %d of %d: %#x", lo+i, len(part), v)
				}
			}
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		// One element alone.
		for v := T(0); c.Rank() == 1 && !enough.Load(); v = ^v {
			if err := w.Put(ctx, 0, 0, []T{v}); err != nil {
				return err
			}
		}
		for i := 0; c.Rank() == 0 && i < often; i++ {
			if err := w.Get(ctx, 0, 0, buf[:1]); err != nil {
				return err
			}
			if v := buf[0]; v != v&0xff*ones {
				return errors.Errorf("element: %#x", v)
			}
		}
		if c.Rank() == 0 {
			enough.Store(true)
		}
		return w.Close(ctx)
	})
}

// TestSharedSums: what many ranks add to elements that lie side by side is all
// there, while they put beside them.
func TestSharedSums(t *testing.T) {
	const rounds, cells = 400, 23
	runtimetest.Network{New: sharedCluster}.Run(t, 5, func(ctx context.Context, c *runtime.Comm) error {
		n, me := c.Size(), c.Rank()
		w, err := runtime.NewWindow[uint8](ctx, c, cells+n)
		if err != nil {
			return err
		}
		want := make([]uint8, cells)
		for r := range n {
			rnd := rand.New(rand.NewPCG(3, uint64(r)))
			for i := range rounds {
				lo := rnd.IntN(cells)
				add := make([]uint8, 1+rnd.IntN(cells-lo))
				for k := range add {
					add[k] = uint8(rnd.Uint32())
					want[lo+k] += add[k]
				}
				if r != me {
					continue
				}
				if i%2 == 0 {
					err = w.Accumulate(ctx, 1, lo, add, runtime.Add)
				} else {
					err = w.GetAccumulate(ctx, 1, lo, add, add, runtime.Add) // one slice for both
				}
				if err = stderrors.Join(err, w.Put(ctx, 1, cells+me, []uint8{uint8(i)})); err != nil {
					return err
				}
			}
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		for range n {
			want = append(want, uint8((rounds-1)&0xff))
		}
		if me == 1 && !slices.Equal(w.Local(), want) {
			return errors.Errorf("got  %v\nwant %v", w.Local(), want)
		}
		return w.Close(ctx)
	})
}

// TestSharedWaitFor: no change is missed by who waits for it.
func TestSharedWaitFor(t *testing.T) {
	rounds := int32(500)
	if race.Enabled {
		rounds = 80
	}
	for _, n := range []int{2, 3, 5} {
		t.Run(fmt.Sprintf("ranks=%d", n), func(t *testing.T) {
			runtimetest.Network{New: sharedCluster}.Run(t, n, func(ctx context.Context, c *runtime.Comm) error {
				w, err := runtime.NewWindow[int32](ctx, c, 4000)
				if err != nil {
					return err
				}
				long := make([]int32, 4000)
				next := (c.Rank() + 1) % n
				for i := range rounds {
					if c.Rank() > 0 || i > 0 {
						if _, err := w.WaitFor(ctx, 0, func(v int32) bool { return v == i+min(int32(c.Rank()), 1) }); err != nil {
							return err
						}
					}
					v := i + 1
					switch i % 4 {
					case 0:
						err = w.Put(ctx, next, 0, []int32{v})
					case 1:
						_, err = w.Fetch(ctx, next, 0, v, runtime.Replace)
					case 2:
						long[0] = v
						err = w.Put(ctx, next, 0, long)
					case 3:
						b := w.Batch(next)
						err = stderrors.Join(b.Accumulate(ctx, 0, []int32{1}, runtime.Add), b.Flush(ctx))
					}
					if err != nil {
						return err
					}
				}
				return w.Close(ctx)
			})
		})
	}
}

// ending is a context that has ended when it has been looked at.
type ending struct {
	context.Context
	looks atomic.Int32 // that are left
}

func (e *ending) Err() error {
	if e.looks.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestSharedTold: who sleeps until a change is told of it, even if the context
// of the call that made it ends in between.
func TestSharedTold(t *testing.T) {
	for looks := range int32(4) {
		woken := make(chan struct{})
		runtimetest.Network{New: sharedCluster}.Run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			w, err := runtime.NewWindow[int64](ctx, c, 1)
			if err != nil {
				return err
			}
			if c.Rank() == 1 {
				for !runtime.Asleep(w, 0) {
					goruntime.Gosched()
				}
				e := &ending{Context: ctx}
				e.looks.Store(looks)
				err := w.Put(e, 0, 0, []int64{7})
				if looks == 0 { // it has not begun
					err = w.Put(ctx, 0, 0, []int64{7})
				}
				if err != nil {
					return err
				}
				select { // before anything else of this rank tells it
				case <-woken:
				case <-ctx.Done():
				}
			} else if _, err := w.WaitFor(ctx, 0, func(v int64) bool { return v == 7 }); err != nil {
				return err
			} else {
				close(woken)
			}
			return w.Close(ctx)
		})
	}
}

// TestSharedHolderLost: a rank that is lost while it holds the lock of a part is
// no hang, and neither is one that is slow.
func TestSharedHolderLost(t *testing.T) {
	cl := sharedCluster(3)
	var slow atomic.Bool
	errs := cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
		w, err := runtime.NewWindow[int64](ctx, c, 1)
		if err != nil {
			return err
		}
		byte1 := make([]uint8, 1)
		if c.Rank() == 1 {
			release := runtime.HoldPart(w, 0)
			if err := stderrors.Join(runtime.Send(ctx, c, 2, 0, byte1), runtime.Send(ctx, c, 0, 0, byte1)); err != nil {
				return err
			}
			if _, err := runtime.Recv(ctx, c, 2, 0, byte1); err != nil { // which has given up once
				return err
			}
			slow.Store(true)
			release()
			if _, err := runtime.Recv(ctx, c, 2, 1, byte1); err != nil {
				return err
			}
			runtime.HoldPart(w, 0)
			cl.Lose(1, "killed")
			<-ctx.Done()
			return context.Cause(ctx)
		}
		if _, err := runtime.Recv(ctx, c, 1, 0, byte1); err != nil {
			return err
		}
		if c.Rank() == 2 {
			enough, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			cause := stderrors.New("enough")
			got := make(chan error, 1)
			go func() { got <- w.Put(enough, 0, 0, []int64{1}) }()
			// A get takes no lock.
			if err := w.Get(ctx, 0, 0, make([]int64, 1)); err != nil {
				return err
			}
			cancel(cause)
			if err := <-got; !stderrors.Is(err, cause) {
				return errors.Errorf("got %v, want the cause", err)
			}
			if err := runtime.Send(ctx, c, 1, 0, byte1); err != nil {
				return err
			}
			if err := w.Put(ctx, 0, 0, []int64{1}); err != nil {
				return err
			}
			if !slow.Load() {
				return stderrors.New("put although another holds the lock")
			}
			if err := runtime.Send(ctx, c, 1, 1, byte1); err != nil {
				return err
			}
		}
		for { // the owner too
			if _, err := w.Fetch(ctx, 0, 0, 1, runtime.Add); err != nil {
				return err
			}
		}
	})
	for _, rank := range []int{0, 2} {
		if lost, ok := stderrors.AsType[*runtime.RankError](errs[rank]); !ok || lost.Rank != 1 {
			t.Errorf("rank %d: %v, want the loss of rank 1", rank, errs[rank])
		}
	}
}

// TestSharedClosed: who has a window open that its target has closed finds so.
func TestSharedClosed(t *testing.T) {
	runtimetest.Network{New: sharedCluster}.Run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		w, err := runtime.NewWindow[int64](ctx, c, 10_000)
		if err != nil {
			return err
		}
		b := make([]uint8, 1)
		if c.Rank() == 1 {
			ended, cancel := context.WithCancel(ctx)
			cancel()
			if err := w.Close(ended); !stderrors.Is(err, context.Canceled) {
				return errors.Errorf("close: %v", err)
			}
			return runtime.Send(ctx, c, 0, 0, b)
		}
		if _, err := runtime.Recv(ctx, c, 1, 0, b); err != nil {
			return err
		}
		batch := w.Batch(1)
		_, fetched := w.Fetch(ctx, 1, 0, 1, runtime.Add)
		for name, err := range map[string]error{
			"put": w.Put(ctx, 1, 0, []int64{1}), "long put": w.Put(ctx, 1, 0, make([]int64, 10_000)),
			"get": w.Get(ctx, 1, 0, make([]int64, 1)), "fetch": fetched, "batch": batch.Put(ctx, 0, []int64{1}),
			"lock": w.Exclusive(ctx, 1, func() error { return nil }),
		} {
			if !stderrors.Is(err, runtime.ErrClosed) {
				return errors.Errorf("%s: %v", name, err)
			}
		}
		return w.Put(ctx, 0, 0, []int64{1}) // is open
	})
}
