//go:build linux && !portable

package tcp

import (
	"io"
	"net"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

const (
	bufferSize = 64 << 10  // of the buffer through which headers and small payloads are read
	oneCall    = 256 << 10 // bytes moved by one system call: what stays in the second-level cache
	oneTurn    = 1 << 20   // bytes moved for one peer before it is another's turn
	eventSlots = 64
	iovSlots   = 64
	epollEvery = 8 // calls of Poll with a hint between looks at all peers

	holdFor   = 50 * time.Microsecond // after a small frame, the next ones to its peer wait for a Poll
	holdBytes = 32 << 10              // that wait at most

	patrols     = true
	patrolEvery = 250 * time.Millisecond
	patrolPolls = 256 // calls of Poll between looks at the clock

	pollBudget = time.Millisecond
	crowded    = 4 // ranks a core above which polling only takes the core from others
)

// Transport moves frames over the connections of a mesh. All its sockets are
// non-blocking and in an epoll instance of its own; Go's poller does not know
// them. Calls that can not block bypass the Go scheduler, which costs more
// than the calls themselves.
type Transport struct {
	listener *Listener
	recv     transport.Receiver
	limit    uint64
	budget   time.Duration
	pwait2   bool // the kernel has epoll_pwait2
	start    time.Time

	// Guarded by the engine's lock.
	peers          []peer // by rank
	queued         int    // peers whose socket is full
	held           []int  // peers with frames that wait for a Poll
	round          uint   // counts when what is held leaves
	turn           uint
	polls          uint
	patrolled      time.Duration // since start
	outcomes       []outcome     // completions to tell at the next Poll
	spare          pool
	sent, received uint64
	closed         bool
	events         [eventSlots]unix.EpollEvent
	iov            [iovSlots]unix.Iovec
	buf            [bufferSize]byte                  // what a read returns; empty between calls
	small          [wire.HeaderSize + smallSize]byte // a small frame on its way out

	epoll, bell int // descriptors; the bell is an eventfd in the epoll set

	woken   atomic.Bool // Wake was called since the last Wait ended
	rested  atomic.Bool // a Wait has ended by time: look at the clock
	waiting atomic.Bool // somebody is, or is about to be, in the kernel
	rung    atomic.Bool // the bell has been written to since it was last read

	waitMu sync.Mutex // held during Wait
	bellMu sync.Mutex // guards bell against Close
	over   bool       // guarded by both: written under both
}

// peer is the connection to one rank.
type peer struct {
	fd    int   // -1: none, the rank itself or a lost one
	armed bool  // registered for writability
	err   error // of a write; the connection ends when all has been read
	out   queue
	in    stream

	held  int           // bytes in out that wait for a Poll, not for the socket
	round uint          // when a small frame left last
	wrote time.Duration // the same, since start
}

// newTransport takes over the connections, one a rank and nil for this rank.
func newTransport(l *Listener, conns []*net.TCPConn, recv transport.Receiver) (t *Transport, err error) {
	t = &Transport{
		listener: l,
		recv:     recv,
		limit:    l.cfg.MaxFrame,
		budget:   pollBudget,
		start:    time.Now(),
		round:    1,
		peers:    make([]peer, len(conns)),
		epoll:    -1,
		bell:     -1,
	}
	if l.cfg.HostRanks > crowded*goruntime.NumCPU() {
		t.budget = 0
	}
	for i := range t.peers {
		t.peers[i].fd = -1
		t.peers[i].in.peer = i
	}
	defer func() {
		if err != nil {
			t.closeDescriptors()
			t = nil
		}
	}()
	if t.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return t, errors.Wrap(err, "epoll")
	}
	if t.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return t, errors.Wrap(err, "eventfd")
	}
	if err = t.watch(unix.EPOLL_CTL_ADD, t.bell, bellEvent, unix.EPOLLIN); err != nil {
		return t, errors.Wrap(err, "epoll: eventfd")
	}
	for i, c := range conns {
		if c == nil {
			continue
		}
		if t.peers[i].fd, err = detach(c); err != nil {
			return t, errors.Wrapf(err, "rank %d", i)
		}
		if err = t.watch(unix.EPOLL_CTL_ADD, t.peers[i].fd, i, unix.EPOLLIN); err != nil {
			return t, errors.Wrapf(err, "epoll: rank %d", i)
		}
	}
	var now unix.Timespec
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(t.epoll), uintptr(unsafe.Pointer(&t.events[0])), 1,
		uintptr(unsafe.Pointer(&now)), 0, 0)
	t.pwait2 = errno == 0
	return t, nil
}

// detach duplicates the connection's descriptor, which is non-blocking, and
// closes the original, which removes it from Go's poller.
func detach(c *net.TCPConn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, errors.Wrap(err, "descriptor")
	}
	fd = -1
	var failed error
	if err := raw.Control(func(orig uintptr) {
		fd, failed = unix.FcntlInt(orig, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return -1, errors.Wrap(err, "descriptor")
	}
	if failed != nil {
		return -1, errors.Wrap(failed, "duplicate descriptor")
	}
	c.Close()
	return fd, nil
}

// bellEvent stands for the bell where a rank stands for its connection.
const bellEvent = -1

func (t *Transport) watch(op, fd, who int, events uint32) error {
	return unix.EpollCtl(t.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(who)})
}

// arm asks for writability while there is something to write, and only then.
func (t *Transport) arm(rank int, p *peer) {
	want := !p.out.empty()
	if want == p.armed || p.fd < 0 {
		return
	}
	p.armed = want
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(rank)}
	if want {
		t.queued++
		ev.Events |= unix.EPOLLOUT
	} else {
		t.queued--
	}
	unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(t.epoll), unix.EPOLL_CTL_MOD, uintptr(p.fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
}

// Send hands over a frame; see transport.Transport.
//
// A small frame leaves at once, unless another has left for the same peer just
// before and nobody has polled since: then it is held, and all that are held
// leave with one write at the next Poll, which who sends and then waits calls
// right away and who waits in Wait is woken for.
func (t *Transport) Send(rank int, h *wire.Header, payload [][]byte, done transport.Completion) bool {
	p := &t.peers[rank]
	if p.fd < 0 || p.err != nil {
		return true
	}
	size := total(payload)
	small := size <= smallSize
	t.sent += uint64(wire.HeaderSize + size)
	blocked := p.armed
	if small && p.out.empty() {
		now := time.Since(t.start)
		if done != nil || p.round != t.round || now-p.wrote > holdFor {
			p.round, p.wrote = t.round, now
			return t.sendSmall(rank, p, h, payload, done)
		}
		t.held = append(t.held, rank)
		t.Wake()
	}
	p.out.push(&t.spare, h, payload, size, done)
	if !blocked && small && done == nil && p.held < holdBytes {
		p.held += wire.HeaderSize + size
		return false
	}
	if !blocked {
		p.held = 0
		before := len(t.outcomes)
		t.flush(p)
		if p.out.empty() {
			t.outcomes = t.outcomes[:before] // it is told by the result
			return true
		}
		t.arm(rank, p)
	}
	if done == nil && !small {
		p.out.own(&t.spare, nil)
	}
	return false
}

// sendSmall writes a small frame when nothing is before it.
func (t *Transport) sendSmall(rank int, p *peer, h *wire.Header, payload [][]byte, done transport.Completion) bool {
	h.Encode(t.small[:])
	frame := t.small[:wire.HeaderSize]
	for _, b := range payload {
		frame = append(frame, b...)
	}
	n, errno := send(p.fd, frame)
	if n == len(frame) {
		return true
	}
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		t.fail(p, errno)
		return true
	}
	p.out.copy(&t.spare, frame[n:])
	p.out.segs[len(p.out.segs)-1].done = done
	t.arm(rank, p)
	return false
}

// letGo writes what is held.
func (t *Transport) letGo() {
	t.round++
	for _, rank := range t.held {
		if p := &t.peers[rank]; p.held > 0 {
			p.held = 0
			t.flush(p)
			t.arm(rank, p)
		}
	}
	t.held = t.held[:0]
}

// Discard throws away the rest of the payload that is arriving from a peer;
// see transport.Transport.
func (t *Transport) Discard(rank int) { t.peers[rank].in.dst = nil }

// Detach gives a sender its payload back; see transport.Transport.
func (t *Transport) Detach(rank int, done transport.Completion) {
	if t.peers[rank].out.own(&t.spare, done) {
		return
	}
	forget(t.outcomes, done)
}

// flush writes from a peer's queue what the socket takes, up to a turn's worth.
func (t *Transport) flush(p *peer) {
	for turn := oneTurn; turn > 0 && !p.out.empty(); {
		n, asked := 0, 0
		for _, s := range p.out.pending() {
			b := s.data[:min(len(s.data), oneCall-asked)]
			if len(b) == 0 {
				break // the call is full: no segment is empty
			}
			t.iov[n].Base = &b[0]
			t.iov[n].SetLen(len(b))
			asked += len(b)
			if n++; n == iovSlots {
				break
			}
		}
		moved, errno := sendmsg(p.fd, t.iov[:n])
		clear(t.iov[:n])
		switch errno {
		case 0:
		case unix.EAGAIN:
			return
		case unix.EINTR:
			continue
		default:
			t.fail(p, errno)
			return
		}
		t.outcomes = p.out.advance(&t.spare, moved, t.outcomes)
		if moved < asked {
			return
		}
		turn -= moved
	}
}

// fail remembers that a peer can not be written to. What it sent before may
// still be read; the end of that is then reported with this error.
func (t *Transport) fail(p *peer, err error) {
	p.err = errors.Wrap(err, "send")
	t.outcomes = p.out.fail(&t.spare, p.err, t.outcomes)
	p.held = 0
	if p.armed {
		p.armed = false
		t.queued--
	}
	_ = unix.Shutdown(p.fd, unix.SHUT_RDWR)
}

// lose ends the connection to a peer.
func (t *Transport) lose(rank int, p *peer, err error) {
	if p.err != nil {
		err = p.err
	}
	t.outcomes = p.out.fail(&t.spare, err, t.outcomes)
	p.held = 0
	if p.armed {
		p.armed = false
		t.queued--
	}
	_ = unix.Close(p.fd) // leaves the epoll set by that
	p.fd = -1
	p.in.dst = nil
	t.tell()
	t.recv.Lost(rank, err)
}

// tell reports completions and whether there were any.
func (t *Transport) tell() bool {
	if len(t.outcomes) == 0 {
		return false
	}
	for i := 0; i < len(t.outcomes); i++ { // a completion may send, and so add others
		if o := t.outcomes[i]; o.done != nil {
			o.done.Sent(o.err)
		}
	}
	clear(t.outcomes)
	t.outcomes = t.outcomes[:0]
	return true
}

// Poll makes progress without blocking; see transport.Transport. It reads the
// awaited peer's socket, and looks at all peers every few calls.
func (t *Transport) Poll(hint int) bool {
	if t.closed {
		return false
	}
	if len(t.held) > 0 {
		t.letGo()
	}
	progress := t.tell()
	if t.polls++; t.polls%patrolPolls == 0 || t.rested.Load() {
		t.rested.Store(false)
		t.patrol()
	}
	if hint < 0 || t.peers[hint].fd < 0 {
		progress = t.sweep() || progress
	} else {
		progress = t.receive(hint, &t.peers[hint]) || progress
		if t.turn++; t.turn%epollEvery == 0 || t.queued > 0 {
			progress = t.sweep() || progress
		}
	}
	progress = t.tell() || progress
	t.letGo() // what receivers and completions have sent
	return progress
}

// patrol loses the peers whose hosts have vanished while data was under way;
// keep-alives find the others. The kernel's own limit, TCP_USER_TIMEOUT, does
// not tell a host that is gone from one whose process is suspended and leaves
// its window closed: that one still answers.
func (t *Transport) patrol() {
	now := time.Since(t.start)
	if now-t.patrolled < patrolEvery {
		return
	}
	t.patrolled = now
	for rank := range t.peers {
		p := &t.peers[rank]
		if p.fd < 0 {
			continue
		}
		info, err := unix.GetsockoptTCPInfo(p.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			continue
		}
		since := time.Duration(info.Last_ack_recv) * time.Millisecond
		if since >= silence && (info.Unacked > 0 || info.Probes >= 2) {
			t.lose(rank, p, errors.Errorf("its host has acknowledged nothing for %.1f s", since.Seconds()))
		}
	}
}

// sweep serves every peer that is ready, each for one turn.
func (t *Transport) sweep() (progress bool) {
	r, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(t.epoll), uintptr(unsafe.Pointer(&t.events[0])), eventSlots, 0, 0, 0)
	if errno != 0 {
		return false // EINTR: the next call will see
	}
	for i := range int(r) {
		ev := t.events[i]
		if ev.Fd == bellEvent {
			continue
		}
		rank := int(ev.Fd)
		p := &t.peers[rank]
		if p.fd >= 0 && ev.Events&unix.EPOLLOUT != 0 && p.err == nil {
			t.flush(p)
			t.arm(rank, p)
			progress = true
		}
		if p.fd >= 0 && ev.Events&^unix.EPOLLOUT != 0 {
			progress = t.receive(rank, p) || progress
		}
	}
	return progress
}

// receive reads what has arrived from a peer, up to a turn's worth.
func (t *Transport) receive(rank int, p *peer) (progress bool) {
	for turn := oneTurn; turn > 0; {
		var n, asked, direct int
		var errno syscall.Errno
		if direct = min(len(p.in.dst), oneCall); direct > 0 {
			// The rest of a payload goes where it belongs, the next headers
			// into the buffer, with one call.
			t.iov[0].Base = &p.in.dst[0]
			t.iov[0].SetLen(direct)
			k := 1
			asked = direct
			if direct == len(p.in.dst) {
				t.iov[1].Base = &t.buf[0]
				t.iov[1].SetLen(bufferSize)
				k, asked = 2, direct+bufferSize
			}
			n, errno = readv(p.fd, t.iov[:k])
			clear(t.iov[:k])
		} else {
			asked = bufferSize
			n, errno = recv(p.fd, t.buf[:])
		}
		switch {
		case errno == unix.EAGAIN:
			return progress
		case errno == unix.EINTR:
			continue
		case errno != 0:
			t.lose(rank, p, errors.Wrap(errno, "receive"))
			return true
		case n == 0:
			t.lose(rank, p, io.EOF)
			return true
		}
		progress = true
		t.received += uint64(n)
		turn -= n
		rest := n
		if direct > 0 {
			p.in.advance(t.recv, min(n, direct))
			rest -= min(n, direct)
		}
		if rest > 0 && p.fd >= 0 {
			if err := p.in.feed(t.recv, t.limit, t.buf[:rest]); err != nil {
				if p.err == nil {
					p.err = errors.WithMessage(err, "receive")
				}
				t.lose(rank, p, err)
				return true
			}
		}
		if n < asked || p.fd < 0 {
			return true // the socket is drained: a further call would only say so
		}
	}
	return progress
}

// Wait blocks until there may be something to poll, a patrol included; see
// transport.Transport.
func (t *Transport) Wait(d time.Duration) {
	t.waitMu.Lock()
	defer t.waitMu.Unlock()
	if t.over {
		return
	}
	if d < 0 || d > patrolEvery {
		d = patrolEvery
	}
	t.waiting.Store(true)
	if !t.woken.Load() && t.sleep(d) == 0 {
		t.rested.Store(true)
	}
	t.waiting.Store(false)
	t.woken.Store(false)
	if t.rung.Swap(false) {
		var b [8]byte
		unix.RawSyscall(unix.SYS_READ, uintptr(t.bell), uintptr(unsafe.Pointer(&b[0])), 8)
	}
}

// sleep blocks in the kernel and returns how many descriptors are ready.
func (t *Transport) sleep(d time.Duration) int {
	var ev [1]unix.EpollEvent
	var n uintptr
	var errno syscall.Errno
	if t.pwait2 {
		ts := unix.NsecToTimespec(int64(d))
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(t.epoll), uintptr(unsafe.Pointer(&ev[0])), 1,
			uintptr(unsafe.Pointer(&ts)), 0, 0)
	} else {
		ms := (d + time.Millisecond - 1) / time.Millisecond
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(t.epoll), uintptr(unsafe.Pointer(&ev[0])), 1, uintptr(ms), 0, 0)
	}
	if errno != 0 {
		return -1
	}
	return int(n)
}

// Wake ends the current or the next Wait. It makes no system call unless
// somebody waits.
func (t *Transport) Wake() {
	if t.woken.Swap(true) || !t.waiting.Load() {
		return
	}
	t.bellMu.Lock()
	defer t.bellMu.Unlock()
	if t.over {
		return
	}
	one := [8]byte{1} // the counter is in the machine's order, and any value but zero rings
	unix.RawSyscall(unix.SYS_WRITE, uintptr(t.bell), uintptr(unsafe.Pointer(&one[0])), 8)
	t.rung.Store(true) // after the write: a bell that rings without this mark would ring for ever
}

// PollBudget is a millisecond, or nothing where the ranks of this host are
// many more than its cores.
func (t *Transport) PollBudget() time.Duration { return t.budget }

// Pending reports whether frames wait for a Poll or for a socket to take them.
func (t *Transport) Pending() bool {
	return t.queued > 0 || len(t.held) > 0 || len(t.outcomes) > 0
}

// Bytes returns the bytes sent and received; frames count as sent when they
// are handed over.
func (t *Transport) Bytes() (sent, received uint64) { return t.sent, t.received }

// Close drops all connections and closes the listener. Calls after the first
// do nothing.
func (t *Transport) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	for i := range t.peers {
		p := &t.peers[i]
		if p.fd < 0 {
			continue
		}
		// A socket closed with unread bytes resets the connection, which may
		// take the last frames from the peer.
		_ = unix.Shutdown(p.fd, unix.SHUT_WR)
		for range oneTurn / bufferSize {
			if n, errno := recv(p.fd, t.buf[:]); n <= 0 || errno != 0 {
				break
			}
		}
	}
	err := t.listener.Close()
	t.Wake()
	t.waitMu.Lock()
	t.bellMu.Lock()
	t.over = true
	t.closeDescriptors()
	t.bellMu.Unlock()
	t.waitMu.Unlock()
	return err
}

func (t *Transport) closeDescriptors() {
	for i := range t.peers {
		p := &t.peers[i]
		if p.fd >= 0 {
			_ = unix.Close(p.fd)
			p.fd = -1
		}
		p.out, p.armed = queue{}, false
	}
	t.queued = 0
	for _, fd := range [...]*int{&t.epoll, &t.bell} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}
