package runtime

import (
	"context"
	"sync/atomic"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// One-sided access, the origin's side.
//
// What a rank does to the windows of a peer is one stream of frames, Access
// and Put, which the peer's engine deals with in order as they come. Both
// sides count them, so an Answer, which names the count, says that all before
// it is done, and a Flush asks for one only when none is under way already.
// Small operations are collected, and leave when an answer is wanted, when a
// frame is full, or when this rank's engine is driven next. The frames that no
// answer has covered yet are a credit window at most, which bounds what can
// pile up on the way.

// stream is the access of this rank to a peer, and of the peer to this rank.
type stream struct {
	pending []byte  // operations that have not left
	region  *region // of the window that they are for
	last    *region // of the window that the last frame was for
	listed  bool    // in engine.lazy

	sent    uint64     // frames
	bytes   uint64     // in them and their answers
	work    uint64     // of sent: the last that a flush waits for
	done    uint64     // of sent: covered by an answer
	covered uint64     // of bytes
	asks    []ask      // answers that are under way
	waiters []*Request // for answers

	taken uint64 // frames of the peer that have been dealt with

	busy atomic.Bool // something is pending, or not yet done
}

// ask is an answer under way: the count it names, and bytes up to there.
type ask struct{ frame, bytes uint64 }

// collect appends an operation to those that leave for a peer together.
func (e *engine) collect(peer int, g *region, op *wire.Op, data ...[]byte) {
	s := &e.peers[peer].stream
	if s.region != g || len(s.pending)+op.Size() > accessLimit {
		e.dispatch(peer, g, nil)
		s.region = g
	}
	s.pending = wire.AppendOp(s.pending, op, data...)
	s.busy.Store(true)
}

// push is collect for an operation that may wait for others.
func (e *engine) push(peer int, g *region, op *wire.Op, data ...[]byte) {
	e.collect(peer, g, op, data...)
	s := &e.peers[peer].stream
	if s.listed {
		return
	}
	s.listed = true
	e.lazy = append(e.lazy, peer)
	if len(e.lazy) == 1 && !e.unarmed.Load() {
		e.t.Wake() // the service goroutine sends it if nobody does before
	}
}

// dispatch sends what has been collected for a peer. With a request, which is
// one on g, an answer is asked for that ends it.
func (e *engine) dispatch(peer int, g *region, r *Request) {
	s := &e.peers[peer].stream
	if len(s.pending) > 0 {
		with := r
		if s.region != g { // an answer says of one window whether it has been closed
			with = nil
		}
		e.sendAccess(peer, s.region, s.pending, with)
		s.pending = s.pending[:0]
		if with == r {
			return
		}
	}
	if r != nil {
		e.sendAccess(peer, g, nil, r)
	}
}

// sendAccess sends operations on g.
func (e *engine) sendAccess(peer int, g *region, ops []byte, r *Request) {
	e.out = wire.Header{Kind: wire.Access, Context: g.id, Length: uint64(len(ops))}
	n := len(ops)
	if r != nil && r.results <= accessLimit {
		n += r.results
	}
	e.count(peer, g, n, r)
	e.vec = append(e.vec[:0], ops)
	e.transmit(peer, e.vec, nil)
	clear(e.vec)
}

// sendPut sends a part of a long put. The request ends when it has left.
func (e *engine) sendPut(peer int, g *region, off int, src []byte, r *Request) {
	e.dispatch(peer, g, nil)
	e.out = wire.Header{Kind: wire.Put, Context: g.id, ID: uint64(off), Length: uint64(len(src))}
	e.vec = append(e.vec[:0], src)
	e.sendStraight(peer, g, r)
}

// sendOp sends an operation without a copy of its data, whose length is a
// multiple of 8. The request ends when it has left.
func (e *engine) sendOp(peer int, g *region, op *wire.Op, data []byte, r *Request) {
	e.dispatch(peer, g, nil)
	e.out = wire.Header{Kind: wire.Access, Context: g.id, Length: uint64(op.Size())}
	e.vec = append(e.vec[:0], wire.AppendOp(r.small[:0], op), data)
	e.sendStraight(peer, g, r)
}

// sendStraight sends e.out with e.vec.
func (e *engine) sendStraight(peer int, g *region, r *Request) {
	e.count(peer, g, e.out.Payload(), nil)
	r.phase = leaving
	r.flight.r = r
	left := e.transmit(peer, e.vec, &r.flight)
	clear(e.vec)
	if left && r.phase == leaving {
		e.complete(r, nil)
	}
}

// count counts the frame in e.out and makes it ask for an answer when r waits
// for one, or when there has been none for long.
func (e *engine) count(peer int, g *region, n int, r *Request) {
	s := &e.peers[peer].stream
	s.last = g
	s.sent++
	s.work = s.sent
	s.busy.Store(true)
	s.bytes += uint64(messageCost + n)
	asked := s.covered
	if len(s.asks) > 0 {
		asked = s.asks[len(s.asks)-1].bytes
	}
	if r == nil && s.bytes-asked < uint64(e.window/4) {
		return
	}
	e.out.Flags |= wire.WantAnswer
	s.asks = append(s.asks, ask{s.sent, s.bytes})
	if r != nil {
		e.awaitAnswer(r, s.sent)
	}
}

// awaitAnswer makes the request end with the answer that covers a frame.
func (e *engine) awaitAnswer(r *Request, frame uint64) {
	r.until = frame
	r.phase = accessing
	s := &e.peers[r.peer].stream
	s.waiters = append(s.waiters, r)
}

// forget removes a request from those that wait for an answer.
func (s *stream) forget(r *Request) {
	for i, w := range s.waiters {
		if w == r {
			s.waiters = append(s.waiters[:i], s.waiters[i+1:]...)
			return
		}
	}
}

// beginAnswer finds the place for what an answer says.
func (e *engine) beginAnswer(peer int, h *wire.Header) ([]byte, error) {
	p := &e.peers[peer]
	if h.Flags&wire.Granted != 0 || h.Length == 0 {
		if h.Payload() > 0 {
			return nil, errors.New("protocol: payload with a lock")
		}
		return nil, nil
	}
	for _, r := range p.stream.waiters {
		if r.until != h.ID || r.results == 0 {
			continue
		}
		if h.Length != uint64(r.results) {
			return nil, errors.Errorf("protocol: answer of %d bytes, asked was for %d", h.Length, r.results)
		}
		p.cur.request = r
		if len(r.into) == 0 {
			return r.buf, nil
		}
		m := e.newMessage()
		m.buf = e.newBuffer(r.results)
		p.cur.message = m
		return m.buf, nil
	}
	return nil, nil // who asked has been cancelled
}

// endAnswer ends the requests that an answer covers.
func (e *engine) endAnswer(peer int, cur arrival, h *wire.Header) {
	s := &e.peers[peer].stream
	var err error
	if h.Flags&wire.WindowClosed != 0 {
		err = ErrClosed
	}
	if h.Flags&wire.Granted != 0 {
		e.locked(h.ID, err)
		return
	}
	if m := cur.message; m != nil {
		if r := cur.request; r != nil {
			b := m.buf
			for _, dst := range r.into {
				b = b[copy(dst, b):]
			}
		}
		e.freeMessage(m)
	}
	n := 0
	for ; n < len(s.asks) && s.asks[n].frame <= h.ID; n++ {
		s.done, s.covered = s.asks[n].frame, s.asks[n].bytes
	}
	s.asks = append(s.asks[:0], s.asks[n:]...)
	s.busy.Store(len(s.pending) > 0 || s.done < s.work)
	kept := s.waiters[:0]
	var ended *Request // by nextSend: complete may not find them in the list
	for _, r := range s.waiters {
		if r.until > s.done {
			kept = append(kept, r)
			continue
		}
		if r.until == h.ID && err != nil || r.results > 0 && r != cur.request {
			r.err = during(r.String(), ErrClosed)
		}
		r.nextSend, ended = ended, r
	}
	clear(s.waiters[len(kept):])
	s.waiters = kept
	for r := ended; r != nil; r = ended {
		ended, r.nextSend = r.nextSend, nil
		e.complete(r, nil)
	}
}

// sendLazy sends what has been collected for all peers.
func (e *engine) sendLazy() {
	for len(e.lazy) > 0 {
		peer := e.lazy[len(e.lazy)-1]
		e.lazy = e.lazy[:len(e.lazy)-1]
		e.peers[peer].stream.listed = false
		e.dispatch(peer, nil, nil)
	}
}

// reserve waits until n more bytes may be on their way to a peer. Without an
// error the lock is held when it returns.
func (w *view) reserve(ctx context.Context, verb string, peer, n int) error {
	e := w.c.e
	for {
		s := &e.peers[peer].stream
		out := s.bytes - s.covered
		if out == 0 || out+uint64(len(s.pending)+n+2*messageCost) <= uint64(e.window) {
			return nil
		}
		r := w.request(verb, peer)
		if len(s.asks) == 0 {
			e.dispatch(peer, w.region, r)
		} else {
			e.awaitAnswer(r, s.asks[0].frame)
		}
		e.flush()
		e.mu.Unlock()
		e.await(ctx, r)
		if err := e.retire(r); err != nil {
			return err
		}
		e.mu.Lock()
		if err := w.usable(verb, peer); err != nil {
			e.mu.Unlock()
			return err
		}
	}
}
