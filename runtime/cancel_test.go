package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

var errEnough = stderrors.New("enough")

// brief is a context that ends after d.
func brief(ctx context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeoutCause(ctx, d, errEnough)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// TestCancelReceive cancels receives that nothing has met, that a large message
// has met whose payload is still away, and goes on with the same stream.
func TestCancelReceive(t *testing.T) {
	for _, size := range []int{100, 100_000} {
		t.Run(fmt.Sprintf("bytes=%d", size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := runtimetest.NewCluster(2)
				cl.Delay(func(from, to int) time.Duration { return 100 * time.Millisecond })
				err := runtimetest.Primary(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
					if c.Rank() == 1 {
						if _, err := runtime.Recv(ctx, c, 0, 1, nil8(0)); err != nil {
							return err
						}
						for i := range 3 {
							b := nil8(size)
							b[0] = int8(i)
							if err := runtime.Send(ctx, c, 0, 0, b); err != nil {
								return err
							}
						}
						return nil
					}
					buf := nil8(size)
					// Nothing can come: taken back.
					if _, err := runtime.Recv(brief(ctx, time.Second), c, 1, 0, buf); !stderrors.Is(err, errEnough) || stderrors.Is(err, runtime.ErrDropped) {
						return fmt.Errorf("first: %v", err)
					}
					if _, err := runtime.Probe(brief(ctx, time.Second), c, 1, 0); !stderrors.Is(err, errEnough) {
						return fmt.Errorf("probe: %v", err)
					}
					if err := runtime.Send(ctx, c, 1, 1, nil8(0)); err != nil {
						return err
					}
					lost := int8(0)
					if size > 64<<10 {
						// The first announcement comes at 200 ms, its payload at 400 ms.
						if st, err := runtime.Recv(brief(ctx, 300*time.Millisecond), c, 1, 0, buf); !stderrors.Is(err, errEnough) || !stderrors.Is(err, runtime.ErrDropped) || st.Source != 1 || st.Count != size {
							return fmt.Errorf("second: %v", err)
						}
						lost = 1
					}
					buf[0] = 77
					for i := lost; i < 3; i++ {
						st, err := runtime.Recv(ctx, c, 1, 0, buf)
						if err != nil || buf[0] != i || st.Count != size {
							return fmt.Errorf("message %d: %d %+v %v", i, buf[0], st, err)
						}
					}
					return nil
				}))
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func nil8(n int) []int8 { return make([]int8, n) }

// TestCancelSend: cancelled sends leave the caller its slice; what has been
// announced, for its length or for want of credits, arrives as it was.
func TestCancelSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := runtimetest.NewCluster(2)
		stuck := make(chan struct{})
		err := runtimetest.Primary(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			const size = 100_000
			buf := nil8(size)
			if c.Rank() == 0 {
				buf[size-1] = 1
				if err := runtime.Send(brief(ctx, time.Second), c, 1, 0, buf); !stderrors.Is(err, errEnough) {
					return fmt.Errorf("large: %v", err)
				}
				buf[size-1] = 2
				sent := 0
				for {
					buf[0] = 3
					err := runtime.Send(brief(ctx, time.Second), c, 1, 3, buf[:1000]) // too small to be announced while there are credits
					buf[0] = 4
					sent++
					if stderrors.Is(err, errEnough) {
						break
					}
					if err != nil {
						return fmt.Errorf("flood: %v", err)
					}
				}
				close(stuck)
				return runtime.Send(ctx, c, 1, 1, nil8(sent))
			}
			<-stuck
			st, err := runtime.Recv(ctx, c, 0, 0, buf)
			if err != nil || st.Count != size || buf[size-1] != 1 {
				return fmt.Errorf("large: %+v %v, ends with %d", st, err, buf[size-1])
			}
			for got := 0; ; got++ {
				st, err := runtime.Recv(ctx, c, 0, runtime.AnyTag, buf)
				if err != nil {
					return err
				}
				if st.Tag == 1 {
					if got != st.Count || got == 0 {
						return fmt.Errorf("%d of the flood came, %d were sent", got, st.Count)
					}
					return nil
				}
				if buf[0] != 3 {
					return fmt.Errorf("message %d of the flood begins with %d", got, buf[0])
				}
			}
		}))
		if err != nil {
			t.Error(err)
		}
	})
}

// TestCancelCall: the reply to a cancelled call goes nowhere, and the next
// call gets its own.
func TestCancelCall(t *testing.T) {
	for _, size := range []int{1, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			cl := runtimetest.NewCluster(2)
			err := runtimetest.Primary(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
				late := make(chan *runtime.Message, 1)
				p, err := c.OpenPort(ctx, "p", func(m *runtime.Message) {
					if m.Payload[0] == 0 {
						late <- m
						return
					}
					first := <-late
					first.Reply(make([]byte, size))
					m.Reply(m.Payload)
				})
				if err != nil || c.Rank() == 1 {
					return err
				}
				payload := make([]byte, size)
				if _, err := p.Call(brief(ctx, time.Second), 1, payload); !stderrors.Is(err, errEnough) {
					return fmt.Errorf("first call: %v", err)
				}
				payload[0] = 1
				reply, err := p.Call(ctx, 1, payload)
				if err != nil || len(reply) != size || reply[0] != 1 {
					return fmt.Errorf("second call: %d bytes, %v", len(reply), err)
				}
				return nil
			}))
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCancelOverTCP cancels large exchanges at random points of their way, over
// connections that write in parts. The streams must keep their framing.
func TestCancelOverTCP(t *testing.T) {
	runtimetest.TCP(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		const size, rounds = 4 << 20, 40
		peer := 1 - c.Rank()
		out, in := nil8(size), nil8(size)
		for i := range rounds {
			s, r := runtime.Isend(c, peer, 0, out), runtime.Irecv(c, peer, 0, in)
			gone, cancel := context.WithCancelCause(ctx)
			for range (i * (7 + c.Rank())) % 11 {
				s.Test()
				r.Test()
			}
			cancel(errEnough)
			for _, q := range []*runtime.Request{s, r} {
				if _, err := q.Wait(gone); err != nil && !stderrors.Is(err, errEnough) {
					return fmt.Errorf("round %d: %v", i, err)
				}
			}
		}
		// Whatever came of those: a message on another tag comes through whole.
		for i := range out {
			out[i] = int8(i)
		}
		if _, err := runtime.SendRecv(ctx, c, peer, out, peer, in, 1); err != nil {
			return err
		}
		for i := range in {
			if in[i] != int8(i) {
				return fmt.Errorf("byte %d is %d", i, in[i])
			}
		}
		return nil
	})
}
