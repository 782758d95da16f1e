package report

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/pkg/errors"
)

var trailing = regexp.MustCompile(`(?m)^ | +$`)

// onTerminal are the tables that a terminal shows.
var onTerminal = [...]string{"settings", "time", "traffic"}

// Terminal writes the tables that compare settings, and what a reader must know.
// Lines of tables are kept within width columns, by leaving out the ranges of
// medians and then by breaking tables; 0 sets no limit.
func (r *Report) Terminal(w io.Writer, width int) error {
	var b strings.Builder
	for _, id := range onTerminal {
		t := r.Table(id)
		if len(t.Rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s\n%s\n\n", t.Title, t.fit(width, true))
	}
	if r.Reached {
		fmt.Fprintf(&b, "Target: %s %s.", r.metricName(), significant(r.Target, 5))
	}
	fmt.Fprintf(&b, "%s\n", medians(r.Settings))
	if v := r.Verdict(); v != "" {
		fmt.Fprintf(&b, "%s\n", v)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "%s\n", n)
	}
	_, err := io.WriteString(w, trailing.ReplaceAllString(b.String(), ""))
	return errors.Wrap(err, "write tables")
}

// fit lays the table out in so many columns.
func (t *Table) fit(width int, ranges bool) string {
	if full := t.render(len(t.Columns), ranges); width == 0 || text.LongestLineLen(full) <= width {
		return full
	}
	n := len(t.Columns)
	for n > 2 && text.LongestLineLen(t.render(n, false)) > width {
		n--
	}
	out := t.render(n, false)
	if n == len(t.Columns) {
		return out
	}
	rest := &Table{Columns: append([]Column{t.Columns[0]}, t.Columns[n:]...)}
	for _, row := range t.Rows {
		rest.Rows = append(rest.Rows, append([]Cell{row[0]}, row[n:]...))
	}
	return out + "\n\n" + rest.fit(width, false)
}

// render lays the first columns out with lines of text, with the ranges of medians
// or without.
func (t *Table) render(columns int, ranges bool) string {
	out := table.NewWriter()
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true, SeparateColumns: false}
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	out.SetStyle(style)
	var head table.Row
	var aligned []table.ColumnConfig
	for i, c := range t.Columns[:columns] {
		head = append(head, c.Head)
		if !c.Text {
			aligned = append(aligned, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	out.SetColumnConfigs(aligned)
	out.AppendHeader(head)
	for _, cells := range t.Rows {
		var row table.Row
		for i, c := range cells[:columns] {
			if t.Columns[i].Spread && !ranges {
				c.Text, _, _ = strings.Cut(c.Text, " (")
			}
			row = append(row, c.Text)
		}
		out.AppendRow(row)
	}
	return strings.ReplaceAll(out.Render(), "─  \n", "─\n") // the last column needs no room behind it
}
