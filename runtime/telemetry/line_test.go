package telemetry

import (
	"encoding/json"
	"reflect"
	"testing"
)

// General decoding, the oracle.
func unmarshal(line []byte) (Event, error) {
	var e Event
	err := json.Unmarshal(line, &e)
	return e, err
}

func TestLineIsJSON(t *testing.T) {
	for _, e := range []Event{
		{Kind: "spans", Time: 1.25, Rank: 3, Spans: []byte{1, 2, 3, 255}},
		{Kind: "spans", Time: 0, Rank: 0, Spans: []byte{0}},
		{Kind: "spans", Time: 1e-9, Rank: 1 << 20, Spans: make([]byte, 1000)},
		{Kind: "spans", Time: 1e6, Spans: []byte{9}, Names: []string{"a \"name\""}},
		{Kind: "loss", Time: 3, Metric: "test_rmse", Value: 1.5},
		{Kind: "note", Text: "\n\"\\"},
	} {
		line, err := appendLine(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		want, err := unmarshal(line)
		if err != nil || !reflect.DeepEqual(want, e) {
			t.Fatalf("%s is read as %+v, %v; want %+v", line, want, err, e)
		}
		var got Event
		if err := got.Parse(line); err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("%s is parsed as %+v, %v; want %+v", line, got, err, e)
		}
	}
}

// FuzzParse: what the general way reads, Parse reads alike; what it refuses is
// refused, but for white space that no writer makes.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"ev":"spans","t":1.5,"rank":3,"spans":"AQID"}`, `{"ev":"spans","t":1,"rank":3,"spans":"AQ==","names":["x"]}`,
		`{"ev":"spans","t":,"rank":3,"spans":"AQID"}`, `{"ev":"spans","t":1e400,"rank":0,"spans":""}`,
		`{"ev":"spans","t":1.5,"rank":3,"spans":"A\nQID"}`, `{"ev":"clock","t":1.5,"rank":3,"c":4}`, `{`,
		`{"ev":"spans","t":0x1p4,"rank":3,"spans":"AQID"}`, `{"ev":"spans","t":01,"rank":+3,"spans":"AQID"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var got Event
		err := got.Parse(line)
		want, wantErr := unmarshal(line)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, generally %v", line, err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) && len(got.Spans)+len(want.Spans) > 0 {
			t.Fatalf("%q: %+v, generally %+v", line, got, want)
		}
	})
}

func BenchmarkParseSpans(b *testing.B) {
	line, err := appendLine(nil, &Event{Kind: "spans", Time: 1.25, Spans: make([]byte, 6000)})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		var e Event
		if err := e.Parse(line); err != nil {
			b.Fatal(err)
		}
	}
}
