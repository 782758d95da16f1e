//go:build linux && !portable

package shm

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/tcp"
	"github.com/sspurn/sspurn/runtime/internal/transport/transporttest"
)

// segments maps a memory of n ranks n times; first is the rank of slot 0.
func segments(tb testing.TB, n, first int) []*Segment {
	tb.Helper()
	made, err := bootstrap.NewShared("test", n)
	if err != nil {
		tb.Fatal(err)
	}
	defer made.Close()
	out := make([]*Segment, n)
	for i := range out {
		at, err := made.At(i)
		if err != nil {
			tb.Fatal(err)
		}
		if out[i], err = Open(at.Memory, at.Bells, i, first+i); err != nil {
			tb.Fatal(err)
		}
	}
	return out
}

// connect makes the transports of len(recv) ranks of several hosts, each of
// perHost ranks.
func connect(tb testing.TB, recv []transport.Receiver, perHost int) []*Transport {
	tb.Helper()
	n := len(recv)
	var segs []*Segment
	for len(segs) < n {
		segs = append(segs, segments(tb, min(perHost, n-len(segs)), len(segs))...)
	}
	listeners := make([]*tcp.Listener, n)
	for i := range n {
		l, err := tcp.Listen(tcp.Config{Job: "job", Rank: i, Size: n, Secret: []byte("secret")})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { l.Close() })
		listeners[i] = l
	}
	out, errs := make([]*Transport, n), make([]error, n)
	var wg sync.WaitGroup
	for i, l := range listeners {
		wg.Go(func() {
			addrs, slots := make([]string, n), make([]int, n)
			for k := range n {
				slots[k] = -1
				if k/perHost != i/perHost {
					addrs[k] = listeners[k].Addr()
				} else if k != i {
					slots[k] = k % perHost
				}
			}
			mesh, err := l.Mesh(context.Background(), addrs, recv[i])
			if err == nil {
				out[i], err = segs[i].Join(slots, mesh, recv[i])
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			tb.Fatalf("rank %d: %v", i, err)
		}
	}
	return out
}

// TestTransport runs the suite between ranks of one host, and between ranks of
// which some share memory and some do not.
func TestTransport(t *testing.T) {
	for name, perHost := range map[string]int{"OneHost": 8, "TwoEach": 2} {
		t.Run(name, func(t *testing.T) {
			before := open(t)
			transporttest.Run(t, transporttest.Suite{
				Connect: func(t *testing.T, recv []transport.Receiver) []transport.Transport {
					var out []transport.Transport
					for _, tr := range connect(t, recv, perHost) {
						out = append(out, tr)
					}
					return out
				},
			})
			if after := open(t); after > before {
				t.Errorf("%d descriptors open, %d before", after, before)
			}
			maps, err := os.ReadFile("/proc/self/maps")
			if err != nil || strings.Contains(string(maps), "sspurn-test") {
				t.Errorf("memory is still mapped, %v", err)
			}
		})
	}
}

// open is the number of descriptors of this process.
func open(t *testing.T) int {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(dir)
}
