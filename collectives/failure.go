package collectives

import (
	"context"
	"encoding/binary"
	stderrors "errors"
	"fmt"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// end has the call number at and all after it fail, unless an earlier one is
// known to. mu is held.
func (s *state) end(at uint64, err error) {
	if s.err == nil || at < s.errAt {
		s.err, s.errAt = err, at
	}
}

// fail ends collectives on the communicator, from a call on, and tells all
// other ranks. It returns the error of that call.
func (s *state) fail(at uint64, kind error, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing(at, kind, text)
}

// failing is fail with mu held.
func (s *state) failing(at uint64, kind error, text string) error {
	s.end(at, &callError{kind, text})
	msg := make([]byte, 9, controlSize)
	switch msg[0] = ctlMismatch; kind {
	case ErrAbandoned:
		msg[0] = ctlAbandon
	case ErrArgument:
		msg[0] = ctlArgument
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

// broken ends collectives here for a reason that is not a disagreement.
func (s *state) broken(l *lane, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain()
	if known := s.errOf(l.f.seq); known != nil {
		return known
	}
	s.end(l.f.seq, s.during(l.f, err))
	return s.err
}

// abandon is broken by the own caller, whose context has ended: the others are
// told.
func (s *state) abandon(l *lane, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.abandoned(l.f, cause)
}

// abandoned is abandon with mu held.
func (s *state) abandoned(f *fingerprint, cause error) error {
	s.drain()
	if known := s.errOf(f.seq); known != nil {
		return known
	}
	if s.c.Err() == nil {
		_ = s.failing(f.seq, ErrAbandoned, fmt.Sprintf("on %s, rank %d left %v: %v", s.c.Name(), s.c.Rank(), f, cause))
	}
	s.err, s.errAt = s.during(f, cause), f.seq
	return s.err
}

// during returns err with the call. A loss names it instead of the message that
// was awaited, which may be a control message of any rank.
func (s *state) during(f *fingerprint, err error) error {
	op := f.String() + " on " + s.c.Name()
	if lost, ok := stderrors.AsType[*runtime.RankError](err); ok {
		return &runtime.RankError{Rank: lost.Rank, Host: lost.Host, Op: op, Cause: lost.Cause}
	}
	return errors.WithMessage(err, op)
}

// deserted is the end of collectives here because a rank that is waited for has
// left. It may have done so knowing of a disagreement that another rank is
// about to tell this one.
func (s *state) deserted(l *lane, left error) error {
	patient, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		s.mu.Lock()
		s.drain()
		err, news := s.errOf(l.f.seq), s.control
		s.mu.Unlock()
		switch {
		case err != nil:
			return err
		case news == nil:
			return s.broken(l, left)
		}
		if i, _, _ := runtime.WaitAny(patient, news); i < 0 {
			return s.fail(l.f.seq, ErrMismatch, fmt.Sprintf("on %s, rank %d is in %v: %v", s.c.Name(), s.c.Rank(), l.f, left))
		}
	}
}
