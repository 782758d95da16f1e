//go:build linux && !portable

package tcp

import (
	"io"
	"net"
	"syscall"
	"time"
	"unsafe"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// Poll makes progress without blocking; see transport.Transport. It reads the
// awaited peer's socket, and looks at all peers when nothing has come from that
// one for a few calls, and now and then.
func (t *Transport) Poll(hint int) bool {
	if t.closed {
		return false
	}
	if len(t.held) > 0 {
		t.letGo()
	}
	progress := t.outcomes.Tell()
	if t.listener.news.Load() {
		t.adopt()
		progress = true
	}
	if t.polls++; t.polls%patrolPolls == 0 || t.rested.Load() {
		t.rested.Store(false)
		t.patrol()
	}
	if hint < 0 || t.peers[hint].fd < 0 {
		progress = t.sweep() || progress
	} else {
		t.turn++
		t.vain++
		if t.receive(hint, &t.peers[hint]) {
			progress, t.vain = true, 0
		}
		if t.vain >= vainLooks || t.turn >= epollEvery || t.queued > 0 {
			progress = t.sweep() || progress
		}
	}
	progress = t.outcomes.Tell() || progress
	t.letGo() // what receivers and completions have sent
	return progress
}

// adopt takes over the connections that have been made on first use.
func (t *Transport) adopt() {
	for _, c := range t.listener.latecomers() {
		p := &t.peers[c.rank]
		if !p.late { // the rank is reached another way: its program is not ours
			if c.conn != nil {
				c.conn.Close()
			}
			continue
		}
		p.late = false
		if !p.out.Empty() {
			t.asked--
		}
		err := c.err
		if err == nil {
			p.fd, err = take(c.conn)
		}
		if err == nil {
			err = errors.Wrap(t.watch(unix.EPOLL_CTL_ADD, p.fd, c.rank, unix.EPOLLIN), "epoll")
		}
		if err == nil {
			t.flush(p)
			t.arm(c.rank, p)
		}
		tell(t.recv, c.rank, err)
		if err != nil {
			t.lose(c.rank, p, err)
		}
	}
}

// take makes a new connection's descriptor the transport's.
func take(c *net.TCPConn) (fd int, err error) {
	if err := tune(c); err != nil {
		c.Close()
		return -1, errors.Wrap(err, "socket options")
	}
	if fd, err = detach(c); err != nil {
		c.Close()
	}
	return fd, err
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
			for p.fd >= 0 && t.receive(rank, p) { // what is here came from it
			}
			if p.fd < 0 {
				continue
			}
			t.lose(rank, p, errors.Errorf("its host has acknowledged nothing for %.1f s", since.Seconds()))
		}
	}
}

// sweep serves every peer that is ready, each for one turn.
func (t *Transport) sweep() (progress bool) {
	t.turn, t.vain = 0, 0
	r, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(t.epoll), uintptr(unsafe.Pointer(&t.events[0])), eventSlots, 0, 0, 0)
	if errno != 0 {
		return false // EINTR: the next call will see
	}
	for i := range int(r) {
		ev := t.events[i]
		if ev.Fd < 0 {
			continue // bell or timer
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
		room := bufferSize
		if t.expecter != nil && t.expecter.Expects(rank) {
			room = shortRead
		}
		var errno syscall.Errno
		dst := p.in.Rest()
		if direct = min(len(dst), oneTurn); direct > 0 {
			// The rest of a payload goes where it belongs, the next headers
			// into the buffer, with one call.
			t.iov[0].Base = &dst[0]
			t.iov[0].SetLen(direct)
			k := 1
			asked = direct
			if direct == len(dst) {
				t.iov[1].Base = &t.buf[0]
				t.iov[1].SetLen(room)
				k, asked = 2, direct+room
			}
			n, errno = readv(p.fd, t.iov[:k])
			clear(t.iov[:k])
		} else {
			asked = room
			n, errno = recv(p.fd, t.buf[:room])
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
			p.in.Advance(t.recv, min(n, direct))
			rest -= min(n, direct)
		}
		if rest > 0 && p.fd >= 0 {
			if err := p.in.Feed(t.recv, t.limit, t.buf[:rest]); err != nil {
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
		drain(t.bell)
	}
}

// drain reads a counter, so that it is not ready any more.
func drain(fd int) {
	var b [8]byte
	unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), 8)
}

// sleep blocks in the kernel and returns how many connections are ready, the
// bell included.
//
// A short sleep is an emulated network's and ends by the timer: a time limit of
// epoll is in milliseconds, and the kernel adds its slack to one of epoll_pwait2,
// 50 µs or a thousandth.
func (t *Transport) sleep(d time.Duration) int {
	var ev [1]unix.EpollEvent
	var start time.Time
	limit := -1 // the timer alone: one that is left behind would end the next sleep
	if d < patrolEvery {
		in := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))} // zero would disarm
		unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(t.timer), 0, uintptr(unsafe.Pointer(&in)), 0, 0, 0)
	} else {
		start, limit = time.Now(), int(patrolEvery/time.Millisecond)
	}
	n, _, errno := uintptr(0), uintptr(0), unix.EINTR
	for errno == unix.EINTR {
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(t.epoll), uintptr(unsafe.Pointer(&ev[0])), 1,
			uintptr(limit), 0, 0)
		if errno == unix.EINTR && limit >= 0 { // a signal, by which Go preempts
			limit = int((max(d-time.Since(start), 0) + time.Millisecond - 1) / time.Millisecond)
		}
	}
	switch {
	case errno != 0:
		return -1
	case n > 0 && ev[0].Fd == timerEvent:
		drain(t.timer) // only here: it must wake who sleeps, not who polls meanwhile
		return 0
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
