package telemetry

import (
	"encoding/binary"
	"slices"
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

// packer packs spans as Event.Spans holds them.
type packer struct {
	data  []byte
	names []string // index i stands for number i+1; 0 for ""
	spans int
	end   time.Duration // of the last span
	clock int64         // of the last span
}

// reset makes the packer empty; the memory stays.
func (p *packer) reset() { *p = packer{data: p.data[:0], names: p.names[:0]} }

// add packs spans behind those that are there.
func (p *packer) add(spans []Span) {
	dst := p.data
	for i := range spans {
		s := &spans[i]
		dst = append(dst, byte(s.Kind))
		dst = appendVarint(dst, int64(s.Lane))
		dst = appendVarint(dst, int64(s.On))
		dst = appendVarint(dst, int64(s.Start-p.end)) // lanes are mostly without gaps
		dst = appendVarint(dst, int64(s.End-s.Start))
		dst = appendVarint(dst, s.Clock-p.clock)
		dst = appendVarint(dst, s.Bytes)
		dst = binary.AppendUvarint(dst, p.name(s.Name))
		p.end, p.clock = s.End, s.Clock
	}
	p.data = dst
	p.spans += len(spans)
}

// name returns the number of a name.
func (p *packer) name(s string) uint64 {
	if s == "" {
		return 0
	}
	i := slices.Index(p.names, s)
	if i < 0 {
		i = len(p.names)
		p.names = append(p.names, s)
	}
	return uint64(i) + 1
}

// appendVarint is binary.AppendVarint, quicker for numbers of one byte, as most are.
func appendVarint(dst []byte, v int64) []byte {
	if u := uint64(v)<<1 ^ uint64(v>>63); u < 0x80 {
		return append(dst, byte(u))
	}
	return binary.AppendVarint(dst, v)
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
	var clock int64
	var end time.Duration
	for b, at := e.Spans, 0; at < len(b); {
		s := Span{Kind: SpanKind(b[at])}
		at++
		var x [6]int64
		for i := range x {
			if at < len(b) && b[at] < 0x80 { // as most are
				x[i] = int64(b[at]>>1) ^ -int64(b[at]&1)
				at++
				continue
			}
			v, n := binary.Varint(b[at:])
			if n <= 0 {
				return spans, errors.Errorf("spans: number %d of span %d is cut off", i, len(spans)-before)
			}
			x[i] = v
			at += n
		}
		name, n := binary.Uvarint(b[at:])
		if n <= 0 || name > uint64(len(e.Names)) {
			return spans, errors.Errorf("spans: the name of span %d is not there", len(spans)-before)
		}
		at += n
		if name > 0 {
			s.Name = e.Names[name-1]
		}
		s.Lane, s.On = int(x[0]), int(x[1])
		s.Start = end + time.Duration(x[2])
		s.End = s.Start + time.Duration(x[3])
		s.Clock, s.Bytes = clock+x[4], x[5]
		if s.End < s.Start {
			return spans, errors.Errorf("spans: span %d ends before it starts", len(spans)-before)
		}
		spans = append(spans, s)
		clock, end = s.Clock, s.End
	}
	return spans, nil
}
