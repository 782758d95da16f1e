//go:build linux && !portable

package shm

import (
	"io"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/internal/transport/frames"
)

// Poll makes progress without blocking; see transport.Transport. It looks at
// the awaited peer, and at all others every few calls.
func (t *Transport) Poll(hint int) bool {
	if t.closed {
		return false
	}
	t.polled++
	if hint < 0 || t.polled%sweepEvery == 0 || len(t.blocked) > 0 || len(t.outcomes) > 0 {
		return t.sweep(hint)
	}
	p := t.peers[hint]
	if p == nil {
		return t.rest.Poll(hint)
	}
	return p.in.begun(p.in.at) && t.receive(p)
}

// sweep serves every peer, each for one turn.
func (t *Transport) sweep(hint int) (progress bool) {
	progress = t.outcomes.Tell()
	if t.dying || t.polled%lifeEvery == 0 || t.rested.Load() {
		t.rested.Store(false)
		t.watch()
	}
	for _, p := range t.locals {
		progress = t.receive(p) || progress
	}
	for i := len(t.blocked) - 1; i >= 0; i-- { // one that is served may leave
		if i >= len(t.blocked) {
			continue // a receiver or a completion has been told of a loss
		}
		p := t.blocked[i]
		progress = t.flush(p) || progress
		switch {
		case p.err != nil:
			t.lose(p, p.err)
			progress = true
		case p.queue.Empty():
			t.unblock(p)
		}
	}
	switch {
	case t.remote && (hint < 0 || t.polled%restEvery == 0):
		progress = t.rest.Poll(-1) || progress
	case hint >= 0 && t.peers[hint] == nil:
		progress = t.rest.Poll(hint) || progress
	}
	return t.outcomes.Tell() || progress
}

// receive takes what has come from a peer, up to a turn's worth.
func (t *Transport) receive(p *peer) (progress bool) {
	if p.lost.Load() {
		return false
	}
	for turn := oneTurn; turn > 0; {
		b, err := p.in.peek()
		if err == nil && len(b) == 0 {
			if p.in.ended() {
				t.lose(p, io.EOF)
				return true
			}
			return progress
		}
		if err == nil {
			progress = true
			t.received += uint64(len(b))
			err = p.stream.Feed(t.recv, frames.MaxFrame, b)
		}
		if err != nil {
			t.lose(p, err)
			return true
		}
		if p.in.release() {
			p.rouse()
		}
		turn -= len(b)
	}
	return progress
}

// watch finds the peers whose processes have ended, and loses them when all
// that they sent has been received.
func (t *Transport) watch() {
	var events [eventSlots]unix.EpollEvent
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(t.life), uintptr(unsafe.Pointer(&events[0])), eventSlots, 0, 0, 0)
	if errno == 0 {
		for _, ev := range events[:n] {
			t.peers[ev.Fd].dead = true
			t.dying = true
		}
	}
	if !t.dying {
		return
	}
	t.dying = false
	for _, p := range t.locals {
		if !p.dead {
			continue
		}
		for t.receive(p) {
		}
		if !p.lost.Load() {
			t.lose(p, errEnded)
		}
	}
}

// lose ends the exchange with a peer.
func (t *Transport) lose(p *peer, err error) {
	p.lost.Store(true)
	t.hangUp(p)
	t.outcomes = p.queue.Fail(&t.spare, err, t.outcomes)
	t.unblock(p)
	p.stream.Discard()
	t.outcomes.Tell()
	t.recv.Lost(p.rank, err)
}

// Wait blocks until there may be something to poll; see transport.Transport.
func (t *Transport) Wait(d time.Duration) {
	t.waitMu.Lock()
	defer t.waitMu.Unlock()
	if t.over {
		return
	}
	t.own.sleeping.Store(1)
	if !t.ready() {
		t.rest.Wait(d)
	}
	t.own.sleeping.Store(0)
	// A peer that has seen the word may ring only now; then the next Wait ends
	// for nothing.
	var b [8]byte
	unix.RawSyscall(unix.SYS_READ, uintptr(t.seg.bells[t.seg.own]), uintptr(unsafe.Pointer(&b[0])), 8)
	t.rested.Store(true)
}

// Wake ends the current or the next Wait.
func (t *Transport) Wake() { t.rest.Wake() }

// ready reports whether a Poll would make progress. It is called without the
// engine's lock.
func (t *Transport) ready() bool {
	for _, p := range t.locals {
		if p.lost.Load() {
			continue
		}
		if p.in.begun(p.in.head.Load()) || p.in.closed.Load() != 0 {
			return true
		}
		if p.out.want.Load() != 0 && p.out.tail.Load()-p.out.head.Load() < uint64(len(p.out.data)) {
			return true
		}
	}
	return false
}
