package codec

import (
	"encoding/binary"
	"math"
)

// Values of a block may travel in 16 or 8 bits: every element of a row is a
// whole number of -32767..32767 or -127..127 times a power of two that the row
// has in common. Both ends of it are exact: a row that [Round] has rounded
// arrives as it left, and what rounding has left over is exact as well. Rows
// that do not fit travel at full width, so a coding never loses anything.

// Bits says in how many bits the values of a block travel.
type Bits uint8

// The widths of values.
const (
	Full   Bits = iota // the type's own
	Bits16             // 16, with one exponent a row
	Bits8              // 8, with one exponent a row
	bitsEnd
)

// Size returns the bytes of a value of a type.
func (b Bits) Size(t Type) int {
	switch b {
	case Bits16:
		return 2
	case Bits8:
		return 1
	}
	return t.Size()
}

// digits is the number of bits beside the sign.
func (b Bits) digits() int { return 8*b.Size(Float32) - 1 }

// exponents bounds the exponents of a type, so that all multiples are finite and
// exact.
func exponents(t Type) (least, most int) {
	if t == Float32 {
		return -149, 100
	}
	return -1000, 1000
}

// exponent returns the exponent k of a row: its largest element is between
// 2^(digits-1) and 2^digits-1 times 2^k, rounded. ok is false where there is none.
func exponent[T Elem](x []T, bits Bits) (k int, ok bool) {
	most := T(0)
	for _, v := range x {
		switch {
		case v > most:
			most = v
		case -v > most:
			most = -v
		case v != v:
			return 0, false
		}
	}
	if most == 0 {
		return 0, true
	}
	f := float64(most)
	if math.IsInf(f, 0) {
		return 0, false
	}
	d := bits.digits()
	_, e := math.Frexp(f)
	k = e - d
	least, greatest := exponents(TypeOf[T]())
	if k < least || k >= greatest {
		return 0, false
	}
	if math.RoundToEven(f*math.Ldexp(1, -k)) > float64(int(1)<<d-1) {
		k++
	}
	return k, true
}

// Round rounds the elements of x to the nearest that travel in so many bits,
// ties to even, and sets rest, which is as long, to what is left: their sum is x,
// exactly. A row that has no such form stays as it is, and its rest is zero.
func Round[T Elem](x, rest []T, bits Bits) {
	k, ok := exponent(x, bits)
	if !ok || TypeOf[T]().integer() || bits == Full {
		clear(rest)
		return
	}
	up, down := math.Ldexp(1, -k), math.Ldexp(1, k)
	rest = rest[:len(x)]
	for i, v := range x {
		q := T(float64(int(math.RoundToEven(float64(v)*up))) * down)
		x[i], rest[i] = q, v-q
	}
}

// fits returns the exponent of a row that travels in so many bits as it is.
func fits[T Elem](x []T, bits Bits) (k int, ok bool) {
	if k, ok = exponent(x, bits); !ok {
		return 0, false
	}
	up := math.Ldexp(1, -k)
	for _, v := range x {
		n := float64(v) * up
		if n != math.Trunc(n) || v == 0 && !isZero(v) {
			return 0, false
		}
	}
	return k, true
}

// scaled writes the exponent of a row, or that it has none.
func (e *Encoder) scaled(k int, ok bool) {
	e.up = 0
	if !ok {
		e.buf = append(e.buf, 0)
		return
	}
	e.buf = appendUvarint(e.buf, zigzag(int64(k))+1)
	e.up = math.Ldexp(1, -k)
}

// appendNumber appends a value of a row that fits.
func appendNumber[T Elem](b []byte, v T, bits Bits, up float64) []byte {
	n := int(float64(v) * up)
	if bits == Bits8 {
		return append(b, byte(int8(n)))
	}
	return binary.LittleEndian.AppendUint16(b, uint16(int16(n)))
}

func denseCoded[T Elem](e *Encoder, row int64, x []T) {
	bits := e.block.Bits
	k, ok := fits(x, bits)
	size := bits.Size(e.block.Type)
	if !ok {
		size = e.block.Type.Size()
	}
	n := nonzeros(x)
	s := dense
	if uvarintLen(uint64(n))+n*(size+1) < len(x)*size {
		s = sparse
	}
	e.head(row, s)
	e.scaled(k, ok)
	if s == dense && !ok {
		e.buf = appendRaw(e.buf, x)
		return
	}
	if s == dense {
		for _, v := range x {
			e.buf = appendNumber(e.buf, v, bits, e.up)
		}
		return
	}
	e.buf = appendUvarint(e.buf, uint64(n))
	next := 0
	for i, v := range x {
		if isZero(v) {
			continue
		}
		e.buf = appendUvarint(e.buf, uint64(i-next))
		e.one(float64(v), bits)
		next = i + 1
	}
}

// one appends one value of a row that is open.
func (e *Encoder) one(v float64, bits Bits) {
	switch {
	case e.up != 0:
		e.buf = appendNumber(e.buf, v, bits, e.up)
	case e.block.Type == Float32:
		e.buf = appendValue(e.buf, float32(v), sparse)
	default:
		e.buf = appendValue(e.buf, v, sparse)
	}
}

func sparseCoded[T Elem](e *Encoder, row int64, col []int32, val []T, gaps int) {
	bits := e.block.Bits
	k, ok := fits(val, bits)
	size := bits.Size(e.block.Type)
	if !ok {
		size = e.block.Type.Size()
	}
	if uvarintLen(uint64(len(col)))+gaps+len(col)*size >= e.block.Width*size {
		e.head(row, dense)
		e.scaled(k, ok)
		next := int32(0)
		for i, c := range col {
			e.buf = appendZeros(e.buf, int(c-next)*size)
			e.one(float64(val[i]), bits)
			next = c + 1
		}
		e.buf = appendZeros(e.buf, (e.block.Width-int(next))*size)
		return
	}
	e.head(row, sparse)
	e.scaled(k, ok)
	e.buf = appendUvarint(e.buf, uint64(len(col)))
	next := int32(0)
	for i, c := range col {
		e.buf = appendUvarint(e.buf, uint64(c-next))
		e.one(float64(val[i]), bits)
		next = c + 1
	}
}

// readScale reads how the values of a row travel.
func (d *Decoder) readScale() {
	d.scale, d.size = 0, d.block.Type.Size()
	if d.block.Bits == Full {
		return
	}
	u := d.uvarint()
	if u == 0 || d.err != nil {
		return
	}
	k := unzigzag(u - 1)
	if least, most := exponents(d.block.Type); k < int64(least) || k > int64(most) {
		_ = d.fail("exponent %d of %v", k, d.block.Type)
		return
	}
	d.scale, d.size = math.Ldexp(1, int(k)), d.block.Bits.Size(d.block.Type)
}

// number reads a value of a row with a scale.
func (d *Decoder) number(b []byte) float64 {
	if len(b) == 1 {
		return float64(int8(b[0])) * d.scale
	}
	return float64(int16(binary.LittleEndian.Uint16(b))) * d.scale
}

// read reads a value of the row.
func read[T Elem](d *Decoder, b []byte) T {
	if d.scale != 0 {
		return T(d.number(b))
	}
	return value[T](b)
}

// addNumbers adds a dense row with a scale.
func addNumbers[T Elem](d *Decoder, dst []T, b []byte) {
	if d.size == 1 {
		b = b[:len(dst)]
		for i := range dst {
			dst[i] += T(float64(int8(b[i])) * d.scale)
		}
		return
	}
	for i := range dst {
		dst[i] += T(float64(int16(binary.LittleEndian.Uint16(b[2*i:]))) * d.scale)
	}
}
