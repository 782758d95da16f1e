package ssp

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// spansOf returns a recorder and a function that returns the spans it has got.
func spansOf(t testing.TB, start time.Time) (*telemetry.Recorder, func() []telemetry.Span) {
	var spans []telemetry.Span
	r := telemetry.NewRecorder(0, start, func(line []byte) {
		var e telemetry.Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		s, err := e.Unpack()
		if err != nil {
			t.Fatal(err)
		}
		spans = append(spans, s...)
	})
	return r, func() []telemetry.Span { return spans }
}

// TestTimeline: whatever a worker waits for in its clocks, the spans follow one
// another and have all of the time of each kind.
func TestTimeline(t *testing.T) {
	type clockTime struct {
		length time.Duration
		kinds  [8]time.Duration
	}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 7))
		start := time.Now()
		rec, spans := spansOf(t, start)
		tracing, clocks := seed%2 == 0, 1+rng.IntN(60)
		rec.SetTracing(tracing)
		l := timeline{rec: rec, lane: 3}
		now := start.Add(time.Second)
		want, short := make([]clockTime, clocks), make([]time.Duration, clocks)
		for c := range clocks {
			l.begin(Clock(c), now)
			began := now
			pass := func(kind telemetry.SpanKind) (from time.Time) {
				from = now
				d := leastWait + time.Duration(rng.IntN(1e6))
				if rng.IntN(3) == 0 {
					d = leastWait + time.Duration(rng.IntN(int(shortSpan)))
				}
				if d < shortSpan {
					short[c] += d
				}
				want[c].kinds[kind] += d
				now = now.Add(d)
				return from
			}
			for range rng.IntN(12) {
				if rng.IntN(3) > 0 {
					pass(telemetry.Compute)
				}
				kind := telemetry.Gate + telemetry.SpanKind(rng.IntN(2))
				l.note(kind, rng.IntN(4), pass(kind), now)
			}
			pass(telemetry.Compute)
			if rng.IntN(3) == 0 {
				l.note(telemetry.Straggle, telemetry.NoRank, pass(telemetry.Straggle), now)
			}
			l.finish(now)
			for range rng.IntN(5) {
				pass(telemetry.Flush)
				l.note(telemetry.Gate, 2, pass(telemetry.Gate), now)
			}
			pass(telemetry.Flush)
			l.end(now)
			want[c].length = now.Sub(began)
		}
		l.flush()
		rec.Flush()
		got := make([]clockTime, clocks)
		var last telemetry.Span
		for _, s := range spans() {
			if s.Lane != 3 || s.Start < last.End || s.End <= s.Start || s.Clock < last.Clock {
				t.Fatalf("seed %d: %+v after %+v", seed, s, last)
			}
			if last.End > 0 && s.Start > last.End && (tracing || s.Clock == last.Clock) {
				t.Fatalf("seed %d: a gap between %+v and %+v", seed, last, s)
			}
			if tracing && s.End-s.Start < shortSpan && want[s.Clock].length >= shortSpan {
				t.Fatalf("seed %d: a short span %+v", seed, s)
			}
			got[s.Clock].length += s.End - s.Start
			got[s.Clock].kinds[s.Kind] += s.End - s.Start
			last = s
		}
		limit := time.Duration(0) // of clocks that are not kept
		if !tracing && clocks > keptClocks {
			var all []time.Duration
			for _, w := range want {
				all = append(all, w.length)
			}
			slices.Sort(all)
			limit = all[clocks-keptClocks]
		}
		for c := range want {
			if tracing { // short stretches go to the one beside them
				for k, d := range want[c].kinds {
					if off := (got[c].kinds[k] - d).Abs(); off > short[c] {
						t.Fatalf("seed %d: clock %d: %v, want %v within %v", seed, c, got[c], want[c], short[c])
					}
				}
				got[c].kinds = want[c].kinds
			}
			if want[c].length >= limit && got[c] != want[c] {
				t.Fatalf("seed %d: clock %d: %+v, want %+v", seed, c, got[c], want[c])
			}
			if want[c].length < limit && got[c].length > 0 {
				t.Fatalf("seed %d: clock %d of %v is kept, but not one of %v", seed, c, want[c].length, limit)
			}
		}
	}
}

// A clock costs no allocation, whatever the worker waits for.
func TestTimelineAllocs(t *testing.T) {
	start := time.Now()
	l := timeline{rec: telemetry.NewRecorder(0, start, func([]byte) {})}
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	clock := func() {
		l.begin(4, at(0))
		for i := range 20 {
			l.note(telemetry.Gate, i%3, at(2*i+1), at(2*i+2))
		}
		l.finish(at(50))
		l.end(at(51))
	}
	clock()
	if n := testing.AllocsPerRun(100, clock); n != 0 {
		t.Errorf("%v allocations a clock", n)
	}
	none := timeline{}
	none.begin(1, start)
	none.note(telemetry.Gate, 1, start, at(1))
	none.end(at(2))
	none.flush()
}

func BenchmarkTimeline(b *testing.B) {
	start := time.Now()
	l := timeline{rec: telemetry.NewRecorder(0, start, func([]byte) {})}
	at := [5]time.Time{}
	for i := range at {
		at[i] = start.Add(time.Duration(i) * time.Millisecond)
	}
	b.ReportAllocs()
	for b.Loop() {
		l.begin(4, at[0])
		l.note(telemetry.Miss, 2, at[1], at[2])
		l.finish(at[3])
		l.end(at[4])
	}
}

// TestTracedWaits: waits for the same rank that nothing else lies between are
// traced as one, others are not.
func TestTracedWaits(t *testing.T) {
	start := time.Now()
	rec, spans := spansOf(t, start)
	rec.SetTracing(true)
	l := timeline{rec: rec}
	at := func(us int) time.Time { return start.Add(time.Duration(us) * time.Microsecond) }
	l.begin(0, at(0))
	l.note(telemetry.Miss, 1, at(100), at(200))
	l.note(telemetry.Miss, 1, at(200), at(300))
	l.note(telemetry.Miss, 1, at(310), at(400)) // too short a computation for a span
	l.note(telemetry.Miss, 2, at(400), at(500)) // another rank
	l.note(telemetry.Miss, 2, at(600), at(700)) // after a computation
	l.note(telemetry.Gate, 2, at(700), at(800)) // another kind
	l.end(at(800))
	l.flush()
	rec.Flush()
	type stretch struct {
		kind telemetry.SpanKind
		on   int
		end  int
	}
	want := []stretch{
		{telemetry.Compute, telemetry.NoRank, 100}, {telemetry.Miss, 1, 400}, {telemetry.Miss, 2, 500},
		{telemetry.Compute, telemetry.NoRank, 600}, {telemetry.Miss, 2, 700}, {telemetry.Gate, 2, 800},
	}
	var got []stretch
	for _, s := range spans() {
		got = append(got, stretch{s.Kind, s.On, int(s.End.Microseconds())})
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
