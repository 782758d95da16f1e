package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

func TestWindowErrors(t *testing.T) {
	eachSize(t, func(ctx context.Context, c *runtime.Comm) error {
		last := c.Size() - 1
		w, err := runtime.NewWindow[float32](ctx, c, c.Rank()+1)
		if err != nil {
			return err
		}
		if w.Len(0) != 1 || w.Len(last) != c.Size() || len(w.Local()) != c.Rank()+1 {
			return fmt.Errorf("%d elements at rank 0, %d at the last, %d here", w.Len(0), w.Len(last), len(w.Local()))
		}
		buf := make([]float32, 3)
		b := w.Batch(0)
		calls := map[string]func(rank, off int) error{
			"put":        func(rank, off int) error { return w.Put(ctx, rank, off, buf) },
			"get":        func(rank, off int) error { return w.Get(ctx, rank, off, buf) },
			"accumulate": func(rank, off int) error { return w.Accumulate(ctx, rank, off, buf, runtime.Add) },
			"both":       func(rank, off int) error { return w.GetAccumulate(ctx, rank, off, buf, buf, runtime.Add) },
			"notify":     func(rank, off int) error { return w.PutNotify(ctx, rank, off, buf, 0) },
			"batch":      func(rank, off int) error { return w.Batch(rank).Put(ctx, off, buf) },
			"batch get":  func(rank, off int) error { return w.Batch(rank).Get(ctx, off, buf) },
		}
		for _, rank := range []int{-1, c.Size()} {
			if err := w.Batch(rank).Flush(ctx); err == nil {
				return fmt.Errorf("an empty batch for rank %d of %d is good", rank, c.Size())
			}
		}
		for name, call := range calls {
			for _, off := range []int{-1, c.Size(), c.Size() - 2, 1 << 62} {
				err := call(last, off)
				out, ok := stderrors.AsType[*runtime.RangeError](err)
				if !ok && off >= 0 && off+3 <= w.Len(last) {
					continue
				}
				if !ok || out.Rank != last || out.Offset != off || out.Count != 3 || out.Len != c.Size() {
					return fmt.Errorf("%s at %d: %v", name, off, err)
				}
			}
			for _, rank := range []int{-1, c.Size()} {
				if err := call(rank, 0); err == nil {
					return fmt.Errorf("%s: rank %d of %d is good", name, rank, c.Size())
				}
			}
		}
		if _, err := w.Fetch(ctx, last, c.Size(), 1, runtime.Add); err == nil {
			return stderrors.New("a fetch beyond the end")
		}
		if _, err := w.CompareAndSwap(ctx, last, -1, 1, 1); err == nil {
			return stderrors.New("a swap before the beginning")
		}
		for _, a := range []runtime.Accumulator{runtime.And, runtime.Xor, 99} {
			if err := w.Accumulate(ctx, 0, 0, buf[:1], a); err == nil {
				return fmt.Errorf("%v of floats", a)
			}
			if _, err := w.Fetch(ctx, 0, 0, 1, a); err == nil {
				return fmt.Errorf("fetch and %v of floats", a)
			}
		}
		if err := w.PutNotify(ctx, 0, 0, buf[:1], runtime.AnyTag); err == nil {
			return stderrors.New("a notification with the wildcard")
		}
		// Nothing is something, also at the end, and changes nothing.
		if err := stderrors.Join(w.Put(ctx, last, c.Size(), nil), w.Get(ctx, last, c.Size(), nil),
			w.Accumulate(ctx, last, 0, nil, runtime.Max), w.GetAccumulate(ctx, last, 0, nil, nil, runtime.Max),
			b.Put(ctx, 1, nil), b.Get(ctx, 1, nil), b.Flush(ctx), b.Flush(ctx), w.Batch(last).Flush(ctx)); err != nil {
			return err
		}
		ended, cancel := context.WithCancelCause(ctx)
		cause := stderrors.New("enough")
		cancel(cause)
		if err := w.Get(ended, last, 0, buf[:1]); !stderrors.Is(err, cause) {
			return fmt.Errorf("got %v, want the cause", err)
		}
		if err := w.Close(ctx); err != nil {
			return err
		}
		for name, err := range map[string]error{
			"put": w.Put(ctx, 0, 0, buf[:1]), "get": w.Get(ctx, last, 0, buf[:1]), "flush": w.Flush(ctx, 0), "fence": w.Fence(ctx),
			"lock": w.Exclusive(ctx, 0, func() error { return nil }), "notify": w.PutNotify(ctx, 0, 0, nil, 1),
		} {
			if !stderrors.Is(err, runtime.ErrClosed) {
				return fmt.Errorf("%s after Close: %v", name, err)
			}
		}
		return w.Close(ctx)
	})
}

// TestWindowTypes opens windows that do not fit together.
func TestWindowTypes(t *testing.T) {
	runtimetest.SPMD(t, 3, func(ctx context.Context, c *runtime.Comm) error {
		var err error
		if c.Rank() == 1 {
			_, err = runtime.NewWindow[int32](ctx, c, 1)
		} else {
			_, err = runtime.NewWindow[int64](ctx, c, 1)
		}
		if !stderrors.Is(err, runtime.ErrType) {
			return fmt.Errorf("got %v, want different types", err)
		}
		if _, err = runtime.NewWindow[int32](ctx, c, c.Rank()-1); err == nil {
			return stderrors.New("a window of -1 elements")
		}
		return nil
	})
}

// TestWindowsApart: windows of several communicators do not mix, and those that
// are empty at a rank are windows.
func TestWindowsApart(t *testing.T) {
	eachSize(t, func(ctx context.Context, c *runtime.Comm) error {
		half, err := c.Split(ctx, c.Rank()%2, -c.Rank())
		if err != nil {
			return err
		}
		var ws []*runtime.Window[int16]
		for i := range 3 {
			for _, comm := range []*runtime.Comm{c, half} {
				w, err := runtime.NewWindow[int16](ctx, comm, i*comm.Rank())
				if err != nil {
					return err
				}
				ws = append(ws, w)
			}
		}
		for k, w := range ws {
			size := []int{c.Size(), half.Size()}[k%2]
			for r := range size {
				src := slices.Repeat([]int16{int16(k + 1)}, w.Len(r))
				if err := w.Accumulate(ctx, r, 0, src, runtime.Add); err != nil {
					return err
				}
			}
		}
		for k, w := range ws {
			if err := w.Fence(ctx); err != nil {
				return err
			}
			size := []int{c.Size(), half.Size()}[k%2]
			for _, v := range w.Local() {
				if v != int16(size*(k+1)) {
					return fmt.Errorf("window %d: %d, want %d", k, v, size*(k+1))
				}
			}
		}
		if err := half.Close(); err != nil {
			return err
		}
		if err := ws[1].Fence(ctx); !stderrors.Is(err, runtime.ErrClosed) {
			return fmt.Errorf("fence on a communicator that is closed: %v", err)
		}
		return ws[0].Fence(ctx)
	})
}

// TestWindowCancel ends calls by their contexts while the network holds the
// ranks apart, and goes on with the window afterwards.
func TestWindowCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := runtimetest.NewCluster(2)
		errs := cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			const n = 600_000
			w, err := runtime.NewWindow[int64](ctx, c, n)
			if err != nil {
				return err
			}
			other := 1 - c.Rank()
			if c.Rank() == 0 {
				cl.Cut(0, 1)
				buf := make([]int64, n)
				b := w.Batch(other)
				for name, call := range map[string]func(context.Context) error{
					"get":   func(ctx context.Context) error { return w.Get(ctx, other, 0, buf) },
					"small": func(ctx context.Context) error { return w.Get(ctx, other, 0, buf[:1]) },
					"fetch": func(ctx context.Context) error {
						_, err := w.Fetch(ctx, other, 1, 1, runtime.Add)
						return err
					},
					"flush": func(ctx context.Context) error {
						return stderrors.Join(w.Put(ctx, other, 0, buf[:1]), w.Flush(ctx, other))
					},
					"batch": func(ctx context.Context) error {
						return stderrors.Join(b.GetAccumulate(ctx, 2, buf[:10], buf[10:20], runtime.Add), b.Get(ctx, 0, buf[20:30]), b.Flush(ctx))
					},
					"lock":   func(ctx context.Context) error { return w.Exclusive(ctx, other, func() error { panic("not locked") }) },
					"put":    func(ctx context.Context) error { return w.Put(ctx, other, 0, buf) }, // more than the window
					"notify": func(ctx context.Context) error { _, err := w.WaitNotify(ctx, 1, 0); return err },
				} {
					// In the bubble the time passes when all wait.
					limited, cancel := context.WithTimeout(ctx, 1e6)
					err := call(limited)
					cancel()
					if !stderrors.Is(err, context.DeadlineExceeded) {
						return fmt.Errorf("%s: %v", name, err)
					}
				}
				cl.Heal(0, 1)
				for i := range buf {
					buf[i] = int64(i)
				}
				if err := w.Exclusive(ctx, other, func() error { return w.Put(ctx, other, 0, buf) }); err != nil {
					return err
				}
				back := make([]int64, n)
				if err := w.Get(ctx, other, 0, back); err != nil || !slices.Equal(back, buf) {
					return fmt.Errorf("after the cut: %v", err)
				}
				if v, err := w.Fetch(ctx, other, 7, 1, runtime.Add); err != nil || v != 7 {
					return fmt.Errorf("after the cut: %d, %v", v, err)
				}
			}
			if err := w.Fence(ctx); err != nil {
				return err
			}
			if c.Rank() == 1 {
				if err := w.PutNotify(ctx, 0, 0, []int64{1}, 0); err != nil {
					return err
				}
			} else if n, err := w.WaitNotify(ctx, 1, 0); err != nil || n.Count != 1 {
				return fmt.Errorf("%+v, %v", n, err)
			}
			return w.Close(ctx)
		})
		if err := stderrors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	})
}

// TestWindowLoss: every call that waits for a rank ends when it is lost.
func TestWindowLoss(t *testing.T) {
	calls := map[string]func(context.Context, *runtime.Window[int64]) error{
		"get": func(ctx context.Context, w *runtime.Window[int64]) error { return w.Get(ctx, 1, 0, make([]int64, 1)) },
		"flush": func(ctx context.Context, w *runtime.Window[int64]) error {
			return stderrors.Join(w.Put(ctx, 1, 0, []int64{1}), w.Flush(ctx, 1))
		},
		"lock": func(ctx context.Context, w *runtime.Window[int64]) error {
			return w.Exclusive(ctx, 2, func() error { return nil })
		},
		"notify": func(ctx context.Context, w *runtime.Window[int64]) error {
			_, err := w.WaitNotify(ctx, runtime.AnySource, 0)
			return err
		},
		"fence": func(ctx context.Context, w *runtime.Window[int64]) error { return w.Fence(ctx) },
		"close": func(ctx context.Context, w *runtime.Window[int64]) error { return w.Close(ctx) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := runtimetest.NewCluster(3)
				errs := cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
					w, err := runtime.NewWindow[int64](ctx, c, 1)
					if err != nil {
						return err
					}
					if c.Rank() == 1 {
						return w.Exclusive(ctx, 2, func() error { // and keeps it
							if err := runtime.Send(ctx, c, 0, 0, nil8(1)); err != nil {
								return err
							}
							<-ctx.Done()
							return context.Cause(ctx)
						})
					}
					if c.Rank() == 0 {
						if _, err := runtime.Recv(ctx, c, 1, 0, nil8(1)); err != nil {
							return err
						}
						cl.Cut(0, 1)
						cl.Kill(1)
						cl.Heal(0, 1)
					}
					return call(ctx, w)
				})
				for _, rank := range []int{0, 2} {
					if name == "get" && rank == 2 || name == "flush" && rank == 2 {
						continue // may have been in time
					}
					if lost, ok := stderrors.AsType[*runtime.RankError](errs[rank]); !ok || lost.Rank != 1 {
						t.Errorf("rank %d: %v, want the loss of rank 1", rank, errs[rank])
					}
				}
			})
		})
	}
}

// TestWindowLeft: a rank whose body has returned still serves its memory, and
// notifies nobody any more.
func TestWindowLeft(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			w, err := runtime.NewWindow[int64](ctx, c, 1)
			if err != nil || c.Rank() == 1 {
				return err
			}
			if _, err := w.WaitNotify(ctx, 1, 0); !stderrors.Is(err, runtime.ErrLeft) {
				return fmt.Errorf("got %v, want that the rank has left", err)
			}
			for i := range 10 {
				if v, err := w.Fetch(ctx, 1, 0, 1, runtime.Add); err != nil || v != int64(i) {
					return fmt.Errorf("fetch %d: %d, %v", i, v, err)
				}
			}
			return nil
		})
	})
}

// TestFlushOther: what has become of one window is no error of another, and no
// excuse, whatever is under way when one of them is flushed.
func TestFlushOther(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, order := range []string{"ab", "ba", "aba", "bab", "abb", "baa"} {
			for _, long := range []bool{false, true} {
				run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
					d, err := c.Dup(ctx)
					if err != nil {
						return err
					}
					src := make([]complex128, 1) // windows of these are not shared
					if long {
						src = make([]complex128, 10_000)
					}
					closed, err := runtime.NewWindow[complex128](ctx, d, len(src))
					if err != nil {
						return err
					}
					open, err := runtime.NewWindow[complex128](ctx, c, len(src))
					if err != nil {
						return err
					}
					if c.Rank() == 1 {
						if err := d.Close(); err != nil {
							return err
						}
						if err := runtime.Send(ctx, c, 0, 0, nil8(1)); err != nil {
							return err
						}
						_, err := runtime.Recv(ctx, c, 0, 0, nil8(1))
						return err
					}
					if _, err := runtime.Recv(ctx, c, 1, 0, nil8(1)); err != nil {
						return err
					}
					for _, flush := range "ab" {
						for _, w := range order {
							to := closed
							if w == 'b' {
								to = open
							}
							if err := to.Put(ctx, 1, 0, src); err != nil {
								return fmt.Errorf("%s: put: %w", order, err)
							}
						}
						if flush == 'a' {
							if err := closed.Flush(ctx, 1); !stderrors.Is(err, runtime.ErrClosed) {
								return fmt.Errorf("%s: flush of the closed one: %v", order, err)
							}
						} else if err := open.Flush(ctx, 1); err != nil {
							return fmt.Errorf("%s: flush of the open one: %w", order, err)
						}
					}
					return runtime.Send(ctx, c, 1, 0, nil8(1))
				})
			}
		}
	})
}

// TestWaitForPanics: a judgement that panics, at once or later, ends the job with
// its rank's name, and hangs nobody.
func TestWaitForPanics(t *testing.T) {
	for _, net := range networks {
		for at := range int64(2) {
			t.Run(fmt.Sprintf("net=%s/at=%d", net.Name, at), func(t *testing.T) {
				errs := net.New(2).Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
					w, err := runtime.NewWindow[int64](ctx, c, 1)
					if err != nil {
						return err
					}
					if c.Rank() == 1 {
						if err := stderrors.Join(w.Put(ctx, 0, 0, []int64{at}), w.Flush(ctx, 0)); err != nil {
							return err
						}
						return w.Close(ctx)
					}
					_, err = w.WaitFor(ctx, 0, func(v int64) bool {
						if v == at {
							panic("no such value")
						}
						return false
					})
					if err == nil {
						return stderrors.New("waited for nothing")
					}
					return err
				})
				for rank, err := range errs {
					if err == nil || !strings.Contains(err.Error(), "no such value") {
						t.Errorf("rank %d: %v", rank, err)
					}
				}
				if lost, ok := stderrors.AsType[*runtime.RankError](errs[1]); !ok || lost.Rank != 0 {
					t.Errorf("rank 1: %v, want the loss of rank 0", errs[1])
				}
			})
		}
	}
}
