package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestSplitHost: ranks of a host are together, in their order, wherever they lie.
func TestSplitHost(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8, 13} {
		t.Run(fmt.Sprintf("ranks=%d", n), func(t *testing.T) {
			cl := runtimetest.NewCluster(n)
			host := func(rank int) string { return "h" + strconv.Itoa(rank*rank%5) }
			cl.Edit = func(cfg *runtime.Config) { cfg.Host = host(cfg.Rank) }
			err := runtimetest.Primary(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
				backwards, err := c.Split(ctx, 0, -c.Rank())
				if err != nil {
					return err
				}
				for _, from := range []*runtime.Comm{c, backwards} {
					sub, err := from.SplitHost(ctx)
					if err != nil {
						return err
					}
					var want, got []int
					for r := range n {
						if from.Host(r) == host(c.Rank()) {
							want = append(want, from.JobRank(r))
						}
					}
					for r := range sub.Size() {
						got = append(got, sub.JobRank(r))
					}
					if !slices.Equal(got, want) || sub.JobRank(sub.Rank()) != c.Rank() {
						return fmt.Errorf("%s: rank %d of %v, want %v", sub.Name(), sub.Rank(), got, want)
					}
					// It works: each tells the next one its rank.
					next, last := (sub.Rank()+1)%sub.Size(), (sub.Rank()+sub.Size()-1)%sub.Size()
					in := make([]int32, 1)
					if _, err := runtime.SendRecv(ctx, sub, next, []int32{int32(sub.Rank())}, last, in, 0); err != nil || int(in[0]) != last {
						return fmt.Errorf("%s: got %d, %v, want %d", sub.Name(), in[0], err, last)
					}
				}
				return nil
			}))
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8, 13} {
		t.Run(fmt.Sprintf("ranks=%d", n), func(t *testing.T) {
			runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
				// Three colors, the last of them none, in reverse order.
				color := c.Rank() % 3
				if color == 2 {
					color = runtime.NoColor
				}
				sub, err := c.Split(ctx, color, -c.Rank())
				if err != nil {
					return err
				}
				if color == runtime.NoColor {
					if sub != nil {
						return stderrors.New("a communicator without a color")
					}
					return nil
				}
				var members []int
				for r := range n {
					if r%3 == color {
						members = append([]int{r}, members...)
					}
				}
				if sub.Name() != "world/split1" || sub.Size() != len(members) || members[sub.Rank()] != c.Rank() {
					return fmt.Errorf("%s: rank %d of %d, want %v", sub.Name(), sub.Rank(), sub.Size(), members)
				}
				// Everybody tells everybody its rank in world, from any source.
				for dst := range members {
					if err := runtime.Send(ctx, sub, dst, 0, []int32{int32(c.Rank())}); err != nil {
						return err
					}
				}
				for range members {
					var got [1]int32
					st, err := runtime.Recv(ctx, sub, runtime.AnySource, 0, got[:])
					if err != nil || int(got[0]) != members[st.Source] {
						return fmt.Errorf("from %d: %d, %v; want %d", st.Source, got[0], err, members[st.Source])
					}
				}
				half, err := sub.Split(ctx, sub.Rank()%2, 0)
				if err != nil {
					return err
				}
				if half.Name() != "world/split1/split1" || half.Rank() != sub.Rank()/2 {
					return fmt.Errorf("%s: rank %d", half.Name(), half.Rank())
				}
				return nil
			})
		})
	}
}

// TestIsolation: a message of one communicator or space meets no receive of
// another, although all is a wildcard.
func TestIsolation(t *testing.T) {
	runtimetest.SPMD(t, 3, func(ctx context.Context, c *runtime.Comm) error {
		dup, err := c.Dup(ctx)
		if err != nil {
			return err
		}
		again, err := c.Dup(ctx)
		if err != nil {
			return err
		}
		comms := []*runtime.Comm{c, c.Space(1), c.Space(2), dup, dup.Space(1), again}
		var rs []*runtime.Request
		got := make([][1]int32, len(comms))
		for i := range comms { // in one order
			rs = append(rs, runtime.Irecv(comms[i], runtime.AnySource, runtime.AnyTag, got[i][:]))
		}
		for i := range slices.Backward(comms) { // in the other
			if err := runtime.Send(ctx, comms[i], (c.Rank()+1)%3, runtime.Tag(9-i), []int32{int32(i)}); err != nil {
				return err
			}
		}
		if err := runtime.WaitAll(ctx, rs...); err != nil {
			return err
		}
		for i := range got {
			if got[i][0] != int32(i) {
				return fmt.Errorf("communicator %d got a message of %d", i, got[i][0])
			}
		}
		if dup.Name() != "world/dup1" || again.Name() != "world/dup2" {
			return fmt.Errorf("names %s, %s", dup.Name(), again.Name())
		}
		return nil
	})
}

// TestClose runs in a bubble, where a rank that waits for credits that do not come
// back is found at once.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			dup, err := c.Dup(ctx)
			if err != nil {
				return err
			}
			r := runtime.Irecv(dup, 1-c.Rank(), 5, make([]int8, 1))
			if err := dup.Err(); err != nil {
				return err
			}
			if c.Rank() == 0 {
				// These find a closed communicator, before or after they come;
				// the credits of the small and the answer to the large come back.
				var large []*runtime.Request
				for range 100 {
					if err := runtime.Send(ctx, dup, 1, 0, make([]int8, 60_000)); err != nil {
						return err
					}
					large = append(large, runtime.Isend(dup, 1, 0, make([]int8, 100_000)))
				}
				if err := runtime.WaitAll(ctx, large...); err != nil {
					return err
				}
			}
			if err := dup.Close(); err != nil {
				return err
			}
			<-dup.Done()
			if _, err := r.Wait(ctx); !stderrors.Is(err, runtime.ErrClosed) {
				return fmt.Errorf("pending receive: %v", err)
			}
			if err := runtime.Send(ctx, dup, 1-c.Rank(), 0, []int8{1}); !stderrors.Is(err, runtime.ErrClosed) {
				return fmt.Errorf("later send: %v", err)
			}
			if err := dup.Err(); !stderrors.Is(err, runtime.ErrClosed) {
				return fmt.Errorf("Err: %v", err)
			}
			if err := dup.Close(); err != nil {
				return fmt.Errorf("second Close: %v", err)
			}
			// Nobody leaves while the other sends.
			if _, err := runtime.SendRecv(ctx, c, 1-c.Rank(), nil8(0), 1-c.Rank(), nil8(0), 0); err != nil {
				return err
			}
			return c.Err()
		})
	})
}

// TestCloseWhileSending closes a communicator whose large message the receiver
// knows of: it arrives.
func TestCloseWhileSending(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		const size = 1 << 20
		dup, err := c.Dup(ctx)
		if err != nil {
			return err
		}
		if c.Rank() == 0 {
			r := runtime.Isend(dup, 1, 0, nil8(size))
			if err := dup.Close(); err != nil {
				return err
			}
			if _, err := r.Wait(ctx); !stderrors.Is(err, runtime.ErrClosed) {
				return fmt.Errorf("send: %v", err)
			}
			if err := runtime.Send(ctx, c, 1, 0, nil8(0)); err != nil {
				return err
			}
			_, err := runtime.Recv(ctx, c, 1, 0, nil8(0)) // stay
			return err
		}
		// Until it is closed: all may have been sent otherwise.
		if _, err := runtime.Recv(ctx, c, 0, 0, nil8(0)); err != nil {
			return err
		}
		st, err := runtime.Recv(ctx, dup, 0, 0, nil8(size))
		if err != nil || st.Count != size {
			return fmt.Errorf("%+v %w", st, err)
		}
		return runtime.Send(ctx, c, 0, 0, nil8(0))
	})
}
