package ssp

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestCrew: all that is spawned runs, functions that wait for one another too;
// goroutines are kept up to a number, and end with the crew's life or the job.
func TestCrew(t *testing.T) {
	for _, end := range []string{"life", "job"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				life, stop := context.WithCancel(t.Context())
				defer stop()
				over := make(chan struct{})
				c := newCrew(life, over)
				var ran atomic.Int32
				for range 3 {
					gate := make(chan struct{})
					for range 3 * idleCrew {
						c.spawn(func(ctx context.Context) {
							if ctx != life {
								t.Error("a context that is not the crew's")
							}
							<-gate
							ran.Add(1)
						})
					}
					c.spawn(func(context.Context) { close(gate) })
					synctest.Wait()
				}
				if got, want := int(ran.Load()), 9*idleCrew; got != want {
					t.Errorf("%d functions ran of %d", got, want)
				}
				if got := c.idle.Load(); got != idleCrew {
					t.Errorf("%d goroutines are kept, want %d", got, idleCrew)
				}
				if end == "life" {
					stop()
				} else {
					close(over)
				}
				c.disband() // else the bubble's goroutines are deadlocked
			})
		})
	}
}
