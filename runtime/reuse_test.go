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

// TestReuseNobody: requests of the caller's with NoRank end at once, as those of
// Isend and Irecv do.
func TestReuseNobody(t *testing.T) {
	runtimetest.SPMD(t, 1, func(ctx context.Context, c *runtime.Comm) error {
		var r runtime.Request
		runtime.StartSend(&r, c, runtime.NoRank, 7, []int32{1})
		if _, err := r.Wait(ctx); err != nil {
			return err
		}
		runtime.StartRecv(&r, c, runtime.NoRank, 7, make([]int32, 1))
		if st, err := r.Wait(ctx); err != nil || st.Source != runtime.NoRank || st.Count != 0 {
			return errors.Errorf("recv: %+v: %v", st, err)
		}
		return nil
	})
}

// TestWaitAnyFromParts: a message in parts is where it belongs when WaitAnyFrom
// says that it has come.
func TestWaitAnyFromParts(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		peer := 1 - c.Rank()
		a, b := make([]int32, 1), make([]int32, 1)
		r := runtime.IrecvParts(c, peer, 7, [][]int32{a, b})
		if err := runtime.Send(ctx, c, peer, 7, []int32{3, 4}); err != nil {
			return err
		}
		if _, st, err := runtime.WaitAnyFrom(ctx, c, peer, r); err != nil || st.Count != 2 || a[0] != 3 || b[0] != 4 {
			return errors.Errorf("got %v %v, %+v: %v", a, b, st, err)
		}
		return nil
	})
}

var errGone = stderrors.New("gone")
