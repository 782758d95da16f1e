package report

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Threads of a rank's process in a trace, besides those of pushes. None is 0,
// which is the idle thread to some viewers.
const (
	traceRank   = 1 // LaneRank
	traceWorker = 2 // and the worker
)

// Trace writes what the ranks of a job recorded in dir to w as a timeline in
// the Trace Event Format (JSON), which Perfetto and chrome://tracing open: a
// process for each rank with a thread for each of its lanes, counters for the
// loss and the bytes sent, and notes as instants. All times are since the job's
// start by the launcher's clock. It returns how many spans it wrote. The record
// is read line by line; what is torn is written up to the tear. dir may be
// empty: nothing was recorded. When ctx ends, so does the writing, with the
// cause.
func Trace(ctx context.Context, w io.Writer, job *telemetry.JobInfo, dir string) (spans int64, err error) {
	walls := make([]int64, job.Ranks)
	if dir != "" {
		for rank := range walls {
			if walls[rank], err = startOf(filepath.Join(dir, telemetry.RankFile(rank))); err != nil {
				return 0, err
			}
		}
	}
	t := &tracer{out: bufio.NewWriterSize(w, 64<<10), line: telemetry.NewTimeline(job, walls), names: make(map[string][]byte), heads: make(map[head][]byte)}
	// A clock that was never compared may put a rank before the job; viewers drop
	// what is before 0.
	for rank := range walls {
		t.base = max(t.base, -t.line.At(rank, 0))
	}
	if err := t.head(job); err != nil {
		return 0, err
	}
	hosts := make(map[int]string)
	for _, h := range job.Hosts {
		for _, rank := range h.Ranks {
			hosts[rank] = h.Name
		}
	}
	for rank := range job.Ranks {
		if err := t.rank(ctx, rank, hosts[rank], dir); err != nil {
			return t.spans, err
		}
	}
	_, _ = t.out.WriteString("\n]}\n") // the error stays with the writer
	return t.spans, errors.Wrap(t.out.Flush(), "trace")
}

// errEnough ends the reading of a record.
var errEnough = stderrors.New("enough")

// startLines is among how many of a record's first lines its start is.
const startLines = 16

// startOf returns when a record was begun by its host's clock; 0: it does not
// say.
func startOf(name string) (wall int64, err error) {
	lines := 0
	err = eachEvent(name, func(e *telemetry.Event) error {
		if e.Kind == "start" {
			wall = e.Wall
			return errEnough
		}
		if lines++; lines == startLines {
			return errEnough
		}
		return nil
	})
	return wall, err
}

// eachEvent reads a record that may not be there.
func eachEvent(name string, f func(*telemetry.Event) error, kinds ...string) error {
	file, err := os.Open(name)
	if stderrors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errors.Wrap(err, "trace")
	}
	defer file.Close()
	if _, err = telemetry.EachEvent(file, f, kinds...); err == errEnough {
		return nil
	}
	return err
}

// tracer writes the events of a trace.
type tracer struct {
	out   *bufio.Writer
	buf   []byte // the event being made
	comma bool   // there is an event before
	line  *telemetry.Timeline
	base  time.Duration     // added to all times
	names map[string][]byte // texts as JSON
	heads map[head][]byte   // starts of the running rank's spans
	spans int64

	recent [recentHeads]struct { // of heads, by kind: looked at first
		head head
		text []byte
	}
	placed struct { // where the running rank's last span ended: the next one mostly starts there
		at, place time.Duration
	}
	clock struct { // of the last span, and how its arguments start
		clock int64
		text  []byte
	}

	unpacked []telemetry.Span // of one event; reused
}

// recentHeads is more than there are kinds of spans, and a power of two.
const recentHeads = 8

// head is what many spans of a rank have in common.
type head struct {
	kind telemetry.SpanKind
	lane int
	name string
}

// head writes what comes before the events.
func (t *tracer) head(job *telemetry.JobInfo) error {
	about := map[string]string{
		"command": strings.Join(append([]string{job.Program}, job.Args...), " "), "job": job.Job,
		"ranks": strconv.Itoa(job.Ranks), "start": job.Start.Format(time.RFC3339Nano),
	}
	for _, more := range []map[string]string{job.Versions, job.Settings} {
		maps.Copy(about, more)
	}
	if job.Ended {
		about["exit"] = strconv.Itoa(job.Exit)
	}
	for key, text := range map[string]string{"cause": job.Cause, "partial": job.Partial} {
		if text != "" {
			about[key] = text
		}
	}
	text, err := json.Marshal(about)
	if err != nil {
		return errors.Wrap(err, "trace")
	}
	_, err = t.out.WriteString(`{"displayTimeUnit":"ms","otherData":` + string(text) + `,"traceEvents":[`)
	return errors.Wrap(err, "trace")
}

// rank writes the events of a rank.
func (t *tracer) rank(ctx context.Context, rank int, host, dir string) error {
	name := "rank " + strconv.Itoa(rank)
	if host != "" {
		name += " on " + host
	}
	clear(t.heads)
	clear(t.recent[:])
	t.placed.at = -1
	t.meta(rank, 0, "process_name", "name", name)
	t.meta(rank, 0, "process_sort_index", "sort_index", rank)
	if dir == "" {
		return nil
	}
	lanes, lane, named := make(map[int]bool), 0, false // lane is that of the last span, if it is named
	return eachEvent(filepath.Join(dir, telemetry.RankFile(rank)), func(e *telemetry.Event) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch e.Kind {
		case "spans":
			t.unpacked, _ = e.AppendSpans(t.unpacked[:0]) // those before what is not understood
			for i := range t.unpacked {
				s := &t.unpacked[i]
				if s.Lane != lane || !named {
					if lane, named = s.Lane, true; !lanes[lane] {
						lanes[lane] = true
						t.lane(rank, lane)
					}
				}
				t.span(rank, s)
			}
		case "loss":
			t.counter(rank, e.Time, e.Metric, "value", e.Value)
		case "bytes":
			t.counter(rank, e.Time, "bytes sent", "bytes", float64(sent(e.Bytes)))
		case "note":
			t.begin("i", rank, traceRank, e.Text)
			t.buf = append(t.buf, `,"cat":"note","s":"p","ts":`...)
			t.buf = appendMicros(t.buf, t.seconds(rank, e.Time))
			t.end()
		}
		return t.err()
	}, "spans", "loss", "bytes", "note")
}

// err returns the writer's error.
func (t *tracer) err() error {
	_, err := t.out.Write(nil)
	return errors.Wrap(err, "trace")
}

// thread returns a lane's thread.
func thread(lane int) int {
	switch {
	case lane == telemetry.LaneRank:
		return traceRank
	case lane >= telemetry.LanePush:
		return lane
	}
	return traceWorker + lane
}

// lane names a lane's thread.
func (t *tracer) lane(rank, lane int) {
	name := "worker " + strconv.Itoa(lane)
	switch {
	case lane == telemetry.LaneRank:
		name = "rank"
	case lane >= telemetry.LanePush:
		name = "push to " + strconv.Itoa(lane-telemetry.LanePush)
	}
	t.meta(rank, thread(lane), "thread_name", "name", name)
	t.meta(rank, thread(lane), "thread_sort_index", "sort_index", thread(lane))
}

// meta writes a metadata event; value is a string or an int.
func (t *tracer) meta(rank, tid int, name, key string, value any) {
	t.begin("M", rank, tid, name)
	t.buf = append(t.buf, `,"args":{"`...)
	t.buf = append(append(t.buf, key...), `":`...)
	switch v := value.(type) {
	case string:
		t.buf = t.text(t.buf, v)
	case int:
		t.buf = strconv.AppendInt(t.buf, int64(v), 10)
	}
	t.buf = append(t.buf, '}')
	t.end()
}

// span writes a complete event.
func (t *tracer) span(rank int, s *telemetry.Span) {
	// Both ends go the same way, so that what does not overlap does not in the trace.
	from := t.placed.place
	if t.placed.at != s.Start {
		from = t.line.At(rank, s.Start) + t.base
	}
	to := t.line.At(rank, s.End) + t.base
	t.placed.at, t.placed.place = s.End, to
	h := head{s.Kind, s.Lane, s.Name}
	start := &t.recent[s.Kind%recentHeads]
	if start.text == nil || start.head != h {
		start.head, start.text = h, t.start(rank, h)
	}
	t.buf = append(t.out.AvailableBuffer(), start.text...) // where it will be, so that it need not move
	t.buf = appendMicros(t.buf, from)
	t.buf = appendMicros(append(t.buf, `,"dur":`...), to-from)
	if t.clock.text == nil || t.clock.clock != s.Clock {
		t.clock.clock, t.clock.text = s.Clock, strconv.AppendInt(append(t.clock.text[:0], `,"args":{"clock":`...), s.Clock, 10)
	}
	t.buf = append(t.buf, t.clock.text...)
	if s.On != telemetry.NoRank {
		key := `,"waited_for":`
		if s.Kind == telemetry.Push {
			key = `,"to":`
		}
		t.buf = strconv.AppendInt(append(t.buf, key...), int64(s.On), 10)
	}
	if s.Bytes != 0 {
		t.buf = strconv.AppendInt(append(t.buf, `,"bytes":`...), s.Bytes, 10)
	}
	if s.Name != "" {
		t.buf = t.text(append(t.buf, `,"operation":`...), s.Name)
	}
	t.buf = append(t.buf, '}')
	t.end()
	t.spans++
}

// start returns a span's event up to its time.
func (t *tracer) start(rank int, h head) []byte {
	if b, ok := t.heads[h]; ok {
		return b
	}
	kind := h.kind.String()
	if kind == "" {
		kind = "kind " + strconv.Itoa(int(h.kind))
	}
	name := kind
	if h.name != "" {
		name = h.name
	}
	t.begin("X", rank, thread(h.lane), name)
	t.buf = t.text(append(t.buf, `,"cat":`...), kind)
	b := append(bytes.Clone(t.buf), `,"ts":`...)
	if len(t.heads) >= keptNames {
		clear(t.heads)
	}
	t.heads[h] = b
	return b
}

// counter writes a counter event of one series.
func (t *tracer) counter(rank int, at float64, name, series string, value float64) {
	t.begin("C", rank, 0, name)
	t.buf = appendMicros(append(t.buf, `,"ts":`...), t.seconds(rank, at))
	t.buf = append(append(append(t.buf, `,"args":{"`...), series...), `":`...)
	t.buf = strconv.AppendFloat(t.buf, value, 'g', -1, 64) // finite, as JSON was
	t.buf = append(t.buf, '}')
	t.end()
}

// seconds is the place on the axis of an event's time.
func (t *tracer) seconds(rank int, at float64) time.Duration {
	return t.line.At(rank, time.Duration(at*1e9)) + t.base
}

// begin starts an event with what all have.
func (t *tracer) begin(phase string, rank, tid int, name string) {
	t.buf = t.out.AvailableBuffer()
	if t.comma {
		t.buf = append(t.buf, ',')
	}
	t.comma = true
	t.buf = append(append(t.buf, "\n{\"ph\":\""...), phase...)
	t.buf = strconv.AppendInt(append(t.buf, `","pid":`...), int64(rank), 10)
	t.buf = strconv.AppendInt(append(t.buf, `,"tid":`...), int64(tid), 10)
	t.buf = t.text(append(t.buf, `,"name":`...), name)
}

// end writes the event.
func (t *tracer) end() {
	t.buf = append(t.buf, '}')
	_, _ = t.out.Write(t.buf) // the error stays with the writer
}

// keptNames bounds the memory for texts.
const keptNames = 4096

// text appends a text as JSON. There are few different ones.
func (t *tracer) text(dst []byte, s string) []byte {
	b, ok := t.names[s]
	if !ok {
		b, _ = json.Marshal(s) // a string always can be
		if len(t.names) >= keptNames {
			clear(t.names)
		}
		t.names[s] = b
	}
	return append(dst, b...)
}

// appendMicros appends a time in microseconds with the nanoseconds as fraction.
func appendMicros(dst []byte, d time.Duration) []byte {
	if d < 0 {
		dst, d = append(dst, '-'), -d
	}
	us := d / time.Microsecond
	dst = strconv.AppendInt(dst, int64(us), 10)
	if ns := uint32(d - us*time.Microsecond); ns != 0 {
		dst = append(dst, '.', byte('0'+ns/100), byte('0'+ns/10%10), byte('0'+ns%10))
	}
	return dst
}
