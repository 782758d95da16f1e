package telemetry

import (
	"math"
	"testing"
	"time"
)

// clock is a host's clock as a function of the launcher's: ahead by skew
// seconds at the job's start, and by drift more every second.
type clock struct{ skew, drift float64 }

// shows returns what the clock shows, in seconds since the job's start.
func (c clock) shows(at float64) float64 { return at + c.skew + c.drift*at }

// aligned makes the record of a job in which every rank records the same moments,
// seconds after the job's start.
func aligned(clocks []clock, samples []float64, moments []float64) *Run {
	r := &Run{Job: JobInfo{Ranks: 2 * len(clocks), Start: time.Date(2026, 5, 6, 7, 8, 9, 123456789, time.UTC)}}
	for h, c := range clocks {
		host := HostInfo{Name: string(rune('a' + h)), Ranks: []int{2 * h, 2*h + 1}}
		for _, at := range samples {
			host.Clock = append(host.Clock, ClockOffset{At: at, Offset: c.shows(at) - at, Error: 1e-4})
		}
		r.Job.Hosts = append(r.Job.Hosts, host)
		for i := range 2 {
			began := 0.5 + 0.25*float64(i)
			wall := r.Job.Start.Add(time.Duration(math.Round(c.shows(began) * 1e9)))
			events := []Event{{Kind: "start", Wall: wall.UnixNano()}}
			for _, at := range moments { // by the host's clock
				events = append(events, Event{Kind: "clock", Time: c.shows(at) - c.shows(began)})
			}
			r.Events = append(r.Events, events)
		}
	}
	return r
}

func TestAlign(t *testing.T) {
	moments := []float64{0.75, 1, 7.5, 100, 999, 1000}
	for name, clocks := range map[string][]clock{
		"right":    {{}},
		"skewed":   {{skew: 3}, {skew: -3600}, {skew: 1e-3}},
		"drifting": {{skew: 1, drift: 200e-6}, {skew: -1, drift: -200e-6}},
		"years":    {{skew: -3e8, drift: 1e-6}, {}},
	} {
		t.Run(name, func(t *testing.T) {
			r := aligned(clocks, []float64{0.5, 300, 500, 1000}, moments)
			line := r.Align()
			for rank, events := range r.Events {
				for i, at := range moments {
					if got := line.Seconds(rank, events[i+1].Time); math.Abs(got-at) > 1e-6 {
						t.Errorf("rank %d: %.9f s, want %.9f", rank, got, at)
					}
				}
			}
		})
	}
}

// Outside the samples the nearest one holds: what is off is the drift only.
func TestAlignOutsideTheSamples(t *testing.T) {
	r := aligned([]clock{{skew: 5, drift: 1e-4}}, []float64{10, 20}, []float64{1, 15, 120})
	line := r.Align()
	for i, want := range []float64{1 - 9*1e-4, 15, 120 + 100*1e-4} {
		if got := line.Seconds(0, r.Events[0][i+1].Time); math.Abs(got-want) > 1e-6 {
			t.Errorf("moment %d: %.6f s, want %.6f", i, got, want)
		}
	}
}

func TestAlignWithLittle(t *testing.T) {
	full := func() *Run { return aligned([]clock{{skew: 2}}, []float64{1}, []float64{3}) }
	for name, tt := range map[string]struct {
		change func(r *Run)
		want   float64 // of the event of rank 0
	}{
		"all there":             {func(*Run) {}, 3},
		"no offsets":            {func(r *Run) { r.Job.Hosts[0].Clock = nil }, 5},
		"no hosts":              {func(r *Run) { r.Job.Hosts = nil }, 5},
		"no start event":        {func(r *Run) { r.Events[0][0] = Event{Kind: "note"} }, 2.5},
		"no start of the job":   {func(r *Run) { r.Job.Start = time.Time{} }, 2.5},
		"ranks that are not":    {func(r *Run) { r.Job.Hosts[0].Ranks = []int{-1, 0, 1 << 30} }, 3},
		"two samples at a time": {func(r *Run) { r.Job.Hosts[0].Clock = append(r.Job.Hosts[0].Clock, r.Job.Hosts[0].Clock...) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := full()
			tt.change(r)
			if got := r.Align().Seconds(0, r.Events[0][1].Time); math.Abs(got-tt.want) > 1e-6 {
				t.Errorf("%g s, want %g", got, tt.want)
			}
			if got := r.Align().At(7, 5); got != 5 {
				t.Errorf("a rank that is not there: %v, want 5 ns", got)
			}
		})
	}
}
