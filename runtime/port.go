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
// that has gone vanishes. A reply has 1 GiB at most.
func (m *Message) Reply(payload ...[]byte) error {
	if m.id == 0 {
		return errors.New("reply to a message that wants none")
	}
	if n := size(payload); n > portLimit {
		return errors.Errorf("reply of %d bytes, the limit is %d", n, portLimit)
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

// OpenPort opens a port on this rank. It does not wait for others: messages to
// a rank that has not opened the port yet are kept there, against the senders'
// credits, until it does. Ports of one name on one communicator belong
// together; the n-th opening of a name at one rank belongs to the n-th at the
// others. The handler runs until Close, or until all ranks have left. A port
// that a rank has not opened when its body returns counts as closed there.
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

// OnLeave has f called once for every rank of the communicator, this one too, when
// its body has returned: on the goroutine of the handler, after all messages that
// the rank has sent before. It is for libraries whose ranks wait for what others
// do, and called once, right after OpenPort.
func (p *Port) OnLeave(f func(rank int)) {
	e := p.c.e
	e.mu.Lock()
	defer e.mu.Unlock()
	p.door.onLeave = f
	for rank := range e.peers {
		if e.peers[rank].left || rank == e.rank && e.leaving {
			e.tellPort(p.door, rank)
		}
	}
}

// Naming returns the same port for a library whose calls use it: where it is
// reported what ranks wait for, they are named by op, as Comm.Naming says.
func (p *Port) Naming(op func() string) *Port {
	q := *p
	q.c = p.c.Naming(op)
	return &q
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

// header is that of a message to the port.
func (p *Port) header(k wire.Kind, n int) wire.Header {
	return wire.Header{Kind: k, Context: uint32(p.door.key >> 32), Tag: uint32(p.door.key), Length: uint64(n)}
}

// Post sends the concatenation of the payloads to the port at rank dst and
// returns when they are the caller's again. It may wait for the receiver to
// have handled earlier messages. A message has 1 GiB at most.
func (p *Port) Post(ctx context.Context, dst int, payload ...[]byte) error {
	e, g := p.c.e, p.c.group
	peer, err := p.c.target(dst)
	if err != nil {
		return errors.WithMessagef(err, "post to port %s", p.name)
	}
	n := size(payload)
	if n > portLimit {
		return errors.Errorf("post to port %s: %d bytes, the limit is %d", p.name, n, portLimit)
	}
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
	r.kind, r.group, r.peer, r.head, r.port, r.op = opPost, g, peer, h, p.name, p.c.op
	r.payload = append(r.payload[:0], payload...)
	e.start(r)
	e.mu.Unlock()
	e.await(ctx, r)
	return e.retire(r)
}

// Call sends like Post, waits for the handler's reply and returns it; it is
// the caller's own.
func (p *Port) Call(ctx context.Context, dst int, payload ...[]byte) ([]byte, error) {
	r, err := p.call(dst, payload)
	if err != nil {
		return nil, err
	}
	return r.answer(ctx)
}

// StartCall begins a Call and returns at once. Calls to one rank arrive in the
// order in which they were started. The payloads are the caller's again, and its
// memory is free, when Wait has returned, which must be called once.
func (p *Port) StartCall(dst int, payload ...[]byte) (*PendingCall, error) {
	r, err := p.call(dst, payload)
	if err != nil {
		return nil, err
	}
	r.e.mu.Lock()
	r.e.flush()
	r.e.mu.Unlock()
	return &PendingCall{r}, nil
}

// PendingCall is a Call that has been started.
type PendingCall struct{ r *Request }

// Wait returns what Call would.
func (c *PendingCall) Wait(ctx context.Context) ([]byte, error) { return c.r.answer(ctx) }

func (p *Port) call(dst int, payload [][]byte) (*Request, error) {
	e, g := p.c.e, p.c.group
	peer, err := p.c.target(dst)
	if err != nil {
		return nil, errors.WithMessagef(err, "call port %s", p.name)
	}
	n := size(payload)
	if n > portLimit {
		return nil, errors.Errorf("call port %s: %d bytes, the limit is %d", p.name, n, portLimit)
	}
	h := p.header(wire.Call, n)
	if n > eagerLimit {
		h.Kind, h.Flags = wire.Request, wire.ToPort|wire.WantReply
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := p.usable(); err != nil {
		return nil, during("call port "+p.name+" on "+g.name, err)
	}
	r := e.newRequest()
	r.kind, r.group, r.peer, r.head, r.port, r.op = opCall, g, peer, h, p.name, p.c.op
	r.payload = append(r.payload[:0], payload...)
	e.start(r)
	return r, nil
}

// answer waits for the reply to a call.
func (r *Request) answer(ctx context.Context) ([]byte, error) {
	e := r.e
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

// serve runs the handler until the port is closed.
func (p *Port) serve(h Handler) {
	e, d := p.c.e, p.door
	defer e.ports.Done()
	defer close(p.done)
	var post Message // of messages that want no reply
	for {
		e.mu.Lock()
		m := d.take()
		if d.closed && (m == nil || e.failure != nil) {
			if m != nil {
				e.handled(m)
			}
			e.sweep(d)
			e.mu.Unlock()
			return
		}
		if m == nil {
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
		run := h
		if m.left {
			run = func(m *Message) { d.onLeave(m.Source) }
		}
		err := p.handle(run, msg)
		e.mu.Lock()
		e.handled(m)
		if err != nil {
			e.collapse(errors.WithMessagef(err, "handler of port %s", p.name))
			d.closed = true
		}
		e.flush()
		e.mu.Unlock()
	}
}

func (p *Port) handle(h Handler, m *Message) (err error) {
	returned := false
	defer func() {
		if returned || err != nil {
			return
		}
		// Nothing stops the end of this goroutine; the job ends with it.
		e := p.c.e
		e.mu.Lock()
		defer e.mu.Unlock()
		p.door.closed = true
		e.collapse(errors.WithMessagef(errExited, "handler of port %s", p.name))
	}()
	defer recovered(&err)
	h(m)
	returned = true
	return nil
}
