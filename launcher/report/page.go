package report

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

//go:embed page/page.html
var pageHTML string

//go:embed page/page.css
var pageCSS string

//go:embed page/page.js
var pageJS string

// Live is what a page says of a job that goes on. The zero value is a page of
// runs that have ended.
type Live struct {
	State  string // changes whenever the page does; "end" is the last
	Status string // one line: how far the job is
}

// view is what the page's template shows.
type view struct {
	Title, Verdict, Status string
	Notes                  []string
	Lead                   []tableView
	Settings               []settingView
	Sections               []sectionView
	Facts                  []factView
	Data                   template.JS
	CSS, Light, Dark       template.CSS
	Colours                template.CSS
	JS                     template.JS
	Live                   bool
	State                  string
}

type settingView struct {
	Index        int
	Name, Dashes string
}

type sectionView struct {
	ID, Title, Note string
	Parts           []settingView
	Charts          []chartView
	Tables          []tableView
}

type chartView struct {
	ID, Title, Note string
	Setting         int // −1: of all settings
	SVG             template.HTML
}

type factView struct {
	Name  string
	Lines []string
}

type tableView struct {
	ID, Title, Note string
	CSV             template.URL
	Columns         []Column
	Rows            []rowView
}

type rowView struct {
	Setting int
	Cells   []cellView
}

type cellView struct {
	Text, Value, Low, High string
	IsText, Spread         bool
}

// Page writes the report as one HTML page that needs nothing else.
func (r *Report) Page(w io.Writer, live Live) error {
	v := view{
		Title: r.Title, Verdict: r.Verdict(), Status: live.Status, Notes: r.Notes, Live: live.State != "", State: live.State,
		CSS: template.CSS(pageCSS), JS: template.JS(pageJS), Light: template.CSS(styleSheet(false)), Dark: template.CSS(styleSheet(true)),
		Colours: template.CSS(r.colours()),
	}
	for _, id := range onTerminal {
		t, err := r.tableView(r.Table(id))
		if err != nil {
			return err
		}
		v.Lead = append(v.Lead, t)
	}
	for i, s := range r.Settings {
		dash := ""
		for k, d := range dashes(i) {
			if k > 0 {
				dash += " "
			}
			dash += strconv.FormatFloat(d.Points(), 'g', -1, 64)
		}
		v.Settings = append(v.Settings, settingView{i, s.Name, dash})
	}
	for _, f := range r.Facts {
		v.Facts = append(v.Facts, factView{f.Name, strings.Split(f.Text, "\n")})
	}
	data := map[string]any{}
	sections, err := r.sections(data)
	if err != nil {
		return err
	}
	v.Sections = sections
	text, err := json.Marshal(data)
	if err != nil {
		return errors.Wrap(err, "page")
	}
	v.Data = template.JS(text) // encoding/json escapes what could end the element
	page, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return errors.Wrap(err, "page")
	}
	return errors.Wrap(page.Execute(w, v), "write page")
}

// sections sorts charts and tables by what they are about, and adds to data what
// the page's script knows of each chart.
func (r *Report) sections(data map[string]any) ([]sectionView, error) {
	parts := make([]settingView, 0, len(partNames))
	for i, name := range partNames {
		parts = append(parts, settingView{Index: int(telemetry.Compute) + i, Name: name})
	}
	var out []sectionView
	for _, s := range []struct {
		id, title string
		charts    []string // prefixes of their IDs
		tables    []string
		parts     bool
	}{
		{"answer", "The way to the answer", []string{"loss-"}, []string{"loss-time", "loss-clocks"}, false},
		{"freshness", "Freshness and traffic", []string{"staleness", "bytes-"}, []string{"staleness", "bytes-time"}, false},
		{"split", "Where each rank's time went", []string{"split-"}, []string{"ranks"}, true},
		{"slow", "The slowest clocks", []string{"slow"}, []string{"clocks", "waits"}, true},
		{"runs", "Runs", nil, []string{"runs"}, false},
	} {
		v := sectionView{ID: s.id, Title: s.title}
		for _, c := range r.Charts {
			if !slices.ContainsFunc(s.charts, func(p string) bool { return strings.HasPrefix(c.ID, p) }) {
				continue
			}
			svg, frame, err := c.inline()
			if err != nil {
				return nil, err
			}
			v.Charts = append(v.Charts, chartView{c.ID, c.Title, c.Note, c.of - 1, template.HTML(svg)})
			data[c.ID] = c.script(frame)
		}
		for _, id := range s.tables {
			if t := r.Table(id); t != nil && len(t.Rows) > 0 {
				tv, err := r.tableView(t)
				if err != nil {
					return nil, err
				}
				v.Tables = append(v.Tables, tv)
			}
		}
		if s.parts {
			v.Parts = parts
		}
		if s.id == "slow" {
			v.Note = "Up to three of a setting, at different times; the slow clock has a frame. A number in a bar is the rank that is waited for; a line ends a clock."
		}
		if len(v.Charts)+len(v.Tables) > 0 {
			out = append(out, v)
		}
	}
	return out, nil
}

// tableView prepares a table for the template.
func (r *Report) tableView(t *Table) (tableView, error) {
	var text bytes.Buffer
	if err := t.CSV(&text); err != nil {
		return tableView{}, err
	}
	v := tableView{
		ID: t.ID, Title: t.Title, Note: t.Note, Columns: t.Columns,
		CSV: template.URL("data:text/csv;charset=utf-8;base64," + base64.StdEncoding.EncodeToString(text.Bytes())),
	}
	for _, cells := range t.Rows {
		row := rowView{Setting: -1}
		for i, c := range cells {
			row.Cells = append(row.Cells, cellView{
				Text: c.Text, Value: exact(c.Value), Low: exact(c.Low), High: exact(c.High), IsText: t.Columns[i].Text, Spread: t.Columns[i].Spread,
			})
		}
		row.Setting = slices.IndexFunc(r.Settings, func(s *Setting) bool { return s.Name == cells[0].Text })
		v.Rows = append(v.Rows, row)
	}
	return v, nil
}

// colours are the style rules of the curves and parts.
func (r *Report) colours() string {
	var b strings.Builder
	for i := range r.Settings {
		c := i % len(seriesColours)
		fmt.Fprintf(&b, ".stroke-line.s%d{stroke:var(--s%d)}.fill-band.s%d{fill:var(--s%d)}\n", i, c, i, c)
	}
	for k := telemetry.Compute; k <= telemetry.Flush; k++ {
		fmt.Fprintf(&b, ".fill-part.k%d{fill:var(--k%d)}.parts .k%d{--k:var(--k%d)}\n", k, k, k, k)
	}
	return b.String()
}

// chartData is what the page's script knows of a chart.
type chartData struct {
	frame
	X     string     `json:"x"`
	Lines []lineData `json:"lines,omitempty"`
	Boxes [][5]any   `json:"boxes,omitempty"` // x from, x to, y from, y to, text
}

type lineData struct {
	Setting int       `json:"s"`
	Name    string    `json:"n"`
	X       []float64 `json:"x"`
	Y       []float64 `json:"y"`
	Low     []float64 `json:"lo,omitempty"`
	High    []float64 `json:"hi,omitempty"`
}

// script describes the chart to the page's script.
func (c *Chart) script(f frame) chartData {
	d := chartData{frame: f, X: c.X}
	for _, l := range c.Lines {
		line := lineData{Setting: l.Setting, Name: l.Name, X: rounded(l.x), Y: rounded(l.median)}
		if l.runs > 1 {
			line.Low, line.High = rounded(l.low), rounded(l.high)
		}
		d.Lines = append(d.Lines, line)
	}
	if b := c.Bars; b != nil {
		for i, name := range b.Names {
			from := 0.0
			for p := range b.Parts {
				to := from + b.Parts[p][i]
				d.Boxes = append(d.Boxes, [5]any{float64(i) - 0.45, float64(i) + 0.45, round(from), round(to),
					fmt.Sprintf("rank %s\n%s %s s", name, partNames[p], significant(b.Parts[p][i], 4))})
				from = to
			}
		}
	}
	if t := c.Time; t != nil {
		for i, r := range t.rows {
			at := float64(len(t.rows) - 1 - i)
			for _, b := range r.bars {
				text := fmt.Sprintf("rank %d, worker %d, clock %d\n%s %s s", r.rank, r.worker, b.clock, b.kind, significant(b.to-b.from, 3))
				if b.on >= 0 {
					text += fmt.Sprintf("\nwaited for rank %d", b.on)
				}
				d.Boxes = append(d.Boxes, [5]any{round(b.from), round(b.to), at - 0.5, at + 0.5, text})
			}
		}
	}
	return d
}

// round keeps what a picture can show.
func round(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	x, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 7, 64), 64)
	return x
}

func rounded(v []float64) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = round(v[i])
	}
	return out
}

func escape(s string) string { return html.EscapeString(s) }

// Verdict says in a sentence which setting was first, "" when there is nothing
// to compare.
func (r *Report) Verdict() string {
	if len(r.Settings) < 2 {
		return ""
	}
	decisive := func(s *Setting) Spread { return s.outcome((*Run).Seconds) }
	if r.Reached {
		decisive = func(s *Setting) Spread {
			return s.outcome(func(run *Run) float64 { return orNever(run.TimeTo(r.Target)) })
		}
	}
	base, best, ended := -1, 0, 0
	var bestSpread Spread
	for i, s := range r.Settings {
		if !s.whole {
			continue
		}
		ended++
		d := decisive(s)
		if base < 0 {
			base, best, bestSpread = i, i, d
		} else if d.Median < bestSpread.Median {
			best, bestSpread = i, d
		}
	}
	if ended < 2 {
		return ""
	}
	if math.IsInf(bestSpread.Median, 0) || math.IsNaN(bestSpread.Median) {
		if r.Reached {
			return fmt.Sprintf("No setting reached %s %s.", r.metricName(), significant(r.Target, 5))
		}
		return ""
	}
	what := "was done first"
	if r.Reached {
		what = fmt.Sprintf("reached %s %s first", r.metricName(), significant(r.Target, 5))
	}
	text := fmt.Sprintf("%s %s: after %s s", r.Settings[best].Name, what, significant(bestSpread.Median, 3))
	if best > base {
		first := decisive(r.Settings[base])
		if math.IsInf(first.Median, 0) {
			text += ", which " + r.Settings[base].Name + " never did"
		} else {
			text += fmt.Sprintf(", %s × as fast as %s", significant(first.Median/bestSpread.Median, 3), r.Settings[base].Name)
		}
	}
	var near []string
	for i, s := range r.Settings {
		if d := decisive(s); i != best && s.whole && (d.Low <= bestSpread.High || d.Median <= 1.05*bestSpread.Median) {
			near = append(near, s.Name)
		}
	}
	switch {
	case len(near) > 0 && bestSpread.N > 1:
		text += ". Not told apart from it by these runs: " + strings.Join(near, ", ")
	case len(near) > 0:
		text += ". Within 5 % of it: " + strings.Join(near, ", ")
	}
	return text + "."
}
