package ssp

import (
	"context"
	"hash/fnv"
	"iter"
	"sync"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp/internal/codec"
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

// TableSpec describes a table. It is the same on every rank.
type TableSpec[T Elem] struct {
	Name   string
	Rows   int64 // numbered from 0
	Width  int   // elements of a row
	Sparse bool  // rows are kept as entries: for wide rows that are mostly zero
	Policy Policy
	Place  Placement
	// Init fills the row, which is zero, before its first use. It depends on
	// nothing but the number, may be called by any goroutine of the owner at any
	// time, and must not use the store. Default: rows start at zero.
	Init func(row int64, x []T)
}

// Table is a table of rows that all ranks share.
type Table[T Elem] struct {
	s     *Store
	spec  TableSpec[T]
	id    int
	slack Clock
	own   *shard.Rows[T] // guarded by s.mu
	peers []peer[T]      // by owner; none for the own rank

	pmu    sync.Mutex
	sealed [][]*oplog.Entry[T] // by worker, clocks increasing: not sent yet; guarded by pmu

	// Of the sender, who holds s.sending.
	merge   []source[T]
	sum     slab.Rows[T]
	touched []bool
}

// peer is what this rank has of one owner's rows.
type peer[T Elem] struct {
	mu     sync.Mutex // held for a bounded number of rows
	cache  *rowcache.Cache[T]
	notify chan struct{} // closed at news; nil when nobody waits
	parked bool          // the last answer waited for the owner's clock
}

// CreateTable makes a table; it is collective, called in the same order on all
// ranks and outside Work.
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
	s.wmu.Lock()
	id := len(s.tables)
	s.wmu.Unlock()
	t := &Table[T]{
		s: s, spec: spec, id: id, slack: spec.Policy.slack(), sealed: make([][]*oplog.Entry[T], s.cfg.Workers),
		sum: slab.NewRows[T](spec.Width, spec.Sparse), touched: make([]bool, s.size), peers: make([]peer[T], s.size),
	}
	t.sum.Grow(1)
	p := spec.Policy
	for o := range s.size {
		if o != s.rank {
			t.peers[o].cache = rowcache.New[T](t.count(o), t.local, spec.Width, spec.Sparse, p.pushes(), s.cfg.CacheBytes/max(1, s.size-1))
			t.peers[o].cache.Reset(s.epoch, int64(s.syncAt))
		}
	}
	t.own = shard.NewRows(shard.Spec[T]{
		Number: uint32(id), Rows: t.count(s.rank), Local: t.local,
		Global: func(local int64) int64 { return t.global(s.rank, local) },
		Owned:  func(row int64) bool { return row < spec.Rows && t.owner(row) == s.rank },
		Width:  spec.Width, Sparse: spec.Sparse, Ordered: p.ordered(), Eager: p.eager(), Pushed: p.pushes(), Init: spec.Init,
	}, s.size)
	s.mu.Lock()
	s.shard.AddTable(t.own)
	s.mu.Unlock()
	s.wmu.Lock()
	s.tables = append(s.tables[:id:id], t)
	s.wmu.Unlock()
	if _, err := s.meet(ctx, meeting{mark: t.fingerprint()}); err != nil {
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

// Policy returns the table's policy.
func (t *Table[T]) Policy() Policy { return t.spec.Policy }

func (t *Table[T]) name() string      { return t.spec.Name }
func (t *Table[T]) policy() Policy    { return t.spec.Policy }
func (t *Table[T]) rows() shard.Table { return t.own }

// fingerprint is the same on ranks that describe the same table.
func (t *Table[T]) fingerprint() uint64 {
	h := fnv.New64a()
	h.Write([]byte(t.spec.Name))
	h.Write([]byte(t.spec.Policy.String()))
	flag := byte(0)
	if t.spec.Sparse {
		flag = 1
	}
	h.Write([]byte{byte(codec.TypeOf[T]()), byte(t.spec.Place), flag, byte(t.id)})
	x := uint64(t.spec.Rows)*0x9e3779b97f4a7c15 + uint64(t.spec.Width)
	return h.Sum64() ^ x
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
	block := codec.Block{Table: uint32(t.id), Type: codec.TypeOf[T](), Width: t.spec.Width}
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

// install takes the rows of a block.
func (t *Table[T]) install(owner int, d *codec.Decoder) error {
	p := &t.peers[owner]
	if p.cache == nil {
		return errors.Errorf("table %s: rows from rank %d", t.spec.Name, owner)
	}
	h := d.Header()
	more := d.NextRow()
	for more {
		p.mu.Lock()
		for n := 0; more && n < lockRows; n++ {
			if row := d.Row(); row >= t.spec.Rows || t.owner(row) != owner {
				p.mu.Unlock()
				return errors.Errorf("table %s: row %d from rank %d", t.spec.Name, row, owner)
			}
			if err := p.cache.Install(d, h.Epoch, d.Age(), h.Version, h.ID); err != nil {
				p.mu.Unlock()
				return err
			}
			more = d.NextRow()
		}
		p.parked = h.Flags&codec.Parked != 0
		if !more {
			p.wake()
		}
		p.mu.Unlock()
	}
	return d.Err()
}

// lockRows is the number of rows for which a lock of a cache is held at most.
const lockRows = 128

// told takes the clock and the version of a push, whose rows are installed.
func (t *Table[T]) told(owner int, h codec.Header) {
	p := &t.peers[owner]
	p.mu.Lock()
	p.cache.Pushed(h.Epoch, h.Clock, h.Version, h.ID)
	p.wake()
	p.mu.Unlock()
}

// wake wakes who waits for news, with p.mu.
func (p *peer[T]) wake() {
	if p.notify != nil {
		close(p.notify)
		p.notify = nil
	}
}

// news returns a channel that is closed at the next news, with p.mu.
func (p *peer[T]) news() <-chan struct{} {
	if p.notify == nil {
		p.notify = make(chan struct{})
	}
	return p.notify
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

// answerBytes is about the length of an answer to a request.
const answerBytes = 256 << 10

// fetch asks an owner for rows of at least an age; they are installed when they
// come. It orders rows, which are the caller's again afterwards.
func (t *Table[T]) fetch(owner int, rows []int64, age int64) {
	sortRows(rows)
	chunk := max(1, answerBytes/(t.spec.Width*codec.TypeOf[T]().Size()))
	if t.spec.Sparse {
		chunk = 4096
	}
	flags := codec.Flags(0)
	if t.spec.Policy.pushes() {
		flags = codec.Subscribe
	}
	s := t.s
	link := &s.links[owner]
	for len(rows) > 0 {
		n := min(chunk, len(rows))
		var e codec.Encoder
		e.Begin(nil, codec.Header{Kind: codec.Request, Flags: flags, Rank: s.rank})
		e.Table(codec.Block{Table: uint32(t.id), Type: codec.TypeOf[T](), Width: t.spec.Width, Age: age})
		for _, row := range rows[:n] {
			e.Want(row)
		}
		msg := e.End()
		rows = rows[n:]
		link.fetches.Add(int64(len(msg)))
		s.spawn(func(ctx context.Context) {
			start := time.Now()
			reply, err := s.data.Call(ctx, owner, msg)
			took := time.Since(start)
			if err == nil {
				err = s.install(owner, reply, t.id)
			}
			if err == nil {
				if len(reply) > 1 && codec.Flags(reply[1])&codec.Parked == 0 {
					link.took(len(msg)+len(reply), took)
				}
				return
			}
			if ctx.Err() == nil {
				s.fail(errors.WithMessagef(err, "table %s: fetch %d rows from rank %d", t.spec.Name, n, owner))
			}
		})
	}
}

// Owned ranges over the rows that this rank owns, in order: all rows, or, of a
// table of more than two million rows a rank, those that have been used. A row's
// slice is good until the next one. It is called after Sync and before the next
// Clock, outside Work.
func (t *Table[T]) Owned() iter.Seq2[int64, []T] {
	return func(yield func(int64, []T) bool) {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		x := make([]T, t.spec.Width)
		t.own.Each(0, func(row int64, slot int) bool {
			t.own.Data().CopyTo(x, slot)
			return yield(row, x)
		})
	}
}

func (t *Table[T]) scan(e *codec.Encoder, from int64, bytes int) int64 {
	b := codec.Block{Table: uint32(t.id), Type: codec.TypeOf[T](), Width: t.spec.Width}
	e.Table(b)
	return t.own.Scan(e, from, bytes)
}

// answerScan answers a Call of Collect.
func (s *Store) answerScan(m *runtime.Message, d *codec.Decoder) error {
	s.wmu.Lock()
	tables := s.tables
	s.wmu.Unlock()
	if !d.NextTable() || int(d.Block().Table) >= len(tables) || !d.NextRow() {
		return errors.New("a scan of no table")
	}
	t := tables[d.Block().Table]
	s.mu.Lock()
	var e codec.Encoder
	e.Begin(nil, codec.Header{Kind: codec.Rows, Rank: s.rank})
	next := t.scan(&e, d.Row(), answerBytes)
	s.mu.Unlock()
	// The last byte of the answer's header says where to go on.
	out := e.End()
	tail := codec.Encoder{}
	tail.Begin(nil, codec.Header{Kind: codec.Ack, Rank: s.rank, Version: uint64(next + 1), ID: uint64(len(out))})
	head := tail.End()
	return m.Reply([]byte{byte(len(head))}, head, out)
}

// Collect calls row on rank root for the rows of all ranks, in order: all rows,
// or of large tables those that Owned has. The slice is good during the call.
// It is collective, called after Sync and before the next Clock, outside Work.
// An error of row ends it, at root alone.
func (t *Table[T]) Collect(ctx context.Context, root int, row func(row int64, x []T) error) error {
	s := t.s
	var err error
	if s.rank == root {
		err = t.collect(ctx, row)
	}
	if _, e := s.meet(ctx, meeting{mark: markCollect + uint64(t.id)<<8 + uint64(root)<<24}); err == nil {
		err = e
	}
	return errors.WithMessagef(err, "table %s: collect", t.spec.Name)
}

// stream is the rows of one owner on their way to Collect.
type stream[T Elem] struct {
	owner int
	d     codec.Decoder
	next  int64 // where to go on; negative at the end
	row   int64 // -1: no row at hand
}

func (t *Table[T]) collect(ctx context.Context, row func(int64, []T) error) error {
	x := slab.NewRows[T](t.spec.Width, t.spec.Sparse)
	x.Grow(1)
	out := make([]T, t.spec.Width)
	streams := make([]stream[T], t.s.size)
	for o := range streams {
		streams[o] = stream[T]{owner: o, row: -1}
		if err := t.advance(ctx, &streams[o]); err != nil {
			return err
		}
	}
	for {
		var least *stream[T]
		for o := range streams {
			if c := &streams[o]; c.row >= 0 && (least == nil || c.row < least.row) {
				least = c
			}
		}
		if least == nil {
			return nil
		}
		if err := x.Decode(0, &least.d); err != nil {
			return err
		}
		x.CopyTo(out, 0)
		if err := row(least.row, out); err != nil {
			return err
		}
		if err := t.advance(ctx, least); err != nil {
			return err
		}
	}
}

// advance goes to the next row of a stream.
func (t *Table[T]) advance(ctx context.Context, c *stream[T]) error {
	s := t.s
	for {
		if c.d.NextRow() {
			c.row = c.d.Row()
			return nil
		}
		if err := c.d.Err(); err != nil {
			return err
		}
		c.row = -1
		if c.next < 0 {
			return nil
		}
		var msg []byte
		if c.owner == s.rank {
			s.mu.Lock()
			var e codec.Encoder
			e.Begin(nil, codec.Header{Kind: codec.Rows, Rank: s.rank})
			c.next = t.scan(&e, c.next, answerBytes)
			s.mu.Unlock()
			msg = e.End()
		} else {
			var e codec.Encoder
			e.Begin(nil, codec.Header{Kind: codec.Request, Flags: codec.More, Rank: s.rank})
			e.Table(codec.Block{Table: uint32(t.id), Type: codec.TypeOf[T](), Width: t.spec.Width})
			e.Want(c.next)
			reply, err := s.data.Call(ctx, c.owner, e.End())
			if err != nil {
				return err
			}
			if len(reply) < 1 || len(reply) < 1+int(reply[0]) {
				return errors.Errorf("scan of rank %d: answer of %d bytes", c.owner, len(reply))
			}
			var head codec.Decoder
			if err := head.Reset(reply[1 : 1+reply[0]]); err != nil {
				return errors.WithMessagef(err, "scan of rank %d", c.owner)
			}
			c.next = int64(head.Header().Version) - 1
			msg = reply[1+reply[0]:]
		}
		if err := c.d.Reset(msg); err != nil {
			return err
		}
		c.d.NextTable()
	}
}
