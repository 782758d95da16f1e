package runtime

import "github.com/sspurn/sspurn/runtime/internal/wire"

// door is the receiving side of a port. It may exist before the port does:
// then it holds what has come.
type door struct {
	key     uint64
	name    string
	port    *Port
	onLeave func(rank int) // of the port; nil: it does not ask
	closed  bool           // Close was called
	swept   bool           // and the handler has ended
	sources []backlog      // by place in the job
	first   *backlog       // sources whose oldest message is whole, in turn
	last    *backlog
	wake    chan struct{} // holds one: the handler's goroutine waits on it
}

// backlog holds the messages of one sender to a port, in order.
type backlog struct {
	first, last *message
	listed      bool // among door.first…
	next        *backlog
}

func (e *engine) doorOf(key uint64) *door {
	d := e.doors[key]
	if d == nil {
		d = &door{key: key, sources: make([]backlog, e.size), wake: make(chan struct{}, 1)}
		d.closed, d.swept = e.leaving, e.leaving // nobody opens it any more
		e.doors[key] = d
	}
	return d
}

func (d *door) rouse() {
	select {
	case d.wake <- struct{}{}:
	default: // it has not seen the last one yet
	}
}

// portMessage makes the message that a frame to a port announces and puts it
// in its sender's line.
func (e *engine) portMessage(peer int, h *wire.Header) *message {
	m := e.newMessage()
	m.source, m.id, m.size = peer, h.ID, int(h.Length)
	m.call = h.Kind == wire.Call || h.Kind == wire.Request && h.Flags&wire.WantReply != 0
	m.large = h.Kind == wire.Request
	m.door = e.doorOf(uint64(h.Context)<<32 | uint64(h.Tag))
	m.door.push(m)
	return m
}

// push puts a message in its sender's line.
func (d *door) push(m *message) {
	b := &d.sources[m.source]
	if b.first == nil {
		b.first = m
	} else {
		b.last.next = m
	}
	b.last = m
}

// ready is called when a message is whole, or when a large one has been
// announced.
func (e *engine) ready(m *message) {
	d := m.door
	if !m.whole { // large: ask for memory
		switch {
		case d.port != nil:
			e.grants = append(e.grants, m)
			e.grant()
		case d.swept:
			e.refuse(m)
		}
	} else {
		d.list(&d.sources[m.source])
		e.woke = true
	}
	if d.swept {
		e.discard(d)
	}
}

// list puts a sender in turn if its oldest message can be handled.
func (d *door) list(b *backlog) {
	if b.listed || b.first == nil || !b.first.whole {
		return
	}
	b.listed = true
	b.next = nil
	if d.first == nil {
		d.first = b
		d.rouse()
	} else {
		d.last.next = b
	}
	d.last = b
}

// take removes the next message to be handled, or returns nil.
func (d *door) take() *message {
	b := d.first
	if b == nil {
		return nil
	}
	d.first = b.next
	b.listed, b.next = false, nil
	m := b.first
	b.first = m.next
	if b.first == nil {
		b.last = nil
	}
	m.next = nil
	d.list(b)
	return m
}

// grant asks the senders of large messages for their payloads, in the order
// they were announced, as far as memory goes. A message larger than all of it
// gets it alone. Memory comes back when a handler returns, which waits for
// nobody, so all get their turn.
func (e *engine) grant() {
	for len(e.grants) > 0 {
		m := e.grants[0]
		if m == nil { // given up
			e.grants = e.grants[1:]
			continue
		}
		if e.granted > 0 && e.granted+m.size > portBound {
			return
		}
		e.grants = e.grants[1:]
		if m.door.closed {
			e.refuse(m)
			continue
		}
		e.granted += m.size
		m.buf = e.newBuffer(m.size)
		e.peers[m.source].expect(m.id, &arrival{message: m})
		e.out = wire.Header{Kind: wire.Clear, ID: m.id}
		e.transmit(m.source, nil, nil)
	}
	e.grants = nil
}

// refuse gives up a large message to a port that has been closed. It stays in
// its line, empty, and is dropped in its turn.
func (e *engine) refuse(m *message) {
	m.whole, m.call = true, false
	peer := m.source
	e.out = wire.Header{Kind: wire.Clear, Flags: wire.Refuse, ID: m.id}
	m.door.list(&m.door.sources[peer])
	e.transmit(peer, nil, nil)
}

// tellPorts tells the ports that ask for it that the body of a rank has returned.
func (e *engine) tellPorts(rank int) {
	for _, d := range e.doors {
		e.tellPort(d, rank)
	}
}

// tellPort puts that into the rank's line, behind what it has sent.
func (e *engine) tellPort(d *door, rank int) {
	if d.onLeave == nil || d.swept || d.port.c.group.place(rank) < 0 {
		return
	}
	m := e.newMessage()
	m.source, m.door, m.left, m.whole = rank, d, true, true
	d.push(m)
	d.list(&d.sources[rank])
	e.woke = true
}

// handled gives back what a message took.
func (e *engine) handled(m *message) {
	if m.left {
		e.freeMessage(m)
		return
	}
	peer, size, large, got := m.source, m.size, m.large, m.buf != nil
	e.freeMessage(m)
	if !large {
		e.consumed(peer, forPorts, size)
		return
	}
	if got {
		e.granted -= size
	}
	e.consumed(peer, forPorts, 0)
	e.grant()
}

// sweep turns a door whose port has been closed into one that throws away what
// has come and what comes.
func (e *engine) sweep(d *door) {
	d.swept = true
	e.grant() // refuses all that are for this door and next in turn
	for i, m := range e.grants {
		if m != nil && m.door == d {
			e.grants[i] = nil
			e.refuse(m)
		}
	}
	e.discard(d)
}

// closeUnopened answers the calls to ports that the body has not opened: it
// has returned.
func (e *engine) closeUnopened() {
	for _, d := range e.doors {
		if d.port != nil {
			continue
		}
		d.closed = true
		for i := range d.sources {
			for m := d.sources[i].first; m != nil; m = m.next {
				if m.large && !m.whole {
					e.refuse(m)
				}
			}
		}
		e.sweep(d)
	}
}

// discard throws away what waits at a swept door.
func (e *engine) discard(d *door) {
	for m := d.take(); m != nil; m = d.take() {
		if m.call {
			e.reply(m.source, m.id, wire.PortClosed, nil)
		}
		e.handled(m)
	}
}

// forfeit drops the messages of a lost rank to the ports that are not whole.
func (e *engine) forfeit(rank int) {
	for i, m := range e.grants {
		if m != nil && m.source == rank {
			e.grants[i] = nil
		}
	}
	for _, d := range e.doors {
		b := &d.sources[rank]
		var kept, last *message
		for m := b.first; m != nil; m = m.next {
			if !m.whole {
				if m.large && m.buf != nil {
					e.granted -= m.size
				}
				continue // not reused: the transport may still know its buffer
			}
			if last == nil {
				kept = m
			} else {
				last.next = m
			}
			last = m
		}
		if last != nil {
			last.next = nil
		}
		b.first, b.last = kept, last
		d.list(b)
	}
	for id, r := range e.sends {
		if r.peer == rank && r.group == nil {
			delete(e.sends, id)
		}
	}
	e.grant()
}
