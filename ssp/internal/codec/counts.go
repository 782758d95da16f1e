package codec

import (
	"encoding/binary"
	"slices"
)

// Rows of integers: counts, which are small, and mostly zero. What looks for
// those that are not passes over zeros in blocks: in long rows of few entries
// nothing else takes time.

type integer interface{ int32 | int64 }

// blank is how many zeros are passed over at once.
const blank = 8

// counting is what is known of a row of integers.
type counting struct {
	entries int // elements that are not zero
	all     int // bytes of all elements as varints
	few     int // bytes of the entries with their distances, and of their number
}

// count looks at a row.
func count[T integer](x []T) (c counting) {
	next := 0
	for i := 0; i < len(x); {
		end := min(i+blank, len(x))
		if end-i == blank && zeros((*[blank]T)(x[i:])) {
			i = end
			continue
		}
		for ; i < end; i++ {
			if x[i] == 0 {
				continue
			}
			l := uvarintLen(zigzag(int64(x[i])))
			c.entries++
			c.all += l - 1
			c.few += l + uvarintLen(uint64(i-next))
			next = i + 1
		}
	}
	c.all += len(x)
	c.few += uvarintLen(uint64(c.entries))
	return c
}

func zeros[T integer](x *[blank]T) bool {
	return x[0]|x[1]|x[2]|x[3]|x[4]|x[5]|x[6]|x[7] == 0
}

// shape returns the smallest shape of the row, of width elements of size bytes.
func (c counting) shape(width, size int) shape {
	switch full := width * size; {
	case c.few < c.all && c.few < full:
		return sparseCounted
	case c.all < full:
		return counted
	}
	return dense
}

// appendCounts writes a row of integers, of which count has been taken, in full
// or by its entries.
func appendCounts[T integer](dst []byte, x []T, c counting, s shape) []byte {
	switch s {
	case counted:
		return appendAll(dst, x, c.all)
	case sparseCounted:
		return appendFew(dst, x, c)
	}
	return appendRaw(dst, x)
}

// appendAll writes all elements, which take so many bytes.
func appendAll[T integer](dst []byte, x []T, bytes int) []byte {
	at := len(dst)
	dst = slices.Grow(dst, bytes)[:at+bytes]
	for _, v := range x {
		if u := zigzag(int64(v)); u < 0x80 {
			dst[at] = byte(u)
			at++
		} else {
			at += binary.PutUvarint(dst[at:], u)
		}
	}
	return dst
}

// appendFew writes the entries, each behind its distance from the one before.
func appendFew[T integer](dst []byte, x []T, c counting) []byte {
	at := len(dst)
	dst = slices.Grow(dst, c.few)[:at+c.few]
	at += binary.PutUvarint(dst[at:], uint64(c.entries))
	next := 0
	for i := 0; at < len(dst); {
		end := min(i+blank, len(x))
		if end-i == blank && zeros((*[blank]T)(x[i:])) {
			i = end
			continue
		}
		for ; i < end; i++ {
			if x[i] == 0 {
				continue
			}
			at += binary.PutUvarint(dst[at:], uint64(i-next))
			at += binary.PutUvarint(dst[at:], zigzag(int64(x[i])))
			next = i + 1
		}
	}
	return dst
}
