package tcp

import (
	"container/list"
	"context"
	stderrors "errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/transport"
)

// Connections on first use.
//
// In a job of many ranks most pairs never talk, and a connection a pair costs
// every rank descriptors, the kernel memory, and the job its start. Pairs of
// Config.OnDemand are connected when one of the two first sends, whose frames
// wait until then. When both do at the same time, both dial, and while the one
// that dials in a whole mesh does so it refuses the other: a pair has one
// connection.

// OnDemand reports whether the connection with a peer is made on first use. Both
// ends say the same.
type OnDemand func(peer int) bool

// stage is how far the connection with a peer is.
type stage uint8

const (
	apart   stage = iota // there is none, and nobody makes one
	queued               // this rank is to make it, when it has a place or after a pause
	dialing              // this rank makes it
	joining              // the peer makes it, and has proved who it is
	joined               // the transport has it, or word that it can not be made, or will at its next Poll
)

// pairing is a connection that is made on first use.
type pairing struct {
	stage  stage
	wanted bool               // frames wait for it
	tries  int                // times that dialing has begun
	stop   context.CancelFunc // ends dialing
}

// latecomer is the end of an attempt to connect.
type latecomer struct {
	rank int
	conn *net.TCPConn // nil: err says why
	err  error
}

// errCrossed is no news: the pair is connected, or being so, the other way round.
var errCrossed = stderrors.New("both ends connect")

// late reports whether the connection with a peer is made on first use.
func (l *Listener) late(peer int) bool {
	return l.cfg.OnDemand != nil && peer != l.cfg.Rank && l.cfg.OnDemand(peer)
}

// awaits reports whether a transport has to wait for the connection with a peer:
// it is made on first use, and the peer is not reached another way.
func (l *Listener) awaits(peer int) bool { return l.late(peer) && l.addrs[peer] != "" }

// attend has wake called when latecomers has something to return.
func (l *Listener) attend(wake func()) {
	l.mu.Lock()
	l.wake = wake
	l.mu.Unlock()
	if l.news.Load() {
		wake()
	}
}

// link is how far the connection with a peer is, whoever makes it.
func (l *Listener) link(peer int) transport.Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.pairings[peer].stage {
	case apart:
		return transport.Unlinked
	case joined:
		return transport.Linked
	}
	return transport.Linking
}

// want asks for the connection with a peer.
func (l *Listener) want(peer int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairings[peer].wanted = true
	l.begin(peer)
}

// begin dials a peer that is wanted, unless somebody does already. The lock is
// held.
func (l *Listener) begin(peer int) {
	p := &l.pairings[peer]
	if p.stage != apart || !p.wanted || l.closed() {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stage, p.stop = queued, stop
	p.tries++
	try, addr := p.tries, l.addrs[peer]
	l.wg.Go(func() {
		defer stop()
		c, err := l.dialLate(ctx, peer, addr, try)
		l.mu.Lock()
		defer l.mu.Unlock()
		if p.tries != try || p.stage != queued && p.stage != dialing || l.closed() { // the peer was quicker
			if c != nil {
				c.Close()
			}
			return
		}
		if err != nil {
			err = errors.WithMessagef(err, "connect to %s", addr)
		}
		p.stage = joined
		l.hand(latecomer{peer, c, err})
	})
}

// dialLate dials a peer until it is connected, ctx ends, or the attempts have
// taken Config.Late in all, of which one that this process is stopped in counts
// no more than one that fails. An attempt has a place until the peer has all that
// it needs: it may be stopped, and let others wait.
func (l *Listener) dialLate(ctx context.Context, peer int, addr string, try int) (*net.TCPConn, error) {
	pause := firstRetry
	var tried time.Duration
	for {
		select {
		case l.calls <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		free := sync.OnceFunc(func() { <-l.calls })
		if !l.move(peer, try, queued, dialing) {
			free()
			return nil, errCrossed
		}
		began := time.Now()
		c, err := l.dialOnce(ctx, peer, addr, free)
		free()
		if err == nil {
			return c, nil
		}
		l.move(peer, try, dialing, queued)
		tried += min(time.Since(began), dialTimeout+l.cfg.Handshake) + pause
		switch {
		case tried > l.cfg.Late:
			return nil, errors.WithMessagef(err, "not within %v", l.cfg.Late)
		case tried > slowDialing:
			l.warn("a rank can not be reached so far", errors.WithMessagef(err, "rank %d", peer).Error(), addr)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
		pause = min(2*pause, lastRetry)
	}
}

// move takes dialing a peer on a stage, if it is that try's and at the stage.
func (l *Listener) move(peer, try int, from, to stage) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.pairings[peer]
	if p.tries != try || p.stage != from {
		return false
	}
	p.stage = to
	return true
}

// admit lets a peer in that has proved who it is, with the connection at place,
// and dismiss takes that back when it could not be told so.
func (l *Listener) admit(peer int, place *list.Element) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.pairings[peer]
	switch {
	case !l.leavePending(place):
		return errCrowded
	case p.stage == joining, p.stage == joined, p.stage == dialing && dials(l.cfg.Rank, peer):
		return errCrossed
	case p.stage == queued, p.stage == dialing:
		p.stop()
	}
	p.stage = joining
	return nil
}

func (l *Listener) dismiss(peer int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairings[peer].stage = apart
	l.begin(peer)
}

// shortages are errors of this rank's system that say nothing of a peer.
var shortages = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL}

// short reports whether a connection failed for want of something here.
func short(err error) bool {
	return slices.ContainsFunc(shortages, func(s error) bool { return stderrors.Is(err, s) })
}

// tell tells a receiver who wants to know how an attempt has ended, unless that
// is the loss of the peer.
func tell(recv transport.Receiver, peer int, err error) {
	joiner, ok := recv.(transport.Joiner)
	switch {
	case !ok:
	case err == nil:
		joiner.Joined(peer)
	case short(err):
		joiner.Failed(err)
	}
}

// hand leaves the end of an attempt to the transport. The lock is held.
func (l *Listener) hand(c latecomer) {
	l.latest = append(l.latest, c)
	l.news.Store(true)
	if l.wake != nil {
		l.wake()
	}
}

// latecomers returns the attempts that have ended since it was last called.
func (l *Listener) latecomers() []latecomer {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.news.Store(false)
	out := l.latest
	l.latest = nil
	return out
}
