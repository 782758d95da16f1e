// Package report turns recorded runs into what people read: a table, and plots
// of the loss over time and over passes.
package report

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Point is a place on a run's loss curve.
type Point struct {
	Pass    float64 // passes over the data
	Seconds float64 // of training
	Value   float64
}

// Summary is a run in a few numbers.
type Summary struct {
	Name   string // what sets the run apart: its -sync setting, else the program
	Ranks  int
	Notes  []string // what a reader must know: emulation, straggling, failure, a torn record
	Metric string   // of the curve, "loglik"; empty when the run reported none
	Higher bool     // higher values of the metric are better
	Curve  []Point  // in the order of time

	Passes  float64
	Clocks  int64   // of each worker
	Seconds float64 // of training
	Rate    float64 // items a second, all ranks
	Split   Split   // of all workers together
	Bytes   map[string]int64
	Workers int // that ended at least one clock
}

// Split says where workers spent their time, in seconds.
type Split struct {
	Compute  float64 // outside the store, straggling included
	Straggle float64 // slept for -straggle
	Gate     float64 // waited for workers that are behind
	Miss     float64 // waited for rows
	Flush    float64 // handed over updates
}

// Waited returns the share of the time that workers waited.
func (s Split) Waited() float64 {
	waited := s.Gate + s.Miss + s.Flush
	if waited == 0 {
		return 0
	}
	return waited / (waited + s.Compute)
}

// Sent returns the bytes that all ranks sent: what went over the wire, or the
// sum of all classes when that was not recorded.
func (s *Summary) Sent() int64 {
	if n, ok := s.Bytes["wire"]; ok {
		return n
	}
	n := int64(0)
	for _, b := range s.Bytes {
		n += b
	}
	return n
}

// Final returns the last value of the curve; ok is false without one.
func (s *Summary) Final() (value float64, ok bool) {
	if len(s.Curve) == 0 {
		return 0, false
	}
	return s.Curve[len(s.Curve)-1].Value, true
}

// Summarise adds up a run. Events carry totals, so of each rank and worker the
// last one counts. When a run reported several metrics, the one that it
// reported last is taken.
func Summarise(run *telemetry.Run) *Summary {
	s := &Summary{Ranks: run.Job.Ranks, Name: run.Job.Program, Bytes: map[string]int64{}}
	if name, ok := argument(run.Job.Args, "sync"); ok {
		s.Name = name
	}
	var losses []telemetry.Event
	for _, events := range run.Events {
		workers := map[int]telemetry.Event{}
		var bytes map[string]int64
		for _, e := range events {
			switch e.Kind {
			case "clock":
				workers[e.Worker] = e
			case "bytes":
				bytes = e.Bytes
			case "loss":
				losses = append(losses, e)
			case "result":
				s.result(e.Result)
			}
		}
		for _, e := range workers {
			s.Workers++
			s.Clocks = max(s.Clocks, e.Clock)
			s.Split.Compute += e.Compute
			s.Split.Straggle += e.Straggle
			s.Split.Gate += e.Gate
			s.Split.Miss += e.Miss
			s.Split.Flush += e.Flush
		}
		for class, n := range bytes {
			s.Bytes[class] += n
		}
	}
	s.curve(losses)
	s.notes(run)
	return s
}

// curve takes over the loss events of the metric that comes last.
func (s *Summary) curve(losses []telemetry.Event) {
	if len(losses) == 0 {
		return
	}
	last := losses[len(losses)-1]
	s.Metric, s.Higher = last.Metric, last.Better == "higher"
	items := 0.0
	for _, e := range losses {
		if e.Metric == last.Metric {
			if n := len(s.Curve); n > 0 {
				items += e.Rate * (e.Seconds - s.Curve[n-1].Seconds)
			}
			s.Curve = append(s.Curve, Point{Pass: e.Pass, Seconds: e.Seconds, Value: e.Value})
		}
	}
	s.Passes = last.Pass
	if last.Clocks > 0 { // without the clocks that set the model up
		s.Clocks = last.Clocks
	}
	if s.Seconds == 0 {
		s.Seconds = last.Seconds
	}
	if s.Rate == 0 && last.Seconds > s.Curve[0].Seconds {
		s.Rate = items / (last.Seconds - s.Curve[0].Seconds)
	}
}

// result takes over what the result line says, which is more exact.
func (s *Summary) result(pairs [][2]string) {
	for _, p := range pairs {
		value, err := strconv.ParseFloat(p[1], 64)
		switch {
		case p[0] == "sync":
			s.Name = p[1]
		case err != nil:
		case p[0] == "seconds":
			s.Seconds = value
		case p[0] == "rate":
			s.Rate = value
		}
	}
}

func (s *Summary) notes(run *telemetry.Run) {
	for _, key := range []string{"emulate", "straggle"} {
		if v := run.Job.Settings[key]; v != "" {
			s.Notes = append(s.Notes, "under -"+key+" "+v)
		}
	}
	switch {
	case !run.Job.Ended:
		s.Notes = append(s.Notes, "not ended")
	case run.Job.Cause != "":
		s.Notes = append(s.Notes, "failed: "+run.Job.Cause)
	}
	if len(run.Torn) > 0 {
		s.Notes = append(s.Notes, "the record is torn")
	}
}

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

// alike reports whether all runs followed the same metric.
func alike(runs []*Summary) bool {
	for _, s := range runs {
		if len(s.Curve) < 2 || s.Metric != runs[0].Metric || s.Higher != runs[0].Higher {
			return false
		}
	}
	return len(runs) > 0
}

// settled is how much of the way from the first value to the goal that all runs
// reached makes the common target: at the goal itself the noise of the last
// passes would decide who was first.
const settled = 0.98

// CommonTarget returns a value that every run reached: 98 % of the way from the
// worst first value to the worst of the runs' best values. ok is false when the
// runs have no metric in common.
func CommonTarget(runs []*Summary) (target float64, ok bool) {
	if !alike(runs) {
		return 0, false
	}
	var first, best []float64 // negated when lower is better
	for _, s := range runs {
		values := make([]float64, len(s.Curve))
		for i, p := range s.Curve {
			values[i] = s.sign() * p.Value
		}
		first, best = append(first, values[0]), append(best, slices.Max(values))
	}
	from, to := slices.Min(first), slices.Min(best)
	return runs[0].sign() * (from + settled*(to-from)), true
}

func (s *Summary) sign() float64 {
	if s.Higher {
		return 1
	}
	return -1
}

// TimeTo returns after how many seconds of training the curve first was as good
// as the target, on a straight line between its points; ok is false when it
// never was.
func (s *Summary) TimeTo(target float64) (seconds float64, ok bool) {
	want := s.sign() * target
	for i, p := range s.Curve {
		value := s.sign() * p.Value
		if value < want {
			continue
		}
		if i == 0 {
			return p.Seconds, true
		}
		q := s.Curve[i-1]
		before := s.sign() * q.Value
		return q.Seconds + (p.Seconds-q.Seconds)*(want-before)/(value-before), true
	}
	return 0, false
}

// Best returns the run with the best last value of the metric that the runs
// have in common; ok is false without one.
func Best(runs []*Summary) (run int, ok bool) {
	if !alike(runs) {
		return 0, false
	}
	best := 0
	for i, s := range runs {
		a, _ := s.Final()
		b, _ := runs[best].Final()
		if s.sign()*a > s.sign()*b {
			best = i
		}
	}
	return best, true
}
