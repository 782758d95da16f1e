package ssp

import (
	"context"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// need is what a read wants of one owner.
type need[T Elem] struct {
	slots   []int32
	asks    []int64
	waiting []int32
	applied []uint64 // by place in slots
	done    []int32
}

// Prefetch asks for copies of the rows that will do after the next Clock, where
// there are none: age Now()+1−s under SSP(s). It does not wait. Rows may repeat.
func (v *View[T]) Prefetch(rows ...int64) {
	t := v.t
	now := int64(v.w.clock)
	wanted := int64(v.required(v.w.clock + 1))
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
		v.reduce(o, f, wanted, now, false)
		v.send(o, f, wanted)
	}
}

// reduce leaves of f.asks the rows that must be asked for: those without a copy
// of an age, or all, that have not been asked for yet.
func (v *View[T]) reduce(o int, f *need[T], wanted, now int64, all bool) {
	p := &v.t.peers[o]
	n := 0
	for i := 0; i < len(f.asks); {
		p.mu.Lock()
		for end := min(i+lockRows, len(f.asks)); i < end; i++ {
			row := f.asks[i]
			if c := p.cache.Find(row); c >= 0 && !all {
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
		v.w.totals.Fetches += int64(v.t.fetch(o, f.asks, wanted))
	}
	f.asks = f.asks[:0]
}

// refresh copies the rows at slots anew, of an age of at least wanted: those of
// other ranks from the process cache, own ones from the shard. It waits for what
// is missing.
func (v *View[T]) refresh(ctx context.Context, slots []int32, wanted Clock) error {
	t, s := v.t, v.t.s
	if err := v.handEarly(ctx); err != nil {
		return err
	}
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
	if v.t.plain {
		v.log.Replay(&v.data, int(slot), owner, applied)
	}
	at := v.age[slot]
	if h := int64(v.t.hold); h > 0 {
		v.age[slot] = max(at-h, int64(v.t.s.syncAt))
	}
	v.age[slot] = min(v.age[slot], int64(v.w.clock))
	if v.t.spec.Policy.block > 1 { // updates of a block come with its end
		v.age[slot] = int64(max(v.t.s.syncAt, v.t.spec.Policy.start(Clock(v.age[slot]))))
	}
	v.behind[slot] = int32(min(int64(v.w.clock)-v.age[slot], 1<<30))
	if Clock(at) >= v.bound {
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
			err := s.waitClock(ctx, a.wake, wanted)
			on := telemetry.NoRank
			if err == nil {
				on = a.last
			}
			v.w.blocked(telemetry.Gate, on, start)
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
		var start time.Time // of a wait that nothing has ended yet
		for len(f.waiting) > 0 {
			p := &v.t.peers[o]
			p.mu.Lock()
			news := p.news()
			pushed := v.t.spec.Policy.pushes() && p.cache.Find(v.rows[f.waiting[0]]) >= 0
			clock, _ := p.cache.Told()
			p.mu.Unlock()
			// What came between the look and the channel is seen by a second look.
			n := len(f.waiting)
			var err error
			if v.takeWaiting(o, f, wanted); len(f.waiting) == n {
				if start.IsZero() {
					start = time.Now()
				}
				at := int64(wanted)
				if pushed && wanted > v.w.s.syncAt { // what is announced may be behind the clock
					at += int64(v.t.lag)
				}
				err = v.w.s.waitClock(ctx, news, at)
			} else if start.IsZero() {
				continue
			}
			p.mu.Lock()
			gated, last := pushed || p.parked, p.last
			told, _ := p.cache.Told()
			p.mu.Unlock()
			if pushed && err == nil && told == clock && len(f.waiting) == n {
				continue // rows that have changed: the clock is what the worker waits for
			}
			switch {
			case !gated:
				v.w.blocked(telemetry.Miss, o, start)
			case err != nil: // nobody has come
				v.w.blocked(telemetry.Gate, telemetry.NoRank, start)
			default:
				v.w.blocked(telemetry.Gate, last, start)
			}
			if err != nil {
				return err
			}
			start = time.Time{}
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
