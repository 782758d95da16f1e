package apps

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/telemetry"
	"github.com/sspurn/sspurn/ssp"
)

// Figure is a figure of merit of a model.
type Figure struct {
	Metric string // snake case: "test_rmse"
	Better string // "lower" or "higher"
	Value  float64
}

// Point is the state of a training run between two passes.
type Point struct {
	Pass, Goal float64 // passes so far, and those that the job is going to make
	Clocks     int64   // of every worker so far
	Seconds    float64 // of training so far, without loading and evaluation
	Rate       float64 // items a second since the previous point, all ranks together
	Unit       string  // what the items are: "ratings"
	Figures    []Figure
}

// Plan puts on record how many clocks every worker is going to end, those
// before the training included; a negative number or 0 says nothing. It comes
// before the first clock. Only rank 0 does anything; the others may call it.
func (j *Job) Plan(clocks int64) {
	if j.Comm.Rank() == 0 && clocks > 0 {
		j.Comm.Recorder().Record(telemetry.Event{Kind: "plan", Clocks: clocks})
	}
}

// settle puts on record by which setting the job goes, for runs that do not come
// to their result.
func (j *Job) settle(has bool) {
	if has && j.Comm.Rank() == 0 {
		j.Comm.Recorder().Record(telemetry.Event{Kind: "setting", Text: j.Policy.String()})
	}
}

// Report puts the point on record and prints it as a line on standard error.
// Only rank 0 does anything; the others may call it.
func (j *Job) Report(p Point) {
	if j.Comm.Rank() != 0 {
		return
	}
	if math.IsInf(p.Rate, 0) || math.IsNaN(p.Rate) { // no time at all; a record can not hold it
		p.Rate = 0
	}
	text := make([]string, 0, len(p.Figures))
	for _, f := range p.Figures {
		j.Comm.Recorder().Record(telemetry.Event{
			Kind: "loss", Metric: f.Metric, Better: f.Better, Value: f.Value,
			Pass: p.Pass, Goal: p.Goal, Clocks: p.Clocks, Seconds: p.Seconds, Rate: p.Rate,
		})
		text = append(text, fmt.Sprintf("%s %.5g", strings.ReplaceAll(f.Metric, "_", " "), f.Value))
	}
	fmt.Fprintf(j.stderr, "%s: pass %g/%g  clock %d  %.3f s  %s %s/s  %s\n",
		j.App, p.Pass, p.Goal, p.Clocks, p.Seconds, Rate(p.Rate), p.Unit, strings.Join(text, "  "))
}

// Logf prints a line on standard error, on rank 0 only.
func (j *Job) Logf(format string, args ...any) {
	if j.Comm.Rank() == 0 {
		fmt.Fprintf(j.stderr, j.App+": "+format+"\n", args...)
	}
}

// Result returns a result that begins with what all apps report. clocks is of
// every worker, seconds from the first clock to the final Sync without loading
// and evaluation, rate in items a second of all ranks.
func (j *Job) Result(clocks int64, seconds, rate float64) *Result {
	r := &Result{}
	r.Add("app", j.App)
	r.Add("sync", j.Policy)
	if j.Filter != (ssp.Filter{}) {
		r.Add("filter", j.Filter)
	}
	r.Add("ranks", j.Comm.Size())
	r.Add("workers", j.Workers)
	r.Add("clocks", clocks)
	r.Add("seconds", fmt.Sprintf("%.3f", seconds))
	r.Add("rate", Rate(rate))
	return r
}

// Finish puts the result on record and prints it as the last line of standard
// output, on rank 0 only.
func (j *Job) Finish(r *Result) error {
	if j.Comm.Rank() != 0 {
		return nil
	}
	j.Comm.Recorder().Record(telemetry.Event{Kind: "result", Result: r.Pairs()})
	text := r.Line()
	if j.JSON {
		text = r.JSON()
	}
	_, err := fmt.Fprintln(j.stdout, text)
	return errors.Wrap(err, "write the result")
}

// Reached reports whether the value is as good as -target.
func (j *Job) Reached(f Figure) bool {
	if math.IsNaN(j.Target) {
		return false
	}
	if f.Better == "higher" {
		return f.Value >= j.Target
	}
	return f.Value <= j.Target
}

// Together is the point where all ranks agree that their input is good, before
// anything is trained. It is collective. When every rank brings nil it returns
// nil. Otherwise the error of the first rank that has one is reported once, by
// rank 0, and Together returns an error on every rank, which the caller
// returns.
func (j *Job) Together(ctx context.Context, err error) error {
	c := j.Comm
	first := int64(c.Size())
	if err != nil {
		first = int64(c.Rank())
	}
	first, failed := collectives.AllreduceValue(ctx, c, first, collectives.Min)
	if failed != nil {
		return failed
	}
	if first == int64(c.Size()) {
		return nil
	}
	text := []byte{}
	if int64(c.Rank()) == first {
		text = []byte(err.Error())
	}
	size := []int64{int64(len(text))}
	if err := collectives.Bcast(ctx, c, size, int(first)); err != nil {
		return err
	}
	if int64(c.Rank()) != first {
		text = make([]byte, size[0])
	}
	if err := collectives.Bcast(ctx, c, text, int(first)); err != nil {
		return err
	}
	return report(ctx, c, &InputError{Err: errors.New(string(text))})
}

// exchangeTag is the tag of Exchange; its messages are matched in the order of
// calls.
const exchangeTag runtime.Tag = 0x7fff0001

// Exchange sends out[r] to every rank r and returns what the ranks sent here,
// by rank; the part for the own rank is out's. It is collective.
func Exchange[T runtime.Elem](ctx context.Context, c *runtime.Comm, out [][]T) ([][]T, error) {
	size, rank := c.Size(), c.Rank()
	if len(out) != size {
		panic(fmt.Sprintf("apps: Exchange of %d parts among %d ranks", len(out), size))
	}
	in := make([][]T, size)
	in[rank] = out[rank]
	for step := 1; step < size; step++ {
		to, from := (rank+step)%size, (rank-step+size)%size
		count := []int64{0}
		if _, err := runtime.SendRecv(ctx, c, to, []int64{int64(len(out[to]))}, from, count, exchangeTag); err != nil {
			return nil, err
		}
		in[from] = make([]T, count[0])
		if _, err := runtime.SendRecv(ctx, c, to, out[to], from, in[from], exchangeTag); err != nil {
			return nil, err
		}
	}
	return in, nil
}
