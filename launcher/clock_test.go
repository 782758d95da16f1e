package launcher

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

func TestClockMeterRound(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name                           string
		sent, asked, answered, arrived time.Duration
		want                           telemetry.ClockOffset
		none                           bool
	}{
		{"same clock", 10 * ms, 11 * ms, 11 * ms, 12 * ms, telemetry.ClockOffset{At: 0.011, Error: 0.001}, false},
		{"ahead", 10 * ms, 3011 * ms, 3013 * ms, 14 * ms, telemetry.ClockOffset{At: 0.012, Offset: 3, Error: 0.001}, false},
		{"behind", 10 * ms, -2989 * ms, -2989 * ms, 12 * ms, telemetry.ClockOffset{At: 0.011, Offset: -3, Error: 0.001}, false},
		{"one way only", 10 * ms, 14 * ms, 14 * ms, 14 * ms, telemetry.ClockOffset{At: 0.012, Offset: 0.002, Error: 0.002}, false},
		{"centuries off", 0, math.MaxInt64 / 3 * 2, math.MaxInt64 / 3 * 2, 0, telemetry.ClockOffset{Offset: float64(math.MaxInt64/3*2) / 1e9}, false},
		{"before it was asked", 10 * ms, 20 * ms, 19 * ms, 30 * ms, telemetry.ClockOffset{}, true},
		{"longer than it took", 10 * ms, 20 * ms, 50 * ms, 30 * ms, telemetry.ClockOffset{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m clockMeter
			m.add(tt.sent, tt.asked, tt.answered, tt.arrived)
			got := m.offsets()
			if tt.none {
				if len(got) > 0 {
					t.Fatalf("got %+v, want nothing", got)
				}
				return
			}
			if len(got) != 1 || math.Abs(got[0].At-tt.want.At) > 1e-9 || math.Abs(got[0].Offset-tt.want.Offset) > 1e-9*(1+math.Abs(tt.want.Offset)) || math.Abs(got[0].Error-tt.want.Error) > 1e-9 {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// measure has a meter ask a clock, which is ahead by skew and drifts, every half
// second. A way takes 100 µs and a noise that is mostly small, now and then
// very large, and larger on the way back.
func measure(rng *rand.Rand, length, skew time.Duration, drift float64) *clockMeter {
	m := &clockMeter{}
	way := func(scale float64) time.Duration {
		noise := rng.ExpFloat64() * scale * 50e3
		if rng.IntN(10) == 0 {
			noise *= 100
		}
		return 100*time.Microsecond + time.Duration(noise)
	}
	shows := func(at time.Duration) time.Duration {
		return at + skew + time.Duration(drift*float64(at))
	}
	for now := time.Duration(0); now < length; now += 500 * time.Millisecond {
		asked := now + way(1)
		answered := asked + time.Duration(rng.IntN(20000))
		m.add(now, shows(asked), shows(answered), answered+way(3))
	}
	return m
}

func TestClockMeter(t *testing.T) {
	for _, tt := range []struct {
		name   string
		length time.Duration
		skew   time.Duration
		drift  float64
	}{
		{"short", time.Second, time.Hour, 0},
		{"steady", 10 * time.Minute, -3 * time.Second, 0},
		{"drifting", 10 * time.Minute, 3 * time.Second, 100e-6},
		{"the other way", time.Hour, 0, -50e-6},
		{"long", 20 * time.Hour, time.Millisecond, 20e-6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(5) {
				m := measure(rand.New(rand.NewPCG(seed, 3)), tt.length, tt.skew, tt.drift)
				got := m.offsets()
				if len(got) == 0 || len(got) >= clockSamples {
					t.Fatalf("seed %d: %d samples", seed, len(got))
				}
				last := math.Inf(-1)
				for _, c := range got {
					want := tt.skew.Seconds() + tt.drift*c.At
					// A nanosecond of rounding a way, and the drift during the trip.
					if off := math.Abs(c.Offset - want); off > c.Error+1e-6 {
						t.Errorf("seed %d: at %.1f s off by %g s, allowed %g", seed, c.At, off, c.Error)
					}
					if c.At <= last {
						t.Errorf("seed %d: a sample at %g s after one at %g s", seed, c.At, last)
					}
					last = c.At
				}
				// A line through the samples follows the clock all along.
				job := telemetry.JobInfo{Start: time.Unix(1e9, 0), Hosts: []telemetry.HostInfo{{Ranks: []int{0}, Clock: got}}}
				start := job.Start.Add(tt.skew)
				line := telemetry.NewTimeline(&job, []int64{start.UnixNano()})
				for at := time.Duration(0); at < tt.length; at += tt.length / 100 {
					shown := at + time.Duration(tt.drift*float64(at))
					bound := 500*time.Microsecond + time.Duration(math.Abs(tt.drift)*float64(m.windowOrFirst()))
					if off := line.At(0, shown) - at; off.Abs() > bound {
						t.Errorf("seed %d: %v is taken for %v later, want at most %v", seed, at, off, bound)
					}
				}
			}
		})
	}
}

func (m *clockMeter) windowOrFirst() time.Duration { return max(m.window, clockWindow) }

// A clock that does not drift needs few samples, the best ones.
func TestClockMeterDropsWhatSaysLess(t *testing.T) {
	m := &clockMeter{samples: []telemetry.ClockOffset{
		{At: 0, Offset: 1.001, Error: 0.004},  // allows 1: the next says more
		{At: 5, Offset: 1, Error: 0.001},      // good
		{At: 10, Offset: 1.003, Error: 0.004}, // allows the line
		{At: 15, Offset: 1.5, Error: 0.1},     // does not: the clock was elsewhere
		{At: 20, Offset: 1, Error: 0.0015},    // about as good as the good ones
		{At: 25, Offset: 0.999, Error: 0.003}, // allows the last good one
	}}
	var at []float64
	for _, c := range m.offsets() {
		at = append(at, c.At)
	}
	if len(at) != 3 || at[0] != 5 || at[1] != 15 || at[2] != 20 {
		t.Errorf("kept those at %v, want 5, 15 and 20", at)
	}
}
