package tcp

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/transporttest"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// allLate has every pair connect on first use.
func allLate(cfg *Config) { cfg.OnDemand = func(int) bool { return true } }

func TestOnDemand(t *testing.T) {
	transporttest.Run(t, transporttest.Suite{
		Connect: func(t *testing.T, recv []transport.Receiver) []transport.Transport {
			var out []transport.Transport
			for _, tr := range mesh(t, recv, allLate, func(cfg *Config) { cfg.Late = time.Second }) {
				out = append(out, tr)
			}
			return out
		},
		OnDemand: true,
	})
}

// node is a rank that keeps the numbers of the frames that it gets.
type node struct {
	mu     sync.Mutex // the engine's
	tr     *Transport
	got    [][]uint64 // by peer
	joined []int
	lost   []error
	failed error

	stop atomic.Bool
	news chan struct{} // size 1
}

func (n *node) Begin(int, *wire.Header) ([]byte, error) { return nil, nil }
func (n *node) End(peer int, h *wire.Header)            { n.got[peer] = append(n.got[peer], h.ID) }
func (n *node) Lost(_ int, err error)                   { n.lost = append(n.lost, err) }
func (n *node) Joined(peer int)                         { n.joined = append(n.joined, peer) }
func (n *node) Failed(err error)                        { n.failed = err }

func (n *node) drive() {
	for !n.stop.Load() {
		n.mu.Lock()
		some := n.tr.Poll(-1)
		n.mu.Unlock()
		select {
		case n.news <- struct{}{}:
		default:
		}
		if !some {
			n.tr.Wait(-1)
		}
	}
}

func (n *node) send(peer int, id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tr.Send(peer, &wire.Header{Kind: wire.Clear, ID: id}, nil, nil)
}

func (n *node) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		n.mu.Lock()
		good := ok()
		n.mu.Unlock()
		if good {
			return
		}
		select {
		case <-n.news:
		case <-limit.C:
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// nodes makes size ranks, all of whose pairs connect on first use, and drives
// them until the test ends.
func nodes(t *testing.T, size int, change ...func(*Config)) []*node {
	t.Helper()
	out, recv := make([]*node, size), make([]transport.Receiver, size)
	for i := range out {
		out[i] = &node{got: make([][]uint64, size), news: make(chan struct{}, 1)}
		recv[i] = out[i]
	}
	var wg sync.WaitGroup
	for i, tr := range mesh(t, recv, append(change, allLate)...) {
		out[i].tr = tr
		wg.Go(out[i].drive)
	}
	t.Cleanup(func() {
		for _, n := range out {
			n.stop.Store(true)
			n.tr.Wake()
		}
		wg.Wait()
		for i, n := range out {
			n.mu.Lock()
			if err := n.tr.Close(); err != nil {
				t.Errorf("rank %d: %v", i, err)
			}
			n.mu.Unlock()
		}
	})
	return out
}

// TestFirstUse has one rank of a pair send: both have the connection then, and
// nobody has another.
func TestFirstUse(t *testing.T) {
	const size = 5
	all := nodes(t, size)
	links := func(rank int) (out []transport.Link) {
		n := all[rank]
		n.mu.Lock()
		defer n.mu.Unlock()
		for peer := range size {
			out = append(out, n.tr.Link(peer))
		}
		return out
	}
	for rank := range size {
		if got := links(rank); slices.Max(got) != transport.Unlinked {
			t.Fatalf("rank %d before the first frame: %v", rank, got)
		}
	}
	for _, pair := range [][2]int{{1, 4}, {4, 2}} {
		from, to := all[pair[0]], all[pair[1]]
		for id := range uint64(3) {
			from.send(pair[1], id)
		}
		to.until(t, fmt.Sprintf("frames from %d at %d", pair[0], pair[1]), func() bool {
			return slices.Equal(to.got[pair[0]], []uint64{0, 1, 2})
		})
		to.send(pair[0], 9)
		from.until(t, fmt.Sprintf("the answer at %d", pair[0]), func() bool { return slices.Equal(from.got[pair[1]], []uint64{9}) })
		from.until(t, "all sent", func() bool { return !from.tr.Pending() })
	}
	for rank, peers := range [][]int{{}, {4}, {4}, {}, {1, 2}} {
		for peer, link := range links(rank) {
			want := transport.Unlinked
			if slices.Contains(peers, peer) {
				want = transport.Linked
			}
			if link != want {
				t.Errorf("rank %d: link %d with %d, want %d", rank, link, peer, want)
			}
		}
		if got := all[rank].joined; !slices.Equal(got, peers) {
			t.Errorf("rank %d was told of %v, want %v", rank, got, peers)
		}
	}
}

// TestCrossed has all ranks send to all others at once: each pair gets one
// connection, over which all comes in order.
func TestCrossed(t *testing.T) {
	const frames = 20
	for _, size := range []int{2, 3, 9} {
		for range 5 {
			t.Run(fmt.Sprint(size), func(t *testing.T) {
				all := nodes(t, size)
				start := make(chan struct{})
				var wg sync.WaitGroup
				for rank, n := range all {
					wg.Go(func() {
						<-start
						for id := range uint64(frames) {
							for i := range size - 1 {
								n.send((rank+i+1)%size, id)
							}
						}
					})
				}
				close(start)
				wg.Wait()
				for rank, n := range all {
					n.until(t, fmt.Sprintf("frames at %d of %d", rank, size), func() bool {
						for peer, got := range n.got {
							if peer != rank && len(got) < frames {
								return false
							}
						}
						return len(n.joined) == size-1
					})
				}
				for rank, n := range all {
					n.mu.Lock()
					for peer, got := range n.got {
						for i, id := range got {
							if id != uint64(i) {
								t.Errorf("rank %d: frames %v from %d", rank, got, peer)
								break
							}
						}
					}
					if len(n.lost) > 0 {
						t.Errorf("rank %d: lost %v", rank, n.lost)
					}
					n.mu.Unlock()
				}
				checkPairs(t, all)
			})
		}
	}
}

// TestLateAbsent sends to a rank that listens no more.
func TestLateAbsent(t *testing.T) {
	all := nodes(t, 2, func(cfg *Config) { cfg.Late = 200 * time.Millisecond })
	all[1].tr.listener.Close()
	n := all[0]
	n.send(1, 1)
	n.until(t, "the loss", func() bool { return len(n.lost) > 0 })
	n.mu.Lock()
	defer n.mu.Unlock()
	want := "connect to " + all[1].tr.listener.Addr() + ": "
	if err := n.lost[0].Error(); len(n.lost) != 1 || !strings.HasPrefix(err, want) || !strings.Contains(err, "connection refused") {
		t.Errorf("lost with %v, want %s…connection refused", n.lost, want)
	}
	if n.tr.Pending() || n.tr.Link(1) != transport.Unlinked {
		t.Errorf("pending %v, link %d", n.tr.Pending(), n.tr.Link(1))
	}
}

// TestCloseWhileDialing closes a rank whose frames wait for a connection.
func TestCloseWhileDialing(t *testing.T) {
	all := nodes(t, 3)
	all[2].tr.listener.Close()
	n := all[1]
	n.send(2, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.tr.Pending() || n.tr.Link(2) != transport.Linking {
		t.Errorf("pending %v, link %d", n.tr.Pending(), n.tr.Link(2))
	}
	if err := n.tr.Close(); err != nil { // ends dialing, or the goroutine is found to leak
		t.Error(err)
	}
}

// TestGivesWay has a rank let a peer in while it dials it, and then fail to say
// so: it dials again, and the end of its first attempt is not taken for that of
// the second.
func TestGivesWay(t *testing.T) {
	all := nodes(t, 3)
	if !dials(2, 0) {
		t.Fatal("rank 0 does not give way to rank 2")
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0") // answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	n := all[0]
	l := n.tr.listener
	addrs := slices.Clone(l.addrs)
	l.addrs = slices.Clone(addrs)
	l.addrs[2] = mute.Addr().String()
	n.send(2, 1)
	c, err := mute.Accept() // it dials
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.mu.Lock()
	l.addrs = addrs
	place := l.pending.PushBack(c)
	l.mu.Unlock()
	if err := l.admit(2, place); err != nil {
		t.Fatal(err)
	}
	l.dismiss(2)
	all[2].until(t, "the frame", func() bool { return len(all[2].got[0]) > 0 })
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.lost) > 0 {
		t.Errorf("lost %v", n.lost)
	}
}

// TestSlowWelcome has an acceptor count a rank in and say so late: the rank waits,
// since to hang up would be its loss.
func TestSlowWelcome(t *testing.T) {
	const handshake = time.Second // of which this test may take most before the proof
	cfg := testConfig(0, 2)
	allLate(&cfg)
	cfg.Handshake = handshake
	l, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	n := &node{got: make([][]uint64, 2), news: make(chan struct{}, 1)}
	if n.tr, err = l.Mesh(t.Context(), []string{l.Addr(), ln.Addr().String()}, n); err != nil {
		t.Fatal(err)
	}
	go n.drive()
	defer func() {
		n.stop.Store(true)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.tr.Close()
	}()
	n.send(1, 7)
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	keys := newKeys("job", []byte("secret"))
	var hello [helloSize]byte
	var proof [macSize]byte
	if _, err := io.ReadFull(c, hello[:]); err != nil {
		t.Fatal(err)
	}
	ch := keys.challenge(&hello, newNonce())
	c.Write(ch[:])
	if _, err := io.ReadFull(c, proof[:]); err != nil {
		t.Fatal(err)
	}
	<-time.After(handshake + handshake/4) // this is the slowness
	w := keys.welcome(&hello, &ch, &proof)
	c.Write(w[:])
	var frame [wire.HeaderSize]byte
	if _, err := io.ReadFull(c, frame[:]); err != nil {
		t.Fatalf("no frame after the welcome: %v", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.lost) > 0 {
		t.Errorf("lost %v", n.lost)
	}
}

// TestShort tells errors of this system from those of peers.
func TestShort(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}, true},
		{errors.Wrap(os.NewSyscallError("connect", syscall.EADDRNOTAVAIL), "dial"), true},
		{os.NewSyscallError("connect", syscall.ECONNREFUSED), false},
		{errHungUp, false},
	} {
		if got := short(tt.err); got != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}

// TestPlaces has all places for dialing taken by peers that were stopped before
// they said welcome: others are dialed all the same, from both ends.
func TestPlaces(t *testing.T) {
	const size = dialers + 2
	var addrs []string
	var listeners []*Listener
	for rank := range 2 {
		cfg := testConfig(rank, size)
		allLate(&cfg)
		l, err := Listen(cfg)
		if err != nil {
			t.Fatal(err)
		}
		listeners, addrs = append(listeners, l), append(addrs, l.Addr())
	}
	keys := newKeys("job", []byte("secret"))
	stopped := make(chan error, size)
	for rank := 2; rank < size; rank++ {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
		go func() {
			c, err := ln.Accept()
			if err != nil {
				stopped <- err
				return
			}
			var hello [helloSize]byte
			_, err = io.ReadFull(c, hello[:])
			ch := keys.challenge(&hello, newNonce())
			c.Write(ch[:])
			stopped <- err
			io.Copy(io.Discard, c) // until the test ends
			c.Close()
		}()
	}
	var two []*node
	for _, l := range listeners {
		n := &node{got: make([][]uint64, size), news: make(chan struct{}, 1)}
		var err error
		if n.tr, err = l.Mesh(t.Context(), addrs, n); err != nil {
			t.Fatal(err)
		}
		two = append(two, n)
		var driving sync.WaitGroup
		driving.Go(n.drive)
		defer func() {
			n.stop.Store(true)
			n.tr.Wake()
			driving.Wait()
			n.mu.Lock()
			defer n.mu.Unlock()
			n.tr.Close()
		}()
	}
	for rank := 2; rank < size; rank++ {
		two[0].send(rank, 1)
	}
	for range size - 2 {
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
	}
	two[0].send(1, 5)
	two[1].send(0, 6)
	for rank, n := range two {
		n.until(t, fmt.Sprintf("frame at %d", rank), func() bool { return len(n.got[1-rank]) == 1 })
	}
}
