package runtime

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"sync/atomic"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Handler takes one message of a port. The handler of a port runs on a
// goroutine of its own, one message at a time, those of one sender in the
// order sent. It must not call Post or Call, which may wait: others could then
// wait for it in turn. A panic ends the job.
type Handler func(m *Message)

// Message is what a handler gets.
type Message struct {
	Source  int    // rank of the sender in the port's communicator
	Payload []byte // valid until the handler returns

	e       *engine
	peer    int
	id      uint64 // of a Call; 0: no reply is wanted
	replied atomic.Bool
}

// Wanted reports whether the sender waits for a reply.
func (m *Message) Wanted() bool { return m.id != 0 }

// Reply answers a Call, once, with the concatenation of the payloads, which
// are the caller's again when it returns. It may be called from any goroutine,
// also after the handler has returned, and never blocks. An answer to a sender
// that has gone vanishes.
func (m *Message) Reply(payload ...[]byte) error {
	if m.id == 0 {
		return errors.New("reply to a message that wants none")
	}
	if m.replied.Swap(true) {
		return errors.New("second reply to a call")
	}
	e := m.e
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reply(m.peer, m.id, 0, payload)
	e.flush()
	return nil
}

func (e *engine) reply(peer int, id uint64, flags uint8, payload [][]byte) {
	if e.closed || e.peers[peer].lost != nil {
		return
	}
	e.vec = append(e.vec[:0], payload...)
	e.out = wire.Header{Kind: wire.Reply, Flags: flags, ID: id, Length: uint64(size(payload))}
	e.transmit(peer, e.vec, nil)
	clear(e.vec)
}

func size(payload [][]byte) (n int) {
	for _, p := range payload {
		n += len(p)
	}
	return n
}

// Port sends one-sided messages to the ports of the same name at the other
// ranks, and has a handler for those that come.
type Port struct {
	c    *Comm
	name string
	door *door
	done chan struct{} // closed when the handler's goroutine has ended
}

// door is the receiving side of a port. It may exist before the port does:
// then it holds what has come.
type door struct {
	key     uint64
	name    string
	port    *Port
	closed  bool      // Close was called
	swept   bool      // and the handler has ended
	sources []backlog // by place in the job
	first   *backlog  // sources whose oldest message is whole, in turn
	last    *backlog
	wake    chan struct{} // holds one: the handler's goroutine waits on it
}

// backlog holds the messages of one sender to a port, in order.
type backlog struct {
	first, last *message
	listed      bool // among door.first…
	next        *backlog
}

// OpenPort opens a port on this rank. It does not wait for others: messages to
// a rank that has not opened the port yet are kept there, against the senders'
// credits, until it does. Ports of one name on one communicator belong
// together; the n-th opening of a name at one rank belongs to the n-th at the
// others. The handler runs until Close, or until all ranks have left.
func (c *Comm) OpenPort(ctx context.Context, name string, h Handler) (*Port, error) {
	if err := ctx.Err(); err != nil {
		return nil, errors.WithMessagef(context.Cause(ctx), "open port %s", name)
	}
	e, g := c.e, c.group
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.broken(g); err != nil {
		return nil, during("open port "+name+" on "+g.name, err)
	}
	key := portKey(c.context(), name, g.opens[name])
	d := e.doorOf(key)
	if d.port != nil {
		return nil, errors.Errorf("open port %s on %s: its key is that of port %s", name, g.name, d.name)
	}
	g.opens[name]++
	p := &Port{c: c, name: name, door: d, done: make(chan struct{})}
	d.port, d.name = p, name
	// Large messages that came early ask for memory now, in order.
	for i := range d.sources {
		for m := d.sources[i].first; m != nil; m = m.next {
			if m.large {
				e.grants = append(e.grants, m)
			}
		}
	}
	e.grant()
	e.ports.Add(1)
	go p.serve(h)
	return p, nil
}

// portKey names a port on the wire. 64 bits of a hash keep names apart: with a
// thousand ports, two meet once in 10¹³ programs.
func portKey(context uint32, name string, opening int) uint64 {
	h := fnv.New64a()
	var b [12]byte
	binary.LittleEndian.PutUint32(b[:], context)
	binary.LittleEndian.PutUint64(b[4:], uint64(opening))
	h.Write(b[:])
	h.Write([]byte(name))
	return h.Sum64()
}

func (e *engine) doorOf(key uint64) *door {
	d := e.doors[key]
	if d == nil {
		d = &door{key: key, sources: make([]backlog, e.size), wake: make(chan struct{}, 1)}
		e.doors[key] = d
	}
	return d
}

// header is that of a message to the port.
func (p *Port) header(k wire.Kind, n int) wire.Header {
	return wire.Header{Kind: k, Context: uint32(p.door.key >> 32), Tag: uint32(p.door.key), Length: uint64(n)}
}

// Post sends the concatenation of the payloads to the port at rank dst and
// returns when they are the caller's again. It may wait for the receiver to
// have handled earlier messages.
func (p *Port) Post(ctx context.Context, dst int, payload ...[]byte) error {
	e, g := p.c.e, p.c.group
	peer, err := p.c.target(dst)
	if err != nil {
		return errors.WithMessagef(err, "post to port %s", p.name)
	}
	n := size(payload)
	h := p.header(wire.Post, n)
	e.mu.Lock()
	err = p.usable()
	if err == nil && n <= eagerLimit {
		e.vec = append(e.vec[:0], payload...)
		sent := e.eager(h, peer, e.vec)
		clear(e.vec)
		if sent {
			e.flush()
			e.mu.Unlock()
			return nil
		}
	}
	if err != nil {
		e.mu.Unlock()
		return during("post to port "+p.name+" on "+g.name, err)
	}
	r := e.newRequest()
	if n > eagerLimit {
		h.Kind, h.Flags = wire.Request, wire.ToPort
	}
	r.kind, r.group, r.peer, r.head = opPost, g, peer, h
	r.payload = append(r.payload[:0], payload...)
	e.start(r)
	e.mu.Unlock()
	e.await(ctx, r)
	return e.retire(r)
}

// Call sends like Post, waits for the handler's reply and returns it; it is
// the caller's own.
func (p *Port) Call(ctx context.Context, dst int, payload ...[]byte) ([]byte, error) {
	e, g := p.c.e, p.c.group
	peer, err := p.c.target(dst)
	if err != nil {
		return nil, errors.WithMessagef(err, "call port %s", p.name)
	}
	n := size(payload)
	h := p.header(wire.Call, n)
	if n > eagerLimit {
		h.Kind, h.Flags = wire.Request, wire.ToPort|wire.WantReply
	}
	e.mu.Lock()
	if err := p.usable(); err != nil {
		e.mu.Unlock()
		return nil, during("call port "+p.name+" on "+g.name, err)
	}
	r := e.newRequest()
	r.kind, r.group, r.peer, r.head = opCall, g, peer, h
	r.payload = append(r.payload[:0], payload...)
	e.start(r)
	e.mu.Unlock()
	e.await(ctx, r)
	reply := r.reply
	if err := e.retire(r); err != nil {
		return nil, err
	}
	return reply, nil
}

// usable returns why nothing can be sent by the port.
func (p *Port) usable() error {
	if err := p.c.e.broken(p.c.group); err != nil {
		return err
	}
	if p.door.closed {
		return ErrClosed
	}
	return nil
}

// Close stops the handler, after the messages that have come, and waits for
// it. Later messages to this rank are thrown away, later calls end at their
// callers with ErrClosed. It is not collective.
func (p *Port) Close(ctx context.Context) error {
	p.shut()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return errors.WithMessagef(context.Cause(ctx), "close port %s", p.name)
	}
}

func (p *Port) shut() {
	e := p.c.e
	e.mu.Lock()
	p.door.closed = true
	p.door.rouse()
	e.mu.Unlock()
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
	b := &m.door.sources[peer]
	if b.first == nil {
		b.first = m
	} else {
		b.last.next = m
	}
	b.last = m
	return m
}

// ready is called when a message is whole, or when a large one has been
// announced.
func (e *engine) ready(m *message) {
	d := m.door
	if !m.whole { // large: ask for memory
		if d.port != nil {
			e.grants = append(e.grants, m)
			e.grant()
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
		e.peers[m.source].inbound[m.id] = &arrival{message: m}
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

// handled gives back what a message took.
func (e *engine) handled(m *message) {
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

// serve runs the handler until the port is closed.
func (p *Port) serve(h Handler) {
	e, d := p.c.e, p.door
	defer e.ports.Done()
	defer close(p.done)
	var post Message // of messages that want no reply
	for {
		e.mu.Lock()
		m := d.take()
		if m == nil {
			if d.closed {
				e.sweep(d)
				e.mu.Unlock()
				return
			}
			e.mu.Unlock()
			<-d.wake
			continue
		}
		e.mu.Unlock()
		if m.large && m.buf == nil { // refused
			e.mu.Lock()
			e.handled(m)
			e.mu.Unlock()
			continue
		}
		msg := &post
		if m.call {
			msg = &Message{e: e, peer: m.source, id: m.id}
		}
		msg.Source, msg.Payload = p.c.group.place(m.source), m.buf
		err := p.handle(h, msg)
		e.mu.Lock()
		e.handled(m)
		if err != nil {
			e.panicked(errors.WithMessagef(err, "handler of port %s", p.name))
			d.closed = true
		}
		e.flush()
		e.mu.Unlock()
	}
}

func (p *Port) handle(h Handler, m *Message) (err error) {
	defer recovered(&err)
	h(m)
	return nil
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
