// Package value holds the machines of value-bounded consistency: how much of
// what a writer has handed over is not everywhere yet, and which batches are
// (Wei et al., Consistency models of distributed machine learning, 2013, VAP).
// They are pure.
//
// A [Book] keeps, for each key, the changes that are not visible everywhere.
// Writers ask it before they hand over (weak and strong VAP), shards before they
// release a change to anybody (strong VAP). A [Spread] tells, at a shard, which
// batches all ranks have that read from it.
package value

import "math"

// Key is what has a bound: an element of a row, or all of a row with Col = Whole.
type Key struct {
	Row int64
	Col int32
}

// Whole is the Col of a row that has one bound for all elements.
const Whole int32 = -1

// Book keeps the changes that are not visible everywhere. Changes of one writer
// become visible in the order in which they were added.
type Book struct {
	accounts map[Key]*account
	queues   [][]change // by writer, versions increasing
	spare    []*account
}

type change struct {
	version uint64
	key     Key
}

type amount struct {
	by    int32
	delta float64
}

// account is the changes of a key, oldest first. high and low are the greatest
// and the least sum of a run of them that ends with the last one, by Kadane's
// algorithm.
type account struct {
	list      []amount
	high, low float64
}

func (a *account) add(x amount) {
	a.list = append(a.list, x)
	a.high, a.low = x.delta+max(0, a.high), x.delta+min(0, a.low)
}

// NewBook returns an empty book for writers numbered from 0.
func NewBook(writers int) *Book {
	return &Book{accounts: map[Key]*account{}, queues: make([][]change, writers)}
}

// Fits reports whether a change of a key may be added: the sum of any run of
// changes that ends with it is at most limit, or what it is alone. As that held
// for those before it, two replicas that have different parts of the changes of
// the book differ by no more.
func (b *Book) Fits(k Key, delta, limit float64) bool {
	a := b.accounts[k]
	if a == nil {
		return true
	}
	most := max(delta+max(0, a.high), -(delta + min(0, a.low)))
	return most <= max(limit, math.Abs(delta))
}

// Add adds a change that a writer makes with a version, not lower than that of its
// last one.
func (b *Book) Add(by int, version uint64, k Key, delta float64) {
	if delta == 0 {
		return
	}
	a := b.accounts[k]
	if a == nil {
		if n := len(b.spare); n > 0 {
			a, b.spare = b.spare[n-1], b.spare[:n-1]
		} else {
			a = &account{}
		}
		b.accounts[k] = a
	}
	a.add(amount{int32(by), delta})
	b.queues[by] = append(b.queues[by], change{version, k})
}

// Visible says that the changes of a writer up to a version are visible
// everywhere.
func (b *Book) Visible(by int, version uint64) {
	q := b.queues[by]
	n := 0
	for n < len(q) && q[n].version <= version {
		b.remove(int32(by), q[n].key)
		n++
	}
	b.queues[by] = append(q[:0], q[n:]...)
}

func (b *Book) remove(by int32, k Key) {
	a := b.accounts[k]
	if len(a.list) == 1 {
		delete(b.accounts, k)
		a.list, a.high, a.low = a.list[:0], 0, 0
		b.spare = append(b.spare, a)
		return
	}
	list := a.list
	a.list, a.high, a.low = list[:0], 0, 0
	gone := false
	for _, x := range list {
		if !gone && x.by == by {
			gone = true
			continue
		}
		a.add(x)
	}
}

// Len returns how many changes are not visible everywhere.
func (b *Book) Len() int {
	n := 0
	for _, q := range b.queues {
		n += len(q)
	}
	return n
}

// Lags reports whether a change of a writer with a version above the given one is
// in the book.
func (b *Book) Lags(by int, version uint64) bool {
	q := b.queues[by]
	return len(q) > 0 && q[len(q)-1].version > version
}

// Reset forgets all changes.
func (b *Book) Reset() {
	clear(b.accounts)
	for i := range b.queues {
		b.queues[i] = b.queues[i][:0]
	}
}
