package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestFrames(t *testing.T) {
	frames := []Frame{
		{Kind: Ping},
		{Kind: Output, Stream: Stderr, Rank: 70000, Payload: bytes.Repeat([]byte("x"), 200000)},
		{Kind: Room, Rank: 3, Stream: Record, Payload: Uint32(1 << 20)},
	}
	var wire []byte
	for _, f := range frames {
		wire = AppendFrame(wire, f)
	}
	in := NewFrameReader(bytes.NewReader(wire))
	for _, want := range frames {
		got, err := in.Read()
		if err != nil {
			t.Fatal(err)
		}
		if got.Kind != want.Kind || got.Stream != want.Stream || got.Rank != want.Rank || !bytes.Equal(got.Payload, want.Payload) {
			t.Errorf("got kind %d of rank %d, %d bytes; want kind %d of rank %d, %d bytes", got.Kind, got.Rank, len(got.Payload), want.Kind, want.Rank, len(want.Payload))
		}
	}
	times := Frame{Payload: Times(-1, 0, 1<<62)}
	for n := range 5 {
		got := make([]int64, n)
		if err := times.Times(got); (err == nil) != (n == 3) || n == 3 && !reflect.DeepEqual(got, []int64{-1, 0, 1 << 62}) {
			t.Errorf("%d times: %v, %v", n, got, err)
		}
	}
	if n, err := frames[2].Number(); n != 1<<20 || err != nil {
		t.Errorf("number %d, %v", n, err)
	}
	if _, err := in.Read(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	for cut := 1; cut < headerLen+5; cut++ {
		part := AppendFrame(nil, Frame{Kind: Output, Payload: []byte("hello")})[:cut]
		if _, err := NewFrameReader(bytes.NewReader(part)).Read(); err == nil || err == io.EOF {
			t.Errorf("cut after %d bytes: %v", cut, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(AppendFrame(AppendFrame(nil, Frame{Kind: Ping}), Frame{Kind: Output, Stream: Record, Rank: 9, Payload: []byte("abc")}))
	f.Add([]byte{byte(Output), 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0x7f, 0}) // 8 MiB announced, nothing there
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := NewFrameReader(bytes.NewReader(data))
		var again []byte
		for {
			frame, err := in.Read()
			if err != nil {
				break
			}
			again = AppendFrame(again, frame)
		}
		if !bytes.HasPrefix(data, again) {
			t.Fatalf("% x became % x", data, again)
		}
		if cap(in.buf) > 2*len(data)+2*(64<<10) {
			t.Fatalf("%d bytes of input made it hold %d", len(data), cap(in.buf))
		}
	})
}

func TestOutboxOrder(t *testing.T) {
	o := NewOutbox()
	const bulk = 100
	for i := range bulk {
		o.SendBulk(Frame{Kind: Output, Rank: i, Payload: bytes.Repeat([]byte("x"), MaxChunk)})
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		written <- o.Write(w)
		w.Close()
	}()
	in := NewFrameReader(r)
	if f, err := in.Read(); err != nil || f.Kind != Output || f.Rank != 0 {
		t.Fatalf("got %v, %v", f.Kind, err)
	}
	o.Send(Frame{Kind: Signal}) // the batch in flight may go first, no more
	o.Close()
	o.Send(Frame{Kind: Ping}) // dropped
	at, next := -1, 1
	for i := 1; ; i++ {
		f, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch f.Kind {
		case Signal:
			at = i
		case Output:
			if f.Rank != next {
				t.Fatalf("bulk %d, want %d", f.Rank, next)
			}
			next++
		default:
			t.Fatalf("kind %d", f.Kind)
		}
	}
	if at < 0 || at > 3 {
		t.Errorf("the urgent frame came at place %d", at)
	}
	if next != bulk {
		t.Errorf("%d bulk frames, want %d", next, bulk)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestOutboxFlush(t *testing.T) {
	o := NewOutbox()
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { _ = o.Write(w) })
	o.Flush(time.Hour) // empty
	o.Send(Frame{Kind: Ping})
	got := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(r, make([]byte, headerLen))
		got <- err
	}()
	o.Flush(time.Hour)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	o.Send(Frame{Kind: Ping})
	o.Flush(time.Millisecond) // nobody reads: does not wait for ever
	r.Close()
	wg.Wait()
	o.Flush(time.Hour) // broken
}

func TestCredits(t *testing.T) {
	c := NewCredits(10)
	if n := c.Take(7); n != 7 {
		t.Errorf("took %d", n)
	}
	if n := c.Take(7); n != 3 {
		t.Errorf("took %d, want the rest", n)
	}
	took := make(chan int)
	go func() { took <- c.Take(5) }()
	c.Give(2)
	if n := <-took; n != 2 {
		t.Errorf("took %d, want 2", n)
	}
	c.Give(1)
	if !c.TakeAll(100) { // more than there ever are
		t.Error("refused")
	}
	go func() { took <- c.Take(5) }()
	c.Close()
	if n := <-took; n != 0 {
		t.Errorf("took %d at the end", n)
	}
	if n := c.Take(5); n != 0 {
		t.Errorf("took %d after the end", n)
	}
	if c.TakeAll(1) {
		t.Error("took after the end")
	}
}

// TestCreditsOverdrawn takes where a frame larger than the window has left
// less than nothing: only what was given since.
func TestCreditsOverdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCredits(10)
		c.TakeAll(100)
		took := make(chan int, 1)
		go func() { took <- c.Take(5) }()
		synctest.Wait()
		c.Give(90)
		synctest.Wait()
		select {
		case n := <-took:
			t.Fatalf("took %d of none", n)
		default:
		}
		c.Give(3)
		if n := <-took; n != 3 {
			t.Errorf("took %d, want 3", n)
		}
	})
}

func TestMergeEnv(t *testing.T) {
	got := mergeEnv([]string{"A=1", "B=2", "SSPURN_RANK=9", "SSPURN_CONTROL=3"}, []string{"B=3", "C=x=y", "B=4"})
	if want := []string{"A=1", "C=x=y", "B=4"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStager(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", filepath.Join(t.TempDir(), "cache"))
	program := []byte("#!/bin/sh\nexit 7\n")
	sum := sha256.Sum256(program)
	offer := OfferInfo{Path: "/nowhere/app", Name: "app", Hash: hex.EncodeToString(sum[:]), Size: int64(len(program))}
	send := func(s *stager, parts ...string) StagedInfo {
		t.Helper()
		for _, p := range parts {
			if a, ok := s.chunk([]byte(p)); ok {
				return a
			}
		}
		a, _ := s.chunk(nil)
		return a
	}
	left := func(dir string) (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	var s stager
	if a := s.offer(offer); !a.Need || a.Error != "" {
		t.Fatalf("got %+v, want to need it", a)
	}
	if a := send(&s, "#!/bin/sh\n", "exit 8\n"); !strings.Contains(a.Error, "SHA-256") {
		t.Fatalf("a damaged copy: %+v", a)
	}

	// Two launches at the same time.
	var other stager
	if a := other.offer(offer); !a.Need {
		t.Fatalf("got %+v", a)
	}
	if a := s.offer(offer); !a.Need {
		t.Fatalf("got %+v", a)
	}
	first := send(&s, "#!/bin/sh\n", "exit 7\n")
	second := send(&other, string(program))
	if first.Error != "" || first != second {
		t.Fatalf("got %+v and %+v", first, second)
	}
	if got, err := os.ReadFile(first.Path); err != nil || !bytes.Equal(got, program) {
		t.Errorf("%q, %v", got, err)
	}
	if names := left(filepath.Dir(first.Path)); len(names) != 1 {
		t.Errorf("left in the cache: %q", names)
	}
	if a := s.offer(offer); a.Need || a.Path != first.Path {
		t.Errorf("got %+v, want the cached copy", a)
	}
	forced := offer
	forced.Force = true
	if a := s.offer(forced); !a.Need {
		t.Errorf("got %+v, want it again", a)
	}
	s.abandon()

	// A program that is at its place with the same content is used there.
	there := offer
	there.Path = filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(there.Path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	if a := s.offer(there); a.Need || a.Path != there.Path {
		t.Errorf("got %+v, want %s", a, there.Path)
	}
	if err := os.WriteFile(there.Path, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if a := s.offer(there); a.Path != first.Path {
		t.Errorf("got %+v, want the cached copy", a)
	}
	never := OfferInfo{Path: "/nowhere/sh", Name: "sh", Never: true}
	if a := s.offer(never); a.Error != "" || filepath.Base(a.Path) != "sh" {
		t.Errorf("got %+v, want sh of the PATH", a)
	}
	never.Name = "./sh"
	if a := s.offer(never); !strings.Contains(a.Error, "/nowhere/sh is not there") {
		t.Errorf("got %+v", a)
	}
}

func TestProbe(t *testing.T) {
	var p prober
	l := p.listen("127.0.0.1")
	if l.Error != "" {
		t.Fatal(l.Error)
	}
	got := dial(DialInfo{Addrs: []string{l.Addr}})
	if got.Errors[0] != "" {
		t.Errorf("got %q", got.Errors)
	}
	p.close()
	if got := dial(DialInfo{Addrs: []string{l.Addr}}); got.Errors[0] == "" {
		t.Error("a closed port could be reached")
	}
	if l := p.listen("192.0.2.99"); l.Error == "" {
		p.close()
		t.Skip("this host has 192.0.2.99")
	}
}

func TestMainRefusesArguments(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if code := Main([]string{"what"}, nil, nil, w); code != 1 {
		t.Errorf("exit status %d", code)
	}
	w.Close()
	if text, err := io.ReadAll(r); err != nil || !strings.Contains(string(text), "takes no arguments") {
		t.Errorf("%s %v", text, err)
	}
}

func BenchmarkFrame(b *testing.B) {
	for _, size := range []int{64, MaxChunk} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			frame := Frame{Kind: Output, Rank: 3, Payload: make([]byte, size)}
			var wire []byte
			src := bytes.NewReader(nil)
			in := NewFrameReader(src)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				wire = AppendFrame(wire[:0], frame)
				src.Reset(wire)
				in.in.Reset(src)
				if _, err := in.Read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestEnoughFiles(t *testing.T) {
	for _, x := range []struct {
		ranks int
		limit uint64
		ok    bool
	}{{1, 256, true}, {64, 256, true}, {65, 256, false}, {64, 255, false}, {1 << 16, 1 << 20, true}, {1, 1<<64 - 1, true}} {
		if err := enoughFiles(x.ranks, x.limit); (err == nil) != x.ok {
			t.Errorf("%d ranks, limit %d: %v", x.ranks, x.limit, err)
		}
	}
}
