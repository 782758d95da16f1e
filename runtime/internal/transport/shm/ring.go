//go:build linux && !portable

package shm

import (
	stderrors "errors"
	"sync/atomic"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// lines are what the two ends of a ring tell each other. Each end has a cache
// line that it alone writes.
type lines struct {
	tail   atomic.Uint64 // bytes that the sender has published
	closed atomic.Uint32 // the sender is gone: it neither sends nor receives any more
	want   atomic.Uint32 // the sender waits for room
	_      [48]byte
	head   atomic.Uint64 // bytes that the receiver has taken
	_      [56]byte
}

// Errors of a peer that breaks the rules.
var (
	errTail = stderrors.New("shared memory: more bytes published than a ring holds")
	errHead = stderrors.New("shared memory: bytes taken that were not there")
)

// sender is the end of a ring that writes. The length of data is a power of two.
type sender struct {
	*lines
	data  []byte
	next  uint64 // position of the next byte; from shown on not published
	shown uint64
	taken uint64 // head as seen last
}

// room returns how many bytes can be written, after a look at the other end
// only when there are fewer than n.
func (s *sender) room(n int) (int, error) {
	size := uint64(len(s.data))
	if free := size - (s.next - s.taken); free >= uint64(n) {
		return int(free), nil
	}
	head := s.head.Load()
	if head-s.taken > s.next-s.taken {
		return 0, errHead
	}
	s.taken = head
	return int(size - (s.next - head)), nil
}

// header writes h, for which there is room.
func (s *sender) header(h *wire.Header) {
	at := s.next & uint64(len(s.data)-1)
	if b := s.data[at:]; len(b) >= wire.HeaderSize {
		h.Encode(b)
		s.next += wire.HeaderSize
		return
	}
	var b [wire.HeaderSize]byte
	h.Encode(b[:])
	s.write(b[:])
}

// write copies b, for which there is room. Long ones are published in pieces,
// so that the receiver copies one while the next comes.
func (s *sender) write(b []byte) {
	for len(b) > 0 {
		at := s.next & uint64(len(s.data)-1)
		n := copy(s.data[at:], b[:min(len(b), piece(len(s.data)))])
		b = b[n:]
		s.next += uint64(n)
		if len(b) > 0 {
			s.publish()
		}
	}
}

// publish lets the receiver see what has been written, and reports whether
// there was anything.
func (s *sender) publish() bool {
	if s.shown == s.next {
		return false
	}
	s.shown = s.next
	s.tail.Store(s.next)
	return true
}

// receiver is the end of a ring that reads.
type receiver struct {
	*lines
	data []byte
	at   uint64 // position of the next byte
}

// peek returns some of the bytes that have come, and none when there are none.
// They are valid until release.
func (r *receiver) peek() ([]byte, error) {
	n := r.tail.Load() - r.at
	if n == 0 {
		return nil, nil
	}
	if n > uint64(len(r.data)) {
		return nil, errTail
	}
	at := r.at & uint64(len(r.data)-1)
	return r.data[at:min(at+n, at+uint64(piece(len(r.data))), uint64(len(r.data)))], nil
}

// release gives n bytes back and reports whether the sender waits for them.
func (r *receiver) release(n int) bool {
	r.at += uint64(n)
	r.head.Store(r.at)
	return r.want.Load() != 0
}

// ended reports whether nothing is there and nothing more will come.
func (r *receiver) ended() bool { return r.closed.Load() != 0 && r.tail.Load() == r.at }

// piece is how many bytes change hands at a time.
func piece(ring int) int { return ring / 8 }
