package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Limits of the spans that are kept to draw the slowest clocks.
const (
	maxSpans = 1 << 20 // of all ranks
	minSpans = 1 << 12 // of a rank, whatever the number of ranks
)

// spans are those of a rank's workers. When there are too many, short ones are
// let go: they would be invisible beside the slowest clocks.
type spans struct {
	all   []span
	least time.Duration // shorter ones are not kept
}

// span is a telemetry.Span of a worker, smaller.
type span struct {
	start, end time.Duration
	clock      int64
	on         int32
	worker     int16
	kind       telemetry.SpanKind
}

func (s *spans) add(more []telemetry.Span, limit int) {
	for _, m := range more {
		worker := m.Lane >= 0 && m.Lane < 1<<15 && m.Kind >= telemetry.Compute && m.Kind <= telemetry.Flush
		if !worker || m.End-m.Start < s.least {
			continue
		}
		s.all = append(s.all, span{m.Start, m.End, m.Clock, int32(m.On), int16(m.Lane), m.Kind})
	}
	for len(s.all) > limit {
		s.least = max(2*s.least, 10*time.Microsecond)
		s.all = slices.DeleteFunc(s.all, func(x span) bool { return x.end-x.start < s.least })
	}
}

// SlowClock is one clock of a worker.
type SlowClock struct {
	Rank, Worker int
	Clock        int64
	Start, End   float64 // seconds since the job's start
	Split        Split
	On           int // the rank that it waited for longest; telemetry.NoRank: none known
	OnSeconds    float64
}

// seconds is how long the clock took.
func (c SlowClock) seconds() float64 { return c.End - c.Start }

// Slowest returns the n clocks of which spans are recorded that took longest,
// the longest first.
func (r *Run) Slowest(n int) []SlowClock {
	var out []SlowClock
	keep := func(c SlowClock) {
		if len(out) == n && c.seconds() <= out[n-1].seconds() {
			return
		}
		at, _ := slices.BinarySearchFunc(out, c, func(a, b SlowClock) int { return cmp.Compare(b.seconds(), a.seconds()) })
		out = slices.Insert(out, at, c)
		out = out[:min(len(out), n)]
	}
	if n < 1 {
		return nil
	}
	line := r.timeline()
	for rank := range r.ranks {
		open := map[int16]*slowClock{}
		for _, s := range r.ranks[rank].spans.all {
			c := open[s.worker]
			// Between two Work calls the clock is the same, and the worker did not exist.
			gap := c != nil && s.start-c.last > max(time.Millisecond, 2*r.ranks[rank].spans.least)
			if c == nil || c.Clock != s.clock || gap {
				if c != nil {
					keep(c.close())
				}
				c = &slowClock{SlowClock: SlowClock{Rank: rank, Worker: int(s.worker), Clock: s.clock, Start: line.At(rank, s.start).Seconds()}}
				open[s.worker] = c
			}
			c.last = s.end
			c.take(s, line.At(rank, s.end).Seconds())
		}
		for _, c := range open {
			keep(c.close())
		}
	}
	return out
}

// drawn is how many slow clocks of a setting are drawn.
const drawn = 3

// apart returns the first clocks that have little in common with those before
// them: where all wait for one, each has a slow clock at that time. The longest
// comes first, and none is less than half as long.
func apart(clocks []SlowClock) []SlowClock {
	var out []SlowClock
	for _, c := range clocks {
		if len(out) < drawn && c.seconds() >= clocks[0].seconds()/2 && !slices.ContainsFunc(out, func(o SlowClock) bool {
			return min(c.End, o.End)-max(c.Start, o.Start) > 0.25*c.seconds()
		}) {
			out = append(out, c)
		}
	}
	return out
}

// slowClock is a SlowClock that grows.
type slowClock struct {
	SlowClock
	last time.Duration // end of the newest span
	on   map[int32]float64
}

func (c *slowClock) take(s span, end float64) {
	d := (s.end - s.start).Seconds()
	c.End = end
	*part(&c.Split, s.kind) += d
	if s.on >= 0 {
		if c.on == nil {
			c.on = map[int32]float64{}
		}
		c.on[s.on] += d
	}
}

func (c *slowClock) close() SlowClock {
	c.On = telemetry.NoRank
	for rank, d := range c.on {
		if d > c.OnSeconds || d == c.OnSeconds && int(rank) < c.On {
			c.On, c.OnSeconds = int(rank), d
		}
	}
	return c.SlowClock
}

// part is the part of a split that a kind of span counts for.
func part(s *Split, kind telemetry.SpanKind) *float64 {
	switch kind {
	case telemetry.Straggle:
		return &s.Straggle
	case telemetry.Gate:
		return &s.Gate
	case telemetry.Miss:
		return &s.Miss
	case telemetry.Flush:
		return &s.Flush
	}
	return &s.Compute
}

// window is what all ranks did for a while.
type window struct {
	from, to float64 // seconds since the job's start
	rows     []row
}

// row is what a worker did in a window.
type row struct {
	rank, worker int
	bars         []bar
}

// bar is a span of a row, cut to the window.
type bar struct {
	from, to float64
	kind     telemetry.SpanKind
	on       int
	clock    int64
}

// maxRows is the number of workers that a window shows.
const maxRows = 24

// around returns the window about a clock: with more than maxRows workers, those
// of the ranks nearest in number to the one that was waited for and to the clock's.
func (r *Run) around(c SlowClock) window {
	margin := 0.75 * c.seconds()
	w := window{from: c.Start - margin, to: c.End + margin}
	line := r.timeline()
	for rank := range r.ranks {
		rows := map[int16]int{}
		for _, s := range r.ranks[rank].spans.all {
			from, to := max(line.At(rank, s.start).Seconds(), w.from), min(line.At(rank, s.end).Seconds(), w.to)
			if to-from < (w.to-w.from)/3000 { // invisible
				continue
			}
			i, ok := rows[s.worker]
			if !ok {
				i = len(w.rows)
				rows[s.worker] = i
				w.rows = append(w.rows, row{rank: rank, worker: int(s.worker)})
			}
			w.rows[i].bars = append(w.rows[i].bars, bar{from, to, s.kind, int(s.on), s.clock})
		}
	}
	w.trim()
	if len(w.rows) > maxRows {
		far := func(x row) int { return min(abs(x.rank-c.Rank), abs(x.rank-max(c.On, 0))) }
		slices.SortStableFunc(w.rows, func(a, b row) int { return cmp.Compare(far(a), far(b)) })
		w.rows = w.rows[:maxRows]
	}
	slices.SortFunc(w.rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.worker, b.worker)) })
	return w
}

// trim takes off the sides on which nobody did anything, before the first clocks
// or after the last.
func (w *window) trim() {
	from, to := w.to, w.from
	for _, r := range w.rows {
		for _, b := range r.bars {
			from, to = min(from, b.from), max(to, b.to)
		}
	}
	if from < to {
		w.from, w.to = from, to
	}
}

func abs(x int) int { return max(x, -x) }
