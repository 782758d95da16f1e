package runtime

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Send sends buf to rank dst of the communicator and returns when buf is the
// caller's again. For a message of more than 64 KiB, and for any while the
// receiver has not taken the earlier ones (about 1 MiB to 4 MiB of them), that
// may be not before it has posted a receive. tag is any but AnyTag. A Send whose context
// ended may or may not have been delivered.
func Send[T Elem](ctx context.Context, c *Comm, dst int, tag Tag, buf []T) error {
	return c.send(ctx, dst, tag, elemOf[T](), bytesOf(buf))
}

// Recv receives into buf the next message from rank src, or AnySource, with
// tag, or AnyTag. The message may be shorter than buf; a longer one is gone
// and the error matches ErrTruncated. Its element type must be T, or one with
// the same underlying type, otherwise the error matches ErrType.
func Recv[T Elem](ctx context.Context, c *Comm, src int, tag Tag, buf []T) (Status, error) {
	return c.recv(ctx, src, tag, elemOf[T](), bytesOf(buf), 0)
}

// SendRecv sends out to dst and receives in from src at the same time, with the
// same tag. The two may not overlap.
func SendRecv[T Elem](ctx context.Context, c *Comm, dst int, out []T, src int, in []T, tag Tag) (Status, error) {
	r := Irecv(c, src, tag, in)
	if err := Send(ctx, c, dst, tag, out); err != nil {
		r.abandon(err)
		return Status{}, err
	}
	return r.Wait(ctx)
}

// Isend starts a Send. buf is the runtime's until the request has ended; every
// request must be waited for.
func Isend[T Elem](c *Comm, dst int, tag Tag, buf []T) *Request {
	return c.isend(dst, tag, elemOf[T](), bytesOf(buf))
}

// Irecv starts a Recv. buf is the runtime's until the request has ended; every
// request must be waited for.
func Irecv[T Elem](c *Comm, src int, tag Tag, buf []T) *Request {
	return c.irecv(src, tag, elemOf[T](), bytesOf(buf))
}

// Probe waits until a message that Recv with the same arguments would take is
// there, and describes it without receiving it.
func Probe(ctx context.Context, c *Comm, src int, tag Tag) (Status, error) {
	e := c.e
	peer, err := c.source(src)
	if err != nil {
		return Status{}, errors.WithMessage(err, "probe")
	}
	e.mu.Lock()
	r := e.newRequest()
	r.e, r.kind, r.group, r.peer, r.context = e, opProbe, c.group, peer, c.context()
	r.entry.Tag = uint32(tag)
	if err := e.broken(c.group); err != nil {
		err = during(r.String(), err)
		e.freeRequest(r)
		e.mu.Unlock()
		return Status{}, err
	}
	q := e.queuesOf(r.context)
	c.group.link(r)
	if en := q.Probe(peer, uint32(tag)); en != nil {
		e.describe(r, en.Value)
		e.complete(r, nil)
	} else if peer >= 0 && e.peers[peer].left {
		e.complete(r, e.deserted(peer))
	} else {
		r.phase = posted
		q.probes = append(q.probes, r)
	}
	e.mu.Unlock()
	e.await(ctx, r)
	st := r.status
	return st, e.retire(r)
}

// header is that of a message.
func (c *Comm) header(tag Tag, elem uint8, n int) wire.Header {
	h := wire.Header{Kind: wire.Eager, Elem: elem, Context: c.context(), Tag: uint32(tag), Length: uint64(n)}
	if n > eagerLimit {
		h.Kind = wire.Request
	}
	return h
}

// errTag: wildcards are for receiving.
var errTag = errors.New("AnyTag can not be sent")

func (c *Comm) send(ctx context.Context, dst int, tag Tag, elem uint8, buf []byte) error {
	e, g := c.e, c.group
	peer, err := c.target(dst)
	if err == nil && tag == AnyTag {
		err = errTag
	}
	if err != nil {
		return errors.WithMessage(err, "send")
	}
	e.mu.Lock()
	if err := e.broken(g); err != nil {
		e.mu.Unlock()
		return during((&Request{kind: opSend, group: g, peer: peer}).String(), err)
	}
	h := c.header(tag, elem, len(buf))
	if h.Kind == wire.Eager {
		e.vec = append(e.vec[:0], buf)
		sent := e.eager(h, peer, e.vec)
		clear(e.vec)
		if sent {
			e.flush()
			e.mu.Unlock()
			return nil
		}
	}
	r := e.newRequest()
	r.kind, r.group, r.peer, r.head = opSend, g, peer, h
	r.payload = append(r.payload[:0], buf)
	e.start(r)
	e.mu.Unlock()
	e.await(ctx, r)
	return e.retire(r)
}

func (c *Comm) recv(ctx context.Context, src int, tag Tag, elem uint8, buf []byte, limit int) (Status, error) {
	e := c.e
	peer, err := c.source(src)
	if err != nil {
		return Status{}, errors.WithMessage(err, "recv")
	}
	e.mu.Lock()
	r := e.newRequest()
	c.prepare(r, peer, tag, elem, buf, limit)
	if err := e.broken(c.group); err != nil {
		err = during(r.String(), err)
		e.freeRequest(r)
		e.mu.Unlock()
		return Status{}, err
	}
	e.post(r)
	e.mu.Unlock()
	e.await(ctx, r)
	st, err := r.status, r.err
	e.mu.Lock()
	e.freeRequest(r)
	e.mu.Unlock()
	return st, err
}

func (c *Comm) prepare(r *Request, peer int, tag Tag, elem uint8, buf []byte, limit int) {
	r.e, r.kind, r.group, r.peer = c.e, opRecv, c.group, peer
	r.context, r.elem, r.buf, r.limit = c.context(), elem, buf, limit
	r.entry.Tag = uint32(tag)
}

func (c *Comm) isend(dst int, tag Tag, elem uint8, buf []byte) *Request {
	e, g := c.e, c.group
	peer, err := c.target(dst)
	if err == nil && tag == AnyTag {
		err = errTag
	}
	if err != nil {
		return failed(opSend, nil, dst, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.broken(g); err != nil {
		return failed(opSend, g, peer, err)
	}
	r := &Request{e: e, kind: opSend, group: g, peer: peer, head: c.header(tag, elem, len(buf)), payload: [][]byte{buf}}
	e.start(r)
	e.flush()
	return r
}

func (c *Comm) irecv(src int, tag Tag, elem uint8, buf []byte) *Request {
	e := c.e
	peer, err := c.source(src)
	if err != nil {
		return failed(opRecv, nil, src, err)
	}
	r := new(Request)
	c.prepare(r, peer, tag, elem, buf, 0)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.broken(c.group); err != nil {
		return failed(opRecv, c.group, peer, err)
	}
	e.post(r)
	e.flush()
	return r
}

// abandon cancels a request that nobody is going to wait for.
func (r *Request) abandon(err error) {
	if r.e == nil {
		return
	}
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	if !r.done.Load() {
		r.e.detach(r, true)
		r.e.complete(r, err)
	}
}
