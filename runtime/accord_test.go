package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// collective makes something of a communicator that all ranks make.
type collective func(ctx context.Context, c *runtime.Comm) error

var makes = map[string]collective{
	"dup":   func(ctx context.Context, c *runtime.Comm) error { _, err := c.Dup(ctx); return err },
	"split": func(ctx context.Context, c *runtime.Comm) error { _, err := c.Split(ctx, c.Rank()%2, 0); return err },
	"split by host": func(ctx context.Context, c *runtime.Comm) error {
		_, err := c.SplitHost(ctx)
		return err
	},
	"new window": func(ctx context.Context, c *runtime.Comm) error {
		_, err := runtime.NewWindow[int32](ctx, c, 10)
		return err
	},
}

// inOrder checks that calls on a communicator meet those that they belong to.
func inOrder(ctx context.Context, c *runtime.Comm) error {
	for color := range 3 {
		d, err := c.Split(ctx, c.Rank()%(color+1), 0)
		if err != nil {
			return err
		}
		if want := (c.Size() - c.Rank()%(color+1) + color) / (color + 1); d.Size() != want {
			return errors.Errorf("%s has %d ranks, not %d", d.Name(), d.Size(), want)
		}
		w, err := runtime.NewWindow[int64](ctx, d, d.Rank()+1)
		if err != nil {
			return err
		}
		next := (d.Rank() + 1) % d.Size()
		if err := w.Put(ctx, next, next, []int64{int64(c.Rank()) + 1}); err != nil {
			return err
		}
		if err := w.Fence(ctx); err != nil {
			return err
		}
		if last := (d.Rank() + d.Size() - 1) % d.Size(); w.Local()[d.Rank()] != int64(c.Rank()%(color+1)+last*(color+1))+1 {
			return errors.Errorf("%s: got %v", d.Name(), w.Local())
		}
		if err := w.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sizesOver are those that a test of calls of all ranks has: messages come in any
// order in memory, too.
func sizesOver(network runtimetest.Network) []int {
	if network.Name == "mem" {
		return []int{2, 3, 5, 8}
	}
	return []int{3}
}

// TestGivenUpTogether: a call that ranks have given up before the others came ends
// at these, and the next ones are in order.
func TestGivenUpTogether(t *testing.T) {
	for _, network := range runtimetest.Networks() {
		for _, size := range sizesOver(network) {
			for name, call := range makes {
				for _, late := range []int{0, 1, size - 1} { // the rank that comes when the others have gone
					t.Run(fmt.Sprintf("net=%s/ranks=%d/%s/late=%d", network.Name, size, name, late), func(t *testing.T) {
						var gone sync.WaitGroup
						gone.Add(size - 1)
						network.Run(t, size, func(ctx context.Context, c *runtime.Comm) error {
							some := ctx
							if c.Rank() == late {
								gone.Wait()
							} else {
								var cancel context.CancelFunc
								some, cancel = context.WithTimeout(ctx, time.Millisecond)
								defer cancel()
							}
							err := call(some, c)
							if c.Rank() != late {
								gone.Done()
								if !stderrors.Is(err, context.DeadlineExceeded) && !stderrors.Is(err, runtime.ErrAbandoned) {
									return errors.Errorf("rank %d gave up: %v", c.Rank(), err)
								}
							} else if !stderrors.Is(err, runtime.ErrAbandoned) || !strings.Contains(err.Error(), "left call 1, "+name) {
								return errors.Errorf("rank %d came late: %v", late, err)
							}
							return inOrder(ctx, c)
						})
					})
				}
			}
		}
	}
}

// TestFenceGivenUp: where a rank gives up a fence nobody waits for it for ever, and
// the next fences are in order.
func TestFenceGivenUp(t *testing.T) {
	for _, network := range runtimetest.Networks() {
		for _, size := range []int{2, 3, 5, 8} {
			t.Run(fmt.Sprintf("net=%s/ranks=%d", network.Name, size), func(t *testing.T) {
				gone := make(chan struct{})
				network.Run(t, size, func(ctx context.Context, c *runtime.Comm) error {
					w, err := runtime.NewWindow[int64](ctx, c, 1)
					if err != nil {
						return err
					}
					if c.Rank() == 0 {
						some, cancel := context.WithTimeout(ctx, time.Millisecond)
						err := w.Fence(some)
						cancel()
						close(gone)
						if !stderrors.Is(err, context.DeadlineExceeded) {
							return errors.Errorf("rank 0 gave up: %v", err)
						}
					} else {
						<-gone
						// What rank 0 has sent before it gave up counts.
						err := w.Fence(ctx)
						if err != nil && (!stderrors.Is(err, runtime.ErrAbandoned) || !strings.Contains(err.Error(), "rank 0 left fence 1 of")) {
							return errors.Errorf("rank %d: %v", c.Rank(), err)
						}
					}
					for round := range int64(3) {
						if c.Rank() == 0 {
							if err := w.Put(ctx, size-1, 0, []int64{round + 1}); err != nil {
								return err
							}
						}
						if err := w.Fence(ctx); err != nil {
							return err
						}
						if v := w.Local()[0]; c.Rank() == size-1 && v != round+1 {
							return errors.Errorf("after fence %d: %d", round, v)
						}
						if err := w.Fence(ctx); err != nil {
							return err
						}
					}
					return w.Close(ctx)
				})
			})
		}
	}
}

// TestDifferTogether: calls that differ are errors at all ranks, which name both
// sides, and the next ones are in order.
func TestDifferTogether(t *testing.T) {
	for _, network := range runtimetest.Networks() {
		for _, size := range sizesOver(network) {
			for one, first := range makes {
				for other, second := range makes {
					if one == other {
						continue
					}
					for _, odd := range []int{0, size - 1} {
						t.Run(fmt.Sprintf("net=%s/ranks=%d/%s and %s at %d", network.Name, size, one, other, odd), func(t *testing.T) {
							network.Run(t, size, func(ctx context.Context, c *runtime.Comm) error {
								call := first
								if c.Rank() == odd {
									call = second
								}
								err := call(ctx, c)
								if !stderrors.Is(err, runtime.ErrMismatch) || !strings.Contains(err.Error(), "rank 0 is in call 1, ") ||
									!strings.Contains(err.Error(), "call 1, "+one) || !strings.Contains(err.Error(), "call 1, "+other) {
									return errors.Errorf("rank %d: %v", c.Rank(), err)
								}
								return inOrder(ctx, c)
							})
						})
					}
				}
			}
		}
	}
}

// TestWrongTogether: a wrong argument of one rank is an error at all.
func TestWrongTogether(t *testing.T) {
	for name, call := range map[string]collective{
		"color -5 of rank 2": func(ctx context.Context, c *runtime.Comm) error {
			_, err := c.Split(ctx, []int{0, 1, -5}[c.Rank()], 0)
			return err
		},
		"-1 elements at rank 2": func(ctx context.Context, c *runtime.Comm) error {
			_, err := runtime.NewWindow[int64](ctx, c, []int{0, 1, -1}[c.Rank()])
			return err
		},
		fmt.Sprint(1<<61, " elements at rank 2"): func(ctx context.Context, c *runtime.Comm) error {
			_, err := runtime.NewWindow[int64](ctx, c, []int{0, 1, 1 << 61}[c.Rank()])
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			runtimetest.SPMD(t, 3, func(ctx context.Context, c *runtime.Comm) error {
				if err := call(ctx, c); err == nil || !strings.Contains(err.Error(), name) {
					return errors.Errorf("rank %d: %v", c.Rank(), err)
				}
				return inOrder(ctx, c)
			})
		})
	}
}

// TestMadeAtOnce: goroutines of a rank make communicators of several others at the
// same time.
func TestMadeAtOnce(t *testing.T) {
	const parents, each = 6, 20
	for _, network := range runtimetest.Networks() {
		for _, size := range []int{2, 3, 5} {
			t.Run(fmt.Sprintf("net=%s/ranks=%d", network.Name, size), func(t *testing.T) {
				network.Run(t, size, func(ctx context.Context, c *runtime.Comm) error {
					errs := make(chan error, parents)
					for i := range parents {
						parent, err := c.Split(ctx, 0, (c.Rank()+i)%size) // each has another rank 0
						if err != nil {
							return err
						}
						go func() { errs <- family(ctx, parent, each) }()
					}
					var err error
					for range parents {
						err = stderrors.Join(err, <-errs)
					}
					return err
				})
			})
		}
	}
}

// family makes communicators of one, and has a message go around in each.
func family(ctx context.Context, parent *runtime.Comm, each int) error {
	for range each {
		d, err := parent.Dup(ctx)
		if err != nil {
			return err
		}
		next, last := (d.Rank()+1)%d.Size(), (d.Rank()+d.Size()-1)%d.Size()
		name := []byte(d.Name())
		in, _, err := runtime.RecvAlloc[byte](ctx, d, runtime.NoRank, 0, 0)
		if err != nil || len(in) > 0 {
			return errors.Errorf("of nobody: %q, %v", in, err)
		}
		r := runtime.Isend(d, next, 0, name)
		if in, _, err = runtime.RecvAlloc[byte](ctx, d, last, 0, 1000); err != nil || string(in) != string(name) {
			return errors.Errorf("%s: got %q, %v", name, in, err)
		}
		if _, err := r.Wait(ctx); err != nil {
			return err
		}
		if err := d.Close(); err != nil {
			return err
		}
	}
	return nil
}
