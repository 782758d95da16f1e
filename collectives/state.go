package collectives

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives/schedule"
	"github.com/sspurn/sspurn/runtime"
)

// space is that of this package on every communicator.
const space = 1

// The tags within the space.
const (
	tagHead    runtime.Tag = iota // fingerprints, with small data behind
	tagData                       // large data, announced by a head
	tagControl                    // what ranks tell each other about trouble
)

const (
	// inline is how many bytes of data travel with the fingerprint.
	inline      = 4096
	controlSize = 512
	// patience is how long a rank waits before it tells the awaited ranks
	// what for. Only calls that disagree need it.
	patience = 50 * time.Millisecond
	// remembered calls can still be compared with what others say.
	remembered = 64
	// keepWords is the scratch memory kept between calls.
	keepWords = 1 << 20
	maxPlans  = 128
)

// Control messages: a kind byte, and what follows it.
const (
	ctlWaiting  = iota + 1 // fingerprint of the call in which the sender waits for the receiver
	ctlMismatch            // number of the first call that fails, text
	ctlAbandon             // the same
)

// state is what a rank keeps for collectives on a communicator.
type state struct {
	c    *runtime.Comm
	busy sync.Mutex // held during a call, to catch two at a time

	// Owned by the call.
	seq     uint64
	err     error // of call number errAt and all after
	errAt   uint64
	past    [remembered]fingerprint
	control *runtime.Request // always posted, at any rank
	ctlBuf  [controlSize]byte
	early   map[int]fingerprint // calls that others wait in and this rank has yet to make
	plans   map[plan]*schedule.Schedule
	scratch []uint64
	slots   [][]byte
	reqs    []*runtime.Request // reqs[0] is control
	ops     []operation        // what reqs are, by the same index

	timer *time.Timer // runs announce

	mu      sync.Mutex
	armed   bool        // guarded by mu
	current fingerprint // guarded by mu
	awaited []int       // guarded by mu
}

type plan struct {
	verb    verb
	root    int
	count   int
	size    int // of an element
	inOrder bool
}

type stateKey struct{}

func stateOf(c *runtime.Comm) *state {
	return c.Local(stateKey{}, func() any {
		s := new(state)
		s.c = c.Space(space).Naming(s.name)
		return s
	}).(*state)
}

// name is the call that this rank is in, or was last.
func (s *state) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.String()
}

// lock keeps others out for the time of a call.
func (s *state) lock() {
	if !s.busy.TryLock() {
		panic("collectives: two calls at a time on communicator " + s.c.Name())
	}
}

// enter begins a call.
func (s *state) enter(f *fingerprint) error {
	f.seq = s.seq
	if s.err != nil && f.seq >= s.errAt {
		return s.err
	}
	s.seq++
	s.past[f.seq%remembered] = *f
	if s.c.Size() == 1 {
		return nil
	}
	if s.control == nil {
		s.listen()
	}
	s.mu.Lock()
	s.current = *f
	s.mu.Unlock()
	for rank, e := range s.early {
		if e.seq <= f.seq {
			delete(s.early, rank)
		}
		if e.seq == f.seq && e != *f {
			return s.disagree(rank, e)
		}
	}
	for {
		st, done, err := s.control.Test()
		if !done {
			return nil
		}
		if err := s.hear(st, err); err != nil {
			return err
		}
	}
}

func (s *state) listen() {
	s.control = runtime.Irecv(s.c, runtime.AnySource, tagControl, s.ctlBuf[:])
}

// hear takes a control message that has come and listens for the next.
func (s *state) hear(st runtime.Status, err error) error {
	if err != nil {
		err = s.during(err)
		s.end(s.seq-1, err)
		return err
	}
	msg := append([]byte(nil), s.ctlBuf[:st.Count]...)
	s.listen()
	kind := byte(0)
	if len(msg) > 0 {
		kind = msg[0]
	}
	switch {
	case (kind == ctlMismatch || kind == ctlAbandon) && len(msg) >= 9:
		// Calls before the one that failed end well: who failed there has done
		// its part in them.
		err := &callError{ErrMismatch, string(msg[9:])}
		if kind == ctlAbandon {
			err.kind = ErrAbandoned
		}
		s.end(binary.LittleEndian.Uint64(msg[1:]), err)
		if s.errAt >= s.seq {
			return nil
		}
		return s.err
	case kind != ctlWaiting || len(msg) != 1+printSize:
		return s.fail(ErrMismatch, s.seq-1, fmt.Sprintf("rank %d sent a control message of kind %d and %d bytes", st.Source, kind, len(msg)))
	}
	var f fingerprint
	f.decode(msg[1:])
	switch {
	case f.seq >= s.seq:
		if s.early == nil {
			s.early = map[int]fingerprint{}
		}
		s.early[st.Source] = f
	case s.seq-f.seq <= remembered && s.past[f.seq%remembered] != f:
		return s.disagree(st.Source, f)
	}
	return nil
}

// disagree is the end of collectives here: a rank is in another call.
func (s *state) disagree(rank int, theirs fingerprint) error {
	ours := s.past[(s.seq-1)%remembered]
	if theirs.seq < s.seq && s.seq-theirs.seq <= remembered {
		ours = s.past[theirs.seq%remembered]
	}
	a, b, x, y := s.c.Rank(), rank, &ours, &theirs
	if a > b {
		a, b, x, y = b, a, y, x
	}
	return s.fail(ErrMismatch, min(ours.seq, theirs.seq), fmt.Sprintf("on %s, rank %d is in %v, rank %d in %v", s.c.Name(), a, x, b, y))
}

// end has the call number at and all after it fail, unless an earlier one is
// known to.
func (s *state) end(at uint64, err error) {
	if s.err == nil || at < s.errAt {
		s.err, s.errAt = err, at
	}
}

// fail ends collectives on the communicator, from a call on, and tells all
// other ranks. It returns the error of the present call.
func (s *state) fail(kind error, at uint64, text string) error {
	s.end(at, &callError{kind, text})
	msg := make([]byte, 9, controlSize)
	msg[0] = ctlMismatch
	if kind == ErrAbandoned {
		msg[0] = ctlAbandon
	}
	binary.LittleEndian.PutUint64(msg[1:], at)
	msg = append(msg, text[:min(len(text), cap(msg)-len(msg))]...)
	for r := range s.c.Size() {
		if r != s.c.Rank() {
			s.tell(r, msg)
		}
	}
	return s.err
}

// tell starts a control message that nobody waits for: it is small, leaves as
// soon as there is credit, and its buffer is not used for anything else.
func (s *state) tell(rank int, msg []byte) { _ = runtime.Isend(s.c, rank, tagControl, msg) }

// broken ends collectives here for a reason that is not a disagreement. When
// this rank gives up, the others are told.
func (s *state) broken(ctx context.Context, err error) error {
	at := s.seq - 1
	if s.err != nil && at >= s.errAt {
		return s.err
	}
	f := s.past[at%remembered]
	if ctx.Err() != nil && s.c.Err() == nil {
		_ = s.fail(ErrAbandoned, at, fmt.Sprintf("on %s, rank %d left %v: %v", s.c.Name(), s.c.Rank(), &f, err))
	}
	s.err, s.errAt = s.during(err), at
	return s.err
}

// during returns err with the present call. A loss names it instead of the
// message that was awaited, which may be a control message of any rank.
func (s *state) during(err error) error {
	op := s.past[(s.seq-1)%remembered].String() + " on " + s.c.Name()
	if lost, ok := err.(*runtime.RankError); ok {
		return &runtime.RankError{Rank: lost.Rank, Host: lost.Host, Op: op, Cause: lost.Cause}
	}
	return errors.WithMessage(err, op)
}

// deserted is the end of collectives here because a rank that is waited for has
// left. It may have done so knowing of a disagreement that another rank is
// about to tell this one.
func (s *state) deserted(ctx context.Context, left error) error {
	f := s.past[(s.seq-1)%remembered]
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		i, st, err := runtime.WaitAny(patient, s.control)
		switch {
		case i < 0 && ctx.Err() != nil:
			return s.broken(ctx, context.Cause(ctx))
		case i < 0:
			return s.fail(ErrMismatch, f.seq, fmt.Sprintf("on %s, rank %d is in %v: %v", s.c.Name(), s.c.Rank(), &f, left))
		}
		if err := s.hear(st, err); err != nil {
			return err
		}
	}
}

// arm has announce called if the wait takes long.
func (s *state) arm() {
	s.mu.Lock()
	s.armed = true
	s.awaited = s.awaited[:0]
	for _, op := range s.ops[1:] {
		s.awaited = append(s.awaited, op.step.Peer)
	}
	s.mu.Unlock()
	if s.timer == nil {
		s.timer = time.AfterFunc(patience, s.announce)
	} else {
		s.timer.Reset(patience)
	}
}

func (s *state) disarm() {
	s.timer.Stop()
	s.mu.Lock()
	s.armed = false
	s.mu.Unlock()
}

// announce tells the ranks that are waited for in which call.
func (s *state) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.armed {
		return
	}
	s.armed = false
	msg := make([]byte, 1+printSize)
	msg[0] = ctlWaiting
	s.current.encode(msg[1:])
	for _, r := range s.awaited {
		s.tell(r, msg)
	}
}
