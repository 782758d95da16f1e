package telemetry

import (
	"math"
	"slices"
	"sort"
	"time"
)

// Timeline puts what all ranks of a job recorded on one axis: the time since
// the job's Start by the launcher's clock. It is not changed by use.
type Timeline struct {
	starts []rankStart
	hosts  []hostClock
}

// rankStart is when a rank's recorder was started.
type rankStart struct {
	known bool
	at    float64 // ns since the job's Start, by the clock of the host
	host  int     // in Timeline.hosts; -1: of no host
}

// hostClock is how far a host's clock is ahead of the launcher's: samples in
// the order of at, the same for both arrays.
type hostClock struct {
	at    []float64 // ns since the job's Start, by the host's clock
	ahead []float64 // ns
}

// NewTimeline returns the timeline of a job whose ranks began to record at
// walls, nanoseconds since 1970 by the clocks of their hosts (Event.Wall); 0 is
// not known.
func NewTimeline(job *JobInfo, walls []int64) *Timeline {
	t := &Timeline{starts: make([]rankStart, len(walls)), hosts: make([]hostClock, len(job.Hosts))}
	for rank, wall := range walls {
		s := rankStart{host: -1}
		if wall != 0 && !job.Start.IsZero() {
			s.known, s.at = true, float64(wall-job.Start.UnixNano())
		}
		t.starts[rank] = s
	}
	for i, h := range job.Hosts {
		for _, rank := range h.Ranks {
			if rank >= 0 && rank < len(t.starts) {
				t.starts[rank].host = i
			}
		}
		samples := slices.Clone(h.Clock)
		slices.SortStableFunc(samples, func(a, b ClockOffset) int {
			switch x, y := a.At+a.Offset, b.At+b.Offset; {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		})
		for _, c := range samples {
			t.hosts[i].at = append(t.hosts[i].at, (c.At+c.Offset)*1e9)
			t.hosts[i].ahead = append(t.hosts[i].ahead, c.Offset*1e9)
		}
	}
	return t
}

// Align returns the timeline of the run.
func (r *Run) Align() *Timeline {
	walls := make([]int64, len(r.Events))
	for rank, events := range r.Events {
		for i := range events {
			if events[i].Kind == "start" {
				walls[rank] = events[i].Wall
				break
			}
		}
	}
	return NewTimeline(&r.Job, walls)
}

// At returns the place on the axis of a moment that a rank recorded: t is the
// time since its recorder was started. Of a rank that did not say when it
// started, t itself is all there is; the clock of a host that was not compared
// passes for right.
func (t *Timeline) At(rank int, at time.Duration) time.Duration {
	if rank < 0 || rank >= len(t.starts) || !t.starts[rank].known {
		return at
	}
	s := t.starts[rank]
	here := s.at + float64(at)
	if s.host >= 0 {
		here -= t.hosts[s.host].aheadAt(here)
	}
	return time.Duration(math.Round(here))
}

// Seconds is At for times in seconds, as events carry them.
func (t *Timeline) Seconds(rank int, at float64) float64 {
	return t.At(rank, time.Duration(math.Round(at*1e9))).Seconds()
}

// aheadAt returns by how many ns the clock is ahead when it shows at: on a
// straight line between two samples, and as the nearest one outside of them.
func (c *hostClock) aheadAt(at float64) float64 {
	n := len(c.at)
	if n == 0 {
		return 0
	}
	i := sort.SearchFloat64s(c.at, at) // the first sample that is not before
	switch {
	case i == 0:
		return c.ahead[0]
	case i == n:
		return c.ahead[n-1]
	}
	span := c.at[i] - c.at[i-1]
	return c.ahead[i-1] + (c.ahead[i]-c.ahead[i-1])*(at-c.at[i-1])/span
}
