package telemetry

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// record returns the lines of a few events and the events.
func record(rank int) ([]byte, []Event) {
	events := []Event{
		{Kind: "clock", Clock: 1, Compute: 0.5, Gate: 0.25, Reads: 10, Stale: [][2]int64{{-1, 3}, {0, 7}}},
		{Kind: "note", Text: "a {line}\nof \"text\""},
		{Kind: "loss", Metric: "loglik", Better: "higher", Value: -9.5, Pass: 1},
		{Kind: "bytes", Bytes: map[string]int64{"wire": 1 << 40}},
	}
	var text []byte
	r := NewRecorder(rank, time.Now(), func(line []byte) { text = append(append(text, line...), '\n') })
	for i := range events {
		events[i].Rank, events[i].Time = rank, float64(i+1)
		r.Record(events[i])
	}
	return text, events
}

// A record that was torn at any byte is read up to the tear.
func TestReadEventsTornAnywhere(t *testing.T) {
	text, want := record(2)
	for n := range len(text) + 1 {
		events, torn, err := ReadEvents(bytes.NewReader(text[:n]))
		if err != nil {
			t.Fatal(err)
		}
		whole, rest := bytes.Count(text[:n], []byte("\n")), text[bytes.LastIndexByte(text[:n], '\n')+1:n]
		complete := n < len(text) && text[n] == '\n' // all of a line but its end
		if complete {
			whole++
		}
		if len(events) != whole || torn != (len(rest) > 0 && !complete) {
			t.Fatalf("first %d bytes: %d events, torn %v, want %d", n, len(events), torn, whole)
		}
		if whole > 0 && !reflect.DeepEqual(events, want[:whole]) {
			t.Fatalf("first %d bytes: %+v, want %+v", n, events, want[:whole])
		}
	}
}

func TestReadRun(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadRun(dir); err == nil || !strings.Contains(err.Error(), JobFile) {
		t.Errorf("error %v, want one that names %s", err, JobFile)
	}
	if err := WriteJob(dir, JobInfo{Program: "p", Ranks: 3}); err != nil {
		t.Fatal(err)
	}
	text, want := record(2)
	for rank, text := range map[int][]byte{0: text[:len(text)-3], 2: text} { // rank 1 recorded nothing
		if err := os.WriteFile(filepath.Join(dir, RankFile(rank)), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	run, err := ReadRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if run.Job.Program != "p" || !reflect.DeepEqual(run.Events, [][]Event{want[:3], nil, want}) || !reflect.DeepEqual(run.Torn, []int{0}) {
		t.Errorf("got %+v", run)
	}
	if err := os.WriteFile(filepath.Join(dir, JobFile), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRun(dir); err == nil || !strings.Contains(err.Error(), JobFile) {
		t.Errorf("error %v, want one that names %s", err, JobFile)
	}
}

func FuzzReadEvents(f *testing.F) {
	text, _ := record(0)
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add([]byte("null\n\n[]\n{\"ev\":3}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		events, torn, err := ReadEvents(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(text, []byte("\n")) + 1; len(events) > lines {
			t.Errorf("%d events of %d lines, torn %v", len(events), lines, torn)
		}
		// What is appended to a whole record does not change what was read.
		if !torn && (len(text) == 0 || text[len(text)-1] == '\n') {
			more, _, _ := ReadEvents(bytes.NewReader(append(bytes.Clone(text), "{\"ev\":"...)))
			if !reflect.DeepEqual(more, events) {
				t.Errorf("got %v, want %v", more, events)
			}
		}
	})
}

func TestReadRunOfImpossibleSize(t *testing.T) {
	for _, ranks := range []string{"-1", "1000000000000"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, JobFile), []byte(`{"ranks":`+ranks+`}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if run, err := ReadRun(dir); err == nil {
			t.Errorf("%s ranks: read %d", ranks, run.Job.Ranks)
		}
	}
}
