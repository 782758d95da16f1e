// Package mem connects the ranks of one process by queues in memory. A test
// can delay frames, cut ranks off from each other and lose a rank. It works in
// a bubble of testing/synctest: all waiting is on channels and timers.
package mem

import (
	"context"
	stderrors "errors"
	"sync"
	"time"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// ErrKilled is what the peers of a killed rank see.
var ErrKilled = stderrors.New("connection reset")

// Net is the network of one job.
type Net struct {
	mu    sync.Mutex // guards all below and the queues of the ranks
	ranks []*Transport
	delay func(from, to int, h wire.Header) time.Duration
	cut   map[[2]int]bool
}

// New returns a network of n ranks without delay.
func New(n int) *Net {
	net := &Net{ranks: make([]*Transport, n), cut: map[[2]int]bool{}}
	for i := range net.ranks {
		net.ranks[i] = &Transport{net: net, rank: i, wake: make(chan struct{}, 1), in: make([]line, n)}
	}
	return net
}

// Join returns the transport of a rank, whose frames go to recv. What was sent
// to the rank before it joined is there.
func (n *Net) Join(rank int, recv transport.Receiver) *Transport {
	t := n.ranks[rank]
	t.recv = recv
	return t
}

// Delay makes frames sent from now on take what f says. Those of one sender to
// one receiver never overtake each other. f must not call the network.
func (n *Net) Delay(f func(from, to int, h wire.Header) time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay = f
}

// Cut holds back what two ranks send each other until Heal.
func (n *Net) Cut(a, b int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[pair(a, b)] = true
}

// Heal ends a Cut.
func (n *Net) Heal(a, b int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cut, pair(a, b))
	n.ranks[a].rouse()
	n.ranks[b].rouse()
}

// Kill loses a rank: its peers get what it has sent and then see its
// connection end, and it sees all of theirs end at once.
func (n *Net) Kill(rank int) { n.drop(rank, ErrKilled) }

func (n *Net) drop(rank int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.ranks[rank]
	if t.dead {
		return
	}
	t.dead = true
	for i, p := range n.ranks {
		if i == rank || p.dead {
			continue
		}
		p.in[rank].frames = append(p.in[rank].frames, frame{lost: err})
		t.in[i].frames = []frame{{lost: err}}
		p.rouse()
	}
	t.rouse()
}

func pair(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

// frame is one on its way, or the end of the line.
type frame struct {
	head    wire.Header
	payload []byte
	due     time.Time // zero: at once
	lost    error
}

// line holds the frames from one peer in order.
type line struct {
	frames []frame
	ended  bool // Lost has been called
	last   time.Time
}

// Transport is one rank's end of a Net.
type Transport struct {
	net  *Net
	rank int
	recv transport.Receiver
	wake chan struct{} // holds one: ends a Wait

	in             []line // by sender, guarded by net.mu
	dead           bool   // guarded by net.mu
	sent, received uint64 // owned by the engine's lock
}

var _ transport.Transport = (*Transport)(nil)

// Send copies the frame into the receiver's queue.
func (t *Transport) Send(peer int, h *wire.Header, payload [][]byte, _ transport.Completion) bool {
	n := 0
	for _, p := range payload {
		n += len(p)
	}
	if n != h.Payload() {
		panic("mem: frame of another length than its header says")
	}
	b := make([]byte, 0, n)
	for _, p := range payload {
		b = append(b, p...)
	}
	t.sent += uint64(wire.HeaderSize + n)
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	to := t.net.ranks[peer]
	if t.dead || to.dead {
		return true
	}
	f := frame{head: *h, payload: b}
	l := &to.in[t.rank]
	if t.net.delay != nil {
		if d := t.net.delay(t.rank, peer, *h); d > 0 || !l.last.IsZero() {
			f.due = time.Now().Add(d)
			if f.due.Before(l.last) {
				f.due = l.last
			}
			l.last = f.due
		}
	}
	l.frames = append(l.frames, f)
	to.rouse()
	return true
}

// Discard drops what is left of the frame that is being delivered. Payloads
// are copied whole, so only a Receiver that discards within Begin notices.
func (t *Transport) Discard(int) {}

// Detach has nothing to do: payloads are copied.
func (t *Transport) Detach(int, transport.Completion) {}

// Poll delivers the frames that are due.
func (t *Transport) Poll(int) bool {
	progress := false
	for peer := range t.in {
		for {
			f, ok := t.next(peer)
			if !ok {
				break
			}
			progress = true
			if !t.deliver(peer, &f) {
				break
			}
		}
	}
	return progress
}

func (t *Transport) deliver(peer int, f *frame) bool {
	if f.lost == nil {
		buf, err := t.recv.Begin(peer, &f.head)
		if err == nil {
			if buf != nil {
				if len(buf) != len(f.payload) {
					panic("mem: receiver gave memory of another length than the payload's")
				}
				copy(buf, f.payload)
			}
			t.received += uint64(wire.HeaderSize + len(f.payload))
			t.recv.End(peer, &f.head)
			return true
		}
		f.lost = err
	}
	t.net.mu.Lock()
	ended := t.in[peer].ended
	t.in[peer] = line{ended: true}
	if other := t.net.ranks[peer]; !ended && !t.dead && !other.dead {
		other.in[t.rank].frames = append(other.in[t.rank].frames, frame{lost: f.lost})
		other.rouse()
	}
	t.net.mu.Unlock()
	if !ended {
		t.recv.Lost(peer, f.lost)
	}
	return false
}

// next takes the next frame of a peer that is due.
func (t *Transport) next(peer int) (frame, bool) {
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	l := &t.in[peer]
	if l.ended || len(l.frames) == 0 || t.net.cut[pair(t.rank, peer)] {
		return frame{}, false
	}
	f := l.frames[0]
	if !f.due.IsZero() && time.Now().Before(f.due) {
		return frame{}, false
	}
	l.frames[0] = frame{}
	l.frames = l.frames[1:]
	return f, true
}

// Wait blocks until a frame comes or is due.
func (t *Transport) Wait(d time.Duration) {
	if due, ok := t.due(); ok {
		if until := max(time.Until(due), 0); d < 0 || until < d {
			d = until
		}
	}
	if d < 0 {
		<-t.wake
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	select {
	case <-t.wake:
	case <-ctx.Done():
	}
}

// due is when the next frame is to be delivered.
func (t *Transport) due() (first time.Time, ok bool) {
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	for peer := range t.in {
		l := &t.in[peer]
		if l.ended || len(l.frames) == 0 || t.net.cut[pair(t.rank, peer)] {
			continue
		}
		if due := l.frames[0].due; !ok || due.Before(first) {
			first, ok = due, true
		}
	}
	return first, ok
}

// Wake ends the current or the next Wait.
func (t *Transport) Wake() { t.rouse() }

func (t *Transport) rouse() {
	select {
	case t.wake <- struct{}{}:
	default: // the next Wait ends anyway
	}
}

// PollBudget is zero: the frames come from other goroutines.
func (t *Transport) PollBudget() time.Duration { return 0 }

// Polls is one.
func (t *Transport) Polls(int) int { return 1 }

// Pending is false: frames are with the receiver at once.
func (t *Transport) Pending() bool { return false }

// Link is Linked for all peers that live.
func (t *Transport) Link(peer int) transport.Link {
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	if t.dead || t.net.ranks[peer].dead {
		return transport.Unlinked
	}
	return transport.Linked
}

// Bytes counts headers and payloads.
func (t *Transport) Bytes() (sent, received uint64) { return t.sent, t.received }

// Close ends the connections with all peers.
func (t *Transport) Close() error {
	t.net.drop(t.rank, errClosed)
	return nil
}

var errClosed = stderrors.New("connection closed")
