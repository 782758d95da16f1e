package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestLeft has rank 1 return while rank 0 waits for it or, the second time,
// before rank 0 asks.
func TestLeft(t *testing.T) {
	calls := []struct {
		op  string
		run func(ctx context.Context, c *runtime.Comm) error
	}{
		{"recv from rank 1 on world", func(ctx context.Context, c *runtime.Comm) error {
			_, err := runtime.Recv(ctx, c, 1, 0, nil8(1))
			return err
		}},
		{"recv from rank 1 on world", func(ctx context.Context, c *runtime.Comm) error {
			_, err := runtime.Irecv(c, 1, 0, nil8(1)).Wait(ctx)
			return err
		}},
		{"recv from rank 1 on world", func(ctx context.Context, c *runtime.Comm) error {
			_, err := runtime.RecvGob(ctx, c, 1, 0, new(string))
			return err
		}},
		{"probe rank 1 on world", func(ctx context.Context, c *runtime.Comm) error {
			_, err := runtime.Probe(ctx, c, 1, 0)
			return err
		}},
		{"send to rank 1 on world", func(ctx context.Context, c *runtime.Comm) error {
			return runtime.Send(ctx, c, 1, 0, nil8(100_000))
		}},
		{"send to rank 1 on world", func(ctx context.Context, c *runtime.Comm) error {
			for { // until the credits are used up
				if err := runtime.Send(ctx, c, 1, 0, nil8(1000)); err != nil {
					return err
				}
			}
		}},
		{"recv from rank 1 on world", func(ctx context.Context, c *runtime.Comm) error {
			var r runtime.Request
			runtime.StartPull(&r, c, 1, 0, nil8(100_000))
			_, err := r.Wait(ctx)
			return err
		}},
		{"send to rank 1 on world", func(ctx context.Context, c *runtime.Comm) error {
			var r runtime.Request
			runtime.StartOffer(&r, c, 1, 0, nil8(100_000))
			_, err := r.Wait(ctx)
			return err
		}},
		{"recv from rank 1 on world", func(ctx context.Context, c *runtime.Comm) error {
			_, err := c.Split(ctx, 0, 0)
			return err
		}},
	}
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, call := range calls {
			run(t, 3, func(ctx context.Context, c *runtime.Comm) error {
				const farewell runtime.Tag = 9
				if c.Rank() != 0 {
					return runtime.Send(ctx, c, 0, farewell, nil8(c.Rank()))
				}
				for range 2 {
					err := call.run(ctx, c)
					if !stderrors.Is(err, runtime.ErrLeft) || !strings.Contains(err.Error(), call.op+": rank 1 on host ") {
						return fmt.Errorf("%s: got %w", call.op, err)
					}
				}
				// What it had sent before is there.
				for from := 1; from < 3; from++ {
					st, err := runtime.Recv(ctx, c, from, farewell, nil8(from))
					if err != nil || st.Count != from {
						return fmt.Errorf("from rank %d: %+v, %w", from, st, err)
					}
				}
				return nil
			})
		}
	})
}

// TestPortNeverOpened calls a port that a rank has not opened when it returns,
// before and after it does.
func TestPortNeverOpened(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, size := range []int{10, 100_000} {
			run(t, 3, func(ctx context.Context, c *runtime.Comm) error {
				if c.Rank() != 0 {
					return nil
				}
				p, err := c.OpenPort(ctx, "p", func(m *runtime.Message) { _ = m.Reply() })
				if err != nil {
					return err
				}
				for range 2 {
					for peer := 1; peer < 3; peer++ {
						if _, err := p.Call(ctx, peer, make([]byte, size)); !stderrors.Is(err, runtime.ErrClosed) {
							return fmt.Errorf("call of rank %d: %v", peer, err)
						}
						if err := p.Post(ctx, peer, make([]byte, size)); err != nil {
							return err
						}
					}
				}
				_, err = p.Call(ctx, 0)
				return err
			})
		}
	})
}

// TestOnLeave: a port hears that a rank's body has returned behind all messages of
// the rank, once, also when it opens later; and of the own rank.
func TestOnLeave(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, n := range []int{1, 2, 3, 5} {
			for _, late := range []bool{false, true} {
				const posts = 20
				heard := make([][]int, n) // at each rank, by rank: messages before it left; written by the handler
				run(t, n, func(ctx context.Context, c *runtime.Comm) error {
					got, self := make([]int, n), c.Rank()
					heard[self] = make([]int, n)
					all := make(chan struct{})
					left := 0
					if late && self == 0 {
						for peer := 1; peer < n; peer++ { // which ends when it has left
							if _, err := runtime.Recv(ctx, c, peer, 0, nil8(1)); !stderrors.Is(err, runtime.ErrLeft) {
								return fmt.Errorf("recv from rank %d: %v", peer, err)
							}
						}
					}
					p, err := c.OpenPort(ctx, "p", func(m *runtime.Message) { got[m.Source]++ })
					if err != nil {
						return err
					}
					p.OnLeave(func(rank int) {
						heard[self][rank] += 1 + got[rank]
						if left++; left == n-1 && self == 0 {
							close(all)
						}
					})
					if self > 0 {
						large := 100_000
						if late { // it would wait for the port
							large = 100
						}
						for k := range posts {
							if err := p.Post(ctx, 0, make([]byte, k%2*large)); err != nil {
								return err
							}
						}
						return nil
					}
					if n > 1 {
						<-all
					}
					return nil
				})
				for self := range heard {
					for rank, k := range heard[self] {
						want := 1
						if self == 0 && rank > 0 {
							want += posts
						}
						if k != want {
							t.Errorf("%d ranks, late=%t: rank %d heard that rank %d leaves behind %d messages, want %d", n, late, self, rank, k-1, want-1)
						}
					}
				}
			}
		}
	})
}
