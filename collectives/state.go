package collectives

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sspurn/sspurn/runtime"
)

// space is that of this package on every communicator.
const space = 1

const (
	controlSize = 512
	// patience is how long a rank waits before it tells the awaited ranks
	// what for. Only calls that disagree need it.
	patience = 50 * time.Millisecond
	// remembered calls can still be compared with what others say.
	remembered = 64
	// started is how many started calls run at once; more wait for their turn.
	started = 8
)

// Control messages: a kind byte, and what follows it.
const (
	ctlWaiting  = iota + 1 // fingerprint of the call in which the sender waits for the receiver
	ctlMismatch            // number of the first call that fails, text
	ctlAbandon             // the same
	ctlArgument            // the same
)

// state is what a rank keeps for collectives on a communicator.
type state struct {
	c     *runtime.Comm
	lanes [1 + started]lane // the first is that of blocking calls

	busy    sync.Mutex   // held during a blocking call, to catch two at a time
	running atomic.Int32 // calls
	ticking atomic.Bool  // the timer is set

	mu      sync.Mutex // guards all below
	seq     uint64     // calls so far
	begun   uint64     // started calls so far
	err     error      // of call number errAt and all after
	errAt   uint64
	past    [remembered]fingerprint
	control *runtime.Request // always posted, at any rank
	ctlBuf  [controlSize]byte
	early   []earlyCall
	timer   *time.Timer
	call    task                    // the blocking one; busy guards it
	queues  [1 + started][]*Request // started calls that wait for their lane
	working [1 + started]bool       // a goroutine runs the calls of the lane

	model  Model
	hosts  []int // of all ranks; nil: one
	cores  []int // of all ranks' hosts; 0: not known
	homes  []int // of all ranks, on their hosts
	plans  map[planKey]*plan
	recent *plan // of plans, the one that was used last
}

// earlyCall is a call that another rank waits in and this one has yet to make.
type earlyCall struct {
	rank int
	f    fingerprint
}

type stateKey struct{}

func stateOf(c *runtime.Comm) *state {
	return c.Local(stateKey{}, func() any {
		s := &state{c: c.Space(space), hosts: hostsOf(c)}
		for r := range c.Size() {
			s.cores, s.homes = append(s.cores, c.Cores(r)), append(s.homes, c.Home(r))
		}
		s.model = DefaultModel()
		for i := range s.lanes {
			l := &s.lanes[i]
			l.s, l.id, l.loop = s, i, l.work
			l.c = s.c.Naming(l.name)
		}
		return s
	}).(*state)
}

// name is the call that the lane runs, or ran last.
func (l *lane) name() string {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.s.past[l.now.Load()%remembered].String()
}

// hostsOf numbers the hosts of all ranks, unless there is but one.
func hostsOf(c *runtime.Comm) []int {
	hosts := make([]int, c.Size())
	number := map[string]int{}
	for r := range hosts {
		name := c.Host(r)
		if _, ok := number[name]; !ok {
			number[name] = len(number)
		}
		hosts[r] = number[name]
	}
	if len(number) == 1 {
		return nil
	}
	return hosts
}

// lock keeps others out for the time of a blocking call.
func (s *state) lock() {
	if !s.busy.TryLock() {
		panic("collectives: two blocking calls at a time on communicator " + s.c.Name())
	}
}

// enter begins a call: it gives it its number.
func (s *state) enter(t *task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &t.f
	f.seq = s.seq
	if s.err != nil && f.seq >= s.errAt {
		return s.err
	}
	s.seq++
	s.past[f.seq%remembered] = *f
	switch alone := s.c.Size() == 1; {
	case t.bad != "":
		text := fmt.Sprintf("on %s, rank %d in %v: %s", s.c.Name(), s.c.Rank(), f, t.bad)
		if alone {
			return &callError{t.kind, text} // nobody else is in the call
		}
		return s.failing(f.seq, t.kind, text)
	case alone:
		return nil
	}
	if s.control == nil {
		s.listen()
	}
	for i := 0; i < len(s.early); i++ {
		e := s.early[i]
		if e.f.seq > f.seq {
			continue
		}
		s.early = append(s.early[:i], s.early[i+1:]...)
		i--
		if e.f.seq == f.seq && e.f != *f {
			return s.differs(e.rank, e.f)
		}
	}
	s.drain()
	return s.errOf(f.seq)
}

// run makes a blocking call. The caller has locked the state.
func (s *state) run(ctx context.Context, t *task) error {
	t.f.started = false
	if err := s.enter(t); err != nil {
		return err
	}
	l := &s.lanes[0]
	if ctx.Err() != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.abandoned(&t.f, context.Cause(ctx))
	}
	s.join()
	err := l.perform(ctx, t)
	s.running.Add(-1)
	return err
}

// join has the timer run while there are calls.
func (s *state) join() {
	s.running.Add(1)
	if s.c.Size() > 1 && !s.ticking.Load() && !s.ticking.Swap(true) {
		s.mu.Lock()
		if s.timer == nil {
			s.timer = time.AfterFunc(patience, s.tick)
		} else {
			s.timer.Reset(patience)
		}
		s.mu.Unlock()
	}
}

// tick comes while calls run: it hears what other ranks have to say, and has
// calls that wait for long say so.
func (s *state) tick() {
	if s.running.Load() == 0 {
		s.ticking.Store(false)
		// A call that has come since counts on this tick.
		if s.running.Load() == 0 || s.ticking.Swap(true) {
			return
		}
	}
	s.mu.Lock()
	s.drain()
	failed := s.err != nil
	s.mu.Unlock()
	for i := range s.lanes {
		l := &s.lanes[i]
		if !l.waiting.Load() {
			l.seen = 0
			continue
		}
		p := l.progress.Load() + 1
		if p != l.seen {
			l.seen = p
			l.announce.Store(true)
			l.wake()
		} else if failed {
			l.wake()
		}
	}
	s.mu.Lock()
	s.timer.Reset(patience)
	s.mu.Unlock()
}

// errOf is the error of a call, if it is known to fail. mu is held.
func (s *state) errOf(seq uint64) error {
	if s.err != nil && seq >= s.errAt {
		return s.err
	}
	return nil
}

// ended is errOf after all news.
func (s *state) ended(seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain()
	return s.errOf(seq)
}

func (s *state) listen() {
	s.control = runtime.Irecv(s.c, runtime.AnySource, tagControl, s.ctlBuf[:])
}

// drain hears the control messages that have come. mu is held.
func (s *state) drain() {
	for s.control != nil && s.control.Ended() {
		st, _, err := s.control.Test()
		if err != nil {
			s.control = nil // the communicator is broken: calls will see
			return
		}
		msg := append([]byte(nil), s.ctlBuf[:st.Bytes]...)
		s.listen()
		s.hear(st.Source, msg)
	}
}

// hear takes a control message. mu is held.
func (s *state) hear(from int, msg []byte) {
	kind := byte(0)
	if len(msg) > 0 {
		kind = msg[0]
	}
	switch why := reason(kind); {
	case why != nil && len(msg) >= 9:
		// Calls before the one that failed end well: who failed there has done
		// its part in them.
		s.end(binary.LittleEndian.Uint64(msg[1:]), &callError{why, string(msg[9:])})
		return
	case kind != ctlWaiting || len(msg) != 1+printSize:
		_ = s.failing(max(s.seq, 1)-1, ErrMismatch, fmt.Sprintf("rank %d sent a control message of kind %d and %d bytes", from, kind, len(msg)))
		return
	}
	var f fingerprint
	f.decode(msg[1:])
	switch {
	case f.seq >= s.seq:
		s.early = append(s.early, earlyCall{from, f})
	case s.seq-f.seq <= remembered && s.past[f.seq%remembered] != f:
		_ = s.differs(from, f)
	}
}

// reason is the error that a control message of a kind tells of, nil when it
// tells of none.
func reason(kind byte) error {
	switch kind {
	case ctlMismatch:
		return ErrMismatch
	case ctlAbandon:
		return ErrAbandoned
	case ctlArgument:
		return ErrArgument
	}
	return nil
}

// disagree is the end of collectives here: a rank is in another call.
func (s *state) disagree(rank int, theirs fingerprint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.differs(rank, theirs)
}

// differs is disagree with mu held.
func (s *state) differs(rank int, theirs fingerprint) error {
	ours := s.past[(s.seq-1)%remembered]
	if theirs.seq < s.seq && s.seq-theirs.seq <= remembered {
		ours = s.past[theirs.seq%remembered]
	}
	x, y := pair(&ours, &theirs)
	a, b := s.c.Rank(), rank
	if a > b {
		a, b, x, y = b, a, y, x
	}
	return s.failing(min(ours.seq, theirs.seq), ErrMismatch, fmt.Sprintf("on %s, rank %d is in %s, rank %d in %s", s.c.Name(), a, x, b, y))
}
