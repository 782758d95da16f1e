package runtime

import (
	"context"
	stderrors "errors"
	"runtime/debug"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// depart waits until the bodies of all ranks have returned, and then until no
// frame is under way any more.
func (e *engine) depart(ctx context.Context) error {
	if err := e.assemble(ctx, wire.Leave); err != nil {
		return err
	}
	// All that was sent to this rank's ports is here.
	e.stopPorts()
	if err := e.assemble(ctx, wire.Goodbye); err != nil {
		return err
	}
	limit := farewell
	e.mu.Lock()
	if e.lag != nil {
		limit += e.lag() // an emulated link loses nothing, however slow it is
	}
	e.mu.Unlock()
	if e.tree != nil { // what this rank passes on is for others, behind a neighbour that may be stopped for long
		limit = forever
	}
	e.linger(limit, func() bool { return !e.t.Pending() || e.tree != nil && (e.failure != nil || ctx.Err() != nil) })
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, g := range e.groups {
		e.breakGroup(g, ErrClosed)
	}
	return nil
}

// assemble sends all peers a frame and waits for theirs.
func (e *engine) assemble(ctx context.Context, kind wire.Kind) error {
	e.mu.Lock()
	if e.failure != nil {
		defer e.mu.Unlock()
		return e.failure
	}
	if !e.leaving {
		e.leaving = true
		e.closeUnopened()
		e.tellPorts(e.rank)
	}
	e.parting = kind == wire.Goodbye
	e.sendLazy()
	for peer := range e.peers {
		if peer == e.rank || e.tree != nil && e.t.Link(peer) != transport.Linked {
			continue
		}
		e.out = wire.Header{Kind: kind}
		e.transmit(peer, nil, nil)
	}
	if e.tree != nil {
		e.mu.Unlock()
		if err := e.tellAll(ctx, kind); err != nil {
			return err
		}
		e.mu.Lock()
		if e.failure != nil {
			defer e.mu.Unlock()
			return e.failure
		}
	}
	r := &Request{e: e, kind: opLeave, peer: AnySource}
	e.leave = r
	e.checkLeave()
	e.mu.Unlock()
	e.await(ctx, r)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leave = nil
	return r.err
}

// checkLeave ends the wait of assemble when all peers have been heard of.
func (e *engine) checkLeave() {
	if e.leave == nil {
		return
	}
	for i := range e.peers {
		p := &e.peers[i]
		if i != e.rank && !(p.left && !e.parting || p.gone && (e.tree == nil || p.told[1])) {
			return
		}
	}
	r := e.leave
	e.leave = nil
	e.complete(r, nil)
}

// fall ends the whole job because this rank can not go on, and returns the
// reason: err, unless the job had failed before.
func (e *engine) fall(err error) error {
	e.mu.Lock()
	if e.fault != nil {
		err = e.fault
	} else if lost, ok := e.failure.(*RankError); ok && !stderrors.Is(err, ErrRankLost) {
		// Whatever body says now, it says it because its calls failed.
		err = &RankError{Rank: lost.Rank, Host: lost.Host, Op: err.Error(), Cause: lost.Cause}
	}
	rank, cause := e.rank, err
	if lost, ok := stderrors.AsType[*RankError](err); ok {
		rank, cause = lost.Rank, lost.Cause
	}
	said := e.revoked // by another, and passed on
	if said == nil || e.fault != nil {
		said = &revocation{encodeCause(rank, cause.Error()), e.rank}
	}
	e.revoke(said)
	e.over(ErrClosed)
	e.mu.Unlock()
	e.stopPorts()
	// A connection that is closed with frames unread is reset, and the peers
	// would not see the Revoke: read until they have
	// gone, or know of it.
	e.linger(revokeLimit, func() bool {
		for i := range e.peers {
			if p := &e.peers[i]; i != e.rank && !p.gone && !p.fell && p.lost == nil {
				return false
			}
		}
		return e.tree == nil || !e.t.Pending() // peers that are gone hear of it too
	})
	return err
}

// linger lets the service goroutine work until done, with the lock, is true.
func (e *engine) linger(limit time.Duration, done func() bool) {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for until := time.Now().Add(limit); ; {
		e.mu.Lock()
		for e.t.Poll(-1) {
		}
		ok := done()
		e.mu.Unlock()
		if ok || time.Now().After(until) {
			return
		}
		<-ticker.C
	}
}

// stopPorts closes all ports and waits for their handlers.
func (e *engine) stopPorts() {
	e.mu.Lock()
	for _, d := range e.doors {
		if d.port != nil {
			d.closed = true
			d.rouse()
		}
	}
	e.mu.Unlock()
	e.ports.Wait()
}

// collapse ends the job because of what has happened to this rank itself: a
// panic of a handler, say.
func (e *engine) collapse(err error) {
	if e.fault == nil {
		e.fault = err
	}
	e.over(err)
}

// Panicked ends the job because of a panic of the program that a library has
// recovered from on a goroutine of its own, as a panic of the body ends it. op
// says in what it was, value is what recover has returned, nil when the goroutine
// was ended instead. The deferred function that has recovered calls it; it returns
// the error, now that of this rank.
func (c *Comm) Panicked(op string, value any) error {
	err := errExited
	if value != nil {
		err = &panicError{value, debug.Stack()}
	}
	err = errors.WithMessage(err, op)
	e := c.e
	e.mu.Lock()
	defer e.mu.Unlock()
	e.collapse(err)
	e.flush()
	return err
}
