// Package frames is what transports over streams of bytes share: it cuts what
// comes into frames, and holds the frames that could not leave yet.
package frames

import (
	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Stream cuts what arrives from one peer into frames and fills the memory that
// the receiver gives for their payloads.
type Stream struct {
	Peer  int
	inner bool                  // inside a frame, its header complete
	have  int                   // bytes of a header that came in parts
	rest  int                   // bytes of the frame's payload still to come
	dst   []byte                // where they go; nil when they are thrown away
	h     wire.Header           // of the frame
	part  [wire.HeaderSize]byte // first have bytes of a header
}

// Feed takes all of b, calling recv for every frame that begins or ends in it.
// An error, of the header or of the receiver, ends the stream for good.
func (s *Stream) Feed(recv transport.Receiver, limit uint64, b []byte) error {
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
			dst, err := recv.Begin(s.Peer, &s.h)
			if err != nil {
				return err
			}
			s.rest = s.h.Payload()
			if dst != nil && len(dst) != s.rest {
				panic("frames: receiver gave memory of another length than the payload's")
			}
			s.dst = dst
			s.inner = true
		}
		n := min(len(b), s.rest)
		if s.dst != nil {
			copy(s.dst, b[:n])
		}
		s.Advance(recv, n)
		b = b[n:]
		if s.inner || len(b) == 0 {
			return nil
		}
	}
}

// Advance counts n bytes of payload as arrived in dst and ends the frame when
// it is complete.
func (s *Stream) Advance(recv transport.Receiver, n int) {
	if s.dst != nil {
		s.dst = s.dst[n:]
	}
	s.rest -= n
	if s.rest == 0 {
		s.dst, s.inner = nil, false
		recv.End(s.Peer, &s.h)
	}
}

// Rest is the memory for the payload that is arriving, as far as it has yet to
// be filled; nil when there is none, or the payload is thrown away.
func (s *Stream) Rest() []byte { return s.dst }

// Discard throws away the rest of the payload that is arriving.
func (s *Stream) Discard() { s.dst = nil }
