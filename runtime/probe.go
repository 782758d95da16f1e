package runtime

import (
	"context"

	"github.com/pkg/errors"
)

// Probe waits until a message that Recv with the same arguments would take is
// there, and describes it without receiving it. When several goroutines receive,
// another may take it first; Match keeps it for its caller.
func Probe(ctx context.Context, c *Comm, src int, tag Tag) (Status, error) {
	if src == NoRank {
		return noMessage, nil
	}
	e := c.e
	r, err := c.seek(opProbe, src, tag)
	if err != nil {
		return Status{}, err
	}
	q := e.queuesOf(r.context)
	if en := q.Probe(r.peer, r.entry.Tag); en != nil {
		e.describe(r, en.Value)
		e.complete(r, nil)
	} else if r.peer >= 0 && e.peers[r.peer].left {
		e.complete(r, e.deserted(r.peer))
	} else {
		r.phase = posted
		q.probes = append(q.probes, r)
	}
	e.mu.Unlock()
	e.await(ctx, r)
	st := r.status
	return st, e.retire(r)
}

// TryProbe is a Probe that does not wait: it reports whether such a message is
// there. The error matches ErrLeft when it is not and its source, a rank that was
// named, has left.
func TryProbe(c *Comm, src int, tag Tag) (Status, bool, error) {
	if src == NoRank {
		return noMessage, true, nil
	}
	e := c.e
	r, err := c.glance(opProbe, src, tag)
	if err != nil {
		return Status{}, false, err
	}
	defer e.mu.Unlock()
	en := e.queuesOf(r.context).Probe(r.peer, r.entry.Tag)
	if en != nil {
		e.describe(r, en.Value)
	}
	err = e.nothing(r, en != nil)
	st := r.status
	e.freeRequest(r)
	return st, en != nil, err
}

// nothing ends a look for a message that does not wait.
func (e *engine) nothing(r *Request, found bool) error {
	if !found && r.peer >= 0 && e.peers[r.peer].left {
		e.complete(r, e.deserted(r.peer))
	} else {
		e.complete(r, nil)
	}
	return r.err
}

// Matched is a message that Match has taken out of the queues, so that no other
// receive gets it. It must be received or dropped, once: it takes memory or holds
// up its sender until then.
type Matched struct {
	Status

	c       *Comm
	message *message // guarded by engine.mu; nil: it has been received
}

// Match waits for the message that Recv with the same arguments would take, and
// takes it, in its turn among the receives, without saying yet where it goes. An
// unspecified source or length is known then, and RecvMatched receives it.
// A message of SendSync has met its receive only there. From NoRank an empty
// message comes at once.
func Match(ctx context.Context, c *Comm, src int, tag Tag) (*Matched, error) {
	if src == NoRank {
		return &Matched{Status: noMessage}, nil
	}
	e := c.e
	r, err := c.seek(opMatch, src, tag)
	if err != nil {
		return nil, err
	}
	q := e.queuesOf(r.context)
	if en := q.Claim(r.peer, r.entry.Tag); en != nil {
		e.seize(r, en.Value)
	} else if r.peer >= 0 && e.peers[r.peer].left {
		e.complete(r, e.deserted(r.peer))
	} else {
		r.entry.Source, r.entry.Value = r.peer, r
		r.phase = posted
		q.Post(&r.entry)
	}
	e.mu.Unlock()
	e.await(ctx, r)
	e.mu.Lock()
	defer e.mu.Unlock()
	err = r.err
	m := &Matched{Status: r.status, c: c, message: r.message}
	e.freeRequest(r)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// TryMatch is a Match that does not wait: it returns nil when there is no such
// message, and an error that matches ErrLeft when its source, a rank that was
// named, has left.
func TryMatch(c *Comm, src int, tag Tag) (*Matched, error) {
	if src == NoRank {
		return &Matched{Status: noMessage}, nil
	}
	e := c.e
	r, err := c.glance(opMatch, src, tag)
	if err != nil {
		return nil, err
	}
	defer e.mu.Unlock()
	var m *Matched
	if en := e.queuesOf(r.context).Claim(r.peer, r.entry.Tag); en != nil {
		e.seize(r, en.Value)
		m = &Matched{Status: r.status, c: c, message: r.message}
	} else {
		err = e.nothing(r, false)
	}
	e.freeRequest(r)
	return m, err
}

// seize gives a Match a message that is in no queue.
func (e *engine) seize(r *Request, m *message) {
	m.taken = true
	e.describe(r, m)
	e.complete(r, nil)
	r.message = m
}

// RecvMatched receives the message of m into buf, with the errors of Recv. m is
// spent then, whatever the outcome.
func RecvMatched[T Elem](ctx context.Context, m *Matched, buf []T) (Status, error) {
	return m.recv(ctx, into(buf))
}

var errSpent = errors.New("it has been received or dropped already")

func (m *Matched) recv(ctx context.Context, to room) (Status, error) {
	if m.c == nil {
		return m.Status, nil
	}
	c := m.c
	e := c.e
	e.mu.Lock()
	got := m.message
	m.message = nil
	if got == nil {
		e.mu.Unlock()
		return Status{}, errors.WithMessage(errSpent, "recv of a matched message")
	}
	r := e.newRequest()
	c.prepare(r, got.source, Tag(got.entry.Tag), to)
	c.group.link(r)
	if err := e.broken(c.group); err != nil {
		e.drop(got)
		e.complete(r, err)
	} else {
		e.take(r, got)
	}
	e.flush()
	e.mu.Unlock()
	e.await(ctx, r)
	st := r.status
	return st, e.retire(r)
}

// Drop throws the message away. It does nothing when it has been received.
func (m *Matched) Drop() {
	if m.c == nil {
		return
	}
	e := m.c.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if got := m.message; got != nil {
		m.message = nil
		e.drop(got)
		e.flush()
	}
}

// seek makes a request that looks for a message. Without an error the lock is
// held when it returns.
func (c *Comm) seek(kind opKind, src int, tag Tag) (*Request, error) {
	e := c.e
	peer, err := c.source(src)
	if err != nil {
		return nil, errors.WithMessage(err, map[opKind]string{opProbe: "probe", opMatch: "match"}[kind])
	}
	e.mu.Lock()
	r := e.newRequest()
	r.e, r.kind, r.group, r.peer, r.context, r.op = e, kind, c.group, peer, c.context(), c.op
	r.entry.Tag = uint32(tag)
	if err := e.broken(c.group); err != nil {
		err = during(r.String(), err)
		e.freeRequest(r)
		e.mu.Unlock()
		return nil, err
	}
	c.group.link(r)
	return r, nil
}

// glance is seek for a call that does not wait, after a look at what has come.
func (c *Comm) glance(kind opKind, src int, tag Tag) (*Request, error) {
	hint := AnySource
	if peer, err := c.source(src); err == nil {
		hint = peer
	}
	c.e.visit(hint)
	return c.seek(kind, src, tag)
}
