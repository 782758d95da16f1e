package runtime

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// edge is a transport that says only once that there is something to poll.
type edge struct {
	sink
	bell  chan struct{}
	polls int
}

func (t *edge) Wait(time.Duration) { <-t.bell }
func (t *edge) Poll(int) bool      { t.polls++; return false }

// TestServicePolls: when Wait has ended there is a Poll, also when another
// goroutine has just made somebody runnable.
func TestServicePolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(0, []string{"a", "b"}, slog.New(slog.DiscardHandler))
		tr := &edge{bell: make(chan struct{})}
		e.t = tr
		quit, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			e.service(quit)
		}()
		for round := 1; round <= 3; round++ {
			e.mu.Lock()
			e.woke = true
			e.mu.Unlock()
			tr.bell <- struct{}{}
			synctest.Wait()
			e.mu.Lock()
			polls := tr.polls
			e.mu.Unlock()
			if polls != round {
				t.Fatalf("%d polls after %d ends of a Wait", polls, round)
			}
		}
		close(quit)
		tr.bell <- struct{}{}
		<-ended
	})
}
