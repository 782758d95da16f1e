package runtime

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sspurn/sspurn/runtime/internal/match"
	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

const (
	eagerLimit   = 64 << 10 // longest payload that is sent before the receiver has asked for it
	announceOver = 1 << 10  // payloads beyond it are announced too while the receiver has much that it has yet to take
	messageCost  = 128      // credits that a message takes beside its payload: header and bookkeeping
	overdraft    = 32 << 20 // credits that announcements of a window may take beyond it: a quarter of a million
	portBound    = 64 << 20 // bytes of large messages to this rank's ports that may be in memory
	portLimit    = 1 << 30  // longest message to a port and longest reply
	defaultLimit = 64 << 20 // longest message that RecvGob takes
)

// A window is the bytes that a peer may send before it gets credits back.
// Messages of the program, those in private spaces, ports and notifications of
// one-sided memory have windows of their own, so that messages that the program has yet to receive stop neither
// a collective operation nor the ports.
const (
	forMessages = iota
	forSpaces
	forPorts
	forNotes // of notified puts
	windows
)

// windowSize is the same for all ranks of a job. Together the windows of a
// kind take 64 MiB at most up to 64 ranks, and 1 MiB a peer beyond.
func windowSize(ranks int) int { return min(max(64<<20/ranks, 1<<20), 4<<20) }

// engine is the progress engine of one rank. Whoever waits drives it: see
// progress.go.
type engine struct {
	rank, size int
	hosts      []string // of all ranks
	cores      []int    // of all ranks' hosts; 0: not known
	homes      []int    // of all ranks, on their hosts; −1: none
	home       home
	log        *slog.Logger
	recorder   *telemetry.Recorder
	straggle   string
	window     int
	budget     time.Duration // of polling before a caller parks

	pollers   atomic.Int32  // callers that poll
	visits    atomic.Uint64 // of callers that have polled
	parked    atomic.Int32  // callers that wait on a channel
	computing atomic.Int32  // goroutines of this rank that compute
	unarmed   atomic.Bool   // the service goroutine leaves polling to the callers
	wide      atomic.Bool   // and has the next of them look at all peers
	arm       chan struct{} // holds one: wakes it then
	stopped   chan struct{} // closed when the engine ends
	ports     sync.WaitGroup

	mu sync.Mutex // guards all below and the transport

	t       transport.Transport
	lag     func() time.Duration // of an emulated network: until what was sent has left; nil: none
	peers   []peer
	queues  map[uint32]*queues // by context
	shut    map[uint32]bool    // communicators that have been closed
	recent  uint32             // the context that was used last
	recentQ *queues
	groups  map[uint32]*group
	nextID  uint32 // of communicators: above all that are known here
	lastOp  uint64
	sends   map[uint64]*Request // announced
	calls   map[uint64]*Request
	doors   map[uint64]*door // of ports, by key
	grants  []*message       // large messages to ports that wait for memory
	granted int              // bytes of those that have it
	failure error            // why the job has failed
	cancel  func(error)      // ends the context of the body
	leave   *Request         // waits for all peers to leave
	leaving bool             // the body has returned
	parting bool             // leave waits for Goodbye
	fault   error            // what has happened to this rank itself: a panic of a handler, say
	closed  bool             // the transport is closed
	tree    []int            // neighbours for what all must hear, where pairs connect on first use; nil: all are connected
	revoked *revocation      // what has been said to peers of the job's failure; nil: nothing
	sending time.Time        // since when this rank waits, to leave, for what it sent to be away; zero: it does not
	woke    bool             // a goroutine has been made runnable
	free    free
	ended   uint64 // requests and small sends that have
	parkers waitList
	drought *time.Timer // nil or not running while nothing waits for credits
	looking bool        // it is running

	regions      map[uint32]*region // of windows that are open here
	recentRegion *region
	oldMaps      int                 // memory of windows that has been given up since the last collection
	oldBytes     int64               // in it
	maps         *atomic.Int32       // of windows that are shared
	unshared     bool                // it has been said that windows can not be
	nextRegion   uint32              // above all that are known here
	locks        map[uint64]*Request // that wait for a lock of a window
	lazy         []int               // peers with operations that have been collected
	served       uint64              // frames of others for windows
	servedBy     int                 // who sent the last one
	rest         time.Time           // owned by the service goroutine: when it may stand in for callers again
	resting      time.Duration       // the same: how long it had to wait
	shy          int                 // the same: ticks in a row that found the lock taken
	scratch      []byte              // of answers
	ownOps       uint64              // on this rank's own memory

	out wire.Header // the frame being sent
	vec [][]byte    // its payload
}

// peer is what the engine knows of a rank.
type peer struct {
	left    bool    // its body has returned
	gone    bool    // it said goodbye
	fell    bool    // it knows that the job has failed
	told    [2]bool // its Left, and the one that is a Goodbye, have been passed on
	lost    error   // nothing comes from it any more
	credits [windows]int
	waiting [windows]sendQueue // in order
	fed     [windows]bool      // credits have come since the last look at what waits
	dry     [windows]bool      // none came for long: see drought.go
	held    [windows]int       // of its credits, by messages that are here
	owed    [windows]int       // of its credits, to be returned
	cur     arrival
	inbound map[uint64]*arrival // cleared and pulled messages, by ID
	coming  int                 // of them, those that somebody still wants
	pulls   []pull              // of the peer, that no message has met yet, in order
	offers  sendQueue           // messages that the peer has yet to pull, in order
	sent    uint64              // bytes handed to the transport for it, headers included
	stream  stream              // of one-sided access
}

// arrival is where a frame's payload goes: to a request, a message, or nowhere.
type arrival struct {
	request *Request
	message *message
}

// queues is the matching state of a context: one space of a communicator.
type queues struct {
	*match.Queues[*Request, *message]
	probes []*Request
}

func newEngine(rank int, hosts []string, log *slog.Logger) *engine {
	size := len(hosts)
	e := &engine{
		rank: rank, size: size, hosts: hosts, cores: make([]int, size), homes: slices.Repeat([]int{-1}, size), log: log,
		window:  windowSize(size),
		arm:     make(chan struct{}, 1),
		stopped: make(chan struct{}),
		peers:   make([]peer, size),
		queues:  map[uint32]*queues{},
		shut:    map[uint32]bool{},
		groups:  map[uint32]*group{},
		sends:   map[uint64]*Request{},
		calls:   map[uint64]*Request{},
		doors:   map[uint64]*door{},
		regions: map[uint32]*region{},
		locks:   map[uint64]*Request{},
		maps:    new(atomic.Int32),
		nextID:  1,
	}
	for i := range e.peers {
		for w := range windows {
			e.peers[i].credits[w] = e.window
		}
		e.peers[i].inbound = map[uint64]*arrival{}
	}
	ranks := make([]int, size)
	for i := range ranks {
		ranks[i] = i
	}
	e.groups[0] = newGroup(0, "world", ranks, rank, size)
	return e
}

// queuesOf returns the matching state of a context, nil when it is closed.
// Messages may come before the communicator exists here.
func (e *engine) queuesOf(context uint32) *queues {
	if e.recentQ != nil && e.recent == context {
		return e.recentQ
	}
	q := e.queues[context]
	if q == nil {
		if e.shut[context>>8] {
			return nil
		}
		q = &queues{Queues: match.New[*Request, *message](e.size)}
		e.queues[context] = q
	}
	e.recent, e.recentQ = context, q
	return q
}

// complete ends a request and wakes who waits for it.
func (e *engine) complete(r *Request, err error) {
	if r.err == nil && err != nil {
		r.err = during(r.String(), err)
	}
	if r.group != nil {
		r.group.unlink(r)
	}
	r.phase = idle
	r.message = nil
	e.ended++
	w := r.waiter
	r.done.Store(true)
	if w != nil {
		select {
		case w.ch <- struct{}{}:
			e.woke = true
		default: // it has been woken already
		}
	}
}

// detach takes a request that has not ended out of wherever it is, so that its
// slices are the caller's again. With deliver, a message that has been
// announced still goes out, as a copy.
func (e *engine) detach(r *Request, deliver bool) {
	switch r.phase {
	case queued:
		e.peers[r.peer].waiting[windowOf(&r.head)].remove(r)
	case delivered:
		delete(e.sends, r.head.ID)
	case announced:
		delete(e.sends, r.head.ID)
		if deliver {
			ghost := &Request{e: e, kind: opSend, phase: announced, peer: r.peer, head: r.head}
			ghost.payload = [][]byte{join(r.payload)}
			ghost.flight.r = ghost
			e.sends[r.head.ID] = ghost
		}
		delete(e.calls, r.head.ID)
	case offered:
		e.peers[r.peer].offers.remove(r)
	case leaving:
		e.t.Detach(r.peer, &r.flight)
		delete(e.calls, r.head.ID)
	case calling:
		delete(e.calls, r.head.ID)
		if p := &e.peers[r.peer]; p.cur.request == r {
			p.cur.request = nil
		}
	case posted:
		if q := e.queuesOf(r.context); q != nil {
			if r.kind == opProbe {
				q.forget(r)
			} else {
				q.Cancel(&r.entry)
			}
		}
	case claimed:
		r.message.request = nil
	case cleared:
		// Not there: the peer has used the ID twice or sent another length.
		if in := e.peers[r.status.Source].inbound; in[r.head.ID] == &r.landing {
			in[r.head.ID] = new(arrival) // the request may be used again before the payload comes
			e.peers[r.status.Source].coming--
		}
		if r.pulls() {
			r.status = Status{} // nothing is known of its message
		}
	case arriving:
		if p := &e.peers[r.status.Source]; p.cur.request == r {
			p.cur.request = nil
			e.t.Discard(r.status.Source)
		}
	case accessing, locking, awaiting, watching:
		e.detachAccess(r)
	}
	r.phase = idle
}

// withdraw detaches a request that its caller has given up because of cause,
// and returns its error.
func (e *engine) withdraw(r *Request, cause error) error {
	met, pulls := r.phase == claimed || r.phase == cleared || r.phase == arriving, r.pulls()
	e.detach(r, true)
	switch {
	case pulls:
		return &droppedError{cause} // as its message will be, if there is one
	case !met:
		return cause
	}
	r.status.Source = r.group.place(r.status.Source)
	return &droppedError{cause}
}

func (q *queues) forget(r *Request) {
	for i, p := range q.probes {
		if p == r {
			q.probes = append(q.probes[:i], q.probes[i+1:]...)
			return
		}
	}
}

func join(parts [][]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
