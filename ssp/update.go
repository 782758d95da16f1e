package ssp

import (
	"context"
	"fmt"
	goruntime "runtime"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/linalg"
	"github.com/sspurn/sspurn/runtime/telemetry"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/filter"
	"github.com/sspurn/sspurn/ssp/internal/oplog"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// Edit returns the row like Get, in the worker's own writable memory, which is
// good until its next Clock: that adds what has been changed to the table. The
// slice stays the same within a clock; Inc shows in it.
func (v *View[T]) Edit(ctx context.Context, row int64) ([]T, error) {
	s := v.index.Find(row)
	if s < 0 || v.stamp[s] != v.w.turn || v.edit[s] == 0 {
		if v.t.spec.Sparse {
			return nil, errors.WithMessagef(errSparse, "table %s: edit row %d", v.t.spec.Name, row)
		}
		if !v.t.plain {
			return nil, errors.Errorf("table %s: edit row %d: its updates are gradients of %v", v.t.spec.Name, row, v.t.spec.Update)
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

// Inc adds delta to the row. It never waits; the worker sees it at once. Where the
// table's Update is not addition, delta is a gradient, for the row's owner to take
// a step with, and shows in a read when that has happened.
func (v *View[T]) Inc(row int64, delta []T) {
	s := v.target(row, len(delta))
	if !v.t.plain {
		v.incGradient(row, s, delta)
		return
	}
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
	if !v.t.plain {
		v.incGradientAt(row, s, col, d)
		return
	}
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
	if !v.t.plain {
		v.incGradientSparse(row, s, d)
		return
	}
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
		v.tell(row, s, Increment)
	}
	return s
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

// seal ends the updates of a clock: with those before it in its block, when that
// ends with it or all is set, and with all set also those of clocks before that a
// filter has kept back.
func (v *View[T]) seal(clock Clock, all bool) int {
	for at, slot := range v.edited {
		v.fold(int(slot), at)
		v.edit[slot] = 0
		v.stamp[slot] = 0
	}
	v.edited = v.edited[:0]
	end := v.t.spec.Policy.last(clock)
	if end > clock && !all {
		return 0
	}
	var e *oplog.Entry[T]
	switch r := v.t.rule; {
	case r == (filter.Rule{}):
		e = v.log.Seal(int64(end))
	case r.Order != filter.Unordered:
		e = v.sealAllowed(int64(end), all)
	default:
		e = v.log.SealSome(int64(end), all)
	}
	if e == nil {
		return 0
	}
	if v.t.spec.Policy.eager() {
		v.eager = append(v.eager, source[T]{e: e})
		if v.gate != nil {
			v.weigh(e)
			v.admit()
		}
		return len(e.Rows)
	}
	v.t.pmu.Lock()
	v.t.sealed[v.w.index] = append(v.t.sealed[v.w.index], e)
	v.t.pmu.Unlock()
	return len(e.Rows)
}

func (v *View[T]) pendingEager() bool { return len(v.eager) > 0 && !v.waits() }

func (v *View[T]) filtered() oplog.Filtered { return v.log.Filtered() }

func (v *View[T]) encodeEager(encs []codec.Encoder, touched []bool) {
	v.t.encodeMerged(v.eager, encs, touched)
}

// left learns with which versions updates have left.
func (v *View[T]) left(d departure) {
	if v.t.spec.Policy.eager() != d.eager {
		return
	}
	for {
		c, ok := v.log.Pending()
		if !ok || c > d.to {
			break
		}
		v.log.Sent(d.versions)
	}
	v.eager = v.eager[:0]
	if v.gate != nil {
		v.gate.entered(d.versions)
	}
}

// trim drops updates that are in every copy the worker will use.
func (v *View[T]) trim(c Clock) {
	if !v.t.spec.Policy.limited() {
		return // acked does it
	}
	if !v.t.plain { // no read wants them
		v.log.Trim(int64(c))
		return
	}
	if f := v.w.s.freeing; f != nil && f.ever.Load() {
		v.forgetAcked() // copies of an age may lack updates from when the rank did not count
		return
	}
	v.log.Trim(int64(c - v.kept))
	if v.log.Bytes() > v.w.s.cfg.LogBytes {
		v.log.Trim(int64(c - v.t.slack - v.t.hold))
	}
}

// freeClocks is the number of clocks whose updates do not count for LogBytes.
const freeClocks = 4

// acked drops what the owners have told to have applied and reports whether the
// log fits its bound, which is in clocks where reads have one.
func (v *View[T]) acked() bool {
	if !v.t.spec.Policy.eager() {
		return true
	}
	v.forgetAcked()
	if v.log.Len() <= freeClocks || v.t.spec.Policy.limited() {
		return true
	}
	goruntime.Gosched() // who applies and tells may wait for this processor
	return v.log.Bytes() <= v.w.s.cfg.LogBytes
}

// forgetAcked drops what the owners have told to have applied.
func (v *View[T]) forgetAcked() {
	for o := range v.t.peers {
		if p := &v.t.peers[o]; p.cache != nil {
			p.mu.Lock()
			_, v.applied[o] = p.cache.Told()
			p.mu.Unlock()
		}
	}
	v.applied[v.t.s.rank] = v.ownApplied()
	v.log.Acked(v.applied)
}

// ownApplied is the last batch of this rank that its own shard has applied:
// all, unless it holds some back.
func (v *View[T]) ownApplied() uint64 {
	s := v.t.s
	if v.t.spec.Policy.bound&Strong == 0 {
		return ^uint64(0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shard.Applied(s.rank, false)
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
			v.w.blocked(telemetry.Gate, o, start)
			return err
		}
	}
	if v.gate == nil {
		return nil
	}
	// The own shard holds them back. What is everywhere is applied.
	r := &v.w.s.reach
	r.mu.Lock()
	news := r.news()
	r.mu.Unlock()
	if !v.log.Lags(v.t.s.rank, v.ownApplied()) {
		return nil
	}
	start := time.Now()
	err := v.w.s.wait(ctx, news)
	v.w.blocked(telemetry.Gate, v.t.s.rank, start)
	return err
}
