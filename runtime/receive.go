package runtime

import (
	"bytes"
	stderrors "errors"
	"io"
	"slices"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Begin is told by the transport that a frame has begun and says where its
// payload goes. Frames without payload are handled by End.
func (e *engine) Begin(peer int, h *wire.Header) ([]byte, error) {
	p := &e.peers[peer]
	p.cur = arrival{}
	if h.Credits != 0 {
		window := forMessages
		switch h.Flags & wire.CreditNotes {
		case wire.CreditPorts:
			window = forPorts
		case wire.CreditSpaces:
			window = forSpaces
		case wire.CreditNotes:
			window = forNotes
		}
		if p.credits[window]+int(h.Credits) > e.window {
			return nil, errors.Errorf("protocol: %d credits too many", p.credits[window]+int(h.Credits)-e.window)
		}
		e.credited(peer, window, int(h.Credits))
	}
	switch h.Kind {
	case wire.Pull:
		return nil, e.beginPull(peer, h)
	case wire.Eager, wire.Post, wire.Call, wire.Request:
		if h.Payload() > eagerLimit {
			return nil, errors.Errorf("protocol: small message of %d bytes", h.Length)
		}
		if h.ID&wire.PullID != 0 {
			return nil, errors.Errorf("protocol: %#x is the number of a pull", h.ID)
		}
		window := windowOf(h)
		if window == forPorts && h.Length > portLimit {
			return nil, errors.Errorf("protocol: message of %d bytes to a port", h.Length)
		}
		if p.held[window] += costOf(h); p.held[window] > e.window && (h.Kind != wire.Request || p.held[window] > e.window+overdraft) {
			return nil, errors.New("protocol: messages beyond the credits")
		}
		switch h.Kind {
		case wire.Eager:
			return e.beginEager(peer, h), nil
		case wire.Request:
			return nil, nil
		default:
			m := e.portMessage(peer, h)
			p.cur.message = m
			m.buf = e.newBuffer(m.size)
			return m.buf, nil
		}
	case wire.Data:
		a := p.inbound[h.ID]
		if a == nil {
			return nil, errors.Errorf("protocol: payload of a message %d that was not asked for", h.ID)
		}
		void := h.Flags&(wire.Unlike|wire.Gone) != 0
		if void && h.ID&wire.PullID == 0 {
			return nil, errors.Errorf("protocol: message %d is not the one announced", h.ID)
		}
		delete(p.inbound, h.ID)
		if *a != (arrival{}) {
			p.coming--
		}
		p.cur = *a
		if m := a.message; m != nil {
			if int(h.Length) != m.size {
				return nil, errors.Errorf("protocol: payload of %d bytes, announced were %d", h.Length, m.size)
			}
			return m.buf, nil
		}
		r := a.request
		if r == nil || void {
			return nil, nil
		}
		if int(h.Length) != r.status.Bytes {
			return nil, errors.Errorf("protocol: payload of %d bytes, announced were %d", h.Length, r.status.Bytes)
		}
		r.phase = arriving
		return r.buf[:h.Length], nil
	case wire.Reply:
		if h.Length > portLimit {
			return nil, errors.Errorf("protocol: reply of %d bytes", h.Length)
		}
		r := e.calls[h.ID]
		if r == nil || r.peer != peer || r.phase == announced {
			return nil, nil // the call has been cancelled
		}
		p.cur.request = r
		r.reply = make([]byte, h.Length)
		return r.reply, nil
	case wire.Access:
		return e.beginAccess(peer, h)
	case wire.Put:
		return e.beginPut(h)
	case wire.Answer:
		return e.beginAnswer(peer, h)
	case wire.Left:
		parts := h.Flags&wire.Parted != 0
		if h.Length > 0 || h.ID >= uint64(e.size) || h.ID == uint64(e.rank) || !slices.Contains(e.tree, peer) || parts && !e.leaving {
			return nil, errors.Errorf("protocol: word that rank %d leaves", h.ID)
		}
		return nil, nil
	case wire.Goodbye:
		if !e.leaving || h.Length > 0 {
			return nil, errors.New("protocol: a goodbye before this rank has left")
		}
		return nil, nil
	case wire.Revoke:
		if h.Length > maxCause {
			return nil, errors.Errorf("protocol: cause of %d bytes", h.Length)
		}
		m := e.newMessage()
		m.buf = e.newBuffer(int(h.Length))
		p.cur.message = m
		return m.buf, nil
	default:
		if h.Payload() > 0 {
			return nil, errors.Errorf("protocol: payload with frame of kind %d", h.Kind)
		}
		return nil, nil
	}
}

// Expects reports whether a long payload is about to come from a peer.
func (e *engine) Expects(peer int) bool { return e.peers[peer].coming > 0 }

// beginEager finds the place for a small message.
func (e *engine) beginEager(peer int, h *wire.Header) []byte {
	p := &e.peers[peer]
	q := e.queuesOf(h.Context)
	if q == nil { // closed
		return nil
	}
	if en := q.Deliver(peer, h.Tag); en != nil {
		r := en.Value
		if r.kind == opMatch {
			m := e.incoming(peer, h)
			m.buf = e.newBuffer(m.size)
			p.cur.message = m
			e.seize(r, m)
			return m.buf
		}
		if !e.accept(r, peer, h.Tag, h.Elem, int(h.Length)) {
			return nil
		}
		r.phase = arriving
		p.cur.request = r
		return r.buf[:h.Length]
	}
	m := e.hold(q, peer, h)
	m.buf = e.newBuffer(m.size)
	p.cur.message = m
	return m.buf
}

// errPartial: only a peer that breaks the rules sends such.
var errPartial = stderrors.New("protocol: a message that ends within an element")

// accept checks a message against the receive that it met. When it does not
// fit, the receive ends with an error.
func (e *engine) accept(r *Request, source int, tag uint32, elem uint8, size int) bool {
	// Until the request ends, its status names the sender by its place in the job.
	r.status = Status{Source: source, Tag: Tag(tag), Bytes: size, Count: size / elemSize(elem)}
	var err error
	switch {
	case elem != r.elem:
		err = &TypeError{Sent: elemName(elem), Want: elemName(r.elem)}
	case size > r.limit:
		err = &TruncationError{Bytes: size, Room: r.limit}
	case size%elemSize(elem) != 0:
		err = errPartial
	case r.alloc != nil:
		r.buf = r.alloc(size)
	case r.parts != nil:
		r.buf = make([]byte, size)
	}
	if err != nil {
		e.received(r, err)
		return false
	}
	return true
}

// received ends a receive that met a message.
func (e *engine) received(r *Request, err error) {
	r.status.Source = r.group.place(r.status.Source)
	e.complete(r, err)
}

// post starts a receive: it takes a message that waits, or queues.
func (e *engine) post(r *Request) {
	r.e = e
	r.group.link(r)
	q := e.queuesOf(r.context)
	en := q.Claim(r.peer, r.entry.Tag)
	if en == nil && r.peer >= 0 && e.peers[r.peer].left {
		e.complete(r, e.deserted(r.peer))
		return
	}
	if en == nil {
		r.entry.Source, r.entry.Value = r.peer, r
		r.phase = posted
		q.Post(&r.entry)
		return
	}
	e.take(r, en.Value)
}

// clear answers the announcement of a large message: r is ready for it, or it
// is not wanted.
func (e *engine) clear(r *Request, peer int, id uint64, fits bool) {
	e.out = wire.Header{Kind: wire.Clear, ID: id}
	if fits {
		r.phase, r.head.ID = cleared, id
		r.landing = arrival{request: r}
		e.peers[peer].expect(id, &r.landing)
	} else {
		e.out.Flags = wire.Refuse
	}
	e.transmit(peer, nil, nil)
}

// End is told by the transport that a frame is complete.
func (e *engine) End(peer int, h *wire.Header) {
	p := &e.peers[peer]
	cur := p.cur
	p.cur = arrival{}
	switch h.Kind {
	case wire.Eager:
		e.endEager(peer, cur, h)
	case wire.Post, wire.Call:
		cur.message.whole = true
		e.ready(cur.message)
	case wire.Request:
		e.endRequest(peer, h)
	case wire.Clear:
		r := e.sends[h.ID]
		switch {
		case r == nil || r.peer != peer: // given up together with its communicator
		case h.Flags&wire.Refuse != 0 || r.phase == delivered:
			delete(e.sends, h.ID)
			delete(e.calls, h.ID)
			var err error
			if r.kind == opCall {
				err = ErrClosed
			}
			e.complete(r, err)
		default:
			e.release(r)
		}
	case wire.Data:
		switch {
		case cur.message != nil:
			cur.message.whole = true
			e.ready(cur.message)
		case cur.request != nil:
			e.received(cur.request, cur.request.differs(h))
		}
	case wire.Pull:
		e.endPull(peer, h)
	case wire.Reply:
		if r := cur.request; r != nil {
			delete(e.calls, h.ID)
			if h.Flags&wire.PortClosed != 0 {
				r.err = during(r.String(), ErrClosed)
			}
			r.replied = true
			if r.phase == calling {
				e.complete(r, nil)
			}
		}
	case wire.Access:
		e.endAccess(peer, h, cur.message.buf)
		e.freeMessage(cur.message)
	case wire.Put:
		e.endPut(peer, h)
	case wire.Answer:
		e.endAnswer(peer, cur, h)
	case wire.Leave:
		p.left = true
		e.desert(peer)
		e.tellPorts(peer)
		e.checkLeave()
	case wire.Left:
		e.hearLeft(peer, h)
	case wire.Goodbye:
		p.left, p.gone = true, true
		e.checkLeave()
	case wire.Revoke:
		p.fell = true
		m := cur.message
		from := peer
		if e.tree != nil && h.ID < uint64(e.size) {
			from = int(h.ID) // peer may only pass it on
			e.passRevoke(&revocation{bytes.Clone(m.buf), from})
		}
		rank, cause := decodeCause(m.buf, from)
		e.freeMessage(m)
		if rank < 0 || rank >= e.size || rank == e.rank {
			rank = from
		}
		if rank == e.rank {
			rank = peer
		}
		e.lose(rank, cause)
	}
}

func (e *engine) endEager(peer int, cur arrival, h *wire.Header) {
	m, window, size := cur.message, windowOf(h), int(h.Length)
	if m == nil {
		// Straight to the receive, or thrown away.
		e.consumed(peer, window, size)
		if cur.request != nil {
			e.received(cur.request, nil)
		}
		if h.Flags&wire.Sync != 0 {
			e.clear(nil, peer, h.ID, false)
		}
		return
	}
	m.whole = true
	if m.entry.Queued() || m.taken {
		return
	}
	// Claimed while it was arriving; the receive may have been cancelled.
	if r := m.request; r != nil {
		copy(r.buf, m.buf)
		e.received(r, nil)
	}
	e.spent(m)
}

// endRequest takes the announcement of a large message.
func (e *engine) endRequest(peer int, h *wire.Header) {
	if h.Flags&wire.ToPort != 0 {
		m := e.portMessage(peer, h)
		m.large = true
		e.ready(m)
		return
	}
	q := e.queuesOf(h.Context)
	if q == nil {
		e.clear(nil, peer, h.ID, false)
		e.consumed(peer, windowOf(h), 0)
		return
	}
	if en := q.Deliver(peer, h.Tag); en != nil {
		r := en.Value
		if r.kind == opMatch {
			e.seize(r, e.incoming(peer, h))
			return
		}
		e.clear(r, peer, h.ID, e.accept(r, peer, h.Tag, h.Elem, int(h.Length)))
		e.consumed(peer, windowOf(h), 0)
		return
	}
	e.hold(q, peer, h)
}

// Lost is told by the transport that nothing more comes from a peer.
func (e *engine) Lost(peer int, err error) {
	p := &e.peers[peer]
	cur := p.cur
	p.cur = arrival{}
	if p.gone && !e.missed(peer) {
		if p.lost == nil {
			p.lost = errQuit
		}
		e.checkLeave()
		return
	}
	// What was arriving will not end: forget it, and let the loss end the request.
	if m := cur.message; m != nil && m.door == nil && !m.entry.Queued() {
		m.request = nil
	}
	if r := cur.request; r != nil && r.phase == arriving {
		r.phase = idle
	}
	if err == nil || stderrors.Is(err, io.EOF) {
		err = errQuit
	}
	culprit, cause := peer, err
	if e.fault != nil {
		culprit, cause = e.rank, e.fault
	}
	e.passRevoke(&revocation{encodeCause(culprit, cause.Error()), e.rank})
	e.lose(peer, err)
	e.checkLeave()
}
