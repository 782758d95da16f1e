package agent

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/pkg/errors"
)

// Outbox queues frames for one writer. Urgent frames overtake bulk. Sending
// never waits: what bounds the bulk is the credits of its sender.
type Outbox struct {
	mu     sync.Mutex
	wake   *sync.Cond
	urgent []byte          // encoded; guarded by mu
	bulk   [][]byte        // encoded frames; guarded by mu
	closed bool            // guarded by mu
	busy   bool            // guarded by mu: a batch is being written
	idle   []chan struct{} // guarded by mu: closed when nothing is queued or being written
}

// NewOutbox returns an empty outbox. Somebody has to call Write.
func NewOutbox() *Outbox {
	o := &Outbox{}
	o.wake = sync.NewCond(&o.mu)
	return o
}

// Send queues a control frame. The payload is copied.
func (o *Outbox) Send(f Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.urgent = AppendFrame(o.urgent, f)
	o.wake.Signal()
}

// SendJSON queues a control frame with v as its payload.
func (o *Outbox) SendJSON(k Kind, rank int, v any) {
	text, err := json.Marshal(v)
	if err != nil { // our own types of strings and numbers
		panic(errors.Wrap(err, "agent: frame"))
	}
	o.Send(Frame{Kind: k, Rank: rank, Payload: text})
}

// SendBulk queues a frame behind all control frames and all earlier bulk. The
// payload is copied.
func (o *Outbox) SendBulk(f Frame) {
	o.SendFrames(AppendFrame(make([]byte, 0, headerLen+len(f.Payload)), f))
}

// SendFrames is SendBulk for encoded frames, which are the outbox's from now on.
func (o *Outbox) SendFrames(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.bulk = append(o.bulk, b)
	o.wake.Signal()
}

// Close lets Write return once everything queued before is written.
func (o *Outbox) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.wake.Signal()
}

// Write writes queued frames until the outbox is closed and empty, or w fails.
// After a failure frames are dropped.
func (o *Outbox) Write(w io.Writer) error {
	var spare []byte
	for {
		o.mu.Lock()
		o.busy = false
		for len(o.urgent) == 0 && len(o.bulk) == 0 && !o.closed {
			o.settleLocked()
			o.wake.Wait()
		}
		// All that is urgent, and no more bulk than delays the next urgent
		// frame a little.
		batch := append(spare[:0], o.urgent...)
		o.urgent = o.urgent[:0]
		for len(o.bulk) > 0 && (len(batch) == 0 || len(batch)+len(o.bulk[0]) <= 2*MaxChunk) {
			batch = append(batch, o.bulk[0]...)
			o.bulk[0] = nil
			o.bulk = o.bulk[1:]
		}
		end := o.closed && len(batch) == 0
		o.busy = true
		if end {
			o.settleLocked()
		}
		o.mu.Unlock()
		if end {
			return nil
		}
		if _, err := w.Write(batch); err != nil {
			o.mu.Lock()
			o.closed, o.urgent, o.bulk = true, nil, nil
			o.settleLocked()
			o.mu.Unlock()
			return errors.Wrap(err, "channel")
		}
		spare = batch
	}
}

// settleLocked tells those who wait in Flush.
func (o *Outbox) settleLocked() {
	for _, c := range o.idle {
		close(c)
	}
	o.idle = nil
}

// Flush waits until everything queued before has been written, but not longer
// than d.
func (o *Outbox) Flush(d time.Duration) {
	o.mu.Lock()
	if o.closed || !o.busy && len(o.urgent) == 0 && len(o.bulk) == 0 {
		o.mu.Unlock()
		return
	}
	settled := make(chan struct{})
	o.idle = append(o.idle, settled)
	o.mu.Unlock()
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-settled:
	case <-late.C:
	}
}

// Credits bounds how much of a stream is on its way.
type Credits struct {
	mu     sync.Mutex
	more   *sync.Cond
	avail  int  // guarded by mu
	closed bool // guarded by mu
}

// NewCredits returns n credits.
func NewCredits(n int) *Credits {
	c := &Credits{avail: n}
	c.more = sync.NewCond(&c.mu)
	return c
}

// Take waits for credits and takes at most n of them. It returns 0 after Close.
func (c *Credits) Take(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.avail <= 0 && !c.closed {
		c.more.Wait()
	}
	if c.closed {
		return 0
	}
	n = min(n, c.avail)
	c.avail -= n
	return n
}

// TakeAll waits until n credits are there and takes them; more than the whole
// window would never be there, so it takes what brings the rest below zero. It
// reports false after Close.
func (c *Credits) TakeAll(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.avail <= 0 && !c.closed {
		c.more.Wait()
	}
	c.avail -= n
	return !c.closed
}

// Give returns n credits.
func (c *Credits) Give(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.avail += n
	c.more.Broadcast()
}

// Close ends all waiting.
func (c *Credits) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.more.Broadcast()
}
