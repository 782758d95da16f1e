//go:build linux && !portable

package shm

import (
	"slices"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/frames"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Send hands over a frame; see transport.Transport.
func (t *Transport) Send(rank int, h *wire.Header, payload [][]byte, done transport.Completion) bool {
	p := t.peers[rank]
	if p == nil {
		return t.rest.Send(rank, h, payload, done)
	}
	if t.closed || p.err != nil || p.lost.Load() {
		return true
	}
	size := frames.Total(payload)
	t.sent += uint64(wire.HeaderSize + size)
	if p.queue.Empty() {
		n, err := p.out.room(wire.HeaderSize + size)
		if err != nil {
			t.condemn(p, err)
			return true
		}
		if n >= wire.HeaderSize+size {
			p.out.header(h)
			for _, b := range payload {
				p.out.write(b)
			}
			p.out.publish()
			p.rouse()
			return true
		}
	}
	p.queue.Push(&t.spare, h, payload, size, done)
	if !p.blocked {
		before := len(t.outcomes)
		t.flush(p)
		if p.queue.Empty() {
			t.outcomes = t.outcomes[:before] // it is told by the result
			return true
		}
		t.block(p)
	}
	if done == nil && size > frames.SmallSize {
		p.queue.Own(&t.spare, nil)
	}
	return false
}

// flush writes from a peer's queue what the ring takes, up to a turn's worth,
// and reports whether that was anything.
func (t *Transport) flush(p *peer) bool {
	moved := false
	for turn := oneTurn; turn > 0 && !p.queue.Empty(); {
		b := p.queue.Pending()[0].Data
		n, err := p.out.room(min(len(b), piece(len(p.out.data))))
		if err != nil {
			t.condemn(p, err)
			break
		}
		if n == 0 {
			break
		}
		n = min(n, len(b))
		p.out.write(b[:n])
		t.outcomes = p.queue.Advance(&t.spare, n, t.outcomes)
		turn -= n
	}
	if p.out.publish() {
		moved = true
		p.rouse()
	}
	return moved
}

// block remembers that a peer's queue is not empty.
func (t *Transport) block(p *peer) {
	if !p.blocked {
		p.blocked = true
		t.blocked = append(t.blocked, p)
		p.out.want.Store(1)
	}
}

// unblock forgets it.
func (t *Transport) unblock(p *peer) {
	if p.blocked {
		p.blocked = false
		t.blocked = slices.DeleteFunc(t.blocked, func(b *peer) bool { return b == p })
		p.out.want.Store(0)
	}
}

// condemn has the next Poll lose a peer.
func (t *Transport) condemn(p *peer, err error) {
	p.err = err
	t.block(p)
}
