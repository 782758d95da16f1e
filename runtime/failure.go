package runtime

import (
	stderrors "errors"

	"github.com/pkg/errors"
)

// breakGroup makes every pending and later call on a communicator fail.
func (e *engine) breakGroup(g *group, err error) {
	if g.err == nil {
		g.err = err
		g.barred.Store(true)
		close(g.done)
	}
	for r := g.pending; r != nil; r = g.pending {
		e.detach(r, false)
		e.complete(r, err)
	}
}

// lose is called when a rank is found to be lost: every communicator that
// contains it fails, and with it the job.
func (e *engine) lose(rank int, cause error) {
	p := &e.peers[rank]
	if p.lost == nil {
		p.lost = cause
	}
	lost := &RankError{Rank: rank, Host: e.hosts[rank], Cause: cause}
	for _, g := range e.groups {
		if g.place(rank) >= 0 {
			e.breakGroup(g, lost)
		}
	}
	e.forfeit(rank)
	e.fail(lost)
}

// over ends the job for a reason that is not another rank.
func (e *engine) over(err error) {
	for _, g := range e.groups {
		e.breakGroup(g, err)
	}
	e.fail(err)
}

// fail ends the job: the body's context and the barrier at the end.
func (e *engine) fail(err error) {
	if e.failure == nil {
		e.failure = err
		if e.cancel != nil {
			e.cancel(err)
		}
	}
	if r := e.leave; r != nil {
		e.leave = nil
		e.complete(r, err)
	}
}

// desert ends the requests that only a rank whose body has returned could end:
// it sent all it had to send before it said so, and receives nothing more.
func (e *engine) desert(rank int) {
	for _, g := range e.groups {
		if g.place(rank) < 0 {
			continue
		}
		for r := g.pending; r != nil; {
			next := r.next
			receives := r.phase == posted || r.phase == awaiting || r.pulls()
			sends := r.kind == opSend && (r.phase == queued || r.phase == announced || r.phase == delivered || r.phase == offered)
			notifies := r.kind == opAccess && r.phase == queued
			if r.peer == rank && (receives || sends || notifies) {
				e.detach(r, false)
				e.complete(r, e.deserted(rank))
			}
			r = next
		}
	}
}

// deserted is the error of a call that needs a rank whose body has returned.
func (e *engine) deserted(rank int) error {
	return errors.WithMessagef(ErrLeft, "rank %d on host %s has left", rank, e.hosts[rank])
}

// broken returns why calls on the communicator fail.
func (e *engine) broken(g *group) error {
	if g.closed {
		return ErrClosed
	}
	return g.err
}

// errQuit is the cause of a connection that ended without a goodbye.
var errQuit = stderrors.New("its connection ended")
