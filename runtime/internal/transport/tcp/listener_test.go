package tcp

import (
	"bytes"
	"context"
	stderrors "errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// journal is a log that tells when it grows.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
	news chan struct{}
}

func newJournal() *journal { return &journal{news: make(chan struct{}, 1)} }

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case j.news <- struct{}{}:
	default:
	}
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) await(t *testing.T, text string) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for !strings.Contains(j.String(), text) {
		select {
		case <-j.news:
		case <-limit.C:
			t.Fatalf("the log does not say %q:\n%s", text, j.String())
		}
	}
}

// stranger connects to addr, says something and returns all that it is told
// until it is hung up on.
func stranger(t *testing.T, addr string, says []byte) []byte {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	c.Write(says)
	told, err := io.ReadAll(c)
	if stderrors.Is(err, context.DeadlineExceeded) || err != nil && strings.Contains(err.Error(), "timeout") {
		t.Fatalf("stranger saying %.20q is not hung up on: %v", says, err)
	}
	return told
}

// strangers are what connects and does not belong to the job, and how the log
// calls them.
func strangers() map[string][]byte {
	good, job2, secret2 := newKeys("job", []byte("secret")), newKeys("job2", []byte("secret")), newKeys("job", []byte("guess"))
	otherJob, otherSecret, rank := job2.hello(1, 0, newNonce()), secret2.hello(1, 0, newNonce()), good.hello(7, 0, newNonce())
	reversed := good.hello(1, 0, newNonce())
	reversed[8], reversed[9], reversed[10], reversed[11] = reversed[11], reversed[10], reversed[9], reversed[8]
	return map[string][]byte{
		errGarbage.Error(): bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 100),
		errJob.Error():     otherJob[:],
		errSecret.Error():  otherSecret[:],
		errRank.Error():    rank[:],
		errOrder.Error():   reversed[:],
		errSilent.Error():  nil,
	}
}

// TestStrangers sends all sorts of strangers to a rank before and after the
// mesh is complete: they are told nothing, logged once, and the ranks go on.
func TestStrangers(t *testing.T) {
	log := newJournal()
	change := func(cfg *Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
		cfg.Handshake = 400 * time.Millisecond
	}
	recv := []transport.Receiver{&echo{}, &echo{buf: make([]byte, 64)}}
	l0, err := Listen(func() Config { c := testConfig(0, 2); change(&c); return c }())
	if err != nil {
		t.Fatal(err)
	}
	defer l0.Close()
	visit := func(times int) {
		var wg sync.WaitGroup
		for cause, says := range strangers() {
			for range times {
				wg.Go(func() {
					if told := stranger(t, l0.Addr(), says); len(told) > 0 {
						t.Errorf("stranger who %s is told %d bytes", cause, len(told))
					}
				})
			}
		}
		wg.Wait()
		for cause := range strangers() {
			log.await(t, cause)
		}
	}
	visit(3)

	l1, err := Listen(testConfig(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	defer l1.Close()
	addrs := []string{l0.Addr(), l1.Addr()}
	var t1 *Transport
	var err1 error
	var wg sync.WaitGroup
	wg.Go(func() { t1, err1 = l1.Mesh(t.Context(), addrs, recv[1]) })
	t0, err := l0.Mesh(t.Context(), addrs, recv[0])
	wg.Wait()
	if err != nil || err1 != nil {
		t.Fatal(err, err1)
	}
	defer t0.Close()
	defer t1.Close()
	visit(3)

	// One that does know the secret, when the rank is there already.
	k := newKeys("job", []byte("secret"))
	hello := k.hello(0, 1, newNonce())
	if dials(1, 0) {
		hello = k.hello(1, 0, newNonce())
	}
	to := map[bool]string{true: l0.Addr(), false: l1.Addr()}[dials(1, 0)]
	if told := stranger(t, to, hello[:]); len(told) > 0 {
		t.Errorf("a second rank is told %d bytes", len(told))
	}

	h := wire.Header{Kind: wire.Eager, Length: 5}
	t0.Send(1, &h, [][]byte{[]byte("hello")}, nil)
	for e := recv[1].(*echo); e.frames == 0; {
		if e.lost > 0 {
			t.Fatal("the mesh is disturbed")
		}
		t1.Poll(-1)
		t1.Wait(10 * time.Millisecond)
	}
	for cause := range strangers() {
		if n := strings.Count(log.String(), "cause=\""+cause); n != 1 {
			t.Errorf("%q is logged %d times, want once", cause, n)
		}
	}
}

// TestCrowd opens more silent connections than a rank has places for.
func TestCrowd(t *testing.T) {
	log := newJournal()
	cfg := testConfig(0, 2)
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	cfg.Handshake = time.Hour
	l, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var crowd []net.Conn
	for range cfg.Size + 64 + 10 {
		c, err := net.Dial("tcp", l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		crowd = append(crowd, c)
	}
	for _, c := range crowd[:10] { // the oldest go
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("one of the oldest stays: %v", err)
		}
	}
	log.await(t, errCrowded.Error())
	l.mu.Lock()
	n := l.pending.Len()
	l.mu.Unlock()
	if n > cfg.Size+64 {
		t.Errorf("%d connections pending", n)
	}
	// A peer still gets in.
	l1, err := Listen(testConfig(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	defer l1.Close()
	addrs := []string{l.Addr(), l1.Addr()}
	var wg sync.WaitGroup
	wg.Go(func() {
		if tr, err := l1.Mesh(t.Context(), addrs, &echo{}); err != nil {
			t.Error(err)
		} else {
			tr.Close()
		}
	})
	tr, err := l.Mesh(t.Context(), addrs, &echo{})
	if err != nil {
		t.Fatal(err)
	}
	tr.Close()
	wg.Wait()
}

// TestMeshAbsent names who is missing, where and why.
func TestMeshAbsent(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := dead.Addr().String()
	dead.Close()
	errJoin := stderrors.New("not all ranks joined within 1 s")
	for rank := range 3 {
		l, err := Listen(testConfig(rank, 3))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errJoin)
		_, err = l.Mesh(ctx, []string{gone, gone, gone}, &echo{})
		cancel()
		if !stderrors.Is(err, errJoin) {
			t.Fatalf("rank %d: %v, want the cause of the context", rank, err)
		}
		for peer := range 3 {
			want := map[bool]string{true: "connection refused", false: "has not connected"}[dials(rank, peer)]
			line := "rank " + string(rune('0'+peer)) + " at " + gone + ": "
			_, after, found := strings.Cut(err.Error(), line)
			if found == (peer == rank) {
				t.Errorf("rank %d: %q names the wrong ranks", rank, err)
			}
			if after, _, _ = strings.Cut(after, ";"); found && !strings.Contains(after, want) {
				t.Errorf("rank %d: %q does not say of rank %d: %s", rank, err, peer, want)
			}
		}
	}
}

// TestMeshImpostor has something else listen where a rank should.
func TestMeshImpostor(t *testing.T) {
	other := testConfig(1, 2)
	other.Secret = []byte("another")
	impostor, err := Listen(other)
	if err != nil {
		t.Fatal(err)
	}
	defer impostor.Close()
	rank := 0
	if dials(1, 0) {
		rank = 1
	}
	l, err := Listen(testConfig(rank, 2))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = l.Mesh(ctx, []string{impostor.Addr(), impostor.Addr()}, &echo{})
	if err == nil || !strings.Contains(err.Error(), "handshake") || !stderrors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestMeshSizes connects jobs of several sizes, whose ranks come one by one.
func TestMeshSizes(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8, 33} {
		recv := make([]transport.Receiver, n)
		for i := range recv {
			recv[i] = &echo{}
		}
		for i, tr := range mesh(t, recv) {
			if err := tr.Close(); err != nil {
				t.Errorf("rank %d of %d: %v", i, n, err)
			}
		}
	}
}

func TestListen(t *testing.T) {
	tests := []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Rank = 2 }, "rank 2 of 2 does not exist"},
		{func(c *Config) { c.Secret = nil }, "a mesh needs a secret"},
		{func(c *Config) { c.Listen = "localhost" }, `listen on "localhost": not an IP address`},
		{func(c *Config) { c.Ports = [2]int{9, 7} }, "ports 9-7: not a range of ports"},
	}
	for _, test := range tests {
		cfg := testConfig(1, 2)
		test.change(&cfg)
		if _, err := Listen(cfg); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	// A range of ports is used up, then it is an error.
	first, err := Listen(testConfig(0, 2))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	port := first.ln.Addr().(*net.TCPAddr).Port
	cfg := testConfig(0, 2)
	cfg.Ports = [2]int{port, port}
	if _, err := Listen(cfg); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a port that is taken: %v", err)
	}
	cfg.Ports = [2]int{port, min(port+20, 65535)}
	second, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if p := second.ln.Addr().(*net.TCPAddr).Port; p <= port || p > port+20 {
		t.Errorf("port %d is not in the range from %d", p, port)
	}
	second.Close()
	second.Close()
}
