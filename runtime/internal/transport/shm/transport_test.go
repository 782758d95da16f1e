//go:build linux && !portable

package shm

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/tcp"
	"github.com/sspurn/sspurn/runtime/internal/transport/transporttest"
)

// files are what an agent makes for a host of n ranks.
func files(tb testing.TB, n int) (memory int, bells []int) {
	tb.Helper()
	memory, err := unix.MemfdCreate("sspurn-test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { unix.Close(memory) })
	for range n {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { unix.Close(fd) })
		bells = append(bells, fd)
	}
	return memory, bells
}

// dup is what a rank gets of a descriptor.
func dup(tb testing.TB, fd int) int {
	tb.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// segments maps a memory of n ranks n times; first is the rank of slot 0.
func segments(tb testing.TB, n, first int) []*Segment {
	tb.Helper()
	memory, bells := files(tb, n)
	out := make([]*Segment, n)
	for i := range out {
		var mine []int
		for _, fd := range bells {
			mine = append(mine, dup(tb, fd))
		}
		var err error
		if out[i], err = Open(dup(tb, memory), mine, i, first+i); err != nil {
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
