package ssp

import (
	"context"
	"time"
)

// idlePause is the least time between two idle pushes, as in the paper: each looks
// at all rows that wait, which must not take more than idleShare of the time.
const (
	idlePause = 10 * time.Millisecond
	idleShare = 10
)

// idle pushes rows of this rank between the advances of its clock when the rate
// would be lost: once the bucket is half full, as it is during clocks that are
// longer than what it holds. Rows that are left over by an advance start it.
func (s *Store) idle(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := idlePause
	for {
		select {
		case <-s.budget.waiting:
		case <-ctx.Done():
			return
		case <-s.c.Done():
			return
		}
		for d := pause; d > 0; d = s.budget.idleIn(s) {
			timer.Reset(d)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			case <-s.c.Done():
				return
			}
		}
		start := time.Now()
		s.mu.Lock()
		released := s.pace()
		s.mu.Unlock()
		pause = max(idlePause, idleShare*time.Since(start))
		if released {
			s.wakePushers()
		}
	}
}

// idleIn returns the time until the bucket is half full; 0: it is.
func (b *budget) idleIn(s *Store) time.Duration {
	now := s.now(time.Now())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.charge(s, now)
	return time.Duration(b.limit.Idle(now))
}
