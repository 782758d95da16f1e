package ssp

import (
	"context"
	"fmt"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/linalg"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/oplog"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// View is a worker's sight of a table: the rows as its policy lets them be seen,
// with all the worker's own updates in them. It belongs to the worker's
// goroutine. Rows outside the table and slices of a wrong length are programming
// errors: reads return an error, updates panic.
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
	one     [1]int32     // scratch
	mine    []int32      // scratch: slots of own rows
	far     []need[T]    // scratch: by owner
	slots   []int32      // scratch of GetMany
	bound   Clock        // age below which copies are of no use to reads by the policy
	applied []uint64     // scratch of acked: by owner
	quick   int          // width of rows that Get copies without further ado; -1 for none
}

// need is what a read wants of one owner.
type need[T Elem] struct {
	slots   []int32
	asks    []int64
	waiting []int32
	applied []uint64 // by place in slots
	done    []int32
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
		t: t, w: w, index: slab.NewIndex(t.spec.Rows), data: slab.NewRows[T](t.spec.Width, t.spec.Sparse),
		base: slab.NewRows[T](t.spec.Width, false), log: oplog.New[T](t.spec.Rows, t.spec.Width, t.spec.Sparse),
		far: make([]need[T], t.s.size), applied: make([]uint64, t.s.size), kept: t.slack,
	}
	v.quick = t.spec.Width
	if t.spec.Sparse || t.s.cfg.Access != nil {
		v.quick = -1
	}
	v.log.Forget(int64(t.s.syncAt))
	v.bound = v.oldest(t.slack)
	w.views[t.id] = v
	return v
}

// oldest is the least age that a copy may have for a read with a slack.
func (v *View[T]) oldest(slack Clock) Clock {
	return max(v.t.s.syncAt, v.w.clock-slack)
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

// Get sets dst to the row, as the policy lets it be seen. It waits until the
// slowest worker is near enough, and for the row when there is no copy at hand;
// once a row was read, it costs a copy until the next Clock.
func (v *View[T]) Get(ctx context.Context, row int64, dst []T) error {
	if s := v.index.Find(row); s >= 0 && v.stamp[s] == v.w.turn && len(dst) == v.quick {
		copy(dst, v.data.At(s))
		if b := v.behind[s]; uint32(b) < nearAges {
			v.w.totals.near[b]++
			return nil
		}
		v.count(row, s, Read)
		return nil
	}
	if err := v.check(row, len(dst)); err != nil {
		return err
	}
	s, err := v.fresh(ctx, row)
	if err != nil {
		return err
	}
	v.data.CopyTo(dst, s)
	v.count(row, s, Read)
	return nil
}

// GetMany sets dst, row after row, to the rows, which may repeat. Those that are
// not at hand travel together.
func (v *View[T]) GetMany(ctx context.Context, rows []int64, dst []T) error {
	width := v.t.spec.Width
	if len(dst) != len(rows)*width {
		return errors.Errorf("table %s: slice of %d elements for %d rows of %d", v.t.spec.Name, len(dst), len(rows), width)
	}
	v.slots = v.slots[:0]
	for _, row := range rows {
		if err := v.check(row, width); err != nil {
			for _, s := range v.slots {
				v.stamp[s] = 0
			}
			return err
		}
		if s := v.slot(row); v.stamp[s] != v.w.turn {
			v.stamp[s] = v.w.turn // once, when rows repeat
			v.slots = append(v.slots, int32(s))
		}
	}
	for _, s := range v.slots {
		v.stamp[s] = 0
	}
	if err := v.refresh(ctx, v.slots, v.bound); err != nil {
		return err
	}
	for i, row := range rows {
		s := v.index.Find(row)
		v.data.CopyTo(dst[i*width:(i+1)*width], s)
		v.count(row, s, Read)
	}
	return nil
}

// GetSparse returns the entries of the row that are not zero, in the memory of
// dst as far as it goes.
func (v *View[T]) GetSparse(ctx context.Context, row int64, dst linalg.Sparse[T]) (linalg.Sparse[T], error) {
	if err := v.check(row, v.t.spec.Width); err != nil {
		return dst, err
	}
	s, err := v.fresh(ctx, row)
	if err != nil {
		return dst, err
	}
	v.count(row, s, Read)
	dst = dst.Reset()
	if !v.t.spec.Sparse {
		return linalg.GatherTo(dst, v.data.At(s)), nil
	}
	col, val := v.data.Entries(s)
	dst.Col, dst.Val = append(dst.Col, col...), append(dst.Val, val...)
	return dst, nil
}

// GetWithin is Get with a bound of its own: a copy of age at least Now()−slack
// will do, be that tighter or looser than the policy. It returns the age of the
// copy: all updates made before that clock are in it.
func (v *View[T]) GetWithin(ctx context.Context, row int64, dst []T, slack Clock) (Clock, error) {
	if err := v.check(row, len(dst)); err != nil {
		return 0, err
	}
	if slack < 0 {
		return 0, errors.Errorf("table %s: slack %d", v.t.spec.Name, slack)
	}
	// Own updates stay in the log for as long as looser copies need them.
	v.kept = max(v.kept, min(slack, maxKept))
	wanted := max(v.oldest(slack), Clock(v.log.Kept()))
	s := v.slot(row)
	if v.stamp[s] != v.w.turn || Clock(v.age[s]) < wanted {
		v.one[0] = int32(s)
		if err := v.refresh(ctx, v.one[:], wanted); err != nil {
			return 0, err
		}
	}
	v.data.CopyTo(dst, s)
	v.count(row, s, Read)
	return Clock(v.age[s]), nil
}

// maxKept bounds the clocks for which GetWithin keeps sent updates.
const maxKept = 1 << 10

// Edit returns the row like Get, in the worker's own writable memory, which is
// good until its next Clock: that adds what has been changed to the table. The
// slice stays the same within a clock; Inc shows in it.
func (v *View[T]) Edit(ctx context.Context, row int64) ([]T, error) {
	s := v.index.Find(row)
	if s < 0 || v.stamp[s] != v.w.turn || v.edit[s] == 0 {
		if v.t.spec.Sparse {
			return nil, errors.WithMessagef(errSparse, "table %s: edit row %d", v.t.spec.Name, row)
		}
		if err := v.check(row, v.t.spec.Width); err != nil {
			return nil, err
		}
		var err error
		if s, err = v.fresh(ctx, row); err != nil {
			return nil, err
		}
		at := len(v.edited)
		v.edited = append(v.edited, int32(s))
		v.base.Grow(at + 1)
		copy(v.base.At(at), v.data.At(s))
		v.edit[s] = int32(at) + 1
	}
	v.count(row, s, Write)
	return v.data.At(s), nil
}

// Inc adds delta to the row. It never waits; the worker sees it at once.
func (v *View[T]) Inc(row int64, delta []T) {
	s := v.target(row, len(delta))
	if !v.t.spec.Sparse {
		if v.edit[s] != 0 {
			slab.Add(v.data.At(s), delta)
			return
		}
		slab.Add(v.log.Open().At(v.log.Touch(row, s)), delta)
		if v.stamp[s] == v.w.turn {
			slab.Add(v.data.At(s), delta)
		}
		return
	}
	v.log.Open().AddDense(v.log.Touch(row, s), delta)
	if v.stamp[s] == v.w.turn {
		v.data.AddDense(s, delta)
	}
}

// IncAt adds d to one element of the row.
func (v *View[T]) IncAt(row int64, col int, d T) {
	if uint(col) >= uint(v.t.spec.Width) {
		panic(fmt.Sprintf("ssp: table %s: column %d of %d", v.t.spec.Name, col, v.t.spec.Width))
	}
	s := v.target(row, v.t.spec.Width)
	if v.edit[s] != 0 {
		v.data.At(s)[col] += d
		return
	}
	v.log.Open().AddAt(v.log.Touch(row, s), col, d)
	if v.stamp[s] == v.w.turn {
		v.data.AddAt(s, col, d)
	}
}

// IncMany adds to the rows the deltas, which lie one after another.
func (v *View[T]) IncMany(rows []int64, deltas []T) {
	width := v.t.spec.Width
	if len(deltas) != len(rows)*width {
		panic(fmt.Sprintf("ssp: table %s: %d elements for %d rows of %d", v.t.spec.Name, len(deltas), len(rows), width))
	}
	for i, row := range rows {
		v.Inc(row, deltas[i*width:(i+1)*width])
	}
}

// IncSparse adds the entries of d to the row.
func (v *View[T]) IncSparse(row int64, d linalg.Sparse[T]) {
	if err := d.Check(v.t.spec.Width); err != nil {
		panic(fmt.Sprintf("ssp: table %s: %v", v.t.spec.Name, err))
	}
	s := v.target(row, v.t.spec.Width)
	if v.edit[s] != 0 {
		v.data.AddEntries(s, d.Col, d.Val)
		return
	}
	v.log.Open().AddEntries(v.log.Touch(row, s), d.Col, d.Val)
	if v.stamp[s] == v.w.turn {
		v.data.AddEntries(s, d.Col, d.Val)
	}
}

// target returns the slot of a row that is added to.
func (v *View[T]) target(row int64, n int) int {
	if err := v.check(row, n); err != nil {
		panic("ssp: " + err.Error())
	}
	s := v.slot(row)
	if v.w.s.cfg.Access != nil {
		v.tell(row, s, Update)
	}
	return s
}

// Prefetch asks for copies of the rows that will do after the next Clock, where
// there are none: age Now()+1−s. It does not wait. Rows may repeat.
func (v *View[T]) Prefetch(rows ...int64) {
	t := v.t
	now := int64(v.w.clock)
	wanted := int64(max(t.s.syncAt, v.w.clock+1-t.slack))
	for _, row := range rows {
		if uint64(row) >= uint64(t.spec.Rows) {
			panic("ssp: prefetch: " + v.outside(row).Error())
		}
		if o := t.owner(row); o != t.s.rank {
			v.far[o].asks = append(v.far[o].asks, row)
		}
	}
	for o := range v.far {
		f := &v.far[o]
		if len(f.asks) == 0 {
			continue
		}
		v.reduce(o, f, wanted, now)
		v.send(o, f, wanted)
	}
}

// reduce leaves of f.asks the rows that must be asked for.
func (v *View[T]) reduce(o int, f *need[T], wanted, now int64) {
	p := &v.t.peers[o]
	n := 0
	for i := 0; i < len(f.asks); {
		p.mu.Lock()
		for end := min(i+lockRows, len(f.asks)); i < end; i++ {
			row := f.asks[i]
			if c := p.cache.Find(row); c >= 0 {
				if age, _ := p.cache.Age(c); age >= wanted {
					continue
				}
			}
			if p.cache.Want(row, wanted, now, false) {
				f.asks[n] = row
				n++
			}
		}
		p.mu.Unlock()
	}
	f.asks = f.asks[:n]
}

// send sends f.asks.
func (v *View[T]) send(o int, f *need[T], wanted int64) {
	if len(f.asks) > 0 {
		v.w.totals.Fetches += int64(len(f.asks))
		v.t.fetch(o, f.asks, wanted)
	}
	f.asks = f.asks[:0]
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
	return s
}

// fresh returns the slot of a row that may be read.
func (v *View[T]) fresh(ctx context.Context, row int64) (int, error) {
	s := v.slot(row)
	if v.stamp[s] == v.w.turn {
		return s, nil
	}
	v.one[0] = int32(s)
	return s, v.refresh(ctx, v.one[:], v.bound)
}

// count counts a read.
func (v *View[T]) count(row int64, s int, kind AccessKind) {
	v.w.totals.read(Clock(v.behind[s]))
	if v.w.s.cfg.Access != nil {
		v.tell(row, s, kind)
	}
}

func (v *View[T]) tell(row int64, s int, kind AccessKind) {
	a := Access{Worker: v.w.index, Clock: v.w.clock, Table: v.t.spec.Name, Row: row, Kind: kind, Age: Clock(v.age[s])}
	if kind == Update {
		a.Age = 0
	}
	v.w.s.cfg.Access(a)
}

// refresh copies the rows at slots anew, of an age of at least wanted: those of
// other ranks from the process cache, own ones from the shard. It waits for what
// is missing.
func (v *View[T]) refresh(ctx context.Context, slots []int32, wanted Clock) error {
	t, s := v.t, v.t.s
	v.mine = v.mine[:0]
	remote := false
	for _, slot := range slots {
		if e := v.edit[slot]; e != 0 {
			v.fold(int(slot), int(e)-1) // its changes are replayed over the new copy
		}
		o := t.owner(v.rows[slot])
		if o == s.rank {
			v.mine = append(v.mine, slot)
			continue
		}
		v.far[o].slots = append(v.far[o].slots, slot)
		remote = true
	}
	if remote {
		err := v.refreshFar(ctx, wanted)
		v.settle() // also when it failed: a row that was copied lacks the own updates
		if err != nil {
			return errors.WithMessagef(err, "table %s: worker %d: read at clock %d", t.spec.Name, v.w.index, v.w.clock)
		}
	}
	if len(v.mine) > 0 {
		if err := v.refreshOwn(ctx, int64(wanted)); err != nil {
			return errors.WithMessagef(err, "table %s: worker %d: read at clock %d", t.spec.Name, v.w.index, v.w.clock)
		}
	}
	return nil
}

// finish makes a copied row the worker's own.
func (v *View[T]) finish(slot int32, owner int, applied uint64) {
	v.log.Replay(&v.data, int(slot), owner, applied)
	v.age[slot] = min(v.age[slot], int64(v.w.clock))
	v.behind[slot] = int32(min(int64(v.w.clock)-v.age[slot], 1<<30))
	if Clock(v.age[slot]) >= v.bound {
		v.stamp[slot] = v.w.turn
	} else {
		v.stamp[slot] = 0 // good for a looser read alone
	}
	if e := v.edit[slot]; e != 0 {
		copy(v.base.At(int(e)-1), v.data.At(int(slot)))
	}
	v.used = append(v.used, slot)
}

// refreshOwn copies rows of this rank.
func (v *View[T]) refreshOwn(ctx context.Context, wanted int64) error {
	t, s := v.t, v.t.s
	for i := 0; i < len(v.mine); {
		s.mu.Lock()
		for s.shard.Min() < wanted {
			a := &ask{wake: make(chan struct{})}
			s.shard.Park(wanted, a)
			s.mu.Unlock()
			start := time.Now()
			err := s.wait(ctx, a.wake)
			v.w.blocked(&v.w.totals.Gate, start)
			if err != nil {
				return err
			}
			s.mu.Lock()
		}
		low, applied := s.shard.Min(), s.shard.Applied(s.rank, t.spec.Policy.ordered())
		first := i
		for end := min(i+lockRows, len(v.mine)); i < end; i++ {
			slot := v.mine[i]
			v.data.Set(int(slot), t.own.Data(), t.own.Slot(v.rows[slot]))
			v.age[slot] = low
		}
		s.mu.Unlock()
		v.w.learn()
		for _, slot := range v.mine[first:i] {
			v.finish(slot, s.rank, applied)
		}
	}
	return nil
}

// blocked adds a wait to one of the worker's totals.
func (w *Worker) blocked(total *time.Duration, start time.Time) {
	d := time.Since(start)
	*total += d
	w.waited += d
}

// refreshFar copies rows of other ranks: v.far[owner].slots.
func (v *View[T]) refreshFar(ctx context.Context, wanted Clock) error {
	missing := false
	for o := range v.far {
		f := &v.far[o]
		if len(f.slots) == 0 {
			continue
		}
		v.take(o, f, f.slots, wanted, true)
		missing = missing || len(f.asks) > 0
	}
	if missing && !v.ahead && v.w.s.cfg.Refetch > 0 {
		v.ahead = true
		v.again(wanted)
	}
	for o := range v.far {
		v.send(o, &v.far[o], int64(wanted))
	}
	for o := range v.far {
		f := &v.far[o]
		for len(f.waiting) > 0 {
			p := &v.t.peers[o]
			p.mu.Lock()
			news := p.news()
			p.mu.Unlock()
			// What came between the look and the channel is seen by a second look.
			n := len(f.waiting)
			if v.takeWaiting(o, f, wanted); len(f.waiting) < n {
				continue
			}
			start := time.Now()
			err := v.w.s.wait(ctx, news)
			p.mu.Lock()
			gated := p.parked || v.t.spec.Policy.pushes() && p.cache.Find(v.rows[f.waiting[0]]) >= 0
			p.mu.Unlock()
			if gated {
				v.w.blocked(&v.w.totals.Gate, start)
			} else {
				v.w.blocked(&v.w.totals.Miss, start)
			}
			if err != nil {
				return err
			}
			v.takeWaiting(o, f, wanted)
		}
	}
	return nil
}

// settle finishes the rows that refreshFar has copied and lets go of those that
// it has waited for in vain.
func (v *View[T]) settle() {
	v.w.learn() // after the copies were taken: it knows of all batches that are in them
	for o := range v.far {
		f := &v.far[o]
		for i, slot := range f.done {
			v.finish(slot, o, f.applied[i])
		}
		if p := &v.t.peers[o]; len(f.waiting) > 0 {
			p.mu.Lock()
			for _, slot := range f.waiting {
				p.cache.Unpin(v.rows[slot])
			}
			p.mu.Unlock()
		}
		f.slots, f.asks, f.waiting, f.done, f.applied = f.slots[:0], f.asks[:0], f.waiting[:0], f.done[:0], f.applied[:0]
	}
}

// takeWaiting looks for the rows that are missing once more.
func (v *View[T]) takeWaiting(o int, f *need[T], wanted Clock) {
	again := f.waiting
	f.waiting = f.waiting[:0]
	v.take(o, f, again, wanted, false)
}

// take copies those of the slots whose rows are at hand, notes the others in
// f.waiting and, at the first look, what to ask for.
func (v *View[T]) take(o int, f *need[T], slots []int32, wanted Clock, first bool) {
	p := &v.t.peers[o]
	now := int64(v.w.clock)
	for i := 0; i < len(slots); {
		p.mu.Lock()
		for end := min(i+lockRows, len(slots)); i < end; i++ {
			slot := slots[i]
			row := v.rows[slot]
			if c := p.cache.Find(row); c >= 0 {
				if age, applied := p.cache.Age(c); age >= int64(wanted) {
					v.data.Set(int(slot), p.cache.Rows(), c)
					p.cache.Use(c)
					v.age[slot] = age
					f.done, f.applied = append(f.done, slot), append(f.applied, applied)
					if !first {
						p.cache.Unpin(row)
					}
					continue
				}
			}
			if first && p.cache.Want(row, int64(wanted), now, true) {
				f.asks = append(f.asks, row)
			}
			f.waiting = append(f.waiting, slot)
		}
		p.mu.Unlock()
	}
}

// again adds to what is asked for the rows that the worker used in the clock
// before and that are too old now.
func (v *View[T]) again(wanted Clock) {
	if v.t.spec.Policy.pushes() {
		return
	}
	room := v.w.s.cfg.Refetch
	for _, slot := range v.before {
		if v.stamp[slot] == v.w.turn {
			continue
		}
		row := v.rows[slot]
		o := v.t.owner(row)
		if o == v.t.s.rank {
			continue
		}
		p := &v.t.peers[o]
		p.mu.Lock()
		c := p.cache.Find(row)
		old := c < 0
		if !old {
			age, _ := p.cache.Age(c)
			old = age < int64(wanted)
		}
		if old && p.cache.Want(row, int64(wanted), int64(v.w.clock), false) {
			v.far[o].asks = append(v.far[o].asks, row)
			room--
		}
		p.mu.Unlock()
		if room == 0 {
			return
		}
	}
}

// fold moves the changes of an edited row to the log.
func (v *View[T]) fold(slot, at int) {
	x, base := v.data.At(slot), v.base.At(at)
	base = base[:len(x)]
	same := true
	for i := range x {
		if x[i] != base[i] {
			same = false
			break
		}
	}
	if same {
		return
	}
	d := v.log.Open().At(v.log.Touch(v.rows[slot], slot))
	d = d[:len(x)]
	for i := range x {
		d[i] += x[i] - base[i]
	}
	copy(base, x)
}

// seal ends the updates of a clock.
func (v *View[T]) seal(clock int64) int {
	for at, slot := range v.edited {
		v.fold(int(slot), at)
		v.edit[slot] = 0
		v.stamp[slot] = 0
	}
	v.edited = v.edited[:0]
	e := v.log.Seal(clock)
	if e == nil {
		return 0
	}
	if v.t.spec.Policy.eager() {
		v.eager = append(v.eager, source[T]{e: e})
		return len(e.Rows)
	}
	v.t.pmu.Lock()
	v.t.sealed[v.w.index] = append(v.t.sealed[v.w.index], e)
	v.t.pmu.Unlock()
	return len(e.Rows)
}

func (v *View[T]) pendingEager() bool { return len(v.eager) > 0 }

func (v *View[T]) encodeEager(encs []codec.Encoder, touched []bool) {
	v.t.encodeMerged(v.eager, encs, touched)
}

// left learns with which versions updates have left.
func (v *View[T]) left(d departure) {
	if v.t.spec.Policy.eager() != (len(v.eager) > 0) {
		return // a batch of the other kind
	}
	for {
		c, ok := v.log.Pending()
		if !ok || c > d.to {
			break
		}
		v.log.Sent(d.versions)
	}
	v.eager = v.eager[:0]
}

// next begins a clock.
func (v *View[T]) next() {
	v.before, v.used = v.used, v.before[:0]
	v.ahead = false
	v.bound = v.oldest(v.t.slack)
	const most = 64 << 20 // bytes of copies that a view keeps
	if len(v.rows)*v.t.spec.Width*codec.TypeOf[T]().Size() > most && len(v.before)*8 < len(v.rows) && v.log.Bytes() == 0 {
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

// trim drops updates that are in every copy the worker will use.
func (v *View[T]) trim(c Clock) {
	if v.t.spec.Policy.eager() {
		return // acked does it
	}
	v.log.Trim(int64(c - v.kept))
	if v.log.Bytes() > v.w.s.cfg.LogBytes {
		v.log.Trim(int64(c - v.t.slack))
	}
}

// freeClocks is the number of clocks whose updates do not count for LogBytes.
const freeClocks = 4

// acked drops what the owners have told to have applied and reports whether the
// log fits its bound.
func (v *View[T]) acked() bool {
	if !v.t.spec.Policy.eager() {
		return true
	}
	for o := range v.t.peers {
		if p := &v.t.peers[o]; p.cache != nil {
			p.mu.Lock()
			_, v.applied[o] = p.cache.Told()
			p.mu.Unlock()
		}
	}
	v.applied[v.t.s.rank] = ^uint64(0) // own rows are applied at once
	v.log.Acked(v.applied)
	if v.log.Len() <= freeClocks {
		return true
	}
	goruntime.Gosched() // who applies and tells may wait for this processor
	return v.log.Bytes() <= v.w.s.cfg.LogBytes
}

// awaitAck waits for news of an owner that has not told to have applied the
// oldest updates.
func (v *View[T]) awaitAck(ctx context.Context) error {
	for o := range v.t.peers {
		p := &v.t.peers[o]
		if p.cache == nil {
			continue
		}
		var news <-chan struct{}
		p.mu.Lock()
		if _, applied := p.cache.Told(); v.log.Lags(o, applied) {
			news = p.news()
		}
		p.mu.Unlock()
		if news != nil {
			start := time.Now()
			err := v.w.s.wait(ctx, news)
			v.w.blocked(&v.w.totals.Gate, start)
			return err
		}
	}
	return nil
}

// reset begins an epoch.
func (v *View[T]) reset(at Clock) {
	v.log.Forget(int64(at))
	v.eager = v.eager[:0]
	v.next()
}

func sortRows(rows []int64) { slices.Sort(rows) }
