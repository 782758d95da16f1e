// Package wire is the frame format of the mesh: a fixed little-endian header
// followed by a payload. It is pure: bytes in, values out.
package wire

import (
	"encoding/binary"
	stderrors "errors"
)

// HeaderSize is the length of an encoded Header in bytes.
const HeaderSize = 32

// Kind says what a frame is.
type Kind uint8

// The kinds of frames.
const (
	Eager   Kind = iota + 1 // a whole message, sent against credits
	Request                 // announces a large message (rendezvous); no payload; Total is its length
	Clear                   // the receiver of a Request is ready, or has met an Eager with Sync; ID echoes theirs
	Data                    // the payload of a message; ID echoes that of its Request or of the Pull that it met
	Credit                  // returns Credits to the sender; no payload
	Post                    // one-sided message to a port, no answer
	Call                    // one-sided message to a port, ID names the answer's slot
	Reply                   // the answer to a Call; sent against the slot that the Call reserved
	Leave                   // the peer's body has returned; it still serves ports
	Goodbye                 // a peer that leaves in good order has no more to say of its own
	Revoke                  // a peer's job has failed; payload: rank of the culprit, cause; ID is the rank that said so first
	Access                  // operations on a window, see Op; Context is the window
	Put                     // a long put: ID is the offset in bytes, the payload goes straight into the window
	Answer                  // what an Access or Put wanted to know; ID counts the peer's frames of these kinds up to there
	Left                    // what rank ID, maybe not connected with the receiver, says as it leaves; passed on along transport.InTree
	Pull                    // asks for a message of a context and tag, of Length bytes; ID is of the asking peer's choice, with PullID; no payload
	kindEnd
)

// Flags. CreditPorts and CreditSpaces go with any kind, both together for the
// window of notifications, the others with the kind named.
const (
	CreditPorts  uint8 = 1 << 7 // Credits belong to the ports' window, not to that of the messages
	CreditSpaces uint8 = 1 << 6 // Credits belong to the window of the private spaces
	ToPort       uint8 = 1 << 0 // Request: for a port; Context and Tag are its key
	WantReply    uint8 = 1 << 1 // Request with ToPort: a Call, ID names the answer's slot
	Refuse       uint8 = 1 << 0 // Clear: the payload is not wanted
	Sync         uint8 = 1 << 0 // Eager: to be answered with a Clear of its ID when a receive has met it
	PortClosed   uint8 = 1 << 0 // Reply: nobody serves the port any more
	WantAnswer   uint8 = 1 << 0 // Access, Put: an Answer is to say that it is done
	WindowClosed uint8 = 1 << 0 // Answer: the window is not open any more
	Parted       uint8 = 1 << 0 // Left: a Goodbye, and not a Leave
	Unlike       uint8 = 1 << 0 // Data: the message is not what the Pull asks for: Elem and Length are its own, and no payload follows
	Gone         uint8 = 1 << 1 // Data: the communicator of the Pull is closed; no payload follows
	Granted      uint8 = 1 << 1 // Answer: to a request for a lock, whose number is the ID
)

// CreditNotes says that Credits belong to the window of notifications.
const CreditNotes = CreditPorts | CreditSpaces

// PullID is set in the IDs of Pulls, to tell them from those of Requests.
const PullID = 1 << 63

// Header describes one frame. The layout is 32 bytes, little-endian:
//
//	0 kind, 1 flags, 2 elem, 3 zero, 4 context, 8 tag, 12 credits, 16 id, 24 length
type Header struct {
	Kind    Kind
	Flags   uint8  // by kind
	Elem    uint8  // element type of a typed message; 0 unknown
	Context uint32 // communicator and space, or port
	Tag     uint32
	Credits uint32 // bytes of credit returned to the peer, with any frame
	ID      uint64
	Length  uint64 // bytes of payload in this frame; for Request, Pull and Data with Unlike, of the message
}

// Errors of Decode.
var (
	ErrShort = stderrors.New("wire: short header")
	ErrKind  = stderrors.New("wire: unknown frame kind")
	ErrSize  = stderrors.New("wire: frame larger than the limit")
)

// Payload is the number of payload bytes that follow the header in the stream.
func (h *Header) Payload() int {
	switch {
	case h.Kind == Request, h.Kind == Pull, h.Kind == Data && h.Flags&(Unlike|Gone) != 0:
		return 0
	}
	return int(h.Length)
}

// Encode writes h to the first HeaderSize bytes of b.
func (h *Header) Encode(b []byte) {
	_ = b[HeaderSize-1]
	b[0], b[1], b[2], b[3] = byte(h.Kind), h.Flags, h.Elem, 0
	binary.LittleEndian.PutUint32(b[4:], h.Context)
	binary.LittleEndian.PutUint32(b[8:], h.Tag)
	binary.LittleEndian.PutUint32(b[12:], h.Credits)
	binary.LittleEndian.PutUint64(b[16:], h.ID)
	binary.LittleEndian.PutUint64(b[24:], h.Length)
}

// Decode reads a header from b and checks its kind and its length against max bytes.
func (h *Header) Decode(b []byte, max uint64) error {
	if len(b) < HeaderSize {
		return ErrShort
	}
	h.Kind, h.Flags, h.Elem = Kind(b[0]), b[1], b[2]
	h.Context = binary.LittleEndian.Uint32(b[4:])
	h.Tag = binary.LittleEndian.Uint32(b[8:])
	h.Credits = binary.LittleEndian.Uint32(b[12:])
	h.ID = binary.LittleEndian.Uint64(b[16:])
	h.Length = binary.LittleEndian.Uint64(b[24:])
	if h.Kind == 0 || h.Kind >= kindEnd {
		return ErrKind
	}
	if h.Length > max {
		return ErrSize
	}
	return nil
}
