package shard

import (
	"math"

	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/slab"
	"github.com/sspurn/sspurn/ssp/internal/value"
)

// Bound says that the values of a table have one: the shard follows which
// batches all ranks have.
type Bound struct {
	Siblings bool // a rank has several workers
	Element  bool // elements are bounded by themselves, not rows
	// Strong, when not nil, is the bound, for batches of a clock, on what the shard
	// has let go and some ranks do not have. A batch that does not fit is held back,
	// from everybody.
	Strong func(clock int64) float64
}

// values is the part of a shard that bounds values.
type values struct {
	spread *value.Spread // nil: no table has a bound
	strong bool          // some table has a strong one
	half   []*value.Book // by table, nil without a strong bound: what was let go and is not everywhere
	queue  []waiting     // held back, in the order in which they came
	held   []int         // by rank: its batches in queue
	found  []weight      // scratch
}

type waiting struct {
	rank int
	msg  []byte
}

type weight struct {
	book      *value.Book
	key       value.Key
	magnitude float64
	limit     float64
}

// add takes account of the next table.
func (v *values) add(t Table, ranks int) {
	v.half = append(v.half, nil)
	b := t.bound()
	if b == nil {
		return
	}
	if v.spread == nil {
		v.spread = value.NewSpread(ranks, b.Siblings)
	}
	if b.Strong != nil {
		v.half[len(v.half)-1] = value.NewBook(ranks)
		if !v.strong {
			v.strong, v.held = true, make([]int, ranks)
		}
	}
}

// reached takes note of the batches of a rank that are everywhere.
func (v *values) reached(rank int) {
	for _, b := range v.half {
		if b != nil {
			b.Visible(rank, v.spread.Visible(rank))
		}
	}
}

// weigh finds the changes of a batch that have a strong bound.
func (s *Shard[R]) weigh(msg []byte) (version uint64, err error) {
	v := &s.values
	v.found = v.found[:0]
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return 0, err
	}
	h := d.Header()
	for d.NextTable() {
		t, err := s.table(&d)
		if err != nil {
			return 0, err
		}
		b := t.bound()
		if b == nil || b.Strong == nil {
			continue
		}
		book, limit := v.half[d.Block().Table], b.Strong(h.Clock)
		err = t.weigh(&d, func(k value.Key, delta float64) {
			v.found = append(v.found, weight{book, k, math.Abs(delta), limit})
		})
		if err != nil {
			return 0, err
		}
	}
	return h.Version, d.Err()
}

func (v *values) fits() bool {
	for _, w := range v.found {
		if !w.book.Fits(w.key, w.magnitude, w.limit) {
			return false
		}
	}
	return true
}

func (v *values) enter(rank int, version uint64) {
	for _, w := range v.found {
		w.book.Add(rank, version, w.key, w.magnitude)
	}
}

// hold keeps a batch back that must wait, or takes account of it. It waits for
// room, for those before it that wait for some, and for all of its rank's.
func (s *Shard[R]) hold(rank int, msg []byte) (held bool, err error) {
	v := &s.values
	version, err := s.weigh(msg)
	if err != nil {
		return false, err
	}
	if v.held[rank] > 0 || len(v.found) > 0 && (len(v.queue) > 0 || !v.fits()) {
		v.queue = append(v.queue, waiting{rank, append([]byte(nil), msg...)})
		v.held[rank]++
		return true, nil
	}
	v.enter(rank, version)
	return false, nil
}

// letGo applies the batches that were held back and fit now, or all.
func (s *Shard[R]) letGo(all bool) (rose, push bool, err error) {
	v := &s.values
	for len(v.queue) > 0 {
		w := v.queue[0]
		version, err := s.weigh(w.msg)
		if err != nil {
			return rose, push, err
		}
		if !all && !v.fits() {
			break
		}
		v.enter(w.rank, version)
		v.queue[0] = waiting{}
		v.queue = v.queue[1:]
		v.held[w.rank]--
		r, p, err := s.take(w.rank, w.msg)
		rose, push = rose || r, push || p
		if err != nil {
			return rose, push, err
		}
	}
	return rose, push, nil
}

// Bounded: the values of some table have a bound, so that Installed and Visible
// matter.
func (s *Shard[R]) Bounded() bool { return s.values.spread != nil }

// Count returns how many batches are applied.
func (s *Shard[R]) Count() uint64 { return s.count }

// Installed says that a rank has installed all that was pushed to it after count
// batches, which may let others go: see Batch for what is returned.
func (s *Shard[R]) Installed(rank int, count uint64) (rose, push bool, err error) {
	v := &s.values
	v.spread.Installed(rank, count)
	if !v.strong {
		return false, false, nil
	}
	for r := range s.senders {
		v.reached(r)
	}
	return s.letGo(false)
}

// Visible returns the last batch of a rank, with rows of tables whose values are
// bounded, that everybody has.
func (s *Shard[R]) Visible(rank int) uint64 { return s.values.spread.Visible(rank) }

// Held returns how many batches are held back.
func (s *Shard[R]) Held() int { return len(s.values.queue) }

// Weigh calls f with what counts of a change of a row: its elements, or the
// greatest magnitude of them.
func Weigh[T codec.Elem](rows *slab.Rows[T], slot int, row int64, element bool, f func(k value.Key, delta float64)) {
	most := 0.0
	one := func(col int, x T) {
		if element {
			if x != 0 {
				f(value.Key{Row: row, Col: int32(col)}, float64(x))
			}
			return
		}
		most = max(most, math.Abs(float64(x)))
	}
	if rows.Sparse() {
		cols, vals := rows.Entries(slot)
		for i, c := range cols {
			one(int(c), vals[i])
		}
	} else {
		for i, x := range rows.At(slot) {
			one(i, x)
		}
	}
	if !element {
		f(value.Key{Row: row, Col: value.Whole}, most)
	}
}

func (t *Rows[T]) bound() *Bound { return t.spec.Bound }

// scratch makes room for a change.
func (t *Rows[T]) scratch() {
	if t.change.Len() == 0 {
		t.change = slab.NewRows[T](t.spec.Width, t.spec.Sparse)
		t.change.Grow(1)
	}
}

func (t *Rows[T]) weigh(d *codec.Decoder, f func(k value.Key, delta float64)) error {
	t.scratch()
	for d.NextRow() {
		row := d.Row()
		if err := t.change.Decode(0, d); err != nil {
			return err
		}
		Weigh(&t.change, 0, row, t.spec.Bound.Element, f)
	}
	return d.Err()
}
