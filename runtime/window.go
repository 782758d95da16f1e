package runtime

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Window is memory of every rank of a communicator that all ranks may read and
// change while its owner does something else: the owner's engine does what the
// others ask for, one operation after another, whether the owner computes or
// waits. Methods may be called by several goroutines at once, the collective
// ones by one at a time. Offsets and counts are in elements.
//
// # Order and completion
//
// What one rank does to the memory of one other is done there in the order of
// the calls. Get, Fetch, GetAccumulate and CompareAndSwap return when it has
// been done. Put and Accumulate return when the slice is the caller's again;
// what they do is done at the target after the next Flush of this rank for the
// target, FlushAll, Fence, or end of Exclusive or Shared; it is done after a
// while without these, too. A rank that puts much more than the target takes
// in waits in Put.
//
// # Atomicity
//
// Accumulate, Fetch, GetAccumulate and CompareAndSwap are atomic for each
// element, with respect to one another, to puts and gets of up to 4 KiB, and to
// the same calls of the owner. Longer puts and gets go straight between the
// caller's slice and the window, and an operation on the same elements
// meanwhile may see or leave any mixture of old and new.
//
// # Shared memory
//
// Where all ranks of the communicator share memory, as those of one host do on
// Linux, and elements are not complex, the windows are that memory, and each
// rank works on it by itself: 8 bytes take some 0.1 µs. Long gets and puts
// look at their context after each MiB. A communicator that spans hosts can be
// split into such ones: see Comm.SplitHost.
//
// # Local access
//
// The slice that Local returns is plain memory. What others do to it meanwhile
// is a data race, as between goroutines. To read there what others have
// written, or to write what others are to read, order the two: by Fence; by
// Exclusive or Shared at the own rank, against those who hold the lock; by
// WaitNotify, after which all is there that the sender of the notification did
// before; by WaitFor, after which all is there that the rank whose change it
// saw did before; or by any message that the other rank sends after a Flush, or
// receives before its access. A rank that must not wait uses Get and Put on
// itself, or the atomic operations.
type Window[T Elem] struct {
	view  *view
	local []T
}

// NewWindow opens a window of n elements on this rank, all zero; n may differ
// between ranks, and be 0. It is collective, and a rank opens one window at a
// time. Ranks that make another call, or give this one up, leave the others an
// error, as Split does; failure of other kinds may leave a window at some ranks.
func NewWindow[T Elem](ctx context.Context, c *Comm, n int) (*Window[T], error) {
	w := new(Window[T])
	var err error
	w.view, err = newView(ctx, c, elemOf[T](), n, func() []byte { return bytesOf(make([]T, n)) })
	if err != nil {
		return nil, errors.WithMessagef(err, "open window on %s", c.Name())
	}
	w.local = elemsOf[T](w.view.region.mem)
	return w, nil
}

// Local is the memory of this rank, until Close of the window or of the
// communicator: see the rules above.
func (w *Window[T]) Local() []T { return w.local }

// Mapped is the memory of any rank where windows are shared, as this one has it,
// and nil for others than this one where they are not. The rules are those of
// Local, and what orders accesses there does here: after a Fence, say, ranks may
// read what their neighbours have written without a copy.
func (w *Window[T]) Mapped(rank int) []T {
	switch {
	case w.view.shared != nil:
		return elemsOf[T](w.view.shared.parts[rank].mem)
	case rank == w.view.c.Rank():
		return w.local
	}
	return nil
}

// Len is the number of elements at a rank.
func (w *Window[T]) Len(rank int) int { return w.view.lens[rank] }

// Put writes src to the window at rank, from off on. Of a Put whose context
// ended, a part may have been done, or will be.
func (w *Window[T]) Put(ctx context.Context, rank, off int, src []T) error {
	if err := w.view.span("put to ", rank, off, len(src)); err != nil {
		return err
	}
	return w.view.put(ctx, rank, w.bytes(off), bytesOf(src))
}

// Get reads the window at rank, from off on, into dst.
func (w *Window[T]) Get(ctx context.Context, rank, off int, dst []T) error {
	if err := w.view.span("get from ", rank, off, len(dst)); err != nil {
		return err
	}
	return w.view.get(ctx, rank, w.bytes(off), bytesOf(dst))
}

// Accumulate combines src with the window at rank, from off on, element by
// element.
func (w *Window[T]) Accumulate(ctx context.Context, rank, off int, src []T, a Accumulator) error {
	const verb = "accumulate at "
	if err := w.view.span(verb, rank, off, len(src)); err != nil {
		return err
	}
	if err := w.suits(verb, a); err != nil {
		return err
	}
	return w.view.accumulate(ctx, rank, w.bytes(off), bytesOf(src), a)
}

// Fetch combines v with one element, and returns what the element was before:
// fetch-and-op. With Keep it is an atomic read.
func (w *Window[T]) Fetch(ctx context.Context, rank, off int, v T, a Accumulator) (T, error) {
	const verb = "fetch from "
	var old, operand [1]T
	if err := w.view.span(verb, rank, off, 1); err != nil {
		return old[0], err
	}
	if err := w.suits(verb, a); err != nil {
		return old[0], err
	}
	operand[0] = v
	op := wire.Op{Kind: wire.OpFetch, How: uint8(a), Offset: uint64(w.bytes(off)), Length: uint64(w.bytes(1))}
	err := w.view.atomic(ctx, verb, rank, op, bytesOf(old[:]), bytesOf(operand[:]))
	return old[0], err
}

// GetAccumulate is Fetch for many elements: src is combined with the window at
// rank, from off on, and old, of the same length, gets what was there before. It
// is not to be a part of the same range of the window.
func (w *Window[T]) GetAccumulate(ctx context.Context, rank, off int, src, old []T, a Accumulator) error {
	b := w.Batch(rank)
	if err := b.GetAccumulate(ctx, off, src, old, a); err != nil {
		return err
	}
	return b.Flush(ctx)
}

// CompareAndSwap puts next in the place of an element that is old, bit by bit
// (so NaN equals itself, and 0 is not −0), and returns what the element was
// before: it has been replaced if that is old.
func (w *Window[T]) CompareAndSwap(ctx context.Context, rank, off int, old, next T) (T, error) {
	const verb = "compare and swap at "
	var was [1]T
	if err := w.view.span(verb, rank, off, 1); err != nil {
		return was[0], err
	}
	operands := [2]T{old, next}
	op := wire.Op{Kind: wire.OpSwap, Offset: uint64(w.bytes(off)), Length: uint64(w.bytes(1))}
	err := w.view.atomic(ctx, verb, rank, op, bytesOf(was[:]), bytesOf(operands[:]))
	return was[0], err
}

// PutNotify is Put, and tells the rank when it, and all before it, is done: see
// WaitNotify. Notifications that the target has not waited for are limited (to
// about 8000 or more of each rank); a further PutNotify waits, and fails with
// ErrLeft when the target's body has returned.
func (w *Window[T]) PutNotify(ctx context.Context, rank, off int, src []T, tag Tag) error {
	if tag == AnyTag {
		return errors.WithMessage(errTag, "notify")
	}
	if err := w.Put(ctx, rank, off, src); err != nil {
		return err
	}
	op := wire.Op{Kind: wire.OpNotify, Tag: uint32(tag), Offset: uint64(w.bytes(off)), Length: uint64(w.bytes(len(src)))}
	return w.view.notify(ctx, rank, op)
}

// WaitNotify waits for a PutNotify of rank src, or AnySource, with tag, or
// AnyTag, to this rank, and says what has been put. Each notification ends one
// wait; those of one rank and tag come in order. When it returns, what the
// sender has done to this rank's memory before is there.
func (w *Window[T]) WaitNotify(ctx context.Context, src int, tag Tag) (Note, error) {
	return w.view.waitNote(ctx, src, tag)
}

// WaitFor waits until an element of this rank's own memory is as ok wants it,
// and returns it. Others change it by any of their operations, this rank by
// calls and not by writing to Local. ok is called with each value it may have
// to judge, on any goroutine, and must not call the runtime.
func (w *Window[T]) WaitFor(ctx context.Context, off int, ok func(T) bool) (T, error) {
	var v T
	if err := w.view.span(waitVerb, w.view.c.Rank(), off, 1); err != nil {
		return v, err
	}
	err := w.view.waitFor(ctx, func() bool {
		v = w.local[off]
		return ok(v)
	})
	return v, err
}

// Flush waits until all that this rank has done to windows at rank so far is
// done there. It costs no message when nothing is under way.
func (w *Window[T]) Flush(ctx context.Context, rank int) error {
	if err := w.view.span(flushVerb, rank, 0, 0); err != nil {
		return err
	}
	return w.view.flush(ctx, rank)
}

// FlushAll is Flush for all ranks, at once.
func (w *Window[T]) FlushAll(ctx context.Context) error { return w.view.flushAll(ctx) }

// Fence waits until all ranks have called it, and all that they have done to
// the window before is done. It is collective. Where a rank gives it up, whose
// context ends, the others wait no longer: each has what it needs of that rank
// already, or gets an error that matches ErrAbandoned.
func (w *Window[T]) Fence(ctx context.Context) error { return w.view.fence(ctx, false) }

// Exclusive runs body while no other holder of a lock of the window at rank
// does anything there: ranks and goroutines take turns in the order in which
// their requests come to it. When it returns, all that this rank has done to
// the window at rank is done there. It returns the error of body, if it has
// one. A lock keeps out only those who take it, and is not to be taken again
// in body. When ctx ends before the lock was granted, body does not run; when
// it ends later, the lock is given back all the same.
func (w *Window[T]) Exclusive(ctx context.Context, rank int, body func() error) error {
	return w.withLock(ctx, rank, false, body)
}

// Shared is Exclusive for those that share: several may hold the lock at once.
// Who wants it alone is not overtaken by later ones that share it.
func (w *Window[T]) Shared(ctx context.Context, rank int, body func() error) error {
	return w.withLock(ctx, rank, true, body)
}

func (w *Window[T]) withLock(ctx context.Context, rank int, shared bool, body func() error) error {
	if err := w.view.span(lockVerb, rank, 0, 0); err != nil {
		return err
	}
	return w.view.withLock(ctx, rank, shared, body)
}

// Close is like a Fence, after which the window can not be used any more, nor
// what Local and Mapped returned, which may be zero then, and unmapped later. It
// is collective. Whatever it returns, the window is closed at this rank; a
// second Close does nothing. A window that is open when the body returns serves
// others until all bodies have.
func (w *Window[T]) Close(ctx context.Context) error { return w.view.close(ctx) }

func (w *Window[T]) bytes(n int) int { return n * w.view.region.unit }

func (w *Window[T]) suits(verb string, a Accumulator) error {
	if elem := w.view.region.elem; !a.suits(elem) {
		return errors.Errorf("%sa window: %s of %s", verb, a, elemName(elem))
	}
	return nil
}
