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
	for text, want := range map[string]string{
		`{"ranks":-1}`: "-1 ranks", `{"ranks":1000000000000}`: "1000000000000 ranks", `{"program":"p"}`: "0 ranks",
		`{}`: "describes no run", `null`: "describes no run", ``: "unexpected end", `[]`: "cannot unmarshal array",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, JobFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadRun(dir)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Join(dir, JobFile)) {
			t.Errorf("%s: error %v, want one that names the file and %q", text, err, want)
		}
	}
}

// A record that was cut anywhere, at the end of a line too, is told from a whole
// one, and read up to there.
func TestReadRunTellsWhatIsTorn(t *testing.T) {
	const ranks = 3
	dir := t.TempDir()
	lines := make([]int64, ranks)
	texts, events := make([][]byte, ranks), make([][]Event, ranks)
	for rank := range ranks {
		texts[rank], events[rank] = record(rank)
		lines[rank] = int64(len(events[rank]))
	}
	write := func(job JobInfo, files ...[]byte) *Run {
		t.Helper()
		for rank, text := range files {
			name := filepath.Join(dir, RankFile(rank))
			if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if text == nil {
				continue
			}
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		job.Program, job.Ranks = "p", ranks
		if err := WriteJob(dir, job); err != nil {
			t.Fatal(err)
		}
		run, err := ReadRun(dir)
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	for n := range len(texts[1]) + 1 {
		run := write(JobInfo{Ended: true, Lines: lines}, texts[0], texts[1][:n], texts[2])
		var want []int
		if n < len(texts[1])-1 { // all but the last newline is all
			want = []int{1}
		}
		if !reflect.DeepEqual(run.Torn, want) {
			t.Fatalf("first %d bytes of rank 1: torn %v, want %v", n, run.Torn, want)
		}
		if got := run.Events[1]; len(got) > 0 && !reflect.DeepEqual(got, events[1][:len(got)]) {
			t.Fatalf("first %d bytes: %+v", n, got)
		}
	}
	none := []int64{0, 0, 0}
	for _, tt := range []struct {
		name  string
		job   JobInfo
		files [][]byte
		torn  []int
	}{
		{"all are missing", JobInfo{Ended: true, Lines: lines}, [][]byte{nil, nil, nil}, []int{0, 1, 2}},
		{"a program without records", JobInfo{Ended: true, Lines: none}, [][]byte{nil, nil, nil}, nil},
		{"rank 0 alone records", JobInfo{Ended: true, Lines: []int64{lines[0], 0, 0}}, [][]byte{texts[0], nil, nil}, nil},
		{"older: none", JobInfo{Ended: true}, [][]byte{nil, nil, nil}, nil},
		{"older: rank 0 alone", JobInfo{Ended: true}, [][]byte{texts[0], nil, nil}, nil},
		{"older: one is missing", JobInfo{Ended: true}, [][]byte{nil, texts[1], texts[2]}, []int{0}},
		{"older: cut at the end of a line", JobInfo{Ended: true}, [][]byte{texts[0], texts[1][:bytes.IndexByte(texts[1], '\n')+1], texts[2]}, nil},
		{"running: not all have begun", JobInfo{}, [][]byte{nil, texts[1], texts[2]}, nil},
	} {
		if run := write(tt.job, tt.files...); !reflect.DeepEqual(run.Torn, tt.torn) {
			t.Errorf("%s: torn %v, want %v", tt.name, run.Torn, tt.torn)
		}
	}
}
