package runtime

import (
	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// sending is the part of a request that the transport knows.
type sending struct{ r *Request }

// Sent is called when the payload has left, or never will.
func (s *sending) Sent(err error) {
	r := s.r
	if r.phase != leaving {
		return
	}
	// An error means that the peer is lost: the transport says so to the
	// engine too, which then ends the request.
	if err == nil {
		r.e.flown(r)
	}
}

// transmit hands e.out with a payload to the transport, or straight to the
// receiving side when it is for this rank. The credits that the peer is owed
// go along.
func (e *engine) transmit(peer int, payload [][]byte, done transport.Completion) bool {
	if peer == e.rank {
		e.loop(payload)
		return true
	}
	p := &e.peers[peer]
	window := forMessages
	for w := range windows {
		if p.owed[w] > p.owed[window] {
			window = w
		}
	}
	e.repay(p, window)
	return e.hand(peer, payload, done)
}

// hand hands e.out to the transport, and counts it.
func (e *engine) hand(peer int, payload [][]byte, done transport.Completion) bool {
	if p := &e.peers[peer]; p.lost == nil {
		p.sent += uint64(wire.HeaderSize + e.out.Payload())
	}
	return e.t.Send(peer, &e.out, payload, done)
}

// loop delivers e.out to this rank itself. What it starts may send again.
func (e *engine) loop(payload [][]byte) {
	h := e.out
	p := &e.peers[e.rank]
	outer := p.cur
	buf, err := e.Begin(e.rank, &h)
	if err != nil {
		panic("runtime: message to self: " + err.Error())
	}
	if buf != nil {
		for _, b := range payload {
			buf = buf[copy(buf, b):]
		}
	}
	e.End(e.rank, &h)
	p.cur = outer
}

// repay puts what a peer is owed into e.out.
func (e *engine) repay(p *peer, window int) {
	if p.owed[window] == 0 {
		return
	}
	e.out.Credits = uint32(p.owed[window])
	p.owed[window] = 0
	switch window {
	case forSpaces:
		e.out.Flags |= wire.CreditSpaces
	case forPorts:
		e.out.Flags |= wire.CreditPorts
	case forNotes:
		e.out.Flags |= wire.CreditNotes
	}
}

// windowOf is the window that a message takes from.
func windowOf(h *wire.Header) int {
	if h.Kind == wire.Post || h.Kind == wire.Call || h.Kind == wire.Request && h.Flags&wire.ToPort != 0 {
		return forPorts
	}
	if h.Kind == wire.Access {
		return forNotes
	}
	return windowOfSpace(h.Context)
}

// windowOfSpace is that of the messages of a context.
func windowOfSpace(context uint32) int {
	if context&0xff != 0 {
		return forSpaces
	}
	return forMessages
}

// costOf is what a message takes of its window.
func costOf(h *wire.Header) int { return messageCost + h.Payload() }

// affords reports whether a message may go now, without a look at those that wait.
func (e *engine) affords(h *wire.Header, p *peer, window int) bool {
	left := p.credits[window] - costOf(h)
	return left >= 0 || p.dry[window] && h.Kind == wire.Request && left >= -overdraft
}

// tight reports whether a small message is to be announced like a large one,
// because the peer has so much to receive that the rest of its window, if there is
// any, is kept for announcements: a receive that takes a late message first finds
// it.
func (e *engine) tight(h *wire.Header, p *peer, window int) bool {
	if h.Kind != wire.Eager {
		return false
	}
	left := p.credits[window] - costOf(h)
	return p.dry[window] && left < 0 || h.Length > announceOver && (p.waiting[window].first != nil || left < e.window/4)
}

// eager sends a small message at once if it may go, without a request.
func (e *engine) eager(h wire.Header, peer int, payload [][]byte) bool {
	p := &e.peers[peer]
	window := windowOf(&h)
	cost := costOf(&h)
	if e.tight(&h, p, window) || p.waiting[window].first != nil || !e.affords(&h, p, window) {
		return false
	}
	p.credits[window] -= cost
	e.ended++
	e.out = h
	e.transmit(peer, payload, nil)
	return true
}

// start begins a request that sends: at once when there are credits, in its
// turn otherwise. r.head and r.payload are set.
func (e *engine) start(r *Request) {
	p := &e.peers[r.peer]
	r.e = e
	r.flight.r = r
	if r.group != nil {
		r.group.link(r)
	}
	window := windowOf(&r.head)
	if e.tight(&r.head, p, window) {
		r.head.Kind, r.head.Flags = wire.Request, 0
	}
	answered := r.head.Kind == wire.Request || r.awaited()
	if answered || r.kind == opCall {
		e.lastOp++
		r.head.ID = e.lastOp
	}
	full := p.waiting[window].first != nil || !e.affords(&r.head, p, window)
	if p.left && r.kind == opSend && (full || answered) {
		e.complete(r, e.deserted(r.peer))
		return
	}
	if q := &p.waiting[window]; full {
		r.phase = queued
		q.push(r)
		e.expectDrought(window)
		return
	}
	p.credits[window] -= costOf(&r.head)
	e.launch(r)
}

// launch sends a request's first frame, whose credits have been taken.
func (e *engine) launch(r *Request) {
	e.out = r.head
	switch {
	case r.head.Kind == wire.Access: // the credits are all it wants
		e.complete(r, nil)
	case r.head.Kind == wire.Request:
		r.phase = announced
		e.sends[r.head.ID] = r
		if r.kind == opCall {
			e.calls[r.head.ID] = r
		}
		e.transmit(r.peer, nil, nil)
	case r.awaited():
		r.phase = delivered
		e.sends[r.head.ID] = r
		e.transmit(r.peer, r.payload, nil)
	case r.kind == opCall:
		r.phase = calling
		e.calls[r.head.ID] = r
		e.transmit(r.peer, r.payload, nil)
	default:
		e.transmit(r.peer, r.payload, nil)
		e.complete(r, nil)
	}
}

// awaited reports whether the request is a small message whose sender waits to
// hear that a receive has met it.
func (r *Request) awaited() bool { return r.head.Kind == wire.Eager && r.head.Flags&wire.Sync != 0 }

// release sends the payload of a request that the peer is ready for.
func (e *engine) release(r *Request) {
	delete(e.sends, r.head.ID)
	r.phase = leaving
	n := r.head.Length
	e.out = wire.Header{Kind: wire.Data, ID: r.head.ID, Length: n}
	if e.transmit(r.peer, r.payload, &r.flight) && r.phase == leaving {
		e.flown(r)
	}
}

// flown is told that a large payload has left.
func (e *engine) flown(r *Request) {
	if r.kind == opCall && !r.replied {
		r.phase = calling
		return
	}
	e.complete(r, nil)
}

// sendQueue holds the requests that wait for credits, in order.
type sendQueue struct {
	first, last *Request
	draining    bool
}

func (q *sendQueue) push(r *Request) {
	r.prevSend, r.nextSend = q.last, nil
	if q.last == nil {
		q.first = r
	} else {
		q.last.nextSend = r
	}
	q.last = r
}

func (q *sendQueue) remove(r *Request) {
	if r.prevSend == nil {
		q.first = r.nextSend
	} else {
		r.prevSend.nextSend = r.nextSend
	}
	if r.nextSend == nil {
		q.last = r.prevSend
	} else {
		r.nextSend.prevSend = r.prevSend
	}
	r.prevSend, r.nextSend = nil, nil
}

// credited takes credits that a peer returned and sends what waited for them.
func (e *engine) credited(peer, window, n int) {
	p := &e.peers[peer]
	p.credits[window] += n
	p.fed[window] = true
	if p.credits[window] >= 0 {
		p.dry[window] = false
	}
	e.drain(p, window)
}

// drain sends what waits for credits as far as there are any.
func (e *engine) drain(p *peer, window int) {
	q := &p.waiting[window]
	if q.draining {
		return // further down the stack; it goes on
	}
	q.draining = true
	for r := q.first; r != nil; r = q.first {
		if !e.affords(&r.head, p, window) {
			break
		}
		p.credits[window] -= costOf(&r.head)
		q.remove(r)
		e.launch(r)
	}
	q.draining = false
}

// consumed returns the credits of a message that is not here any more.
func (e *engine) consumed(peer, window, size int) {
	p := &e.peers[peer]
	cost := messageCost + size
	p.held[window] -= cost
	if peer == e.rank {
		e.credited(peer, window, cost)
		return
	}
	p.owed[window] += cost
	// Soon enough for any message to fit that the peer may be waiting with.
	if p.owed[window] >= e.window/4 && p.lost == nil {
		e.out = wire.Header{Kind: wire.Credit}
		e.repay(p, window)
		e.hand(peer, nil, nil)
	}
}
