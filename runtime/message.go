package runtime

import (
	"github.com/sspurn/sspurn/runtime/internal/match"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// message is one that no receive has met, or one to a port.
type message struct {
	entry   match.Entry[*message]
	source  int // place in the job
	context uint32
	elem    uint8
	id      uint64 // of a large message or a call
	size    int
	large   bool // the payload is still with the sender
	sync    bool // the sender waits to hear that a receive has met it
	taken   bool // a Matched has it
	whole   bool // the payload is here
	buf     []byte
	request *Request // receive that claimed it before it was whole

	// To ports.
	door *door
	call bool
	left bool // none: the body of its source has returned
	next *message
}

// incoming makes the message that a frame brings or announces.
func (e *engine) incoming(peer int, h *wire.Header) *message {
	m := e.newMessage()
	m.source, m.context, m.elem, m.id, m.size = peer, h.Context, h.Elem, h.ID, int(h.Length)
	m.large = h.Kind == wire.Request
	m.sync = !m.large && h.Flags&wire.Sync != 0
	m.entry.Source, m.entry.Tag, m.entry.Value = peer, h.Tag, m
	return m
}

// hold queues a message that no receive has met and tells who probes for it.
func (e *engine) hold(q *queues, peer int, h *wire.Header) *message {
	m := e.incoming(peer, h)
	q.Hold(&m.entry)
	for i := 0; i < len(q.probes); {
		r := q.probes[i]
		if (r.peer == AnySource || r.peer == peer) && (r.entry.Tag == uint32(AnyTag) || r.entry.Tag == h.Tag) {
			q.probes = append(q.probes[:i], q.probes[i+1:]...)
			e.describe(r, m)
			e.complete(r, nil)
			continue
		}
		i++
	}
	return m
}

// describe fills the status of a request with a message.
func (e *engine) describe(r *Request, m *message) {
	r.status = Status{Source: r.group.place(m.source), Tag: Tag(m.entry.Tag), Bytes: m.size, Count: m.size / elemSize(m.elem)}
}

// take gives a receive a message that is in no queue.
func (e *engine) take(r *Request, m *message) {
	m.taken = false
	fits := e.accept(r, m.source, m.entry.Tag, m.elem, m.size)
	switch {
	case m.large:
		e.clear(r, m.source, m.id, fits)
		e.consumed(m.source, windowOfSpace(m.context), 0)
		e.freeMessage(m)
	case !m.whole:
		if fits {
			r.phase, r.message, m.request = claimed, m, r
		}
	default:
		if fits {
			copy(r.buf, m.buf)
			e.received(r, nil)
		}
		e.spent(m)
	}
}

// spent frees a small message that a receive has met or that was thrown away.
func (e *engine) spent(m *message) {
	if m.sync {
		e.clear(nil, m.source, m.id, false)
	}
	e.consumed(m.source, windowOfSpace(m.context), m.size)
	e.freeMessage(m)
}

// drop throws away a message that is in no queue.
func (e *engine) drop(m *message) {
	m.taken = false
	switch {
	case m.large:
		e.clear(nil, m.source, m.id, false)
		e.consumed(m.source, windowOfSpace(m.context), 0)
		e.freeMessage(m)
	case m.whole:
		e.spent(m)
	}
}
