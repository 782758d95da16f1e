package apps

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Result is what an app found, in the order in which it is printed.
type Result struct{ pairs [][2]string }

// Add appends a key, in snake case, and its value. Floats keep six digits;
// [Rate] prints large numbers in steps of a thousand.
func (r *Result) Add(key string, value any) {
	var text string
	switch v := value.(type) {
	case float64:
		text = strconv.FormatFloat(v, 'g', 6, 64)
	case float32:
		text = strconv.FormatFloat(float64(v), 'g', 6, 32)
	default:
		text = fmt.Sprint(v)
	}
	r.pairs = append(r.pairs, [2]string{key, text})
}

// Pairs returns the keys and values as they are printed.
func (r *Result) Pairs() [][2]string { return r.pairs }

// Line returns the line that scripts read, without newline:
// `result app=mf sync=ssp:3 …`. Values with blanks are quoted.
func (r *Result) Line() string {
	var b strings.Builder
	b.WriteString("result")
	for _, p := range r.pairs {
		b.WriteString(" " + p[0] + "=")
		if p[1] == "" || strings.ContainsAny(p[1], " \t\n\"") {
			b.WriteString(strconv.Quote(p[1]))
		} else {
			b.WriteString(p[1])
		}
	}
	return b.String()
}

// JSON returns the same as one JSON object, its keys in the same order; numbers
// are numbers, everything else (an infinity too) is a string.
func (r *Result) JSON() string {
	var b strings.Builder
	for i, p := range r.pairs {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(quoteJSON(p[0]) + ":")
		if jsonNumber(p[1]) {
			b.WriteString(p[1])
		} else {
			b.WriteString(quoteJSON(p[1]))
		}
	}
	return "{" + b.String() + "}"
}

// Rate is a number that is printed in steps of a thousand: 31.2e6.
type Rate float64

// String returns the number with four digits and an exponent that is a
// multiple of three.
func (x Rate) String() string {
	v := float64(x)
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) || math.Abs(v) < 1000 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	// Round first, so that 999 999 becomes 1e6 and not 1000e3.
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'e', 3, 64), 64)
	e := int(math.Floor(math.Log10(math.Abs(v))/3)) * 3
	return strconv.FormatFloat(v/math.Pow10(e), 'g', 4, 64) + "e" + strconv.Itoa(e)
}
