package runtime

import "github.com/sspurn/sspurn/runtime/internal/wire"

// StartSend is Isend with a request of the caller's, for libraries that start
// many: r is new, or has ended and been waited for. It must not be copied. What it
// sends may wait for the next wait or test of this rank, which is expected to
// follow, or else for about a millisecond.
func StartSend[T Elem](r *Request, c *Comm, dst int, tag Tag, buf []T) {
	c.restart(r, opSend, dst, tag, elemOf[T](), bytesOf(buf), false)
}

// StartRecv is Irecv with a request of the caller's; see StartSend.
func StartRecv[T Elem](r *Request, c *Comm, src int, tag Tag, buf []T) {
	c.restart(r, opRecv, src, tag, elemOf[T](), bytesOf(buf), false)
}

// StartPull is a StartRecv that tells the sender that buf is ready, and how long it
// is, so that a long message comes without being announced first. Both ranks
// have to know that it will be pulled, and its length: pulls and messages sent by
// StartOffer meet in the order in which they were started, those of a pair of ranks
// and a tag of a communicator's space, and no others. src is not AnySource and tag
// not AnyTag. When the lengths or the element types differ, the pull's error is a
// *LengthError or a *TypeError, and the send ends well; when the sender closes the
// communicator, it is ErrClosed. A pull that is given up takes its message with it,
// whenever that is sent; an offer that is given up leaves its pull to the next one.
// A rank may pull a million messages of another at a time.
func StartPull[T Elem](r *Request, c *Comm, src int, tag Tag, buf []T) {
	c.restart(r, opRecv, src, tag, elemOf[T](), bytesOf(buf), true)
}

// StartOffer is a StartSend of a message that the receiver pulls; see StartPull.
func StartOffer[T Elem](r *Request, c *Comm, dst int, tag Tag, buf []T) {
	c.restart(r, opSend, dst, tag, elemOf[T](), bytesOf(buf), true)
}

// restart begins an operation on a request that is not in use.
func (c *Comm) restart(r *Request, kind opKind, rank int, tag Tag, elem uint8, buf []byte, pulled bool) {
	vec := r.payload[:0]
	clear(r.payload)
	*r = Request{e: c.e, payload: vec, kind: kind, group: c.group, peer: rank}
	if rank == NoRank {
		r.group = nil
		if kind == opRecv {
			r.status = noMessage
		}
		r.done.Store(true)
		return
	}
	var peer int
	var err error
	if kind == opSend || pulled {
		peer, err = c.receiver(rank, tag)
	} else {
		peer, err = c.source(rank)
	}
	e := c.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		r.peer = peer
		err = e.broken(c.group)
	} else {
		r.group = nil // the rank is none of it
	}
	if err != nil {
		r.err = during(r.String(), err)
		r.done.Store(true)
		return
	}
	if kind == opSend {
		r.head, r.op = c.header(tag, elem, 0, len(buf)), c.op
		r.payload = append(r.payload, buf)
		if pulled {
			r.head.Kind = wire.Data
			e.provide(r)
		} else {
			e.start(r)
		}
		return
	}
	c.prepare(r, peer, tag, room{elem: elem, buf: buf, limit: len(buf)})
	if pulled {
		e.ask(r)
	} else {
		e.post(r)
	}
}

// Ended reports whether the operation has ended. Unlike Test it makes no
// progress.
func (r *Request) Ended() bool { return r.done.Load() }
