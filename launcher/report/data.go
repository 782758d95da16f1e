package report

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"math"

	"github.com/pkg/errors"
)

// CSV writes the table with a header line; numbers have all their digits.
func (t *Table) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	err := out.Write(t.Keys())
	for _, row := range t.Rows {
		if err == nil {
			err = out.Write(t.Values(row))
		}
	}
	out.Flush()
	if err == nil {
		err = out.Error()
	}
	return errors.Wrapf(err, "write table %s", t.ID)
}

// JSON writes all that the report says: title, facts, notes and, by ID, the rows
// of the tables as objects. A number that is not known is null; an infinite one,
// a target that was never reached, is the text "inf".
func (r *Report) JSON(w io.Writer) error {
	tables := map[string][]map[string]any{}
	for _, t := range r.Tables {
		rows := []map[string]any{}
		for _, cells := range t.Rows {
			row := map[string]any{}
			for i, c := range t.Columns {
				if c.Text {
					row[c.Key] = cells[i].Text
					continue
				}
				row[c.Key] = jsonNumber(cells[i].Value)
				if c.Spread {
					row[c.Key+"_low"], row[c.Key+"_high"] = jsonNumber(cells[i].Low), jsonNumber(cells[i].High)
				}
			}
			rows = append(rows, row)
		}
		tables[t.ID] = rows
	}
	all := struct {
		Title  string                      `json:"title"`
		Facts  map[string]string           `json:"facts"`
		Notes  []string                    `json:"notes"`
		Metric string                      `json:"metric"`
		Better string                      `json:"better"`
		Target any                         `json:"target"`
		Tables map[string][]map[string]any `json:"tables"`
	}{Title: r.Title, Facts: map[string]string{}, Notes: append([]string{}, r.Notes...), Metric: r.Metric, Target: jsonNumber(r.Target), Tables: tables}
	if r.Metric != "" {
		all.Better = "lower"
		if r.Higher {
			all.Better = "higher"
		}
	}
	for _, f := range r.Facts {
		all.Facts[f.Name] = f.Text
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return errors.Wrap(e.Encode(all), "write JSON")
}

func jsonNumber(v float64) any {
	switch {
	case math.IsNaN(v):
		return nil
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	}
	return v
}
