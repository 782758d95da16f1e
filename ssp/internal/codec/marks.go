package codec

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// What looks for zeros in rows of floats has no branch for each element: in rows
// of which some are zero and some not, every other one would be guessed wrong.
// Signed zeros are no zeros: a row must arrive as it left.

// nonzeros counts the elements that are not zero.
func nonzeros[T Elem](x []T) (n int) {
	switch f := any(x).(type) {
	case []float32:
		for _, v := range f {
			b := math.Float32bits(v)
			n += int((b | -b) >> 31)
		}
	case []float64:
		for _, v := range f {
			b := math.Float64bits(v)
			n += int((b | -b) >> 63)
		}
	default:
		for _, v := range x {
			if v != 0 {
				n++
			}
		}
	}
	return n
}

// appendFloats writes the n elements of a row that are not zero, each behind its
// distance from the one before.
func appendFloats(dst []byte, x []float32, n int) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, n*(4+binary.MaxVarintLen32))...)
	next := 0
	for base := 0; base < len(x); base += 64 {
		part := x[base:min(base+64, len(x))]
		marks := uint64(0)
		for i, v := range part {
			b := math.Float32bits(v)
			marks |= uint64((b|-b)>>31) << (i & 63)
		}
		for ; marks != 0; marks &= marks - 1 {
			i := bits.TrailingZeros64(marks)
			gap := base + i - next
			next = base + i + 1
			if gap < 0x80 {
				dst[at] = byte(gap)
				at++
			} else {
				at += binary.PutUvarint(dst[at:], uint64(gap))
			}
			binary.LittleEndian.PutUint32(dst[at:], math.Float32bits(part[i]))
			at += 4
		}
	}
	return dst[:at]
}
