package runtime_test

import (
	"context"
	"fmt"
	goruntime "runtime"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// heap is the memory that is in use after a collection.
func heap() int {
	var m goruntime.MemStats
	goruntime.GC()
	goruntime.GC() // what finalizers have let go of
	goruntime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestFloodMemory: messages that nobody receives take no more memory than the
// credits of their senders allow, however many are to be sent: 4 MiB a sender,
// and at most as much again for what lies around them.
func TestFloodMemory(t *testing.T) {
	const window = 4 << 20
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, count := range []int{0, 100, 1000, 60_000} {
			t.Run(fmt.Sprintf("bytes=%d", count), func(t *testing.T) {
				const n = 4
				run(t, n, func(ctx context.Context, c *runtime.Comm) error {
					library := c.Space(9) // has credits of its own
					if c.Rank() > 0 {
						if _, err := runtime.Recv(ctx, library, 0, 0, nil8(0)); err != nil {
							return err
						}
						// The first that does not end at once waits for credits.
						var stuck *runtime.Request
						out := nil8(count)
						for stuck == nil {
							r := runtime.Isend(c, 0, 0, out)
							if _, done, err := r.Test(); err != nil {
								return err
							} else if !done {
								stuck = r
							}
						}
						if err := runtime.Send(ctx, library, 0, 1, nil8(0)); err != nil {
							return err
						}
						if _, err := runtime.Recv(ctx, library, 0, 2, nil8(0)); err != nil {
							return err
						}
						_, err := stuck.Wait(ctx)
						return err
					}
					before := heap()
					for src := 1; src < n; src++ {
						if err := runtime.Send(ctx, library, src, 0, nil8(0)); err != nil {
							return err
						}
					}
					for src := 1; src < n; src++ {
						if _, err := runtime.Recv(ctx, library, src, 1, nil8(0)); err != nil {
							return err
						}
					}
					// What they have sent before that is here.
					grown := heap() - before
					t.Logf("%d senders: the heap has grown by %.1f MiB", n-1, float64(grown)/(1<<20))
					if grown > 2*window*(n-1)+window/2 {
						return fmt.Errorf("%d bytes for %d windows of %d", grown, n-1, window)
					}
					in := nil8(count)
					for src := 1; src < n; src++ {
						if err := runtime.Send(ctx, library, src, 2, nil8(0)); err != nil {
							return err
						}
					}
					for {
						if _, found, err := runtime.TryProbe(c, runtime.AnySource, 0); err != nil || !found {
							return err
						}
						if _, err := runtime.Recv(ctx, c, runtime.AnySource, 0, in); err != nil {
							return err
						}
					}
				})
			})
		}
	})
}
