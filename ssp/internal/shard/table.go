package shard

import (
	"math/bits"
	"slices"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/filter"
	"github.com/sspurn/sspurn/ssp/internal/rule"
	"github.com/sspurn/sspurn/ssp/internal/slab"
	"github.com/sspurn/sspurn/ssp/internal/value"
)

// Table is the rows of a table that a shard owns.
type Table interface {
	ordered() bool
	eager() bool
	pushed() bool
	apply(d *codec.Decoder, count uint64) error
	// encode adds a row to a message.
	encode(e *codec.Encoder, row int64) error
	block() codec.Block
	subscribe(row int64, rank int) error
	dirty(rank int) bool
	push(e *codec.Encoder, rank int)
	lag() int64
	oldest() uint64
	pending() int64
	release(due uint64, allowed int64) (must, may int64, short bool)
	bound() *Bound
	// weigh calls f with the changes in a block of a bounded table.
	weigh(d *codec.Decoder, f func(k value.Key, delta float64)) error
	gather(d *codec.Decoder, squares *float64) error
	scatter(factor float64) (sum float64)
}

// Spec describes a table to its shards.
type Spec[T codec.Elem] struct {
	Number  uint32
	Rows    int64 // that this shard owns
	Local   func(row int64) int64
	Global  func(local int64) int64
	Owned   func(row int64) bool
	Width   int
	Sparse  bool
	Ordered bool   // batches of a clock are applied together, in rank order
	Eager   bool   // rows are pushed as soon as they change
	Pushed  bool   // a request may subscribe
	Bound   *Bound // nil: values have none
	// Pace says, of a pushed table, which rows leave first that have changed, and
	// with Hold for how many clocks they may wait, see Shard.Pace; the zero Rule: all
	// leave when the clock rises.
	Pace filter.Rule
	Init func(row int64, x []T)
	Rule *rule.Rule[T] // what is done with updates; nil: they are added
}

// Rows is a Table of T.
type Rows[T codec.Elem] struct {
	spec   Spec[T]
	index  slab.Index // of the local numbers, where they are too many for slots
	rows   slab.Rows[T]
	steps  steps[T]
	keys   []int64      // by slot, when indexed: local number
	sorted []int64      // keys in order, as of the last Each
	fresh  []bool       // sparse, direct: by slot, the row has been initialised
	x      []T          // scratch of Init
	change slab.Rows[T] // scratch of weigh and applyPaced
	mean   *mean[T]
	paced  paced[T]

	// Subscribers: words of bits, by slot.
	ranks int
	words int
	subs  []uint64
	marks []uint64  // the subscribers for whom the row is dirty
	lists [][]int32 // by rank: slots that are dirty for it
}

// NewRows returns a table of a shard among so many ranks.
func NewRows[T codec.Elem](spec Spec[T], ranks int) *Rows[T] {
	t := &Rows[T]{spec: spec, index: slab.NewIndex(spec.Rows), ranks: ranks}
	if spec.Rule == nil {
		t.rows = slab.NewRows[T](spec.Width, spec.Sparse)
	} else {
		t.rows = slab.NewPacked[T](spec.Rule.Packed(), spec.Rule.Head(), spec.Sparse)
	}
	if t.index.Direct() { // slots are the local numbers
		t.index = slab.Index{}
		t.rows.Reserve(int(spec.Rows))
		if spec.Sparse {
			t.fresh = make([]bool, spec.Rows)
		}
	}
	if spec.Pushed {
		t.words = (ranks + 63) / 64
		t.lists = make([][]int32, ranks)
	}
	return t
}

// SetModes changes what the policy says of the table, when no batch is held.
// Nobody is subscribed to a row then.
func (t *Rows[T]) SetModes(ordered, eager, pushed bool) {
	t.spec.Ordered, t.spec.Eager, t.spec.Pushed = ordered, eager, pushed
	t.words, t.subs, t.marks = 0, nil, nil
	if pushed {
		t.words = (t.ranks + 63) / 64
	}
	t.lists = make([][]int32, t.ranks)
}

func (t *Rows[T]) ordered() bool { return t.spec.Ordered }
func (t *Rows[T]) eager() bool   { return t.spec.Eager }
func (t *Rows[T]) pushed() bool  { return t.spec.Pushed }

func (t *Rows[T]) block() codec.Block {
	return codec.Block{Table: t.spec.Number, Type: codec.TypeOf[T](), Width: t.rows.Head()}
}

// direct: slots are local numbers.
func (t *Rows[T]) direct() bool { return t.keys == nil && t.index.Direct() }

// Slot returns the slot of an owned row, which exists then.
func (t *Rows[T]) Slot(row int64) int {
	local := t.spec.Local(row)
	if t.direct() {
		s := int(local)
		switch {
		case t.spec.Sparse:
			if !t.fresh[s] {
				t.fresh[s] = true
				t.initSlot(s, row)
			}
		case t.rows.Missing(s):
			t.rows.Page(s)
			first := s &^ (t.rows.PageRows() - 1)
			for i := first; i < min(first+t.rows.PageRows(), int(t.spec.Rows)); i++ {
				t.initSlot(i, t.spec.Global(int64(i)))
			}
		}
		return s
	}
	if s := t.index.Find(local); s >= 0 {
		return s
	}
	s := len(t.keys)
	t.index.Put(local, s)
	t.keys = append(t.keys, local)
	t.rows.Grow(s + 1)
	t.initSlot(s, row)
	return s
}

func (t *Rows[T]) initSlot(s int, row int64) {
	if t.spec.Init == nil {
		return
	}
	x := t.x
	if !t.spec.Sparse {
		x = t.rows.At(s)
	} else if x == nil {
		x = make([]T, t.rows.Width())
		t.x = x
	} else {
		clear(x)
	}
	t.spec.Init(row, x[:t.spec.Width:t.spec.Width])
	if t.spec.Rule != nil {
		t.spec.Rule.Start(x)
	}
	if t.spec.Sparse {
		t.rows.SetDense(s, x)
	}
}

// Data returns the rows by slot.
func (t *Rows[T]) Data() *slab.Rows[T] { return &t.rows }

func (t *Rows[T]) owns(row int64) error {
	if row < 0 || !t.spec.Owned(row) {
		return errors.Errorf("table %d: row %d is not owned here", t.spec.Number, row)
	}
	return nil
}

// apply adds the rows of the count-th batch.
func (t *Rows[T]) apply(d *codec.Decoder, count uint64) error {
	if t.spec.Rule != nil {
		return t.step(d)
	}
	for d.NextRow() {
		if err := t.owns(d.Row()); err != nil {
			return err
		}
		s := t.Slot(d.Row())
		if t.lag() > 0 {
			if err := t.applyPaced(s, d, count); err != nil {
				return err
			}
			continue
		}
		if err := t.rows.DecodeAdd(s, d); err != nil {
			return err
		}
		t.touch(s)
	}
	return d.Err()
}

// touch makes a row dirty for its subscribers.
func (t *Rows[T]) touch(s int) {
	at := s * t.words
	if at+t.words > len(t.subs) {
		return // nobody has subscribed to a row this far
	}
	for w := range t.words {
		fresh := t.subs[at+w] &^ t.marks[at+w]
		if fresh == 0 {
			continue
		}
		t.marks[at+w] |= fresh
		for ; fresh != 0; fresh &= fresh - 1 {
			rank := w<<6 + bits.TrailingZeros64(fresh)
			t.lists[rank] = append(t.lists[rank], int32(s))
			if t.paced.bytes != nil {
				t.paced.bytes[rank] += int64(t.rows.Travel(s, codec.Full))
			}
		}
	}
}

func (t *Rows[T]) encode(e *codec.Encoder, row int64) error {
	if err := t.owns(row); err != nil {
		return err
	}
	t.rows.Encode(t.Slot(row), e, row)
	return nil
}

func (t *Rows[T]) subscribe(row int64, rank int) error {
	if err := t.owns(row); err != nil {
		return err
	}
	if t.words == 0 {
		return errors.Errorf("table %d: rows are not pushed", t.spec.Number)
	}
	at := t.Slot(row) * t.words
	if need := at + t.words; need > len(t.subs) {
		need = max(need, min(2*len(t.subs), t.rows.Len()*t.words))
		t.subs = append(t.subs, make([]uint64, need-len(t.subs))...)
		t.marks = append(t.marks, make([]uint64, need-len(t.marks))...)
	}
	t.subs[at+rank>>6] |= 1 << (rank & 63)
	return nil
}

func (t *Rows[T]) dirty(rank int) bool { return t.words > 0 && len(t.lists[rank]) > 0 }

// row returns the number of the row in a slot.
func (t *Rows[T]) row(s int) int64 {
	if t.direct() {
		return t.spec.Global(int64(s))
	}
	return t.spec.Global(t.keys[s])
}

// push adds the rows that are dirty for a subscriber, who has them then.
func (t *Rows[T]) push(e *codec.Encoder, rank int) {
	list := t.lists[rank]
	word, bit := rank>>6, uint64(1)<<(rank&63)
	if t.direct() && len(list) > t.rows.Len()/32 {
		// Many: walk all rows instead of sorting.
		for at := word; at < len(t.marks); at += t.words {
			if t.marks[at]&bit != 0 {
				t.marks[at] &^= bit
				s := at / t.words
				t.rows.Encode(s, e, t.row(s))
			}
		}
	} else {
		if t.direct() {
			slices.Sort(list)
		} else {
			slices.SortFunc(list, func(a, b int32) int { return int(t.keys[a] - t.keys[b]) })
		}
		for _, s := range list {
			t.marks[int(s)*t.words+word] &^= bit
			t.rows.Encode(int(s), e, t.row(int(s)))
		}
	}
	t.lists[rank] = list[:0]
	if t.paced.bytes != nil {
		t.paced.bytes[rank] = 0
	}
}

// Each calls f for the slots of the owned rows with numbers from a local number
// on, in order, until f returns false: for all rows, or, of a table too large
// for an array, those that were touched.
func (t *Rows[T]) Each(from int64, f func(row int64, slot int) bool) {
	if t.direct() {
		for local := from; local < t.spec.Rows; local++ {
			row := t.spec.Global(local)
			if !f(row, t.Slot(row)) {
				return
			}
		}
		return
	}
	if len(t.sorted) != len(t.keys) { // rows are never removed
		t.sorted = append(t.sorted[:0], t.keys...)
		slices.Sort(t.sorted)
	}
	at, _ := slices.BinarySearch(t.sorted, from)
	for _, local := range t.sorted[at:] {
		if !f(t.spec.Global(local), t.index.Find(local)) {
			return
		}
	}
}
