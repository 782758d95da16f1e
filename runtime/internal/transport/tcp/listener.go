// Package tcp connects the ranks of a job by one authenticated TCP connection
// a pair and moves frames over them.
//
// On Linux the connections are raw non-blocking descriptors in an epoll
// instance of their own, read and written by whoever drives the rank's engine:
// a message needs no goroutine switch on its way. Elsewhere, and with the
// build tag portable, goroutines read and write and Poll hands on what they
// have read.
package tcp

import (
	"container/list"
	"context"
	"crypto/rand"
	stderrors "errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/transport/frames"
)

// Defaults of a Config.
const (
	defaultHandshake = 2 * time.Second
	defaultLate      = time.Minute
	defaultMaxFrame  = frames.MaxFrame
)

// Config is what a rank's end of the mesh must know.
type Config struct {
	Job        string        // peers of another job are refused
	Rank, Size int           // this rank and the number of ranks
	Secret     []byte        // authenticates both ends of every connection
	Listen     string        // IP address to listen on; "127.0.0.1" when empty
	Ports      [2]int        // first and last port to try; any when zero
	HostRanks  int           // ranks that share this host's cores; 0 means 1
	HostCores  int           // how many these are; 0 means as many as this process may use
	Handshake  time.Duration // limit for the handshake of a connection; 2 s when zero
	OnDemand   OnDemand      // the connections that are made on first use; none when nil
	Late       time.Duration // limit for those; 1 min when zero
	MaxFrame   uint64        // longest frame to accept from a peer, in bytes; 1 TiB when zero
	Logger     *slog.Logger  // discards when nil
}

var (
	errSilent  = stderrors.New("said nothing in time")
	errHungUp  = stderrors.New("closed the connection before it had proved itself")
	errCrowded = stderrors.New("pushed out by newer connections before it had proved itself")
	errJoined  = stderrors.New("rank is connected already")
	errClosed  = stderrors.New("listener closed")
)

// Listener accepts the mesh connections of one rank, from before the ranks
// know one another's addresses until the job ends, and makes others. Whoever
// does not prove that it belongs to the job costs one of a bounded number of
// places and a fixed small buffer for at most the handshake limit, is told
// nothing, and is logged once for each cause and remote host.
type Listener struct {
	cfg  Config
	keys keys
	ln   *net.TCPListener
	wg   sync.WaitGroup
	done chan struct{} // closed by Close

	mu      sync.Mutex
	pending list.List        // guarded by mu; *net.TCPConn in a handshake, oldest first
	peers   []*net.TCPConn   // guarded by mu; accepted and not yet taken by Mesh, by rank
	sealed  bool             // guarded by mu; the mesh is complete or closed: nobody else
	logged  map[refusal]bool // guarded by mu
	arrived chan struct{}    // size 1: peers has changed

	// Connections on first use; see late.go.
	addrs    []string      // of all ranks; set by Mesh, before there is a transport
	calls    chan struct{} // has room for as many as may be dialed at a time
	pairings []pairing     // guarded by mu; by rank
	latest   []latecomer   // guarded by mu
	wake     func()        // guarded by mu; nil: there is no transport yet
	news     atomic.Bool   // latest is not empty
}

// refusal is what is logged once.
type refusal struct {
	cause string
	host  string
}

// maxLogged bounds what is remembered, and so logged, of refusals.
const maxLogged = 1000

// Listen opens the rank's port and begins to accept its peers.
func Listen(cfg Config) (*Listener, error) {
	if cfg.Size < 1 || cfg.Rank < 0 || cfg.Rank >= cfg.Size {
		return nil, errors.Errorf("rank %d of %d does not exist", cfg.Rank, cfg.Size)
	}
	if cfg.Size > 1 && len(cfg.Secret) == 0 {
		return nil, errors.New("a mesh needs a secret")
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1"
	}
	if cfg.Handshake == 0 {
		cfg.Handshake = defaultHandshake
	}
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = defaultMaxFrame
	}
	if cfg.Late == 0 {
		cfg.Late = defaultLate
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ln, err := listen(cfg.Listen, cfg.Ports, cfg.Rank)
	if err != nil {
		return nil, err
	}
	l := &Listener{
		cfg:     cfg,
		keys:    newKeys(cfg.Job, cfg.Secret),
		ln:      ln,
		done:    make(chan struct{}),
		peers:   make([]*net.TCPConn, cfg.Size),
		logged:  make(map[refusal]bool),
		arrived: make(chan struct{}, 1),

		calls:    make(chan struct{}, dialers),
		pairings: make([]pairing, cfg.Size),
	}
	l.wg.Go(l.serve)
	return l, nil
}

// listen takes the first free port of a range, beginning at a place that
// depends on the rank so that ranks of one host do not all try the same ones.
func listen(host string, ports [2]int, rank int) (*net.TCPListener, error) {
	cfg := net.ListenConfig{Control: unpaced}
	if net.ParseIP(host) == nil {
		return nil, errors.Errorf("listen on %q: not an IP address", host)
	}
	lo, hi := ports[0], ports[1]
	if lo < 0 || hi > 65535 || lo > hi {
		return nil, errors.Errorf("ports %d-%d: not a range of ports", lo, hi)
	}
	n := hi - lo + 1
	var last error
	for i := range n {
		addr := net.JoinHostPort(host, strconv.Itoa(lo+(rank+i)%n))
		ln, err := cfg.Listen(context.Background(), "tcp", addr)
		if err == nil {
			return ln.(*net.TCPListener), nil
		}
		last = err
		if !portTaken(err) {
			break
		}
	}
	if n > 1 {
		return nil, errors.Wrapf(last, "listen on %s, ports %d-%d", host, lo, hi)
	}
	return nil, errors.Wrap(last, "listen")
}

// Addr is the address that the listener's peers dial, "ip:port".
func (l *Listener) Addr() string { return l.ln.Addr().String() }

// Close stops accepting and dialing and drops the connections that no transport
// has taken. Calls after the first do nothing. A Transport closes its listener
// itself.
func (l *Listener) Close() error {
	l.mu.Lock()
	select {
	case <-l.done:
		l.mu.Unlock()
		return nil
	default:
	}
	close(l.done)
	l.sealed = true
	for e := l.pending.Front(); e != nil; e = e.Next() {
		e.Value.(*net.TCPConn).Close()
	}
	for i, c := range l.peers {
		if c != nil {
			c.Close()
			l.peers[i] = nil
		}
	}
	for i := range l.pairings {
		if stop := l.pairings[i].stop; stop != nil {
			stop()
		}
	}
	for _, c := range l.latest {
		if c.conn != nil {
			c.conn.Close()
		}
	}
	l.latest = nil
	l.mu.Unlock()
	err := l.ln.Close()
	l.wg.Wait()
	return errors.Wrap(err, "close listener")
}

// serve accepts until the listener is closed.
func (l *Listener) serve() {
	// Enough places for all peers at once and some strangers; beyond, the
	// oldest goes first: a peer needs its place for a round trip or two, a
	// stranger that says nothing is the one that stays.
	places := l.cfg.Size + 64
	for {
		c, err := l.ln.AcceptTCP()
		if err != nil {
			select {
			case <-l.done:
				return
			case <-time.After(20 * time.Millisecond): // out of descriptors, most likely
				l.warn("mesh can not accept", err.Error(), "")
				continue
			}
		}
		l.mu.Lock()
		if l.closed() {
			l.mu.Unlock()
			c.Close()
			return
		}
		var oldest *net.TCPConn
		if l.pending.Len() >= places {
			oldest = l.pending.Remove(l.pending.Front()).(*net.TCPConn)
		}
		place := l.pending.PushBack(c)
		l.mu.Unlock()
		if oldest != nil {
			oldest.Close()
			l.refuse(oldest, errCrowded)
		}
		l.wg.Go(func() { l.greet(c, place) })
	}
}

func (l *Listener) closed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// greet takes one connection through the handshake and keeps or refuses it.
func (l *Listener) greet(c *net.TCPConn, place *list.Element) {
	c.SetDeadline(time.Now().Add(l.cfg.Handshake))
	rank, err := l.accept(c, place)
	l.mu.Lock()
	crowded := !l.leavePending(place)
	switch late := err == nil && l.late(rank); {
	case err != nil:
	case late && l.closed():
		err = errClosed
	case late:
		c.SetDeadline(time.Time{})
		l.pairings[rank].stage = joined
		l.hand(latecomer{rank: rank, conn: c})
	case l.sealed:
		err = errJoined
	default:
		// A rank that dials again has lost its earlier attempt.
		if old := l.peers[rank]; old != nil {
			old.Close()
		}
		c.SetDeadline(time.Time{})
		l.peers[rank] = c
		select {
		case l.arrived <- struct{}{}:
		default:
		}
	}
	l.mu.Unlock()
	if err != nil {
		c.Close()
		// A rank hangs up, too, when the attempt of its peer was quicker.
		crossed := err == errCrossed || err == errHungUp && l.cfg.OnDemand != nil
		if !crowded && !crossed {
			l.refuse(c, err)
		}
	}
}

// leavePending takes a connection out of those that may be pushed out, and
// reports whether it was there. The lock is held.
func (l *Listener) leavePending(place *list.Element) bool {
	for e := l.pending.Front(); e != nil; e = e.Next() {
		if e == place {
			l.pending.Remove(e)
			return true
		}
	}
	return false
}

// accept is the acceptor's side of the handshake.
func (l *Listener) accept(c net.Conn, place *list.Element) (rank int, err error) {
	var hello [helloSize]byte
	if n, err := io.ReadFull(c, hello[:]); err != nil {
		if n > 0 && string(hello[:min(n, len(magic))]) != magic[:min(n, len(magic))] {
			return 0, errGarbage
		}
		return 0, refusalOf(err)
	}
	rank, err = l.keys.readHello(&hello, l.cfg.Rank, l.cfg.Size)
	if err != nil {
		return 0, err
	}
	late := l.late(rank)
	if !late && !dials(rank, l.cfg.Rank) {
		return 0, errRank
	}
	l.mu.Lock()
	sealed := l.sealed
	l.mu.Unlock()
	if sealed && !late {
		return 0, errJoined
	}
	ch := l.keys.challenge(&hello, newNonce())
	if _, err := c.Write(ch[:]); err != nil {
		return 0, refusalOf(err)
	}
	var proof [macSize]byte
	if _, err := io.ReadFull(c, proof[:]); err != nil {
		return 0, refusalOf(err)
	}
	if err := l.keys.readProof(&hello, &ch, &proof); err != nil {
		return 0, err
	}
	if late {
		if err := l.admit(rank, place); err != nil {
			return 0, err
		}
	}
	w := l.keys.welcome(&hello, &ch, &proof)
	if _, err := c.Write(w[:]); err != nil {
		if late {
			l.dismiss(rank)
		}
		return 0, refusalOf(err)
	}
	return rank, nil
}

// greetPeer is the dialer's side of the handshake. On first use it waits for the
// welcome as long as the connection lasts: an acceptor that has counted this rank
// in takes an end for its loss.
func (l *Listener) greetPeer(ctx context.Context, c *net.TCPConn, rank int, proved func()) error {
	hello := l.keys.hello(l.cfg.Rank, rank, newNonce())
	if _, err := c.Write(hello[:]); err != nil {
		return refusalOf(err)
	}
	var ch [challengeSize]byte
	if _, err := io.ReadFull(c, ch[:]); err != nil {
		return refusalOf(err)
	}
	if err := l.keys.readChallenge(&hello, &ch); err != nil {
		return err
	}
	proof := l.keys.proof(&hello, &ch)
	if l.late(rank) {
		if err := bound(c); err != nil { // a host that vanishes is found
			return errors.Wrap(err, "socket options")
		}
	}
	if _, err := c.Write(proof[:]); err != nil {
		return refusalOf(err)
	}
	if proved != nil {
		proved()
	}
	if l.late(rank) {
		c.SetDeadline(time.Time{})
		if ctx.Err() != nil { // maybe that has taken back the deadline by which ctx ends a read
			return context.Cause(ctx)
		}
	}
	var w [macSize]byte
	if _, err := io.ReadFull(c, w[:]); err != nil {
		return refusalOf(err)
	}
	return l.keys.readWelcome(&hello, &ch, &proof, &w)
}

// refusalOf names the cause behind an error of the connection.
func refusalOf(err error) error {
	if stderrors.Is(err, os.ErrDeadlineExceeded) {
		return errSilent
	}
	return errHungUp
}

// refuse logs why a connection was refused, once for each cause and host.
func (l *Listener) refuse(c *net.TCPConn, cause error) {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		host = c.RemoteAddr().String()
	}
	l.warn("mesh connection refused", cause.Error(), host)
}

// warn logs once for each cause and host.
func (l *Listener) warn(what, cause, host string) {
	l.mu.Lock()
	key := refusal{cause, host}
	quiet := l.closed() || l.logged[key] || len(l.logged) >= maxLogged
	if !quiet {
		l.logged[key] = true
	}
	l.mu.Unlock()
	if !quiet {
		l.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, what,
			slog.String("remote", host), slog.String("cause", cause))
	}
}

func newNonce() (n [nonceSize]byte) {
	rand.Read(n[:]) // never fails
	return n
}
