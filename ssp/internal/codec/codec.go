// Package codec is the wire format of the parameter store: update batches, row
// requests, rows (answers and pushes) and acknowledgements. It is pure: bytes
// in, values out.
//
// A message is a header and blocks, one block a table and a run of increasing
// rows. Encoding appends to the caller's buffer; decoding walks the message in
// place and hands each row to the caller's memory, so that neither makes an
// object a row. No input makes a decoder allocate: it has no counts to trust,
// rows and blocks end by a mark. [Open] allocates what a compressed message
// unfolds to, up to the caller's limit.
//
// Layout, integers as unsigned varints unless said otherwise:
//
//	message  kind byte, flags byte, rank, incarnation, version, clock, epoch, branch, id, last, block..., 0
//	block    table+1, coding byte (low half: element type, high half: value coding, 0 = full width), width, age, row..., 0
//	row      (gap<<3 | aged<<2 | shape), age when aged, payload; gap = row - the row before (-1 at first)
//
// and the payload by shape: dense, width little-endian values; counted, width
// zigzag varints; sparse, the number of entries and for each the columns
// skipped and a little-endian value; sparse counted, the same with zigzag
// varints. Rows of a request and of an order have no payload: those of an order are ranks.
//
// A message whose kind byte has its high bit set holds an s2 block of everything
// behind that byte.
package codec

import (
	stderrors "errors"
	"math"
)

// ErrMalformed matches every error about a message that no encoder wrote.
var ErrMalformed = stderrors.New("codec: malformed message")

// Elem is the set of element types of tables.
type Elem interface {
	float32 | float64 | int32 | int64
}

// Type names an element type on the wire.
type Type uint8

// The element types.
const (
	Float32 Type = iota + 1
	Float64
	Int32
	Int64
	typeEnd
)

// TypeOf returns the name of T.
func TypeOf[T Elem]() Type {
	var z T
	switch any(z).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case int32:
		return Int32
	}
	return Int64
}

// Size returns the bytes of an element.
func (t Type) Size() int {
	if t == Float32 || t == Int32 {
		return 4
	}
	return 8
}

// String returns the Go name of the type.
func (t Type) String() string {
	switch t {
	case Float32:
		return "float32"
	case Float64:
		return "float64"
	case Int32:
		return "int32"
	case Int64:
		return "int64"
	}
	return "invalid"
}

func (t Type) integer() bool { return t >= Int32 }

// Kind says what a message is.
type Kind uint8

// The kinds of messages.
const (
	Batch   Kind = iota + 1 // updates of one sender for one owner
	Request                 // rows wanted, with the age they must have
	Rows                    // rows of an owner: the answer to a Request, or a push
	Ack                     // batches applied and the owner's clock, no rows
	Order                   // of the rank that decides: who is freed, or who makes up a clock
	Report                  // what the updates of a clock show: bits of floats in Version and ID, how many ranks in Last
	kindEnd
)

// names: rows have no payload.
func (k Kind) names() bool { return k == Request || k == Order }

// Flags qualify a message.
type Flags uint8

// The flags.
const (
	Ticks     Flags = 1 << iota // Batch: Clock is announced; without it the batch does not tick
	Subscribe                   // Request: push these rows from now on
	Push                        // Rows: sent unasked
	More                        // Request: these rows and those behind them, as many as fit; Rows: there are more
	Parked                      // Rows: the answer had to wait for the owner's clock
	flagsEnd
)

// Forever is the clock of a rank that holds nobody back.
const Forever int64 = math.MaxInt64

// Header opens a message. All fields travel whatever the kind; those that do
// not apply are zero and cost a byte.
type Header struct {
	Kind        Kind
	Flags       Flags
	Rank        int    // who sends the message, in [0, 1<<31)
	Incarnation uint32 // which life of that rank
	Version     uint64 // Batch: its number from this sender to this owner; Rows, Ack: the last batch of the receiver that is applied
	Clock       int64  // Batch with Ticks, Rows, Ack: the clock announced, not negative; Forever for a rank without workers
	Epoch       uint32 // of the member set the clock is meant for
	Branch      uint32 // Batch, Order: the term of a change of who counts; 0: none; Rows with Push: how many batches beyond Version its rows have
	ID          uint64 // Rows: how many batches the owner had applied, which orders copies of a row; Batch: microseconds that the iteration took
	Last        int    // in [0, 1<<31); Rows: 1 + the rank whose batch made the owner's clock what it is, 0: none; with Branch: 1 + the subject of the change
}

// Block opens the rows of one table.
type Block struct {
	Table uint32
	Type  Type
	Width int   // elements a row
	Bits  Bits  // how values travel, where rows fit: float types only; not for requests
	Age   int64 // Request: the age wanted; Rows: the age of rows that state none of their own; not negative
}

// MaxWidth is the largest width of a row that travels.
const MaxWidth = 1 << 27

type shape uint8

const (
	dense shape = iota
	sparse
	counted
	sparseCounted
)
