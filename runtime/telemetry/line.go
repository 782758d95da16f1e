package telemetry

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
)

// Lines of spans are most of a record when everything is traced, and each is
// long. What the parts of such a line are is known, so it is made and read
// without reflection; a line that looks different goes the general way.
//
//	{"ev":"spans","t":1.5,"rank":3,"spans":"BASE64"}

const (
	spansStart = `{"ev":"spans","t":`
	spansRank  = `,"rank":`
	spansData  = `,"spans":"`
	spansEnd   = `"}`
)

// appendLine appends the event as a record line, without newline.
func appendLine(dst []byte, e *Event) ([]byte, error) {
	if e.Kind == "spans" && len(e.Names) == 0 {
		dst = strconv.AppendFloat(append(dst, spansStart...), e.Time, 'f', -1, 64)
		dst = strconv.AppendInt(append(dst, spansRank...), int64(e.Rank), 10)
		dst = base64.StdEncoding.AppendEncode(append(dst, spansData...), e.Spans)
		return append(dst, spansEnd...), nil
	}
	line, err := json.Marshal(e)
	return append(dst, line...), err
}

// Parse decodes a record line into e, which is zero before. Fields that this
// version does not know are no error.
func (e *Event) Parse(line []byte) error {
	if e.parseSpans(line) {
		return nil
	}
	*e = Event{}
	return json.Unmarshal(line, e)
}

// parseSpans decodes a line as appendLine writes it.
func (e *Event) parseSpans(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte(spansStart))
	if !ok {
		return false
	}
	at, rest, ok := bytes.Cut(rest, []byte(spansRank))
	if !ok {
		return false
	}
	rank, rest, ok := bytes.Cut(rest, []byte(spansData))
	if !ok {
		return false
	}
	data, ok := bytes.CutSuffix(rest, []byte(spansEnd))
	if !ok || !decimal(at) || !decimal(rank) || bytes.IndexByte(data, '\r') >= 0 || bytes.IndexByte(data, '\n') >= 0 {
		return false
	}
	var err error
	if e.Time, err = strconv.ParseFloat(string(at), 64); err != nil {
		return false
	}
	if e.Rank, err = strconv.Atoi(string(rank)); err != nil {
		return false
	}
	if e.Spans, err = base64.StdEncoding.AppendDecode(nil, data); err != nil {
		return false
	}
	e.Kind = "spans"
	return true
}

// decimal reports whether b is a number as JSON has it, without sign and exponent.
func decimal(b []byte) bool {
	whole, fraction, point := bytes.Cut(b, []byte("."))
	return digits(whole) && (len(whole) == 1 || whole[0] != '0') && (!point || digits(fraction))
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}
