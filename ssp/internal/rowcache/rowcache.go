// Package rowcache is the process cache of the rows of one table and one owner:
// pure server rows, each with the age and the applied version of its copy. It is
// bounded in bytes and evicts by the CLOCK algorithm (Corbató 1968). It is a
// pure machine.
//
// Copies are ordered by the number of batches their owner had applied, so that
// answers and pushes may overtake each other. Where rows are pushed, a copy that
// was not in a push is unchanged: it has the clock and the version of the push.
package rowcache

import (
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// None is the age of no request.
const None int64 = -1

// overhead is the bytes that a row takes beside its elements.
const overhead = 64

// Cache holds copies of rows.
type Cache[T codec.Elem] struct {
	index slab.Index
	local func(row int64) int64 // row number → place in the index
	rows  slab.Rows[T]
	meta  []meta
	free  []int32
	hand  int
	used  int
	limit int
	push  bool

	epoch   uint32
	floor   int64  // the clock at which the epoch began
	clock   int64  // of the last push
	version uint64 // of the last push
	order   uint64 // the newest copy or push that was seen

	evicted int64
}

type meta struct {
	row     int64
	age     int64
	applied uint64
	order   uint64
	since   uint64 // newest order seen before the slot was made
	wanted  int64  // age asked for, None
	pins    int32
	present bool
	live    bool
	touched bool
}

// New returns an empty cache of at most limit bytes for the rows that one
// owner has of a table; local numbers them from 0 to rows-1. push says that the
// owner pushes rows that were asked for once.
func New[T codec.Elem](rows int64, local func(int64) int64, width int, sparse, push bool, limit int) *Cache[T] {
	return &Cache[T]{
		index: slab.NewIndex(rows), local: local, rows: slab.NewRows[T](width, sparse), limit: limit, push: push,
	}
}

// Find returns the slot of a row's copy, or a negative number. The slot is good
// until the next call of Want or Install.
func (c *Cache[T]) Find(row int64) int {
	s := c.index.Find(c.local(row))
	if s >= 0 && !c.meta[s].present {
		return -1
	}
	return s
}

// Age returns the age of a copy, and the version up to which the owner had
// applied this rank's batches.
func (c *Cache[T]) Age(slot int) (age int64, applied uint64) {
	m := &c.meta[slot]
	if c.push {
		return max(m.age, c.clock), max(m.applied, c.version)
	}
	return m.age, m.applied
}

// Rows returns the copies by slot.
func (c *Cache[T]) Rows() *slab.Rows[T] { return &c.rows }

// Use marks a copy as used.
func (c *Cache[T]) Use(slot int) { c.meta[slot].touched = true }

// Want says that a copy of at least some age is needed by a worker whose clock
// is now, and reports whether it must be asked for: not when the copy will be
// pushed, nor when a request is under way that will be answered with one and
// does not wait for the worker itself. pin keeps the copy until Unpin.
func (c *Cache[T]) Want(row, age, now int64, pin bool) (ask bool) {
	s := c.index.Find(c.local(row))
	if s < 0 {
		s = c.slot(row)
	}
	m := &c.meta[s]
	if pin {
		m.pins++
	}
	if c.push && m.present {
		return false
	}
	if m.wanted != None && m.wanted >= age && (m.wanted <= now || !pin) {
		return false
	}
	m.wanted = age
	return true
}

// Unpin lets a copy be evicted again.
func (c *Cache[T]) Unpin(row int64) { c.meta[c.index.Find(c.local(row))].pins-- }

func (c *Cache[T]) slot(row int64) int {
	var s int
	if n := len(c.free); n > 0 {
		s = int(c.free[n-1])
		c.free = c.free[:n-1]
	} else {
		s = len(c.meta)
		c.meta = append(c.meta, meta{})
		c.rows.Grow(s + 1)
	}
	c.meta[s] = meta{row: row, wanted: None, live: true, since: c.order}
	c.index.Put(c.local(row), s)
	c.used += overhead + c.rows.Bytes(s)
	return s
}

// Install takes the row that the decoder holds: a copy of some age that an
// owner had after applying order batches, applied of them this rank's. Rows
// that nobody asked for, and copies older than the one at hand, are ignored.
func (c *Cache[T]) Install(d *codec.Decoder, epoch uint32, age int64, applied, order uint64) error {
	s := c.index.Find(c.local(d.Row()))
	if s < 0 {
		return nil
	}
	m := &c.meta[s]
	if order < m.since {
		// It answers a request from before an eviction: a push may have changed
		// the row meanwhile, and readers have seen newer copies.
		return nil
	}
	c.order = max(c.order, order)
	if epoch < c.epoch { // whoever had left held nobody back
		age = min(age, c.floor-1)
	}
	if m.wanted <= age {
		m.wanted = None
	}
	if m.present && order < m.order {
		m.age = max(m.age, age)
		return nil
	}
	before := c.rows.Bytes(s)
	if err := c.rows.Decode(s, d); err != nil {
		return err
	}
	c.used += c.rows.Bytes(s) - before
	if m.present {
		age, applied = max(age, m.age), max(applied, m.applied)
	}
	m.age, m.applied, m.order, m.present, m.touched = age, applied, order, true, true
	c.evict()
	return nil
}

// maxSweep is how many slots one installation looks at for room. Where all of
// them are pinned or in use, the next ones go on from there.
const maxSweep = 64

// evict makes room, as far as copies are neither pinned nor awaited.
func (c *Cache[T]) evict() {
	for n := min(2*len(c.meta), maxSweep); c.used > c.limit && n > 0; n-- {
		s := c.hand
		if c.hand++; c.hand == len(c.meta) {
			c.hand = 0
		}
		m := &c.meta[s]
		switch {
		case !m.live || m.pins > 0 || m.wanted != None || !m.present:
		case m.touched:
			m.touched = false
		default:
			c.used -= overhead + c.rows.Bytes(s)
			c.rows.Clear(s)
			c.index.Delete(c.local(m.row))
			m.live, m.present = false, false
			c.free = append(c.free, int32(s))
			c.evicted++
		}
	}
}

// Pushed says that all rows of a push have been installed: those that were not
// in it are unchanged.
func (c *Cache[T]) Pushed(epoch uint32, clock int64, version, order uint64) {
	c.order = max(c.order, order)
	if epoch < c.epoch {
		c.version = max(c.version, version)
		return
	}
	if epoch > c.epoch {
		c.epoch, c.clock, c.floor = epoch, clock, clock
	}
	c.clock = max(c.clock, clock)
	c.version = max(c.version, version)
}

// Told returns the clock and the version of the last push.
func (c *Cache[T]) Told() (clock int64, version uint64) { return c.clock, c.version }

// Reset begins an epoch at a clock that all ranks have reached, with all
// updates applied: what was announced for later clocks is void.
//
// Copies from before are older than the clock, also those that had its age: the
// updates that were handed over last, without a clock, are not in them. Nobody
// counts on requests from before either: what they wait for may be void.
func (c *Cache[T]) Reset(epoch uint32, clock int64) {
	c.floor = clock
	if c.epoch < epoch {
		c.epoch, c.clock = epoch, 0
	}
	for i := range c.meta {
		m := &c.meta[i]
		m.age, m.wanted = min(m.age, clock-1), None
	}
}

// Restart forgets all copies; push is as for New.
func (c *Cache[T]) Restart(push bool) {
	c.push = push
	for s := range c.meta {
		if m := &c.meta[s]; m.live {
			c.used -= overhead + c.rows.Bytes(s)
			c.rows.Clear(s)
			c.index.Delete(c.local(m.row))
			c.meta[s] = meta{}
			c.free = append(c.free, int32(s))
		}
	}
}

// Evicted returns how many copies have been evicted.
func (c *Cache[T]) Evicted() int64 { return c.evicted }

// Bytes returns the memory that copies take.
func (c *Cache[T]) Bytes() int { return c.used }
