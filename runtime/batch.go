package runtime

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

const firstOps = 4 << 10 // bytes that a batch begins with

// Batch collects operations on the window at one rank, so that many small ones
// travel together: those that return something do not wait for it. They are
// done in order, some of them before Flush when there are many. A Batch is used
// by one goroutine at a time, and again after Flush.
type Batch[T Elem] struct {
	w *Window[T]
	b batch
}

// batch is a Batch without its element type.
type batch struct {
	w       *view
	rank    int
	direct  bool   // each operation is done at once
	ops     []byte // that have not left
	results [][]byte
	answer  int        // bytes of results
	rs      []*Request // that have
}

// Batch returns an empty batch for the window at rank.
func (w *Window[T]) Batch(rank int) *Batch[T] {
	direct := rank == w.view.c.Rank() || w.view.shared != nil
	return &Batch[T]{w: w, b: batch{w: w.view, rank: rank, direct: direct}}
}

// Put adds Window.Put. src is the caller's again when it returns.
func (b *Batch[T]) Put(ctx context.Context, off int, src []T) error {
	w := b.w
	if err := w.view.span("put to ", b.b.rank, off, len(src)); err != nil {
		return err
	}
	op := wire.Op{Kind: wire.OpPut, Offset: uint64(w.bytes(off)), Length: uint64(w.bytes(len(src)))}
	if op.Length > bundleLimit {
		if err := b.b.send(ctx, false); err != nil {
			return err
		}
		return w.view.put(ctx, b.b.rank, w.bytes(off), bytesOf(src))
	}
	return b.b.add(ctx, &op, bytesOf(src), nil)
}

// Get adds Window.Get. dst belongs to the batch until Flush returns. Of more
// than 64 KiB, what later operations of the batch write there may be seen.
func (b *Batch[T]) Get(ctx context.Context, off int, dst []T) error {
	if err := b.w.view.span("get from ", b.b.rank, off, len(dst)); err != nil {
		return err
	}
	op := wire.Op{Kind: wire.OpGet, Offset: uint64(b.w.bytes(off)), Length: uint64(b.w.bytes(len(dst)))}
	return b.b.add(ctx, &op, nil, bytesOf(dst))
}

// Accumulate adds Window.Accumulate. src is the caller's again when it returns.
func (b *Batch[T]) Accumulate(ctx context.Context, off int, src []T, a Accumulator) error {
	return b.combine(ctx, wire.OpAccumulate, "accumulate at ", off, src, nil, a)
}

// GetAccumulate adds Window.GetAccumulate. src is the caller's again when it
// returns, old belongs to the batch until Flush returns.
func (b *Batch[T]) GetAccumulate(ctx context.Context, off int, src, old []T, a Accumulator) error {
	if len(old) != len(src) {
		return errors.Errorf("get and accumulate: %d elements for %d", len(old), len(src))
	}
	return b.combine(ctx, wire.OpFetch, "fetch from ", off, src, old, a)
}

func (b *Batch[T]) combine(ctx context.Context, kind wire.OpKind, verb string, off int, src, old []T, a Accumulator) error {
	w := b.w
	if err := w.view.span(verb, b.b.rank, off, len(src)); err != nil {
		return err
	}
	if err := w.suits(verb, a); err != nil {
		return err
	}
	piece := pieceLimit / w.view.region.unit
	for len(src) > 0 {
		n := min(len(src), piece)
		op := wire.Op{Kind: kind, How: uint8(a), Offset: uint64(w.bytes(off)), Length: uint64(w.bytes(n))}
		var dst []byte
		if kind == wire.OpFetch {
			dst, old = bytesOf(old[:n]), old[n:]
		}
		if err := b.b.add(ctx, &op, bytesOf(src[:n]), dst); err != nil {
			return err
		}
		src, off = src[n:], off+n
	}
	return nil
}

// CompareAndSwap adds Window.CompareAndSwap. was belongs to the batch until
// Flush returns, and is then what the element was before.
func (b *Batch[T]) CompareAndSwap(ctx context.Context, off int, old, next T, was *T) error {
	const verb = "compare and swap at "
	if err := b.w.view.span(verb, b.b.rank, off, 1); err != nil {
		return err
	}
	operands := [2]T{old, next}
	op := wire.Op{Kind: wire.OpSwap, Offset: uint64(b.w.bytes(off)), Length: uint64(b.w.bytes(1))}
	return b.b.add(ctx, &op, bytesOf(operands[:]), bytesOf(one(was)))
}

// Flush sends what has not left and waits until all of the batch is done, and
// all that this rank has done to the window at the rank before. When it, or
// another method of the batch, returns an error that is not about its
// arguments, some operations may have been done, and no slice is the batch's
// any more.
func (b *Batch[T]) Flush(ctx context.Context) error { return b.b.flush(ctx) }

// add adds an operation whose result goes to dst.
func (b *batch) add(ctx context.Context, op *wire.Op, data, dst []byte) error {
	if b.direct {
		return b.apply(ctx, op, data, dst)
	}
	large := len(dst) > accessLimit // is lent: alone in its frame
	if len(b.ops)+op.Size() > accessLimit || len(dst) > 0 && b.answer+len(dst) > accessLimit {
		if err := b.send(ctx, false); err != nil {
			return err
		}
	}
	if b.ops == nil {
		b.ops = make([]byte, 0, firstOps)
	}
	b.ops = wire.AppendOp(b.ops, op, data)
	if len(dst) > 0 {
		b.results = append(b.results, dst)
		b.answer += len(dst)
	}
	if large {
		return b.send(ctx, false)
	}
	return nil
}

// apply does an operation at once, on this rank's own memory or one that is
// shared.
func (b *batch) apply(ctx context.Context, op *wire.Op, data, dst []byte) error {
	const verb = "access to "
	switch {
	case b.w.shared == nil:
	case op.Kind == wire.OpGet:
		return b.w.load(ctx, verb, b.rank, int(op.Offset), dst)
	default:
		return b.w.amend(ctx, verb, b.rank, op, data, dst)
	}
	if _, err := b.w.begin(ctx, verb, b.rank); err != nil {
		return err
	}
	e, g := b.w.c.e, b.w.region
	if op.Kind == wire.OpGet {
		copy(dst, g.mem[op.Offset:])
	} else {
		e.scratch = g.apply(op, data, e.scratch[:0])
		copy(dst, e.scratch)
	}
	b.w.changed()
	return nil
}

// send sends what has been collected. It asks for an answer when there are
// results, or when it is the last.
func (b *batch) send(ctx context.Context, last bool) error {
	if b.direct || len(b.ops) == 0 {
		return nil
	}
	const verb = "access to "
	w := b.w
	peer, err := w.begin(ctx, verb, b.rank)
	if err == nil {
		err = w.reserve(ctx, verb, peer, len(b.ops)+min(b.answer, accessLimit))
	}
	if err != nil {
		b.abandon(ctx)
		return err
	}
	e := w.c.e
	e.dispatch(peer, w.region, nil)
	var r *Request
	if b.answer > 0 || last {
		r = w.request(verb, peer)
		if r.results = b.answer; len(b.results) == 1 {
			r.buf = b.results[0]
		} else {
			r.into = append(r.into, b.results...)
		}
		b.rs = append(b.rs, r)
	}
	e.sendAccess(peer, w.region, b.ops, r)
	e.flush()
	e.mu.Unlock()
	b.reset()
	return nil
}

func (b *batch) reset() {
	clear(b.results)
	b.ops, b.results, b.answer = b.ops[:0], b.results[:0], 0
}

func (b *batch) flush(ctx context.Context) error {
	if err := b.w.span(flushVerb, b.rank, 0, 0); err != nil {
		return err
	}
	asked := len(b.ops) > 0
	if err := b.send(ctx, true); err != nil {
		return err
	}
	err := b.settle(ctx)
	if err == nil && !asked {
		err = b.w.flush(ctx, b.rank)
	}
	return err
}

// settle waits for the answers.
func (b *batch) settle(ctx context.Context) error {
	err := b.w.c.e.awaitAll(ctx, b.rs)
	clear(b.rs)
	b.rs = b.rs[:0]
	return err
}

// abandon gives up what has not been done, after an error.
func (b *batch) abandon(ctx context.Context) {
	b.reset()
	_ = b.settle(ctx) // the caller has an error already
}
