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
// payloads; a completion is told when the link would have taken all but what a
// socket's buffer holds. The word that the job has failed is not slowed, and
// ends the slowing of what was sent to the same peer before.
type Transport struct {
	transport.Transport // what really moves the frames

	start time.Time
	far   bool         // nothing comes from any peer within the time of a nap
	next  atomic.Int64 // when something is due, since start; never: no

	// Guarded by the engine's lock.
	lines  []*line // by rank; nil: not slowed
	queued int     // frames in lines
	closed bool
}

const never = int64(1<<63 - 1)

// nap is the end of a long Wait that is slept apart, because out of a deep sleep
// a processor wakes late. It is much longer than waking a goroutine takes.
const nap = 250 * time.Microsecond

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
	w.far = size > 1
	for peer := range w.lines {
		s := spec.Link(rank, peer)
		if s != (bootstrap.Link{}) {
			w.lines[peer] = &line{link: link{spec: s, random: rand.New(rand.NewPCG(uint64(rank), uint64(peer)))}}
		}
		if peer != rank && s.Delay-s.Jitter < nap {
			w.far = false
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
	now := time.Since(t.start)
	// A rank that sends and sends leaves nobody else the time to poll.
	t.deliver(peer, l, now)
	if h.Kind == wire.Revoke {
		t.deliver(peer, l, forever)
		return t.Transport.Send(peer, h, payload, done)
	}
	n := 0
	for _, b := range payload {
		n += len(b)
	}
	ready, due := l.link.add(now, wire.HeaderSize+n)
	if due == now && len(l.frames) == 0 {
		return t.Transport.Send(peer, h, payload, done) // a link with outages that is up
	}
	b := make([]byte, 0, n)
	for _, p := range payload {
		b = append(b, p...)
	}
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

// Detach gives a sender its payload back, which has been copied if it waits
// here.
func (t *Transport) Detach(peer int, done transport.Completion) {
	if l := t.lines[peer]; l != nil {
		for i := range l.waiting {
			if l.waiting[i].done == done {
				l.waiting[i].done = nil
				return
			}
		}
	}
	t.Transport.Detach(peer, done)
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
	for peer, l := range t.lines {
		if l == nil {
			continue
		}
		progress = t.deliver(peer, l, now) || progress
		for len(l.waiting) > 0 && l.waiting[0].ready <= now {
			done := l.waiting[0].done
			l.waiting = l.waiting[1:]
			if done != nil {
				progress = true
				done.Sent(nil)
			}
		}
	}
	// What completions have sent counts too, whomever to. A Wait may look at
	// next at any time, so that it is never later than what is due first.
	first := never
	for _, l := range t.lines {
		if l == nil {
			continue
		}
		if len(l.frames) > 0 {
			first = min(first, int64(l.frames[0].due))
		}
		if len(l.waiting) > 0 {
			first = min(first, int64(l.waiting[0].ready))
		}
	}
	t.next.Store(first)
	return progress
}

// deliver hands over what is due to a peer.
func (t *Transport) deliver(peer int, l *line, now time.Duration) bool {
	k := 0
	for k < len(l.frames) && l.frames[k].due <= now {
		f := &l.frames[k]
		t.Transport.Send(peer, &f.head, [][]byte{f.payload}, nil)
		f.payload = nil
		k++
	}
	t.queued -= k
	l.frames = l.frames[k:]
	return k > 0
}

// Lag is how long what has been sent is still under way, at most. The engine's
// lock is held.
func (t *Transport) Lag() time.Duration {
	now := time.Since(t.start)
	last := now
	for _, l := range t.lines {
		if l != nil && len(l.frames) > 0 {
			last = max(last, l.frames[len(l.frames)-1].due)
		}
	}
	return last - now
}

// Wait waits until a frame is due at the latest, or nearly.
func (t *Transport) Wait(d time.Duration) {
	if next := t.next.Load(); next != never {
		until := max(time.Duration(next)-time.Since(t.start), 0)
		if until > 4*nap {
			until -= nap
		}
		if d < 0 || until < d {
			d = until
		}
	}
	t.Transport.Wait(d)
}

// PollBudget is nothing where all peers are far: a caller that polls yields its
// core to whoever computes, and gets it back later than a timer wakes it.
func (t *Transport) PollBudget() time.Duration {
	if t.far {
		return 0
	}
	return t.Transport.PollBudget()
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
