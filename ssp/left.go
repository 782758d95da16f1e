package ssp

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// What becomes of a store that a rank has left without having closed it. Its shard
// and its pushers work on until the job ends, and so its rows can be read. What only
// its body could do is not done any more:
//
//   - It comes to no round. Every shard, its own too, answers those who have come or
//     will (arrive).
//   - Its workers end no clock. Who waits for a clock that they have not ended, by the
//     batches that are at the own shard, looks at once and at each news (waitClock).
//     If they are closed they hold nobody back, as always.
//
// Nobody tells others of it: each rank hears it from the runtime, behind all that
// the rank had sent.

// deserters are the ranks that have left without having closed the store.
type deserters struct {
	ranks []int         // in the order in which they were heard of
	news  chan struct{} // closed when there is another, or when one's clock falls
}

// desert takes note that the body of a rank has returned.
func (s *Store) desert(rank int) {
	if err := s.takeLeave(rank); err != nil {
		s.fail(errors.WithMessagef(err, "shard of rank %d: rank %d leaves", s.rank, rank))
	}
}

func (s *Store) takeLeave(rank int) error {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return nil
	}
	was := s.gone.Load()
	s.gone.Store(&deserters{append(was.ranks[:len(was.ranks):len(was.ranks)], rank), make(chan struct{})})
	close(was.news)
	var err error
	if absent := s.absent(); absent >= 0 {
		err = s.endRound(codec.Header{Branch: gone, Last: absent + 1}, "")
	}
	var ready []answer
	if err == nil && s.backing != nil {
		ready, err = s.backing.desert(rank)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.replyAll(ready)
}

// absent returns a rank whose part in the round will not come, or -1; with s.mu.
func (s *Store) absent() int {
	for _, r := range s.gone.Load().ranks {
		if s.round.parts[r].answer == nil {
			return r
		}
	}
	return -1
}

// renews has who waits for a clock look again, as that of a rank may have fallen;
// with s.mu.
func (s *Store) renews() {
	if was := s.gone.Load(); len(was.ranks) > 0 {
		s.gone.Store(&deserters{was.ranks, make(chan struct{})})
		close(was.news)
	}
}

// waitClock is wait for a channel that is ready when all ranks have announced a
// clock: it fails when one has left that has not.
func (s *Store) waitClock(ctx context.Context, ready <-chan struct{}, at int64) error {
	for {
		gone := s.gone.Load()
		if err := s.unreachable(gone.ranks, at); err != nil {
			select {
			case <-ready:
				return nil
			default:
				return err
			}
		}
		select {
		case <-ready:
			return nil
		case <-gone.news:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.c.Done():
			return s.c.Err()
		case <-s.failed:
			return s.failure
		}
	}
}

// unreachable returns why a clock is never announced by all.
func (s *Store) unreachable(gone []int, at int64) error {
	if len(gone) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backing != nil {
		if r := s.backing.missed(); r >= 0 && s.shard.Min() < at {
			return s.deserted(r)
		}
		return nil
	}
	for _, r := range gone {
		if s.shard.Promised(r) < at {
			return s.deserted(r)
		}
	}
	return nil
}

// deserted is the error of a call that needs a rank that has left.
func (s *Store) deserted(rank int) error {
	how := "has left without closing the store"
	if !s.opened.Load() {
		how = "has left"
	}
	return errors.WithMessagef(runtime.ErrLeft, "rank %d on host %s %s", s.c.JobRank(rank), s.c.Host(rank), how)
}
