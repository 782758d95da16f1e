// Package transporttest is the conformance suite of transport.Transport.
package transporttest

import (
	"bytes"
	"encoding/binary"
	stderrors "errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Suite says how to make what is tested.
type Suite struct {
	// Connect makes the transports of len(recv) ranks that are connected with
	// one another; recv[i] receives for rank i. The suite closes them.
	Connect func(t *testing.T, recv []transport.Receiver) []transport.Transport
	// OnDemand says that ranks are connected only when one sends to the other:
	// none learns before of another's end.
	OnDemand bool
	// In runs one test in a surrounding of its own, synctest.Test say; nil:
	// none.
	In func(t *testing.T, test func(t *testing.T))
}

// Run tests what transport.Transport promises.
func Run(t *testing.T, s Suite) {
	tests := []struct {
		name string
		run  func(*testing.T, Suite)
	}{
		{"Order", testOrder},
		{"SmallFrames", testSmallFrames},
		{"SlowReceiver", testSlowReceiver},
		{"PingPong", testPingPong},
		{"ThrownAway", testThrownAway},
		{"Discard", testDiscard},
		{"Detach", testDetach},
		{"Lost", testLost},
		{"LostWhileSending", testLostWhileSending},
		{"Condemned", testCondemned},
		{"DrainThenClose", testDrainThenClose},
		{"Wait", testWait},
		{"Wake", testWake},
		{"Close", testClose},
	}
	for _, test := range tests {
		if s.OnDemand && test.name == "Close" {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			if s.In == nil {
				test.run(t, s)
				return
			}
			s.In(t, func(t *testing.T) { test.run(t, s) })
		})
	}
}

// patience bounds waits for what must happen; nothing is tested by its length.
const patience = 30 * time.Second

// frame is what a rank has received.
type frame struct {
	h    wire.Header
	data []byte
}

// rank is the least engine: a lock, a driver and a record of what came.
type rank struct {
	id   int
	tr   transport.Transport
	stop atomic.Bool
	news chan struct{} // size 1: something has changed

	mu     sync.Mutex
	begun  map[int][]byte  // guarded by mu; memory of unfinished frames
	frames map[int][]frame // guarded by mu; by peer
	lost   map[int][]error // guarded by mu; by peer
	drop   bool            // guarded by mu; Begin returns nil
	refuse error           // guarded by mu; Begin returns it
	faults []string        // guarded by mu; broken promises
}

// completion counts how often it is told.
type completion struct {
	r    *rank
	told int // guarded by r.mu
	err  error
}

// Sent implements transport.Completion.
func (c *completion) Sent(err error) {
	c.told++
	c.err = err
}

// Expects is at random: a transport may go by it, and nothing depends on it.
func (r *rank) Expects(int) bool { return rand.IntN(2) == 0 }

// Begin implements transport.Receiver.
func (r *rank) Begin(peer int, h *wire.Header) ([]byte, error) {
	if _, open := r.begun[peer]; open {
		r.fault("frame from %d begun inside another", peer)
	}
	if len(r.lost[peer]) > 0 {
		r.fault("frame from %d begun after it was lost", peer)
	}
	r.begun[peer] = nil
	if r.refuse != nil {
		return nil, r.refuse
	}
	if r.drop || h.Payload() == 0 {
		return nil, nil
	}
	b := make([]byte, h.Payload())
	r.begun[peer] = b
	return b, nil
}

// End implements transport.Receiver.
func (r *rank) End(peer int, h *wire.Header) {
	b, open := r.begun[peer]
	if !open {
		r.fault("frame from %d ended that was not begun", peer)
	}
	delete(r.begun, peer)
	r.frames[peer] = append(r.frames[peer], frame{*h, b})
}

// Lost implements transport.Receiver.
func (r *rank) Lost(peer int, err error) {
	if err == nil {
		r.fault("rank %d lost without an error", peer)
	}
	r.lost[peer] = append(r.lost[peer], err)
}

func (r *rank) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// connect makes n ranks, not driven yet.
func connect(t *testing.T, s Suite, n int) []*rank {
	t.Helper()
	ranks := make([]*rank, n)
	recv := make([]transport.Receiver, n)
	for i := range ranks {
		ranks[i] = &rank{
			id:     i,
			news:   make(chan struct{}, 1),
			begun:  map[int][]byte{},
			frames: map[int][]frame{},
			lost:   map[int][]error{},
		}
		recv[i] = ranks[i]
	}
	for i, tr := range s.Connect(t, recv) {
		ranks[i].tr = tr
	}
	t.Cleanup(func() {
		for _, r := range ranks {
			r.close(t)
			for _, f := range r.faults {
				t.Errorf("rank %d: %s", r.id, f)
			}
		}
	})
	return ranks
}

func (r *rank) close(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.tr.Close(); err != nil {
		t.Errorf("rank %d: close: %v", r.id, err)
	}
}

// drive polls for the ranks until the test or the returned function ends it.
func drive(t *testing.T, ranks ...*rank) (stop func()) {
	var wg sync.WaitGroup
	for _, r := range ranks {
		r.stop.Store(false)
		wg.Go(func() {
			for !r.stop.Load() {
				if !r.poll(-1) {
					r.tr.Wait(-1)
				}
			}
		})
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			for _, r := range ranks {
				r.stop.Store(true)
				r.tr.Wake()
			}
			wg.Wait()
		})
	}
	t.Cleanup(stop)
	return stop
}

func (r *rank) poll(hint int) bool {
	r.mu.Lock()
	progress := r.tr.Poll(hint)
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
	return progress
}

// until waits for what somebody who drives the rank brings about. ok is called
// with r.mu held.
func (r *rank) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		r.mu.Lock()
		good := ok()
		r.mu.Unlock()
		if good {
			return
		}
		select {
		case <-r.news:
		case <-limit.C:
			t.Fatalf("rank %d: %s: not within %v", r.id, what, patience)
		}
	}
}

// send hands over a frame. Without a completion the payload is spoilt as soon
// as it is the caller's again.
func (r *rank) send(peer int, h wire.Header, payload [][]byte, c *completion) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c == nil {
		r.tr.Send(peer, &h, payload, nil)
		for _, b := range payload {
			for i := range b {
				b[i] = 0xee
			}
		}
		return
	}
	c.r = r
	if r.tr.Send(peer, &h, payload, c) {
		if c.told != 0 {
			r.fault("completion told although Send returned true")
		}
		c.told++
	} else if c.told != 0 {
		r.fault("completion told from inside Send")
	}
}

// pattern fills b with what only the frame seed has.
func pattern(b []byte, seed uint64) []byte {
	x := seed*0x9e3779b97f4a7c15 + 1
	rest := b
	for ; len(rest) >= 8; rest = rest[8:] {
		x = x*6364136223846793005 + 1442695040888963407
		binary.LittleEndian.PutUint64(rest, x)
	}
	for i := range rest {
		rest[i] = byte(x >> (8*i + 4))
	}
	return b
}

// split cuts b in n parts of different lengths, some empty.
func split(b []byte, n int) [][]byte {
	if n == 0 {
		if len(b) > 0 {
			panic("nothing to split into")
		}
		return nil
	}
	out := make([][]byte, 0, n)
	for i := n; i > 1; i-- {
		k := len(b) / i
		if i%3 == 0 {
			k = 0
		}
		out = append(out, b[:k:k])
		b = b[k:]
	}
	return append(out, b)
}

// header is that of frame seq from one rank.
func header(from, seq, length int) wire.Header {
	return wire.Header{
		Kind:    wire.Eager,
		Flags:   uint8(seq) | wire.CreditPorts,
		Elem:    uint8(seq * 3),
		Context: uint32(from)<<24 | uint32(seq),
		Tag:     uint32(seq) * 2654435761,
		Credits: uint32(length),
		ID:      uint64(seq)<<32 | uint64(from),
		Length:  uint64(length),
	}
}

// checkFrame compares one frame with what was sent as seq.
func checkFrame(t *testing.T, self, from, seq int, want wire.Header, got frame) {
	t.Helper()
	if got.h != want {
		t.Fatalf("rank %d: frame %d from %d: header %+v, want %+v", self, seq, from, got.h, want)
	}
	if len(got.data) != want.Payload() {
		t.Fatalf("rank %d: frame %d from %d: %d bytes, want %d", self, seq, from, len(got.data), want.Payload())
	}
	data := pattern(make([]byte, len(got.data)), want.ID)
	if bytes.Equal(got.data, data) {
		return
	}
	for i := range data {
		if got.data[i] != data[i] {
			t.Fatalf("rank %d: frame %d from %d: byte %d of %d is %#x, want %#x", self, seq, from, i, len(data), got.data[i], data[i])
		}
	}
}

var errRefused = stderrors.New("refused by the test")
