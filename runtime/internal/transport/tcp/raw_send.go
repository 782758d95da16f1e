//go:build linux && !portable

package tcp

import (
	"time"
	"unsafe"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/frames"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// arm asks for writability while there is something to write, and only then.
func (t *Transport) arm(rank int, p *peer) {
	want := !p.out.Empty()
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
// before and nobody has polled since, or it is a Pull, which something mostly
// follows, and callers poll at all: then it is held, and all that are held leave with one write at the next
// Poll, which who sends and then waits calls right away and who waits in Wait is
// woken for.
func (t *Transport) Send(rank int, h *wire.Header, payload [][]byte, done transport.Completion) bool {
	p := &t.peers[rank]
	if p.fd < 0 || p.err != nil {
		return !p.late || t.ask(rank, p, h, payload, done)
	}
	size := frames.Total(payload)
	small := size <= frames.SmallSize
	t.sent += uint64(wire.HeaderSize + size)
	blocked := p.armed
	if small && p.out.Empty() {
		if (h.Kind != wire.Pull || t.budget == 0) && (done != nil || p.round != t.round || time.Since(t.start)-p.wrote > holdFor) {
			p.round = t.round
			sent := t.sendSmall(rank, p, h, payload, done)
			p.wrote = time.Since(t.start) // not before: the peer has the frame already
			return sent
		}
		t.held = append(t.held, rank)
		t.Wake()
	}
	p.out.Push(&t.spare, h, payload, size, done)
	if !blocked && small && done == nil && p.held < holdBytes {
		p.held += wire.HeaderSize + size
		return false
	}
	if !blocked {
		p.held = 0
		before := len(t.outcomes)
		t.flush(p)
		if p.out.Empty() {
			t.outcomes = t.outcomes[:before] // it is told by the result
			return true
		}
		t.arm(rank, p)
	}
	if done == nil && !small {
		p.out.Own(&t.spare, nil)
	}
	return false
}

// ask keeps a frame until the connection to its peer is there.
func (t *Transport) ask(rank int, p *peer, h *wire.Header, payload [][]byte, done transport.Completion) bool {
	size := frames.Total(payload)
	t.sent += uint64(wire.HeaderSize + size)
	if p.out.Empty() {
		t.asked++
		t.listener.want(rank)
	}
	p.out.Push(&t.spare, h, payload, size, done)
	if done == nil && size > frames.SmallSize {
		p.out.Own(&t.spare, nil)
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
	p.out.Copy(&t.spare, frame[n:])
	p.out.Mark(done)
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
func (t *Transport) Discard(rank int) { t.peers[rank].in.Discard() }

// Detach gives a sender its payload back; see transport.Transport.
func (t *Transport) Detach(rank int, done transport.Completion) {
	if t.peers[rank].out.Own(&t.spare, done) {
		return
	}
	t.outcomes.Forget(done)
}

// flush writes from a peer's queue what the socket takes, up to a turn's worth.
func (t *Transport) flush(p *peer) {
	for turn := oneTurn; turn > 0 && !p.out.Empty(); {
		n, asked := 0, 0
		for _, s := range p.out.Pending() {
			b := s.Data[:min(len(s.Data), oneTurn-asked)]
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
		t.outcomes = p.out.Advance(&t.spare, moved, t.outcomes)
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
	t.outcomes = p.out.Fail(&t.spare, p.err, t.outcomes)
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
	t.outcomes = p.out.Fail(&t.spare, err, t.outcomes)
	p.held = 0
	if p.armed {
		p.armed = false
		t.queued--
	}
	if p.fd >= 0 {
		_ = unix.Close(p.fd) // leaves the epoll set by that
		p.fd = -1
	}
	p.in.Discard()
	t.outcomes.Tell()
	t.recv.Lost(rank, err)
}
