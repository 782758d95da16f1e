package ssp

import (
	"cmp"
	"slices"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

const (
	keptClocks = 40               // of which the spans are recorded between two events of a worker: the slowest
	keptWaits  = 6                // spans of such a clock beside those of computing; more than there are kinds
	leastWait  = time.Microsecond // shorter waits get no span of their own

	shortSpan  = 20 * time.Microsecond // shorter stretches are traced as part of the one before or behind
	tracedRoom = 64                    // spans that a worker hands over at once
)

// timeline notes what a worker spends the time of its clocks on. It belongs to
// the worker's goroutine, and notes nothing when nobody records.
//
// The time between noted spans is filled: with computing, and after finish with
// handing over. So a clock has neither gaps nor overlaps.
type timeline struct {
	rec     *telemetry.Recorder
	lane    int
	tracing bool // all spans of the running clock are traced
	filler  telemetry.SpanKind
	to      time.Duration // how far the running clock is noted
	cur     clockSpans
	kept    []clockSpans
	least   int              // the quickest of kept, when it is full
	last    telemetry.Span   // traced last, may grow; none when End is 0
	out     []telemetry.Span // tracing: to be handed over
}

// clockSpans is a clock of a worker: what lies between the waits is computing.
type clockSpans struct {
	clock      int64
	start, end time.Duration
	n          int
	waits      [keptWaits]waitSpan
}

type waitSpan struct {
	kind       telemetry.SpanKind
	on         int32
	start, end time.Duration
}

func (c *clockSpans) length() time.Duration { return c.end - c.start }

// begin begins a clock.
func (t *timeline) begin(clock Clock, at time.Time) {
	if !t.rec.Enabled() {
		return
	}
	if t.kept == nil {
		t.kept = make([]clockSpans, 0, keptClocks)
	}
	t.tracing, t.filler, t.to = t.rec.Tracing(), telemetry.Compute, t.rec.At(at)
	t.cur.clock, t.cur.start, t.cur.n = int64(clock), t.to, 0
}

// note notes a stretch of the running clock that lies behind all noted ones.
func (t *timeline) note(kind telemetry.SpanKind, on int, start, end time.Time) {
	if !t.rec.Enabled() || end.Sub(start) < leastWait {
		return
	}
	t.fill(t.rec.At(start))
	t.add(kind, on, t.rec.At(end))
}

// finish says that from now on the clock hands over.
func (t *timeline) finish(at time.Time) {
	if t.rec.Enabled() {
		t.fill(t.rec.At(at))
		t.filler = telemetry.Flush
	}
}

// end ends the running clock.
func (t *timeline) end(at time.Time) {
	if !t.rec.Enabled() {
		return
	}
	t.fill(t.rec.At(at))
	if t.tracing {
		t.trace(telemetry.Span{})
		return
	}
	t.cur.end = t.to
	switch {
	case len(t.kept) < cap(t.kept):
		t.kept = append(t.kept, t.cur)
	case t.cur.length() > t.kept[t.least].length():
		t.kept[t.least] = t.cur
	default:
		return
	}
	if len(t.kept) == cap(t.kept) {
		t.least = 0
		for i := range t.kept {
			if t.kept[i].length() < t.kept[t.least].length() {
				t.least = i
			}
		}
	}
}

// fill brings the noted part of the clock up to a moment.
func (t *timeline) fill(to time.Duration) {
	if to > t.to {
		t.add(t.filler, telemetry.NoRank, to)
	}
}

// add adds a span that begins where the noted part ends.
func (t *timeline) add(kind telemetry.SpanKind, on int, end time.Duration) {
	start := t.to
	t.to = end
	switch {
	case t.tracing:
		t.trace(telemetry.Span{Kind: kind, Lane: t.lane, On: on, Start: start, End: end, Clock: t.cur.clock})
	case kind != telemetry.Compute:
		t.cur.add(waitSpan{kind, int32(on), start, end})
	}
}

// trace traces a span of the running clock once it is known whether the next one
// joins it; the zero Span ends the clock. Short stretches, of which there are as
// many as of all others, join a neighbour, and so do waits for the same rank that
// nothing else lies between.
func (t *timeline) trace(s telemetry.Span) {
	p := &t.last
	switch {
	case s.End == 0 || p.End == 0:
	case s.End-s.Start < shortSpan, s.Kind == p.Kind && s.On == p.On:
		p.End = s.End
		return
	case p.End-p.Start < shortSpan:
		s.Start = p.Start
		*p = s
		return
	}
	if p.End > 0 {
		t.out = append(t.out, *p)
		if len(t.out) == tracedRoom {
			t.rec.Trace(t.out...)
			t.out = t.out[:0]
		}
	}
	*p = s
}

// add adds a wait. Where there is no room it becomes part of an earlier one of
// its kind, and what lies between moves: then each kind still has all of its
// time, and only when it was is not exact.
func (c *clockSpans) add(w waitSpan) {
	if c.n < keptWaits {
		c.waits[c.n] = w
		c.n++
		return
	}
	for i := c.n - 1; i >= 0; i-- {
		if c.waits[i].kind == w.kind {
			c.grow(i, c.n, w)
			return
		}
	}
	for i := c.n - 2; i >= 0; i-- { // there are fewer kinds than waits: two are alike
		for j := c.n - 1; j > i; j-- {
			if c.waits[i].kind == c.waits[j].kind {
				c.grow(i, j, c.waits[j])
				copy(c.waits[j:], c.waits[j+1:])
				c.waits[c.n-1] = w
				return
			}
		}
	}
}

// grow makes wait i longer by w, which lies right behind wait j−1.
func (c *clockSpans) grow(i, j int, w waitSpan) {
	d := w.end - w.start
	if d > c.waits[i].end-c.waits[i].start {
		c.waits[i].on = w.on
	}
	c.waits[i].end += d
	for k := i + 1; k < j; k++ {
		c.waits[k].start += d
		c.waits[k].end += d
	}
}

// flush records the spans since the last time: of the slowest clocks, or those
// that are traced.
func (t *timeline) flush() {
	if t.tracing {
		t.rec.Trace(t.out...)
		t.out = t.out[:0]
	}
	if len(t.kept) == 0 {
		return
	}
	slices.SortFunc(t.kept, func(a, b clockSpans) int { return cmp.Compare(a.start, b.start) })
	t.out = t.out[:0]
	for i := range t.kept {
		c := &t.kept[i]
		at := c.start
		put := func(kind telemetry.SpanKind, on int, end time.Duration) {
			if end > at {
				t.out = append(t.out, telemetry.Span{Kind: kind, Lane: t.lane, On: on, Start: at, End: end, Clock: c.clock})
			}
			at = end
		}
		for _, w := range c.waits[:c.n] {
			put(telemetry.Compute, telemetry.NoRank, w.start)
			put(w.kind, int(w.on), w.end)
		}
		put(telemetry.Compute, telemetry.NoRank, c.end)
	}
	t.rec.Spans(t.out)
	t.out, t.kept = t.out[:0], t.kept[:0]
}

// traced traces a collective operation of the store that began at start and
// ends now.
func (s *Store) traced(name string, start time.Time) {
	if r := s.c.Recorder(); r.Tracing() {
		r.Trace(telemetry.Span{
			Kind: telemetry.Collective, Lane: telemetry.LaneRank, On: telemetry.NoRank, Name: name, Start: r.At(start), End: r.At(time.Now()),
		})
	}
}
