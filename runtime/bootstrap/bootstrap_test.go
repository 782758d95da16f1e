package bootstrap

import (
	"bytes"
	"context"
	stderrors "errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func welcome(rank, size int) Message {
	return Message{Kind: KindWelcome, Welcome: &Welcome{
		Job: "j", Rank: rank, Size: size, Host: "node2", HostRanks: 2, Cores: 6, Secret: []byte{1, 2, 3},
		Listen: "10.0.0.2", Ports: [2]int{4000, 4010}, Emulate: "delay=1ms", Straggle: "rotate,delay=2ms", Record: RecordTrace, Join: time.Minute,
	}}
}

// attach returns a joined rank and the agent's end of its channel.
func attach(t *testing.T, rank, size int) (Config, net.Conn, *MessageReader) {
	t.Helper()
	mine, theirs := net.Pipe()
	t.Cleanup(func() { mine.Close(); theirs.Close() })
	sent := make(chan error, 1)
	go func() {
		line, err := AppendMessage(nil, welcome(rank, size))
		if err == nil {
			_, err = mine.Write(line)
		}
		sent <- err
	}()
	cfg, err := Attach(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	return cfg, mine, NewMessageReader(mine)
}

func write(t *testing.T, conn net.Conn, ms ...Message) {
	t.Helper()
	for _, m := range ms {
		line, err := AppendMessage(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(line); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAttachCarriesEverything(t *testing.T) {
	cfg, _, _ := attach(t, 1, 3)
	want := Config{
		Job: "j", Rank: 1, Size: 3, Host: "node2", HostRanks: 2, Cores: 6, Secret: []byte{1, 2, 3},
		Listen: "10.0.0.2", Ports: [2]int{4000, 4010}, Emulate: "delay=1ms", Straggle: "rotate,delay=2ms", Record: RecordTrace, Join: time.Minute,
	}
	if cfg.Control == nil {
		t.Fatal("no control")
	}
	cfg.Control = nil
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v, want %+v", cfg, want)
	}
}

func TestFromEnv(t *testing.T) {
	tests := []struct {
		name, value string
		err         string
	}{
		{"alone", "", ""},
		{"word", "x", "not a descriptor"},
		{"stdin", "0", "not a descriptor"},
		{"closed", "9999", "SSPURN_CONTROL=9999"},
		{"another socket", strconv.Itoa(datagrams(t)), "not a control socket"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := FromEnv(func(name string) (string, bool) { return tt.value, tt.value != "" && name == EnvControl })
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil || cfg.Size != 1 || cfg.Rank != 0 || cfg.Control != nil {
				t.Errorf("got %+v, %v", cfg, err)
			}
		})
	}
}

// datagrams returns a socket that is no control socket.
func datagrams(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Close(fd); err != nil {
			t.Errorf("somebody has closed the program's socket: %v", err)
		}
	})
	return fd
}

// socketPair returns the ends of a control socket: the agent's and the rank's.
func socketPair(t *testing.T) (agent *os.File, rank net.Conn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	agent = os.NewFile(uintptr(pair[0]), "agent")
	file := os.NewFile(uintptr(pair[1]), "control")
	rank, err = net.FileConn(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { agent.Close(); rank.Close() })
	return agent, rank
}

// TestLateWelcome has a descriptor that nothing comes from.
func TestLateWelcome(t *testing.T) {
	_, theirs := socketPair(t)
	if err := theirs.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	in := NewMessageReader(&descriptors{conn: theirs})
	if _, err := in.Read(); !stderrors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("no welcome in time: %v", err)
	}
}

func TestFromEnvTakesOverTheSocket(t *testing.T) {
	t.Cleanup(taken.Clear)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	agent := os.NewFile(uintptr(fds[0]), "agent")
	defer agent.Close()
	line, err := AppendMessage(nil, welcome(0, 2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Write(line); err != nil {
		t.Fatal(err)
	}
	lookup := func(name string) (string, bool) {
		if name != EnvControl {
			return "", false
		}
		return strconv.Itoa(fds[1]), true
	}
	cfg, err := FromEnv(lookup)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Size != 2 {
		t.Errorf("size %d, want 2", cfg.Size)
	}
	// What the program opens next by that number is its own.
	if err := unix.Dup2(int(agent.Fd()), fds[1]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	if _, err := FromEnv(lookup); err == nil || !strings.Contains(err.Error(), "joined its job before") {
		t.Errorf("taken over twice: %v", err)
	}
	if _, err := unix.FcntlInt(uintptr(fds[1]), unix.F_GETFD, 0); err != nil {
		t.Errorf("the program's own descriptor: %v", err)
	}
	if err := cfg.Control.Finish(Verdict{OK: true}); err != nil {
		t.Fatal(err)
	}
}

func TestControl(t *testing.T) {
	cfg, agent, in := attach(t, 0, 2)
	self := Peer{Rank: 0, Host: "node2", Addr: "10.0.0.2:4001"}
	roster := []Peer{self, {Rank: 1, Host: "node3", Addr: "10.0.0.3:4000"}}
	type answer struct {
		peers []Peer
		err   error
	}
	got := make(chan answer, 1)
	go func() {
		peers, err := cfg.Control.Roster(t.Context(), self)
		got <- answer{peers, err}
	}()
	m, err := in.Read()
	if err != nil || m.Kind != KindListening || *m.Self != self {
		t.Fatalf("got %+v, %v, want listening at %v", m, err, self)
	}
	write(t, agent, Message{Kind: KindRoster, Roster: roster})
	if a := <-got; a.err != nil || !reflect.DeepEqual(a.peers, roster) {
		t.Fatalf("roster %v, %v, want %v", a.peers, a.err, roster)
	}

	cfg.Control.Record([]byte(`{"ev":"note","s":"one"}`))
	m, err = in.Read()
	if err != nil || m.Kind != KindRecord || string(m.Record) != `{"ev":"note","s":"one"}` {
		t.Fatalf("got %+v, %v, want the record", m, err)
	}

	loss := Loss{Rank: 1, Host: "node3", Cause: "killed by signal 9"}
	write(t, agent, Message{Kind: KindLost, Loss: &loss}, Message{Kind: KindLost, Loss: &loss})
	if l := <-cfg.Control.Losses(); l != loss {
		t.Errorf("loss %v, want %v", l, loss)
	}

	cfg.Control.Record([]byte(`not json`))
	finished := make(chan error, 1)
	verdict := Verdict{Secondary: true, Lost: 1, Cause: "rank 1 lost"}
	go func() { finished <- cfg.Control.Finish(verdict) }()
	m, err = in.Read()
	if err != nil || m.Kind != KindRecord || !strings.Contains(string(m.Record), "1 record lines were dropped") {
		t.Fatalf("got %+v, %v, want a note of what was dropped", m, err)
	}
	m, err = in.Read()
	if err != nil || m.Kind != KindVerdict || *m.Verdict != verdict {
		t.Fatalf("got %+v, %v, want the verdict", m, err)
	}
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	if _, err := in.Read(); err != io.EOF {
		t.Errorf("after the verdict: %v, want the end", err)
	}
	if l, ok := <-cfg.Control.Losses(); ok {
		t.Errorf("loss %v after the end; it had been told before", l)
	}
}

func TestRosterFails(t *testing.T) {
	self := Peer{Rank: 0, Host: "a", Addr: "127.0.0.1:1"}
	call := func(ctx context.Context, c Control) chan error {
		got := make(chan error, 1)
		go func() {
			_, err := c.Roster(ctx, self)
			got <- err
		}()
		return got
	}
	t.Run("lost", func(t *testing.T) {
		cfg, agent, in := attach(t, 0, 3)
		got := call(t.Context(), cfg.Control)
		if _, err := in.Read(); err != nil {
			t.Fatal(err)
		}
		want := Loss{Rank: 2, Host: "b", Cause: "exit status 3"}
		write(t, agent, Message{Kind: KindLost, Loss: &want})
		var lost *LossError
		if err := <-got; !stderrors.As(err, &lost) || lost.Loss != want {
			t.Errorf("got %v, want the loss of rank 2", err)
		}
		if l := <-cfg.Control.Losses(); l != want {
			t.Errorf("losses yield %v, want %v too", l, want)
		}
	})
	t.Run("closed", func(t *testing.T) {
		cfg, agent, in := attach(t, 0, 3)
		got := call(t.Context(), cfg.Control)
		if _, err := in.Read(); err != nil {
			t.Fatal(err)
		}
		agent.Close()
		if err := <-got; !stderrors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		if _, ok := <-cfg.Control.Losses(); ok {
			t.Error("losses are not closed")
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		cfg, _, in := attach(t, 0, 3)
		cause := stderrors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		got := call(ctx, cfg.Control)
		if _, err := in.Read(); err != nil {
			t.Fatal(err)
		}
		cancel(cause)
		if err := <-got; !stderrors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
	})
}

func TestRecordNeverWaits(t *testing.T) {
	cfg, _, _ := attach(t, 0, 1)
	line := []byte(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`)
	const lines = 4 * recordQueue >> 20
	for range lines { // nobody reads
		cfg.Control.Record(line)
	}
	c := cfg.Control.(*control)
	if n := c.dropped.Load(); n < lines/3 || n == lines {
		t.Errorf("%d of %d lines dropped", n, lines)
	}
}

// TestRecordsTravelTogether: lines come whole, all of them, in order, and many at
// a time.
func TestRecordsTravelTogether(t *testing.T) {
	a, b := net.Pipe() // a read takes what one write gives, up to its buffer
	c := newControl(a, NewMessageReader(a), 0, 1)
	const lines = 3000
	go func() {
		for i := range lines {
			c.Record(fmt.Appendf(nil, `{"ev":"note","s":"%d"}`, i))
		}
		c.Finish(Verdict{OK: true})
	}()
	counted := &countingReader{r: b}
	in := NewMessageReader(counted)
	for i := range lines {
		m, err := in.Read()
		if err != nil || string(m.Record) != fmt.Sprintf(`{"ev":"note","s":"%d"}`, i) {
			t.Fatalf("line %d: %+v, %v", i, m, err)
		}
	}
	if m, err := in.Read(); err != nil || m.Kind != KindVerdict {
		t.Fatalf("after the lines: %+v, %v", m, err)
	}
	if counted.n > lines/10 {
		t.Errorf("%d reads for %d lines", counted.n, lines)
	}
}

type countingReader struct {
	r io.Reader
	n int
}

func (r *countingReader) Read(b []byte) (int, error) {
	r.n++
	return r.r.Read(b)
}

func TestReaderKeepsAPartOverATimeout(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	in := NewMessageReader(b)
	line, err := AppendMessage(nil, Message{Kind: KindVerdict, Verdict: &Verdict{OK: true}})
	if err != nil {
		t.Fatal(err)
	}
	half := make(chan struct{})
	whole := make(chan struct{})
	go func() {
		a.Write(line[:7])
		close(half)
		<-whole
		a.Write(line[7:])
	}()
	read := make(chan error, 1)
	go func() {
		_, err := in.Read()
		read <- err
	}()
	<-half
	b.SetReadDeadline(time.Unix(1, 0))
	if err := <-read; !stderrors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a timeout", err)
	}
	b.SetReadDeadline(time.Time{})
	close(whole)
	if m, err := in.Read(); err != nil || m.Kind != KindVerdict || !m.Verdict.OK {
		t.Errorf("got %+v, %v, want the verdict", m, err)
	}
}

// TestRecordLines: lines that look like those of a record are one, or refused.
func TestRecordLines(t *testing.T) {
	for line, want := range map[string]string{
		`{"k":"record","record":{"ev":"note"}}`:                `{"ev":"note"}`,
		`{"k":"record","record":7}`:                            `7`,
		`{"k":"record","record":{"a":1},"k":"record"}`:         `{"a":1}`,
		`{"record":{"a":1},"k":"record"}`:                      `{"a":1}`,
		`{"k":"record","record":}`:                             "",
		`{"k":"record","record":{"a":1}`:                       "",
		`{"k":"record","record":{"a":1}}}`:                     "",
		`{"k":"record","record":{"a":1},"k":"verdict"}`:        "",
		`{"k":"record","record":{"a":1}} {"k":"record","r":1}`: "",
	} {
		m, err := NewMessageReader(strings.NewReader(line + "\n")).Read()
		if (err == nil) != (want != "") || string(m.Record) != want {
			t.Errorf("%s: %q, %v, want %q", line, m.Record, err, want)
		}
	}
}

func TestReady(t *testing.T) {
	in := NewMessageReader(strings.NewReader(strings.Repeat(`{"k":"record","record":1}`+"\n", 3) + `{"k":`))
	for i, want := range []bool{false, true, true, false} {
		if got := in.Ready(); got != want {
			t.Errorf("after %d messages: ready %v", i, got)
		}
		if _, err := in.Read(); (err == nil) != (i < 3) {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, m := range []Message{
		welcome(1, 2),
		{Kind: KindListening, Self: &Peer{Rank: 1, Host: "a", Addr: "1.2.3.4:5"}},
		{Kind: KindRoster, Roster: []Peer{{Rank: 0, Addr: "x"}, {Rank: 1}}},
		{Kind: KindLost, Loss: &Loss{Rank: 1, Cause: "c"}},
		{Kind: KindRecord, Record: []byte(`{"ev":"note"}`)},
		{Kind: KindVerdict, Verdict: &Verdict{}},
	} {
		line, err := AppendMessage(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"k":"roster","roster":[{"rank":4}]}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := NewMessageReader(bytes.NewReader(data))
		for {
			m, err := in.Read()
			if err != nil {
				return
			}
			line, err := AppendMessage(nil, m)
			if err != nil {
				t.Fatalf("read %+v, but it can not be sent: %v", m, err)
			}
			again, err := NewMessageReader(bytes.NewReader(line)).Read()
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			second, err := AppendMessage(nil, again)
			if err != nil || !bytes.Equal(line, second) {
				t.Fatalf("%s became %s (%v)", line, second, err)
			}
		}
	})
}

// A job of one rank has nowhere to listen, and joins all the same.
func TestListeningAlone(t *testing.T) {
	alone := Message{Kind: KindListening, Self: &Peer{Host: "here"}}
	line, err := AppendMessage(nil, alone)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := NewMessageReader(bytes.NewReader(line)).Read(); err != nil || m.Self == nil || *m.Self != *alone.Self {
		t.Fatalf("got %+v, %v, want %+v", m, err, alone)
	}
	if _, err := AppendMessage(nil, Message{Kind: KindListening, Self: &Peer{Rank: 1, Host: "here"}}); err == nil {
		t.Fatal("rank 1 without an address was taken")
	}
}
