package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Table holds numbers with what they mean. Everything that the terminal, the
// page, CSV and JSON show comes from tables.
type Table struct {
	ID      string // names files and anchors: "settings"
	Title   string
	Note    string // what a reader must know; may be empty
	Columns []Column
	Rows    [][]Cell // as long as Columns
}

// Column is one of a table.
type Column struct {
	Key    string // snake case, with the unit: "compute_share"
	Head   string // as it is shown
	Text   bool   // holds text, not numbers
	Spread bool   // its cells are medians with the range of several runs
}

// Cell is a number, exactly and as it is shown, or text.
type Cell struct {
	Text      string
	Value     float64 // NaN for text and for what is not known
	Low, High float64 // of a spread
}

// words is a cell of text.
func words(s string) Cell { return Cell{Text: s, Value: math.NaN()} }

// number shows a value with up to so many significant digits.
func number(v float64, digits int) Cell {
	if math.IsNaN(v) {
		return unknown()
	}
	return Cell{Text: significant(v, digits), Value: v}
}

// halves shows the median of whole numbers.
func halves(v float64) Cell {
	if math.IsNaN(v) {
		return unknown()
	}
	return Cell{Text: strconv.FormatFloat(v, 'f', -1, 64), Value: v}
}

// count shows a whole number.
func count(n int64) Cell { return Cell{Text: strconv.FormatInt(n, 10), Value: float64(n)} }

// percent shows a share.
func percent(v float64) Cell {
	if math.IsNaN(v) {
		return unknown()
	}
	switch p := 100 * v; {
	case p != 0 && math.Abs(p) < 0.95:
		return Cell{Text: fmt.Sprintf("%.1f %%", p), Value: v}
	default:
		return Cell{Text: fmt.Sprintf("%.0f %%", p), Value: v}
	}
}

// octets shows a number of bytes.
func octets(v float64) Cell {
	if math.IsNaN(v) {
		return unknown()
	}
	return Cell{Text: thousands(v, "B"), Value: v}
}

// rate shows a number of items.
func rate(v float64) Cell {
	if math.IsNaN(v) || v == 0 {
		return unknown()
	}
	return Cell{Text: thousands(v, ""), Value: v}
}

// unknown is the cell of a number that is not known.
func unknown() Cell { return Cell{Text: dash, Value: math.NaN()} }

const dash = "–"

// spreadCell shows a median, and the range where it can be seen.
func spreadCell(s Spread, show func(float64) Cell) Cell {
	c := show(s.Median)
	c.Low, c.High = s.Low, s.High
	if low, high := show(s.Low).Text, show(s.High).Text; s.N > 1 && low != high && !math.IsNaN(s.Median) {
		if _, unit, ok := strings.Cut(c.Text, " "); ok && strings.HasSuffix(low, " "+unit) && strings.HasSuffix(high, " "+unit) {
			low, high = strings.TrimSuffix(low, " "+unit), strings.TrimSuffix(high, " "+unit)
		}
		c.Text += " (" + low + "–" + high + ")"
	}
	return c
}

// exact prints a number with all its digits; "" for none.
func exact(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// Exact is the cell's content for machines: the value with all its digits, or
// the text; "" for what is not known.
func (c Cell) Exact() string {
	if math.IsNaN(c.Value) && c.Text != dash {
		return c.Text
	}
	return exact(c.Value)
}

// Keys returns the names of the columns as CSV and JSON have them: a spread is
// three of them.
func (t *Table) Keys() []string {
	var keys []string
	for _, c := range t.Columns {
		keys = append(keys, c.Key)
		if c.Spread {
			keys = append(keys, c.Key+"_low", c.Key+"_high")
		}
	}
	return keys
}

// Values returns the cells of a row, as many as Keys, as numbers or text.
func (t *Table) Values(row []Cell) []string {
	var out []string
	for i, c := range t.Columns {
		out = append(out, row[i].Exact())
		if c.Spread {
			out = append(out, exact(row[i].Low), exact(row[i].High))
		}
	}
	return out
}

// significant prints a number with so many significant digits and no exponent
// where it can be read without.
func significant(v float64, digits int) string {
	if v == 0 || math.IsInf(v, 0) {
		return strings.TrimPrefix(fmt.Sprint(v), "+")
	}
	if a := math.Abs(v); a < 1e-4 || a >= 1e9 {
		return strconv.FormatFloat(v, 'e', digits-1, 64)
	}
	if v == math.Trunc(v) && math.Abs(v) < math.Pow10(digits) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	before := int(math.Floor(math.Log10(math.Abs(v)))) + 1
	return strconv.FormatFloat(v, 'f', max(0, digits-before), 64)
}

// thousands prints a number with three digits and a prefix of the SI.
func thousands(x float64, unit string) string {
	for _, p := range []struct {
		size   float64
		prefix string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if x >= 0.9995*p.size {
			return fmt.Sprintf("%.3g %s%s", x/p.size, p.prefix, unit)
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%.3g %s", x, unit))
}
