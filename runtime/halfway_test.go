package runtime_test

import (
	"context"
	stderrors "errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// Calls of all ranks that one leaves when it has done its part, and lacks only word
// of that: on links so slow that it is known what is under way.

func slowly(t *testing.T, n int, network string, body runtimetest.Body) {
	synctest.Test(t, func(t *testing.T) {
		cl := runtimetest.NewCluster(n)
		cl.Edit = func(cfg *runtime.Config) { cfg.Emulate = network }
		if err := runtimetest.Primary(cl.Run(t.Context(), body)); err != nil {
			t.Error(err)
		}
	})
}

// TestLeftBetweenTries: a rank gives a Dup up that the others have to try again.
func TestLeftBetweenTries(t *testing.T) {
	slowly(t, 2, "delay=10ms", func(ctx context.Context, c *runtime.Comm) error {
		if c.Rank() == 0 {
			runtime.Taken(c)
			if _, err := c.Dup(ctx); !stderrors.Is(err, runtime.ErrAbandoned) {
				return errors.Errorf("a call that rank 1 has left: %v", err)
			}
			return inOrder(ctx, c)
		}
		some, cancel := context.WithTimeout(ctx, 35*time.Millisecond)
		defer cancel()
		if _, err := c.Dup(some); !stderrors.Is(err, context.DeadlineExceeded) {
			return errors.Errorf("rank 1: %v", err)
		}
		<-time.After(time.Second)
		return inOrder(ctx, c)
	})
}

// TestLeftAtTheEnd: rank 0 has a window that rank 1 lacks.
func TestLeftAtTheEnd(t *testing.T) {
	for _, closing := range []bool{false, true} {
		slowly(t, 2, "delay=10ms", func(ctx context.Context, c *runtime.Comm) error {
			if c.Rank() == 0 {
				w, err := runtime.NewWindow[int32](ctx, c, 1)
				if err != nil {
					return err
				}
				end := w.Fence
				if closing {
					end = w.Close
				}
				if err := end(ctx); !stderrors.Is(err, runtime.ErrAbandoned) {
					return errors.Errorf("rank 1 has no window: %v", err)
				}
				return inOrder(ctx, c)
			}
			some, cancel := context.WithTimeout(ctx, 35*time.Millisecond)
			defer cancel()
			if _, err := runtime.NewWindow[int32](some, c, 1); !stderrors.Is(err, context.DeadlineExceeded) {
				return errors.Errorf("rank 1: %v", err)
			}
			return inOrder(ctx, c)
		})
	}
}

// TestSentToWhoLeft: what is sent on a communicator that its receiver lacks holds up
// nobody and nothing.
func TestSentToWhoLeft(t *testing.T) {
	for _, wait := range []time.Duration{0, 100 * time.Millisecond} {
		slowly(t, 3, "delay=1ms;pairs=0-1,delay=50ms", func(ctx context.Context, c *runtime.Comm) error {
			if c.Rank() == 1 {
				some, cancel := context.WithTimeout(ctx, 180*time.Millisecond)
				defer cancel()
				if _, err := c.Dup(some); !stderrors.Is(err, context.DeadlineExceeded) {
					return errors.Errorf("rank 1: %v", err)
				}
				<-time.After(time.Minute)
				if messages, _ := runtime.Held(c); messages != 0 {
					return errors.Errorf("%d bytes are held for a communicator that there is not", messages)
				}
				return nil
			}
			d, err := c.Dup(ctx)
			if err != nil || c.Rank() == 0 {
				return err
			}
			<-time.After(wait)
			if err := runtime.SendSync(ctx, d, 1, 0, []int32{1}); err != nil {
				return err
			}
			for range 1000 {
				if err := runtime.Send(ctx, d, 1, 0, make([]byte, 100)); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// TestLeftOften: what is left of calls that were given up goes with the next ones.
func TestLeftOften(t *testing.T) {
	runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		for range 1000 {
			some, cancel := context.WithCancel(ctx)
			if c.Rank() == 0 {
				cancel()
			}
			_, err := c.Dup(some)
			cancel()
			if err == nil {
				return errors.New("a call that rank 0 has left was good")
			}
		}
		if err := inOrder(ctx, c); err != nil {
			return err
		}
		if _, spaces := runtime.Held(c); spaces > 3000 {
			return errors.Errorf("rank %d holds %d bytes", c.Rank(), spaces)
		}
		return nil
	})
}
