package collectives_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestWaitsAreNamed: what is reported of ranks that wait in a call is the call,
// and the ranks that they lack.
func TestWaitsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := errors.New("seen enough")
		cl := runtimetest.NewCluster(3)
		cl.Edit = func(cfg *runtime.Config) { cfg.Stall = 2 * time.Second }
		cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			if err := collectives.Barrier(ctx, c); err != nil {
				return err
			}
			if c.Rank() == 1 {
				<-time.After(9900 * time.Millisecond) // between two looks
				return done
			}
			x := []float64{1}
			return collectives.Allreduce(ctx, c, x, x, collectives.Sum)
		})
		for _, rank := range []int{0, 2} {
			events := cl.Events(t, rank)
			if len(events) == 0 {
				t.Fatalf("rank %d says nothing", rank)
			}
			for _, e := range events {
				if len(e.Waits) != 1 {
					t.Fatalf("rank %d: %+v", rank, e)
				}
				w := e.Waits[0]
				if w.Op != "call 2, allreduce of 1 float64 by sum on world" || w.Any || w.Everyone || len(w.On) == 0 {
					t.Errorf("rank %d: %+v", rank, w)
				}
				if rank == 0 && !slices.Contains(w.On, 1) {
					t.Errorf("rank 0 lacks %v", w.On)
				}
			}
		}
	})
}
