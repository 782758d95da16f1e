package oplog

import (
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/filter"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// carrySeq is the number of the carry in links: later than all sealed entries.
const carrySeq = ^uint32(0)

// carry is the updates of ended clocks that a filter keeps back: a row each,
// which is in no entry, is replayed like one that has not left, and joins the
// next updates of the row. So what a worker reads has all its own updates
// whatever waits, and exactly once.
type carry[T codec.Elem] struct {
	rule filter.Rule
	far  func(row int64) bool // the row's owner is another rank

	delta slab.Rows[T] // by slot
	rows  []int64      // negative: the slot is free
	slots []int32      // the row's slot in the view
	prev  []link
	since []int64   // of the oldest update, Never for what rounding has left over
	max   []float64 // magnitude
	free  []int32
	held  []int32 // slots that may leave without a new update, and of those that were released since the last seal
	count int     // slots in use

	cands []filter.Candidate
	order []int32
	stats Filtered

	// With a budget.
	weigh func(d *slab.Rows[T], at int, slot int32) float64 // nil: the largest magnitude
	allow int64
	queue filter.Queue
	spent Spent
}

// Filtered counts what a filter has done to rows of other ranks.
type Filtered struct {
	Held   int64 // times that a row's updates stayed when their clock ended
	Before int64 // about the bytes that updates would have taken without it
	After  int64 // and take
}

// Spent is what the last clock took of a budget.
type Spent struct {
	Bytes int64 // about what leaves
	May   int64 // of it, what could have waited
	Short bool  // rows wait for want of bytes
}

// Filter makes the log keep back what the rule lets wait; far tells rows whose
// updates travel. It is called before the first update.
func (l *Log[T]) Filter(rule filter.Rule, far func(row int64) bool) {
	l.carry = &carry[T]{rule: rule, far: far, delta: slab.NewRows[T](l.width, l.sparse)}
}

// Weigh says how important a delta of a row is, which the view keeps at slot.
func (l *Log[T]) Weigh(weigh func(d *slab.Rows[T], at int, slot int32) float64) {
	l.carry.weigh = weigh
}

// Allow says how many bytes the next SealSome may let leave, beside what is due.
func (l *Log[T]) Allow(bytes int64) { l.carry.allow = bytes }

// Spent returns what the last SealSome that kept rows back took.
func (l *Log[T]) Spent() Spent { return l.carry.spent }

// Held returns the number of rows that are kept back, whole or in part.
func (l *Log[T]) Held() int {
	if l.carry == nil {
		return 0
	}
	return l.carry.count
}

// Filtered returns what the filter has done so far.
func (l *Log[T]) Filtered() Filtered {
	if l.carry == nil {
		return Filtered{}
	}
	return l.carry.stats
}

// take makes a slot.
func (c *carry[T]) take() int {
	c.count++
	if n := len(c.free); n > 0 {
		s := c.free[n-1]
		c.free = c.free[:n-1]
		return int(s)
	}
	s := len(c.rows)
	c.rows, c.slots, c.prev = append(c.rows, 0), append(c.slots, 0), append(c.prev, link{})
	c.since, c.max = append(c.since, 0), append(c.max, 0)
	c.delta.Grow(s + 1)
	return s
}

func (c *carry[T]) release(s int32) {
	c.rows[s] = -1
	c.since[s] = filter.Never
	c.free = append(c.free, s)
	c.count--
}

// SealSome ends the clock like Seal for the rows that leave: with all set, every
// row that has updates, those that were kept back before included, unrounded.
func (l *Log[T]) SealSome(clock int64, all bool) *Entry[T] {
	c, e := l.carry, l.open
	c.cands = c.cands[:0]
	for at, row := range e.rows {
		since := clock
		if c.far(row) {
			c.stats.Before += int64(e.Delta.Travel(at, codec.Full))
		}
		if p := e.prev[at]; p.seq == carrySeq {
			e.Delta.Add(at, &c.delta, int(p.at))
			since = min(since, c.since[p.at])
			e.prev[at] = c.prev[p.at]
			c.release(p.at)
		}
		c.cands = append(c.cands, filter.Candidate{Row: row, Since: since, At: int32(at)})
	}
	touched := len(c.cands)
	switch {
	case all:
		for s := range c.rows {
			if c.rows[s] >= 0 {
				c.cands = append(c.cands, filter.Candidate{Row: c.rows[s], Since: c.since[s], At: int32(s), Leave: true})
			}
		}
		for i := range c.cands {
			c.cands[i].Leave = true
		}
	default:
		for _, s := range c.held {
			if c.rows[s] >= 0 { // else it has joined newer updates
				c.cands = append(c.cands, filter.Candidate{Row: c.rows[s], Since: c.since[s], At: s, Max: c.max[s], Kept: true})
			}
		}
		if c.rule.Withholds() {
			for i := range touched {
				if c.weigh != nil {
					c.cands[i].Max = c.weigh(&e.Delta, i, e.slots[i])
				} else {
					c.cands[i].Max = e.Delta.Max(i)
				}
			}
		}
		if c.rule.Order == filter.Unordered {
			c.order = c.rule.Pick(c.cands, clock, c.order)
		} else {
			c.spend(e, touched, clock)
		}
	}
	// Those that were kept back and leave without a new update.
	for _, x := range c.cands[touched:] {
		if !x.Leave {
			continue
		}
		at := len(e.rows)
		e.rows = append(e.rows, x.Row)
		e.slots = append(e.slots, c.slots[x.At])
		e.prev = append(e.prev, c.prev[x.At])
		e.Delta.Grow(at + 1)
		e.Delta.Set(at, &c.delta, int(x.At))
		l.head[c.slots[x.At]] = link{e.seq, int32(at)}
		c.release(x.At)
		c.cands[at] = filter.Candidate{Row: x.Row, Since: x.Since, At: int32(at), Leave: true}
	}
	n := 0
	for _, s := range c.held {
		if c.rows[s] >= 0 {
			c.held[n] = s
			n++
		}
	}
	c.held = c.held[:n] // before slots are taken again: each is in it once
	left := 0
	for at, row := range e.rows {
		x := c.cands[at]
		far := c.far(row)
		if !x.Leave {
			c.keep(l, e, at, x)
			if far {
				c.stats.Held++
			}
			continue
		}
		left++
		bits := codec.Full
		if !all && c.rule.Bits != codec.Full && !c.rule.Exact(x.Since, clock) {
			bits = c.rule.Bits
			c.round(l, e, at, x)
		}
		if far {
			c.stats.After += int64(e.Delta.Travel(at, bits))
		}
	}
	e.holes = len(e.rows) - left
	if left == 0 { // no link refers to it
		e.rows, e.slots, e.prev, e.holes = e.rows[:0], e.slots[:0], e.prev[:0], 0
		return nil
	}
	return l.close(clock)
}

// spend lets leave what the budget allows.
func (c *carry[T]) spend(e *Entry[T], touched int, clock int64) {
	for i := range c.cands {
		x := &c.cands[i]
		switch {
		case !c.far(x.Row):
		case i < touched:
			x.Bytes = int32(e.Delta.Travel(int(x.At), c.rule.Bits))
		default:
			x.Bytes = int32(c.delta.Travel(int(x.At), c.rule.Bits))
		}
	}
	must, may, short := c.rule.Spend(c.cands, clock, c.allow, &c.queue)
	c.spent = Spent{must + may, may, short}
}

// keep moves a row of the open entry to the carry.
func (c *carry[T]) keep(l *Log[T], e *Entry[T], at int, x filter.Candidate) {
	s := c.take()
	c.delta.Set(s, &e.Delta, at)
	c.put(l, e, at, s, x.Since)
	c.max[s] = x.Max
	c.prev[s] = e.prev[at]
	e.rows[at] = -1
}

// round rounds a row of the open entry; what is left over stays.
func (c *carry[T]) round(l *Log[T], e *Entry[T], at int, x filter.Candidate) {
	s := c.take()
	c.rows[s] = x.Row
	if !e.Delta.Round(at, &c.delta, s, c.rule.Bits) {
		c.release(int32(s))
		return
	}
	c.put(l, e, at, s, c.rule.Rest(x.Since))
	c.max[s] = c.delta.Max(s)
	c.prev[s] = link{e.seq, int32(at)}
}

func (c *carry[T]) put(l *Log[T], e *Entry[T], at, s int, since int64) {
	c.rows[s], c.slots[s], c.since[s] = e.rows[at], e.slots[at], since
	if since != filter.Never && (c.rule.Hold != filter.Never || c.rule.Top > 0) {
		c.held = append(c.held, int32(s))
	}
	l.head[e.slots[at]] = link{carrySeq, int32(s)}
}

// forget drops everything.
func (c *carry[T]) forget() {
	c.rows, c.slots, c.prev, c.since, c.max = c.rows[:0], c.slots[:0], c.prev[:0], c.since[:0], c.max[:0]
	c.free, c.held, c.count = c.free[:0], c.held[:0], 0
}
