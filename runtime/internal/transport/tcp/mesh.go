package tcp

import (
	"context"
	stderrors "errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/transport"
)

const (
	dialers     = 4 // connections that a rank dials at a time; more gain nothing on one host
	dialTimeout = 3 * time.Second
	firstRetry  = 2 * time.Millisecond
	lastRetry   = 250 * time.Millisecond
	slowDialing = 5 * time.Second // without a connection that frames wait for: a word to the user
)

// Mesh connects this rank with all others and returns the transport over these
// connections, whose frames go to recv. addrs are the addresses of all ranks
// in rank order; with a peer whose address is empty, here and there, there is
// no connection; those of Config.OnDemand are made later, for which addrs must
// not change any more. All ranks call it, in any order and at any time: a peer that
// does not answer is tried again until ctx ends; the error then names each
// rank that is missing, its address and the last cause. Mesh is called once;
// when it fails the listener is closed.
func (l *Listener) Mesh(ctx context.Context, addrs []string, recv transport.Receiver) (*Transport, error) {
	if len(addrs) != l.cfg.Size {
		l.Close()
		return nil, errors.Errorf("mesh: %d addresses for %d ranks", len(addrs), l.cfg.Size)
	}
	l.addrs = addrs
	conns, err := l.connect(ctx)
	if err == nil {
		var t *Transport
		if t, err = newTransport(l, conns, recv); err == nil {
			return t, nil
		}
	}
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
	l.Close()
	return nil, errors.WithMessage(err, "mesh")
}

// connect returns a connection to each peer, nil at this rank's own place and
// at those of peers without an address and of those to be connected later.
func (l *Listener) connect(ctx context.Context) ([]*net.TCPConn, error) {
	rank, size := l.cfg.Rank, l.cfg.Size
	addrs := slices.Clone(l.addrs) // of those to be connected now
	for peer := range addrs {
		if peer == rank || l.late(peer) {
			addrs[peer] = ""
		}
	}
	conns := make([]*net.TCPConn, size)
	causes := make([]error, size) // why a peer that we dial is not there

	// Each rank begins with its neighbour, so that not all call on the same
	// rank at once.
	var order []int
	for i := 1; i < size; i++ {
		if peer := (rank + i) % size; dials(rank, peer) && addrs[peer] != "" {
			order = append(order, peer)
		}
	}
	var mu sync.Mutex // guards order from here on
	next := func() (peer int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(order) == 0 {
			return 0, false
		}
		peer, order = order[0], order[1:]
		return peer, true
	}
	var wg sync.WaitGroup
	for range min(dialers, len(order)) {
		wg.Go(func() {
			for peer, ok := next(); ok; peer, ok = next() {
				conns[peer], causes[peer] = l.dial(ctx, peer, addrs[peer])
			}
		})
	}

	missing := 0
	for peer := range size {
		if dials(peer, rank) && addrs[peer] != "" {
			missing++
		}
	}
	var late error
	for missing > 0 && late == nil {
		select {
		case <-l.arrived:
		case <-ctx.Done():
			late = context.Cause(ctx)
		case <-l.done:
			late = errClosed
		}
		missing = 0
		l.mu.Lock()
		for peer, c := range l.peers {
			if dials(peer, rank) && addrs[peer] != "" && c == nil {
				missing++
			}
		}
		l.mu.Unlock()
	}
	wg.Wait()

	l.mu.Lock()
	l.sealed = true
	for peer, c := range l.peers {
		if c != nil {
			conns[peer], l.peers[peer] = c, nil
		}
	}
	l.mu.Unlock()

	var absent []string
	for peer, c := range conns {
		if c != nil || addrs[peer] == "" {
			continue
		}
		why := "has not connected"
		if causes[peer] != nil {
			why = causes[peer].Error()
		}
		absent = append(absent, "rank "+strconv.Itoa(peer)+" at "+addrs[peer]+": "+why)
	}
	if len(absent) > 0 {
		const shown = 4
		if more := len(absent) - shown; more > 0 {
			absent = append(absent[:shown], strconv.Itoa(more)+" more ranks")
		}
		if late == nil {
			if late = context.Cause(ctx); late == nil {
				late = errClosed
			}
		}
		return conns, errors.WithMessage(late, strings.Join(absent, "; "))
	}
	for peer, c := range conns {
		if c == nil {
			continue
		}
		if err := tune(c); err != nil {
			return conns, errors.Wrapf(err, "rank %d at %s: socket options", peer, addrs[peer])
		}
	}
	return conns, nil
}

// dial connects to one peer, again and again until ctx ends; the error is then
// that of the last attempt.
func (l *Listener) dial(ctx context.Context, peer int, addr string) (*net.TCPConn, error) {
	pause := firstRetry
	var last error
	for {
		c, err := l.dialOnce(ctx, peer, addr, nil)
		if err == nil {
			return c, nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // not the one that only says that time is up
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, last
		case <-l.done:
			t.Stop()
			return nil, errClosed
		}
		pause = min(2*pause, lastRetry)
	}
}

// dialOnce makes one attempt. proved, unless it is nil, is called when all that
// the peer needs has been sent to it, to count this rank in.
func (l *Listener) dialOnce(ctx context.Context, peer int, addr string, proved func()) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: -1, Control: unpaced}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		var op *net.OpError
		if stderrors.As(err, &op) {
			err = op.Err // the address is named above
		}
		return nil, errors.Wrap(err, "dial")
	}
	c := nc.(*net.TCPConn)
	c.SetDeadline(time.Now().Add(l.cfg.Handshake))
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	err = l.greetPeer(ctx, c, peer, proved)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.Close()
		return nil, errors.WithMessage(err, "handshake")
	}
	c.SetDeadline(time.Time{})
	return c, nil
}
