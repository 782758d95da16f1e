package runtime_test

import (
	"context"
	stderrors "errors"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestReuse: requests of the caller's serve again and again, small and large,
// also after one has failed or been cancelled.
func TestReuse(t *testing.T) {
	body := func(ctx context.Context, c *runtime.Comm) error {
		var out, in runtime.Request
		peer := 1 - c.Rank()
		x, y := make([]int32, 50_000), make([]int32, 50_000)
		for i := range 40 {
			n := []int{0, 1, 3000, 50_000}[i%4]
			for k := range n {
				x[k] = int32(c.Rank() + i + k)
			}
			runtime.StartRecv(&in, c, peer, 7, y[:n])
			runtime.StartSend(&out, c, peer, 7, x[:n])
			for done := 0; done < 2; {
				k, _, err := runtime.WaitAnyFrom(ctx, c, []int{peer, runtime.AnySource}[i%2], &out, &in)
				if err != nil {
					return err
				}
				done = 0
				if out.Ended() {
					done++
				}
				if in.Ended() {
					done++
				}
				if done == 1 {
					if _, err := []*runtime.Request{&in, &out}[k].Wait(ctx); err != nil {
						return err
					}
				}
			}
			if st, err := in.Wait(ctx); err != nil || st.Count != n || st.Source != peer {
				return errors.Errorf("round %d: %+v: %v", i, st, err)
			}
			for k := range n {
				if y[k] != int32(peer+i+k) {
					return errors.Errorf("round %d: element %d is %d", i, k, y[k])
				}
			}
			runtime.StartSend(&out, c, 5, 7, x)
			if _, err := out.Wait(ctx); err == nil {
				return errors.New("sent to rank 5 of 2")
			}
			gone, cancel := context.WithCancelCause(ctx)
			cancel(errGone)
			runtime.StartRecv(&in, c, c.Rank(), 9, y)
			if _, err := in.Wait(gone); !stderrors.Is(err, errGone) {
				return errors.Errorf("cancelled: %v", err)
			}
		}
		return nil
	}
	runtimetest.SPMD(t, 2, body)
	runtimetest.TCP(t, 2, body)
}

var errGone = stderrors.New("gone")
