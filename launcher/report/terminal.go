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
func (r *Report) Terminal(w io.Writer) error {
	var b strings.Builder
	for _, id := range onTerminal {
		t := r.Table(id)
		if len(t.Rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s\n%s\n\n", t.Title, t.render())
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

// render lays a table out with lines of text.
func (t *Table) render() string {
	out := table.NewWriter()
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true, SeparateColumns: false}
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	out.SetStyle(style)
	var head table.Row
	var columns []table.ColumnConfig
	for i, c := range t.Columns {
		head = append(head, c.Head)
		if !c.Text {
			columns = append(columns, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	out.SetColumnConfigs(columns)
	out.AppendHeader(head)
	for _, cells := range t.Rows {
		var row table.Row
		for _, c := range cells {
			row = append(row, c.Text)
		}
		out.AppendRow(row)
	}
	return out.Render()
}
