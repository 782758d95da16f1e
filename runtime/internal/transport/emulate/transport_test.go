package emulate

import (
	"context"
	"slices"
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
	for _, text := range []string{"delay=2ms,jitter=1ms", "rate=800mbit,delay=3ms,pairs=0-1", "delay=1ms,down=0s+5ms/8ms;pairs=1-*,rate=1gbit,down=1ms+1ms"} {
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

// TestOutage cuts a link: its frames wait in both directions and come in order
// when it is back, those of another do not wait, and a send has to only for
// what a socket's buffer would not take.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		recv := []*clocked{{start: start}, {start: start}, {start: start}}
		ts := overMem(t, "delay=1ms;pairs=0-1,delay=1ms,down=10ms+20ms", []transport.Receiver{recv[0], recv[1], recv[2]})
		run := func(until time.Duration) {
			for time.Since(start) < until {
				if !ts[0].Poll(-1) && !ts[1].Poll(-1) && !ts[2].Poll(-1) {
					for _, tr := range ts {
						tr.Wait(100 * time.Microsecond)
					}
				}
			}
		}
		send := func(from, to, n int, done transport.Completion) bool {
			h := wire.Header{Kind: wire.Data, Tag: uint32(len(recv[to].at)), Length: uint64(n)}
			return ts[from].Send(to, &h, [][]byte{make([]byte, n)}, done)
		}
		run(12 * time.Millisecond)
		held := &stopwatch{start: start}
		if !send(0, 1, 100<<10, held) || !send(1, 0, 0, nil) || !send(0, 2, 1<<20, nil) {
			t.Error("a send waits for the link although a buffer is free")
		}
		if send(0, 1, 200<<10, held) {
			t.Error("a send does not wait for the link although the buffer is full")
		}
		if lag := ts[0].(*Transport).Lag(); lag < 18*time.Millisecond || lag > 19*time.Millisecond {
			t.Errorf("what has been sent is still under way for %v", lag)
		}
		run(28 * time.Millisecond)
		if len(recv[0].at) != 0 || len(recv[1].at) != 0 || held.told != 0 {
			t.Errorf("%d and %d frames come over a link that is down, %d sends return", len(recv[0].at), len(recv[1].at), held.told)
		}
		if len(recv[2].at) != 1 || recv[2].at[0] > 14*time.Millisecond {
			t.Errorf("another link's frame comes at %v", recv[2].at)
		}
		run(33 * time.Millisecond)
		for rank, want := range []int{1, 2, 1} {
			if got := recv[rank].at; len(got) != want || rank < 2 && (got[0] < 31*time.Millisecond || got[want-1] > 32*time.Millisecond) {
				t.Errorf("rank %d: frames come at %v", rank, got)
			}
		}
		if held.told != 1 || held.at < 30*time.Millisecond || held.at > 31*time.Millisecond {
			t.Errorf("the send returns %d times, at %v", held.told, held.at)
		}
		for _, tr := range ts {
			tr.Close()
		}
	})
}

// TestRevoke: the word that the job has failed comes at once, after all that
// was sent before.
func TestRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recv := &clocked{start: time.Now()}
		ts := overMem(t, "rate=1kbit,delay=1s,down=0s+1h", []transport.Receiver{&clocked{}, recv})
		for i, kind := range []wire.Kind{wire.Eager, wire.Eager, wire.Revoke} {
			ts[0].Send(1, &wire.Header{Kind: kind, Tag: uint32(i)}, nil, nil)
		}
		for ts[1].Poll(-1) {
		}
		if want := []uint32{0, 1, 2}; !slices.Equal(recv.tags, want) || time.Since(recv.start) > 0 {
			t.Errorf("frames %v come after %v", recv.tags, time.Since(recv.start))
		}
		if lag := ts[0].(*Transport).Lag(); lag != 0 || ts[0].Pending() {
			t.Errorf("something is under way for %v", lag)
		}
		ts[0].Close()
		ts[1].Close()
	})
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
