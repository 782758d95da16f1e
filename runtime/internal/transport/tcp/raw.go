//go:build linux && !portable

package tcp

import (
	"net"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/frames"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

const (
	bufferSize = 64 << 10 // of the buffer through which headers and small payloads are read
	shortRead  = 4 << 10  // of it, while a long payload is expected, which goes where it belongs
	oneTurn    = 1 << 20  // bytes moved for one peer, by one system call where they can be, before it is another's turn
	eventSlots = 64
	iovSlots   = 64
	vainLooks  = 8  // calls of Poll, in a row, that find nothing from the awaited peer, before a look at all
	epollEvery = 64 // calls of Poll with a hint between looks at all peers

	holdFor   = 50 * time.Microsecond // after a small frame, the next ones to its peer wait for a Poll
	holdBytes = 32 << 10              // that wait at most

	patrols     = true
	patrolEvery = 250 * time.Millisecond
	patrolPolls = 256 // calls of Poll between looks at the clock

	settling = 100 * time.Millisecond // for what was written, before sockets are closed

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
	expecter transport.Expecter // recv, or nil
	limit    uint64
	budget   time.Duration
	start    time.Time

	// Guarded by the engine's lock.
	peers          []peer // by rank
	queued         int    // peers whose socket is full
	asked          int    // peers with frames that wait for their connection
	held           []int  // peers with frames that wait for a Poll
	round          uint   // counts when what is held leaves
	turn           uint   // calls of Poll with a hint since the last look at all peers
	vain           uint   // of these, the last that found nothing
	polls          uint
	patrolled      time.Duration   // since start
	outcomes       frames.Outcomes // completions to tell at the next Poll
	spare          frames.Pool
	sent, received uint64
	closed         bool
	events         [eventSlots]unix.EpollEvent
	iov            [iovSlots]unix.Iovec
	buf            [bufferSize]byte                         // what a read returns; empty between calls
	small          [wire.HeaderSize + frames.SmallSize]byte // a small frame on its way out

	epoll, bell, timer int // descriptors; the bell is an eventfd in the epoll set, the timer a timerfd

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
	fd    int   // -1: none, the rank itself or a lost one, or late
	late  bool  // to be connected on first use
	armed bool  // registered for writability
	err   error // of a write; the connection ends when all has been read
	out   frames.Queue
	in    frames.Stream

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
		timer:    -1,
	}
	t.expecter, _ = recv.(transport.Expecter)
	cores := l.cfg.HostCores // of which this process may be bound to one
	if cores == 0 {
		cores = goruntime.NumCPU()
	}
	if l.cfg.HostRanks > crowded*cores {
		t.budget = 0
	}
	for i := range t.peers {
		t.peers[i].fd = -1
		t.peers[i].late = l.awaits(i)
		t.peers[i].in.Peer = i
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
	if t.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return t, errors.Wrap(err, "timerfd")
	}
	if err = t.watch(unix.EPOLL_CTL_ADD, t.timer, timerEvent, unix.EPOLLIN); err != nil {
		return t, errors.Wrap(err, "epoll: timerfd")
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
	l.attend(t.Wake)
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

// These stand for bell and timer where a rank stands for its connection.
const (
	bellEvent  = -1
	timerEvent = -2
	otherEvent = -3
)

// Watch has every Wait end while fd can be read, until fd is closed. Poll takes
// no notice of it.
func (t *Transport) Watch(fd int) error {
	return errors.Wrap(t.watch(unix.EPOLL_CTL_ADD, fd, otherEvent, unix.EPOLLIN), "epoll")
}

func (t *Transport) watch(op, fd, who int, events uint32) error {
	return unix.EpollCtl(t.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(who)})
}

// PollBudget is a millisecond, or nothing where the ranks of this host are
// many more than its cores.
func (t *Transport) PollBudget() time.Duration { return t.budget }

// Polls is one: a look at a socket is a system call, as giving up the core is.
func (t *Transport) Polls(int) int { return 1 }

// Pending reports whether frames wait for a Poll or for a socket to take them.
func (t *Transport) Pending() bool {
	return t.queued > 0 || t.asked > 0 || len(t.held) > 0 || len(t.outcomes) > 0
}

// Link says whether there is a connection to a peer.
func (t *Transport) Link(rank int) transport.Link {
	switch p := &t.peers[rank]; {
	case p.fd >= 0:
		return transport.Linked
	case p.late:
		return t.listener.link(rank)
	}
	return transport.Unlinked
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
	t.settle()
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

// settle waits until the peers' systems have all that was written, but not for
// long: what they send to a socket that is closed resets the connection, and what
// has not been acknowledged then is lost.
func (t *Transport) settle() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(settling); time.Now().Before(until); <-tick.C {
		if !slices.ContainsFunc(t.peers, func(p peer) bool {
			if p.fd < 0 || p.err != nil {
				return false
			}
			n, err := unix.IoctlGetInt(p.fd, unix.SIOCOUTQ)
			return err == nil && n > 1 // the end itself counts as a byte
		}) {
			return
		}
	}
}

func (t *Transport) closeDescriptors() {
	for i := range t.peers {
		p := &t.peers[i]
		if p.fd >= 0 {
			_ = unix.Close(p.fd)
			p.fd = -1
		}
		p.out, p.armed, p.late = frames.Queue{}, false, false
	}
	t.queued, t.asked = 0, 0
	for _, fd := range [...]*int{&t.epoll, &t.bell, &t.timer} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}
