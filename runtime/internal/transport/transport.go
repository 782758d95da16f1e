// Package transport is the contract between the progress engine of a rank and
// whatever moves its frames: sockets (tcp), rings in memory that the ranks of a
// host share (shm), queues in one process (mem).
//
// The engine has one lock. Every method of a Transport but Wait and Wake is
// called with it held, and every method of a Receiver is called by the
// transport from inside Poll, so neither side needs locks of its own for the
// state they share. A Receiver may call Send, Discard and Detach from there. A
// transport never calls a Receiver from inside those: a send that meets a dead
// peer remembers it and reports it at the next Poll.
package transport

import (
	"time"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Receiver is the engine's side: where arriving frames go.
type Receiver interface {
	// Begin announces the next frame of a peer, its header complete and
	// checked. It returns the memory for the payload, exactly h.Payload()
	// bytes, or nil when there is none or it is to be thrown away. The
	// transport fills it and then calls End. h is valid until End returns.
	// An error condemns the peer: the transport closes it and calls Lost.
	Begin(peer int, h *wire.Header) ([]byte, error)
	// End says that the payload of the frame announced last is complete.
	End(peer int, h *wire.Header)
	// Lost says that nothing more will come from the peer or reach it. It is
	// called once for a peer; a frame that was begun will not end. The
	// transport calls it for a plain end of stream too: only the engine knows
	// whether a Goodbye came first.
	Lost(peer int, err error)
}

// Expecter is a Receiver that knows what is about to come.
type Expecter interface {
	// Expects reports whether a long payload is: what is read beyond the next
	// header would only have to be copied. Called with the engine's lock.
	Expects(peer int) bool
}

// Joiner is a Receiver that wants to know when a peer that was not connected is.
type Joiner interface {
	// Joined says that a connection on first use is there, whichever of the two
	// asked for it. What was sent to the peer before leaves first.
	Joined(peer int)
	// Failed says that this rank can not connect any more, for want of
	// descriptors, say: no peer is to blame.
	Failed(err error)
}

// Completion is told when the payload of a frame is no longer needed.
type Completion interface {
	// Sent is called from inside Poll, once. err is not nil when the peer was
	// lost before everything had left.
	Sent(err error)
}

// Link is how far the way between two ranks is.
type Link uint8

// Values of Link.
const (
	Unlinked Link = iota // there is none, and nobody has asked for one
	Linking              // it is being made: what this rank sends waits for it
	Linked               // it is there
)

// Transport moves frames between this rank and its peers, in order for each
// peer, each exactly once, or declares the peer lost.
type Transport interface {
	// Send hands over a frame. h.Length must equal the payload's total length
	// (wire.Request: the announced length, no payload). Send never blocks.
	//
	// With a nil done the payload is the caller's again on return: what could
	// not leave at once has been copied. With a done, the transport may keep
	// references to the payload; when Send returns true all has left already
	// and done is never called, otherwise done.Sent is called later.
	// Frames to a lost peer vanish (Send returns true).
	Send(peer int, h *wire.Header, payload [][]byte, done Completion) bool
	// Discard says that the memory Begin gave for the unfinished frame of peer
	// must not be written any more: the rest of the payload is thrown away.
	// End still comes. Without an unfinished frame it does nothing.
	Discard(peer int)
	// Detach says that the caller wants back the payload it handed over with
	// done (compared by identity): what has not left yet is copied, and done is
	// not called any more.
	Detach(peer int, done Completion)
	// Poll makes what progress is possible without blocking and reports
	// whether there was any. hint is the peer whose frame is awaited, or -1.
	Poll(hint int) bool
	// Wait blocks, without the engine's lock, until Poll may make progress,
	// Wake is called, or d has passed (negative: for ever). Only one goroutine
	// may be in Wait. A Wake that comes between two Waits ends the second.
	Wait(d time.Duration)
	// Wake ends the current or the next Wait. Callable from anywhere.
	Wake()
	// PollBudget is how long a caller should poll before it parks; zero for
	// transports whose progress comes from other goroutines.
	PollBudget() time.Duration
	// Polls is how often a caller who waits for hint polls before it lets
	// another thread have its core; at least one. More is right where a Poll
	// costs much less than that.
	Polls(hint int) int
	// Pending reports whether frames handed to Send have not yet left; they have
	// not while there is no connection.
	Pending() bool
	// Link says whether there is a way to a peer and back. It is Linked for all
	// peers but lost ones where transports do not connect on first use.
	Link(peer int) Link
	// Bytes returns the payload and header bytes sent and received so far.
	Bytes() (sent, received uint64)
	// Close drops all connections. Frames not yet sent are lost: an engine
	// that wants them delivered polls until Pending is false first.
	Close() error
}
