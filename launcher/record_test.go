package launcher

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// fullFile takes as many bytes as are left and then says that the disk is full.
type fullFile struct {
	file io.WriteCloser
	left *int
}

func (f fullFile) Write(p []byte) (int, error) {
	n := min(len(p), *f.left)
	*f.left -= n
	if n, err := f.file.Write(p[:n]); err != nil {
		return n, err
	}
	if n < len(p) {
		return n, &os.PathError{Op: "write", Path: "record", Err: syscall.ENOSPC}
	}
	return n, nil
}

func (f fullFile) Close() error { return f.file.Close() }

// seen collects what an observer is told.
type seen []string

func (s *seen) event(rank int, e *telemetry.Event) {
	*s = append(*s, fmt.Sprintf("%d %s %d", rank, e.Kind, e.Clock))
}

// testRecorder returns a recorder of a directory and what it said.
func testRecorder(t *testing.T, job Job, ranks int) (*recorder, *[]string) {
	t.Helper()
	said := new([]string)
	r, err := newRecorder(&job, ranks, &printer{}, false)
	if err != nil {
		t.Fatal(err)
	}
	r.say = func(text string) { *said = append(*said, text) }
	return r, said
}

// feed puts n lines of each rank and returns how many bytes came back.
func feed(r *recorder, ranks, n int) (bytes int) {
	taken := make(chan int, ranks*n)
	for i := range n {
		for rank := range ranks {
			r.put(chunk{rank: rank, data: fmt.Appendf(nil, `{"ev":"clock","t":%d,"rank":%d,"c":%d}`, i, rank, i+1), taken: func(n int) { taken <- n }})
		}
	}
	for range ranks * n {
		bytes += <-taken
	}
	return bytes
}

// A full disk ends the record, at whatever byte, and nothing else: lines are
// taken, observers told, and the failure is said once.
func TestRecordOnFullDisk(t *testing.T) {
	const ranks, lines = 3, 200
	size := 0
	for room := 0; ; room += 997 {
		dir := t.TempDir()
		r, said := testRecorder(t, Job{RunDir: dir}, ranks)
		left := room
		r.create = func(name string) (io.WriteCloser, error) {
			f, err := os.Create(name)
			return fullFile{f, &left}, err
		}
		var told seen
		r.observe(&told, false)
		info := telemetry.JobInfo{Program: "p", Ranks: ranks, Start: time.Now()}
		if err := r.started(info); err != nil {
			t.Fatal(err)
		}
		got := feed(r, ranks, lines)
		info.Ended = true
		r.finish(info)
		if size == 0 {
			size = got
		}
		if got != size || len(told) != ranks*lines {
			t.Fatalf("room for %d: %d bytes came back and %d events were told, want %d and %d", room, got, len(told), size, ranks*lines)
		}
		run, err := telemetry.ReadRun(dir)
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for rank, events := range run.Events {
			for i, e := range events {
				if e.Rank != rank || e.Clock != int64(i+1) {
					t.Fatalf("room for %d: event %d of rank %d is %+v", room, i, rank, e)
				}
			}
			kept += len(events)
		}
		whole := size + ranks*lines // and the newlines
		if room >= whole {
			if kept != ranks*lines || len(*said) > 0 || run.Job.Partial != "" {
				t.Errorf("room for all: %d lines, said %q, partial %q", kept, *said, run.Job.Partial)
			}
			break
		}
		want := "the record of the run in " + dir + " is incomplete: write record: no space left on device"
		if len(*said) != 1 || (*said)[0] != want {
			t.Errorf("room for %d: said %q, want once %q", room, *said, want)
		}
		if !run.Job.Ended || !strings.Contains(run.Job.Partial, "no space left") {
			t.Errorf("room for %d: job.json says %+v", room, run.Job)
		}
		if kept == ranks*lines || room > 2*whole/3 && kept == 0 {
			t.Errorf("room for %d of %d bytes: %d lines", room, whole, kept)
		}
	}
}

func TestRecordOff(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r, said := testRecorder(t, Job{Record: Off, RunDir: dir, Progress: On}, 2)
	var told seen
	r.observe(&told, true)
	if err := r.started(telemetry.JobInfo{}); err != nil {
		t.Fatal(err)
	}
	if n := feed(r, 2, 10); n == 0 {
		t.Error("lines are not taken")
	}
	r.finish(telemetry.JobInfo{})
	kept, err := r.leave(true)
	if _, stat := os.Stat(dir); !os.IsNotExist(stat) || kept != "" || err != nil || len(*said) > 0 || len(told) > 0 {
		t.Errorf("directory %v, kept %q (%v), said %q, told %q", stat, kept, err, *said, told)
	}
}

// A temporary directory is there from the first line to the end of a job that
// went well.
func TestRecordInTemporaryDirectory(t *testing.T) {
	for _, failed := range []bool{false, true} {
		t.Setenv("TMPDIR", t.TempDir())
		r, _ := testRecorder(t, Job{}, 1)
		if err := r.started(telemetry.JobInfo{Ranks: 1}); err != nil {
			t.Fatal(err)
		}
		if r.dir != "" {
			t.Errorf("%s is there before there is a line", r.dir)
		}
		feed(r, 1, 1)
		r.finish(telemetry.JobInfo{Ranks: 1, Ended: true})
		if run, err := telemetry.ReadRun(r.dir); err != nil || len(run.Events[0]) != 1 || !run.Job.Ended {
			t.Errorf("%+v (%v)", run, err)
		}
		kept, err := r.leave(failed)
		if err != nil || (kept != "") != failed {
			t.Errorf("failed %v: kept %q (%v)", failed, kept, err)
		}
		if _, err := os.Stat(r.dir); (err == nil) != failed {
			t.Errorf("failed %v: %v", failed, err)
		}
	}
}

// Lines of spans are told to those who want them.
func TestObservers(t *testing.T) {
	r, _ := testRecorder(t, Job{RunDir: t.TempDir()}, 1)
	var plain, full seen
	r.observe(&plain, false)
	tell := func(line string) { r.tell(chunk{data: []byte(line)}) }
	spans := `{"ev":"spans","t":1,"rank":0,"spans":"AA=="}`
	if n := testing.AllocsPerRun(100, func() { r.tell(chunk{data: []byte(spans)}) }); n > 2 {
		t.Errorf("%g allocations for spans that nobody wants", n)
	}
	tell(spans)
	r.observe(&full, true)
	for _, line := range []string{spans, `{"t":1,"ev":"spans"}`, `{"ev":"clock","c":3}`, `{"ev":"of another version","new":1}`, `garbage`, `{"ev":"clock","c":"x"}`} {
		tell(line)
	}
	if want := (seen{"0 clock 3", "0 of another version 0"}); !reflect.DeepEqual(plain, want) {
		t.Errorf("told %q, want %q", plain, want)
	}
	if want := (seen{"0 spans 0", "0 spans 0", "0 clock 3", "0 of another version 0"}); !reflect.DeepEqual(full, want) {
		t.Errorf("told %q, want %q", full, want)
	}
}
