package runtime

import (
	"context"
	"strconv"
	"sync/atomic"

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
	opPost
	opCall
	opLeave
)

// phase is what has hold of a request that has not ended.
type phase uint8

const (
	idle phase = iota
	// Requests that send.
	queued    // waits for credits in the peer's queue
	announced // waits for the peer's Clear, in engine.sends
	leaving   // the transport refers to the payload
	calling   // a call that waits for its reply, in engine.calls
	// Requests that receive.
	posted   // waits in the queues of its context
	claimed  // got a message whose payload is still arriving in the message's buffer
	cleared  // got a large message whose payload has not begun, in peer.inbound
	arriving // the payload is arriving in the request's buffer
)

// Request is a started operation. It is waited for once, by one goroutine at a
// time.
type Request struct {
	e     *engine
	group *group
	done  atomic.Bool // set last, under engine.mu

	// All below is guarded by engine.mu until done.
	waiter   *waiter
	kind     opKind
	phase    phase
	peer     int // place in the job; AnySource
	err      error
	status   Status
	prev     *Request // neighbours in group.pending
	next     *Request
	prevSend *Request // in a queue for credits
	nextSend *Request

	// Sending.
	head    wire.Header // of a receive: ID is that of the large message it has met
	payload [][]byte
	flight  sending // that is told by the transport
	reply   []byte  // of a call
	replied bool

	// Receiving.
	context uint32
	entry   match.Entry[*Request]
	elem    uint8
	buf     []byte
	limit   int // when positive, buf is allocated, up to this size
	message *message
}

// waiter is what a goroutine parks on. It is signalled under engine.mu.
type waiter struct{ ch chan struct{} }

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
	case opPost:
		return "post to " + peer + on
	case opCall:
		return "call " + peer + on
	default:
		return "leave"
	}
}

// Wait waits until the operation has ended, and returns its status and error.
// When ctx ends first the operation is cancelled and the context's cause
// returned: a receive that no message has met is taken back, of one that has
// been met the message is lost; a send may or may not arrive.
func (r *Request) Wait(ctx context.Context) (Status, error) {
	if r.e != nil {
		r.e.await(ctx, r)
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
	return r.status, true, r.err
}

// WaitAll waits for all requests and returns the first error, by position.
// When ctx ends, those that have not ended are cancelled as in Wait.
func WaitAll(ctx context.Context, rs ...*Request) error {
	var first error
	for _, r := range rs {
		if _, err := r.Wait(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// WaitAny waits until one of the requests has ended and returns its index,
// status and error. The index is −1 when rs is empty or ctx ended first: then
// none is cancelled and all may be waited for again.
func WaitAny(ctx context.Context, rs ...*Request) (int, Status, error) {
	if len(rs) == 0 {
		return -1, Status{}, nil
	}
	i := firstDone(rs)
	if i < 0 {
		if i = rs[0].e.awaitAny(ctx, rs); i < 0 {
			return -1, Status{}, context.Cause(ctx)
		}
	}
	return i, rs[i].status, rs[i].err
}

func firstDone(rs []*Request) int {
	for i, r := range rs {
		if r.done.Load() {
			return i
		}
	}
	return -1
}

// failed returns a request that has ended with err.
func failed(kind opKind, g *group, peer int, err error) *Request {
	r := &Request{group: g, kind: kind, peer: peer}
	r.err = during(r.String(), err)
	r.done.Store(true)
	return r
}
