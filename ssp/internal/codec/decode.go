package codec

import (
	"encoding/binary"
	"math"

	"github.com/pkg/errors"
)

// A Decoder walks a message in place:
//
//	d.Reset(msg)
//	for d.NextTable() {
//		for d.NextRow() {
//			err := codec.AddTo(&d, slab.row(d.Row()))
//		}
//	}
//	return d.Err()
//
// Rows and tables that are not read are passed over. A message may turn out
// malformed behind rows that were already handed out; who must not act on half
// a message calls [Check] first. The zero value is ready; a Decoder refers to
// the message until the next Reset.
type Decoder struct {
	rest   []byte
	header Header
	block  Block
	row    int64
	age    int64
	shape  shape
	scale  float64 // of the row's values; 0: they have full width
	size   int     // of each
	state  state
	err    error
}

type state uint8

const (
	atEnd     state = iota // nothing more to read
	atTable                // before a block or the end
	inBlock                // before a row or the end of a block
	atPayload              // behind a row's head
)

// Reset starts on a message, which must not be compressed any more.
func (d *Decoder) Reset(msg []byte) error {
	*d = Decoder{rest: msg, state: atTable}
	if len(msg) < 2 {
		return d.fail("message of %d bytes", len(msg))
	}
	h := &d.header
	h.Kind, h.Flags = Kind(msg[0]), Flags(msg[1])
	if h.Kind == 0 || h.Kind >= kindEnd {
		return d.fail("kind %d", msg[0])
	}
	if h.Flags >= flagsEnd {
		return d.fail("flags %#x", msg[1])
	}
	d.rest = msg[2:]
	h.Rank = int(d.bounded(math.MaxInt32, "rank"))
	h.Incarnation = uint32(d.bounded(math.MaxUint32, "incarnation"))
	h.Version = d.uvarint()
	h.Clock = int64(d.bounded(math.MaxInt64, "clock"))
	h.Epoch = uint32(d.bounded(math.MaxUint32, "epoch"))
	h.Branch = uint32(d.bounded(math.MaxUint32, "branch"))
	h.ID = d.uvarint()
	h.Last = int(d.bounded(math.MaxInt32, "last"))
	return d.err
}

// Header returns the header of the message.
func (d *Decoder) Header() Header { return d.header }

// NextTable goes to the next block, if there is one.
func (d *Decoder) NextTable() bool {
	for d.NextRow() {
	}
	if d.state != atTable || d.err != nil {
		return false
	}
	id := d.bounded(math.MaxUint32+1, "table")
	if d.err != nil {
		return false
	}
	if id == 0 {
		d.state = atEnd
		if len(d.rest) > 0 {
			_ = d.fail("%d bytes behind the end", len(d.rest))
		}
		return false
	}
	if len(d.rest) == 0 {
		_ = d.fail("message ends within a block")
		return false
	}
	coding := d.rest[0]
	d.rest = d.rest[1:]
	typ, bits := Type(coding&0xf), Bits(coding>>4)
	if typ == 0 || typ >= typeEnd || bits >= bitsEnd || bits != Full && (typ.integer() || d.header.Kind == Request) {
		_ = d.fail("coding %#x", coding)
		return false
	}
	d.block = Block{Table: uint32(id - 1), Type: typ, Bits: bits}
	d.scale, d.size = 0, typ.Size()
	d.block.Width = int(d.bounded(MaxWidth, "width"))
	d.block.Age = int64(d.bounded(math.MaxInt64, "age"))
	d.row, d.state = -1, inBlock
	return d.err == nil
}

// Block returns the block that NextTable has gone to.
func (d *Decoder) Block() Block { return d.block }

// NextRow goes to the next row of the block, if there is one.
func (d *Decoder) NextRow() bool {
	if d.state == atPayload {
		d.skip()
	}
	if d.err != nil || d.state != inBlock {
		return false
	}
	h := d.uvarint()
	if d.err != nil {
		return false
	}
	if h == 0 {
		d.state = atTable
		return false
	}
	gap := h >> 3
	if gap == 0 || gap > uint64(math.MaxInt64-max(d.row, 0)) {
		_ = d.fail("row %d and gap %d", d.row, gap)
		return false
	}
	d.row += int64(gap)
	d.shape, d.age = shape(h&3), d.block.Age
	if h&4 != 0 {
		d.age = int64(d.bounded(math.MaxInt64, "age"))
	}
	if d.shape >= counted && !d.block.Type.integer() {
		_ = d.fail("counts of %v", d.block.Type)
	}
	if d.header.Kind.names() {
		if d.shape != dense {
			_ = d.fail("payload in a request")
		}
		return d.err == nil
	}
	if d.block.Bits != Full {
		d.readScale()
	}
	d.state = atPayload
	return d.err == nil
}

// Row returns the row that NextRow has gone to, and Age its age: the clock up
// to which it is complete, or of a request the age that it must have.
func (d *Decoder) Row() int64 { return d.row }

// Age is described at [Decoder.Row].
func (d *Decoder) Age() int64 { return d.age }

// Err returns what is wrong with the message, as far as it has been walked.
func (d *Decoder) Err() error { return d.err }

// Check walks a whole message and returns what is wrong with it.
func Check(msg []byte) error {
	var d Decoder
	if err := d.Reset(msg); err != nil {
		return err
	}
	for d.NextTable() {
		for d.NextRow() {
		}
	}
	return d.Err()
}

func (d *Decoder) fail(format string, args ...any) error {
	if d.err == nil {
		d.err = errors.WithMessagef(ErrMalformed, format, args...)
	}
	d.rest, d.state = nil, atEnd
	return d.err
}

func (d *Decoder) uvarint() uint64 {
	if len(d.rest) > 0 && d.rest[0] < 0x80 {
		v := uint64(d.rest[0])
		d.rest = d.rest[1:]
		return v
	}
	return d.longUvarint()
}

func (d *Decoder) longUvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		_ = d.fail("varint")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *Decoder) bounded(limit uint64, what string) uint64 {
	v := d.uvarint()
	if v > limit {
		_ = d.fail("%s %d", what, v)
		return 0
	}
	return v
}

// skip passes over the payload of a row.
func (d *Decoder) skip() {
	d.state = inBlock
	size := d.size
	switch d.shape {
	case dense:
		d.take(d.block.Width * size)
	case counted:
		for range d.block.Width {
			d.count()
			if d.err != nil {
				return
			}
		}
	default:
		for it := d.entries(); it.next(d); {
			if d.shape == sparseCounted {
				d.count()
			} else {
				d.take(size)
			}
		}
	}
}

func (d *Decoder) take(n int) []byte {
	if n > len(d.rest) {
		_ = d.fail("row of %d bytes where %d are left", n, len(d.rest))
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// count reads a zigzag varint that fits the element type.
func (d *Decoder) count() int64 {
	v := unzigzag(d.uvarint())
	if d.block.Type == Int32 && v != int64(int32(v)) {
		_ = d.fail("count %d of int32", v)
		return 0
	}
	return v
}

// entries iterates over the columns of a sparse row; the value follows each.
type entries struct {
	left uint64
	col  int
}

func (d *Decoder) entries() entries {
	return entries{left: d.bounded(uint64(d.block.Width), "number of entries"), col: -1}
}

func (it *entries) next(d *Decoder) bool {
	if it.left == 0 || d.err != nil {
		return false
	}
	it.left--
	gap := d.uvarint()
	if gap >= uint64(d.block.Width-it.col-1) {
		_ = d.fail("column %d+%d of %d", it.col+1, gap, d.block.Width)
		return false
	}
	it.col += 1 + int(gap)
	return d.err == nil
}
