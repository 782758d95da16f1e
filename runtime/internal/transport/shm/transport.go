//go:build linux && !portable

package shm

import (
	stderrors "errors"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/frames"
)

const (
	oneTurn    = 1 << 20 // bytes moved for one peer before it is another's turn
	sweepEvery = 8       // calls of Poll with a hint between looks at all peers of this host
	restEvery  = 16      // and at those of other hosts
	lifeEvery  = 1024    // calls of Poll between looks at the processes of peers
	polls      = 200     // calls of Poll between giving up the core: about 2 µs, some times what that costs
	eventSlots = 16
)

// Rest moves the frames of the peers that share no memory with this rank.
type Rest interface {
	transport.Transport
	// Watch has every Wait end while fd can be read, until fd is closed.
	Watch(fd int) error
}

// errEnded is why a peer is lost that has not closed its end.
var errEnded = stderrors.New("its process has ended")

// Transport moves frames through shared memory, and others through Rest.
type Transport struct {
	rest   Rest
	seg    *Segment
	recv   transport.Receiver
	own    *slot
	peers  []*peer // by rank; nil: not in the memory
	locals []*peer
	remote bool // there are others

	// Guarded by the engine's lock.
	blocked        []*peer // their queues are not empty, or they are to be lost
	outcomes       frames.Outcomes
	spare          frames.Pool
	polled         uint
	sent, received uint64
	dying          bool // some peer's process has ended, its ring may not be empty
	closed         bool

	life   int         // epoll instance of the peers' processes
	rested atomic.Bool // a Wait has ended: look at life
	waitMu sync.Mutex  // held during Wait
	over   bool        // guarded by waitMu
}

// peer is a rank of this host.
type peer struct {
	rank    int
	in      receiver
	out     sender
	stream  frames.Stream
	queue   frames.Queue
	blocked bool        // in Transport.blocked
	err     error       // it breaks the rules: to be lost by the next Poll
	lost    atomic.Bool // written under the engine's lock
	dead    bool        // its process has ended
	slot    *slot
	bell    int
	pidfd   int // -1: none
}

// Join returns the transport of this rank, whose frames go to recv. slots holds
// the slot of each rank of the job that is reached through the memory, negative
// for all others and for this rank. All of them have opened the memory. It
// takes over the segment and rest, also when it fails.
func (s *Segment) Join(slots []int, rest Rest, recv transport.Receiver) (*Transport, error) {
	t := &Transport{rest: rest, seg: s, recv: recv, own: s.slot(s.own), peers: make([]*peer, len(slots)), life: -1}
	if err := t.join(slots); err != nil {
		t.Close()
		return nil, errors.WithMessage(err, "shared memory")
	}
	return t, nil
}

func (t *Transport) join(slots []int) (err error) {
	s := t.seg
	if t.life, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return errors.Wrap(err, "epoll")
	}
	others := 0
	for rank, i := range slots {
		if i < 0 {
			others++
			continue
		}
		if i >= s.slots || i == s.own {
			return errors.Errorf("rank %d has slot %d of %d", rank, i, s.slots)
		}
		p := &peer{rank: rank, slot: s.slot(i), bell: s.bells[i]}
		if l, r := p.slot.layout.Load(), p.slot.rank.Load(); l != layout || r != uint32(rank) {
			return errors.Errorf("slot %d: layout %#x of rank %d, want %#x of rank %d", i, l, r, uint64(layout), rank)
		}
		p.in.ring, p.out.ring = s.ring(i, s.own), s.ring(s.own, i)
		p.stream.Peer = rank
		if p.pidfd, err = unix.PidfdOpen(int(p.slot.pid.Load()), 0); err != nil {
			// Kernels and sandboxes without it leave that to the agent.
			p.pidfd = -1
			p.dead = err == unix.ESRCH
			t.dying = t.dying || p.dead
		} else if err := unix.EpollCtl(t.life, unix.EPOLL_CTL_ADD, p.pidfd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(rank)}); err != nil {
			_ = unix.Close(p.pidfd)
			return errors.Wrapf(err, "process of rank %d", rank)
		}
		t.peers[rank] = p
		t.locals = append(t.locals, p)
	}
	t.remote = others > 1
	if err := t.rest.Watch(t.life); err != nil {
		return err
	}
	return t.rest.Watch(s.bells[s.own])
}

// Discard throws away the rest of the payload that is arriving from a peer;
// see transport.Transport.
func (t *Transport) Discard(rank int) {
	if p := t.peers[rank]; p != nil {
		p.stream.Discard()
		return
	}
	t.rest.Discard(rank)
}

// Detach gives a sender its payload back; see transport.Transport.
func (t *Transport) Detach(rank int, done transport.Completion) {
	p := t.peers[rank]
	switch {
	case p == nil:
		t.rest.Detach(rank, done)
	case !p.queue.Own(&t.spare, done):
		t.outcomes.Forget(done)
	}
}

// PollBudget is that of the other transport: it knows how many ranks share how
// many cores.
func (t *Transport) PollBudget() time.Duration { return t.rest.PollBudget() }

// Polls is many while no system call is needed to see whether a frame has come.
func (t *Transport) Polls(hint int) int {
	switch {
	case hint >= 0 && t.peers[hint] != nil:
		return polls
	case !t.remote:
		return max(polls/len(t.locals), 1) // each looks at all
	}
	return t.rest.Polls(hint)
}

// Pending reports whether frames wait for room.
func (t *Transport) Pending() bool {
	return len(t.blocked) > 0 || len(t.outcomes) > 0 || t.rest.Pending()
}

// Link says whether there is a way to a peer.
func (t *Transport) Link(rank int) transport.Link {
	switch p := t.peers[rank]; {
	case p == nil:
		return t.rest.Link(rank)
	case p.lost.Load():
		return transport.Unlinked
	}
	return transport.Linked
}

// Bytes returns the bytes sent and received; frames count as sent when they
// are handed over.
func (t *Transport) Bytes() (sent, received uint64) {
	sent, received = t.rest.Bytes()
	return sent + t.sent, received + t.received
}

// Close tells all peers, and gives the memory back. Calls after the first do
// nothing.
func (t *Transport) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	for _, p := range t.locals {
		if !p.lost.Load() {
			t.hangUp(p)
		}
		p.queue = frames.Queue{}
	}
	t.blocked = nil
	err := t.rest.Close() // ends a Wait
	t.waitMu.Lock()
	defer t.waitMu.Unlock()
	t.over = true
	if t.life >= 0 {
		_ = unix.Close(t.life)
	}
	return stderrors.Join(err, t.seg.Close())
}

// hangUp tells a peer that this rank neither sends nor receives any more.
func (t *Transport) hangUp(p *peer) {
	p.out.closed.Store(1)
	p.rouse()
	if p.pidfd >= 0 {
		_ = unix.Close(p.pidfd) // leaves the epoll set by that
		p.pidfd = -1
	}
}

// rouse ends the peer's sleep, after a store that it looked for before.
func (p *peer) rouse() {
	if p.slot.sleeping.Load() == 0 || !p.slot.sleeping.CompareAndSwap(1, 0) {
		return
	}
	one := [8]byte{1} // the counter is in the machine's order, and any value but zero rings
	unix.RawSyscall(unix.SYS_WRITE, uintptr(p.bell), uintptr(unsafe.Pointer(&one[0])), 8)
}
