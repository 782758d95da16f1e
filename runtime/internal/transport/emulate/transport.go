// Package emulate makes a network slower: it wraps a transport and delays and
// paces what a rank sends, as bootstrap.Emulation says. Experiments that need a
// slow network run with it on any machine.
package emulate

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Transport delays and paces what it hands to another transport. It follows
// the rules of transport.Transport, over any transport that does. It copies
// payloads; with a rate, a completion is told when the link would have taken
// all but what a socket's buffer holds.
type Transport struct {
	transport.Transport // what really moves the frames

	start time.Time
	next  atomic.Int64 // when something is due, since start; never: no

	// Guarded by the engine's lock.
	lines  []*line // by rank; nil: not slowed
	queued int     // frames in lines
	closed bool
}

const never = int64(1<<63 - 1)

// line is one slowed link in the direction to a peer.
type line struct {
	link    link
	frames  []delayed // by arrival
	waiting []waiting // by ready
}

type delayed struct {
	due     time.Duration
	head    wire.Header
	payload []byte
}

type waiting struct {
	ready time.Duration
	done  transport.Completion
}

// Wrap returns t as rank of size ranks sees it through the network of spec. It
// takes t over. Jitter is the same in every run.
func Wrap(t transport.Transport, spec bootstrap.Emulation, rank, size int) *Transport {
	w := &Transport{Transport: t, start: time.Now(), lines: make([]*line, size)}
	w.next.Store(never)
	for peer := range w.lines {
		if spec.Slows(rank, peer) {
			w.lines[peer] = &line{link: link{spec: spec, random: rand.New(rand.NewPCG(uint64(rank), uint64(peer)))}}
		}
	}
	return w
}

// Send copies a frame and hands it over when it would have arrived.
func (t *Transport) Send(peer int, h *wire.Header, payload [][]byte, done transport.Completion) bool {
	l := t.lines[peer]
	if l == nil || t.closed {
		return t.Transport.Send(peer, h, payload, done)
	}
	n := 0
	for _, b := range payload {
		n += len(b)
	}
	b := make([]byte, 0, n)
	for _, p := range payload {
		b = append(b, p...)
	}
	now := time.Since(t.start)
	ready, due := l.link.add(now, wire.HeaderSize+n)
	l.frames = append(l.frames, delayed{due, *h, b})
	t.queued++
	at := due
	if done != nil && ready > now {
		l.waiting = append(l.waiting, waiting{ready, done})
		at = min(at, ready)
	}
	if int64(at) < t.next.Load() {
		t.next.Store(int64(at))
		t.Wake() // who waits for longer
	}
	return done == nil || ready == now
}

// Detach gives a sender its payload back, which has been copied.
func (t *Transport) Detach(peer int, done transport.Completion) {
	l := t.lines[peer]
	if l == nil {
		t.Transport.Detach(peer, done)
		return
	}
	for i := range l.waiting {
		if l.waiting[i].done == done {
			l.waiting[i].done = nil
		}
	}
}

// Poll hands over what is due and polls.
func (t *Transport) Poll(hint int) bool {
	progress := t.release()
	return t.Transport.Poll(hint) || progress
}

// release hands over the frames that are due and tells the completions that are.
func (t *Transport) release() (progress bool) {
	next := time.Duration(t.next.Load())
	if int64(next) == never || t.closed {
		return false
	}
	now := time.Since(t.start)
	if now < next {
		return false
	}
	t.next.Store(never) // what completions send from here on counts too
	for peer, l := range t.lines {
		if l == nil {
			continue
		}
		k := 0
		for k < len(l.frames) && l.frames[k].due <= now {
			f := &l.frames[k]
			t.Transport.Send(peer, &f.head, [][]byte{f.payload}, nil)
			f.payload = nil
			k++
		}
		if k > 0 {
			progress = true
			t.queued -= k
			l.frames = l.frames[k:]
		}
		for len(l.waiting) > 0 && l.waiting[0].ready <= now {
			done := l.waiting[0].done
			l.waiting = l.waiting[1:]
			if done != nil {
				progress = true
				done.Sent(nil)
			}
		}
		first := never
		if len(l.frames) > 0 {
			first = int64(l.frames[0].due)
		}
		if len(l.waiting) > 0 {
			first = min(first, int64(l.waiting[0].ready))
		}
		t.next.Store(min(first, t.next.Load()))
	}
	return progress
}

// Wait waits until a frame is due at the latest.
func (t *Transport) Wait(d time.Duration) {
	if next := t.next.Load(); next != never {
		until := max(time.Duration(next)-time.Since(t.start), 0)
		if d < 0 || until < d {
			d = until
		}
	}
	t.Transport.Wait(d)
}

// Pending reports whether frames are on their way.
func (t *Transport) Pending() bool { return t.queued > 0 || t.Transport.Pending() }

// Close drops the frames on their way and closes.
func (t *Transport) Close() error {
	t.closed = true
	for _, l := range t.lines {
		if l != nil {
			l.frames, l.waiting = nil, nil
		}
	}
	t.queued = 0
	t.next.Store(never)
	return t.Transport.Close()
}
