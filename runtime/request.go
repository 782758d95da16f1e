package runtime

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sspurn/sspurn/runtime/internal/match"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Tag tells messages of one sender and communicator apart.
type Tag uint32

// Wildcards of Recv, Irecv and Probe.
const (
	AnyTag    Tag = Tag(match.AnyTag) // also the one tag that can not be sent
	AnySource     = match.AnySource
)

// NoRank is nobody: a send to it ends at once, a receive or a probe too, with a
// Status of Source NoRank, Tag AnyTag and no elements. So a program with
// neighbours needs no cases at its borders.
const NoRank = -2

// Status describes a message.
type Status struct {
	Source int // rank in the communicator
	Tag    Tag
	Count  int // elements
	Bytes  int
}

type opKind uint8

const (
	opSend opKind = iota
	opRecv
	opProbe
	opMatch
	opPost
	opCall
	opLeave
	opAccess // to a window
)

// phase is what has hold of a request that has not ended.
type phase uint8

const (
	idle phase = iota
	// Requests that send.
	queued    // waits for credits in the peer's queue
	announced // waits for the peer's Clear, in engine.sends
	delivered // all of it has left; waits for the peer's Clear, in engine.sends
	offered   // waits for the peer's Pull, in peer.offers
	leaving   // the transport refers to the payload
	calling   // a call that waits for its reply, in engine.calls
	// Requests that receive.
	posted   // waits in the queues of its context
	claimed  // got a message whose payload is still arriving in the message's buffer
	cleared  // got a large message whose payload has not begun, or pulls one, in peer.inbound
	arriving // the payload is arriving in the request's buffer
	// Requests about windows.
	accessing // waits for an answer, in stream.waiters
	locking   // waits for a lock, in engine.locks
	awaiting  // waits for a notification, in region.notes
	watching  // waits for a change of the own memory, in region.watch
)

// room is where a receive wants its message.
type room struct {
	elem  uint8
	buf   []byte
	limit int                // the longest message in bytes
	parts [][]byte           // when set, buf is made and its content spread over them by result
	alloc func(n int) []byte // when set, makes buf
}

// Request is a started operation. It is waited for by one goroutine at a time;
// to wait again for one that has ended repeats its status and error.
type Request struct {
	e         *engine
	group     *group
	prepared  bool        // may be started again
	firstKind wire.Kind   // of the first frame of one that sends and is prepared
	done      atomic.Bool // set last, under engine.mu

	// All below is guarded by engine.mu until done.
	waiter   *waiter
	kind     opKind
	phase    phase
	peer     int           // place in the job; AnySource
	op       func() string // names the call of a library that it belongs to; may be nil
	port     string        // of one to a port
	err      error
	status   Status
	prev     *Request // neighbours in group.pending
	next     *Request
	prevSend *Request // in a queue for credits
	nextSend *Request

	// Sending.
	head    wire.Header // of a receive: ID is that of the large message it has met; of one that pulls: the Pull
	payload [][]byte
	flight  sending // that is told by the transport
	reply   []byte  // of a call
	replied bool

	// Receiving.
	context uint32
	entry   match.Entry[*Request]
	room
	message *message // claimed, or what a Match got
	landing arrival  // in peer.inbound while cleared

	// About windows.
	verb    string // for errors
	asleep  bool   // counted in region.asleep
	region  *region
	until   uint64            // accessing: the frame to be answered; locking: the number of the request
	results int               // bytes that the answer has for buf or into
	into    [][]byte          // several places of results; nil: buf
	small   [wire.OpSize]byte // result of one element, or an operation whose data follows
	note    Note
	test    func() bool // watching
}

// waiter is what a goroutine parks on. It is signalled under engine.mu.
type waiter struct {
	ch chan struct{}

	// Of a waitList, guarded by engine.mu.
	since      time.Time
	requests   []*Request
	prev, next *waiter
}

// String says what the request does, for errors.
func (r *Request) String() string {
	on := ""
	if r.group != nil {
		on = " on " + r.group.name
	}
	peer := "any rank"
	if r.peer >= 0 {
		peer = "rank " + strconv.Itoa(r.peer)
		if r.group != nil {
			peer = "rank " + strconv.Itoa(r.group.place(r.peer))
		}
	}
	switch r.kind {
	case opSend:
		return "send to " + peer + on
	case opRecv:
		return "recv from " + peer + on
	case opProbe:
		return "probe " + peer + on
	case opMatch:
		return "match from " + peer + on
	case opPost:
		return "post to " + peer + on
	case opCall:
		return "call " + peer + on
	case opAccess:
		return r.verb + peer + on
	default:
		return "leave"
	}
}

// Wait waits until the operation has ended, and returns its status and error.
// When ctx ends first the operation is cancelled and the error matches the
// context's cause. A receive that no message has met is taken back, as if it
// had not been; of one that has been met the message is lost: then the error
// matches ErrDropped too, and the status describes the message. A send may or
// may not arrive.
func (r *Request) Wait(ctx context.Context) (Status, error) {
	if !r.done.Load() {
		r.e.await(ctx, r)
	}
	return r.result()
}

// result is what a request that has ended has come to.
func (r *Request) result() (Status, error) {
	if r.parts != nil && r.buf != nil && r.err == nil {
		rest := r.buf[:r.status.Bytes]
		for _, p := range r.parts {
			rest = rest[copy(p, rest):]
		}
		r.buf = nil
	}
	return r.status, r.err
}

// Test reports whether the operation has ended, without blocking, and if so
// its status and error.
func (r *Request) Test() (Status, bool, error) {
	if !r.done.Load() {
		r.e.visit(r.peer)
		if !r.done.Load() {
			return Status{}, false, nil
		}
	}
	st, err := r.result()
	return st, true, err
}

// failed returns a request that has ended with err.
func failed(kind opKind, g *group, peer int, err error) *Request {
	r := &Request{group: g, kind: kind, peer: peer}
	r.err = during(r.String(), err)
	r.done.Store(true)
	return r
}

// nobody returns a request with NoRank, which has ended.
func nobody(kind opKind) *Request {
	r := &Request{kind: kind, peer: NoRank}
	if kind != opSend {
		r.status = noMessage
	}
	r.done.Store(true)
	return r
}

// noMessage is what comes from NoRank.
var noMessage = Status{Source: NoRank, Tag: AnyTag}
