package runtime

import (
	"context"
	"math"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Send sends buf to rank dst of the communicator and returns when buf is the
// caller's again. For a message of more than 64 KiB, and for any while the
// receiver has not taken the earlier ones (about 1 MiB to 4 MiB of them), that
// may be not before a receive has met it: the message is only announced until
// then, and a quarter of a million of a rank can be. A message to the own rank is copied
// instead. tag is any but AnyTag. A Send whose context ended may or may not have
// been delivered.
func Send[T Elem](ctx context.Context, c *Comm, dst int, tag Tag, buf []T) error {
	return c.send(ctx, dst, tag, elemOf[T](), 0, bytesOf(buf))
}

// SendSync is a Send that returns when a receive has met the message, or when
// the receiver has thrown it away by closing the communicator. The receiver may
// still be about to read it. To the own rank it needs a receive that has been
// posted, or is by another goroutine.
func SendSync[T Elem](ctx context.Context, c *Comm, dst int, tag Tag, buf []T) error {
	return c.send(ctx, dst, tag, elemOf[T](), wire.Sync, bytesOf(buf))
}

// Recv receives into buf the next message from rank src, or AnySource, with
// tag, or AnyTag. The message may be shorter than buf; a longer one is gone
// and the error is a *TruncationError. Its element type must be T, or one with
// the same underlying type, otherwise the error is a *TypeError. What becomes of
// a message when ctx ends is said at Wait.
func Recv[T Elem](ctx context.Context, c *Comm, src int, tag Tag, buf []T) (Status, error) {
	return c.recv(ctx, src, tag, into(buf))
}

// RecvAlloc receives like Recv, into a new slice as long as the message. One of
// more than limit elements is gone and the error is a *TruncationError.
func RecvAlloc[T Elem](ctx context.Context, c *Comm, src int, tag Tag, limit int) ([]T, Status, error) {
	var buf []T
	size := elemSize(elemOf[T]())
	st, err := c.recv(ctx, src, tag, room{elem: elemOf[T](), limit: min(limit, math.MaxInt/size) * size, alloc: func(n int) []byte {
		buf = make([]T, n/size)
		return bytesOf(buf)
	}})
	if err != nil {
		return nil, st, err
	}
	return buf, st, nil
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
	return c.isend(dst, tag, elemOf[T](), 0, bytesOf(buf))
}

// IsendSync starts a SendSync. buf is the runtime's until the request has ended;
// every request must be waited for.
func IsendSync[T Elem](c *Comm, dst int, tag Tag, buf []T) *Request {
	return c.isend(dst, tag, elemOf[T](), wire.Sync, bytesOf(buf))
}

// Irecv starts a Recv. buf is the runtime's until the request has ended; every
// request must be waited for.
func Irecv[T Elem](c *Comm, src int, tag Tag, buf []T) *Request {
	return c.irecv(src, tag, into(buf))
}

// into is the room in a slice.
func into[T Elem](buf []T) room {
	b := bytesOf(buf)
	return room{elem: elemOf[T](), buf: b, limit: len(b)}
}

// header is that of a message. flags are those of a small one.
func (c *Comm) header(tag Tag, elem, flags uint8, n int) wire.Header {
	if n > eagerLimit {
		return wire.Header{Kind: wire.Request, Elem: elem, Context: c.context(), Tag: uint32(tag), Length: uint64(n)}
	}
	return wire.Header{Kind: wire.Eager, Flags: flags, Elem: elem, Context: c.context(), Tag: uint32(tag), Length: uint64(n)}
}

// errTag: wildcards are for receives.
var errTag = errors.New("AnyTag is no message's tag")

// receiver is the place in the job of a rank that is sent to.
func (c *Comm) receiver(dst int, tag Tag) (int, error) {
	if tag == AnyTag {
		return 0, errTag
	}
	return c.target(dst)
}

func (c *Comm) send(ctx context.Context, dst int, tag Tag, elem, flags uint8, parts ...[]byte) error {
	if dst == NoRank {
		return nil
	}
	e, g := c.e, c.group
	peer, err := c.receiver(dst, tag)
	if err != nil {
		return errors.WithMessage(err, "send")
	}
	e.mu.Lock()
	if err := e.broken(g); err != nil {
		e.mu.Unlock()
		return during((&Request{kind: opSend, group: g, peer: peer}).String(), err)
	}
	h := c.header(tag, elem, flags, size(parts))
	if h.Kind == wire.Eager && flags == 0 {
		e.vec = append(e.vec[:0], parts...)
		sent := e.eager(h, peer, e.vec)
		clear(e.vec)
		if sent {
			e.flush()
			e.mu.Unlock()
			return nil
		}
	}
	r := e.newRequest()
	r.kind, r.group, r.peer, r.head, r.op = opSend, g, peer, h, c.op
	r.payload = append(r.payload[:0], parts...)
	e.start(r)
	if peer == e.rank && flags == 0 && !r.done.Load() {
		// Nobody else could post the receive: it goes on by itself, with a copy.
		r.payload = [][]byte{join(r.payload)}
		e.mu.Unlock()
		return nil
	}
	e.mu.Unlock()
	e.await(ctx, r)
	return e.retire(r)
}

func (c *Comm) recv(ctx context.Context, src int, tag Tag, to room) (Status, error) {
	if src == NoRank {
		return noMessage, nil
	}
	e := c.e
	peer, err := c.source(src)
	if err != nil {
		return Status{}, errors.WithMessage(err, "recv")
	}
	e.mu.Lock()
	r := e.newRequest()
	c.prepare(r, peer, tag, to)
	if err := e.broken(c.group); err != nil {
		err = during(r.String(), err)
		e.freeRequest(r)
		e.mu.Unlock()
		return Status{}, err
	}
	e.post(r)
	if !e.soon(r) || r.parts != nil {
		e.mu.Unlock()
		e.await(ctx, r)
		_, _ = r.result() // spreads the parts, without the lock
		e.mu.Lock()
	}
	st, err := r.result()
	e.freeRequest(r)
	e.mu.Unlock()
	return st, err
}

func (c *Comm) prepare(r *Request, peer int, tag Tag, to room) {
	r.e, r.kind, r.group, r.peer = c.e, opRecv, c.group, peer
	r.context, r.room, r.op = c.context(), to, c.op
	r.entry.Tag = uint32(tag)
}

func (c *Comm) isend(dst int, tag Tag, elem, flags uint8, parts ...[]byte) *Request {
	e, g := c.e, c.group
	r := c.sender(dst, tag, elem, flags, parts)
	if r.done.Load() {
		return r
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.broken(g); err != nil {
		return failed(opSend, g, r.peer, err)
	}
	e.start(r)
	e.flushAfter(r)
	return r
}

// sender makes a request that has yet to be started, or has ended already.
func (c *Comm) sender(dst int, tag Tag, elem, flags uint8, parts [][]byte) *Request {
	if dst == NoRank {
		return nobody(opSend)
	}
	peer, err := c.receiver(dst, tag)
	if err != nil {
		return failed(opSend, nil, dst, err)
	}
	return &Request{
		e: c.e, kind: opSend, group: c.group, peer: peer, op: c.op,
		head: c.header(tag, elem, flags, size(parts)), payload: append([][]byte(nil), parts...),
	}
}

func (c *Comm) irecv(src int, tag Tag, to room) *Request {
	e := c.e
	r := c.getter(src, tag, to)
	if r.done.Load() {
		return r
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.broken(c.group); err != nil {
		return failed(opRecv, c.group, r.peer, err)
	}
	e.post(r)
	e.flush()
	return r
}

// getter makes a receive that has yet to be posted, or has ended already.
func (c *Comm) getter(src int, tag Tag, to room) *Request {
	if src == NoRank {
		return nobody(opRecv)
	}
	peer, err := c.source(src)
	if err != nil {
		return failed(opRecv, nil, src, err)
	}
	r := new(Request)
	c.prepare(r, peer, tag, to)
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
