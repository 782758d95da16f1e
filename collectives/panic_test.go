package collectives_test

import (
	"context"
	stderrors "errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// failsAt is an operation that at one rank calls f instead.
func failsAt(c *runtime.Comm, rank int, f func()) collectives.Op[int64] {
	return collectives.Func("fails", func(dst, src []int64) {
		if c.Rank() == rank {
			f()
		}
	})
}

// TestStartedPanics: an operation of the program that panics in a started call,
// or ends its goroutine, ends the job like one in a blocking call, whatever the
// body makes of it: the rank's error says so, and others hear that it is lost.
// All requests of the rank end.
func TestStartedPanics(t *testing.T) {
	for _, how := range []struct {
		name string
		f    func()
		want string
	}{
		{"value", func() { panic("no such value") }, "panic: no such value"},
		{"error", func() { panic(errEnough) }, "panic: enough"},
		{"exit", goruntime.Goexit, "ended its goroutine"},
	} {
		for _, net := range runtimetest.Networks() {
			for _, size := range []int{2, 3, 5} {
				t.Run(fmt.Sprintf("%s/net=%s/ranks=%d", how.name, net.Name, size), func(t *testing.T) {
					defer runtimetest.Leaks(t)()
					cl := net.New(size)
					errs := cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
						mine := context.WithoutCancel(ctx)
						op := failsAt(c, 1, how.f)
						var rs []*collectives.Request
						for _, n := range []int{3, 40_000, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3} { // more than run at a time
							x := make([]int64, n)
							rs = append(rs, collectives.StartAllreduce(c, x, x, op, collectives.WithAlgorithm("direct")))
						}
						for i, r := range rs {
							err := r.Wait(mine)
							if c.Rank() == 1 && (err == nil || !strings.Contains(err.Error(), how.want)) {
								return errors.Errorf("request %d: %v, want %s", i, err, how.want)
							}
						}
						if c.Rank() != 1 {
							return collectives.Barrier(mine, c)
						}
						if err := collectives.Barrier(mine, c); err == nil {
							return errors.New("a barrier after that")
						}
						<-ctx.Done()
						return nil
					})
					for _, part := range []string{how.want, "started allreduce of ", "by fails on world"} {
						if errs[1] == nil || !strings.Contains(errs[1].Error(), part) {
							t.Errorf("rank 1: %v, want %s", errs[1], part)
						}
					}
					if how.name == "error" && !stderrors.Is(errs[1], errEnough) {
						t.Errorf("rank 1: %v does not match what it panicked with", errs[1])
					}
					for rank, err := range errs {
						if lost, ok := stderrors.AsType[*runtime.RankError](err); rank != 1 && (!ok || lost.Rank != 1 || !strings.Contains(err.Error(), how.want)) {
							t.Errorf("rank %d: %v", rank, err)
						}
					}
				})
			}
		}
	}
}

// TestStartedPlanPanics: also in a plan, which can be started again and fails
// again; another job of the process goes on.
func TestStartedPlanPanics(t *testing.T) {
	defer runtimetest.Leaks(t)()
	over, other := make(chan struct{}), make(chan error)
	go func() {
		other <- runtime.RunLocal(t.Context(), 2, func(ctx context.Context, c *runtime.Comm) error {
			<-over
			x := []int64{1}
			return collectives.StartAllreduce(c, x, x, collectives.Sum).Wait(ctx)
		})
	}()
	err := runtime.RunLocal(t.Context(), 2, func(ctx context.Context, c *runtime.Comm) error {
		p, err := collectives.PrepareAllreduce(c, make([]int64, 1), make([]int64, 1), failsAt(c, 0, func() { panic("no") }))
		if err != nil {
			return err
		}
		for range 2 {
			p.Start()
			if err := p.Wait(context.WithoutCancel(ctx)); c.Rank() == 0 && (err == nil || !strings.HasSuffix(err.Error(), "panic: no")) {
				return errors.Errorf("a plan whose operation panics: %v", err)
			}
		}
		return nil
	})
	if want := "rank 0: call 1, started allreduce of 1 int64 by fails on world: panic: no"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	close(over)
	if err := <-other; err != nil {
		t.Errorf("the other job: %v", err)
	}
}
