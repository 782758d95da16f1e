package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// onDemand runs a body on ranks that connect over TCP, which emulate slows, when
// they first talk.
func onDemand(t *testing.T, n int, emulate string, body runtimetest.Body) []error {
	t.Helper()
	cl := runtimetest.NewTCPCluster(n)
	cl.Edit = func(cfg *runtime.Config) { cfg.OnDemand, cfg.Emulate = true, emulate }
	return cl.Run(t.Context(), body)
}

// TestLeftOnDemand has rank 10, with which rank 6 has never been connected or
// whom it has just heard, return: calls that wait for it fail, and what it sent
// before it returned is there. They are no neighbours in the tree that joins all.
func TestLeftOnDemand(t *testing.T) {
	const here, there = 6, 10
	for _, test := range []struct {
		name         string
		heard, spoke bool // rank 10 has sent a message, rank 6 has
	}{
		{"strangers", false, false},
		{"heard", true, false},
		{"spoke", false, true},
		{"both", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer runtimetest.Leaks(t)()
			errs := onDemand(t, 11, "", func(ctx context.Context, c *runtime.Comm) error {
				switch c.Rank() {
				case there:
					if test.heard {
						return runtime.Send(ctx, c, here, 3, nil8(1000))
					}
				case here:
					if test.spoke {
						if err := runtime.Send(ctx, c, there, 4, nil8(10)); err != nil {
							return err
						}
					}
					for range 2 {
						_, err := runtime.Recv(ctx, c, there, 5, nil8(1))
						if !stderrors.Is(err, runtime.ErrLeft) || !strings.Contains(err.Error(), "rank 10 on host ") {
							return fmt.Errorf("got %w", err)
						}
					}
					if test.heard {
						st, err := runtime.Recv(ctx, c, there, 3, nil8(1000))
						if err != nil || st.Count != 1000 {
							return fmt.Errorf("what had been sent: %+v, %w", st, err)
						}
					}
				}
				return nil
			})
			for rank, err := range errs {
				if err != nil {
					t.Errorf("rank %d: %v", rank, err)
				}
			}
		})
	}
}

// TestTrafficOnDemand has all ranks send messages, small and large, to ranks
// that chance says, and leave at once: each comes whole and in order although
// most connections begin with them, and all leave.
func TestTrafficOnDemand(t *testing.T) {
	sizes := []int{1, 2, 7, 16, 33}
	for seed := range seeds.Count(t, 15) {
		n := sizes[seed%uint64(len(sizes))]
		draw := rand.New(rand.NewPCG(seed, 7))
		// What each rank sends to whom, in order: everybody knows it.
		type message struct{ to, size int }
		plan := make([][]message, n)
		for rank := range plan {
			for range draw.IntN(6) {
				size := draw.IntN(2000)
				if draw.IntN(4) == 0 {
					size = 60_000 + draw.IntN(100_000)
				}
				plan[rank] = append(plan[rank], message{draw.IntN(n), size})
			}
		}
		emulate := []string{"", "delay=2ms,jitter=1ms"}[seed%2]
		errs := onDemand(t, n, emulate, func(ctx context.Context, c *runtime.Comm) error {
			var sends []*runtime.Request
			for i, m := range plan[c.Rank()] {
				b := make([]int8, m.size)
				for k := range b {
					b[k] = int8(c.Rank() + i + k)
				}
				sends = append(sends, runtime.Isend(c, m.to, 1, b))
			}
			for from, messages := range plan {
				for i, m := range messages {
					if m.to != c.Rank() {
						continue
					}
					b := make([]int8, m.size)
					if st, err := runtime.Recv(ctx, c, from, 1, b); err != nil || st.Count != m.size {
						return fmt.Errorf("message %d from %d: %+v, %w", i, from, st, err)
					}
					for k := range b {
						if b[k] != int8(from+i+k) {
							return fmt.Errorf("message %d from %d: byte %d is %d", i, from, k, b[k])
						}
					}
				}
			}
			for _, r := range sends {
				if _, err := r.Wait(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		for rank, err := range errs {
			if err != nil {
				t.Errorf("seed %d, rank %d of %d: %v", seed, rank, n, err)
			}
		}
	}
}

// TestFailureOnDemand has the body of rank 9 fail while all others wait for
// somebody with whom they are not connected: all learn who failed, and why.
func TestFailureOnDemand(t *testing.T) {
	const n, culprit = 23, 9
	defer runtimetest.Leaks(t)()
	failed := stderrors.New("out of cheese")
	errs := onDemand(t, n, "", func(ctx context.Context, c *runtime.Comm) error {
		if c.Rank() == culprit {
			return failed
		}
		_, err := runtime.Recv(ctx, c, (c.Rank()+n/2)%n, 0, nil8(1))
		return err
	})
	for rank, err := range errs {
		if rank == culprit {
			if !stderrors.Is(err, failed) {
				t.Errorf("the culprit: %v", err)
			}
			continue
		}
		lost, ok := stderrors.AsType[*runtime.RankError](err)
		if !ok || lost.Rank != culprit || !strings.Contains(err.Error(), failed.Error()) {
			t.Errorf("rank %d: %v, want rank %d: %v", rank, err, culprit, failed)
		}
	}
}

// TestPortsOnDemand has all ranks call a port of all others, whose bodies may
// have returned: they serve until all have.
func TestPortsOnDemand(t *testing.T) {
	const n = 18
	defer runtimetest.Leaks(t)()
	errs := onDemand(t, n, "", func(ctx context.Context, c *runtime.Comm) error {
		port, err := c.OpenPort(ctx, "echo", func(m *runtime.Message) { _ = m.Reply(m.Payload) })
		if err != nil {
			return err
		}
		for i := range c.Rank() { // the lowest leaves first
			to := c.Rank() - i - 1
			if got, err := port.Call(ctx, to, []byte{byte(i)}); err != nil || len(got) != 1 || got[0] != byte(i) {
				return fmt.Errorf("call to %d: %v, %w", to, got, err)
			}
		}
		return nil
	})
	for rank, err := range errs {
		if err != nil {
			t.Errorf("rank %d: %v", rank, err)
		}
	}
}

// afterBodies runs work in a handler of the last rank but one when the bodies of
// all ranks have returned, which they do at once, and checks that for a while
// before that no rank ends.
func afterBodies(t *testing.T, cl *runtimetest.Cluster, n int, work func(ctx context.Context, c *runtime.Comm)) []error {
	t.Helper()
	edit := cl.Edit
	cl.Edit = func(cfg *runtime.Config) {
		if cfg.OnDemand = true; edit != nil {
			edit(cfg)
		}
	}
	var bodies sync.WaitGroup
	bodies.Add(n)
	return cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
		defer bodies.Done()
		port, err := c.OpenPort(ctx, "work", func(*runtime.Message) {
			bodies.Wait()
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for range 50 { // one that does not wait ends within a few of these
				<-tick.C
				for rank := range n {
					if v, ended := cl.Verdict(rank); ended {
						t.Errorf("rank %d has ended before a handler: %+v", rank, v)
						return
					}
				}
			}
			work(ctx, c)
		})
		if err == nil && c.Rank() == 0 {
			err = port.Post(ctx, n-2, []byte{1})
		}
		return err
	})
}

// TestHandlerSendsOnDemand has a handler send to a rank that is not connected, and
// whose body has returned: it is still there.
func TestHandlerSendsOnDemand(t *testing.T) {
	defer runtimetest.Leaks(t)()
	errs := afterBodies(t, runtimetest.NewTCPCluster(23), 23, func(ctx context.Context, c *runtime.Comm) {
		if err := runtime.Send(ctx, c, 9, 0, nil8(3)); err != nil {
			t.Error(err)
		}
	})
	for rank, err := range errs {
		if err != nil {
			t.Errorf("rank %d: %v", rank, err)
		}
	}
}

// allLose checks that all ranks but one have lost that one, which failed by
// itself.
func allLose(t *testing.T, errs []error, culprit int) {
	t.Helper()
	for rank, err := range errs {
		if lost, ok := stderrors.AsType[*runtime.RankError](err); rank != culprit && (!ok || lost.Rank != culprit) || err == nil {
			t.Errorf("rank %d: %v, want the loss of rank %d", rank, err, culprit)
		}
	}
}

// TestHandlerPanicsOnDemand has a handler panic when all bodies have returned, and
// some ranks have said goodbye: it fails the job at all of them.
func TestHandlerPanicsOnDemand(t *testing.T) {
	defer runtimetest.Leaks(t)()
	allLose(t, afterBodies(t, runtimetest.NewTCPCluster(23), 23, func(context.Context, *runtime.Comm) { panic("late") }), 21)
}

// TestStoppedAtTheEndOnDemand has a rank told to stop when all bodies have
// returned and a handler is at work: that rank, or in jobs of more ranks another
// that has said goodbye. All hear of it.
func TestStoppedAtTheEndOnDemand(t *testing.T) {
	defer runtimetest.Leaks(t)()
	for _, tt := range []struct{ n, who int }{{2, 0}, {23, 2}} {
		cl := runtimetest.NewTCPCluster(tt.n)
		stopped := stderrors.New("told to stop")
		stops := make(chan context.CancelCauseFunc, 1)
		cl.Context = func(ctx context.Context, rank int) context.Context {
			if rank == tt.who {
				var stop context.CancelCauseFunc
				ctx, stop = context.WithCancelCause(ctx)
				stops <- stop
			}
			return ctx
		}
		errs := afterBodies(t, cl, tt.n, func(ctx context.Context, c *runtime.Comm) {
			(<-stops)(stopped)
			if c.Rank() != tt.who {
				<-ctx.Done() // it hears of it while it works
			}
		})
		if !stderrors.Is(errs[tt.who], stopped) {
			t.Errorf("of %d, rank %d: %v, want %v", tt.n, tt.who, errs[tt.who], stopped)
		}
		allLose(t, errs, tt.who)
	}
}

// TestKilledAtTheEndOnDemand kills a rank that has said goodbye while others wait
// for a handler, whose goodbye would have come by way of that rank.
func TestKilledAtTheEndOnDemand(t *testing.T) {
	defer runtimetest.Leaks(t)()
	const n = 11
	cl := runtimetest.NewCluster(n)
	errs := afterBodies(t, cl, n, func(ctx context.Context, _ *runtime.Comm) {
		cl.Kill(1)
		cl.Lose(1, "killed by signal 9")
		<-ctx.Done()
	})
	for rank, err := range errs {
		if lost, ok := stderrors.AsType[*runtime.RankError](err); rank != 1 && (!ok || lost.Rank != 1) {
			t.Errorf("rank %d: %v, want the loss of rank 1", rank, err)
		}
	}
}

// TestBlameOnDemand has rank 22 say that rank 9 is lost, which lives and hears it
// by way of others: it blames rank 22, not who passed that on.
func TestBlameOnDemand(t *testing.T) {
	errs := onDemand(t, 23, "", func(ctx context.Context, c *runtime.Comm) error {
		if c.Rank() == 22 {
			return &runtime.RankError{Rank: 9, Host: "h9", Cause: context.DeadlineExceeded}
		}
		_, err := runtime.Recv(ctx, c, (c.Rank()+11)%23, 0, nil8(1))
		return err
	})
	if lost, ok := stderrors.AsType[*runtime.RankError](errs[9]); !ok || lost.Rank != 22 {
		t.Errorf("rank 9: %v, want the loss of rank 22", errs[9])
	}
}

// TestStoppedOnDemand has rank 10 told to stop while its message to rank 6 is
// under way: rank 6 does not hear that all is well.
func TestStoppedOnDemand(t *testing.T) {
	defer runtimetest.Leaks(t)()
	cl := runtimetest.NewTCPCluster(11)
	cl.Edit = func(cfg *runtime.Config) { cfg.OnDemand, cfg.Emulate = true, "pairs=10-6,delay=1m" }
	stopped := stderrors.New("told to stop")
	var stop context.CancelCauseFunc
	cl.Context = func(ctx context.Context, rank int) context.Context {
		if rank == 10 {
			ctx, stop = context.WithCancelCause(ctx)
		}
		return ctx
	}
	returned := make(chan struct{})
	errs := cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
		switch c.Rank() {
		case 10:
			defer close(returned)
			return runtime.Send(ctx, c, 6, 0, nil8(3))
		case 6:
			go func() {
				<-returned
				stop(stopped)
			}()
			_, err := runtime.Recv(ctx, c, 10, 0, nil8(3))
			return err
		}
		return nil
	})
	if !stderrors.Is(errs[10], stopped) {
		t.Errorf("rank 10: %v, want %v", errs[10], stopped)
	}
	if lost, ok := stderrors.AsType[*runtime.RankError](errs[6]); !ok || lost.Rank != 10 || stderrors.Is(errs[6], runtime.ErrLeft) {
		t.Errorf("rank 6: %v, want the loss of rank 10", errs[6])
	}
}
