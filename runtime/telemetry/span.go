package telemetry

import (
	"encoding/binary"
	"time"

	"github.com/pkg/errors"
)

// SpanKind says what went on in a stretch of time.
type SpanKind uint8

// Kinds of spans.
const (
	Compute    SpanKind = iota + 1 // outside the store, and not slept for -straggle
	Straggle                       // slept for -straggle
	Gate                           // waited because another rank is behind: On
	Miss                           // waited for rows of an owner: On
	Flush                          // handed updates over
	Push                           // told a subscriber, On, what is new
	Collective                     // a collective operation: Name
	spanKinds
)

// String returns the kind's name in tables and traces.
func (k SpanKind) String() string {
	names := [...]string{"", "compute", "straggle", "gate", "miss", "flush", "push", "collective"}
	if k >= spanKinds {
		return ""
	}
	return names[k]
}

// Lanes of a rank's spans. Those of a lane follow one another; a worker's lane
// is its index.
const (
	LaneRank = -1      // operations that belong to no worker
	LanePush = 1 << 20 // and the peer: pushes to it
)

// NoRank is the On of a span that concerns no other rank, or nobody knows which.
const NoRank = -1

// Span is a stretch of time on a lane of a rank.
type Span struct {
	Kind       SpanKind
	Lane       int
	On         int           // the rank that was waited for or written to; NoRank: none
	Start, End time.Duration // since the rank's recorder was started
	Clock      int64         // the worker's running clock
	Bytes      int64         // that were sent
	Name       string        // what operation; "" as a rule
}

// packSpans appends the spans, as Event.Spans holds them, to dst. names is the
// table of their names, which it extends: index 0 stands for "".
func packSpans(dst []byte, names []string, spans []Span) ([]byte, []string) {
	var last Span
	for _, s := range spans {
		name := 0
		if s.Name != "" {
			for name = len(names); name > 0 && names[name-1] != s.Name; {
				name--
			}
			if name == 0 {
				names = append(names, s.Name)
				name = len(names)
			}
		}
		dst = append(dst, byte(s.Kind))
		dst = binary.AppendVarint(dst, int64(s.Lane))
		dst = binary.AppendVarint(dst, int64(s.On))
		dst = binary.AppendVarint(dst, int64(s.Start-last.End)) // lanes are mostly without gaps
		dst = binary.AppendVarint(dst, int64(s.End-s.Start))
		dst = binary.AppendVarint(dst, s.Clock-last.Clock)
		dst = binary.AppendVarint(dst, s.Bytes)
		dst = binary.AppendUvarint(dst, uint64(name))
		last = s
	}
	return dst, names
}

// spanBytes is less than most spans take, and at least what any does.
const spanBytes = 8

// Unpack returns the spans of a "spans" event. Kinds that this version does not
// know are among them.
func (e *Event) Unpack() ([]Span, error) {
	return e.AppendSpans(make([]Span, 0, len(e.Spans)/spanBytes))
}

// AppendSpans is Unpack that appends to spans.
func (e *Event) AppendSpans(spans []Span) ([]Span, error) {
	before := len(spans)
	var last Span
	for b := e.Spans; len(b) > 0; {
		s := Span{Kind: SpanKind(b[0])}
		b = b[1:]
		var x [6]int64
		for i := range x {
			v, n := binary.Varint(b)
			if n <= 0 {
				return spans, errors.Errorf("spans: number %d of span %d is cut off", i, len(spans)-before)
			}
			x[i], b = v, b[n:]
		}
		name, n := binary.Uvarint(b)
		if n <= 0 || name > uint64(len(e.Names)) {
			return spans, errors.Errorf("spans: the name of span %d is not there", len(spans)-before)
		}
		b = b[n:]
		if name > 0 {
			s.Name = e.Names[name-1]
		}
		s.Lane, s.On = int(x[0]), int(x[1])
		s.Start = last.End + time.Duration(x[2])
		s.End = s.Start + time.Duration(x[3])
		s.Clock, s.Bytes = last.Clock+x[4], x[5]
		if s.End < s.Start {
			return spans, errors.Errorf("spans: span %d ends before it starts", len(spans)-before)
		}
		spans = append(spans, s)
		last = s
	}
	return spans, nil
}
