package shard

import (
	"github.com/sspurn/sspurn/ssp/internal/backup"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// Spread is what a shard's rows show of a clock whose updates it has applied as
// their mean: of the part of the updates that lies here.
type Spread struct {
	Clock   int64
	K       int     // ranks in it
	Squares float64 // sum over the ranks of the squared norms of their updates
	Sum     float64 // squared norm of the sum of their updates
}

// mean adds up the updates of a clock before they are applied.
type mean[T codec.Elem] struct {
	one   slab.Rows[T]
	sum   slab.Rows[T]
	slots []int32         // by place in sum: the row's slot
	place map[int32]int32 // and back
}

// Scale makes the shard, which is one of DropLate, apply updates of floats times
// ranks/k where k count, so that they stand for those of all, and note the spread
// of each clock. Integers are applied as they are.
func (s *Shard[R]) Scale() { s.scale = true }

// Spreads removes and returns what has been noted.
func (s *Shard[R]) Spreads() []Spread {
	out := s.spreads
	s.spreads = nil
	return out
}

// applyMean applies the batches of a clock.
func (s *Shard[R]) applyMean(clock int64, batches []backup.Item[held]) error {
	spread := Spread{Clock: clock, K: len(batches)}
	for _, b := range batches {
		s.senders[b.Rank].ordered = b.Batch.version
		s.senders[b.Rank].applied++
		if len(b.Batch.msg) == 0 {
			continue
		}
		s.count++
		var d codec.Decoder
		if err := d.Reset(b.Batch.msg); err != nil {
			return err
		}
		for d.NextTable() {
			t, err := s.table(&d)
			if err != nil {
				return err
			}
			if err := t.gather(&d, &spread.Squares); err != nil {
				return err
			}
		}
	}
	for _, t := range s.tables {
		spread.Sum += t.scatter(float64(len(s.senders)) / float64(len(batches)))
	}
	s.spreads = append(s.spreads, spread)
	return nil
}

func (t *Rows[T]) gather(d *codec.Decoder, squares *float64) error {
	m := t.mean
	if m == nil {
		m = &mean[T]{one: slab.NewRows[T](t.spec.Width, t.spec.Sparse), sum: slab.NewRows[T](t.spec.Width, t.spec.Sparse), place: map[int32]int32{}}
		m.one.Grow(1)
		t.mean = m
	}
	for d.NextRow() {
		if err := t.owns(d.Row()); err != nil {
			return err
		}
		s := int32(t.Slot(d.Row()))
		if err := m.one.Decode(0, d); err != nil {
			return err
		}
		*squares += square(&m.one, 0)
		at, ok := m.place[s]
		if !ok {
			at = int32(len(m.slots))
			m.slots = append(m.slots, s)
			m.place[s] = at
			m.sum.Grow(int(at) + 1)
			m.sum.Clear(int(at))
		}
		m.sum.Add(int(at), &m.one, 0)
	}
	return d.Err()
}

// scatter applies what was gathered, floats times a factor, and returns the
// squared norm of it without the factor.
func (t *Rows[T]) scatter(factor float64) (sum float64) {
	m := t.mean
	if m == nil {
		return 0
	}
	half := 0.5
	float := T(half) != 0
	for at, s := range m.slots {
		sum += square(&m.sum, at)
		x := elements(&m.sum, at)
		if float {
			for i, v := range x {
				x[i] = T(float64(v) * factor)
			}
		}
		t.rows.Add(int(s), &m.sum, at)
		t.touch(int(s))
	}
	m.slots = m.slots[:0]
	clear(m.place)
	return sum
}

// elements are the elements of a row that may not be zero.
func elements[T codec.Elem](r *slab.Rows[T], slot int) []T {
	if r.Sparse() {
		_, x := r.Entries(slot)
		return x
	}
	return r.At(slot)
}

func square[T codec.Elem](r *slab.Rows[T], slot int) (sum float64) {
	for _, v := range elements(r, slot) {
		sum += float64(v) * float64(v)
	}
	return sum
}
