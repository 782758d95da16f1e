package emulate

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/mem"
	"github.com/sspurn/sspurn/runtime/internal/transport/tcp"
	"github.com/sspurn/sspurn/runtime/internal/transport/transporttest"
	"github.com/sspurn/sspurn/runtime/internal/wire"
	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// overMem connects ranks in memory through the network of spec.
func overMem(t *testing.T, text string, recv []transport.Receiver) []transport.Transport {
	t.Helper()
	spec, err := bootstrap.ParseEmulation(text)
	if err != nil {
		t.Fatal(err)
	}
	net := mem.New(len(recv))
	var out []transport.Transport
	for i, r := range recv {
		out = append(out, Wrap(net.Join(i, r), spec, i, len(recv)))
	}
	return out
}

// overTCP connects ranks by sockets through the network of spec.
func overTCP(t testing.TB, text string, recv []transport.Receiver) []transport.Transport {
	t.Helper()
	spec, err := bootstrap.ParseEmulation(text)
	if err != nil {
		t.Fatal(err)
	}
	n := len(recv)
	listeners, addrs := make([]*tcp.Listener, n), make([]string, n)
	for i := range n {
		l, err := tcp.Listen(tcp.Config{Job: "job", Rank: i, Size: n, Secret: []byte("secret")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		listeners[i], addrs[i] = l, l.Addr()
	}
	out, errs := make([]transport.Transport, n), make([]error, n)
	var wg sync.WaitGroup
	for i, l := range listeners {
		wg.Go(func() {
			var tr *tcp.Transport
			if tr, errs[i] = l.Mesh(context.Background(), addrs, recv[i]); errs[i] == nil {
				out[i] = Wrap(tr, spec, i, n)
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("rank %d: %v", i, err)
		}
	}
	return out
}

func TestTransport(t *testing.T) {
	for _, text := range []string{"delay=2ms,jitter=1ms", "rate=800mbit,delay=3ms,pairs=0-1"} {
		t.Run("mem/"+text, func(t *testing.T) {
			transporttest.Run(t, transporttest.Suite{
				Connect: func(t *testing.T, recv []transport.Receiver) []transport.Transport {
					return overMem(t, text, recv)
				},
				In: func(t *testing.T, test func(*testing.T)) { synctest.Test(t, test) },
			})
		})
	}
	t.Run("tcp", func(t *testing.T) {
		transporttest.Run(t, transporttest.Suite{
			Connect: func(t *testing.T, recv []transport.Receiver) []transport.Transport {
				return overTCP(t, "rate=40gbit,delay=0.2ms,jitter=0.1ms", recv)
			},
		})
	})
}

// clocked is a receiver that remembers when frames came.
type clocked struct {
	start time.Time
	at    []time.Duration
	tags  []uint32
}

func (c *clocked) Begin(_ int, h *wire.Header) ([]byte, error) {
	return make([]byte, h.Payload()), nil
}
func (c *clocked) End(_ int, h *wire.Header) {
	c.at = append(c.at, time.Since(c.start))
	c.tags = append(c.tags, h.Tag)
}
func (c *clocked) Lost(int, error) {}

// TestTimes follows frames through a slow network in fake time.
func TestTimes(t *testing.T) {
	const frame = 125_000 // with its header, 1 ms at 1 Gbit/s
	tests := []struct {
		name   string
		spec   string
		frames int
		size   int
		want   func(i int) time.Duration
	}{
		{"delay", "delay=2ms", 5, 0, func(int) time.Duration { return 2 * time.Millisecond }},
		{"rate", "rate=1gbit", 5, frame, func(i int) time.Duration { return time.Duration(i+1) * time.Millisecond }},
		{"both", "rate=1gbit,delay=3ms", 5, frame, func(i int) time.Duration { return time.Duration(i+4) * time.Millisecond }},
		{"another pair", "rate=1gbit,delay=3ms,pairs=1-2", 5, frame, func(int) time.Duration { return 0 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				recv := &clocked{start: time.Now()}
				ts := overMem(t, test.spec, []transport.Receiver{&clocked{}, recv, &clocked{}})
				for i := range test.frames {
					n := max(test.size-wire.HeaderSize, 0)
					h := wire.Header{Kind: wire.Eager, Tag: uint32(i), Length: uint64(n)}
					if !ts[0].Send(1, &h, [][]byte{make([]byte, n)}, nil) {
						t.Error("a frame without completion is kept")
					}
				}
				for len(recv.at) < test.frames {
					if !ts[0].Poll(-1) && !ts[1].Poll(-1) {
						ts[0].Wait(time.Second)
					}
				}
				for i, at := range recv.at {
					// A nanosecond for the rounding of each frame before.
					if d := at - test.want(i); d < -10 || d > 10 {
						t.Errorf("frame %d came after %v, want %v", i, at, test.want(i))
					}
					if recv.tags[i] != uint32(i) {
						t.Errorf("frame %d has tag %d", i, recv.tags[i])
					}
				}
				for _, tr := range ts {
					tr.Close()
				}
			})
		})
	}
}

// stopwatch is a completion that remembers when it was told.
type stopwatch struct {
	start time.Time
	at    time.Duration
	told  int
}

func (s *stopwatch) Sent(error) { s.at = time.Since(s.start); s.told++ }

// TestBackPressure sends more than a socket's buffer holds: completions come
// at the link's rate.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := overMem(t, "rate=1gbit", []transport.Receiver{&clocked{}, &clocked{}})
		h := wire.Header{Kind: wire.Data, Length: 1<<20 - wire.HeaderSize}
		var watches []*stopwatch
		for range 4 {
			w := &stopwatch{start: time.Now()}
			watches = append(watches, w)
			if ts[0].Send(1, &h, [][]byte{make([]byte, h.Length)}, w) {
				t.Error("a frame of 8 ms leaves at once")
			}
		}
		for watches[3].told == 0 {
			if !ts[0].Poll(-1) {
				ts[0].Wait(-1)
			}
		}
		for i, w := range watches {
			want := time.Duration((i+1)<<20-burst) * 8
			if d := w.at - want; w.told != 1 || d < -10 || d > 10 {
				t.Errorf("completion %d told %d times, after %v, want %v", i, w.told, w.at, want)
			}
		}
		ts[0].Close()
		ts[1].Close()
	})
}

// TestLink checks, over random frames, order, bounds of the delay and the rate.
func TestLink(t *testing.T) {
	spec := bootstrap.Emulation{Rate: 8e9, Delay: time.Millisecond, Jitter: 400 * time.Microsecond} // a byte a nanosecond
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
			now += 10 * time.Millisecond
			_, arrival := l.add(now, 1)
			spread[arrival > l.free+spec.Delay]++
		}
		if spread[true] == 0 || spread[false] == 0 {
			t.Errorf("seed %d: jitter goes one way only: %v", seed, spread)
		}
	}
}

// BenchmarkDelay reports by how much frames over sockets come later than asked
// for.
func BenchmarkDelay(b *testing.B) {
	recv := &clocked{}
	ts := overTCP(b, "delay=1ms", []transport.Receiver{&clocked{}, recv})
	h := wire.Header{Kind: wire.Eager}
	var sum time.Duration
	n := 0
	for b.Loop() {
		recv.start, recv.at = time.Now(), recv.at[:0]
		ts[0].Send(1, &h, nil, nil)
		for len(recv.at) == 0 {
			if !ts[0].Poll(-1) {
				ts[0].Wait(100 * time.Microsecond)
			}
			ts[1].Poll(-1)
		}
		sum += recv.at[0]
		n++
	}
	b.ReportMetric(float64(sum.Microseconds())/float64(n)-1000, "µs-late")
	for _, tr := range ts {
		tr.Close()
	}
}
