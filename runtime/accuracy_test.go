//go:build linux && !portable

package runtime_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/race"
)

// slowed runs two ranks over loopback through the network of spec. When they
// are parked, their calls do not poll, as where workers compute.
func slowed(t *testing.T, spec string, parked bool, body runtimetest.Body) {
	t.Helper()
	cl := runtimetest.NewTCPCluster(2)
	cl.Edit = func(cfg *runtime.Config) { cfg.Emulate = spec }
	err := runtimetest.Primary(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
		if parked {
			c.Computing(2)
		}
		return body(ctx, c)
	}))
	if err != nil {
		t.Fatal(err)
	}
}

// oneWay measures half of round trips, in ascending order. Rank 0 pauses before
// each, which is not counted.
func oneWay(t *testing.T, spec string, parked bool, rounds int, pause time.Duration) []time.Duration {
	t.Helper()
	var took []time.Duration
	slowed(t, spec, parked, func(ctx context.Context, c *runtime.Comm) error {
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
	slices.Sort(took)
	return took
}

// bitRate measures the bits a second, headers included, of count messages of
// size bytes, after a few others: the median over the halves of the stream.
func bitRate(t *testing.T, spec string, parked bool, size, count int) float64 {
	t.Helper()
	const header, warm = 32, 3
	var came []time.Time
	slowed(t, spec, parked, func(ctx context.Context, c *runtime.Comm) error {
		var rs []*runtime.Request
		for range warm + count {
			if buf := make([]byte, size); c.Rank() == 0 {
				rs = append(rs, runtime.Isend(c, 1, 0, buf))
			} else {
				rs = append(rs, runtime.Irecv(c, 0, 0, buf))
			}
		}
		for _, r := range rs {
			if _, err := r.Wait(ctx); err != nil {
				return err
			}
			if c.Rank() == 1 {
				came = append(came, time.Now())
			}
		}
		return nil
	})
	came = came[warm-1:]
	half := (count + 1) / 2
	var rates []float64
	for i := range count + 1 - half {
		rates = append(rates, float64(8*half*(size+header))/came[i+half].Sub(came[i]).Seconds())
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// near measures a few times how much is missing to what was asked for, and
// fails when it always is more than limit: noise differs from time to time, a
// systematic error does not.
func near(t *testing.T, limit float64, measure func(try int) float64) {
	t.Helper()
	var off []float64
	for try := range 12 {
		off = append(off, measure(try))
		if math.Abs(off[try]) <= limit {
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
				near(t, 0.3, func(try int) float64 {
					// What it takes to wake ranks that have not heard of each
					// other for as long; those of a slow network do not poll.
					below := oneWay(t, "", true, rounds, delay)
					got := oneWay(t, "delay="+delay.String(), parked, rounds, 0)
					if got[0] < delay {
						t.Errorf("a message came %v early", delay-got[0])
					}
					i := rounds / 2
					if try >= 4 {
						i = 0 // a loaded machine: what those take that nothing disturbs
					}
					return (got[i] - below[i] - delay).Seconds() * 1e3
				})
			})
		}
		for _, test := range []struct {
			spec        string
			rate        float64
			size, count int
		}{
			{"rate=10mbit", 10e6, 100, 600},
			{"rate=10mbit", 10e6, 4 << 10, 30},
			{"rate=10mbit,delay=20ms", 10e6, 100 << 10, 2},
			{"rate=100mbit", 100e6, 32 << 10, 40},
			{"rate=100mbit,delay=2ms", 100e6, 256 << 10, 6},
			{"rate=1gbit", 1e9, 512 << 10, 24},
			{"rate=1gbit,delay=5ms,jitter=1ms", 1e9, 512 << 10, 24},
		} {
			if race.Enabled && test.rate > 100e6 {
				continue // the detector's own time
			}
			t.Run(fmt.Sprintf("%s/bytes=%d/%s", test.spec, test.size, waits), func(t *testing.T) {
				near(t, 5, func(int) float64 {
					return 100 * (bitRate(t, test.spec, parked, test.size, test.count)/test.rate - 1)
				})
			})
		}
	}
}
