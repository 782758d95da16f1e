package runtime_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// slowLink runs body in jobs where all that rank 0 puts into the memory of one
// other rank from now on is on its way for long, after a fence of the window.
func slowLink(t *testing.T, n int, body func(ctx context.Context, c *runtime.Comm, w *runtime.Window[int64], slow int) error) {
	const long = 2000 // elements: those that are put are collected with others, or are too many for that
	for slow := 1; slow < n; slow++ {
		t.Run(fmt.Sprintf("ranks=%d/slow=%d", n, slow), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := runtimetest.NewCluster(n)
				err := runtimetest.Primary(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
					w, err := runtime.NewWindow[int64](ctx, c, long)
					if err != nil {
						return err
					}
					if err := w.Fence(ctx); err != nil {
						return err
					}
					if c.Rank() == 0 {
						cl.Delay(func(from, to int) time.Duration {
							if from == 0 && to == slow {
								return time.Second
							}
							return 0
						})
					}
					if err := body(ctx, c, w, slow); err != nil {
						return err
					}
					return w.Close(ctx)
				}))
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestWindowFlushWaits: what was put is there, at each of the ranks, when a call
// that waits for it returns: also for a third rank that is told so.
func TestWindowFlushWaits(t *testing.T) {
	type window = *runtime.Window[int64]
	each := func(c *runtime.Comm, f func(rank int) error) error {
		for rank := 1; rank < c.Size(); rank++ {
			if err := f(rank); err != nil {
				return err
			}
		}
		return nil
	}
	for name, call := range map[string]func(ctx context.Context, c *runtime.Comm, w window, src []int64) error{
		"flush": func(ctx context.Context, c *runtime.Comm, w window, src []int64) error {
			if err := each(c, func(rank int) error { return w.Put(ctx, rank, 0, src) }); err != nil {
				return err
			}
			return each(c, func(rank int) error { return w.Flush(ctx, rank) })
		},
		"flush all": func(ctx context.Context, c *runtime.Comm, w window, src []int64) error {
			if err := each(c, func(rank int) error { return w.Put(ctx, rank, 0, src) }); err != nil {
				return err
			}
			return w.FlushAll(ctx)
		},
		"exclusive": func(ctx context.Context, c *runtime.Comm, w window, src []int64) error {
			return each(c, func(rank int) error {
				return w.Exclusive(ctx, rank, func() error { return w.Put(ctx, rank, 0, src) })
			})
		},
		"shared": func(ctx context.Context, c *runtime.Comm, w window, src []int64) error {
			return each(c, func(rank int) error {
				return w.Shared(ctx, rank, func() error { return w.Accumulate(ctx, rank, 0, src, runtime.Replace) })
			})
		},
	} {
		for _, count := range []int{1, 2000} {
			t.Run(fmt.Sprintf("%s/count=%d", name, count), func(t *testing.T) {
				slowLink(t, 4, func(ctx context.Context, c *runtime.Comm, w *runtime.Window[int64], slow int) error {
					want := slices.Repeat([]int64{7}, count)
					if c.Rank() == 0 {
						if err := call(ctx, c, w, want); err != nil {
							return err
						}
						return each(c, func(rank int) error {
							if rank == slow { // it would hear of it behind what was put
								return nil
							}
							return runtime.Send(ctx, c, rank, 0, nil8(1))
						})
					}
					if c.Rank() == slow {
						return nil
					}
					if _, err := runtime.Recv(ctx, c, 0, 0, nil8(1)); err != nil {
						return err
					}
					return each(c, func(rank int) error {
						got := make([]int64, count)
						if err := w.Get(ctx, rank, 0, got); err != nil {
							return err
						}
						if !slices.Equal(got, want) {
							return fmt.Errorf("rank %d sees %d... at rank %d, want %d", c.Rank(), got[0], rank, want[0])
						}
						return nil
					})
				})
			})
		}
	}
}

// TestWindowFenceWaits: what was put is there at all ranks when a fence returns,
// also where the rank that has put it is not one that the fence hears from.
func TestWindowFenceWaits(t *testing.T) {
	for _, n := range []int{2, 4, 8} {
		slowLink(t, n, func(ctx context.Context, c *runtime.Comm, w *runtime.Window[int64], slow int) error {
			for i, count := range []int{1, 2000} {
				want := slices.Repeat([]int64{int64(7 + i)}, count)
				for rank := 1; rank < n && c.Rank() == 0; rank++ {
					if err := w.Put(ctx, rank, 0, want); err != nil {
						return err
					}
				}
				if err := w.Fence(ctx); err != nil {
					return err
				}
				if got := w.Local()[:count]; c.Rank() > 0 && !slices.Equal(got, want) {
					return fmt.Errorf("rank %d has %d..., want %d", c.Rank(), got[0], want[0])
				}
				if err := w.Fence(ctx); err != nil { // all have looked
					return err
				}
			}
			return nil
		})
	}
}
