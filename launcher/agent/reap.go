package agent

import (
	"os"
	"syscall"
	"time"
)

// reap waits for the ranks to exit, one for each token. The group of an exited
// leader is killed before the leader is reaped, so that the id is still its.
func (s *server) reap() {
	left := 0
	for {
		for left == 0 {
			if _, ok := <-s.spawned; !ok {
				return
			}
			left++
		}
		if err := waitAny(); err != nil {
			return // somebody else reaped: there is nothing to wait for
		}
		s.mu.Lock()
		ranks := s.ranks
		s.mu.Unlock()
		found := false
		for _, r := range ranks {
			if s.collect(r) {
				left--
				found = true
			}
		}
		if !found {
			s.reapOrphans()
		}
		for ; left < 0; left++ { // collected before its token was taken
			<-s.spawned
		}
	}
}

// reapOrphans reaps what ranks have left behind and what has ended since.
func (s *server) reapOrphans() {
	for _, pid := range children() {
		s.mu.Lock()
		leader := false
		for _, r := range s.ranks {
			leader = leader || r.pid == pid
		}
		if !leader {
			collect(pid, func() {})
		}
		s.mu.Unlock()
	}
}

// collect reaps the rank if it has exited since.
func (s *server) collect(r *rank) bool {
	s.mu.Lock()
	if r.reaped {
		s.mu.Unlock()
		return false
	}
	status, ok := collect(r.pid, func() {
		_ = syscall.Kill(-r.pid, syscall.SIGKILL) // the leader alone, as a rule
		s.note('-', r.pid)
	})
	r.reaped = ok
	s.mu.Unlock()
	if !ok {
		return false
	}
	r.status <- status
	r.ended.Store(true)
	past := time.Unix(1, 0)
	for _, f := range []*os.File{r.out, r.diag, r.control} {
		_ = f.SetReadDeadline(past) // closed already: nobody reads
	}
	if r.number == 0 {
		s.stdin.close()
	}
	return true
}
