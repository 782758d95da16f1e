package ssp

import (
	"context"
	stderrors "errors"
	"sync"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp/internal/clock"
)

// meet takes part in a round at all shards and returns the latest clock.
func (s *Store) meet(ctx context.Context, m meeting) (Clock, error) {
	msg := m.encode(s.rank)
	errs := make([]error, s.size)
	replies := make([][]byte, s.size)
	own := make(chan struct{})
	var reply []byte // good once own is closed
	err := s.arrive(s.rank, m, func(b []byte) error {
		reply = b
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
	if errs[s.rank] = s.wait(ctx, own); errs[s.rank] == nil {
		replies[s.rank] = reply
	}
	for r, b := range replies {
		if errs[r] != nil {
			if stderrors.Is(errs[r], runtime.ErrClosed) && !s.opened.Load() && s.c.Err() == nil {
				errs[r] = s.deserted(r) // the only way not to have opened the port
			}
			continue
		}
		at, err := s.judge(m, b)
		m.at, errs[r] = max(m.at, at), err
	}
	// Shards may see different reasons: that a rank has left says more than what
	// others do about it.
	for _, err := range errs {
		if stderrors.Is(err, runtime.ErrLeft) {
			return 0, err
		}
	}
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return m.at, nil
}

// Sync returns when every update of every worker is applied everywhere, also
// those that no Clock has handed over, and sets all workers to one clock, the
// latest of all. It is collective, and called outside Work, with all workers
// closed or at rest.
func (s *Store) Sync(ctx context.Context) error { return s.sync(ctx, "Sync of the store") }

// sync is Sync as a part of a call, which all ranks must be in.
func (s *Store) sync(ctx context.Context, call string, args ...string) error {
	s.wmu.Lock()
	closed := s.closed
	s.wmu.Unlock()
	if closed {
		return errors.New("sync: the store is closed")
	}
	defer s.traced("sync", time.Now())
	return errors.WithMessage(s.settle(ctx, call, args...), "sync")
}

// settle does what Sync does.
func (s *Store) settle(ctx context.Context, call string, args ...string) error {
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
		if err := s.backing.rest(ctx, call, args); err != nil {
			return err
		}
	}
	at, err := s.meet(ctx, meeting{at: at, reset: true, call: call, args: args})
	if err != nil {
		return err
	}
	s.epoch++
	s.wmu.Lock()
	s.syncAt = at
	s.sent = int64(at)
	s.clocks.Reset(int64(at))
	s.begun = 0
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
