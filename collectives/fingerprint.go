package collectives

import (
	"encoding/binary"
	stderrors "errors"
	"fmt"
	"hash/fnv"
	"reflect"

	"github.com/sspurn/sspurn/collectives/schedule"
	"github.com/sspurn/sspurn/runtime"
)

// ErrMismatch matches the errors of calls that differ between ranks. Other ranks
// may be in the call already, so that it ends collectives on the communicator, at
// all ranks, as [ErrArgument] does; at a communicator of one rank only the call
// fails. It matches runtime.ErrMismatch, too.
var ErrMismatch = fmt.Errorf("collectives: %w", runtime.ErrMismatch)

// ErrArgument matches the errors of calls with arguments that are wrong by
// themselves, whatever other ranks pass: a root that is no rank, slices or counts
// of the wrong length, an algorithm that does not fit. All ranks get it, and it
// names the one that passed them. It ends collectives on the communicator like
// [ErrMismatch], unless the call was to be prepared, which is local.
var ErrArgument = stderrors.New("collectives: wrong argument")

// ErrAbandoned matches the errors of calls that another rank has given up. It
// matches runtime.ErrAbandoned, too.
var ErrAbandoned = fmt.Errorf("collectives: %w", runtime.ErrAbandoned)

// callError is the end of collectives on a communicator.
type callError struct {
	kind error // ErrMismatch, ErrArgument or ErrAbandoned
	text string
}

func (e *callError) Error() string { return e.kind.Error() + ": " + e.text }
func (e *callError) Unwrap() error { return e.kind }

// fingerprint is what must be the same on all ranks. It is compared with ==.
type fingerprint struct {
	seq       uint64 // calls before this one on the communicator
	verb      schedule.Verb
	elem      reflect.Kind
	inOrder   bool
	started   bool
	algorithm uint8
	root      int32
	count     int64  // elements of the vector, or of a block; with counts, of all blocks
	counts    uint32 // hash of counts that differ by rank, or ownCounts; 0 without
	op        [opName]byte
}

const (
	opName    = 20
	printSize = 48
	// A head is a fingerprint and the length of the data that it announces.
	headSize = printSize + 8
)

// The bits of the flags of a fingerprint.
const (
	flagInOrder = 1 << iota
	flagStarted
)

// ownCounts stands for counts that every rank has of its own, as in Alltoall.
const ownCounts = 1

// hashCounts is the fingerprint of counts.
func hashCounts(counts []int) uint32 {
	h := fnv.New32a()
	var b [8]byte
	for _, n := range counts {
		binary.LittleEndian.PutUint64(b[:], uint64(n))
		_, _ = h.Write(b[:])
	}
	return h.Sum32() | 1
}

func (f *fingerprint) encode(b []byte) {
	_ = b[printSize-1]
	binary.LittleEndian.PutUint64(b, f.seq)
	binary.LittleEndian.PutUint64(b[8:], uint64(f.count))
	binary.LittleEndian.PutUint32(b[16:], uint32(f.root))
	binary.LittleEndian.PutUint32(b[20:], f.counts)
	b[24], b[25], b[26], b[27] = byte(f.verb), byte(f.elem), 0, f.algorithm
	if f.inOrder {
		b[26] |= flagInOrder
	}
	if f.started {
		b[26] |= flagStarted
	}
	copy(b[28:], f.op[:])
}

func (f *fingerprint) decode(b []byte) {
	_ = b[printSize-1]
	f.seq = binary.LittleEndian.Uint64(b)
	f.count = int64(binary.LittleEndian.Uint64(b[8:]))
	f.root = int32(binary.LittleEndian.Uint32(b[16:]))
	f.counts = binary.LittleEndian.Uint32(b[20:])
	f.verb, f.elem, f.algorithm = schedule.Verb(b[24]), reflect.Kind(b[25]), b[27]
	f.inOrder, f.started = b[26]&flagInOrder != 0, b[26]&flagStarted != 0
	copy(f.op[:], b[28:])
}

// String says which call it is, as in "call 7, allreduce of 3 float64 by sum".
func (f *fingerprint) String() string {
	s := fmt.Sprintf("call %d, ", f.seq+1)
	if f.started {
		s += "started "
	}
	s += f.verb.String()
	switch {
	case f.verb == schedule.Barrier:
		return s
	case f.counts == ownCounts:
		s += fmt.Sprintf(" of %v in counted blocks", f.elem)
	case f.counts != 0:
		s += fmt.Sprintf(" of %d %v in counted blocks (%08x)", f.count, f.elem, f.counts)
	default:
		s += fmt.Sprintf(" of %d %v", f.count, f.elem)
	}
	if f.op != [opName]byte{} {
		n := 0
		for n < opName && f.op[n] != 0 {
			n++
		}
		s += " by " + string(f.op[:n])
	}
	if f.inOrder {
		s += " in order"
	}
	if f.root != noRoot || rooted(f.verb) {
		s += fmt.Sprintf(", root %d", f.root)
	}
	return s
}

// rooted reports whether calls of the verb have a root, also where what is given
// as one is noRoot.
func rooted(v schedule.Verb) bool {
	return v == schedule.Bcast || v == schedule.ReduceTo || v == schedule.Gather || v == schedule.Scatter
}

// pair says what two calls are that differ.
func pair(a, b *fingerprint) (string, string) {
	x, y := a.String(), b.String()
	if x == y {
		x += ", algorithm " + schedule.Name(a.verb, int(a.algorithm))
		y += ", algorithm " + schedule.Name(b.verb, int(b.algorithm))
	}
	return x, y
}
