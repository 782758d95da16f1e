package ssp

import (
	"context"
	stderrors "errors"
	"sync"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/clock"
	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// ErrMismatch says that the ranks do not agree on what they do together: another
// table, another number of workers, another collective call.
var ErrMismatch = stderrors.New("the ranks disagree")

// meeting is what a rank brings to a round: all ranks send one to all shards,
// which answer when they have heard of all. As messages of a rank stay in order,
// all batches sent before a round are applied when it is over.
type meeting struct {
	at    Clock // the latest of the rank's workers
	mark  uint64
	reset bool   // begin an epoch
	call  string // that it is a part of
}

// Marks of rounds that have no other.
const (
	markSync uint64 = iota + 1<<60
	markClose
	markRest
	markCollect
)

// round is the one that is under way at a shard, guarded by Store.mu.
type round struct {
	answers []func([]byte) error // by rank
	came    int
	at      Clock
	mark    uint64
	differ  bool
}

func newRound(n int) round { return round{answers: make([]func([]byte) error, n)} }

// arrive takes a rank's part in a round.
func (s *Store) arrive(rank int, m meeting, answer func([]byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.round
	if r.answers[rank] != nil {
		return errors.Errorf("second part of rank %d in a round", rank)
	}
	if r.came > 0 && r.mark != m.mark {
		r.differ = true
	}
	r.answers[rank] = answer
	r.came++
	r.at, r.mark = max(r.at, m.at), m.mark
	if r.came < s.size {
		return nil
	}
	done := *r
	*r = newRound(s.size)
	flags := codec.Flags(0)
	if done.differ {
		flags = codec.More
	} else if m.reset {
		if err := s.shard.Sync(int64(done.at)); err != nil {
			return err
		}
		if s.freeing != nil {
			s.freeing.sync(int64(done.at))
		}
		if s.backing != nil {
			s.backing.sync(int64(done.at))
		}
		ready, err := s.release(true)
		if err == nil {
			err = s.replyAll(ready)
		}
		if err != nil {
			return err
		}
		s.wakePushers()
	}
	var e codec.Encoder
	e.Begin(nil, codec.Header{Kind: codec.Ack, Flags: flags, Rank: s.rank, Clock: int64(done.at)})
	out := e.End()
	for r, f := range done.answers {
		if r != s.rank {
			s.links[r].control.Add(int64(len(out)))
		}
		if err := f(out); err != nil {
			return err
		}
	}
	return nil
}

// meet takes part in a round at all shards and returns the latest clock.
func (s *Store) meet(ctx context.Context, m meeting) (Clock, error) {
	var e codec.Encoder
	flags := codec.Flags(0)
	if m.reset {
		flags = codec.Ticks
	}
	e.Begin(nil, codec.Header{Kind: codec.Ack, Flags: flags, Rank: s.rank, Clock: int64(m.at), ID: m.mark})
	msg := e.End()
	errs := make([]error, s.size)
	replies := make([][]byte, s.size)
	own := make(chan struct{})
	err := s.arrive(s.rank, m, func(b []byte) error {
		replies[s.rank] = b
		close(own)
		return nil
	})
	if err != nil {
		return 0, err
	}
	port := s.data.Naming(func() string { return m.call })
	var calls sync.WaitGroup
	for r := range s.size {
		if r == s.rank {
			continue
		}
		calls.Go(func() {
			s.links[r].control.Add(int64(len(msg)))
			replies[r], errs[r] = port.Call(ctx, r, msg)
		})
	}
	calls.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	if err := s.wait(ctx, own); err != nil {
		return 0, err
	}
	for r, b := range replies {
		var d codec.Decoder
		if err := d.Reset(b); err != nil {
			return 0, errors.WithMessagef(err, "round at rank %d", r)
		}
		if d.Header().Flags&codec.More != 0 {
			return 0, ErrMismatch
		}
		m.at = max(m.at, Clock(d.Header().Clock))
	}
	return m.at, nil
}

// Sync returns when every update of every worker is applied everywhere, also
// those that no Clock has handed over, and sets all workers to one clock, the
// latest of all. It is collective, and called outside Work, with all workers
// closed or at rest.
func (s *Store) Sync(ctx context.Context) error {
	s.wmu.Lock()
	closed := s.closed
	s.wmu.Unlock()
	if closed {
		return errors.New("sync: the store is closed")
	}
	defer s.traced("sync", time.Now())
	return errors.WithMessage(s.settle(ctx), "sync")
}

func (s *Store) settle(ctx context.Context) error {
	s.wmu.Lock()
	at := s.syncAt
	for _, w := range s.workers {
		at = max(at, w.clock)
	}
	s.wmu.Unlock()
	for _, w := range s.workers {
		if err := w.handOver(ctx, true); err != nil {
			return err
		}
		w.leave()
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if s.freeing != nil {
		if err := s.freeing.rest(ctx); err != nil {
			return err
		}
	}
	if s.backing != nil {
		if err := s.backing.rest(ctx); err != nil {
			return err
		}
	}
	at, err := s.meet(ctx, meeting{at: at, mark: markSync, reset: true, call: "Sync of the store"})
	if err != nil {
		return err
	}
	s.epoch++
	s.wmu.Lock()
	s.syncAt = at
	s.sent = int64(at)
	s.clocks.Reset(int64(at))
	s.opened = 0
	tables := s.tables
	s.wmu.Unlock()
	for _, t := range tables {
		t.reset(s.epoch, at)
	}
	if s.freeing != nil {
		s.freeing.reset()
	}
	for _, w := range s.workers {
		w.reset(at)
	}
	s.record()
	return nil
}

// announced is the clock that follows a batch.
func announced(at, end, low int64) int64 {
	if at >= end && low == clock.Forever {
		return clock.Forever
	}
	return at + 1
}
