package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// pendings are calls that wait for ever; rank 1 of c is the one that gets lost,
// some of them wait for rank 2.
var pendings = []struct {
	op  string // what the error says
	run func(ctx context.Context, c *runtime.Comm, silent *runtime.Port) error
}{
	{"recv from rank 1 on world", func(ctx context.Context, c *runtime.Comm, _ *runtime.Port) error {
		_, err := runtime.Recv(ctx, c, 1, 0, make([]int8, 1))
		return err
	}},
	{"recv from rank 2 on world", func(ctx context.Context, c *runtime.Comm, _ *runtime.Port) error {
		_, err := runtime.Recv(ctx, c, 2, 0, make([]int8, 1))
		return err
	}},
	{"recv from any rank on world", func(ctx context.Context, c *runtime.Comm, _ *runtime.Port) error {
		_, err := runtime.Recv(ctx, c, runtime.AnySource, 0, make([]int8, 1))
		return err
	}},
	{"probe rank 1 on world", func(ctx context.Context, c *runtime.Comm, _ *runtime.Port) error {
		_, err := runtime.Probe(ctx, c, 1, 0)
		return err
	}},
	{"send to rank 1 on world", func(ctx context.Context, c *runtime.Comm, _ *runtime.Port) error {
		return runtime.Send(ctx, c, 1, 0, make([]int8, 1<<20))
	}},
	{"send to rank 2 on world", func(ctx context.Context, c *runtime.Comm, _ *runtime.Port) error {
		return runtime.Send(ctx, c, 2, 0, make([]int8, 1<<20))
	}},
	{"send to rank 0 on world", func(ctx context.Context, c *runtime.Comm, _ *runtime.Port) error {
		return runtime.SendSync(ctx, c, 0, 0, make([]int8, 1))
	}},
	{"send to rank 2 on world", func(ctx context.Context, c *runtime.Comm, _ *runtime.Port) error {
		for { // until the credits are used up
			if err := runtime.Send(ctx, c, 2, 0, make([]int8, 50_000)); err != nil {
				return err
			}
		}
	}},
	{"call rank 1 on world", func(ctx context.Context, _ *runtime.Comm, p *runtime.Port) error {
		_, err := p.Call(ctx, 1, nil)
		return err
	}},
	{"call rank 2 on world", func(ctx context.Context, _ *runtime.Comm, p *runtime.Port) error {
		_, err := p.Call(ctx, 2, make([]byte, 1<<20))
		return err
	}},
	{"post to rank 2 on world", func(ctx context.Context, _ *runtime.Comm, p *runtime.Port) error {
		for {
			if err := p.Post(ctx, 2, make([]byte, 50_000)); err != nil {
				return err
			}
		}
	}},
}

// losses are the ways to lose rank 1 while the others wait.
var losses = []struct {
	name  string
	cause string
	lose  func(cl *runtimetest.Cluster)
}{
	{"its connections end", "connection reset", func(cl *runtimetest.Cluster) { cl.Kill(1) }},
	{"its agent says so", "killed by signal 9", func(cl *runtimetest.Cluster) { cl.Lose(1, "killed by signal 9") }},
}

func TestLostRankFailsPendingCalls(t *testing.T) {
	for _, loss := range losses {
		for _, pending := range pendings {
			t.Run(loss.name+"/"+pending.op, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cl := runtimetest.NewCluster(4)
					inCalls, after := make(chan struct{}), make(chan struct{})
					done := make(chan []error)
					var at time.Time
					var took time.Duration
					go func() {
						done <- cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
							if c.Rank() == 0 {
								defer close(after)
							}
							silent, err := c.OpenPort(ctx, "silent", func(m *runtime.Message) {
								if c.Rank() == 2 && !m.Wanted() {
									<-after // not ctx: its credit could reach rank 0 before the loss does
								}
							})
							if err != nil {
								return err
							}
							if c.Rank() != 0 {
								<-ctx.Done()
								return context.Cause(ctx)
							}
							close(inCalls)
							// The context is not the job's: the call itself must see the loss.
							err = pending.run(context.WithoutCancel(ctx), c, silent)
							took = time.Since(at)
							later := runtime.Send(context.WithoutCancel(ctx), c, 3, 0, []int8{1})
							if !stderrors.Is(later, runtime.ErrRankLost) {
								return fmt.Errorf("later call: %v", later)
							}
							return err
						})
					}()
					<-inCalls
					synctest.Wait()
					at = time.Now()
					loss.lose(cl)
					errs := <-done
					lost, ok := stderrors.AsType[*runtime.RankError](errs[0])
					if !ok || !stderrors.Is(errs[0], runtime.ErrRankLost) || lost.Rank != 1 || lost.Host != cl.Host(1) || lost.Op != pending.op {
						t.Fatalf("got %#v", errs[0])
					}
					if want := pending.op + ": rank 1 on host h1 lost: " + loss.cause; lost.Error() != want {
						t.Errorf("got %q, want %q", lost, want)
					}
					if took > 0 {
						t.Errorf("the call failed after %v", took)
					}
					for _, rank := range []int{0, 2, 3} {
						v, ok := cl.Verdict(rank)
						if !ok || v.OK || !v.Secondary || v.Lost != 1 {
							t.Errorf("rank %d: verdict %+v", rank, v)
						}
					}
				})
			})
		}
	}
}

// TestUnconcernedCommunicator: one that does not contain the lost rank works on.
func TestUnconcernedCommunicator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := runtimetest.NewCluster(4)
		ready := make(chan struct{}, 4)
		done := make(chan []error)
		go func() {
			done <- cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
				sub, err := c.Split(ctx, c.Rank()/2, 0)
				if err != nil {
					return err
				}
				ready <- struct{}{}
				<-ctx.Done()
				mine := context.WithoutCancel(ctx)
				if c.Rank() < 2 {
					<-sub.Done()
					if !stderrors.Is(sub.Err(), runtime.ErrRankLost) {
						return fmt.Errorf("Err: %v", sub.Err())
					}
					return sub.Err()
				}
				var in [1]int8
				if _, err := runtime.SendRecv(mine, sub, 1-sub.Rank(), []int8{5}, 1-sub.Rank(), in[:], 0); err != nil {
					return fmt.Errorf("the other pair: %w", err)
				}
				return nil
			})
		}()
		for range 4 {
			<-ready
		}
		cl.Kill(1)
		errs := <-done
		for _, rank := range []int{0, 2, 3} {
			lost, ok := stderrors.AsType[*runtime.RankError](errs[rank])
			if !ok || lost.Rank != 1 || strings.Contains(errs[rank].Error(), "other pair") {
				t.Errorf("rank %d: %v", rank, errs[rank])
			}
		}
	})
}

func TestBodyFails(t *testing.T) {
	cause := stderrors.New("out of cheese")
	const exited = "ended its goroutine"
	over := []struct {
		name string
		end  func(ctx context.Context, c *runtime.Comm) error
		want string
	}{
		{"error", func(context.Context, *runtime.Comm) error { return cause }, "out of cheese"},
		{"panic", func(context.Context, *runtime.Comm) error { panic(cause) }, "panic"},
		{"handler panics", func(ctx context.Context, c *runtime.Comm) error {
			p, err := c.OpenPort(ctx, "p", func(*runtime.Message) { panic(cause) })
			if err != nil {
				return err
			}
			if _, err := p.Call(context.WithoutCancel(ctx), c.Rank()); err == nil {
				return stderrors.New("the call was answered")
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}, "handler of port p: panic"},
		{"library panics", func(ctx context.Context, c *runtime.Comm) error {
			ended := make(chan error)
			go func() {
				defer func() { ended <- c.Panicked("call 7", recover()) }()
				panic(cause)
			}()
			if err := <-ended; !stderrors.Is(err, cause) {
				return fmt.Errorf("the library is told %v", err)
			}
			<-ctx.Done()
			return nil
		}, "call 7: panic"},
		{"exit", func(context.Context, *runtime.Comm) error { goruntime.Goexit(); return nil }, exited},
		{"handler exits", func(ctx context.Context, c *runtime.Comm) error {
			p, err := c.OpenPort(ctx, "p", func(*runtime.Message) { goruntime.Goexit() })
			if err != nil {
				return err
			}
			_, err = p.Call(context.WithoutCancel(ctx), c.Rank())
			return err
		}, "handler of port p: " + exited},
	}
	for _, network := range networks {
		for _, end := range over {
			t.Run(end.name, func(t *testing.T) {
				defer runtimetest.Leaks(t)()
				cl := network.New(3)
				errs := cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
					if c.Rank() == 1 {
						return end.end(ctx, c)
					}
					if c.Rank() == 0 { // already leaving
						return nil
					}
					_, err := runtime.Recv(context.WithoutCancel(ctx), c, runtime.AnySource, 0, make([]int8, 1))
					return err
				})
				exits := strings.Contains(end.want, exited)
				if !stderrors.Is(errs[1], cause) && end.name != "handler panics" && !exits || !strings.Contains(errs[1].Error(), end.want) {
					t.Errorf("rank 1: %v", errs[1])
				}
				if v, _ := cl.Verdict(1); v.OK || v.Secondary {
					t.Errorf("rank 1: verdict %+v", v)
				}
				for _, rank := range []int{0, 2} {
					lost, ok := stderrors.AsType[*runtime.RankError](errs[rank])
					if !ok || lost.Rank != 1 || lost.Host != cl.Host(1) || !exits && !strings.Contains(lost.Error(), "out of cheese") || exits && !strings.Contains(lost.Error(), exited) {
						t.Errorf("rank %d: %v", rank, errs[rank])
					}
					if v, _ := cl.Verdict(rank); v.OK || !v.Secondary || v.Lost != 1 {
						t.Errorf("rank %d: verdict %+v", rank, v)
					}
				}
			})
		}
	}
}

func TestRunLocalErrors(t *testing.T) {
	cause := stderrors.New("no")
	err := runtime.RunLocal(t.Context(), 3, func(ctx context.Context, c *runtime.Comm) error {
		if c.Rank() == 2 {
			return cause
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if !stderrors.Is(err, cause) || err.Error() != "rank 2: no" {
		t.Errorf("got %v", err)
	}
	if err := runtime.RunLocal(t.Context(), 0, nil); err == nil {
		t.Error("a job of no ranks runs")
	}
}

func TestJobOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := runtimetest.NewCluster(2)
		done := make(chan []error)
		go func() {
			done <- cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
				_, err := runtime.Recv(context.WithoutCancel(ctx), c, 1-c.Rank(), 0, make([]int8, 1))
				return err
			})
		}()
		synctest.Wait()
		cl.Abandon(0)
		errs := <-done
		if !stderrors.Is(errs[0], runtime.ErrJobOver) {
			t.Errorf("rank 0: %v", errs[0])
		}
		if !stderrors.Is(errs[1], runtime.ErrRankLost) {
			t.Errorf("rank 1: %v", errs[1])
		}
	})
}

// TestServesUntilAllReturn: the ports of a rank whose body has returned answer
// until the last body has.
func TestServesUntilAllReturn(t *testing.T) {
	for _, network := range networks {
		cl := network.New(3)
		returned := make(chan struct{}, 3)
		err := runtimetest.Primary(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			p, err := c.OpenPort(ctx, "p", func(m *runtime.Message) { m.Reply(m.Payload) })
			if err != nil || c.Rank() > 0 {
				returned <- struct{}{}
				return err
			}
			<-returned
			<-returned
			for i := range 100 {
				reply, err := p.Call(ctx, 1+i%2, make([]byte, 1000*i))
				if err != nil || len(reply) != 1000*i {
					return fmt.Errorf("%d bytes: %v", len(reply), err)
				}
			}
			return nil
		}))
		if err != nil {
			t.Error(err)
		}
	}
}

// TestContextEnds: the job ends with the context that it was given.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := stderrors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		err := runtime.RunLocal(ctx, 3, func(ctx context.Context, c *runtime.Comm) error {
			_, err := runtime.Recv(ctx, c, c.Rank(), 0, make([]int8, 1))
			return err
		})
		if !stderrors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
	})
}
