package ssp

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/filter"
	"github.com/sspurn/sspurn/ssp/internal/oplog"
	"github.com/sspurn/sspurn/ssp/internal/rowcache"
	"github.com/sspurn/sspurn/ssp/internal/shard"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// Elem is the set of element types of tables.
type Elem interface {
	float32 | float64 | int32 | int64
}

// Placement says which rank owns a row.
type Placement uint8

const (
	// Cyclic deals the rows out to the ranks in turn.
	Cyclic Placement = iota
	// Range gives every rank a run of rows, all of about the same length.
	Range
)

var placements = [...]string{Cyclic: "cyclic", Range: "in ranges"}

// TableSpec describes a table. It is the same on every rank.
type TableSpec[T Elem] struct {
	Name   string
	Rows   int64 // numbered from 0
	Width  int   // elements of a row
	Sparse bool  // rows are kept as entries: for wide rows that are mostly zero
	Policy Policy
	Filter Filter // of updates; those that round values are for floats only
	Place  Placement
	// Init fills the row, which is zero, before its first use. It depends on
	// nothing but the number, may be called by any goroutine of the owner at any
	// time, and must not use the store. Default: rows start at zero.
	Init func(row int64, x []T)
	// Update is what owners do with what workers send; default Add. Rule is the
	// step of UserDefined, nil otherwise: x is the row, which it changes, state its
	// columns of state, Width elements each and zero at first, g the sum of what
	// was sent. It depends on nothing else, runs on any goroutine of the owner, one
	// row of the table at a time, keeps no slice, and must not use the store.
	Update Update
	Rule   func(row int64, x, state, g []T)
}

// Table is a table of rows that all ranks share.
type Table[T Elem] struct {
	s     *Store
	spec  TableSpec[T]
	id    int
	wire  int            // elements of a row that travel: Width, or more under some rules
	plain bool           // updates are added
	drops bool           // not all updates count
	slack Clock          // of the owners' clocks: the policy's less hold
	hold  Clock          // how long a filter keeps updates back: an owner's clock less this is the age of a copy
	lag   Clock          // and owners rows: what they announce may be this much behind their clock
	rule  filter.Rule    // of updates; zero: all leave
	own   *shard.Rows[T] // guarded by s.mu
	// spec.Policy for those who do not rest while SetPolicy changes it.
	current atomic.Pointer[Policy]
	peers   []peer[T]     // by owner; none for the own rank
	port    *runtime.Port // the store's, for requests of rows

	pmu    sync.Mutex
	sealed [][]*oplog.Entry[T] // by worker, clocks increasing: not sent yet; guarded by pmu

	// Of the sender, who holds s.sending.
	merge   []source[T]
	sum     slab.Rows[T]
	touched []bool
	picks   []pick[T]
}

// CreateTable makes a table; it is collective, called in the same order on all
// ranks and outside Work. An update rule that does not fit the table is an error;
// ranks that describe different tables get one that matches ErrMismatch.
func CreateTable[T Elem](ctx context.Context, s *Store, spec TableSpec[T]) (*Table[T], error) {
	if spec.Policy == (Policy{}) {
		spec.Policy = s.cfg.Policy
	}
	switch {
	case spec.Rows < 0 || spec.Rows > 1<<56:
		return nil, errors.Errorf("table %s: %d rows", spec.Name, spec.Rows)
	case spec.Width < 1 || spec.Width > codec.MaxWidth:
		return nil, errors.Errorf("table %s: width %d: expected 1 to %d", spec.Name, spec.Width, codec.MaxWidth)
	case spec.Place > Range:
		return nil, errors.Errorf("table %s: placement %d", spec.Name, spec.Place)
	}
	steps, err := newRule(&spec)
	if err != nil {
		return nil, err
	}
	wire := spec.Width
	if steps != nil {
		wire = steps.Head()
	}
	if err := spec.Policy.fits(s.cfg.Policy); err != nil {
		return nil, errors.WithMessagef(err, "table %s", spec.Name)
	}
	if spec.Filter, err = filtered(spec.Filter, s.cfg.Filter, codec.TypeOf[T]() >= codec.Int32); err != nil {
		return nil, errors.WithMessagef(err, "table %s", spec.Name)
	}
	if spec.Policy.kind == dbw && steps != nil {
		return nil, errors.Errorf("table %s: update rule %v under %v, which adds means of gradients itself", spec.Name, spec.Update, spec.Policy)
	}
	if err := spec.Filter.fits(spec.Policy, steps == nil, wire == spec.Width); err != nil {
		return nil, errors.WithMessagef(err, "table %s", spec.Name)
	}
	s.wmu.Lock()
	id := len(s.tables)
	s.wmu.Unlock()
	t := &Table[T]{
		s: s, spec: spec, id: id, slack: spec.Policy.slack(), sealed: make([][]*oplog.Entry[T], s.cfg.Workers),
		wire: wire, plain: steps == nil, drops: spec.Policy.Drops(),
		sum: slab.NewRows[T](wire, spec.Sparse), touched: make([]bool, s.size), peers: make([]peer[T], s.size),
	}
	t.sum.Grow(1)
	t.port = s.data.Naming(func() string { return "fetch of rows of table " + spec.Name })
	p := spec.Policy
	t.current.Store(&p)
	if t.rule, t.hold = spec.Filter.rule(p, t.plain); t.slack < unbounded {
		t.slack -= t.hold
	}
	if t.rule.Order != filter.Unordered {
		t.rule.Seed = s.cfg.Seed ^ uint64(s.rank)<<32
		s.budget.tables.Add(1)
	}
	pace := p.pushRule(t.rule.Order, t.hold, t.rule.Seed+1)
	t.lag = Clock(pace.Hold)
	if t.lag > 0 && s.size > 1 {
		s.idler.Do(func() {
			s.mu.Lock()
			s.budget.waiting = make(chan struct{}, 1)
			s.mu.Unlock()
			s.crew.spawn(s.idle)
		})
	}
	for o := range s.size {
		if o != s.rank {
			t.peers[o].cache = rowcache.New[T](t.count(o), t.local, wire, spec.Sparse, p.pushes(), s.cfg.CacheBytes/max(1, s.size-1))
			t.peers[o].cache.Reset(s.epoch, int64(s.syncAt))
		}
	}
	t.own = shard.NewRows(shard.Spec[T]{
		Number: uint32(id), Rows: t.count(s.rank), Local: t.local,
		Global: func(local int64) int64 { return t.global(s.rank, local) },
		Owned:  func(row int64) bool { return row < spec.Rows && t.owner(row) == s.rank },
		Width:  spec.Width, Sparse: spec.Sparse, Ordered: p.ordered(), Eager: p.eager(), Pushed: p.pushes(), Init: spec.Init,
		Rule: steps, Pace: pace, Bound: p.shardBound(s.cfg.Workers > 1),
	}, s.size)
	s.mu.Lock()
	s.shard.AddTable(t.own)
	s.mu.Unlock()
	if p.prompt() {
		s.prompt.Store(true)
	}
	if p.valued() {
		s.boundTable()
	}
	s.wmu.Lock()
	s.tables = append(s.tables[:id:id], t)
	s.wmu.Unlock()
	if err := s.acquire(ctx); err != nil {
		return nil, errors.WithMessagef(err, "table %s", spec.Name)
	}
	s.packing = append(s.packing, spec.Filter.keys)
	if spec.Filter.keys && s.packers == nil {
		s.packers = make([]codec.KeyWriter, s.size)
	}
	<-s.sending
	if _, err := s.meet(ctx, meeting{call: "CreateTable of " + spec.Name, args: t.described()}); err != nil {
		return nil, errors.WithMessagef(err, "table %s", spec.Name)
	}
	return t, nil
}

// Rows returns the number of rows, Width the elements of each.
func (t *Table[T]) Rows() int64 { return t.spec.Rows }

// Width is described at Rows.
func (t *Table[T]) Width() int { return t.spec.Width }

// Name returns the table's name.
func (t *Table[T]) Name() string { return t.spec.Name }

// Policy returns the table's policy. It is not for use beside SetPolicy.
func (t *Table[T]) Policy() Policy { return t.spec.Policy }

// Update returns the table's update rule.
func (t *Table[T]) Update() Update { return t.spec.Update }

// Filter returns the table's filter.
func (t *Table[T]) Filter() Filter { return t.spec.Filter }

func (t *Table[T]) filter() Filter { return t.spec.Filter }

func (t *Table[T]) name() string { return t.spec.Name }

func (t *Table[T]) policy() Policy { return *t.current.Load() }

func (t *Table[T]) rows() shard.Table { return t.own }

// described is what must be the same on all ranks.
func (t *Table[T]) described() []string {
	kind := "dense"
	if t.spec.Sparse {
		kind = "sparse"
	}
	return []string{
		codec.TypeOf[T]().String(), kind, counted(int(t.spec.Rows), "row"), "width " + strconv.Itoa(t.spec.Width),
		placements[t.spec.Place], "policy " + t.spec.Policy.String(), "update " + t.spec.Update.String(),
		"filter " + t.spec.Filter.String(), "number " + strconv.Itoa(t.id),
	}
}

// home is the rank that a row belongs to, whoever owns it now.
func (t *Table[T]) home(row int64) int {
	n := int64(t.s.size)
	if t.spec.Place == Cyclic {
		if uint64(row) < 1<<32 { // a division of 32 bits is three times as fast
			return int(uint32(row) % uint32(n))
		}
		return int(row % n)
	}
	small, larger := t.spec.Rows/n, t.spec.Rows%n
	if cut := larger * (small + 1); row >= cut {
		return int(larger + (row-cut)/small)
	}
	return int(row / (small + 1))
}

// owner is the rank that has a row now. Nothing else finds it out from the row's
// number.
func (t *Table[T]) owner(row int64) int { return t.home(row) }

// local numbers the rows of their owner from 0.
func (t *Table[T]) local(row int64) int64 {
	if t.spec.Place == Cyclic {
		if uint64(row) < 1<<32 {
			return int64(uint32(row) / uint32(t.s.size))
		}
		return row / int64(t.s.size)
	}
	return row - t.global(t.home(row), 0)
}

// global is the inverse of local.
func (t *Table[T]) global(rank int, local int64) int64 {
	n := int64(t.s.size)
	if t.spec.Place == Cyclic {
		return local*n + int64(rank)
	}
	small, larger := t.spec.Rows/n, t.spec.Rows%n
	return int64(rank)*small + min(int64(rank), larger) + local
}

// count is the number of rows at home at a rank.
func (t *Table[T]) count(rank int) int64 {
	n := int64(t.s.size)
	c := t.spec.Rows / n
	if int64(rank) < t.spec.Rows%n {
		c++
	}
	return c
}

// source is a worker's updates on their way into a batch.
type source[T Elem] struct {
	e  *oplog.Entry[T]
	at int
}

// encode puts the updates of the clocks from..to of all workers into the
// batches of their owners, those of a row added in the order of the workers.
func (t *Table[T]) encode(from, to int64, encs []codec.Encoder) int {
	t.merge = t.merge[:0]
	t.pmu.Lock()
	for w, q := range t.sealed {
		n := 0
		for n < len(q) && q[n].Clock <= to {
			t.merge = append(t.merge, source[T]{e: q[n]})
			n++
		}
		t.sealed[w] = append(q[:0], q[n:]...)
	}
	t.pmu.Unlock()
	return t.encodeMerged(t.merge, encs, t.touched)
}

func (t *Table[T]) encodeMerged(merge []source[T], encs []codec.Encoder, touched []bool) (rows int) {
	if len(merge) == 0 {
		return 0
	}
	if t.wire != t.spec.Width {
		return t.encodeRevised(merge, encs, touched)
	}
	if len(merge) > 1 && t.rule.Bits != codec.Full {
		// The sum of rounded rows need not fit in as many bits.
		for i := range merge {
			rows += t.encodeMerged(merge[i:i+1], encs, touched)
		}
		return rows
	}
	block := codec.Block{Table: uint32(t.id), Type: codec.TypeOf[T](), Width: t.spec.Width, Bits: t.rule.Bits}
	for o := range encs {
		encs[o].Table(block)
	}
	if len(merge) == 1 {
		e := merge[0].e
		for i, row := range e.Rows {
			o := t.owner(row)
			touched[o] = true
			e.Delta.Encode(int(e.At[i]), &encs[o], row)
		}
		return len(e.Rows)
	}
	for {
		row, left := int64(-1), 0
		for i := range merge {
			if m := &merge[i]; m.at < len(m.e.Rows) {
				if r := m.e.Rows[m.at]; row < 0 || r < row {
					row = r
				}
				left++
			}
		}
		if left == 0 {
			return rows
		}
		rows++
		first := true
		for i := range merge {
			m := &merge[i]
			if m.at == len(m.e.Rows) || m.e.Rows[m.at] != row {
				continue
			}
			if first {
				t.sum.Set(0, &m.e.Delta, int(m.e.At[m.at]))
			} else {
				t.sum.Add(0, &m.e.Delta, int(m.e.At[m.at]))
			}
			first = false
			m.at++
		}
		o := t.owner(row)
		touched[o] = true
		t.sum.Encode(0, &encs[o], row)
	}
}

func (t *Table[T]) reset(epoch uint32, at Clock) {
	for o := range t.peers {
		p := &t.peers[o]
		if p.cache == nil {
			continue
		}
		p.mu.Lock()
		p.cache.Reset(epoch, int64(at))
		p.mu.Unlock()
	}
	t.pmu.Lock()
	for w := range t.sealed {
		t.sealed[w] = nil
	}
	t.pmu.Unlock()
}

func (t *Table[T]) evicted() (n int64) {
	for o := range t.peers {
		if p := &t.peers[o]; p.cache != nil {
			p.mu.Lock()
			n += p.cache.Evicted()
			p.mu.Unlock()
		}
	}
	return n
}
