//go:build linux && !portable

package shm

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// still is a Rest without peers whose Wait ends by what it watches and by Wake,
// and never by time: a bell that is not rung is noticed.
type still struct {
	transport.Transport
	epoll, bell int
}

func newStill(t *testing.T) *still {
	t.Helper()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	s := &still{epoll: epoll, bell: bell}
	if err := s.Watch(bell); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *still) Watch(fd int) error {
	return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (s *still) Wait(time.Duration) {
	var ev [1]unix.EpollEvent
	if n, err := unix.EpollWait(s.epoll, ev[:], -1); err != nil || n == 0 || int(ev[0].Fd) != s.bell {
		return
	}
	var b [8]byte
	_, _ = unix.Read(s.bell, b[:])
}

func (s *still) Wake() {
	b := binary.NativeEndian.AppendUint64(nil, 1)
	_, _ = unix.Write(s.bell, b)
}

func (s *still) Pending() bool { return false }
func (s *still) Close() error  { s.Wake(); return nil }

// end is a rank that somebody drives while others send.
type end struct {
	sink
	tr  *Transport
	mu  sync.Mutex
	got chan struct{} // size 1
}

func (e *end) End(peer int, h *wire.Header) {
	e.sink.End(peer, h)
	select {
	case e.got <- struct{}{}:
	default:
	}
}

// TestBells has two ranks sleep and wake each other, with frames that fill the
// rings and such that do not, sent while the driver sleeps.
func TestBells(t *testing.T) {
	const bursts = 300
	segs := segments(t, 2, 0)
	var ends [2]*end
	for i, seg := range segs {
		e := &end{sink: sink{buf: make([]byte, 1<<21)}, got: make(chan struct{}, 1)}
		slots := []int{0, 1}
		slots[i] = -1
		rest := newStill(t)
		tr, err := seg.Join(slots, rest, e)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			tr.Close()
			unix.Close(rest.epoll)
			unix.Close(rest.bell)
		})
		e.tr, ends[i] = tr, e
	}
	var stop atomic.Bool
	var drivers sync.WaitGroup
	for _, e := range ends {
		drivers.Go(func() {
			for !stop.Load() {
				e.mu.Lock()
				progress := e.tr.Poll(-1)
				e.mu.Unlock()
				if !progress {
					e.tr.Wait(-1)
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(1, 2))
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	var sent [2]int
	for burst := range bursts {
		for range 1 + random.IntN(8) {
			from := random.IntN(2)
			n := random.IntN([]int{1, 100, 100_000, 2 << 20}[random.IntN(4)])
			payload := make([]byte, n)
			ends[from].mu.Lock()
			ends[from].tr.Send(1-from, &wire.Header{Kind: wire.Eager, Length: uint64(n)}, [][]byte{payload}, nil)
			ends[from].mu.Unlock()
			sent[1-from]++
		}
		for i, e := range ends {
			for arrived := false; !arrived; {
				e.mu.Lock()
				arrived = e.frames == sent[i]
				e.mu.Unlock()
				if arrived {
					break
				}
				select {
				case <-e.got:
				case <-limit.C:
					t.Fatalf("burst %d: rank %d has %d frames of %d: a bell was not rung", burst, i, e.frames, sent[i])
				}
			}
		}
	}
	stop.Store(true)
	for _, e := range ends {
		e.tr.Wake()
	}
	drivers.Wait()
}
