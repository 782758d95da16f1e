//go:build linux && !portable

package shm

import (
	"encoding/binary"
	stderrors "errors"
	"sync/atomic"
	"unsafe"
)

// lines are what the two ends of a ring tell each other beside its chunks.
// Each end has a cache line that it alone writes.
type lines struct {
	closed atomic.Uint32 // the sender is gone: it neither sends nor receives any more
	want   atomic.Uint32 // the sender waits for room
	tail   atomic.Uint64 // then: where its next chunk begins
	_      [48]byte
	head   atomic.Uint64 // where the receiver looks for the next chunk
	_      [56]byte
}

// A chunk begins at a multiple of align: its mark, its length and the offset of
// its bytes, and the bytes. Those of a long one begin at a cache line, which
// makes copies quicker; a short frame fits in one with all the rest.
const (
	align     = 64
	nearBytes = 16
	farBytes  = align
	longChunk = 1 << 10
	longest   = 32 << 10 // bytes of a chunk: more would keep the receiver waiting
)

// Errors of a peer that breaks the rules.
var (
	errChunk = stderrors.New("shared memory: a chunk that does not fit in its ring")
	errHead  = stderrors.New("shared memory: bytes taken that were not there")
)

// ring is what both ends know: the memory, whose length is a power of two, and
// the number that makes marks differ from all that a sender may pass on.
type ring struct {
	*lines
	data []byte
	key  uint64
}

// word is a word of the memory.
func (r *ring) word(at uint64) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&r.data[at]))
}

// offset is where a position lies in the memory: where a chunk may begin, also
// when a peer has spoilt the position.
func (r *ring) offset(position uint64) uint64 { return position & uint64(len(r.data)-align) }

// mark is what the first word of a chunk at a position is, and nothing else
// there: not what an earlier round has left, whose position was another one.
func (r *ring) mark(position uint64) uint64 { return r.key ^ (position + 1) }

// begun reports whether a chunk is at a position.
func (r *ring) begun(position uint64) bool {
	return r.word(r.offset(position)).Load() == r.mark(position)
}

// sender is the end of a ring that writes.
type sender struct {
	ring
	next  uint64 // position of the next chunk
	taken uint64 // head as seen last
	begin uint64 // offset of the bytes in the next chunk
}

// space returns memory for a chunk of up to n bytes, at most the longest and
// less where the ring ends or is full; then it may be empty. What is written
// there leaves by publish.
func (s *sender) space(n int) ([]byte, error) {
	size := uint64(len(s.data))
	n = min(n, longest)
	begin := uint64(nearBytes)
	if n >= longChunk {
		begin = farBytes
	}
	free := size - (s.next - s.taken)
	if free < begin+uint64(n) {
		head := s.head.Load()
		if head-s.taken > s.next-s.taken || head%align != 0 {
			return nil, errHead
		}
		s.taken = head
		free = size - (s.next - head)
	}
	at := s.offset(s.next)
	free = min(free, size-at)
	switch {
	case free < align:
		return nil, nil
	case free == align:
		begin = nearBytes
	}
	s.begin = begin
	return s.data[at+begin : at+min(free, begin+uint64(n))], nil
}

// publish lets the receiver see the n bytes that space has returned.
func (s *sender) publish(n int) {
	at := s.offset(s.next)
	binary.NativeEndian.PutUint64(s.data[at+8:], uint64(n)<<8|s.begin)
	s.word(at).Store(s.mark(s.next))
	s.next += (s.begin + uint64(n) + align - 1) &^ (align - 1)
}

// receiver is the end of a ring that reads.
type receiver struct {
	ring
	at   uint64 // position of the next chunk
	past uint64 // and of the one after it, once that is known
}

// peek returns the bytes of the next chunk, and none when it has not come. They
// are valid until release.
func (r *receiver) peek() ([]byte, error) {
	at := r.offset(r.at)
	if r.word(at).Load() != r.mark(r.at) {
		return nil, nil
	}
	n := r.word(at + 8).Load()
	begin := n & 0xff
	n >>= 8
	if begin != nearBytes && begin != farBytes || n == 0 || n > uint64(len(r.data))-at-begin {
		return nil, errChunk
	}
	r.past = r.at + (begin+n+align-1)&^(align-1)
	return r.data[at+begin : at+begin+n], nil
}

// release gives back the chunk that peek has returned and reports whether the
// sender waits for room.
func (r *receiver) release() bool {
	r.at = r.past
	r.head.Store(r.at)
	return r.want.Load() != 0
}

// ended reports whether nothing is there and nothing more will come.
func (r *receiver) ended() bool { return r.closed.Load() != 0 && !r.begun(r.at) }
