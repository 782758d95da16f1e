//go:build !linux || portable

package tcp

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/frames"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

const (
	maxArrived = 1 << 20 // bytes read from a peer ahead of Poll
	maxWrite   = 1 << 20 // bytes handed to the system at once

	// A host that has vanished is found by the system: on Linux also when data
	// is under way, but then a process that is suspended for as long is lost too.
	patrols = false
)

// Transport moves frames over the connections of a mesh: for each peer a
// goroutine reads and another writes, and Poll hands on what has been read.
type Transport struct {
	listener *Listener
	recv     transport.Receiver
	limit    uint64
	wg       sync.WaitGroup
	bell     chan struct{} // size 1: something to poll, or Wake
	done     chan struct{} // closed by Close
	peers    []*peer       // by rank; nil for this rank

	// Guarded by the engine's lock.
	closed         bool
	sent, received uint64

	mu       sync.Mutex
	outcomes frames.Outcomes // guarded by mu; completions to tell at the next Poll
	spare    frames.Pool     // guarded by mu
	queued   int             // guarded by mu; peers with a queue
	over     bool            // guarded by mu; Close was called
}

// peer is the connection to one rank.
type peer struct {
	conn  *net.TCPConn    // nil: not yet, see late
	late  bool            // guarded by the engine's lock; to be connected on first use
	in    frames.Stream   // guarded by the engine's lock
	lost  bool            // guarded by the engine's lock
	taken []*frames.Chunk // guarded by the engine's lock; empty between calls of take

	// Guarded by Transport.mu.
	arrived []*frames.Chunk // read, not yet taken by Poll
	ended   error           // of the reader, after arrived
	failed  error           // of the writer
	out     frames.Queue
	counted bool       // in Transport.queued
	writing bool       // the writer uses what out refers to, without mu
	room    *sync.Cond // arrived was taken, or the transport closed
	work    *sync.Cond // out is not empty, or the connection ended
	idle    *sync.Cond // writing has ended
}

func newTransport(l *Listener, conns []*net.TCPConn, recv transport.Receiver) (*Transport, error) {
	t := &Transport{
		listener: l,
		recv:     recv,
		limit:    l.cfg.MaxFrame,
		bell:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		peers:    make([]*peer, len(conns)),
	}
	for i, c := range conns {
		late := l.awaits(i)
		if c == nil && !late {
			continue
		}
		p := &peer{late: late, room: sync.NewCond(&t.mu), work: sync.NewCond(&t.mu), idle: sync.NewCond(&t.mu)}
		p.in.Peer = i
		t.peers[i] = p
		if c != nil {
			t.serve(p, c)
		}
	}
	l.attend(t.Wake)
	return t, nil
}

// serve begins to read and write a connection.
func (t *Transport) serve(p *peer, c *net.TCPConn) {
	p.conn = c
	t.wg.Go(func() { t.read(p) })
	t.wg.Go(func() { t.write(p) })
}

// adopt takes over the connections that have been made on first use.
func (t *Transport) adopt() {
	for _, c := range t.listener.latecomers() {
		p := t.peers[c.rank]
		err := c.err
		if err == nil {
			err = errors.Wrap(tune(c.conn), "socket options")
		}
		switch {
		case p == nil || !p.late: // the rank is reached another way: its program is not ours
			if c.conn != nil {
				c.conn.Close()
			}
			continue
		case err == nil:
			t.serve(p, c.conn)
		default:
			if c.conn != nil {
				c.conn.Close()
			}
			t.mu.Lock()
			p.ended = err // for take
			t.mu.Unlock()
		}
		p.late = false
		tell(t.recv, c.rank, err)
	}
}

// read moves bytes from the connection to p.arrived until it ends.
func (t *Transport) read(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		for len(p.arrived)*frames.ChunkSize >= maxArrived && !t.over {
			p.room.Wait()
		}
		if t.over {
			return
		}
		c := t.spare.Get()
		t.mu.Unlock()
		n, err := p.conn.Read(c.B[:])
		t.mu.Lock()
		if c.N = n; n > 0 {
			p.arrived = append(p.arrived, c)
		} else {
			t.spare.Put(c)
		}
		if err != nil {
			if err != io.EOF {
				err = errors.Wrap(err, "receive")
			}
			p.ended = err
			p.work.Signal()
		}
		t.Wake()
		if err != nil {
			return
		}
	}
}

// write moves p.out to the connection until it ends.
func (t *Transport) write(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var batch, kept net.Buffers
	for {
		for p.out.Empty() && p.ended == nil && !t.over {
			p.work.Wait()
		}
		if p.ended != nil || t.over {
			return
		}
		kept = kept[:0]
		asked := 0
		for _, s := range p.out.Pending() {
			b := s.Data[:min(len(s.Data), maxWrite-asked)]
			if len(b) == 0 {
				break
			}
			kept = append(kept, b)
			asked += len(b)
		}
		batch = kept // WriteTo consumes it
		p.writing = true
		t.mu.Unlock()
		n, err := batch.WriteTo(p.conn)
		t.mu.Lock()
		p.writing = false
		p.idle.Signal()
		clear(kept)
		t.outcomes = p.out.Advance(&t.spare, int(n), t.outcomes)
		if err != nil {
			p.failed = errors.Wrap(err, "send")
			t.outcomes = p.out.Fail(&t.spare, p.failed, t.outcomes)
			p.conn.CloseRead() // the reader meets the end after what has arrived
		}
		t.count(p)
		t.Wake()
		if err != nil {
			return
		}
	}
}

// Send hands over a frame; see transport.Transport.
func (t *Transport) Send(rank int, h *wire.Header, payload [][]byte, done transport.Completion) bool {
	p := t.peers[rank]
	if p == nil || p.lost || t.closed {
		return true
	}
	size := frames.Total(payload)
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.failed != nil || p.ended != nil {
		return true
	}
	t.sent += uint64(wire.HeaderSize + size)
	if p.late && p.out.Empty() {
		t.listener.want(rank)
	}
	// The writer must not hold memory that a Detach wants back, so all is copied.
	var head [wire.HeaderSize]byte
	h.Encode(head[:])
	p.out.Copy(&t.spare, head[:])
	for _, b := range payload {
		p.out.Copy(&t.spare, b)
	}
	p.out.Mark(done)
	t.count(p)
	p.work.Signal()
	return false
}

// Discard throws away the rest of the payload that is arriving from a peer;
// see transport.Transport.
func (t *Transport) Discard(rank int) {
	if p := t.peers[rank]; p != nil {
		p.in.Discard()
	}
}

// Detach gives a sender its payload back; see transport.Transport.
func (t *Transport) Detach(rank int, done transport.Completion) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[rank]; p == nil || !p.out.Own(&t.spare, done) {
		t.outcomes.Forget(done)
	}
}

// count keeps queued; called with mu held when p.out may have changed.
func (t *Transport) count(p *peer) {
	switch queued := !p.out.Empty(); {
	case queued && !p.counted:
		t.queued++
	case !queued && p.counted:
		t.queued--
	}
	p.counted = !p.out.Empty()
}

// Poll hands on what has been read; see transport.Transport.
func (t *Transport) Poll(int) bool {
	if t.closed {
		return false
	}
	progress := t.tell()
	if t.listener.news.Load() {
		t.adopt()
		progress = true
	}
	for rank, p := range t.peers {
		if p != nil && !p.lost && !p.late {
			progress = t.take(rank, p) || progress
		}
	}
	return t.tell() || progress
}

// take hands on what one peer has sent.
func (t *Transport) take(rank int, p *peer) bool {
	t.mu.Lock()
	arrived, ended := p.arrived, p.ended
	p.arrived = p.taken // takes turns with it
	if p.failed != nil && ended != nil {
		ended = p.failed
	}
	p.room.Signal()
	t.mu.Unlock()
	for _, c := range arrived {
		t.received += uint64(c.N)
		if err := p.in.Feed(t.recv, t.limit, c.B[:c.N]); err != nil {
			ended = errors.WithMessage(err, "receive")
			break
		}
	}
	if ended != nil && p.conn != nil {
		p.conn.Close()
	}
	t.mu.Lock()
	for _, c := range arrived {
		t.spare.Put(c)
	}
	some := len(arrived) > 0
	clear(arrived)
	p.taken = arrived[:0]
	if ended != nil {
		p.ended = ended
		p.work.Signal()
		p.room.Signal()
		for p.writing { // not for long: the connection is closed
			p.idle.Wait()
		}
		t.outcomes = p.out.Fail(&t.spare, ended, t.outcomes)
		t.count(p)
	}
	t.mu.Unlock()
	if ended != nil {
		p.lost = true
		t.tell()
		t.recv.Lost(rank, ended)
	}
	return some || ended != nil
}

// tell reports completions and whether there were any.
func (t *Transport) tell() (told bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := 0; i < len(t.outcomes); i++ { // a completion may send, and the writers add others
		o := t.outcomes[i]
		t.outcomes[i].Done = nil
		told = true
		if o.Done != nil {
			t.mu.Unlock()
			o.Done.Sent(o.Err)
			t.mu.Lock()
		}
	}
	clear(t.outcomes)
	t.outcomes = t.outcomes[:0]
	return told
}

// Wait blocks until there is something to poll; see transport.Transport.
func (t *Transport) Wait(d time.Duration) {
	var timeout <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-t.bell:
	case <-timeout:
	case <-t.done:
	}
}

// Wake ends the current or the next Wait.
func (t *Transport) Wake() {
	select {
	case t.bell <- struct{}{}:
	default:
	}
}

// PollBudget is zero: progress comes from other goroutines.
func (t *Transport) PollBudget() time.Duration { return 0 }

// Polls is one.
func (t *Transport) Polls(int) int { return 1 }

// Pending reports whether frames wait to be written.
func (t *Transport) Pending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.queued > 0 || len(t.outcomes) > 0
}

// Link says whether there is a connection to a peer.
func (t *Transport) Link(rank int) transport.Link {
	switch p := t.peers[rank]; {
	case p == nil || p.lost:
		return transport.Unlinked
	case p.late:
		return t.listener.link(rank)
	}
	return transport.Linked
}

// Bytes returns the bytes sent and received; frames count as sent when they
// are handed over.
func (t *Transport) Bytes() (sent, received uint64) { return t.sent, t.received }

// Close drops all connections and closes the listener. Calls after the first
// do nothing.
func (t *Transport) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	close(t.done)
	t.mu.Lock()
	t.over = true
	for _, p := range t.peers {
		if p != nil && p.conn != nil {
			p.conn.Close()
			p.room.Signal()
			p.work.Signal()
		}
	}
	t.mu.Unlock()
	err := t.listener.Close()
	t.wg.Wait()
	return err
}
