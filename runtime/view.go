package runtime

import (
	"context"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

const (
	bundleLimit = 4 << 10 // longest put that is collected with others; longer ones go straight from slice to window
	putPiece    = 1 << 20 // of a longer put, that is a frame
	mostBytes   = 1 << 46 // of a window at a rank: more than can be mapped
	visitEvery  = 16      // operations on the own memory between looks at what others want
)

// view is a Window without its element type: offsets and lengths are in bytes.
type view struct {
	c      *Comm
	region *region // the own part
	lens   []int   // elements at each rank
	shared *sharing
}

// newView opens a window of n elements of that type on this rank, in memory that
// alloc makes unless ranks share it. It is collective.
func newView(ctx context.Context, c *Comm, elem uint8, n int, alloc func() []byte) (*view, error) {
	a := c.meet(verbWindow)
	w, err := openView(ctx, a, c, elem, n, alloc)
	if err != nil {
		return nil, a.leave(err)
	}
	if err := w.agree(ctx, a, alloc); err != nil {
		w.forsake()
		w.shut()
		return nil, err
	}
	return w, nil
}

// forsake tells the others, which may have the window, that this rank comes to none
// of its fences.
func (w *view) forsake() {
	for _, closing := range []bool{false, true} {
		a, tag := w.assembly(closing)
		a.leaveBarrier(1, tag)
	}
}

// openView is newView until all must have come so far. Only then may anybody use
// the window.
func openView(ctx context.Context, a *accord, c *Comm, elem uint8, n int, alloc func() []byte) (*view, error) {
	e, g, size := c.e, c.group, c.Size()
	at := e.offer(g, elem)
	e.mu.Lock()
	next := int64(e.nextRegion)
	e.mu.Unlock()
	// Type, elements, identity, where memory to be shared begins, the number of this offer.
	all, err := a.exchange(ctx, 0, int64(elem), int64(n), next, at, rand.Int64()+1)
	if err != nil {
		return nil, err
	}
	w := &view{c: c, lens: make([]int, size)}
	id, share := uint32(0), true
	for r := range size {
		of := all[accordWords*r+1:]
		if of[0] != all[1] {
			return nil, errors.WithMessagef(ErrType, "%s at rank 0, %s at rank %d", elemName(uint8(all[1])), elemName(uint8(of[0])), r)
		}
		if of[1] < 0 || of[1] > mostBytes/int64(elemSize(elem)) {
			return nil, errors.Errorf("%d elements at rank %d", of[1], r)
		}
		w.lens[r] = int(of[1])
		id = max(id, uint32(of[2]))
		share = share && of[3] >= 0
	}
	if id >= 1<<25 {
		return nil, errors.Errorf("more than %d windows", 1<<25)
	}
	if share {
		if w.shared, err = e.share(all[5], all[4], w.lens, elem, c.Rank()); err != nil {
			e.tellUnshared(err)
		}
	}
	var mine cells
	if w.shared != nil {
		mine = w.shared.parts[c.Rank()]
		mine.head = nil // until all agree
	} else {
		mine = newCells(elem, alloc())
	}
	w.region = newRegion(id, g, mine, e.size)
	e.mu.Lock()
	e.nextRegion = max(e.nextRegion, id+1)
	taken := e.regions[id] != nil
	if !taken {
		e.regions[id] = w.region
	}
	e.mu.Unlock()
	if taken {
		if w.shared != nil {
			w.shared.drop()
		}
		return nil, errAtOnce
	}
	return w, nil
}

// barrier waits until all ranks have come to it. That of a close is one of its own,
// so that no fence that a rank has given up stands for it. before is what comes
// first at this rank.
func (w *view) barrier(ctx context.Context, closing bool, before func(context.Context) error) error {
	a, tag := w.assembly(closing)
	if err := before(ctx); err != nil {
		a.leaveBarrier(1, tag)
		return err
	}
	return a.barrier(ctx, tag)
}

// assembly begins a barrier, and returns the first of its tags.
func (w *view) assembly(closing bool) (*accord, Tag) {
	tag := Tag(2*accordStages + w.region.id<<6) // the ones before are those of exchanges
	if closing {
		return newAccord(w.c, 1, func() string { return fmt.Sprintf("close of window %d", w.region.id) }), tag + 1<<5
	}
	e := w.c.e
	e.mu.Lock()
	w.region.fences++
	number := w.region.fences
	e.mu.Unlock()
	return newAccord(w.c, number, func() string { return fmt.Sprintf("fence %d of window %d", number, w.region.id) }), tag
}

func (w *view) shut() {
	e := w.c.e
	e.mu.Lock()
	e.closeRegion(w.region)
	e.flush()
	e.mu.Unlock()
	w.unshare()
}

// request is a new one that is named in errors by verb and the rank.
func (w *view) request(verb string, peer int) *Request {
	r := w.c.e.newRequest()
	r.e, r.kind, r.verb, r.group, r.peer, r.region = w.c.e, opAccess, verb, w.c.group, peer, w.region
	r.group.link(r)
	return r
}

// usable returns why nothing can be done on the window.
func (w *view) usable(verb string, peer int) error {
	err := w.c.e.broken(w.c.group)
	if err == nil && w.region.closed {
		err = ErrClosed
	}
	if err != nil {
		err = during((&Request{kind: opAccess, verb: verb, group: w.c.group, peer: peer}).String(), err)
	}
	return err
}

// span checks a range of n elements from off at a rank.
func (w *view) span(verb string, rank, off, n int) error {
	if rank < 0 || rank >= len(w.lens) {
		_, err := w.c.target(rank)
		return errors.WithMessage(err, verb+"a window")
	}
	if l := w.lens[rank]; off < 0 || off > l || n > l-off {
		return &RangeError{Op: verb, Rank: rank, Offset: off, Count: n, Len: l}
	}
	return nil
}

// begin starts an operation at a rank that exists. Without an error the lock is
// held when it returns.
func (w *view) begin(ctx context.Context, verb string, rank int) (peer int, err error) {
	peer = w.c.group.ranks[rank]
	if ctx.Err() != nil {
		return peer, errors.WithMessagef(context.Cause(ctx), "%srank %d on %s", verb, rank, w.c.group.name)
	}
	w.c.e.mu.Lock()
	if err := w.usable(verb, peer); err != nil {
		w.c.e.mu.Unlock()
		return peer, err
	}
	return peer, nil
}

// finish lets go of the lock and waits for the request.
func (w *view) finish(ctx context.Context, r *Request) error {
	e := w.c.e
	e.mu.Unlock()
	e.await(ctx, r)
	return e.retire(r)
}

// changed ends an operation on this rank's own memory. Now and then it lets the
// others' operations in: a program may do nothing but look whether they came.
func (w *view) changed() {
	e := w.c.e
	e.look(w.region)
	e.ownOps++
	visit := e.ownOps%visitEvery == 0
	e.mu.Unlock()
	if visit {
		e.visit(AnySource)
		yield()
	}
}

func (w *view) put(ctx context.Context, rank, off int, src []byte) error {
	const verb = "put to "
	if w.shared != nil {
		return w.store(ctx, verb, rank, off, src)
	}
	e := w.c.e
	peer, err := w.begin(ctx, verb, rank)
	if err != nil {
		return err
	}
	if peer == e.rank {
		copy(w.region.mem[off:], src)
		w.changed()
		return nil
	}
	if len(src) <= bundleLimit {
		op := wire.Op{Kind: wire.OpPut, Offset: uint64(off), Length: uint64(len(src))}
		if err := w.reserve(ctx, verb, peer, op.Size()); err != nil {
			return err
		}
		e.push(peer, w.region, &op, src)
		e.mu.Unlock()
		return nil
	}
	for {
		n := min(len(src), putPiece)
		if err := w.reserve(ctx, verb, peer, n); err != nil {
			return err
		}
		r := w.request(verb, peer)
		e.sendPut(peer, w.region, off, src[:n], r)
		if err := w.finish(ctx, r); err != nil {
			return err
		}
		if src, off = src[n:], off+n; len(src) == 0 {
			return nil
		}
		if _, err := w.begin(ctx, verb, rank); err != nil {
			return err
		}
	}
}

func (w *view) get(ctx context.Context, rank, off int, dst []byte) error {
	const verb = "get from "
	if w.shared != nil {
		return w.load(ctx, verb, rank, off, dst)
	}
	e := w.c.e
	peer, err := w.begin(ctx, verb, rank)
	if err != nil {
		return err
	}
	if len(dst) == 0 {
		e.mu.Unlock()
		return nil
	}
	if peer == e.rank {
		copy(dst, w.region.mem[off:])
		w.changed()
		return nil
	}
	op := wire.Op{Kind: wire.OpGet, Offset: uint64(off), Length: uint64(len(dst))}
	if err := w.reserve(ctx, verb, peer, op.Size()+min(len(dst), accessLimit)); err != nil {
		return err
	}
	if len(dst) > accessLimit {
		e.dispatch(peer, w.region, nil) // the answer is lent, and has nothing beside it
	}
	r := w.request(verb, peer)
	r.buf, r.results = dst, len(dst)
	e.collect(peer, w.region, &op)
	e.dispatch(peer, w.region, r)
	return w.finish(ctx, r)
}

// atomic does an operation on one element, whose old value goes to old.
func (w *view) atomic(ctx context.Context, verb string, rank int, op wire.Op, old, data []byte) error {
	if w.shared != nil {
		return w.amend(ctx, verb, rank, &op, data, old)
	}
	e := w.c.e
	peer, err := w.begin(ctx, verb, rank)
	if err != nil {
		return err
	}
	if peer == e.rank {
		e.scratch = w.region.apply(&op, data, e.scratch[:0])
		copy(old, e.scratch)
		w.changed()
		return nil
	}
	if err := w.reserve(ctx, verb, peer, op.Size()+len(old)); err != nil {
		return err
	}
	r := w.request(verb, peer)
	r.buf, r.results = r.small[:len(old)], len(old)
	e.collect(peer, w.region, &op, data)
	e.dispatch(peer, w.region, r)
	e.mu.Unlock()
	e.await(ctx, r)
	copy(old, r.small[:])
	return e.retire(r)
}

// accumulate combines src into the window, piece by piece.
func (w *view) accumulate(ctx context.Context, rank, off int, src []byte, a Accumulator) error {
	const verb = "accumulate at "
	e := w.c.e
	for len(src) > 0 {
		n := min(len(src), pieceLimit)
		long := n > bundleLimit
		if long {
			n &^= 7
		}
		op := wire.Op{Kind: wire.OpAccumulate, How: uint8(a), Offset: uint64(off), Length: uint64(n)}
		if w.shared != nil {
			if err := w.amend(ctx, verb, rank, &op, src[:n], nil); err != nil {
				return err
			}
			src, off = src[n:], off+n
			continue
		}
		peer, err := w.begin(ctx, verb, rank)
		if err != nil {
			return err
		}
		if peer == e.rank {
			w.region.apply(&op, src[:n], nil)
			w.changed()
		} else if err := w.reserve(ctx, verb, peer, op.Size()); err != nil {
			return err
		} else if long {
			r := w.request(verb, peer)
			e.sendOp(peer, w.region, &op, src[:n], r)
			if err := w.finish(ctx, r); err != nil {
				return err
			}
		} else {
			e.push(peer, w.region, &op, src[:n])
			e.mu.Unlock()
		}
		src, off = src[n:], off+n
	}
	return nil
}

// flush waits until all that this rank has done to windows at a rank is done.
func (w *view) flush(ctx context.Context, rank int) error {
	g := w.c.group
	if ctx.Err() == nil && !g.barred.Load() && !w.region.barred.Load() && !w.c.e.peers[g.ranks[rank]].stream.busy.Load() {
		return nil
	}
	peer, err := w.begin(ctx, flushVerb, rank)
	if err != nil {
		return err
	}
	r := w.startFlush(peer)
	if r == nil {
		w.c.e.mu.Unlock()
		return nil
	}
	return w.finish(ctx, r)
}

const flushVerb = "flush window at "

// startFlush begins a flush, and returns nil when there is nothing to wait for.
func (w *view) startFlush(peer int) *Request {
	e := w.c.e
	s := &e.peers[peer].stream
	if len(s.pending) == 0 && s.done >= s.work {
		return nil
	}
	r := w.request(flushVerb, peer)
	if n := len(s.asks); len(s.pending) == 0 && n > 0 && s.asks[n-1].frame == s.sent && s.last == w.region {
		e.awaitAnswer(r, s.sent)
	} else {
		e.dispatch(peer, w.region, r)
	}
	return r
}

// flushAll is flush for all ranks at once.
func (w *view) flushAll(ctx context.Context) error {
	if _, err := w.begin(ctx, flushVerb, w.c.Rank()); err != nil {
		return err
	}
	e := w.c.e
	var rs []*Request
	for _, peer := range w.c.group.ranks {
		if r := w.startFlush(peer); r != nil {
			rs = append(rs, r)
		}
	}
	e.mu.Unlock()
	return e.awaitAll(ctx, rs)
}

// awaitAll waits for requests and takes them back. It returns the first error.
func (e *engine) awaitAll(ctx context.Context, rs []*Request) error {
	var first error
	for _, r := range rs {
		e.await(ctx, r)
		if err := e.retire(r); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (w *view) fence(ctx context.Context, closing bool) error {
	return errors.WithMessage(w.barrier(ctx, closing, w.flushAll), "fence")
}

func (w *view) close(ctx context.Context) error {
	e := w.c.e
	e.mu.Lock()
	closed := w.region.closed
	e.mu.Unlock()
	if closed {
		w.unshare() // the communicator may have closed it
		return nil
	}
	defer w.shut()
	err := w.fence(ctx, true)
	if w.shared != nil {
		w.shared.settled = err == nil
	}
	return errors.WithMessage(err, "close window")
}

const waitVerb = "wait for a change by "

// waitFor waits until test is true, which is called with the lock held.
func (w *view) waitFor(ctx context.Context, test func() bool) error {
	if _, err := w.begin(ctx, waitVerb, w.c.Rank()); err != nil {
		return err
	}
	r := w.request(waitVerb, AnySource)
	r.test, r.phase = test, watching
	if w.c.e.judge(r) {
		w.c.e.complete(r, nil)
	} else if !r.done.Load() { // not ended by a panic
		w.region.watch = append(w.region.watch, r)
	}
	err := w.finish(ctx, r)
	goruntime.KeepAlive(w)
	return err
}
