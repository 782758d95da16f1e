package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// An Encoder writes one message after another. Calls come in the order Begin,
// then for each table Table and its rows, then End; anything else panics. The
// zero value is ready.
type Encoder struct {
	buf   []byte
	kind  Kind
	block Block
	open  bool // within a block
	row   int64
	age   int64
	// After a float row turned out dense, so many rows are not examined: the
	// rows of a table look alike, and looking costs as much as copying.
	trust int
	up    float64 // of the row that is open, where values have a coding: its scale's inverse, 0 for full width
}

const trustDense = 7

// Begin starts a message that is appended to dst.
func (e *Encoder) Begin(dst []byte, h Header) {
	if h.Kind == 0 || h.Kind >= kindEnd || h.Rank < 0 || h.Rank > math.MaxInt32 || h.Clock < 0 || h.Last < 0 || h.Last > math.MaxInt32 || h.Flags >= flagsEnd {
		panic(fmt.Sprintf("codec: invalid header %+v", h))
	}
	dst = append(dst, byte(h.Kind), byte(h.Flags))
	dst = appendUvarint(dst, uint64(h.Rank))
	dst = appendUvarint(dst, uint64(h.Incarnation))
	dst = appendUvarint(dst, h.Version)
	dst = appendUvarint(dst, uint64(h.Clock))
	dst = appendUvarint(dst, uint64(h.Epoch))
	dst = appendUvarint(dst, uint64(h.Branch))
	dst = appendUvarint(dst, h.ID)
	dst = appendUvarint(dst, uint64(h.Last))
	*e = Encoder{buf: dst, kind: h.Kind}
}

// Table starts the rows of a table. The same table may come again.
func (e *Encoder) Table(b Block) {
	if e.kind == 0 || b.Type == 0 || b.Type >= typeEnd || b.Width < 0 || b.Width > MaxWidth || b.Age < 0 || b.Bits >= bitsEnd || b.Bits != Full && (b.Type.integer() || e.kind == Request) {
		panic(fmt.Sprintf("codec: invalid block %+v", b))
	}
	e.endTable()
	e.buf = appendUvarint(e.buf, uint64(b.Table)+1)
	e.buf = append(e.buf, byte(b.Type)|byte(b.Bits)<<4)
	e.buf = appendUvarint(e.buf, uint64(b.Width))
	e.buf = appendUvarint(e.buf, uint64(b.Age))
	e.block, e.open, e.row, e.age, e.trust = b, true, -1, b.Age, 0
}

// Age sets the age of the rows that follow in this block.
func (e *Encoder) Age(age int64) {
	if age < 0 {
		panic(fmt.Sprintf("codec: age %d", age))
	}
	e.age = age
}

// Want adds a row to the block of a request.
func (e *Encoder) Want(row int64) {
	if !e.kind.names() {
		panic("codec: want outside a request")
	}
	e.head(row, dense)
}

// Len returns the bytes written to the buffer so far, with what was in it
// before Begin.
func (e *Encoder) Len() int { return len(e.buf) }

// End completes the message and returns the buffer.
func (e *Encoder) End() []byte {
	if e.kind == 0 {
		panic("codec: end without begin")
	}
	e.endTable()
	out := append(e.buf, 0)
	e.buf, e.kind = nil, 0
	return out
}

func (e *Encoder) endTable() {
	if e.open {
		e.buf = append(e.buf, 0)
		e.open = false
	}
}

func (e *Encoder) head(row int64, s shape) {
	if !e.open || row <= e.row || row-e.row > math.MaxInt64>>3 {
		panic(fmt.Sprintf("codec: row %d after %d", row, e.row))
	}
	h := uint64(row-e.row)<<3 | uint64(s)
	e.row = row
	if e.age == e.block.Age {
		e.buf = appendUvarint(e.buf, h)
		return
	}
	e.buf = appendUvarint(e.buf, h|4)
	e.buf = appendUvarint(e.buf, uint64(e.age))
}

func (e *Encoder) payload(t Type) {
	if e.kind.names() || t != e.block.Type {
		panic(fmt.Sprintf("codec: %v row in a block of %v", t, e.block.Type))
	}
}

// Dense adds a row given in full, in whatever shape is smallest. Rows of a
// block increase.
func Dense[T Elem](e *Encoder, row int64, x []T) {
	t := TypeOf[T]()
	e.payload(t)
	if len(x) != e.block.Width {
		panic(fmt.Sprintf("codec: row of %d elements in a block of width %d", len(x), e.block.Width))
	}
	if e.block.Bits != Full {
		denseCoded(e, row, x)
		return
	}
	switch counts := any(x).(type) {
	case []int32:
		denseCounts(e, row, counts)
	case []int64:
		denseCounts(e, row, counts)
	default:
		denseFloats(e, row, x)
	}
}

func denseCounts[T integer](e *Encoder, row int64, x []T) {
	c := count(x)
	s := c.shape(len(x), e.block.Type.Size())
	e.head(row, s)
	e.buf = appendCounts(e.buf, x, c, s)
}

func denseFloats[T Elem](e *Encoder, row int64, x []T) {
	size := e.block.Type.Size()
	if e.trust == 0 {
		if n := nonzeros(x); uvarintLen(uint64(n))+n*(size+1) < len(x)*size {
			e.head(row, sparse)
			e.buf = appendSparse(e.buf, x, n)
			return
		}
		e.trust = trustDense + 1
	}
	e.trust--
	e.head(row, dense)
	e.buf = appendRaw(e.buf, x)
}

// appendSparse writes the n elements of a row that are not zero, each behind its
// distance from the one before.
func appendSparse[T Elem](dst []byte, x []T, n int) []byte {
	dst = appendUvarint(dst, uint64(n))
	if x, ok := any(x).([]float32); ok {
		return appendFloats(dst, x, n)
	}
	next := 0
	for i, v := range x {
		if isZero(v) {
			continue
		}
		dst = appendUvarint(dst, uint64(i-next))
		dst = appendValue(dst, v, sparse)
		next = i + 1
	}
	return dst
}

// Sparse adds a row given by its entries, columns strictly increasing and
// within the width, in whatever shape is smallest.
func Sparse[T Elem](e *Encoder, row int64, col []int32, val []T) {
	t := TypeOf[T]()
	e.payload(t)
	if len(col) != len(val) {
		panic(fmt.Sprintf("codec: %d columns and %d values", len(col), len(val)))
	}
	gaps, counts, last := 0, 0, int32(-1)
	for i, c := range col {
		if c <= last || int(c) >= e.block.Width {
			panic(fmt.Sprintf("codec: column %d after %d in a block of width %d", c, last, e.block.Width))
		}
		gaps += uvarintLen(uint64(c - last - 1))
		last = c
		if t.integer() {
			counts += uvarintLen(zigzag(int64(val[i])))
		}
	}
	if e.block.Bits != Full {
		sparseCoded(e, row, col, val, gaps)
		return
	}
	// Spread out, every missing column is a count of one byte.
	s, size := dense, e.block.Width*t.Size()
	if all := e.block.Width - len(col) + counts; t.integer() && all < size {
		s, size = counted, all
	}
	head := uvarintLen(uint64(len(col))) + gaps
	if raw := head + len(col)*t.Size(); raw < size {
		s, size = sparse, raw
	}
	if few := head + counts; t.integer() && few < size {
		s = sparseCounted
	}
	e.head(row, s)
	switch s {
	case dense:
		n, size := len(e.buf), t.Size()
		e.buf = slices.Grow(e.buf, size*e.block.Width)[:n+size*e.block.Width]
		out := e.buf[n:]
		clear(out)
		for i, c := range col {
			putRaw(out[size*int(c):], val[i])
		}
	case counted:
		next := int32(0)
		for i, c := range col {
			e.buf = appendZeros(e.buf, int(c-next))
			e.buf = appendUvarint(e.buf, zigzag(int64(val[i])))
			next = c + 1
		}
		e.buf = appendZeros(e.buf, e.block.Width-int(next))
	default:
		e.buf = appendUvarint(e.buf, uint64(len(col)))
		next := int32(0)
		for i, c := range col {
			e.buf = appendUvarint(e.buf, uint64(c-next))
			e.buf = appendValue(e.buf, val[i], s)
			next = c + 1
		}
	}
}

func appendZeros(b []byte, n int) []byte {
	for range n {
		b = append(b, 0)
	}
	return b
}

// isZero tells 0 from -0: a row must arrive as it left.
func isZero[T Elem](v T) bool {
	return v == 0 && !math.Signbit(float64(v))
}

func appendValue[T Elem](b []byte, v T, s shape) []byte {
	if s == sparseCounted {
		return appendUvarint(b, zigzag(int64(v)))
	}
	switch v := any(v).(type) {
	case float32:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	case float64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	case int32:
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	case int64:
		return binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func putRaw[T Elem](b []byte, v T) {
	switch v := any(v).(type) {
	case float32:
		binary.LittleEndian.PutUint32(b, math.Float32bits(v))
	case float64:
		binary.LittleEndian.PutUint64(b, math.Float64bits(v))
	case int32:
		binary.LittleEndian.PutUint32(b, uint32(v))
	case int64:
		binary.LittleEndian.PutUint64(b, uint64(v))
	}
}

func appendRaw[T Elem](b []byte, x []T) []byte {
	n := len(b)
	switch x := any(x).(type) {
	case []float32:
		b = slices.Grow(b, 4*len(x))[:n+4*len(x)]
		out := b[n:]
		for len(x) >= 4 && len(out) >= 16 {
			binary.LittleEndian.PutUint32(out, math.Float32bits(x[0]))
			binary.LittleEndian.PutUint32(out[4:], math.Float32bits(x[1]))
			binary.LittleEndian.PutUint32(out[8:], math.Float32bits(x[2]))
			binary.LittleEndian.PutUint32(out[12:], math.Float32bits(x[3]))
			x, out = x[4:], out[16:]
		}
		for i, v := range x {
			binary.LittleEndian.PutUint32(out[4*i:], math.Float32bits(v))
		}
	case []float64:
		b = slices.Grow(b, 8*len(x))[:n+8*len(x)]
		out := b[n:]
		for i, v := range x {
			binary.LittleEndian.PutUint64(out[8*i:], math.Float64bits(v))
		}
	case []int32:
		b = slices.Grow(b, 4*len(x))[:n+4*len(x)]
		out := b[n:]
		for i, v := range x {
			binary.LittleEndian.PutUint32(out[4*i:], uint32(v))
		}
	case []int64:
		b = slices.Grow(b, 8*len(x))[:n+8*len(x)]
		out := b[n:]
		for i, v := range x {
			binary.LittleEndian.PutUint64(out[8*i:], uint64(v))
		}
	}
	return b
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

func appendUvarint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return binary.AppendUvarint(b, v)
}

func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }
