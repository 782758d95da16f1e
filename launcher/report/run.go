// Package report turns recorded runs into what people look at: tables on a
// terminal, a self-contained HTML page, plots as PNG or SVG, and the numbers
// behind them as CSV and JSON.
//
// A [Run] adds up the events of one run, also while it goes on. A [Report] puts
// runs side by side, those of one setting together, and holds every number once,
// as [Table] values: the terminal, the page, CSV and JSON show the same ones, and
// the charts are drawn from them.
package report

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Point is a place on a run's loss curve.
type Point struct {
	Pass    float64 // passes over the data
	Seconds float64 // of training
	Clocks  float64 // of each worker
	Value   float64
}

// Run is what the record of a run says. It is not safe for concurrent use.
type Run struct {
	Dir  string // "" while it is not in a directory
	Job  telemetry.JobInfo
	Torn []int // ranks whose record ends in the middle of a line
	Live bool  // it goes on
	Seen bool  // added up while it went on, without spans, as its record is not whole

	ranks  []rank
	curves map[string][]telemetry.Event // loss events by metric
	metric string                       // reported last
	sync   string                       // that the program said at its start
	result map[string]string            // the app's result line
	said   []string                     // notes, with the time
}

// rank is what one rank has recorded.
type rank struct {
	wall    int64                   // start by the clock of its host, Unix nanoseconds; 0 unknown
	workers map[int]telemetry.Event // the last clock event of each
	bytes   map[string]int64        // the last
	to      []int64                 // the last
	traffic series                  // bytes on the wire over time
	spans   spans
}

// NewRun returns a run without events.
func NewRun(job telemetry.JobInfo) *Run {
	return &Run{Job: job, ranks: make([]rank, job.Ranks), curves: map[string][]telemetry.Event{}, result: map[string]string{}}
}

// Read adds up the runs in the directories.
func Read(dirs ...string) ([]*Run, error) {
	runs := make([]*Run, 0, len(dirs))
	for _, dir := range dirs {
		read, err := telemetry.ReadRun(dir)
		if err != nil {
			return nil, err
		}
		run := NewRun(read.Job)
		run.Dir, run.Torn = dir, read.Torn
		for r, events := range read.Events {
			for i := range events {
				run.Add(r, &events[i])
			}
		}
		runs = append(runs, run)
	}
	return runs, nil
}

// Add takes an event of a rank. Events carry totals, so the last one counts.
func (r *Run) Add(rank int, e *telemetry.Event) {
	if rank < 0 || rank >= len(r.ranks) {
		return
	}
	k := &r.ranks[rank]
	switch e.Kind {
	case "start":
		k.wall = e.Wall
	case "clock":
		if k.workers == nil {
			k.workers = map[int]telemetry.Event{}
		}
		k.workers[e.Worker] = *e
	case "bytes":
		k.bytes, k.to = e.Bytes, e.To
		k.traffic.add(e.Time, float64(sent(e.Bytes)))
	case "spans":
		if all, err := e.Unpack(); err == nil { // what is damaged is missing from the picture only
			k.spans.add(all, max(minSpans, maxSpans/len(r.ranks)))
		}
	case "loss":
		r.metric = e.Metric
		r.curves[e.Metric] = append(r.curves[e.Metric], *e)
	case "note":
		if len(r.said) < maxSaid {
			r.said = append(r.said, fmt.Sprintf("rank %d after %.3f s: %s", rank, e.Time, e.Text))
		}
	case "setting":
		r.sync = e.Text
	case "result":
		for _, p := range e.Result {
			r.result[p[0]] = p[1]
		}
	}
}

// maxSaid is how many notes of a run are kept.
const maxSaid = 50

// Ranks returns the number of ranks.
func (r *Run) Ranks() int { return len(r.ranks) }

// SyncOf returns the -sync that a job was given, "" for none.
func SyncOf(job *telemetry.JobInfo) string {
	if job.Setting != "" {
		return job.Setting
	}
	s, _ := argument(job.Args, "sync")
	return s
}

// Setting is what sets the run apart: its -sync, else the program's name.
func (r *Run) Setting() string {
	return cmp.Or(r.Job.Setting, r.result["sync"], r.sync, SyncOf(&r.Job), filepath.Base(r.Job.Program))
}

// Metric names the figure of merit that was reported last, "" when there is
// none, and says whether higher values are better.
func (r *Run) Metric() (name string, higher bool) {
	c := r.curves[r.metric]
	return r.metric, len(c) > 0 && c[len(c)-1].Better == "higher"
}

// Curve returns the values of the metric in the order in which they came.
func (r *Run) Curve() []Point {
	points := make([]Point, 0, len(r.curves[r.metric]))
	for _, e := range r.curves[r.metric] {
		points = append(points, Point{Pass: e.Pass, Seconds: e.Seconds, Clocks: float64(e.Clocks), Value: e.Value})
	}
	return points
}

// Final returns the last value of the curve; ok is false without one.
func (r *Run) Final() (value float64, ok bool) {
	c := r.curves[r.metric]
	if len(c) == 0 {
		return 0, false
	}
	return c[len(c)-1].Value, true
}

// Passes returns the passes over the data.
func (r *Run) Passes() float64 {
	if c := r.curves[r.metric]; len(c) > 0 {
		return c[len(c)-1].Pass
	}
	return 0
}

// number returns a number of the result line.
func (r *Run) number(key string) (float64, bool) {
	v, err := strconv.ParseFloat(r.result[key], 64)
	return v, err == nil
}

// Clocks returns the clocks of each worker: those of the training, where the
// app says it.
func (r *Run) Clocks() int64 {
	if v, ok := r.number("clocks"); ok {
		return int64(v)
	}
	if c := r.curves[r.metric]; len(c) > 0 && c[len(c)-1].Clocks > 0 {
		return c[len(c)-1].Clocks
	}
	most := int64(0)
	for i := range r.ranks {
		for _, e := range r.ranks[i].workers {
			most = max(most, e.Clock)
		}
	}
	return most
}

// Seconds returns the seconds of training: the app's own figure, else up to the
// last loss, else the longest time of a worker.
func (r *Run) Seconds() float64 {
	if v, ok := r.number("seconds"); ok {
		return v
	}
	if c := r.curves[r.metric]; len(c) > 0 {
		return c[len(c)-1].Seconds
	}
	most := 0.0
	for i := range r.ranks {
		for _, e := range r.ranks[i].workers {
			most = max(most, e.Compute+e.Gate+e.Miss+e.Flush)
		}
	}
	return most
}

// Rate returns the items a second of all ranks; 0 when nobody said it.
func (r *Run) Rate() float64 {
	if v, ok := r.number("rate"); ok {
		return v
	}
	c := r.curves[r.metric]
	items, from := 0.0, 0.0
	for i, e := range c {
		if i > 0 {
			items += e.Rate * (e.Seconds - c[i-1].Seconds)
		} else {
			from = e.Seconds
		}
	}
	if len(c) == 0 || c[len(c)-1].Seconds <= from {
		return 0
	}
	return items / (c[len(c)-1].Seconds - from)
}

// Workers returns how many workers of a rank have ended a clock.
func (r *Run) Workers(rank int) int { return len(r.ranks[rank].workers) }

// Split adds up the time of the workers of a rank.
func (r *Run) Split(rank int) Split {
	var s Split
	for _, e := range r.ranks[rank].workers {
		s.add(Split{Compute: e.Compute - e.Straggle, Straggle: e.Straggle, Gate: e.Gate, Miss: e.Miss, Flush: e.Flush})
	}
	return s
}

// Iterations returns how many clocks the workers of a rank have ended, without
// those that they skipped.
func (r *Run) Iterations(rank int) (n int64) {
	for _, e := range r.ranks[rank].workers {
		n += cmp.Or(e.Clocks, e.Clock)
	}
	return n
}

// Dropped returns how many iterations of the workers of a rank did not count.
func (r *Run) Dropped(rank int) (n int64) {
	for _, e := range r.ranks[rank].workers {
		n += e.Dropped * int64(len(r.ranks[rank].workers))
	}
	return n
}

// Whole adds up the time of all workers.
func (r *Run) Whole() Split {
	var s Split
	for i := range r.ranks {
		s.add(r.Split(i))
	}
	return s
}

// Reads returns how many rows were read and asked for at other ranks.
func (r *Run) Reads() (reads, fetches int64) {
	for i := range r.ranks {
		for _, e := range r.ranks[i].workers {
			reads += e.Reads
			fetches += e.Fetches
		}
	}
	return reads, fetches
}

// Stale counts reads by how many clocks the copy was behind the reader's clock.
func (r *Run) Stale() map[int64]int64 {
	h := map[int64]int64{}
	for i := range r.ranks {
		for _, e := range r.ranks[i].workers {
			for _, x := range e.Stale {
				h[-x[0]] += x[1]
			}
		}
	}
	return h
}

// On returns the seconds for which the workers of a rank waited at the gate, by
// the rank they waited for.
func (r *Run) On(rank int) []float64 {
	on := make([]float64, len(r.ranks))
	for _, e := range r.ranks[rank].workers {
		for _, x := range e.On {
			if to := int(x[0]); to >= 0 && to < len(on) {
				on[to] += x[1]
			}
		}
	}
	return on
}

// timeline puts the times of all ranks' events on one axis.
func (r *Run) timeline() *telemetry.Timeline {
	walls := make([]int64, len(r.ranks))
	for i := range r.ranks {
		walls[i] = r.ranks[i].wall
	}
	return telemetry.NewTimeline(&r.Job, walls)
}

// Ended reports whether the run has ended well.
func (r *Run) Ended() bool { return r.Job.Ended && r.Job.Exit == 0 }

// Complete reports whether the record holds all that there was.
func (r *Run) Complete() bool { return r.Job.Partial == "" && len(r.Torn) == 0 }

// argument returns the value of a flag on a command line.
func argument(args []string, name string) (string, bool) {
	for i, a := range args {
		a, dashed := strings.CutPrefix(a, "-")
		a = strings.TrimPrefix(a, "-")
		if key, value, ok := strings.Cut(a, "="); dashed && ok && key == name {
			return value, true
		}
		if dashed && a == name && i+1 < len(args) {
			return args[i+1], true
		}
	}
	return "", false
}

// reach returns where the curve first was as good as the target, on a straight
// line between its points, measured by x; ok is false when it never was.
func (r *Run) reach(target float64, x func(Point) float64) (at float64, ok bool) {
	sign := r.sign()
	c := r.Curve()
	for i, p := range c {
		if sign*p.Value < sign*target || math.IsNaN(p.Value) {
			continue
		}
		if i == 0 {
			return x(p), true
		}
		q := c[i-1]
		if !(sign*q.Value < sign*target) { // a value that is no number
			return x(p), true
		}
		return x(q) + (x(p)-x(q))*(target-q.Value)/(p.Value-q.Value), true
	}
	return 0, false
}

// TimeTo returns after how many seconds of training the metric was first as good
// as the target; ok is false when it never was.
func (r *Run) TimeTo(target float64) (seconds float64, ok bool) {
	return r.reach(target, func(p Point) float64 { return p.Seconds })
}

// ClocksTo is TimeTo in clocks of each worker.
func (r *Run) ClocksTo(target float64) (clocks float64, ok bool) {
	return r.reach(target, func(p Point) float64 { return p.Clocks })
}

// sign is 1 when higher values are better, else −1.
func (r *Run) sign() float64 {
	if _, higher := r.Metric(); higher {
		return 1
	}
	return -1
}
