// Package oplog keeps a worker's own updates of one table until every copy of
// a row that the worker may read contains them: the versioned op log of Bösen
// (Wei et al., SoCC 2015). It is pure.
//
// The updates of a clock coalesce in the open entry, one delta a row. Seal ends
// the clock. An entry is sent in a batch to each owner, whose number is its
// version there; a copy of a row that an owner had applied up to some version
// lacks the entries beyond it, and Replay adds them, in clock order.
package oplog

import (
	"cmp"
	"slices"

	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// Unsent is the version of an entry that has not left.
const Unsent = ^uint64(0)

// Entry is the updates of one clock.
type Entry[T codec.Elem] struct {
	Clock int64
	Rows  []int64      // increasing, once sealed
	At    []int32      // by place in Rows: the slot in Delta
	Delta slab.Rows[T] // slots in the order of first touch
	slots []int32      // by slot in Delta: the row's slot in the view
	prev  []link       // by slot in Delta: the row's delta before this
	sent  []uint64     // by owner: the version; empty while unsent
	seq   uint32       // number of the entry
	rows  []int64      // by slot in Delta; negative: a filter kept it back
	holes int          // of those
	bytes int
}

// link names a delta: an entry and the slot in it. seq 0 is none.
type link struct {
	seq uint32
	at  int32
}

// Log is the updates of one worker to one table.
type Log[T codec.Elem] struct {
	rows   int64
	width  int
	sparse bool
	open   *Entry[T]
	sealed []*Entry[T] // seqs increase by one
	unsent int         // index in sealed of the first without versions
	head   []link      // by slot in the view: the row's last delta
	kept   int64       // all entries from this clock on are here
	floor  uint32      // entries before this are not replayed
	spare  []*Entry[T]
	bytes  int
	carry  *carry[T] // nil without a filter
	marks  []uint64  // bitmap over rows, where that is cheap
	place  []int32   // by row: scratch of sweep
}

// New returns an empty log.
func New[T codec.Elem](rows int64, width int, sparse bool) *Log[T] {
	l := &Log[T]{rows: rows, width: width, sparse: sparse}
	if rows <= 1<<21 {
		l.marks = make([]uint64, (rows+63)/64)
	}
	l.open = l.newEntry(1)
	return l
}

func (l *Log[T]) newEntry(seq uint32) *Entry[T] {
	if n := len(l.spare); n > 0 {
		e := l.spare[n-1]
		l.spare = l.spare[:n-1]
		e.Rows, e.At, e.slots, e.prev, e.sent, e.rows = e.Rows[:0], e.At[:0], e.slots[:0], e.prev[:0], e.sent[:0], e.rows[:0]
		e.seq, e.holes = seq, 0
		return e
	}
	return &Entry[T]{seq: seq, Delta: slab.NewRows[T](l.width, l.sparse)}
}

// Touch returns the slot, in the open entry, of the delta of a row, which the
// view keeps at slot.
func (l *Log[T]) Touch(row int64, slot int) int {
	if slot >= len(l.head) {
		l.head = append(l.head, make([]link, max(slot+1-len(l.head), len(l.head)))...)
	}
	e := l.open
	if h := l.head[slot]; h.seq == e.seq {
		return int(h.at)
	}
	at := len(e.rows)
	e.rows = append(e.rows, row)
	e.slots = append(e.slots, int32(slot))
	e.prev = append(e.prev, l.head[slot])
	if at < e.Delta.Len() {
		e.Delta.Clear(at)
	} else {
		e.Delta.Grow(at + 1)
	}
	l.head[slot] = link{e.seq, int32(at)}
	return at
}

// Open returns the deltas of the running clock.
func (l *Log[T]) Open() *slab.Rows[T] { return &l.open.Delta }

// Touched returns how many rows the open entry has.
func (l *Log[T]) Touched() int { return len(l.open.rows) }

// Seal ends the clock: the open entry gets its timestamp and is returned, nil
// when it has no rows. It stays unchanged until it has been sent.
func (l *Log[T]) Seal(clock int64) *Entry[T] {
	if len(l.open.rows) == 0 {
		return nil
	}
	return l.close(clock)
}

func (l *Log[T]) close(clock int64) *Entry[T] {
	e := l.open
	e.Clock = clock
	l.sort(e)
	e.bytes = 0
	for at, row := range e.rows {
		if row >= 0 {
			e.bytes += e.Delta.Bytes(at) + 32
		}
	}
	l.bytes += e.bytes
	l.sealed = append(l.sealed, e)
	l.open = l.newEntry(e.seq + 1)
	return e
}

// sort orders the rows: by a sweep over a bitmap when they are many.
func (l *Log[T]) sort(e *Entry[T]) {
	n := len(e.rows) - e.holes
	if l.marks == nil || n < len(l.marks)/32 || n < 16 {
		for at, row := range e.rows {
			if row >= 0 {
				e.At = append(e.At, int32(at))
			}
		}
		slices.SortFunc(e.At, func(a, b int32) int { return cmp.Compare(e.rows[a], e.rows[b]) })
		for _, at := range e.At {
			e.Rows = append(e.Rows, e.rows[at])
		}
		return
	}
	l.sweep(e)
}

// Len returns how many sealed entries there are.
func (l *Log[T]) Len() int { return len(l.sealed) }

// Lags reports whether an owner that has told to have applied some version has
// not applied the oldest entry.
func (l *Log[T]) Lags(owner int, applied uint64) bool {
	return l.unsent > 0 && l.sealed[0].sent[owner] > applied
}

// Bytes returns the memory of the sealed entries.
func (l *Log[T]) Bytes() int { return l.bytes }

// Kept returns the clock from which on all own updates are in the log: only
// copies of at least this age can be completed by Replay.
func (l *Log[T]) Kept() int64 { return l.kept }

// Pending returns the clock of the oldest sealed entry that has no versions.
func (l *Log[T]) Pending() (clock int64, ok bool) {
	if l.unsent == len(l.sealed) {
		return 0, false
	}
	return l.sealed[l.unsent].Clock, true
}

// Sent gives the oldest entry without versions those it left with, by owner.
func (l *Log[T]) Sent(versions []uint64) {
	e := l.sealed[l.unsent]
	e.sent = append(e.sent[:0], versions...)
	l.unsent++
}

// Replay adds to the row at slot of dst, whose copy has what owner had applied
// of this rank up to version applied, all own updates that are not in it, the
// open entry's included.
func (l *Log[T]) Replay(dst *slab.Rows[T], slot, owner int, applied uint64) {
	if slot >= len(l.head) || l.head[slot].seq == 0 || l.head[slot].seq < max(l.first(), l.floor) {
		return
	}
	l.replay(dst, slot, owner, applied, l.head[slot])
}

func (l *Log[T]) first() uint32 { return l.open.seq - uint32(len(l.sealed)) }

func (l *Log[T]) replay(dst *slab.Rows[T], slot, owner int, applied uint64, k link) {
	if k.seq < max(l.first(), l.floor) {
		return
	}
	e := l.open
	if k.seq == carrySeq {
		c := l.carry
		l.replay(dst, slot, owner, applied, c.prev[k.at])
		dst.Add(slot, &c.delta, int(k.at))
		return
	}
	if k.seq != e.seq {
		e = l.sealed[k.seq-l.first()]
		if len(e.sent) > 0 && e.sent[owner] <= applied {
			return // and so are those before
		}
	}
	l.replay(dst, slot, owner, applied, e.prev[k.at])
	dst.Add(slot, &e.Delta, int(k.at))
}

// Part says that what was sealed so far is not replayed any more: copies have it,
// or it was dropped.
func (l *Log[T]) Part() { l.floor = l.open.seq }

// Trim drops the entries that were sent with a timestamp below clock, for which
// the reader will only use copies that contain them.
func (l *Log[T]) Trim(clock int64) {
	n := 0
	for n < l.unsent && l.sealed[n].Clock < clock {
		n++
	}
	l.drop(n)
	if len(l.sealed) == 0 || l.sealed[0].Clock >= clock {
		l.kept = max(l.kept, clock)
	}
}

// Acked drops the entries that all owners have told to have applied: every
// copy that is used from now on contains them.
func (l *Log[T]) Acked(applied []uint64) {
	n := 0
	for n < l.unsent && covers(applied, l.sealed[n].sent) {
		n++
	}
	l.drop(n)
}

func covers(applied, sent []uint64) bool {
	for o, v := range sent {
		if applied[o] < v {
			return false
		}
	}
	return true
}

func (l *Log[T]) drop(n int) {
	for _, e := range l.sealed[:n] {
		l.bytes -= e.bytes
		if len(l.spare) < 4 {
			l.spare = append(l.spare, e)
		}
	}
	l.sealed = append(l.sealed[:0], l.sealed[n:]...)
	l.unsent -= n
}

// Forget drops everything: all of it is in every copy read from now on, which
// has at least the age clock. Views may number their slots anew.
func (l *Log[T]) Forget(clock int64) {
	l.drop(len(l.sealed))
	l.unsent = 0
	l.kept = clock
	clear(l.head)
	if l.carry != nil {
		l.carry.forget()
	}
}
