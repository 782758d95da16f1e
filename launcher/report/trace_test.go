package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// traceEvent is an event of the Trace Event Format. Fields that it does not
// know are an error of the reader.
type traceEvent struct {
	Ph    string         `json:"ph"`
	Pid   int            `json:"pid"`
	Tid   int            `json:"tid"`
	Name  string         `json:"name"`
	Cat   string         `json:"cat"`
	Ts    *json.Number   `json:"ts"`
	Dur   *json.Number   `json:"dur"`
	Scope string         `json:"s"`
	Args  map[string]any `json:"args"`
}

type traceDoc struct {
	Unit   string            `json:"displayTimeUnit"`
	About  map[string]string `json:"otherData"`
	Events []traceEvent      `json:"traceEvents"`
}

func readTrace(t *testing.T, text []byte) traceDoc {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var doc traceDoc
	if err := d.Decode(&doc); err != nil {
		t.Fatalf("%v in\n%.2000s", err, text)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("something follows: %v", err)
	}
	for _, e := range doc.Events {
		switch { // what each phase must have
		case e.Name == "" || e.Ph != "M" && e.Ts == nil, e.Ph == "X" != (e.Dur != nil), e.Ph == "i" != (e.Scope == "p"), e.Ph == "M" && len(e.Args) != 1:
			t.Errorf("event %+v", e)
		case !strings.Contains("XCMi", e.Ph):
			t.Errorf("phase %q", e.Ph)
		}
	}
	return doc
}

// ns returns a number of microseconds in nanoseconds, exactly.
func ns(t *testing.T, n *json.Number) int64 {
	t.Helper()
	whole, fraction, _ := strings.Cut(n.String(), ".")
	var v int64
	if _, err := fmt.Sscanf(whole+(fraction + "000")[:3], "%d", &v); err != nil || len(fraction) > 3 {
		t.Fatalf("time %s: %v", n, err)
	}
	return v
}

// recording makes the record of a rank whose recorder was started at start by
// its host's clock.
func recording(t *testing.T, dir string, rank int, start time.Time, record func(r *telemetry.Recorder)) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, telemetry.RankFile(rank)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := telemetry.NewRecorder(rank, start, func(line []byte) { fmt.Fprintf(f, "%s\n", line) })
	r.Describe()
	r.SetTracing(true)
	record(r)
	r.Flush()
}

func trace(t *testing.T, job *telemetry.JobInfo, dir string) (traceDoc, int64) {
	t.Helper()
	var out bytes.Buffer
	n, err := Trace(t.Context(), &out, job, dir)
	if err != nil {
		t.Fatal(err)
	}
	return readTrace(t, out.Bytes()), n
}

// Two hosts whose clocks are three seconds apart: the gate of one rank lines up
// with the work of the rank that it waited for.
func TestTraceLinesUp(t *testing.T) {
	const ms = time.Millisecond
	dir, start := t.TempDir(), time.Date(2026, 5, 6, 7, 8, 9, 1000, time.UTC)
	job := &telemetry.JobInfo{
		Job: "j", Program: "./app", Args: []string{"-sync", "bsp", `"<&>`}, Ranks: 3, Start: start, Ended: true, Exit: 3, Cause: "why",
		Settings: map[string]string{"emulate": "delay=1ms"}, Versions: map[string]string{"sspurn": "v1", "go": "go1"},
		Hosts: []telemetry.HostInfo{
			{Name: "a", Ranks: []int{0}, Clock: []telemetry.ClockOffset{{At: 0, Offset: 1}}},
			{Name: "b", Ranks: []int{1}, Clock: []telemetry.ClockOffset{{At: 0, Offset: -2}}},
			{Name: "c", Ranks: []int{2}},
		},
	}
	// Rank 0 starts 100 ms after the job, rank 1 after 250 ms.
	recording(t, dir, 0, start.Add(1100*ms), func(r *telemetry.Recorder) {
		r.Trace(telemetry.Span{Kind: telemetry.Compute, On: telemetry.NoRank, Start: 200 * ms, End: 300*ms + 1, Clock: 7})
		r.Trace(telemetry.Span{Kind: telemetry.Gate, On: 1, Start: 300*ms + 1, End: 650 * ms, Clock: 8})
		r.Trace(telemetry.Span{Kind: telemetry.Push, Lane: telemetry.LanePush + 1, On: 1, Start: 1, End: 2, Bytes: 99})
		r.Trace(telemetry.Span{Kind: telemetry.Collective, Lane: telemetry.LaneRank, On: telemetry.NoRank, Start: 5, End: 5, Name: "allreduce"})
		r.Trace(telemetry.Span{Kind: 99, Lane: 1, On: telemetry.NoRank})
		r.Record(telemetry.Event{Kind: "loss", Time: 0.5, Metric: "rmse", Value: 0.25})
		r.Record(telemetry.Event{Kind: "bytes", Time: 1, Bytes: map[string]int64{"update": 3, "raw": 50, "control": 4}})
		r.Record(telemetry.Event{Kind: "bytes", Time: 2, Bytes: map[string]int64{"update": 3, "wire": 30}})
		r.Record(telemetry.Event{Kind: "note", Time: 3, Text: "hear\n\"this\""})
	})
	recording(t, dir, 1, start.Add(-1750*ms), func(r *telemetry.Recorder) {
		r.Trace(telemetry.Span{Kind: telemetry.Compute, On: telemetry.NoRank, Start: 0, End: 500 * ms})
	})
	doc, n := trace(t, job, dir)
	if n != 6 || doc.Unit != "ms" {
		t.Errorf("%d spans, unit %q", n, doc.Unit)
	}
	for key, want := range map[string]string{"command": `./app -sync bsp "<&>`, "sspurn": "v1", "go": "go1", "emulate": "delay=1ms", "exit": "3", "cause": "why", "start": "2026-05-06T07:08:09.000001Z"} {
		if doc.About[key] != want {
			t.Errorf("%s is %q, want %q", key, doc.About[key], want)
		}
	}
	var got []string
	for _, e := range doc.Events {
		line := fmt.Sprintf("%s %d/%d %s", e.Ph, e.Pid, e.Tid, e.Name)
		if e.Ts != nil {
			line += " @" + e.Ts.String()
		}
		if e.Dur != nil {
			line += " +" + e.Dur.String() + " " + e.Cat
		}
		got = append(got, fmt.Sprint(line, " ", e.Args))
	}
	want := []string{
		"M 0/0 process_name map[name:rank 0 on a]",
		"M 0/0 process_sort_index map[sort_index:0]",
		"C 0/0 rmse @600000 map[value:0.25]",
		"C 0/0 bytes sent @1100000 map[bytes:7]",
		"C 0/0 bytes sent @2100000 map[bytes:30]",
		"i 0/1 hear\n\"this\" @3100000 map[]",
		"M 0/2 thread_name map[name:worker 0]",
		"M 0/2 thread_sort_index map[sort_index:2]",
		"X 0/2 compute @300000 +100000.001 compute map[clock:7]",
		"X 0/2 gate @400000.001 +349999.999 gate map[clock:8 waited_for:1]",
		"M 0/1048577 thread_name map[name:push to 1]",
		"M 0/1048577 thread_sort_index map[sort_index:1.048577e+06]",
		"X 0/1048577 push @100000.001 +0.001 push map[bytes:99 clock:0 to:1]",
		"M 0/1 thread_name map[name:rank]",
		"M 0/1 thread_sort_index map[sort_index:1]",
		"X 0/1 allreduce @100000.005 +0 collective map[clock:0 operation:allreduce]",
		"M 0/3 thread_name map[name:worker 1]",
		"M 0/3 thread_sort_index map[sort_index:3]",
		"X 0/3 kind 99 @100000 +0 kind 99 map[clock:0]",
		"M 1/0 process_name map[name:rank 1 on b]",
		"M 1/0 process_sort_index map[sort_index:1]",
		"M 1/2 thread_name map[name:worker 0]",
		"M 1/2 thread_sort_index map[sort_index:2]",
		"X 1/2 compute @250000 +500000 compute map[clock:0]", // to 750 ms, as the gate
		"M 2/0 process_name map[name:rank 2 on c]",
		"M 2/0 process_sort_index map[sort_index:2]",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What follows in a lane follows in the trace: as many spans, in their order,
// without overlaps, also on a clock that drifts and is years off.
func TestTraceKeepsLanesInOrder(t *testing.T) {
	const each = 3000
	dir, start := t.TempDir(), time.Unix(1.7e9, 0)
	job := &telemetry.JobInfo{Ranks: 2, Start: start, Hosts: []telemetry.HostInfo{{Name: "h", Ranks: []int{0, 1}, Clock: []telemetry.ClockOffset{
		{At: 0.1, Offset: -3e8}, {At: 1, Offset: -3e8 + 1e-4}, {At: 3, Offset: -3e8 - 1e-4},
	}}}}
	for rank := range 2 {
		recording(t, dir, rank, start.Add(-3e8*time.Second), func(r *telemetry.Recorder) {
			var at [3]time.Duration
			for i := range each {
				lane := i % 3
				from := at[lane] + time.Duration(i%7)
				at[lane] = from + time.Duration(i*i%5e6)
				r.Trace(telemetry.Span{Kind: telemetry.Compute, Lane: lane, On: telemetry.NoRank, Start: from, End: at[lane], Clock: int64(i)})
			}
		})
	}
	doc, n := trace(t, job, dir)
	if n != 2*each {
		t.Errorf("%d spans, want %d", n, 2*each)
	}
	end, clock := map[[2]int]int64{}, map[[2]int]float64{}
	for _, e := range doc.Events {
		if e.Ph != "X" {
			continue
		}
		lane := [2]int{e.Pid, e.Tid}
		from, c := ns(t, e.Ts), e.Args["clock"].(float64)
		if from < end[lane] || c <= clock[lane] && c > 2 {
			t.Fatalf("rank %d thread %d: clock %g from %d ns, after clock %g, to %d ns", e.Pid, e.Tid, c, from, clock[lane], end[lane])
		}
		end[lane], clock[lane] = from+ns(t, e.Dur), c
	}
	if len(end) != 6 {
		t.Errorf("%d lanes, want 6", len(end))
	}
}

// A clock that was not compared and is behind: nothing is before 0, where
// viewers do not look.
func TestTraceStartsAtZero(t *testing.T) {
	dir, start := t.TempDir(), time.Unix(1.7e9, 0)
	recording(t, dir, 0, start.Add(-time.Hour), func(r *telemetry.Recorder) {
		r.Trace(telemetry.Span{Kind: telemetry.Compute, Start: 3 * time.Second, End: 4 * time.Second})
	})
	doc, _ := trace(t, &telemetry.JobInfo{Ranks: 1, Start: start}, dir)
	for _, e := range doc.Events {
		if e.Ph == "X" && ns(t, e.Ts) != 3e9 {
			t.Errorf("at %s µs, want 3 s", e.Ts)
		}
	}
}

func TestTraceOfLittle(t *testing.T) {
	dir := t.TempDir()
	recording(t, dir, 1, time.Now(), func(r *telemetry.Recorder) {
		for range 1000 {
			r.Trace(telemetry.Span{Kind: telemetry.Flush})
		}
	})
	name := filepath.Join(dir, telemetry.RankFile(1))
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	job := &telemetry.JobInfo{Ranks: 3, Start: time.Now()}
	last := int64(1000)
	for cut := len(whole); cut >= 0; cut -= 301 {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		_, n := trace(t, job, dir)
		if n > last || cut == len(whole) && n != 1000 {
			t.Errorf("%d spans of %d bytes, %d of more", n, cut, last)
		}
		last = n
	}
	for _, dir := range []string{"", t.TempDir()} {
		if doc, n := trace(t, job, dir); n != 0 || len(doc.Events) != 6 {
			t.Errorf("%d spans, events %v", n, doc.Events)
		}
	}
}

// limited fails after so many bytes.
type limited int

func (l *limited) Write(p []byte) (int, error) {
	if *l -= limited(len(p)); *l < 0 {
		return 0, errors.New("no space")
	}
	return len(p), nil
}

func TestTraceEnds(t *testing.T) {
	dir := t.TempDir()
	job := &telemetry.JobInfo{Ranks: 1, Start: time.Now()}
	recording(t, dir, 0, time.Now(), func(r *telemetry.Recorder) {
		for range 5000 {
			r.Trace(telemetry.Span{Kind: telemetry.Flush})
		}
	})
	for room := limited(0); room < 300_000; room += 70_000 {
		left := room
		if _, err := Trace(t.Context(), &left, job, dir); err == nil || err.Error() != "trace: no space" {
			t.Errorf("room for %d: %v", room, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := Trace(ctx, io.Discard, job, dir); err == nil || err.Error() != "enough" {
		t.Errorf("after the end: %v", err)
	}
}

// Ten times as many spans need no more memory.
func TestTraceStreams(t *testing.T) {
	job := &telemetry.JobInfo{Ranks: 1, Start: time.Now()}
	most := func(n int) uint64 {
		dir := t.TempDir()
		recording(t, dir, 0, time.Now(), func(r *telemetry.Recorder) {
			for i := range n {
				r.Trace(telemetry.Span{Kind: telemetry.Gate, On: 1, Clock: int64(i), Start: time.Duration(1000 * i), End: time.Duration(1000*i + 900)})
			}
		})
		peak := peakWriter{}
		if got, err := Trace(t.Context(), &peak, job, dir); err != nil || got != int64(n) {
			t.Fatalf("%d spans (%v), want %d", got, err, n)
		}
		return peak.most
	}
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	few := most(20_000)
	if many := most(200_000); many > few+4<<20 {
		t.Errorf("%d bytes of heap for ten times the spans, %d before", many, few)
	}
}

func BenchmarkTrace(b *testing.B) {
	dir := b.TempDir()
	f, err := os.Create(filepath.Join(dir, telemetry.RankFile(0)))
	if err != nil {
		b.Fatal(err)
	}
	r := telemetry.NewRecorder(0, time.Now(), func(line []byte) { fmt.Fprintf(f, "%s\n", line) })
	r.SetTracing(true)
	const n = 100_000
	for i := range n {
		r.Trace(telemetry.Span{Kind: telemetry.SpanKind(1 + i%5), On: i % 8, Clock: int64(i), Start: time.Duration(1000 * i), End: time.Duration(1000*i + 900)})
	}
	r.Flush()
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	var out limited = math.MaxInt
	b.ReportAllocs()
	for b.Loop() {
		out = math.MaxInt
		if _, err := Trace(b.Context(), &out, &telemetry.JobInfo{Ranks: 1, Start: time.Now()}, dir); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(math.MaxInt - out))
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "spans/s")
}
