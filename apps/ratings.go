package apps

import (
	"math"

	"github.com/pkg/errors"
)

// maxID is the greatest row or column number that the readers accept: arrays
// are as long as the greatest number in the file.
const maxID = 1<<28 - 1

// Ratings are entries of a sparse matrix: Value[i] stands at (Row[i], Col[i]).
// The numbers are those of the file, so with a file that counts from 1 row 0
// and column 0 stay empty.
type Ratings struct {
	Row, Col []int32
	Value    []float32
}

// Len returns the number of entries.
func (r *Ratings) Len() int { return len(r.Row) }

// Append adds an entry.
func (r *Ratings) Append(row, col int32, value float32) {
	r.Row = append(r.Row, row)
	r.Col = append(r.Col, col)
	r.Value = append(r.Value, value)
}

// RatingsFormat says how lines become entries.
type RatingsFormat struct {
	Log       bool // take the natural logarithm of the value, which must be positive
	Symmetric bool // the file holds one half: (a, b) with a ≠ b stands for (b, a) too
}

// ReadRatings appends the entries of this part of the file to r. A line is
// `user item rating` or `row col count`: two numbers from 0 or 1 and a decimal
// number, separated by blanks, tabs, commas or "::"; further fields (a time,
// say), blank lines and lines that begin with # or % are ignored, and so is a
// first line of names. The file may be gzip or zstd. Errors are *[InputError].
func ReadRatings(path string, part Part, format RatingsFormat, r *Ratings) error {
	s, err := openSource(path)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.lines(part, func(text []byte) error {
		if s.first() && isHeader(text) {
			return nil
		}
		if comment(text) {
			return nil
		}
		row, col, value, err := parseRating(text)
		if err != nil {
			return err
		}
		if format.Log {
			if value <= 0 {
				return errors.Errorf("expected a value above 0 to take the logarithm of, found %g", value)
			}
			value = math.Log(value)
		}
		r.Append(row, col, float32(value))
		if format.Symmetric && row != col {
			r.Append(col, row, float32(value))
		}
		return nil
	})
}

// isHeader reports whether a line holds the names of columns: its first field
// begins with a letter or a quote.
func isHeader(text []byte) bool {
	name, _ := field(text)
	if len(name) == 0 {
		return false
	}
	b := name[0] | 0x20
	return b >= 'a' && b <= 'z' || name[0] == '"' || name[0] == '_'
}

// parseRating parses `row col value`.
func parseRating(text []byte) (row, col int32, value float64, err error) {
	const format = `"user item rating"`
	a, rest := field(text)
	b, rest := field(rest)
	c, _ := field(rest)
	if len(c) == 0 {
		return 0, 0, 0, expected(format, text)
	}
	i, ok := integer(a, maxID)
	j, also := integer(b, maxID)
	if !ok || !also {
		return 0, 0, 0, expected(format+" with two whole numbers up to 268435455", text)
	}
	if value, ok = number(c); !ok || math.Abs(value) > math.MaxFloat32 {
		return 0, 0, 0, expected(format+" with a number as the third field", text)
	}
	return int32(i), int32(j), value, nil
}
