package runtime

import (
	"context"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// lock is that of a region: held by one rank alone, or by several that share
// it, in the order of the requests.
type lock struct {
	holders []lockRequest
	queue   []lockRequest
}

// lockRequest is what the target knows of one: the number is the origin's.
type lockRequest struct {
	peer   int
	id     uint64
	shared bool
}

// wantLock queues a request for the lock of a region of this rank.
func (e *engine) wantLock(g *region, q lockRequest) {
	g.lock.queue = append(g.lock.queue, q)
	e.grantLock(g)
}

// grantLock gives the lock to whom it is due.
func (e *engine) grantLock(g *region) {
	l := &g.lock
	for len(l.queue) > 0 {
		q := l.queue[0]
		if len(l.holders) > 0 && !(q.shared && l.holders[0].shared) {
			return
		}
		l.queue = l.queue[1:]
		l.holders = append(l.holders, q)
		if q.peer == e.rank {
			e.locked(q.id, nil)
			continue
		}
		e.out = wire.Header{Kind: wire.Answer, Flags: wire.Granted, ID: q.id}
		e.transmit(q.peer, nil, nil)
	}
	l.queue = nil
}

// unlock takes back what a request got, or the request.
func (e *engine) unlock(g *region, peer int, id uint64) {
	for _, list := range [...]*[]lockRequest{&g.lock.holders, &g.lock.queue} {
		for i, q := range *list {
			if q.peer == peer && q.id == id {
				*list = append((*list)[:i], (*list)[i+1:]...)
				e.grantLock(g)
				return
			}
		}
	}
}

// locked is told that a request of this rank has been granted, or why not. One that has
// been cancelled meanwhile has told the target.
func (e *engine) locked(id uint64, err error) {
	if r := e.locks[id]; r != nil {
		delete(e.locks, id)
		e.complete(r, err)
	}
}

// tellLock sends an operation on a lock to the target.
func (e *engine) tellLock(peer int, g *region, op wire.Op) {
	switch {
	case peer != e.rank:
		e.push(peer, g, &op)
	case op.Kind == wire.OpLock:
		e.wantLock(g, lockRequest{peer: peer, id: op.Offset, shared: op.How == 1})
	default:
		e.unlock(g, peer, op.Offset)
	}
}

// denyLocks answers the requests for a lock among operations on a window that
// is not open here.
func (e *engine) denyLocks(peer int, b []byte) {
	for len(b) > 0 {
		var op wire.Op
		_, rest, err := op.Decode(b)
		if err != nil {
			return
		}
		if b = rest; op.Kind == wire.OpLock {
			e.denyLock(lockRequest{peer: peer, id: op.Offset})
		}
	}
}

func (e *engine) denyLock(q lockRequest) {
	if q.peer == e.rank {
		e.locked(q.id, ErrClosed)
		return
	}
	e.out = wire.Header{Kind: wire.Answer, Flags: wire.Granted | wire.WindowClosed, ID: q.id}
	e.transmit(q.peer, nil, nil)
}

const lockVerb = "lock window at "

// withLock runs body with the lock of the window at a rank.
func (w *view) withLock(ctx context.Context, rank int, shared bool, body func() error) (err error) {
	e, g := w.c.e, w.region
	peer, err := w.begin(ctx, lockVerb, rank)
	if err != nil {
		return err
	}
	op := wire.Op{Kind: wire.OpLock}
	if shared {
		op.How = 1
	}
	e.lastOp++
	op.Offset = e.lastOp
	r := w.request(lockVerb, peer)
	r.until = op.Offset
	r.phase = locking
	e.locks[op.Offset] = r
	e.tellLock(peer, g, op)
	if peer != e.rank {
		e.dispatch(peer, g, nil)
		e.flush()
	}
	e.mu.Unlock()
	e.await(ctx, r)
	if err := e.retire(r); err != nil {
		return err
	}
	unlock := func() {
		op.Kind = wire.OpUnlock
		e.mu.Lock()
		e.tellLock(peer, g, op)
		if w.shared != nil && peer != e.rank {
			e.dispatch(peer, g, nil) // all is done that others are to see
		}
		e.flush() // of a grant to another rank
		e.mu.Unlock()
	}
	returned := false
	defer func() {
		if !returned { // body has panicked
			unlock()
		}
	}()
	err = body()
	returned = true
	unlock()
	if w.shared != nil {
		return err
	}
	if done := w.flush(ctx, rank); err == nil {
		err = done
	}
	return err
}
