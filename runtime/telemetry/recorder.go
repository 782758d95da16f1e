package telemetry

import (
	"encoding/json"
	"sync"
	"time"
)

// Recorder turns events into record lines. A nil Recorder records nothing. It
// is safe for concurrent use.
type Recorder struct {
	rank  int
	start time.Time
	sink  func(line []byte)

	mu sync.Mutex // orders lines
}

// NewRecorder returns a recorder that hands each line, without newline, to
// sink, which must not keep it.
func NewRecorder(rank int, start time.Time, sink func(line []byte)) *Recorder {
	return &Recorder{rank: rank, start: start, sink: sink}
}

// Enabled reports whether events go anywhere.
func (r *Recorder) Enabled() bool { return r != nil && r.sink != nil }

// Record stamps the event with the rank and the time since start, unless it
// carries a time, and hands it on.
func (r *Recorder) Record(e Event) {
	if !r.Enabled() {
		return
	}
	e.Rank = r.rank
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Time == 0 {
		e.Time = time.Since(r.start).Seconds()
	}
	line, err := json.Marshal(e)
	if err != nil { // a NaN or an infinity: say so instead of losing the line
		line, _ = json.Marshal(Event{Kind: "note", Time: e.Time, Rank: e.Rank, Text: e.Kind + ": " + err.Error()})
	}
	r.sink(line)
}
