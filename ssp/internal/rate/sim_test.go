package rate_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
	"github.com/sspurn/sspurn/ssp/internal/rate"
)

const (
	ms     = int64(1e6)
	second = 1000 * ms
)

// network is a link of a rate with a queue in front of it.
type network struct {
	rate float64 // bytes a second
	trip int64   // there and back
	free int64   // when the queue is empty
	out  []flight
}

type flight struct{ at, sent, bytes int64 }

func (n *network) send(now, bytes int64) {
	n.free = max(n.free, now) + int64(float64(bytes)/n.rate*1e9)
	n.out = append(n.out, flight{n.free + n.trip, now, bytes})
}

func (n *network) arrive(now int64, l *rate.Limiter) {
	k := 0
	for k < len(n.out) && n.out[k].at <= now {
		f := n.out[k]
		l.Took(now, f.bytes, f.at-f.sent)
		k++
	}
	n.out = n.out[k:]
}

// sender ends a clock every few milliseconds; some bytes must leave with it, and
// more than the network takes would like to.
type sender struct {
	net        network
	limit      *rate.Limiter
	rng        *rand.Rand
	now        int64
	must       int64 // bytes a clock
	sent       int64
	behind     int64 // most time in the queue since it was set to zero
	steps      int
	stops      bool // sometimes there is nothing to send
	slow, fast int64
}

func (s *sender) run(t *testing.T, until int64) {
	for s.now < until {
		s.steps++
		s.now += s.slow + s.rng.Int64N(s.fast)
		s.net.arrive(s.now, s.limit)
		n := s.must
		if n > 0 {
			n += s.rng.Int64N(n)
		}
		allowed := s.limit.Allowed(s.now)
		want := int64(1 << 30)
		if s.stops && s.rng.IntN(3) == 0 {
			want = s.rng.Int64N(2000)
		}
		if free := min(want, allowed-n); free > 0 {
			n += free
		}
		if want > n {
			s.limit.Short()
		}
		if n > 0 {
			s.limit.Charge(s.now, n)
			s.net.send(s.now, n)
		}
		s.sent += n
		s.behind = max(s.behind, s.net.free-s.now)
		if r := s.limit.Rate(); !(r > 0) || math.IsInf(r, 0) {
			t.Fatalf("rate %v", r)
		}
	}
}

// TestSimulation: within its cap a sender sends what the cap says in every five
// seconds, however much of it must leave; a slower network is used and its queue
// does not grow, also when it changes its rate.
func TestSimulation(t *testing.T) {
	steps := 0
	for seed := range seeds.Count(t, 20) {
		rng := rand.New(rand.NewPCG(seed, 11))
		s := &sender{rng: rng, slow: 1 + rng.Int64N(20*ms), fast: 1 + rng.Int64N(20*ms)}
		s.net.trip = rng.Int64N(40 * ms)

		// A cap below what the network takes.
		capped := 1e6 * math.Exp(rng.Float64()*3-1)
		s.net.rate = capped * (2 + 10*rng.Float64())
		s.limit = rate.New(8*capped, 0)
		clock := float64(s.slow+s.fast) / 1e9
		s.must = int64(rng.Float64() * 0.5 * capped * clock / 2)
		s.run(t, second)
		for range 5 {
			from, sent := s.now, s.sent
			s.run(t, from+5*second)
			got := float64(s.sent-sent) / (float64(s.now-from) / 1e9)
			if math.Abs(got/capped-1) > 0.05 {
				t.Fatalf("seed %d: %.0f bytes/s under a cap of %.0f, %.0f must leave a clock of %.1f ms", seed, got, capped, float64(s.must), clock*1e3)
			}
		}

		// A network slower than what is wanted, with a cap above it or without one.
		s.net.rate = 1e5 * math.Exp(rng.Float64()*5)
		s.net.free = s.now
		s.must = int64(rng.Float64() * 0.2 * s.net.rate * clock / 2)
		bits := 0.0
		if rng.IntN(2) == 0 {
			bits = 8 * s.net.rate * (1.5 + 5*rng.Float64())
		}
		s.limit = rate.New(bits, s.now)
		for range 3 {
			s.run(t, s.now+20*second) // to find the rate
			from, sent := s.now, s.sent
			s.behind = 0
			s.run(t, from+20*second)
			got := float64(s.sent-sent) / (float64(s.now-from) / 1e9)
			if got < 0.6*s.net.rate || got > 1.01*s.net.rate {
				t.Fatalf("seed %d: %.0f bytes/s of %.0f, trip %d ms, cap %.0f", seed, got, s.net.rate, s.net.trip/ms, bits/8)
			}
			if s.behind > second {
				t.Fatalf("seed %d: %d ms of queue at %.0f bytes/s", seed, s.behind/ms, s.net.rate)
			}
			s.net.rate *= 0.5 + rng.Float64()*0.5
		}

		// With nothing to say now and then, the rate stays sound.
		s.stops = true
		s.run(t, s.now+20*second)
		if s.limit.Rate() > 20*s.net.rate {
			t.Fatalf("seed %d: a rate of %.0f, the network takes %.0f", seed, s.limit.Rate(), s.net.rate)
		}
		s.stops = false
		steps += s.steps
	}
	t.Logf("%d steps", steps)
	if steps < 100_000 {
		t.Errorf("%d steps", steps)
	}
}

// TestBurst: what had to leave is paid back, but not for ever; an idle sender has
// a second's worth.
func TestBurst(t *testing.T) {
	l := rate.New(8e6, 0)
	if got := l.Allowed(0); got != 0 {
		t.Errorf("%d bytes at the start", got)
	}
	if got := l.Allowed(second / 2); got != 500_000 {
		t.Errorf("%d bytes after half a second", got)
	}
	l.Charge(second/2, 1_200_000)
	if got := l.Allowed(second); got != -200_000 {
		t.Errorf("%d bytes, want a debt of 200000", got)
	}
	if got := l.Allowed(100 * second); got != 1_000_000 {
		t.Errorf("%d bytes after a long time", got)
	}
	l.Charge(100*second, 1e12)
	if got := l.Allowed(100 * second); got != -1_000_000 {
		t.Errorf("%d bytes after a burst", got)
	}
}

// TestIdle: the bucket is half full when Idle says, not before, whatever its rate.
func TestIdle(t *testing.T) {
	for _, bits := range []float64{1, 8e3, 8e6, 1e12} {
		for _, debt := range []int64{0, 1000, 1e9} {
			l := rate.New(bits, 0)
			l.Charge(0, debt)
			half := int64(max(32<<10, bits/8/2))
			now := int64(0)
			for d, n := l.Idle(now), 0; d > 0; d, n = l.Idle(now), n+1 {
				if d > 3600*second || n > 1e6 {
					t.Fatalf("%g bits a second, debt %d: %d ns more after %d", bits, debt, d, n)
				}
				if got := l.Allowed(now); got >= half {
					t.Fatalf("%g bits a second, debt %d: %d ns to wait with %d bytes of %d", bits, debt, d, got, half)
				}
				now += d
			}
			if got := l.Allowed(now); got < half {
				t.Errorf("%g bits a second, debt %d: idle with %d bytes of %d", bits, debt, got, half)
			}
		}
	}
}
