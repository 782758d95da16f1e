package ssp

import (
	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/filter"
	"github.com/sspurn/sspurn/ssp/internal/oplog"
	"github.com/sspurn/sspurn/ssp/internal/slab"
	"github.com/sspurn/sspurn/ssp/internal/value"
)

// View is a worker's sight of a table: the rows as its policy lets them be seen,
// with all the worker's own updates in them where these are added. It belongs to
// the worker's goroutine. Rows outside the table and slices of a wrong length are
// programming errors: reads return an error, updates panic.
type View[T Elem] struct {
	t *Table[T]
	w *Worker

	// By slot: the private copy of a row, which is a server row with the own
	// updates that are not in it, and good for the running clock when its stamp
	// is the worker's turn.
	index  slab.Index
	rows   []int64
	data   slab.Rows[T]
	stamp  []uint64
	age    []int64
	behind []int32 // worker's clock - age, when it was copied
	edit   []int32 // 1 + place in edited

	log     *oplog.Log[T]
	kept    Clock        // largest slack that a read has asked for
	base    slab.Rows[T] // what edited rows were when they were handed out
	edited  []int32      // slots, in order of their first Edit in this clock
	used    []int32      // slots read in this clock
	before  []int32      // and in the one before
	ahead   bool         // rows of before have been asked for again in this clock
	eager   []source[T]  // sealed, to leave with the worker's next batch
	gate    *gate        // nil: values have no bound
	one     [1]int32     // scratch
	mine    []int32      // scratch: slots of own rows
	far     []need[T]    // scratch: by owner
	slots   []int32      // scratch of GetMany
	bound   Clock        // age below which copies are of no use to reads by the policy
	applied []uint64     // scratch of acked: by owner
	quick   int          // width of rows that Get copies without further ado; -1 for none
}

// View returns the worker's view of the table, always the same one.
func (t *Table[T]) View(w *Worker) *View[T] {
	if w.s != t.s {
		panic("ssp: view of a table for a worker of another store")
	}
	for len(w.views) <= t.id {
		w.views = append(w.views, nil)
	}
	if v := w.views[t.id]; v != nil {
		return v.(*View[T])
	}
	v := &View[T]{
		t: t, w: w, index: slab.NewIndex(t.spec.Rows), data: slab.NewRows[T](t.wire, t.spec.Sparse),
		base: slab.NewRows[T](t.spec.Width, false), log: oplog.New[T](t.spec.Rows, t.wire, t.spec.Sparse),
		far: make([]need[T], t.s.size), applied: make([]uint64, t.s.size), kept: t.slack + t.hold,
	}
	if t.slack == unbounded {
		v.kept = unbounded
	}
	if t.rule != (filter.Rule{}) {
		v.log.Filter(t.rule, func(row int64) bool { return t.owner(row) != t.s.rank })
		v.weighs()
	}
	v.quick = t.spec.Width
	if t.spec.Sparse || t.s.cfg.Access != nil {
		v.quick = -1
	}
	if t.spec.Policy.valued() {
		v.gate = &gate{book: value.NewBook(t.s.size), seen: make([]uint64, t.s.size)}
	}
	v.log.Forget(int64(t.s.syncAt))
	if t.spec.Policy.tuned() {
		w.tunes(t.slack)
	}
	v.rebound()
	w.views[t.id] = v
	return v
}

// required is the least clock that an owner must have announced with a copy, for a
// read at clock c by the policy.
func (v *View[T]) required(c Clock) Clock {
	switch p := v.t.spec.Policy; {
	case v.w.free:
		return v.t.s.syncAt
	case p.block > 1:
		return max(v.t.s.syncAt, p.oldest(c))
	}
	return max(v.t.s.syncAt, c-v.t.slack)
}

// oldest is the least clock that an owner must have announced with a copy, for a
// read that lets it be slack clocks behind.
func (v *View[T]) oldest(slack Clock) Clock {
	if v.w.free {
		return v.t.s.syncAt
	}
	return max(v.t.s.syncAt, v.t.spec.Policy.start(v.w.clock-slack))
}

// rebound sets the bound of the running clock, in which nothing was read yet.
func (v *View[T]) rebound() {
	v.bound = v.required(v.w.clock)
	if v.t.spec.Policy.tuned() {
		v.bound = max(v.bound, v.oldest(Clock(v.w.auto.machine.Staleness())))
	}
}

func (v *View[T]) outside(row int64) error {
	return errors.Errorf("table %s: row %d of %d", v.t.spec.Name, row, v.t.spec.Rows)
}

func (v *View[T]) check(row int64, n int) error {
	if uint64(row) >= uint64(v.t.spec.Rows) {
		return v.outside(row)
	}
	if n != v.t.spec.Width {
		return errors.Errorf("table %s: slice of %d elements for a row of %d", v.t.spec.Name, n, v.t.spec.Width)
	}
	if !v.w.open {
		return errors.Errorf("table %s: worker %d is closed", v.t.spec.Name, v.w.index)
	}
	return nil
}

// slot returns the slot of a row.
func (v *View[T]) slot(row int64) int {
	if s := v.index.Find(row); s >= 0 {
		return s
	}
	s := len(v.rows)
	v.index.Put(row, s)
	v.rows = append(v.rows, row)
	v.stamp = append(v.stamp, 0)
	v.age = append(v.age, 0)
	v.behind = append(v.behind, 0)
	v.edit = append(v.edit, 0)
	v.data.Grow(s + 1)
	if v.t.wire != v.t.spec.Width {
		v.unread(s)
	}
	return s
}

// next begins a clock.
func (v *View[T]) next() {
	v.before, v.used = v.used, v.before[:0]
	v.ahead = false
	if v.t.drops {
		v.log.Part()
	}
	v.rebound()
	const most = 64 << 20 // bytes of copies that a view keeps
	if len(v.rows)*v.t.spec.Width*codec.TypeOf[T]().Size() > most && len(v.before)*8 < len(v.rows) && v.log.Bytes() == 0 && v.log.Held() == 0 {
		v.forget()
	}
}

// forget drops the private copies, which may be numbered anew when no update in
// the log refers to them.
func (v *View[T]) forget() {
	v.index.Reset()
	v.rows, v.stamp, v.age, v.behind, v.edit = v.rows[:0], v.stamp[:0], v.age[:0], v.behind[:0], v.edit[:0]
	v.before, v.used = v.before[:0], v.used[:0]
	v.log.Forget(v.log.Kept())
}

// reset begins an epoch.
func (v *View[T]) reset(at Clock) {
	v.log.Forget(int64(at))
	v.eager = v.eager[:0]
	if g := v.gate; g != nil { // all is everywhere
		g.book.Reset()
		g.next, g.open = g.next[:0], false
	}
	v.next()
}
