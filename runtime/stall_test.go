package runtime_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// TestReportsOfWaits lets ranks wait in calls of all kinds, for 10 s of a
// bubble's time, and looks at what they say of it.
func TestReportsOfWaits(t *testing.T) {
	run := func(t *testing.T, limit time.Duration, rank0 func(ctx context.Context, c *runtime.Comm) error) []telemetry.Event {
		t.Helper()
		cl := runtimetest.NewCluster(3)
		cl.Edit = func(cfg *runtime.Config) { cfg.Stall = limit }
		for rank, err := range cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			if c.Rank() == 0 {
				return rank0(ctx, c)
			}
			if c.Rank() == 2 {
				<-time.After(9900 * time.Millisecond) // between two looks
				return errEnough
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}) {
			if err == nil {
				t.Errorf("rank %d ended without an error", rank)
			}
		}
		if got := cl.Events(t, 1); len(got) != 0 {
			t.Errorf("rank 1, which waits in no call, says %+v", got)
		}
		return slices.DeleteFunc(cl.Events(t, 0), func(e telemetry.Event) bool { return e.Kind != telemetry.WaitsKind })
	}
	for _, test := range []struct {
		name string
		call func(ctx context.Context, c *runtime.Comm) error
		want telemetry.Wait
	}{
		{"recv", func(ctx context.Context, c *runtime.Comm) error {
			_, err := runtime.Recv(ctx, c, 1, 5, nil8(1))
			return err
		}, telemetry.Wait{Op: "recv from rank 1 on world, tag 5", On: []int{1}, Sure: true}},
		{"any", func(ctx context.Context, c *runtime.Comm) error {
			_, err := runtime.Probe(ctx, c, runtime.AnySource, runtime.AnyTag)
			return err
		}, telemetry.Wait{Op: "probe any rank on world, any tag", Everyone: true, Any: true, Sure: true}},
		{"send", func(ctx context.Context, c *runtime.Comm) error {
			return runtime.SendSync(ctx, c, 2, 6, nil8(1))
		}, telemetry.Wait{Op: "send to rank 2 on world, tag 6", On: []int{2}, Sure: true}},
		{"one of two", func(ctx context.Context, c *runtime.Comm) error {
			_, _, err := runtime.WaitAny(ctx, runtime.Irecv(c, 1, 0, nil8(1)), nil, runtime.Irecv(c, 2, 0, nil8(1)))
			return err
		}, telemetry.Wait{Op: "wait for any of 2 requests", On: []int{1, 2}, Any: true, Sure: true}},
		{"a call of a library", func(ctx context.Context, c *runtime.Comm) error {
			c = c.Space(7).Naming(func() string { return "call 4, dance" })
			_, _, err := runtime.WaitAny(ctx, runtime.Irecv(c, runtime.AnySource, 1, nil8(1)), runtime.Irecv(c, 1, 0, nil8(1)), runtime.Irecv(c, 2, 0, nil8(1)))
			return err
		}, telemetry.Wait{Op: "call 4, dance on world", On: []int{1, 2}, Sure: true}},
		{"a port", func(ctx context.Context, c *runtime.Comm) error {
			p, err := c.OpenPort(ctx, "ask", func(*runtime.Message) {})
			if err != nil {
				return err
			}
			_, err = p.Call(ctx, 0, nil)
			return err
		}, telemetry.Wait{Op: "call rank 0 on world, port ask", On: []int{0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := run(t, 2*time.Second, test.call)
				// Looks every half second; told from the second one until nothing has
				// changed for 4 s.
				if len(events) < 5 || len(events) > 9 {
					t.Fatalf("%d reports", len(events))
				}
				for _, e := range events {
					if len(e.Waits) != 1 {
						t.Fatalf("%+v", e)
					}
					got := e.Waits[0]
					if got.Seconds < 0.5 || got.Seconds > 5 {
						t.Errorf("for %v s", got.Seconds)
					}
					got.Seconds = 0
					if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", test.want) {
						t.Fatalf("got %+v, want %+v", got, test.want)
					}
				}
				if e := events[len(events)-1]; e.Idle < 3 || e.Idle > 4.5 {
					t.Errorf("last report after %v s without an end of a call", e.Idle)
				}
			})
		})
	}
	t.Run("brief waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			events := run(t, 4*time.Second, func(ctx context.Context, c *runtime.Comm) error {
				for ctx.Err() == nil {
					_, _ = runtime.Recv(brief(ctx, 900*time.Millisecond), c, 1, 0, nil8(1))
				}
				return context.Cause(ctx)
			})
			if len(events) != 0 {
				t.Errorf("told: %+v", events)
			}
		})
	})
	t.Run("over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			events := run(t, 4*time.Second, func(ctx context.Context, c *runtime.Comm) error {
				_, _ = runtime.Recv(brief(ctx, 3500*time.Millisecond), c, 1, 0, nil8(1))
				<-ctx.Done()
				return context.Cause(ctx)
			})
			if n := len(events); n < 2 || len(events[n-1].Waits) != 0 || len(events[n-2].Waits) != 1 {
				t.Errorf("told: %+v", events)
			}
		})
	})
	t.Run("not asked for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if events := run(t, 0, func(ctx context.Context, c *runtime.Comm) error {
				_, err := runtime.Recv(ctx, c, 1, 0, nil8(1))
				return err
			}); len(events) != 0 {
				t.Errorf("told: %+v", events)
			}
		})
	})
	t.Run("left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			events := run(t, 2*time.Second, func(context.Context, *runtime.Comm) error { return nil })
			if len(events) == 0 || events[0].Waits[0].Op != telemetry.Leaving {
				t.Errorf("told: %+v", events)
			}
		})
	})
}
