//go:build linux && !portable

package shm

import (
	"slices"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/frames"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// oneChunk is the longest frame that is copied before the receiver sees any of it.
const oneChunk = 8 << 10

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
	if n := wire.HeaderSize + size; n <= oneChunk && p.queue.Empty() {
		to, err := p.out.space(n)
		if err != nil {
			t.condemn(p, err)
			return true
		}
		if len(to) == n {
			h.Encode(to)
			to = to[wire.HeaderSize:]
			for _, b := range payload {
				to = to[put(to, b):]
			}
			p.out.publish(n)
			p.rouse()
			return true
		}
	}
	p.queue.Push(&t.spare, h, payload, size, done)
	if !p.blocked {
		before := len(t.outcomes)
		t.flush(p)
		if !p.queue.Empty() {
			// Once more: who has freed room before want was set has told nobody.
			t.block(p)
			t.flush(p)
		}
		if p.queue.Empty() {
			t.unblock(p)
			t.outcomes = t.outcomes[:before] // it is told by the result
			return true
		}
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
		to, err := p.out.space(len(b))
		if err != nil {
			t.condemn(p, err)
			break
		}
		if len(to) == 0 {
			break
		}
		n := put(to, b)
		p.out.publish(n)
		t.outcomes = p.queue.Advance(&t.spare, n, t.outcomes)
		turn -= n
		moved = true
	}
	if p.blocked {
		p.out.tail.Store(p.out.next)
	}
	if moved {
		p.rouse()
	}
	return moved
}

// block remembers that a peer's queue is not empty.
func (t *Transport) block(p *peer) {
	if !p.blocked {
		p.blocked = true
		t.blocked = append(t.blocked, p)
		p.out.tail.Store(p.out.next)
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
	t.Wake()
}
