package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// TestEmulate: a job over a slow network takes as long as its round trips.
func TestEmulate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay, rounds = 10 * time.Millisecond, 10
		cl := runtimetest.NewCluster(2)
		cl.Edit = func(cfg *runtime.Config) { cfg.Emulate = "delay=10ms" }
		err := stderrors.Join(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			start := time.Now()
			buf := make([]int8, 1)
			for range rounds {
				if _, err := runtime.SendRecv(ctx, c, 1-c.Rank(), []int8{1}, 1-c.Rank(), buf, 0); err != nil {
					return err
				}
			}
			if d := time.Since(start); d < rounds*delay || d > rounds*delay+delay {
				return fmt.Errorf("%d exchanges took %v", rounds, d)
			}
			return nil
		})...)
		if err != nil {
			t.Error(err)
		}
	})
}

// TestOutage: while the link of two ranks is down, sends return, other links
// work and nobody is lost; the rank that leaves last waits for its last frame.
func TestOutage(t *testing.T) {
	const begin, length = 50 * time.Millisecond, time.Minute
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cl := runtimetest.NewCluster(3)
		cl.Edit = func(cfg *runtime.Config) { cfg.Emulate = "delay=10ms;pairs=0-1,delay=10ms,down=50ms+1m" }
		var ended [3]time.Duration
		err := stderrors.Join(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			defer func() { ended[c.Rank()] = time.Since(start) }()
			buf := make([]float64, 100)
			switch c.Rank() {
			case 0:
				// Its last words to rank 1 leave before the outage.
				<-time.After(begin - 5*time.Millisecond)
				return nil
			case 1:
				// Its own can not: it hears that rank 0 leaves when it is down.
				<-time.After(begin - 20*time.Millisecond)
				return nil
			}
			_, err := runtime.SendRecv(ctx, c, 2, buf, 2, buf, 0)
			return err
		})...)
		if err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d < begin+length || d > begin+length+time.Second {
			t.Errorf("the job ended after %v", d)
		}
		if ended[1] > begin {
			t.Errorf("bodies ended after %v", ended)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cl := runtimetest.NewCluster(3)
		cl.Edit = func(cfg *runtime.Config) { cfg.Emulate = "pairs=0-1,down=0s+1m" }
		err := stderrors.Join(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			buf := make([]float64, 100)
			for _, peer := range [3][]int{{1, 2}, {0}, {0}}[c.Rank()] {
				if err := runtime.Send(ctx, c, peer, 0, buf); err != nil {
					return err
				}
			}
			for _, peer := range [3][]int{{2, 1}, {0}, {0}}[c.Rank()] {
				if _, err := runtime.Recv(ctx, c, peer, 0, buf); err != nil {
					return err
				}
				if d := time.Since(start); peer+c.Rank() == 1 && (d < length || d > length+10*time.Millisecond) || peer+c.Rank() == 2 && d > 10*time.Millisecond {
					return fmt.Errorf("a message from rank %d to rank %d took %v", peer, c.Rank(), d)
				}
			}
			return nil
		})...)
		if err != nil {
			t.Error(err)
		}
	})
}

// TestFailureInOutage: a failure is told over a link that is down.
func TestFailureInOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cl := runtimetest.NewCluster(2)
		cl.Edit = func(cfg *runtime.Config) { cfg.Emulate = "down=0s+1h" }
		errs := cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			if c.Rank() == 1 {
				return stderrors.New("no more")
			}
			_, err := runtime.Recv(ctx, c, 1, 0, make([]byte, 1))
			return err
		})
		if lost, ok := stderrors.AsType[*runtime.RankError](errs[0]); !ok || lost.Rank != 1 || !strings.Contains(lost.Error(), "no more") {
			t.Errorf("rank 0: %v", errs[0])
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("the job ended after %v", d)
		}
	})
}
