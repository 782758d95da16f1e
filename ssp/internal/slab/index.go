// Package slab keeps rows in flat memory: an index from row numbers to slots
// and pages of rows, no object a row. It is pure.
package slab

import "math/bits"

// maxDense is the number of rows up to which an Index is an array.
const maxDense = 1 << 21

// Index maps row numbers to slots. Small tables have an array over all rows,
// larger ones open addressing with linear probing.
type Index struct {
	dense []int32 // row → slot+1
	keys  []int64 // row+1, 0 empty
	slots []int32
	shift uint
	used  int
}

// NewIndex returns an empty index of the rows [0, rows).
func NewIndex(rows int64) Index {
	if rows <= maxDense {
		return Index{dense: make([]int32, rows)}
	}
	return Index{keys: make([]int64, 64), slots: make([]int32, 64), shift: 58}
}

// Direct reports whether the index is an array, so that a sweep over all rows
// is affordable.
func (x *Index) Direct() bool { return x.keys == nil }

// Find returns the slot of a row, or a negative number.
func (x *Index) Find(row int64) int {
	if uint64(row) < uint64(len(x.dense)) {
		return int(x.dense[row]) - 1
	}
	if x.keys == nil || row < 0 {
		return -1
	}
	return x.probe(row)
}

func hash(row int64, shift uint) uint64 { return uint64(row) * 0x9e3779b97f4a7c15 >> shift }

func (x *Index) probe(row int64) int {
	mask := uint64(len(x.keys) - 1)
	for i := hash(row, x.shift); ; i = (i + 1) & mask {
		switch x.keys[i] {
		case row + 1:
			return int(x.slots[i])
		case 0:
			return -1
		}
	}
}

// Put maps a row that is absent to a slot.
func (x *Index) Put(row int64, slot int) {
	if x.keys == nil {
		x.dense[row] = int32(slot) + 1
		return
	}
	if 2*(x.used+1) > len(x.keys) {
		old, slots := x.keys, x.slots
		n := 2 * len(old)
		x.keys, x.slots = make([]int64, n), make([]int32, n)
		x.shift = uint(64 - bits.TrailingZeros(uint(n)))
		for i, k := range old {
			if k != 0 {
				x.place(k-1, slots[i])
			}
		}
	}
	x.used++
	x.place(row, int32(slot))
}

func (x *Index) place(row int64, slot int32) {
	mask := uint64(len(x.keys) - 1)
	i := hash(row, x.shift)
	for x.keys[i] != 0 {
		i = (i + 1) & mask
	}
	x.keys[i], x.slots[i] = row+1, slot
}

// Delete removes a row that is present.
func (x *Index) Delete(row int64) {
	if x.keys == nil {
		x.dense[row] = 0
		return
	}
	mask := uint64(len(x.keys) - 1)
	i := hash(row, x.shift)
	for x.keys[i] != row+1 {
		if x.keys[i] == 0 {
			return
		}
		i = (i + 1) & mask
	}
	x.used--
	// Move later entries of the run back, so that no mark of the deleted stays.
	for j := i; ; {
		x.keys[i] = 0
		for {
			j = (j + 1) & mask
			if x.keys[j] == 0 {
				return
			}
			if home := hash(x.keys[j]-1, x.shift); (j-home)&mask >= (j-i)&mask {
				break
			}
		}
		x.keys[i], x.slots[i] = x.keys[j], x.slots[j]
		i = j
	}
}

// Reset removes all rows.
func (x *Index) Reset() {
	clear(x.dense)
	clear(x.keys)
	x.used = 0
}
