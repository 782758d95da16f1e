package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// slowed runs two ranks over loopback through the network of spec. When they
// are parked, their calls do not poll, as where workers compute.
func slowed(ctx context.Context, spec string, parked bool, body runtimetest.Body) error {
	cl := runtimetest.NewTCPCluster(2)
	cl.Edit = func(cfg *runtime.Config) { cfg.Emulate = spec }
	return runtimetest.Primary(cl.Run(ctx, func(ctx context.Context, c *runtime.Comm) error {
		if parked {
			c.Computing(2)
		}
		return body(ctx, c)
	}))
}

// oneWay measures half of a round trip, the median of several. Rank 0 pauses
// before each, which is not counted.
func oneWay(ctx context.Context, spec string, parked bool, rounds int, pause time.Duration) (time.Duration, error) {
	var took []time.Duration
	err := slowed(ctx, spec, parked, func(ctx context.Context, c *runtime.Comm) error {
		buf := make([]byte, 8)
		for range rounds {
			if c.Rank() == 1 {
				if _, err := runtime.Recv(ctx, c, 0, 0, buf); err != nil {
					return err
				}
				if err := runtime.Send(ctx, c, 0, 0, buf); err != nil {
					return err
				}
				continue
			}
			if pause > 0 {
				<-time.After(pause)
			}
			start := time.Now()
			if err := runtime.Send(ctx, c, 1, 0, buf); err != nil {
				return err
			}
			if _, err := runtime.Recv(ctx, c, 1, 0, buf); err != nil {
				return err
			}
			took = append(took, time.Since(start)/2)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// bitRate measures the bits a second, headers included, of count messages of
// size bytes, after a few others.
func bitRate(ctx context.Context, spec string, parked bool, size, count int) (float64, error) {
	const header, warm = 32, 3
	var took time.Duration
	err := slowed(ctx, spec, parked, func(ctx context.Context, c *runtime.Comm) error {
		var rs []*runtime.Request
		for range warm + count {
			if buf := make([]byte, size); c.Rank() == 0 {
				rs = append(rs, runtime.Isend(c, 1, 0, buf))
			} else {
				rs = append(rs, runtime.Irecv(c, 0, 0, buf))
			}
		}
		var start time.Time
		for i, r := range rs {
			if _, err := r.Wait(ctx); err != nil {
				return err
			}
			if i == warm-1 {
				start = time.Now()
			}
		}
		if c.Rank() == 1 {
			took = time.Since(start)
		}
		return nil
	})
	return float64(8*count*(size+header)) / took.Seconds(), err
}

// near measures up to ten times and fails when each time is further from want
// than limit: noise differs from time to time, a systematic error does not.
func near(t *testing.T, want, limit float64, measure func() (float64, error)) {
	t.Helper()
	var off []float64
	for range 10 {
		got, err := measure()
		if err != nil {
			t.Fatal(err)
		}
		off = append(off, got-want)
		if math.Abs(got-want) <= limit {
			t.Logf("off by %.4g", off)
			return
		}
	}
	t.Errorf("off by %.4g, want at most %.4g", off, limit)
}

// TestEmulationAccuracy holds what Emulation promises, measured by messages
// over sockets.
func TestEmulationAccuracy(t *testing.T) {
	for _, parked := range []bool{false, true} {
		waits := map[bool]string{false: "polling", true: "parked"}[parked]
		for _, delay := range []time.Duration{500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
			t.Run(fmt.Sprintf("delay=%v/%s", delay, waits), func(t *testing.T) {
				rounds := max(5, min(40, int(100*time.Millisecond/delay)))
				near(t, 0, 0.3, func() (float64, error) {
					// Ranks that have not heard of each other for as long.
					below, err := oneWay(t.Context(), "", parked, rounds, delay)
					if err != nil {
						return 0, err
					}
					got, err := oneWay(t.Context(), "delay="+delay.String(), parked, rounds, 0)
					return (got - below - delay).Seconds() * 1e3, err
				})
			})
		}
		for _, test := range []struct {
			spec        string
			rate        float64
			size, count int
		}{
			{"rate=10mbit", 10e6, 4 << 10, 30},
			{"rate=10mbit,delay=20ms", 10e6, 100 << 10, 2},
			{"rate=100mbit", 100e6, 32 << 10, 40},
			{"rate=100mbit,delay=2ms", 100e6, 256 << 10, 6},
			{"rate=1gbit", 1e9, 512 << 10, 24},
			{"rate=1gbit,delay=5ms,jitter=1ms", 1e9, 512 << 10, 24},
		} {
			t.Run(fmt.Sprintf("%s/bytes=%d/%s", test.spec, test.size, waits), func(t *testing.T) {
				near(t, 0, 5, func() (float64, error) {
					got, err := bitRate(t.Context(), test.spec, parked, test.size, test.count)
					return 100 * (got/test.rate - 1), err
				})
			})
		}
	}
}

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
