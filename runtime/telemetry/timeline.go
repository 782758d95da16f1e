package telemetry

import (
	"cmp"
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
	at    time.Duration // since the job's Start, by the clock of the host
	host  int           // in Timeline.hosts; -1: of no host
}

// hostClock is how far a host's clock is ahead of the launcher's: by base and,
// to lose nothing where that is years, by what changes in the course of the job.
type hostClock struct {
	base  time.Duration
	at    []float64 // ns since the job's Start, by the host's clock without base; ascending
	ahead []float64 // then, in ns without base
}

// NewTimeline returns the timeline of a job whose ranks began to record at
// walls, nanoseconds since 1970 by the clocks of their hosts (Event.Wall); 0 is
// not known.
func NewTimeline(job *JobInfo, walls []int64) *Timeline {
	t := &Timeline{starts: make([]rankStart, len(walls)), hosts: make([]hostClock, len(job.Hosts))}
	for rank, wall := range walls {
		s := rankStart{host: -1}
		if wall != 0 && !job.Start.IsZero() {
			s.known, s.at = true, time.Duration(wall-job.Start.UnixNano())
		}
		t.starts[rank] = s
	}
	for i, h := range job.Hosts {
		for _, rank := range h.Ranks {
			if rank >= 0 && rank < len(t.starts) {
				t.starts[rank].host = i
			}
		}
		t.hosts[i] = newHostClock(h.Clock)
	}
	return t
}

func newHostClock(samples []ClockOffset) (c hostClock) {
	if len(samples) == 0 {
		return c
	}
	c.base = nanoseconds(samples[0].Offset)
	shows := func(s ClockOffset) float64 { return s.At + (s.Offset - samples[0].Offset) }
	sorted := slices.Clone(samples)
	slices.SortStableFunc(sorted, func(a, b ClockOffset) int { return cmp.Compare(shows(a), shows(b)) })
	for _, s := range sorted {
		c.at = append(c.at, shows(s)*1e9)
		c.ahead = append(c.ahead, (s.Offset-samples[0].Offset)*1e9)
	}
	return c
}

func nanoseconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }

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
	here := s.at + at
	if s.host >= 0 {
		c := &t.hosts[s.host]
		here -= c.base
		here -= time.Duration(math.Round(c.aheadAt(float64(here))))
	}
	return here
}

// Seconds is At for times in seconds, as events carry them.
func (t *Timeline) Seconds(rank int, at float64) float64 {
	return t.At(rank, nanoseconds(at)).Seconds()
}

// aheadAt returns by how many ns, base apart, the clock is ahead when it shows at: on a
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
