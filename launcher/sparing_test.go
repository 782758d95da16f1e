package launcher

import (
	"errors"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/launcher/agent"
)

// full is a display that takes some bytes.
type full struct {
	room int
	said string
	puts int
}

func (f *full) put(_ int, _ agent.Stream, data []byte) error {
	f.puts++
	if f.room -= len(data); f.room < 0 {
		return errors.New("no space left")
	}
	return nil
}
func (f *full) say(line []byte) error { f.said += string(line); return nil }
func (f *full) waiting() bool         { return false }
func (f *full) flush() error          { return errors.New("no space left") }
func (f *full) ended(int) error       { return nil }
func (f *full) unfinished() bool      { return false }
func (f *full) close() error          { return errors.New("no space left") }

func TestSparing(t *testing.T) {
	f := &full{room: 5}
	s := &sparing{display: f, dir: "out", spare: new(spare)}
	for range 4 {
		if err := s.put(1, agent.Stdout, []byte("abc")); err != nil {
			t.Fatal(err)
		}
	}
	for _, write := range []func() error{s.flush, func() error { return s.ended(1) }, s.close} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	if want := "sspurn: the output of the ranks in out is incomplete: no space left\n"; f.said != want {
		t.Errorf("said %q, want %q once", f.said, want)
	}
	if f.puts != 2 {
		t.Errorf("%d writes, want 2: none after the failure", f.puts)
	}
	if f := (&full{}); (&sparing{display: f, dir: "x", spare: new(spare)}).close() != nil || !strings.Contains(f.said, "incomplete") {
		t.Errorf("a failure at the end: said %q", f.said)
	}
}
