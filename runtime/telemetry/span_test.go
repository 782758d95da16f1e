package telemetry

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func randomSpans(rng *rand.Rand, n int) []Span {
	spans := make([]Span, n)
	for i := range spans {
		start := time.Duration(rng.Int64N(1e12))
		spans[i] = Span{
			Kind: SpanKind(1 + rng.IntN(int(spanKinds)-1)), Lane: rng.IntN(5) - 1, On: rng.IntN(66) - 1,
			Start: start, End: start + time.Duration(rng.Int64N(1e9)), Clock: rng.Int64N(1 << 40), Bytes: rng.Int64N(1 << 30),
			Name: []string{"", "", "allreduce", "barrier"}[rng.IntN(4)],
		}
	}
	return spans
}

func TestSpansSurvive(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		want := randomSpans(rng, 1+rng.IntN(100))
		var line []byte
		r := NewRecorder(3, time.Now(), func(b []byte) { line = append([]byte(nil), b...) })
		r.Spans(want)
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got, err := e.Unpack()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got %v (%v), want %v", seed, got, err, want)
		}
		if e.Kind != "spans" || e.Rank != 3 {
			t.Fatalf("seed %d: event %+v", seed, e)
		}
	}
}

// Traced spans leave in batches, all of them, in order.
func TestTrace(t *testing.T) {
	var got []Span
	lines := 0
	r := NewRecorder(0, time.Now(), func(b []byte) {
		var e Event
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatal(err)
		}
		spans, err := e.Unpack()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, spans...)
		lines++
	})
	want := randomSpans(rand.New(rand.NewPCG(1, 2)), 2000)
	r.Trace(want[0]) // not wanted yet
	r.SetTracing(true)
	for _, s := range want {
		r.Trace(s)
	}
	r.Flush()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d spans, want %d", len(got), len(want))
	}
	if lines > 10 {
		t.Errorf("%d lines for %d spans", lines, len(want))
	}
	r.Flush()
	if len(got) != len(want) {
		t.Errorf("%d spans after a second flush", len(got))
	}
	var none *Recorder
	none.Trace(want[0])
	none.Spans(want)
	none.Flush()
}

func TestTraceAllocatesLittle(t *testing.T) {
	r := NewRecorder(0, time.Now(), func([]byte) {})
	r.SetTracing(true)
	s := Span{Kind: Gate, On: 2, Start: 5, End: 9}
	if n := testing.AllocsPerRun(10000, func() { r.Trace(s) }); n > 0.1 {
		t.Errorf("%g allocations a span", n)
	}
}

func FuzzUnpack(f *testing.F) {
	var p packer
	p.add(randomSpans(rand.New(rand.NewPCG(5, 5)), 20))
	f.Add(p.data)
	f.Add(p.data[:len(p.data)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		e := Event{Spans: b, Names: []string{"a", "b"}}
		spans, err := e.Unpack()
		if len(spans) > len(b) {
			t.Errorf("%d spans of %d bytes", len(spans), len(b))
		}
		if err != nil {
			return
		}
		var p packer
		p.add(spans)
		again, err := (&Event{Spans: p.data, Names: p.names}).Unpack()
		if err != nil || !reflect.DeepEqual(again, spans) {
			t.Errorf("%v (%v), want %v", again, err, spans)
		}
	})
}

func BenchmarkTrace(b *testing.B) {
	r := NewRecorder(0, time.Now(), func([]byte) {})
	r.SetTracing(true)
	b.ReportAllocs()
	for b.Loop() {
		r.Trace(Span{Kind: Gate, On: 2, Start: 5e6, End: 9e6, Clock: 7})
	}
}
