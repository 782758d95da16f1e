//go:build linux && !portable

package tcp

import (
	"os"
	goruntime "runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/frames"
	"github.com/sspurn/sspurn/runtime/internal/wire"
	"github.com/sspurn/sspurn/runtime/runtimetest/race"
)

// TestOptions checks what the kernel was told about mesh connections.
func TestOptions(t *testing.T) {
	ts := mesh(t, []transport.Receiver{&echo{}, &echo{}})
	defer ts[0].Close()
	defer ts[1].Close()
	for rank, tr := range ts {
		fd := tr.peers[1-rank].fd
		for _, opt := range []struct {
			name        string
			level, code int
			want        int
		}{
			{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 1},
			{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 1},
			{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 2},
			{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0},
		} {
			if got, err := unix.GetsockoptInt(fd, opt.level, opt.code); err != nil || got != opt.want {
				t.Errorf("rank %d: %s is %d, %v, want %d", rank, opt.name, got, err, opt.want)
			}
		}
		if cc, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION); err != nil || cc == "bbr" {
			t.Errorf("rank %d: congestion control %s, %v", rank, cc, err)
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("rank %d: the socket blocks: %v", rank, err)
		}
		flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("rank %d: the socket is inherited: %v", rank, err)
		}
	}
}

// TestCrowded: callers poll unless more than four ranks share a core of the
// host, however many of these cores this process may use.
func TestCrowded(t *testing.T) {
	own := goruntime.NumCPU()
	for _, test := range []struct {
		ranks, cores int
		polls        bool
	}{{0, 0, true}, {4 * own, 0, true}, {4*own + 1, 0, false}, {4*own + 1, own + 1, true}, {5, 1, false}, {4, 1, true}, {64, 15, false}, {64, 16, true}} {
		ts := mesh(t, []transport.Receiver{&echo{}, &echo{}}, func(cfg *Config) { cfg.HostRanks, cfg.HostCores = test.ranks, test.cores })
		for _, tr := range ts {
			if got := tr.PollBudget() > 0; got != test.polls {
				t.Errorf("%d ranks, %d cores: polls %v", test.ranks, test.cores, got)
			}
			tr.Close()
		}
	}
}

// TestUnpaced looks at sockets that are not connected: later is too late to be
// rid of bbr's timer.
func TestUnpaced(t *testing.T) {
	control := func(c syscall.Conn) (cc string) {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if cerr := raw.Control(func(fd uintptr) { cc, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION) }); cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
		return cc
	}
	l, err := Listen(testConfig(0, 2))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if cc := control(l.ln); cc == "bbr" {
		t.Error("the listener has congestion control bbr")
	}

	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "bbr"); err != nil {
		t.Skip("this kernel has no bbr to be rid of: ", err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := unpaced("", "", raw); err != nil {
		t.Fatal(err)
	}
	if cc := control(f); cc != "cubic" {
		t.Errorf("congestion control %s before connecting, want cubic", cc)
	}
}

// mark is a completion that counts.
type mark struct{ told, failed int }

func (m *mark) Sent(err error) {
	if m.told++; err != nil {
		m.failed++
	}
}

// TestSignals signals the thread that waits, as Go does to preempt: the Wait
// lasts as long as it was to.
func TestSignals(t *testing.T) {
	ts := mesh(t, []transport.Receiver{&echo{}, &echo{}})
	defer ts[0].Close()
	defer ts[1].Close()
	for _, d := range []time.Duration{30 * time.Millisecond, patrolEvery} {
		thread := make(chan int)
		lasted := make(chan time.Duration)
		go func() {
			goruntime.LockOSThread()
			thread <- unix.Gettid()
			start := time.Now()
			ts[0].Wait(d)
			lasted <- time.Since(start)
		}()
		tid := <-thread
		for over := false; !over; {
			select {
			case got := <-lasted:
				if over = true; got < d {
					t.Errorf("Wait(%v) ended after %v", d, got)
				}
			default:
				unix.Tgkill(unix.Getpid(), tid, unix.SIGURG)
			}
		}
	}
}

// TestShortWait waits by the timer, after which a frame and a Wake end a Wait
// as ever, and one that ends early leaves the timer to the next.
func TestShortWait(t *testing.T) {
	ts := mesh(t, []transport.Receiver{&echo{}, &echo{}})
	defer ts[0].Close()
	defer ts[1].Close()
	for _, d := range []time.Duration{0, time.Microsecond, 1500 * time.Microsecond, patrolEvery - 1, patrolEvery} {
		start := time.Now()
		ts[0].Wait(d)
		if got := time.Since(start); got < d {
			t.Errorf("Wait(%v) ended after %v", d, got)
		}
	}
	ts[0].Wake()
	ts[0].Wait(time.Millisecond)
	h := wire.Header{Kind: wire.Eager}
	ts[1].Send(0, &h, nil, nil)
	ts[0].Wait(time.Minute)
	for !ts[0].Poll(-1) {
		ts[0].Wait(-1)
	}
	ts[0].Wake()
	ts[0].Wait(-1)
}

// TestSuspended has a rank not read for longer than a host may be silent, as
// when its process is stopped: the connection outlives it.
func TestSuspended(t *testing.T) {
	t.Parallel()
	e := [2]*echo{{}, {buf: make([]byte, 1<<20)}}
	ts := mesh(t, []transport.Receiver{e[0], e[1]})
	defer ts[0].Close()
	defer ts[1].Close()
	h := wire.Header{Kind: wire.Eager, Length: 1 << 20}
	const frames = 30 // more than sockets hold
	for range frames {
		ts[0].Send(1, &h, [][]byte{make([]byte, 1<<20)}, nil)
	}
	for start := time.Now(); time.Since(start) < silence+3*patrolEvery; {
		ts[0].Poll(-1)
		ts[0].Wait(patrolEvery)
	}
	if ts[0].patrolled < silence {
		t.Errorf("the last patrol was after %v", ts[0].patrolled)
	}
	for e[1].frames < frames && e[0].lost+e[1].lost == 0 {
		ts[0].Poll(-1)
		if !ts[1].Poll(-1) {
			ts[1].Wait(time.Millisecond)
		}
	}
	if e[1].frames != frames || e[0].lost+e[1].lost > 0 {
		t.Errorf("%d frames, %d and %d losses", e[1].frames, e[0].lost, e[1].lost)
	}
}

// TestDescriptors checks that a closed mesh leaves none open.
func TestDescriptors(t *testing.T) {
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(names)
	}
	cycle := func() {
		for _, tr := range mesh(t, []transport.Receiver{&echo{}, &echo{}, &echo{}}) {
			tr.Close()
		}
	}
	cycle() // Go's poller opens its own
	before := count()
	for range 5 {
		cycle()
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors open, before %d", after, before)
	}
}

// TestHeld sends small frames faster than anybody polls: the first leaves at
// once, the others with one write at the next Poll, or when they are many.
func TestHeld(t *testing.T) {
	e := [2]*echo{{buf: make([]byte, 8)}, {buf: make([]byte, 8)}}
	ts := mesh(t, []transport.Receiver{e[0], e[1]})
	defer ts[0].Close()
	defer ts[1].Close()
	const frame = wire.HeaderSize + 8
	h := wire.Header{Kind: wire.Eager, Length: 8}
	burst := func(n int) {
		p := &ts[0].peers[1]
		for i := range n {
			p.wrote = time.Since(ts[0].start) + time.Hour // however slow this machine is
			if left := ts[0].Send(1, &h, [][]byte{make([]byte, 8)}, nil); left != (i == 0) {
				t.Fatalf("frame %d: left at once: %v", i, left)
			}
		}
	}
	arrive := func(n int) {
		t.Helper()
		for e[1].frames < n {
			if !ts[1].Poll(0) {
				ts[1].Wait(-1)
			}
		}
		if e[1].frames > n {
			t.Fatalf("%d frames, want %d", e[1].frames, n)
		}
	}
	burst(1)
	arrive(1)
	ts[0].Poll(-1)
	burst(100)
	arrive(2)
	if !ts[0].Pending() {
		t.Error("frames are held and none is pending")
	}
	ts[0].Wait(-1) // ends, so that who waits polls
	ts[0].Poll(1)
	if ts[0].Pending() {
		t.Error("frames are pending after a Poll")
	}
	arrive(101)

	// A frame that is not small takes those before it along.
	burst(10)
	last := wire.Header{Kind: wire.Eager}
	if !ts[0].Send(1, &last, nil, new(mark)) {
		t.Error("a frame with completion is held")
	}
	arrive(112)

	// More than may be held leave without a Poll.
	ts[0].Poll(-1)
	n := holdBytes/frame + 3
	for range n {
		ts[0].peers[1].wrote = time.Since(ts[0].start) + time.Hour
		ts[0].Send(1, &h, [][]byte{make([]byte, 8)}, nil)
	}
	arrive(112 + n)
}

// TestAllocations counts those of a message's whole way.
func TestAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for _, size := range []int{0, 8, frames.SmallSize, frames.SmallSize + 1, 60_000} {
		e := [2]*echo{{buf: make([]byte, size)}, {buf: make([]byte, size)}}
		ts := mesh(t, []transport.Receiver{e[0], e[1]})
		h := wire.Header{Kind: wire.Eager, Length: uint64(size)}
		payload := [][]byte{make([]byte, size)}
		trip := func() {
			for rank := range ts {
				want := e[1-rank].frames + 1
				ts[rank].Send(1-rank, &h, payload, nil)
				for e[1-rank].frames < want {
					ts[rank].Poll(-1)
					ts[1-rank].Poll(rank)
				}
			}
		}
		trip()
		if n := testing.AllocsPerRun(100, trip); n != 0 {
			t.Errorf("%d bytes: %v allocations a round trip", size, n)
		}
		ts[0].Close()
		ts[1].Close()
	}
}

// BenchmarkPingPong is the floor of what the engine can reach: a round trip
// between two goroutines that poll.
func BenchmarkPingPong(b *testing.B) {
	e := [2]*echo{{buf: make([]byte, 1<<20)}, {buf: make([]byte, 1<<20)}}
	for _, size := range []int{8, 1 << 10, 64 << 10, 1 << 20} {
		b.Run("bytes="+strconv.Itoa(size), func(b *testing.B) {
			ts := mesh(b, []transport.Receiver{e[0], e[1]})
			h := wire.Header{Kind: wire.Eager, Length: uint64(size)}
			payload := [][]byte{make([]byte, size)}
			stop, over := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(over)
				for n := e[1].frames; ; {
					ts[1].Poll(0)
					if e[1].frames > n {
						n = e[1].frames
						ts[1].Send(0, &h, payload, nil)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			}()
			b.SetBytes(int64(2 * size))
			b.ReportAllocs()
			for b.Loop() {
				n := e[0].frames
				ts[0].Send(1, &h, payload, nil)
				for e[0].frames == n {
					ts[0].Poll(1)
				}
			}
			close(stop)
			<-over
			ts[0].Close()
			ts[1].Close()
		})
	}
}

// checkPairs checks that both ends of each pair use the same connection.
func checkPairs(t *testing.T, all []*node) {
	t.Helper()
	name := func(a unix.Sockaddr, err error) string {
		in, ok := a.(*unix.SockaddrInet4)
		if err != nil || !ok {
			t.Fatalf("socket's address: %v, %v", a, err)
		}
		return strconv.Itoa(in.Port)
	}
	for a := range all {
		for b := range a {
			x, y := all[a].tr.peers[b].fd, all[b].tr.peers[a].fd
			if here, there := name(unix.Getsockname(x)), name(unix.Getpeername(y)); here != there {
				t.Errorf("ranks %d and %d have a connection each: ports %s and %s", a, b, here, there)
			}
		}
	}
}
