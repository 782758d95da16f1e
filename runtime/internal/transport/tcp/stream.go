package tcp

import (
	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// stream cuts what arrives from one peer into frames and fills the memory that
// the receiver gives for their payloads.
type stream struct {
	peer  int
	inner bool                  // inside a frame, its header complete
	have  int                   // bytes of a header that came in parts
	rest  int                   // bytes of the frame's payload still to come
	dst   []byte                // where they go; nil when they are thrown away
	h     wire.Header           // of the frame
	part  [wire.HeaderSize]byte // first have bytes of a header
}

// feed takes all of b, calling recv for every frame that begins or ends in it.
// An error, of the header or of the receiver, ends the stream for good.
func (s *stream) feed(recv transport.Receiver, limit uint64, b []byte) error {
	for {
		if !s.inner {
			head := b
			if s.have > 0 || len(b) < wire.HeaderSize {
				n := copy(s.part[s.have:], b)
				s.have += n
				b = b[n:]
				if s.have < wire.HeaderSize {
					return nil
				}
				s.have = 0
				head = s.part[:]
			} else {
				b = b[wire.HeaderSize:]
			}
			if err := s.h.Decode(head, limit); err != nil {
				return err
			}
			dst, err := recv.Begin(s.peer, &s.h)
			if err != nil {
				return err
			}
			s.rest = s.h.Payload()
			if dst != nil && len(dst) != s.rest {
				panic("tcp: receiver gave memory of another length than the payload's")
			}
			s.dst = dst
			s.inner = true
		}
		n := min(len(b), s.rest)
		if s.dst != nil {
			copy(s.dst, b[:n])
		}
		s.advance(recv, n)
		b = b[n:]
		if s.inner || len(b) == 0 {
			return nil
		}
	}
}

// advance counts n bytes of payload as arrived in dst and ends the frame when
// it is complete.
func (s *stream) advance(recv transport.Receiver, n int) {
	if s.dst != nil {
		s.dst = s.dst[n:]
	}
	s.rest -= n
	if s.rest == 0 {
		s.dst, s.inner = nil, false
		recv.End(s.peer, &s.h)
	}
}
