package runtime

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
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

// watched is a transport that remembers for whom it was polled.
type watched struct {
	sink
	hints []int
	sent  int
}

func (t *watched) Poll(hint int) bool { t.hints = append(t.hints, hint); return false }
func (t *watched) Pending() bool      { return true }
func (t *watched) Send(int, *wire.Header, [][]byte, transport.Completion) bool {
	t.sent++
	return true
}

// watchedEngine is an engine whose callers poll.
func watchedEngine() (*engine, *watched) {
	e := newEngine(0, []string{"a", "b", "c"}, slog.New(slog.DiscardHandler))
	tr := new(watched)
	e.t, e.budget = tr, time.Hour
	return e, tr
}

// TestCallersLookAround: a caller who polls for one peer looks at all once in
// every tick of the service goroutine, which looks at none itself meanwhile.
func TestCallersLookAround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, tr := watchedEngine()
		quit, ended := make(chan struct{}), make(chan struct{})
		e.pollers.Store(1)
		go func() {
			defer close(ended)
			e.service(quit)
		}()
		for range 3 {
			synctest.Wait()
			for range 3 {
				e.visit(2)
			}
			<-time.After(tick)
		}
		close(quit)
		<-ended
		if want := []int{-1, 2, 2, -1, 2, 2, -1, 2, 2}; !slices.Equal(tr.hints, want) {
			t.Errorf("polled for %v, want %v", tr.hints, want)
		}
	})
}

// TestTestSendsCollected: what has been collected for a peer leaves with the next
// Test. The service goroutine may not get the lock of one who tests all the time.
func TestTestSendsCollected(t *testing.T) {
	e, tr := watchedEngine()
	e.peers[1].stream.pending = make([]byte, wire.OpSize)
	e.peers[1].stream.region, e.peers[1].stream.listed = new(region), true
	e.lazy = []int{1}
	r := &Request{e: e, peer: 1}
	if _, ok, err := r.Test(); ok || err != nil {
		t.Fatalf("ended: %v, error %v", ok, err)
	}
	if tr.sent != 1 || len(e.lazy) > 0 {
		t.Errorf("%d frames sent, %d peers left", tr.sent, len(e.lazy))
	}
}

// TestPendingIsShy: a tick that finds the lock taken does not wait for it, but
// after a few it does.
func TestPendingIsShy(t *testing.T) {
	e, _ := watchedEngine()
	e.mu.Lock()
	for i := range shyTicks {
		if e.pending() {
			t.Fatalf("tick %d knows what the lock guards", i)
		}
	}
	got := make(chan bool)
	go func() { got <- e.pending() }()
	e.mu.Unlock()
	if !<-got {
		t.Error("the transport has something to send, and it was not seen")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pending() {
		t.Error("it waits again at once")
	}
}
