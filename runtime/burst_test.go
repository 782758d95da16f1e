package runtime_test

import (
	"context"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestBurstLeavesByItself: small messages arrive although their sender does
// nothing any more but wait for something else.
func TestBurstLeavesByItself(t *testing.T) {
	const bursts, messages = 20, 10
	for _, size := range []int{0, 8, 2000} {
		arrived := make(chan struct{})
		runtimetest.TCP(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			for range bursts {
				if c.Rank() == 1 {
					for range messages {
						if _, err := runtime.Recv(ctx, c, 0, 0, nil8(size)); err != nil {
							return err
						}
					}
					arrived <- struct{}{}
					continue
				}
				var sends []*runtime.Request
				for range messages {
					sends = append(sends, runtime.Isend(c, 1, 0, nil8(size)))
				}
				select {
				case <-arrived:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				if err := runtime.WaitAll(ctx, sends...); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
