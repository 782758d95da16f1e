package wire

import (
	"encoding/binary"
	stderrors "errors"
)

// OpSize is the length of an encoded Op in bytes, without its data.
const OpSize = 24

// OpKind says what an operation on a window does.
type OpKind uint8

// The kinds of operations.
const (
	OpPut        OpKind = iota + 1 // data replaces what is in the window
	OpGet                          // the answer is what is in the window
	OpAccumulate                   // data is combined with what is in the window
	OpFetch                        // OpAccumulate; the answer is what was there before
	OpSwap                         // data is two elements: if the first is there, the second takes its place; the answer is what was there
	OpNotify                       // tells the target that all before it is done; Tag
	OpLock                         // asks for the lock; Offset is the number of the request
	OpUnlock                       // gives the lock back, or the request up; Offset is its number
	opEnd
)

// Op is one operation of an Access frame. A frame is a sequence of operations,
// each 24 bytes, little-endian, and its data, padded to a multiple of 8 bytes:
//
//	0 kind, 1 how, 2 zero, 4 tag, 8 offset, 16 length
//
// All data is aligned as the frame is, so that elements can be used in place.
type Op struct {
	Kind   OpKind
	How    uint8  // OpAccumulate, OpFetch: the accumulator; OpLock: 1 for a shared lock
	Tag    uint32 // OpNotify
	Offset uint64 // in the window, in bytes
	Length uint64 // in the window, in bytes
}

// ErrOp is the error of an operation that is cut short or not known.
var ErrOp = stderrors.New("wire: malformed operation on a window")

// AppendOp appends an operation and its data, whose length must be Data(); or
// none, when it follows by other means.
func AppendOp(b []byte, op *Op, data ...[]byte) []byte {
	var head [OpSize]byte
	head[0], head[1] = byte(op.Kind), op.How
	binary.LittleEndian.PutUint32(head[4:], op.Tag)
	binary.LittleEndian.PutUint64(head[8:], op.Offset)
	binary.LittleEndian.PutUint64(head[16:], op.Length)
	b = append(b, head[:]...)
	n := 0
	for _, d := range data {
		b = append(b, d...)
		n += len(d)
	}
	if n &= 7; n != 0 {
		var zero [8]byte
		b = append(b, zero[n:]...)
	}
	return b
}

// Data is how many bytes of data follow the operation, without the padding.
func (op *Op) Data() uint64 {
	switch op.Kind {
	case OpPut, OpAccumulate, OpFetch:
		return op.Length
	case OpSwap:
		return 2 * op.Length
	}
	return 0
}

// Size is how many bytes the operation takes in a frame.
func (op *Op) Size() int { return OpSize + int(op.Data()+7)&^7 }

// Result is how many bytes of the answer are the operation's.
func (op *Op) Result() uint64 {
	switch op.Kind {
	case OpGet, OpFetch, OpSwap:
		return op.Length
	}
	return 0
}

// Decode reads the operation that b begins with, and returns its data and what
// follows.
func (op *Op) Decode(b []byte) (data, rest []byte, err error) {
	if len(b) < OpSize {
		return nil, nil, ErrOp
	}
	op.Kind, op.How = OpKind(b[0]), b[1]
	op.Tag = binary.LittleEndian.Uint32(b[4:])
	op.Offset = binary.LittleEndian.Uint64(b[8:])
	op.Length = binary.LittleEndian.Uint64(b[16:])
	b = b[OpSize:]
	if op.Kind == 0 || op.Kind >= opEnd || op.Length > 1<<62 {
		return nil, nil, ErrOp
	}
	n := op.Data()
	if padded := (n + 7) &^ 7; padded > uint64(len(b)) {
		return nil, nil, ErrOp
	}
	return b[:n:n], b[(n+7)&^7:], nil
}
