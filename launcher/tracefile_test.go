package launcher

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// manySpans makes a run directory with more spans than fit into a pipe.
func manySpans(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, telemetry.RankFile(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := telemetry.NewRecorder(0, time.Now(), func(line []byte) { _, _ = f.Write(append(line, '\n')) })
	r.SetTracing(true)
	for range 20_000 {
		r.Trace(telemetry.Span{Kind: telemetry.Compute})
	}
	r.Flush()
	return dir
}

// An interrupt ends the writing of a trace, even into a pipe that nobody
// empties.
func TestTraceInterrupted(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	to, err := newTraceFile(name)
	if err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal)
	s := &supervisor{job: &Job{},
		std: Streams{Signals: signals}, traceTo: to, record: &recorder{dir: manySpans(t)},
		info: telemetry.JobInfo{Ranks: 1, Start: time.Now()},
	}
	if said := s.trace(); !strings.HasPrefix(said, "no trace "+name+": open "+name) {
		t.Errorf("nobody at the other end: said %q", said)
	}
	reader, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	said := make(chan string)
	go func() { said <- s.trace() }()
	signals <- syscall.SIGWINCH
	signals <- syscall.SIGINT
	if got, want := <-said, "no trace "+name+": interrupted by SIGINT"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

// A trace that can not be written leaves the old file.
func TestTraceKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "trace.json")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	to, err := newTraceFile(name)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "run")
	if err := os.MkdirAll(filepath.Join(bad, telemetry.RankFile(0)), 0o700); err != nil { // a directory where the record should be
		t.Fatal(err)
	}
	if _, err := to.write(t.Context(), &telemetry.JobInfo{Ranks: 1}, bad); err == nil {
		t.Error("no error")
	}
	text, err := os.ReadFile(name)
	if err != nil || string(text) != "old" {
		t.Errorf("the file holds %q (%v)", text, err)
	}
	if _, err := os.Stat(name + ".new"); err == nil {
		t.Error("a part of a file is left")
	}
}
