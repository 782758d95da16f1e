// Package match pairs receives with messages, the way MPI does: a message goes
// to the oldest receive that accepts it, a receive takes the oldest message it
// accepts, so that messages of one source and tag never overtake each other.
// It is a pure state machine: no locks, no time, nothing but queues.
package match

// Wildcards of a receive.
const (
	AnySource = -1
	AnyTag    = ^uint32(0)
)

// Entry is a receive or a message that can wait in a queue. The caller owns
// it, sets the first three fields, and leaves it alone while it is queued. An
// entry that has left its queue may be used again.
type Entry[T any] struct {
	Source int    // of a receive: AnySource accepts all
	Tag    uint32 // of a receive: AnyTag accepts all
	Value  T

	seq        uint64 // order of arrival; 0 when not queued
	prev, next *Entry[T]
	// older and newer link messages of all sources in order of arrival, for
	// receives that accept any source.
	older, newer *Entry[T]
}

// Queued reports whether the entry waits in a queue.
func (e *Entry[T]) Queued() bool { return e.seq != 0 }

type list[T any] struct {
	first, last *Entry[T]
}

func (l *list[T]) push(e *Entry[T]) {
	e.prev, e.next = l.last, nil
	if l.last == nil {
		l.first = e
	} else {
		l.last.next = e
	}
	l.last = e
}

func (l *list[T]) remove(e *Entry[T]) {
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
}

// Queues is the matching state of one communicator: receives of type R that
// wait for messages and messages of type M that wait for receives.
type Queues[R, M any] struct {
	receives []list[R] // by source
	wild     list[R]   // receives of any source
	messages []list[M] // by source
	// oldest and newest end the list of all messages in order of arrival.
	oldest, newest *Entry[M]
	seq            uint64
}

// New returns empty queues for messages of the sources 0 to sources−1.
func New[R, M any](sources int) *Queues[R, M] {
	return &Queues[R, M]{receives: make([]list[R], sources), messages: make([]list[M], sources)}
}

// Deliver removes and returns the oldest waiting receive that accepts a
// message of source and tag, or returns nil.
func (q *Queues[R, M]) Deliver(source int, tag uint32) *Entry[R] {
	exact := firstReceive(q.receives[source].first, tag)
	wild := firstReceive(q.wild.first, tag)
	switch {
	case exact == nil && wild == nil:
		return nil
	case wild == nil || exact != nil && exact.seq < wild.seq:
		q.receives[source].remove(exact)
		exact.seq = 0
		return exact
	default:
		q.wild.remove(wild)
		wild.seq = 0
		return wild
	}
}

// Hold queues a message that no receive accepted.
func (q *Queues[R, M]) Hold(m *Entry[M]) {
	q.seq++
	m.seq = q.seq
	q.messages[m.Source].push(m)
	m.older, m.newer = q.newest, nil
	if q.newest == nil {
		q.oldest = m
	} else {
		q.newest.newer = m
	}
	q.newest = m
}

// Probe returns the oldest waiting message that a receive of source and tag
// accepts, and leaves it where it is, or returns nil.
func (q *Queues[R, M]) Probe(source int, tag uint32) *Entry[M] {
	if source == AnySource {
		m := q.oldest
		for m != nil && tag != AnyTag && m.Tag != tag {
			m = m.newer
		}
		return m
	}
	m := q.messages[source].first
	for m != nil && tag != AnyTag && m.Tag != tag {
		m = m.next
	}
	return m
}

// Claim removes and returns what Probe would return.
func (q *Queues[R, M]) Claim(source int, tag uint32) *Entry[M] {
	m := q.Probe(source, tag)
	if m != nil {
		q.Drop(m)
	}
	return m
}

// Post queues a receive for which Claim found no message.
func (q *Queues[R, M]) Post(r *Entry[R]) {
	q.seq++
	r.seq = q.seq
	if r.Source == AnySource {
		q.wild.push(r)
	} else {
		q.receives[r.Source].push(r)
	}
}

// Cancel removes a waiting receive and reports whether it was waiting.
func (q *Queues[R, M]) Cancel(r *Entry[R]) bool {
	if r.seq == 0 {
		return false
	}
	if r.Source == AnySource {
		q.wild.remove(r)
	} else {
		q.receives[r.Source].remove(r)
	}
	r.seq = 0
	return true
}

// Drop removes a waiting message and reports whether it was waiting.
func (q *Queues[R, M]) Drop(m *Entry[M]) bool {
	if m.seq == 0 {
		return false
	}
	q.messages[m.Source].remove(m)
	if m.older == nil {
		q.oldest = m.newer
	} else {
		m.older.newer = m.newer
	}
	if m.newer == nil {
		q.newest = m.older
	} else {
		m.newer.older = m.older
	}
	m.older, m.newer = nil, nil
	m.seq = 0
	return true
}

// Oldest returns the message that has waited longest, or nil.
func (q *Queues[R, M]) Oldest() *Entry[M] { return q.oldest }

// firstReceive returns the first receive from r on that accepts tag.
func firstReceive[R any](r *Entry[R], tag uint32) *Entry[R] {
	for r != nil && r.Tag != AnyTag && r.Tag != tag {
		r = r.next
	}
	return r
}
