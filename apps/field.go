package apps

import (
	"math"
	"strconv"

	"github.com/pkg/errors"
)

// separator reports whether b stands between fields: blanks, tabs, commas,
// semicolons, bars, and the "::" of some .dat files.
func separator(b byte) bool {
	switch b {
	case ' ', '\t', ',', ';', '|', ':':
		return true
	}
	return false
}

// field returns the first field of text, and what is behind it.
func field(text []byte) (first, rest []byte) {
	i := 0
	for i < len(text) && separator(text[i]) {
		i++
	}
	j := i
	for j < len(text) && !separator(text[j]) {
		j++
	}
	return text[i:j], text[j:]
}

// integer parses decimal digits up to limit.
func integer(text []byte, limit int64) (int64, bool) {
	if len(text) == 0 || len(text) > 18 {
		return 0, false
	}
	n := int64(0)
	for _, b := range text {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int64(b-'0')
	}
	return n, n <= limit
}

// number parses a finite decimal number.
func number(text []byte) (float64, bool) {
	if n, ok := integer(text, 1<<53); ok {
		return float64(n), true
	}
	for _, b := range text { // not the hexadecimal floats and underscores of Go
		switch {
		case b >= '0' && b <= '9', b == '.', b == '-', b == '+', b == 'e', b == 'E':
		default:
			return 0, false
		}
	}
	x, err := strconv.ParseFloat(string(text), 64)
	return x, err == nil && !math.IsInf(x, 0)
}

// comment reports whether the line holds nothing: blank, or a remark behind #
// or %.
func comment(text []byte) bool {
	for _, b := range text {
		switch {
		case b == '#' || b == '%':
			return true
		case !separator(b):
			return false
		}
	}
	return true
}

// expected is the fault of a line that is not in the format.
func expected(what string, text []byte) error {
	const most = 40
	if len(text) > most {
		return errors.Errorf("expected %s, found %q...", what, text[:most])
	}
	return errors.Errorf("expected %s, found %q", what, text)
}
