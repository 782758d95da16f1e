package emulate

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

const ms = time.Millisecond

// parseLink reads the link of ranks 0 and 1.
func parseLink(t testing.TB, text string) bootstrap.Link {
	t.Helper()
	spec, err := bootstrap.ParseEmulation(text)
	if err != nil {
		t.Fatal(err)
	}
	return spec.Link(0, 1)
}

// TestAdd gives links frames and looks when they arrive and when their senders
// may go on.
func TestAdd(t *testing.T) {
	type frame struct {
		now            time.Duration
		n              int
		ready, arrival time.Duration
	}
	tests := []struct {
		name   string
		spec   string
		frames []frame
	}{
		{"delay only", "delay=2ms", []frame{{0, 1, 0, 2 * ms}, {0, 1 << 30, 0, 2 * ms}, {5 * ms, 1, 5 * ms, 7 * ms}}},
		// A byte a microsecond.
		{"rate", "rate=8mbit,delay=1ms", []frame{
			{0, 1000, 0, 2 * ms}, {0, 500, 0, 2500 * time.Microsecond}, {ms, 500, ms, 3 * ms},
			{10 * ms, 1000, 10 * ms, 12 * ms}, // idle before
		}},
		{"burst", "rate=8mbit", []frame{
			{0, burst, 0, burst * time.Microsecond}, {0, 1000, ms, burst*time.Microsecond + ms},
			{ms, 1000, 2 * ms, burst*time.Microsecond + 2*ms},
		}},
		{"fractions of a nanosecond add up", "rate=24gbit", []frame{{0, 1, 0, 0}, {0, 1, 0, 0}, {0, 1, 0, 1}, {0, 2997, 0, 1000}}},
		{"down without rate", "delay=1ms,down=10ms+5ms", []frame{
			{9 * ms, 1, 9 * ms, 10 * ms},           // has left, and arrives
			{10 * ms, burst - 1, 10 * ms, 16 * ms}, // the first moment of the outage
			{12 * ms, 1, 12 * ms, 16 * ms},
			{13 * ms, 1, 15 * ms, 16 * ms}, // more than a buffer holds
			{15 * ms, 1, 15 * ms, 16 * ms},
			{40 * ms, 1, 40 * ms, 41 * ms},
		}},
		{"down with rate", "rate=8mbit,down=10ms+5ms", []frame{
			{8 * ms, 1000, 8 * ms, 9 * ms},
			{9 * ms, 3000, 9 * ms, 17 * ms}, // a third leaves before
			{12 * ms, 1000, 12 * ms, 18 * ms},
			{13 * ms, burst - 3000, 13 * ms, 15*ms + burst*time.Microsecond},
			{13 * ms, 2000, 17 * ms, 17*ms + burst*time.Microsecond},
		}},
		{"down from the start", "rate=8mbit,down=0s+5ms", []frame{{0, 1000, 0, 6 * ms}, {7 * ms, 1000, 7 * ms, 8 * ms}}},
		{"down again and again", "rate=8mbit,down=10ms+5ms/8ms", []frame{
			{0, 10_000, 0, 15 * ms},                  // ends as the outage begins
			{15 * ms, 3000, 15 * ms, 23 * ms},        // likewise
			{15 * ms, 1, 15 * ms, 23001 * ms / 1000}, // after the second
			{15 * ms, 6000, 15 * ms, 39001 * ms / 1000},
		}},
		{"down for ever", "rate=1bit,down=0s+23h59m59s/24h", []frame{{0, 1 << 30, forever, forever}, {ms, 1, forever, forever}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := link{spec: parseLink(t, test.spec)}
			for i, f := range test.frames {
				ready, arrival := l.add(f.now, f.n)
				if ready != f.ready || arrival != f.arrival {
					t.Errorf("frame %d of %d bytes at %v: ready %v, arrival %v, want %v, %v", i, f.n, f.now, ready, arrival, f.ready, f.arrival)
				}
			}
		})
	}
}

// TestUpTime compares the two functions with a count of the milliseconds.
func TestUpTime(t *testing.T) {
	for seed := range seeds.Count(t, 100) {
		random := rand.New(rand.NewPCG(seed, 0))
		o := bootstrap.Outage{After: time.Duration(random.IntN(20)) * ms, For: time.Duration(random.IntN(10)) * ms}
		if random.IntN(2) == 0 {
			o.Every = o.For + time.Duration(1+random.IntN(10))*ms
		}
		down := func(at time.Duration) bool {
			since := at - o.After
			if o.Every > 0 && since >= 0 {
				since %= o.Every
			}
			return since >= 0 && since < o.For
		}
		var up time.Duration
		for at := time.Duration(0); at < 100*ms; at += ms {
			if got := upTime(o, at); got != up {
				t.Fatalf("seed %d: %+v at %v: up for %v, want %v", seed, o, at, got, up)
			}
			back := at
			for down(back) {
				back += ms
			}
			if got := upAt(o, float64(up)); got != back {
				t.Fatalf("seed %d: %+v: up for %v at %v, want %v", seed, o, up, got, back)
			}
			if !down(at) {
				up += ms
			}
		}
	}
}

// TestLink checks, over random frames, order, bounds of the delay and the rate.
func TestLink(t *testing.T) {
	spec := bootstrap.Link{Rate: 8e9, Delay: ms, Jitter: 400 * time.Microsecond} // a byte a nanosecond
	for seed := range seeds.Count(t, 50) {
		random := rand.New(rand.NewPCG(seed, 0))
		l := link{spec: spec, random: rand.New(rand.NewPCG(seed, 1))}
		var now, before, first time.Duration
		var bytes int
		for i := range 200 {
			now += time.Duration(random.Int64N(20_000))
			n := 1 + random.IntN(15_000)
			if bytes += n; i == 0 {
				first = now
			}
			ready, arrival := l.add(now, n)
			if ready < now {
				t.Fatalf("seed %d: ready before it was given", seed)
			}
			if arrival < before {
				t.Fatalf("seed %d: frame %d overtakes", seed, i)
			}
			if arrival < now+time.Duration(n)+spec.Delay-spec.Jitter {
				t.Fatalf("seed %d: frame %d arrives %v after it was given", seed, i, arrival-now)
			}
			if arrival < first+time.Duration(bytes)+spec.Delay-spec.Jitter && now == first {
				t.Fatalf("seed %d: frame %d beats the rate", seed, i)
			}
			before = arrival
		}
		spread := map[bool]int{} // of frames too far apart to overtake
		for range 50 {
			now += 10 * ms
			_, arrival := l.add(now, 1)
			spread[arrival > now+1+spec.Delay]++
		}
		if spread[true] == 0 || spread[false] == 0 {
			t.Errorf("seed %d: jitter goes one way only: %v", seed, spread)
		}
	}
}
