package telemetry

import (
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Recorder turns events into record lines. A nil Recorder records nothing. It
// is safe for concurrent use.
type Recorder struct {
	rank    int
	start   time.Time
	sink    func(line []byte)
	tracing atomic.Bool

	mu        sync.Mutex // orders lines; guards what follows
	announce  bool       // the start is to be told before anything else
	processes bool       // the process is described now and then
	described time.Time  // when it was last
	line      []byte     // reused

	traceMu sync.Mutex // guards traced
	traced  packer     // not yet recorded
}

// traceBatch is how many traced spans make a record line.
const traceBatch = 2048

// NewRecorder returns a recorder that hands each line, without newline, to
// sink, which must not keep it.
func NewRecorder(rank int, start time.Time, sink func(line []byte)) *Recorder {
	return &Recorder{rank: rank, start: start, sink: sink}
}

// Describe has the recorder tell, along with the first event, when it was
// started by the clock of the host, and now and then how the process does.
func (r *Recorder) Describe() {
	r.mu.Lock()
	r.announce, r.processes = true, true
	r.mu.Unlock()
}

// Enabled reports whether events go anywhere.
func (r *Recorder) Enabled() bool { return r != nil && r.sink != nil }

// SetTracing says whether every span is wanted, not only those of the slowest
// clocks.
func (r *Recorder) SetTracing(on bool) { r.tracing.Store(on) }

// Tracing reports whether every span is wanted.
func (r *Recorder) Tracing() bool { return r.Enabled() && r.tracing.Load() }

// At returns a moment as spans carry it: the time since the recorder was started.
func (r *Recorder) At(t time.Time) time.Duration {
	if r == nil {
		return 0
	}
	return t.Sub(r.start)
}

// Record stamps the event with the rank and the time since start, unless it
// carries a time, and hands it on.
func (r *Recorder) Record(e Event) {
	if !r.Enabled() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.announce {
		r.announce = false
		r.put(Event{Kind: "start", Wall: r.start.UnixNano(), Pid: os.Getpid()})
	}
	r.put(e)
	if r.processes && time.Since(r.described) >= processEvery {
		r.described = time.Now()
		r.put(process())
	}
}

// put makes a line, with mu.
func (r *Recorder) put(e Event) {
	e.Rank = r.rank
	if e.Time == 0 {
		e.Time = time.Since(r.start).Seconds()
	}
	line, err := appendLine(r.line[:0], &e)
	if err != nil { // a NaN or an infinity: say so instead of losing the line
		line, _ = json.Marshal(Event{Kind: "note", Time: e.Time, Rank: e.Rank, Text: e.Kind + ": " + err.Error()})
	}
	r.line = line
	r.sink(line)
}

// Spans records spans at once, as one event. The slice is the caller's again
// on return.
func (r *Recorder) Spans(spans []Span) {
	if !r.Enabled() || len(spans) == 0 {
		return
	}
	p := packer{data: make([]byte, 0, 16*len(spans))}
	p.add(spans)
	r.Record(Event{Kind: "spans", Spans: p.data, Names: p.names})
}

// Trace records spans when tracing, together with others: Flush brings out
// those that wait. The slice is the caller's again on return.
func (r *Recorder) Trace(spans ...Span) {
	if len(spans) == 0 || !r.Tracing() {
		return
	}
	r.traceMu.Lock()
	defer r.traceMu.Unlock()
	r.traced.add(spans)
	if r.traced.spans >= traceBatch {
		r.bringOut()
	}
}

// Flush records the traced spans that wait.
func (r *Recorder) Flush() {
	if !r.Enabled() {
		return
	}
	r.traceMu.Lock()
	defer r.traceMu.Unlock()
	r.bringOut()
}

// bringOut records the traced spans, with traceMu: batches leave in order.
func (r *Recorder) bringOut() {
	if r.traced.spans > 0 {
		r.Record(Event{Kind: "spans", Spans: r.traced.data, Names: r.traced.names})
		r.traced.reset()
	}
}
