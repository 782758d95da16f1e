package runtime_test

import (
	"bytes"
	"context"
	stderrors "errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestPortOrder posts messages of all lengths from everybody to everybody; a
// handler sees those of one sender in order, and calls get their own answers.
func TestPortOrder(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, n := range []int{1, 2, 3, 5} {
			t.Run(fmt.Sprintf("ranks=%d", n), func(t *testing.T) {
				const each = 30
				lengths := []int{8, 100, 64 << 10, 64<<10 + 1, 200_000, 9}
				run(t, n, func(ctx context.Context, c *runtime.Comm) error {
					next := make([]byte, n)
					var wrong error
					all := make(chan struct{})
					got := 0
					p, err := c.OpenPort(ctx, "numbers", func(m *runtime.Message) {
						number := next[m.Source]
						next[m.Source]++
						if want := lengths[int(number)%len(lengths)]; len(m.Payload) != want || m.Payload[0] != number || m.Payload[want-1] != number {
							wrong = fmt.Errorf("from %d: %d bytes of number %d, want %d of %d", m.Source, len(m.Payload), m.Payload[0], want, number)
						}
						if m.Wanted() {
							if err := m.Reply(m.Payload[:1], m.Payload); err != nil {
								wrong = err
							}
						}
						if got++; got == n*each {
							close(all)
						}
					})
					if err != nil {
						return err
					}
					for number := range each {
						for dst := range n {
							payload := bytes.Repeat([]byte{byte(number)}, lengths[number%len(lengths)])
							if number%3 != 0 {
								if err := p.Post(ctx, dst, payload[:3], nil, payload[3:]); err != nil {
									return err
								}
								continue
							}
							reply, err := p.Call(ctx, dst, payload)
							if err != nil {
								return err
							}
							if !bytes.Equal(reply, append(payload[:1:1], payload...)) {
								return fmt.Errorf("reply of %d bytes to %d", len(reply), len(payload))
							}
						}
					}
					<-all
					return wrong
				})
			})
		}
	})
}

// TestPortFlood posts more than any window while the handler stands still:
// posts must wait, messages on the same connection must not.
func TestPortFlood(t *testing.T) {
	for _, test := range []struct {
		size  int
		total int64
	}{{0, 80_000}, {1000, 16_000}, {64 << 10, 400}, {1 << 20, 160}} {
		size, total := test.size, test.total
		t.Run(fmt.Sprintf("bytes=%d", size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				var posted, handled atomic.Int64
				flood := make(chan struct{})
				go func() {
					defer close(flood)
					runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
						p, err := c.OpenPort(ctx, "slow", func(*runtime.Message) {
							<-gate
							handled.Add(1)
						})
						if err != nil {
							return err
						}
						if c.Rank() == 0 {
							payload := make([]byte, size)
							var wg sync.WaitGroup
							errs := make([]error, 4)
							for i := range errs {
								wg.Go(func() {
									for range total / 4 {
										if errs[i] = p.Post(ctx, 1, payload); errs[i] != nil {
											return
										}
										posted.Add(1)
									}
								})
							}
							wg.Wait()
							return stderrors.Join(errs...)
						}
						return nil
					})
				}()
				synctest.Wait()
				if n := posted.Load(); n == 0 || n*int64(size) > 64<<20 || n > 32<<10 || n == total {
					t.Errorf("%d posts of %d bytes went out while nobody handled them", n, size)
				}
				close(gate)
				<-flood
				if posted.Load() != total || handled.Load() != posted.Load() {
					t.Errorf("%d posted, %d handled, want %d", posted.Load(), handled.Load(), total)
				}
			})
		})
	}
}

// TestPortOpensLate posts small and large messages to a port that does not
// exist yet.
func TestPortOpensLate(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			var order []int
			open := func() (*runtime.Port, error) {
				return c.OpenPort(ctx, "late", func(m *runtime.Message) {
					order = append(order, len(m.Payload))
					if m.Wanted() {
						m.Reply([]byte(fmt.Sprint(order)))
					}
				})
			}
			if c.Rank() == 1 {
				// The small message is here before the port is.
				if _, err := runtime.Recv(ctx, c, 0, 0, make([]int8, 1)); err != nil {
					return err
				}
				_, err := open()
				return err
			}
			p, err := open()
			if err != nil {
				return err
			}
			if err := p.Post(ctx, 1, make([]byte, 3)); err != nil {
				return err
			}
			if err := runtime.Send(ctx, c, 1, 0, make([]int8, 1)); err != nil {
				return err
			}
			if err := p.Post(ctx, 1, make([]byte, 100_000)); err != nil {
				return err
			}
			reply, err := p.Call(ctx, 1, nil)
			if err != nil || string(reply) != "[3 100000 0]" {
				return fmt.Errorf("%q %v", reply, err)
			}
			return nil
		})
	})
}

// TestReplyLater answers calls from another goroutine, in the opposite order.
func TestReplyLater(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			const calls = 5
			asked := make(chan *runtime.Message, calls)
			p, err := c.OpenPort(ctx, "later", func(m *runtime.Message) { asked <- m })
			if err != nil {
				return err
			}
			if c.Rank() == 1 {
				var ms []*runtime.Message
				for range calls {
					ms = append(ms, <-asked)
				}
				for i := calls - 1; i >= 0; i-- {
					if err := ms[i].Reply([]byte{byte(ms[i].Source)}, make([]byte, 100_000)); err != nil {
						return err
					}
					if err := ms[i].Reply(nil); err == nil {
						return stderrors.New("second reply is taken")
					}
				}
				return nil
			}
			errs := make(chan error, calls)
			for range calls {
				go func() {
					reply, err := p.Call(ctx, 1, []byte{1})
					if err == nil && len(reply) != 100_001 {
						err = fmt.Errorf("reply of %d bytes", len(reply))
					}
					errs <- err
				}()
			}
			var all error
			for range calls {
				all = stderrors.Join(all, <-errs)
			}
			return all
		})
	})
}

func TestPortClose(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			handled := 0
			p, err := c.OpenPort(ctx, "p", func(m *runtime.Message) {
				handled++
				if m.Wanted() {
					m.Reply()
				}
			})
			if err != nil {
				return err
			}
			if c.Rank() == 1 {
				var token [1]int8
				if _, err := runtime.Recv(ctx, c, 0, 0, token[:]); err != nil {
					return err
				}
				if err := p.Close(ctx); err != nil {
					return err
				}
				if handled != 2 {
					return fmt.Errorf("%d messages handled before Close returned, want 2", handled)
				}
				return runtime.Send(ctx, c, 0, 0, token[:])
			}
			token := make([]int8, 1)
			if err := p.Post(ctx, 1, nil); err != nil {
				return err
			}
			if _, err := p.Call(ctx, 1, nil); err != nil {
				return err
			}
			if err := runtime.Send(ctx, c, 1, 0, token); err != nil {
				return err
			}
			if _, err := runtime.Recv(ctx, c, 1, 0, token); err != nil {
				return err
			}
			for _, size := range []int{1, 100_000} {
				if _, err := p.Call(ctx, 1, make([]byte, size)); !stderrors.Is(err, runtime.ErrClosed) {
					return fmt.Errorf("call to a closed port: %v", err)
				}
				// More posts than credits: they must come back.
				for range 100 {
					if err := p.Post(ctx, 1, make([]byte, size+60_000)); err != nil {
						return err
					}
				}
			}
			if err := p.Close(ctx); err != nil {
				return err
			}
			if err := p.Post(ctx, 1, nil); !stderrors.Is(err, runtime.ErrClosed) {
				return fmt.Errorf("post by a closed port: %v", err)
			}
			return nil
		})
	})
}

// TestPortsApart: names, openings and communicators keep ports apart.
func TestPortsApart(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		dup, err := c.Dup(ctx)
		if err != nil {
			return err
		}
		open := func(c *runtime.Comm, name, answer string) *runtime.Port {
			p, oerr := c.OpenPort(ctx, name, func(m *runtime.Message) { m.Reply([]byte(answer)) })
			err = stderrors.Join(err, oerr)
			return p
		}
		ports := map[string]*runtime.Port{
			"a": open(c, "x", "a"), "b": open(c, "x", "b"), "c": open(c, "y", "c"),
			"d": open(c.Space(7), "x", "d"), "e": open(dup, "x", "e"),
		}
		if err != nil {
			return err
		}
		for want, p := range ports {
			for dst := range 2 {
				reply, err := p.Call(ctx, dst)
				if err != nil || string(reply) != want {
					return fmt.Errorf("%q answers %q, %v", want, reply, err)
				}
			}
		}
		return nil
	})
}

// TestStartCall: calls that are under way together, small and large, arrive in the
// order in which they were started, and each Wait has the answer to its own.
func TestStartCall(t *testing.T) {
	const calls = 200
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 3, func(ctx context.Context, c *runtime.Comm) error {
			next := make([]byte, 3)
			p, err := c.OpenPort(ctx, "count", func(m *runtime.Message) {
				if m.Payload[0] != next[m.Source] {
					m.Reply([]byte("out of order"))
					return
				}
				next[m.Source]++
				m.Reply(m.Payload[:1])
			})
			if err != nil {
				return err
			}
			for dst := range 3 {
				var pending []*runtime.PendingCall
				for i := range calls {
					size := 1
					if i%7 == 0 {
						size = 100_000
					}
					msg := make([]byte, size)
					msg[0] = byte(i)
					q, err := p.StartCall(dst, msg)
					if err != nil {
						return err
					}
					pending = append(pending, q)
				}
				for i := range pending {
					i = len(pending) - 1 - i
					if got, err := pending[i].Wait(ctx); err != nil || len(got) != 1 || got[0] != byte(i) {
						return fmt.Errorf("call %d to rank %d: %q, %v", i, dst, got, err)
					}
				}
			}
			return nil
		})
	})
}

// TestCallStorm: a caller that waits for a reply while the handler
// of its own rank is busy with others.
func TestCallStorm(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		run(t, 5, func(ctx context.Context, c *runtime.Comm) error {
			sum := 0
			p, err := c.OpenPort(ctx, "sum", func(m *runtime.Message) {
				sum += int(m.Payload[0])
				m.Reply(m.Payload)
			})
			if err != nil {
				return err
			}
			errs := make(chan error, 3)
			for range cap(errs) {
				go func() {
					for i := range 100 {
						if _, err := p.Call(ctx, (c.Rank()+i)%5, []byte{1}); err != nil {
							errs <- err
							return
						}
					}
					errs <- nil
				}()
			}
			var all error
			for range cap(errs) {
				all = stderrors.Join(all, <-errs)
			}
			return all
		})
	})
}
