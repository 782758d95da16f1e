package launcher

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sspurn/sspurn/launcher/agent"
)

// screen records what a lineWriter writes, by stream, in order.
type screen struct {
	text  strings.Builder
	calls int
}

func (s *screen) write(_ agent.Stream, b []byte) error {
	s.calls++
	s.text.Write(b)
	return nil
}

func TestLineWriter(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	type step struct {
		rank   int
		stream agent.Stream
		text   string // "" flushes, "." ends the rank
	}
	tests := []struct {
		name  string
		f     format
		raw   bool
		steps []step
		want  string
	}{
		{"whole lines", format{tag: true}, false, []step{{0, 0, "a\nb\n"}, {1, 0, "c\n"}}, "[0] a\n[0] b\n[1] c\n"},
		{"parts are joined", format{tag: true}, false, []step{{0, 0, "a"}, {1, 0, "x\n"}, {0, 0, "b\n"}}, "[1] x\n[0] ab\n"},
		{"streams are apart", format{tag: true}, false, []step{{0, 0, "a"}, {0, 1, "b\n"}, {0, 0, "c\n"}}, "[0] b\n[0] ac\n"},
		{"flush, then the same goes on", format{tag: true}, false, []step{{0, 0, "name? "}, {0, 0, ""}, {0, 0, "x\n"}}, "[0] name? x\n"},
		{"flush, then another", format{tag: true}, false, []step{{0, 0, "name? "}, {0, 0, ""}, {1, 0, "x\n"}, {0, 0, "y\n"}}, "[0] name? \n[1] x\n[0] y\n"},
		{"end of a rank", format{tag: true}, false, []step{{0, 0, "a"}, {1, 0, "b"}, {1, 0, "."}}, "[1] b\n[0] a\n"},
		{"without tags", format{}, false, []step{{0, 0, "a"}, {1, 0, "b\n"}}, "b\na\n"},
		{"time", format{tag: true, timestamp: true, now: func() time.Time { return at }}, false, []step{{3, 0, "a\n"}}, "03:04:05.006 [3] a\n"},
		{"raw", format{}, true, []step{{0, 0, "a"}, {0, 0, "b\x00"}}, "ab\x00"},
		{"empty lines", format{tag: true}, false, []step{{0, 0, "\n\n"}}, "[0] \n[0] \n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s screen
			w := newLineWriter(tt.f, tt.raw, s.write)
			for _, st := range tt.steps {
				var err error
				switch st.text {
				case "":
					err = w.flush()
				case ".":
					err = w.ended(st.rank)
				default:
					err = w.put(st.rank, st.stream, []byte(st.text))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := w.close(); err != nil {
				t.Fatal(err)
			}
			if got := s.text.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLineWriterBoundsWhatItHolds(t *testing.T) {
	var s screen
	w := newLineWriter(format{tag: true}, false, s.write)
	part := strings.Repeat("x", longLine/2+1)
	for range 4 {
		if err := w.put(0, 0, []byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if want := "[0] " + strings.Repeat(part, 4) + "\n"; s.text.String() != want {
		t.Errorf("%d bytes, want one line of %d", s.text.Len(), len(want))
	}
	if s.calls < 2 {
		t.Error("the line was held back as a whole")
	}
}

// TestSinkEnds closes sinks at every moment around their last output.
func TestSinkEnds(t *testing.T) {
	for i := range 200 {
		var s screen
		sink := newSink(newLineWriter(format{tag: true}, false, s.write), i%2 == 0, nil, func() {})
		var taken atomic.Int64
		for r := range i % 5 {
			sink.put(chunk{rank: r, data: []byte("line\npart"), taken: func(n int) { taken.Add(int64(n)) }})
			sink.put(chunk{rank: r})
		}
		if err := sink.close(); err != nil {
			t.Fatal(err)
		}
		if got, want := taken.Load(), int64(9*(i%5)); got != want {
			t.Fatalf("%d bytes were taken, want %d", got, want)
		}
		if got := strings.Count(s.text.String(), "line\n"); got != i%5 {
			t.Fatalf("%d lines, want %d", got, i%5)
		}
	}
}

func TestSinkErasesTheProgressLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "screen")
	term, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	s := newSink(newLineWriter(format{tag: true}, false, func(_ agent.Stream, b []byte) error {
		_, err := term.Write(b)
		return err
	}), true, term, func() {})
	read := func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	s.progress("clock 1")
	for !strings.HasSuffix(read(), "clock 1") {
		<-time.After(time.Millisecond)
	}
	s.put(chunk{rank: 0, data: []byte("out\n"), taken: func(int) {}})
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if got, want := read(), "\r\x1b[Kclock 1\r\x1b[K[0] out\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSinkReportsTheFirstFailure(t *testing.T) {
	full := fmt.Errorf("no space")
	s := newSink(newLineWriter(format{}, true, func(agent.Stream, []byte) error { return full }), false, nil, func() {})
	taken := make(chan int, 2)
	for range 2 {
		s.put(chunk{data: []byte("x"), taken: func(n int) { taken <- n }})
	}
	if err := s.close(); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("got %v", err)
	}
	if len(taken) != 2 {
		t.Errorf("%d chunks were taken, want 2: ranks would wait for ever", len(taken))
	}
}
