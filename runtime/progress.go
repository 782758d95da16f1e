package runtime

import (
	"context"
	goruntime "runtime"
	"time"
)

// Who drives the engine.
//
// A caller that waits takes the lock if it is free, polls the transport (once, or
// as often as Transport.Polls says), lets go, calls sched_yield and looks at its
// request: this is as quick as the sockets or the shared memory are, and fair
// when there are more ranks than cores. After the
// transport's poll budget it parks on a channel, and the service goroutine,
// which blocks in the transport, makes the progress from then on.
//
// While callers poll, the service goroutine must not block in the transport:
// every message would wake its thread for nothing. It then is unarmed: it
// sleeps, looks every tick whether they have stopped, and has the next of them
// look at all peers, not only at the one that is waited for. A caller that
// parks, or leaves while frames wait to be sent or others are parked, wakes it
// at once, except for small messages that Isend leaves behind, see flushAfter, and
// what libraries start, who wait next: see StartSend.
//
// Ranks that use all cores of their host go back to one of their own while they
// poll, from one that others want: see homes.
//
// Who has made another goroutine of this rank runnable (a handler, a parked
// caller) lets it run before it polls or blocks again: on the own thread that
// takes a fraction of a microsecond, to wake another one takes tens.
const (
	tick       = 200 * time.Microsecond // of the unarmed service goroutine
	clockTurns = 16                     // between looks at clock and context, and at the core
	homeTurn   = 2                      // of those: what is there already does not wait for it
	schedTurns = 40                     // between turns of other goroutines: 30 µs to 100 µs
	shyTicks   = 4                      // in a row that may find the lock taken, before one waits for it
	crumb      = 1 << 10                // bytes of a message that may wait for a tick
)

// await waits for a request to end. When ctx ends first the request does, with
// the context's cause.
func (e *engine) await(ctx context.Context, r *Request) {
	if r.done.Load() {
		return
	}
	one := [1]*Request{r}
	if e.drive(ctx, one[:], r.peer) >= 0 {
		return
	}
	if e.park(ctx, one[:]) >= 0 {
		return
	}
	e.mu.Lock()
	if !r.done.Load() {
		e.complete(r, e.withdraw(r, context.Cause(ctx)))
	}
	e.mu.Unlock()
}

// awaitAny waits for one of several requests and returns its index, or −1 when
// ctx ends first.
func (e *engine) awaitAny(ctx context.Context, rs []*Request, hint int) int {
	if i := e.drive(ctx, rs, hint); i >= 0 {
		return i
	}
	return e.park(ctx, rs)
}

// drive polls until a request has ended, or the budget is used up, or ctx has
// ended: then it returns −1.
func (e *engine) drive(ctx context.Context, rs []*Request, hint int) int {
	if e.budget == 0 || e.computing.Load() > 1 || e.size == 1 {
		return -1
	}
	if hint == e.rank {
		hint = AnySource
	}
	e.pollers.Add(1)
	defer e.left()
	var start time.Time
	var served uint64
	for turn := 1; ; turn++ {
		woke := false
		if e.mu.TryLock() {
			e.sendLazy()
			e.spin(rs, hint)
			if e.served != served { // others use this rank's memory: they would wait for a thread to wake
				served, start = e.served, time.Time{}
			}
			woke, e.woke = e.woke, false
			e.mu.Unlock()
		}
		if i := firstDone(rs); i >= 0 {
			return i
		}
		switch {
		case woke || turn%schedTurns == 0:
			goruntime.Gosched()
		case turn%clockTurns == homeTurn:
			e.home.pass()
		default:
			yield()
		}
		if turn%clockTurns == 0 {
			now := time.Now()
			if start.IsZero() {
				start = now
			}
			if ctx.Err() != nil || now.Sub(start) > e.budget {
				return -1
			}
		}
	}
}

// left is called by a caller that stops polling.
func (e *engine) left() {
	e.visits.Add(1)
	if e.pollers.Add(-1) == 0 && e.unarmed.Load() && e.parked.Load() > 0 {
		e.rouse()
	}
}

// park waits on a channel. It returns −1 when ctx ends first.
func (e *engine) park(ctx context.Context, rs []*Request) int {
	e.mu.Lock()
	if i := firstDone(rs); i >= 0 {
		e.mu.Unlock()
		return i
	}
	w := e.newWaiter()
	for _, r := range rs {
		if r != nil {
			r.waiter = w
		}
	}
	e.parkers.add(w, rs)
	for _, r := range rs {
		e.sleep(r)
	}
	e.parked.Add(1)
	e.mu.Unlock()
	if e.unarmed.Load() && e.pollers.Load() == 0 {
		e.rouse()
	}
	select {
	case <-w.ch:
	case <-ctx.Done():
	}
	e.parked.Add(-1)
	e.mu.Lock()
	for _, r := range rs {
		if r != nil {
			e.wakeUp(r)
			r.waiter = nil
		}
	}
	e.parkers.remove(w)
	e.freeWaiter(w)
	i := firstDone(rs)
	e.mu.Unlock()
	return i
}

// visit is one poll by a caller that does not wait.
func (e *engine) visit(hint int) {
	if e.budget == 0 || e.size == 1 {
		goruntime.Gosched()
		return
	}
	if hint == e.rank {
		hint = AnySource
	}
	if e.mu.TryLock() {
		e.sendLazy() // one who tests again and again is all that drives the engine
		e.t.Poll(e.around(hint))
		e.mu.Unlock()
	}
	e.visits.Add(1)
}

// around is the peer to poll for: all, once a tick.
func (e *engine) around(hint int) int {
	if e.wide.Load() {
		e.wide.Store(false)
		return AnySource
	}
	return hint
}

// flush sees to it that what was handed to the transport leaves although
// nobody waits for it. The lock is held.
func (e *engine) flush() {
	if e.unarmed.Load() && e.pollers.Load() == 0 && e.t.Pending() {
		e.rouse()
	}
}

// flushAfter is flush after the start of a send. A small message that is the
// caller's no more and waits for company is left to whoever polls next, the
// service goroutine a few ticks later at the latest: to wake that for a part of a
// burst takes longer than to send the whole.
func (e *engine) flushAfter(r *Request) {
	if !r.done.Load() || r.head.Length > crumb {
		e.flush()
	}
}

// rouse arms the service goroutine.
func (e *engine) rouse() {
	select {
	case e.arm <- struct{}{}:
	default: // it has been told already
	}
}

// service makes progress while no caller does, until quit is closed and the
// transport woken.
func (e *engine) service(quit <-chan struct{}) {
	var seen, served uint64
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-quit:
			return
		default:
		}
		e.unarmed.Store(true)
		visits := e.visits.Load()
		if e.pollers.Load() > 0 || visits != seen && e.parked.Load() == 0 && !e.pending() {
			seen = visits
			e.wide.Store(true)
			timer.Reset(tick)
			select {
			case <-timer.C:
			case <-e.arm:
			case <-quit:
			}
			continue
		}
		seen = visits
		e.unarmed.Store(false)
		e.mu.Lock()
		e.sendLazy()
		e.mu.Unlock()
		e.t.Wait(-1)
		e.mu.Lock()
		e.sendLazy()
		// Once at least, whoever else has set woke: what ended Wait may not end
		// the next one.
		for turn := 0; turn < 64 && e.t.Poll(-1) && !e.woke; turn++ {
		}
		woke, used := e.woke, e.served != served
		e.woke, served = false, e.served
		e.mu.Unlock()
		if woke {
			goruntime.Gosched()
		}
		if used {
			e.stand()
		}
	}
}

// pending reports whether something waits to be sent, or cannot tell: who has the
// lock would have to wake this goroutine's thread when letting go, so it waits for
// the lock only after a few ticks that have found it taken.
func (e *engine) pending() bool {
	if !e.mu.TryLock() {
		if e.shy++; e.shy <= shyTicks {
			return false
		}
		e.mu.Lock()
	}
	defer e.mu.Unlock()
	e.shy = 0
	return len(e.lazy) > 0 || e.t.Pending()
}

// retire returns the error of a request that has ended and takes it back.
func (e *engine) retire(r *Request) error {
	err := r.err
	e.mu.Lock()
	e.freeRequest(r)
	e.mu.Unlock()
	return err
}
