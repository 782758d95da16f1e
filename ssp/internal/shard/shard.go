// Package shard is what an owner keeps: the rows of its part of every table, the
// clocks of all ranks, the batches it has applied, and who is to be told. It is
// a pure machine: batches and requests go in, answers and pushes come out.
//
// Batches carry the sender's incarnation, version and clock; a shard applies the
// next version of a sender and drops a repeat. Blocks of ordered tables are held
// until all batches of their clock are in and applied by rank then.
package shard

import (
	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/backup"
	"github.com/sspurn/sspurn/ssp/internal/clock"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/member"
)

// Shard is the machine; R is what the caller remembers of a parked request.
type Shard[R any] struct {
	rank    int
	clocks  *member.Set
	tables  []Table
	senders []sender
	order   *clock.Order[held]
	backup  *backup.Queue[held] // instead of order, where not all batches count
	scale   bool
	spreads []Spread
	parked  clock.Parking[R]
	count   uint64 // batches applied, to order copies of a row
	last    int    // the rank whose batch made the minimum rise last, or -1
	enc     codec.Encoder
	eager   bool // some table is
	values  values
	pace    pace
}

type sender struct {
	arrived    uint64 // last version that has come
	received   uint64 // last version applied
	ordered    uint64 // last version applied to ordered tables
	told       uint64 // last version pushed to it
	clock      int64  // last clock pushed to it
	epoch      uint32
	subscribed bool
	applied    int64 // batches of clocks, where not all count
	dropped    int64
}

type held struct {
	version uint64
	msg     []byte // nil without rows of ordered tables
}

// New returns the shard of a rank, without tables.
func New[R any](rank, ranks int) *Shard[R] {
	return &Shard[R]{
		rank: rank, last: -1, clocks: member.NewSet(ranks), senders: make([]sender, ranks), order: clock.NewOrder[held](ranks),
	}
}

// DropLate makes the shard apply, of a clock, the batches of those ranks only
// that Decide says, and drop the others. It comes first of all.
func (s *Shard[R]) DropLate() { s.backup = backup.NewQueue[held]() }

// Fate returns how many batches of a rank were applied and dropped.
func (s *Shard[R]) Fate(rank int) (applied, dropped int64) {
	return s.senders[rank].applied, s.senders[rank].dropped
}

// AddTable adds the next table.
func (s *Shard[R]) AddTable(t Table) {
	s.tables = append(s.tables, t)
	s.eager = s.eager || t.eager()
	s.values.add(t, len(s.senders))
	s.repace()
}

// Refit looks at the tables anew: what they do with rows has changed.
func (s *Shard[R]) Refit() {
	s.eager = false
	for _, t := range s.tables {
		s.eager = s.eager || t.eager()
	}
	s.repace()
}

// Min returns the clock of the slowest rank: everything with a smaller
// timestamp is applied.
func (s *Shard[R]) Min() int64 { return s.clocks.Min() }

// Last returns the rank that all others had to wait for: its batch made the
// minimum what it is. It is -1 when no batch did.
func (s *Shard[R]) Last() int { return s.last }

// Clocks returns the clocks of the ranks and who of them counts.
func (s *Shard[R]) Clocks() *member.Set { return s.clocks }

// Promised is the clock that a rank has announced, also with batches that are held
// back.
func (s *Shard[R]) Promised(rank int) int64 {
	at := s.clocks.At(rank)
	for _, w := range s.values.queue {
		var d codec.Decoder
		if w.rank != rank || d.Reset(w.msg) != nil {
			continue
		}
		if h := d.Header(); h.Flags&codec.Ticks != 0 {
			at = max(at, h.Clock)
		}
	}
	return at
}

// Applied returns the last version of a sender that is applied to ordered or
// to other tables.
func (s *Shard[R]) Applied(rank int, ordered bool) uint64 {
	if ordered {
		return s.senders[rank].ordered
	}
	return s.senders[rank].received
}

func (s *Shard[R]) table(d *codec.Decoder) (Table, error) {
	if n := d.Block().Table; int(n) < len(s.tables) {
		return s.tables[n], nil
	}
	return nil, errors.Errorf("table %d of %d", d.Block().Table, len(s.tables))
}

// Batch applies a batch of a rank. rose reports that the minimum has risen, and
// requests may be released; push that subscribers should be told.
func (s *Shard[R]) Batch(rank int, msg []byte) (rose, push bool, err error) {
	if rank != s.rank { // half a batch must not be applied
		if err := codec.Check(msg); err != nil {
			return false, false, err
		}
	}
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return false, false, err
	}
	h := d.Header()
	if h.Kind != codec.Batch || h.Rank != rank {
		return false, false, errors.Errorf("a message of kind %d and rank %d where a batch of rank %d is due", h.Kind, h.Rank, rank)
	}
	from := &s.senders[rank]
	if h.Version <= from.arrived {
		return false, false, nil // a repeat
	}
	if h.Version != from.arrived+1 {
		return false, false, errors.Errorf("batch %d of rank %d after %d", h.Version, rank, from.arrived)
	}
	from.arrived = h.Version
	if s.values.strong {
		if held, err := s.hold(rank, msg); held || err != nil {
			return false, false, err
		}
	}
	return s.take(rank, msg)
}

// take applies the next batch of a rank.
func (s *Shard[R]) take(rank int, msg []byte) (rose, push bool, err error) {
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return false, false, err
	}
	h := d.Header()
	s.senders[rank].received = h.Version
	s.count++
	bounded := false
	var keep []byte
	for d.NextTable() {
		t, err := s.table(&d)
		if err != nil {
			return false, false, err
		}
		if t.ordered() {
			keep = msg
			continue
		}
		if err := t.apply(&d, s.count); err != nil {
			return false, false, err
		}
		bounded = bounded || t.bound() != nil
	}
	if s.pace.on {
		s.pace.came(rank, s.count, h.Version)
	}
	if bounded {
		s.values.spread.Applied(rank, h.Version, s.count)
		s.values.reached(rank)
	}
	if h.Flags&codec.Ticks == 0 {
		return false, s.eager || s.clocks.Freed(rank), nil
	}
	if s.backup != nil {
		rose, err = s.wait(h, held{h.Version, append([]byte(nil), keep...)})
		return rose, rose, err
	}
	s.order.Hold(rank, min(s.clocks.At(rank), h.Clock-1), held{h.Version, append([]byte(nil), keep...)})
	if h.Branch != 0 {
		if h.Last < 1 || h.Last > len(s.senders) {
			return false, false, errors.Errorf("batch of rank %d: a change of member %d", rank, h.Last-1)
		}
		rose, err = s.change(h)
		if err != nil {
			return false, false, err
		}
	} else {
		rose = s.clocks.Step(h.Epoch, rank, h.Clock)
	}
	if rose {
		s.last = rank
		if err := s.settle(); err != nil {
			return false, false, err
		}
		if s.pace.on {
			s.pace.rose(s.count, s.clocks.Min())
		}
	}
	return rose, rose || s.eager, nil
}

// change takes a batch that says who counts.
func (s *Shard[R]) change(h codec.Header) (rose bool, err error) {
	subject := h.Last - 1
	if subject == h.Rank {
		return s.clocks.Free(h.Epoch, subject, h.Branch), nil
	}
	if h.Epoch == s.clocks.Epoch() && h.Clock < s.clocks.Min() {
		return false, errors.Errorf("rank %d comes back at clock %d, which is over: %v", subject, h.Clock, s.clocks)
	}
	s.clocks.Admit(h.Epoch, subject, h.Branch, h.Clock)
	return s.clocks.Step(h.Epoch, h.Rank, h.Clock), nil
}

// settle applies the held batches of the clocks that are over.
func (s *Shard[R]) settle() error {
	for {
		rank, b, ok := s.order.Next(s.clocks.Min())
		if !ok {
			return nil
		}
		if err := s.applyHeld(rank, b); err != nil {
			return err
		}
	}
}

// applyHeld applies what a held batch has for ordered tables.
func (s *Shard[R]) applyHeld(rank int, b held) error {
	s.senders[rank].ordered = b.version
	if len(b.msg) == 0 {
		return nil
	}
	s.count++
	var d codec.Decoder
	if err := d.Reset(b.msg); err != nil {
		return err
	}
	for d.NextTable() {
		t, err := s.table(&d)
		if err != nil {
			return err
		}
		if !t.ordered() {
			continue
		}
		if err := t.apply(&d, s.count); err != nil {
			return err
		}
	}
	return nil
}

// wait takes a batch that may not count.
func (s *Shard[R]) wait(h codec.Header, b held) (rose bool, err error) {
	switch {
	case h.Epoch != s.clocks.Epoch():
		return false, errors.Errorf("batch of rank %d of epoch %d", h.Rank, h.Epoch)
	case h.Clock == clock.Forever:
		s.backup.Keep(h.Rank, b)
		return false, nil
	case h.Clock == 0 || s.backup.Hold(h.Rank, h.Clock-1, b):
		s.drop(h.Rank, b)
		return false, nil
	}
	return s.complete(h.Rank)
}

func (s *Shard[R]) drop(rank int, b held) {
	s.senders[rank].ordered = b.version
	s.senders[rank].dropped++
}

// Decide says which ranks make up a clock, in their order, and reports whether
// the minimum rose.
func (s *Shard[R]) Decide(clock int64, set []int) (rose bool, err error) {
	s.backup.Decide(clock, set)
	return s.complete(-1)
}

// complete applies the clocks that are complete, the last of them by a batch of
// a rank, -1 when by a decision.
func (s *Shard[R]) complete(rank int) (rose bool, err error) {
	for {
		at := s.backup.Clock()
		apply, drop, ok := s.backup.Next()
		if !ok {
			break
		}
		if s.scale {
			if err := s.applyMean(at, apply); err != nil {
				return false, err
			}
			apply = nil
		}
		for _, b := range apply {
			if err := s.applyHeld(b.Rank, b.Batch); err != nil {
				return false, err
			}
			s.senders[b.Rank].applied++
		}
		for _, b := range drop {
			s.drop(b.Rank, b.Batch)
		}
	}
	if rose = s.clocks.Raise(s.backup.Clock()); rose {
		s.last = rank
	}
	return rose, nil
}

// Park keeps a request until the minimum has reached a clock.
func (s *Shard[R]) Park(at int64, who R) { s.parked.Park(at, who) }

// Release returns one request that the minimum serves now.
func (s *Shard[R]) Release() (R, bool) { return s.parked.Release(s.clocks.Min()) }

// Wanted returns the age that a request asks for.
func Wanted(msg []byte) (int64, error) {
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return 0, err
	}
	if d.Header().Kind != codec.Request {
		return 0, errors.Errorf("a message of kind %d where a request is due", d.Header().Kind)
	}
	if !d.NextTable() {
		return 0, errors.New("a request without rows")
	}
	return d.Block().Age, nil
}

// Answer appends the answer to a rank's request to dst: the rows it names, of
// one table. The minimum must have reached the age that it asks for.
func (s *Shard[R]) Answer(dst []byte, rank int, msg []byte, waited bool) ([]byte, error) {
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return dst, err
	}
	if !d.NextTable() {
		return dst, errors.New("a request without rows")
	}
	t, err := s.table(&d)
	if err != nil {
		return dst, err
	}
	flags := codec.Flags(0)
	if waited {
		flags = codec.Parked
	}
	s.begin(dst, rank, flags, t.ordered())
	s.open(t)
	subscribe := d.Header().Flags&codec.Subscribe != 0
	for d.NextRow() {
		if subscribe {
			if err := t.subscribe(d.Row(), rank); err != nil {
				return dst, err
			}
			s.senders[rank].subscribed = true
			if t.bound() != nil {
				s.values.spread.Join(rank, s.count)
			}
		}
		if err := t.encode(&s.enc, d.Row()); err != nil {
			return dst, err
		}
	}
	out := s.enc.End()
	return out, d.Err()
}

func (s *Shard[R]) begin(dst []byte, rank int, flags codec.Flags, ordered bool) {
	s.enc.Begin(dst, s.header(rank, flags, ordered))
}

// header is that of rows for a rank.
func (s *Shard[R]) header(rank int, flags codec.Flags, ordered bool) codec.Header {
	return codec.Header{
		Kind: codec.Rows, Flags: flags, Rank: s.rank, Version: s.Applied(rank, ordered), Clock: s.clocks.Min(),
		Epoch: s.clocks.Epoch(), ID: s.count, Last: s.last + 1,
	}
}

func (s *Shard[R]) open(t Table) {
	b := t.block()
	b.Age = s.clocks.Min()
	s.enc.Table(b)
}

// Push appends to dst what a subscriber has not been told: rows that have
// changed, the clock, the version of its own batches. ok is false when that is
// nothing.
func (s *Shard[R]) Push(dst []byte, rank int) (out []byte, ok bool) {
	to := &s.senders[rank]
	low, version := s.announced(rank)
	news := to.subscribed && (low > to.clock || s.clocks.Epoch() != to.epoch) || (s.eager || s.clocks.Ever(rank)) && to.told < version
	for _, t := range s.tables {
		news = news || t.dirty(rank)
	}
	if !news {
		return dst, false
	}
	h := s.header(rank, codec.Push, false)
	h.Clock, h.Version, h.Branch = low, version, uint32(h.Version-version)
	s.enc.Begin(dst, h)
	for _, t := range s.tables {
		if t.dirty(rank) {
			s.open(t)
			t.push(&s.enc, rank)
		}
	}
	to.told, to.clock, to.epoch = version, low, s.clocks.Epoch()
	return s.enc.End(), true
}

// Sync ends an epoch: all ranks have sent everything. Held batches are applied
// and all clocks set to one.
func (s *Shard[R]) Sync(to int64) error {
	if _, _, err := s.letGo(true); err != nil {
		return err
	}
	if s.backup != nil {
		if n := s.backup.Len(); n > 0 {
			return errors.Errorf("%d batches of clock %d and later wait for a decision at the end", n, s.backup.Clock())
		}
		for _, b := range s.backup.Rest() {
			if err := s.applyHeld(b.Rank, b.Batch); err != nil {
				return err
			}
		}
		s.backup.Sync(to)
		s.clocks.Reset(to)
		return nil
	}
	for r := range s.senders {
		s.clocks.Step(s.clocks.Epoch(), r, clock.Forever)
	}
	if err := s.settle(); err != nil {
		return err
	}
	s.clocks.Reset(to)
	if s.pace.on {
		s.announceAll()
	}
	return nil
}

// Scan appends to dst rows of a table from a local number on, up to about so
// many bytes, and returns the number to go on from, negative at the end.
func (t *Rows[T]) Scan(e *codec.Encoder, from int64, bytes int) (next int64) {
	next = -1
	t.Each(from, func(row int64, slot int) bool {
		if e.Len() >= bytes {
			next = t.spec.Local(row)
			return false
		}
		t.rows.Encode(slot, e, row)
		return true
	})
	return next
}
