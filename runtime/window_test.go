package runtime_test

import (
	"context"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestSpacesHaveCredits fills the windows of all peers with messages that are
// received only after the ranks have met in a space of a library, as they do in
// a barrier.
func TestSpacesHaveCredits(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, n := range []int{2, 3} {
			run(t, n, func(ctx context.Context, c *runtime.Comm) error {
				const many = 33_000 // at 128 bytes each more than a window
				right, left := (c.Rank()+1)%n, (c.Rank()+n-1)%n
				var sends []*runtime.Request
				for range many {
					sends = append(sends, runtime.Isend(c, right, 0, nil8(0)))
				}
				library := c.Space(7)
				for range 2 {
					if _, err := runtime.SendRecv(ctx, library, right, nil8(3000), left, nil8(3000), 0); err != nil {
						return err
					}
				}
				for range many {
					if _, err := runtime.Recv(ctx, c, left, 0, nil8(0)); err != nil {
						return err
					}
				}
				return runtime.WaitAll(ctx, sends...)
			})
		}
	})
}
