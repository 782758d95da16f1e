package runtime

import (
	"context"
	goruntime "runtime"
	"slices"
	"time"
	"unsafe"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// What a rank does by itself to a window that is shared: see sharing.go.
const (
	lockTries  = 50 // looks at a lock before the core is given up
	lockGos    = 4  // turns between those of other goroutines
	lockVisits = 16 // turns between looks at what others want
	lockTurns  = 4000
	lockRest   = 50 * time.Microsecond // between looks after that many

	outVisits = 256 // operations on others' memory between looks at what they want
)

// refusal returns why an operation can not begin, nil if it can: that what view.begin
// says, without the lock of the engine, and that the target has closed its part.
func (w *view) refusal(ctx context.Context, verb string, rank int) error {
	if ctx.Err() == nil && !w.c.group.barred.Load() && !w.region.barred.Load() && w.shared.parts[rank].head.closed.Load() == 0 {
		return nil
	}
	peer, err := w.begin(ctx, verb, rank)
	if err != nil {
		return err
	}
	// What the owner has said when it closed it, of a failure say, comes first.
	e := w.c.e
	for tries := 0; tries < lockVisits && !e.closed && e.t.Poll(peer); tries++ {
	}
	if err = w.usable(verb, peer); err == nil {
		err = during((&Request{kind: opAccess, verb: verb, group: w.c.group, peer: peer}).String(), ErrClosed)
	}
	e.mu.Unlock()
	return err
}

// acquire takes the lock of a part.
func (w *view) acquire(ctx context.Context, verb string, rank int) (*cells, error) {
	if err := w.refusal(ctx, verb, rank); err != nil {
		return nil, err
	}
	p := &w.shared.parts[rank]
	if p.head.waiting.Load() == 0 && p.head.lock.CompareAndSwap(0, 1) {
		return p, nil
	}
	return p, w.contend(ctx, verb, rank, p)
}

// contend takes the lock of a part that others hold or wait for.
func (w *view) contend(ctx context.Context, verb string, rank int, p *cells) error {
	p.head.waiting.Add(1)
	defer p.head.waiting.Add(-1)
	// Of the goroutines of a process one spins: they would keep its threads from
	// the one that holds the lock.
	select {
	case w.shared.turns[rank] <- struct{}{}:
		defer func() { <-w.shared.turns[rank] }()
	case <-ctx.Done():
	case <-w.c.group.done:
	}
	var stuck *Request
	defer func() { w.unstick(stuck) }()
	for turn := 1; ; turn++ {
		if err := w.refusal(ctx, verb, rank); err != nil {
			return err
		}
		for range lockTries {
			if p.head.lock.Load() == 0 && p.head.lock.CompareAndSwap(0, 1) {
				return nil
			}
		}
		switch {
		case turn == lockTurns: // its holder has been stopped, maybe
			stuck = w.stick(verb, rank)
		case turn > lockTurns:
			time.Sleep(lockRest)
		case turn%lockVisits == 0:
			w.visit()
		case turn%lockGos == 0:
			goruntime.Gosched()
		default:
			yield()
		}
	}
}

// stick makes it known to who asks what this rank waits for that it waits for
// a part.
func (w *view) stick(verb string, rank int) *Request {
	e := w.c.e
	e.mu.Lock()
	defer e.mu.Unlock()
	r := w.request(verb, w.c.group.ranks[rank])
	r.waiter = e.newWaiter()
	e.parkers.add(r.waiter, []*Request{r})
	return r
}

func (w *view) unstick(r *Request) {
	if r == nil {
		return
	}
	e := w.c.e
	e.mu.Lock()
	e.parkers.remove(r.waiter)
	e.freeWaiter(r.waiter)
	r.waiter = nil
	if !r.done.Load() {
		e.complete(r, nil)
	}
	e.mu.Unlock()
	_ = e.retire(r)
}

// release gives the lock of a part back, after a change or none.
func (w *view) release(rank int, p *cells, changed bool) {
	p.head.changes++
	visit := p.head.changes%outVisits == 0
	p.head.lock.Store(0)
	w.finished(rank, p, changed, visit)
}

// finished ends an operation on a part: if it has changed something it tells who
// sleeps there until that. Visit lets others in.
func (w *view) finished(rank int, p *cells, changed, visit bool) {
	if changed && p.head.asleep.Load() != 0 && p.head.asleep.Swap(0) != 0 {
		w.tell(rank)
	}
	if visit {
		w.visit()
	}
	goruntime.KeepAlive(w)
}

// tell lets the owner of a part look for what has changed there, whatever has
// become of the call that has changed it. There is one such word under way at
// most, until the owner is asleep again.
func (w *view) tell(rank int) {
	e := w.c.e
	e.mu.Lock()
	defer e.mu.Unlock()
	switch peer := w.c.group.ranks[rank]; {
	case peer == e.rank:
		e.look(w.region)
		e.expect(w.region)
	case !e.closed:
		s := &e.peers[peer].stream
		alone, work, busy := len(s.pending) == 0, s.work, s.busy.Load()
		op := wire.Op{Kind: wire.OpPut} // of nothing
		e.collect(peer, w.region, &op)
		e.dispatch(peer, w.region, nil)
		if alone { // no flush waits for it
			s.work = work
			s.busy.Store(busy)
		}
		e.flush()
	}
}

// visit lets others have this rank's attention, and its core.
func (w *view) visit() {
	e := w.c.e
	e.visit(AnySource)
	if e.mu.TryLock() {
		e.ended++ // for who asks whether this rank does anything
		e.mu.Unlock()
	}
	yield()
}

// amend does an operation that changes a part; its result goes to dst.
func (w *view) amend(ctx context.Context, verb string, rank int, op *wire.Op, data, dst []byte) error {
	if overlap(data, dst) {
		data = slices.Clone(data)
	}
	p, err := w.acquire(ctx, verb, rank)
	if err != nil {
		return err
	}
	p.apply(op, data, dst[:0])
	keeps := op.Kind != wire.OpPut && op.Kind != wire.OpSwap && Accumulator(op.How) == Keep
	w.release(rank, p, !keeps)
	return nil
}

func overlap(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	i, k := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return i < k+uintptr(len(b)) && k < i+uintptr(len(a))
}

// store is put.
func (w *view) store(ctx context.Context, verb string, rank, off int, src []byte) error {
	if len(src) <= bundleLimit {
		p, err := w.acquire(ctx, verb, rank)
		if err != nil {
			return err
		}
		copyWhole(p.mem[off:], src)
		w.release(rank, p, len(src) > 0)
		return nil
	}
	for len(src) > 0 {
		if err := w.refusal(ctx, verb, rank); err != nil {
			return err
		}
		n := min(len(src), putPiece)
		p := &w.shared.parts[rank]
		copy(p.mem[off:], src[:n])
		visit := w.shared.reads.Add(1)%outVisits == 0 // orders the copy before what follows
		w.finished(rank, p, true, visit)
		src, off = src[n:], off+n
	}
	return nil
}

// load is get.
func (w *view) load(ctx context.Context, verb string, rank, off int, dst []byte) error {
	for {
		if err := w.refusal(ctx, verb, rank); err != nil {
			return err
		}
		n := copyWhole(dst[:min(len(dst), putPiece)], w.shared.parts[rank].mem[off:])
		if w.shared.reads.Add(1)%outVisits == 0 {
			w.visit()
		}
		goruntime.KeepAlive(w)
		if dst, off = dst[n:], off+n; len(dst) == 0 {
			return nil
		}
	}
}
