package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// TestWindowSimulation does the operations of TestWindowModel over a network of
// random delays, some also emulated; with a rank killed at a random moment every other must say so.
func TestWindowSimulation(t *testing.T) {
	for seed := range seeds.Count(t, 20) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulateWindow(t, seed) })
		})
	}
}

func simulateWindow(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	n, each := 2+rnd.IntN(4), []int{7, 300, 20_000}[rnd.IntN(3)]
	cl := runtimetest.NewCluster(n)
	shake(cl, seed, 3*time.Millisecond)
	if seed%4 == 2 {
		cl.Edit = func(cfg *runtime.Config) { cfg.Emulate = "delay=2ms,rate=100mbit" }
	}
	victim := -1
	if seed%2 == 1 {
		victim = rnd.IntN(n)
		timer := time.AfterFunc(time.Duration(rnd.Int64N(int64(200*time.Millisecond))), func() { cl.Kill(victim) })
		defer timer.Stop()
	}
	errs := cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error { return model(ctx, c, each, seed) })
	for rank, err := range errs {
		if rank == victim || err == nil {
			continue
		}
		if lost, ok := stderrors.AsType[*runtime.RankError](err); victim < 0 || !ok || lost.Rank != victim {
			t.Errorf("%d ranks, rank %d: %v, lost was %d", n, rank, err, victim)
		}
	}
}
