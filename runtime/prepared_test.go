package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/race"
)

// TestPreparedAllocations: requests that are started again and again allocate
// nothing, small or announced.
func TestPreparedAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	const runs = 200
	for _, count := range []int{1, 1000, 100_000} {
		t.Run(fmt.Sprintf("elements=%d", count), func(t *testing.T) {
			runtimetest.SPMD(t, 1, func(ctx context.Context, c *runtime.Comm) error {
				receive, send := runtime.PrepareRecv(c, 0, 0, make([]float32, count)), runtime.PrepareSend(c, 0, 0, make([]float32, count))
				return without(0, runs, func() error { return once(ctx, receive, send) })
			})
			runtimetest.TCP(t, 2, func(ctx context.Context, c *runtime.Comm) error {
				peer := 1 - c.Rank()
				receive, send := runtime.PrepareRecv(c, peer, 0, make([]float32, count)), runtime.PrepareSend(c, peer, 0, make([]float32, count))
				if c.Rank() == 0 {
					return without(0, runs, func() error { return once(ctx, receive, send) })
				}
				for range runs + 1 { // AllocsPerRun runs once more to warm up
					if err := once(ctx, receive, send); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}

// once starts both and waits for them.
func once(ctx context.Context, receive, send *runtime.Request) error {
	receive.Start()
	send.Start()
	return runtime.WaitAll(ctx, receive, send)
}

// without returns an error when f allocates more than limit times a run.
func without(limit float64, runs int, f func() error) error {
	var failed error
	if got := testing.AllocsPerRun(runs, func() { failed = stderrors.Join(failed, f()) }); got > limit {
		return fmt.Errorf("%v allocations, want at most %v", got, limit)
	}
	return failed
}

// TestStart: what must not be started panics.
func TestStart(t *testing.T) {
	runtimetest.SPMD(t, 1, func(ctx context.Context, c *runtime.Comm) error {
		active := runtime.PrepareRecv(c, 0, 0, make([]int8, 1))
		active.Start()
		for name, r := range map[string]*runtime.Request{
			"not prepared": runtime.Isend(c, 0, 1, make([]int8, 1)),
			"active":       active,
		} {
			if func() (panicked bool) {
				defer func() { panicked = recover() != nil }()
				r.Start()
				return false
			}() {
				continue
			}
			return fmt.Errorf("%s: no panic", name)
		}
		if err := runtime.Send(ctx, c, 0, 0, make([]int8, 1)); err != nil {
			return err
		}
		_, err := active.Wait(ctx)
		return err
	})
}
