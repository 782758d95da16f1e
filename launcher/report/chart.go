package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Chart is a picture and the table of its numbers. It holds lines, or bars, or a
// timeline.
type Chart struct {
	ID, Title string
	X, Y      string // what the axes show, with units
	Note      string
	Table     string // ID of the table with its numbers

	Lines []Line
	Bars  *Bars
	Time  *Timeline

	of     int        // index of the only setting that it is about, and 1; 0: of all
	top    bool       // the curves leave the upper right corner free
	bounds [2]float64 // of Y; NaN: as the data have it
}

// Line is the curve of a setting, with the range of its runs.
type Line struct {
	Name    string
	Setting int // index, which is the colour
	band
	runs int // that it combines
	Step bool
}

// Bars are stacked: one bar a rank, the parts of a Split upwards.
type Bars struct {
	Names []string
	Parts [5][]float64
}

// Timeline is what ranks did about a slow clock.
type Timeline struct {
	window
	clock SlowClock
}

// draw makes the charts and the tables of their numbers.
func (r *Report) draw() {
	unknown := [2]float64{math.NaN(), math.NaN()}
	if r.Metric != "" {
		overTime := r.curves(func(p Point) float64 { return p.Seconds })
		overClocks := r.curves(func(p Point) float64 { return p.Clocks })
		bounds := r.opening()
		name := r.metricName()
		r.chart(&Chart{
			ID: "loss-time", Title: capital(name) + " over time", X: "seconds of training", Y: name, Lines: overTime, top: !r.Higher, bounds: bounds,
		}, r.curveTable("loss-time", capital(name)+" over time", "seconds", "seconds", r.Metric, name, overTime))
		r.chart(&Chart{
			ID: "loss-clocks", Title: capital(name) + " over clocks", X: "clocks of each worker", Y: name, Lines: overClocks, top: !r.Higher, bounds: bounds,
		}, r.curveTable("loss-clocks", capital(name)+" over clocks", "clocks", "clocks", r.Metric, name, overClocks))
	}
	stale, rest := r.staleness()
	r.chart(&Chart{
		ID: "staleness", Title: "How old reads are", X: "clocks behind the reader's clock", Y: "% of reads", Note: rest, Lines: stale, top: true, bounds: [2]float64{0, math.NaN()},
	}, r.stalenessTable())
	traffic, unit := r.traffic()
	r.chart(&Chart{
		ID: "bytes-time", Title: "Bytes sent over time", X: "seconds since the job's start", Y: unit + ", all ranks", Lines: traffic, bounds: [2]float64{0, math.NaN()},
	}, r.curveTable("bytes-time", "Bytes sent over time", "seconds", "seconds", "sent_"+unit, unit, traffic))
	most := 0.0
	var splits []*Chart
	for i, s := range r.Settings {
		b := s.bars()
		for k := range b.Names {
			sum := 0.0
			for p := range b.Parts {
				sum += b.Parts[p][k]
			}
			most = max(most, sum)
		}
		splits = append(splits, &Chart{ID: "split-" + slug(s.Name), Title: "Time of each rank, " + s.Name, X: "rank", Y: "seconds a worker", Bars: b, Table: "ranks", of: i + 1})
	}
	for _, c := range splits {
		c.bounds = [2]float64{0, most} // the same for all
		if len(c.Bars.Names) > 0 && most > 0 {
			r.Charts = append(r.Charts, c)
		}
	}
	for i, s := range r.Settings {
		run := s.typical()
		for k, c := range apart(run.Slowest(10 * slowest)) {
			id, title := "slow-"+slug(s.Name), "The slowest clock, "+s.Name
			if k > 0 {
				id, title = fmt.Sprintf("slow%d-%s", k+1, slug(s.Name)), fmt.Sprintf("Slow clock %d, %s", k+1, s.Name)
			}
			r.Charts = append(r.Charts, &Chart{
				ID: id, Title: title, X: "seconds since the job's start", Y: "", Note: describe(c),
				Table: "clocks", Time: &Timeline{run.around(c), c}, bounds: unknown, of: i + 1,
			})
		}
	}
}

// chart adds a chart with its table, unless it is empty.
func (r *Report) chart(c *Chart, t *Table) {
	if len(t.Rows) == 0 {
		return
	}
	c.Table = t.ID
	r.Tables = append(r.Tables, t)
	r.Charts = append(r.Charts, c)
}

// describe says what a slow clock was about.
func describe(c SlowClock) string {
	s := fmt.Sprintf("Clock %d of rank %d took %s s", c.Clock, c.Rank, significant(c.seconds(), 3))
	switch {
	case c.On == c.Rank:
		s += fmt.Sprintf(", of which %s s waiting for another worker of its own rank", significant(c.OnSeconds, 3))
	case c.On != telemetry.NoRank && c.OnSeconds > 0.1*c.seconds():
		s += fmt.Sprintf(", of which %s s waiting for rank %d", significant(c.OnSeconds, 3), c.On)
	case c.Split.Straggle > 0.1*c.seconds():
		s += fmt.Sprintf(", of which %s s slept for -straggle", significant(c.Split.Straggle, 3))
	}
	return s + "."
}

// curves returns the loss of each setting over x.
func (r *Report) curves(x func(Point) float64) []Line {
	var lines []Line
	for i, s := range r.Settings {
		var curves []series
		for _, run := range s.good {
			if name, _ := run.Metric(); name != r.Metric {
				continue
			}
			var c series
			for _, p := range run.Curve() {
				if !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
					c.add(x(p), p.Value)
				}
			}
			curves = append(curves, c)
		}
		if b := bands(curves); len(b.x) > 0 {
			lines = append(lines, Line{Name: s.Name, Setting: i, band: b, runs: len(curves)})
		}
	}
	return lines
}

// opening bounds the axis of the loss: the steep start of long curves would
// squeeze everything that tells them apart into a line.
func (r *Report) opening() [2]float64 {
	bounds := [2]float64{math.NaN(), math.NaN()}
	sign := -1.0
	if r.Higher {
		sign = 1
	}
	worst := math.Inf(1)
	for _, s := range r.Settings {
		for _, run := range s.good {
			c := run.Curve()
			if len(c) < 10 {
				return bounds
			}
			if v := sign * c[len(c)/10].Value; !math.IsNaN(v) && !math.IsInf(v, 0) {
				worst = min(worst, v)
			}
		}
	}
	switch {
	case math.IsInf(worst, 0):
	case r.Higher:
		bounds[0] = worst
	default:
		bounds[1] = -worst
	}
	return bounds
}

// staleness returns the histogram of the ages of reads, as shares; rest says
// what lies outside of it.
func (r *Report) staleness() (lines []Line, rest string) {
	right := int64(1)
	for _, s := range r.Settings {
		for _, run := range s.good {
			if q, ok := quantile(run.Stale(), 0.995); ok {
				right = max(right, q)
			}
		}
	}
	const most = 40
	if right > most {
		rest = fmt.Sprintf("Reads more than %d clocks old are in the table.", most)
		right = most
	}
	for i, s := range r.Settings {
		l := Line{Name: s.Name, Setting: i, Step: true, runs: len(s.good)}
		for age := int64(0); age <= right; age++ {
			v := s.spread(func(run *Run) float64 { return 100 * staleShare(run, age) })
			if v.N == 0 {
				break
			}
			l.x, l.median, l.low, l.high = append(l.x, float64(age)), append(l.median, v.Median), append(l.low, v.Low), append(l.high, v.High)
		}
		if len(l.x) > 0 && slices.Max(l.high) > 0 {
			lines = append(lines, l)
		}
	}
	return lines, rest
}

// staleShare is the share of a run's reads that were so many clocks behind.
func staleShare(run *Run, age int64) float64 {
	h := run.Stale()
	_, total := sortedKeys(h)
	if total == 0 {
		return math.NaN()
	}
	return float64(h[age]) / float64(total)
}

// stalenessTable: all ages that were read.
func (r *Report) stalenessTable() *Table {
	t := &Table{ID: "staleness", Title: "How old reads are", Columns: []Column{
		{Key: "setting", Head: "setting", Text: true}, {Key: "clocks_behind", Head: "clocks behind"},
		{Key: "read_share", Head: "share of reads", Spread: true}, {Key: "reads", Head: "reads", Spread: true},
	}}
	for _, s := range r.Settings {
		ages := map[int64]int64{}
		for _, run := range s.good {
			for age, n := range run.Stale() {
				ages[age] += n
			}
		}
		keys, _ := sortedKeys(ages)
		for _, age := range keys {
			t.Rows = append(t.Rows, []Cell{
				words(s.Name), count(age), spreadCell(s.spread(func(run *Run) float64 { return staleShare(run, age) }), percent),
				spreadCell(s.spread(func(run *Run) float64 { return float64(run.Stale()[age]) }), rate),
			})
		}
	}
	return t
}

// traffic returns what all ranks have sent over time.
func (r *Report) traffic() (lines []Line, unit string) {
	const places = 100
	most := 0.0
	for i, s := range r.Settings {
		var curves []series
		for _, run := range s.good {
			from, to := math.Inf(1), math.Inf(-1)
			line, shifts := run.timeline(), make([]float64, len(run.ranks))
			for k := range run.ranks {
				if x := run.ranks[k].traffic.x; len(x) > 0 {
					shifts[k] = line.Seconds(k, x[0]) - x[0] // a drift can not be seen here
					from, to = min(from, x[0]+shifts[k]), max(to, x[len(x)-1]+shifts[k])
				}
			}
			var sum series
			for p := range places {
				if from > to {
					break
				}
				at, total := from+(to-from)*float64(p)/(places-1), 0.0
				for k := range run.ranks {
					total += run.ranks[k].traffic.at(at - shifts[k])
				}
				sum.add(at, total)
				most = max(most, total)
			}
			curves = append(curves, sum)
		}
		if b := bands(curves); len(b.x) > 1 {
			lines = append(lines, Line{Name: s.Name, Setting: i, band: b, runs: len(curves)})
		}
	}
	scale := 1.0
	unit = "bytes"
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if most >= u.size {
			scale, unit = u.size, u.name
			break
		}
	}
	for i := range lines {
		l := &lines[i]
		l.median, l.low, l.high = scaled(l.median, scale), scaled(l.low, scale), scaled(l.high, scale)
	}
	return lines, unit
}

func scaled(v []float64, by float64) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = v[i] / by
	}
	return out
}

// bars returns the time of each rank that has clocked.
func (s *Setting) bars() *Bars {
	b := &Bars{}
	for rank := range s.ranks() {
		if s.part(rank, 0).N == 0 {
			continue
		}
		b.Names = append(b.Names, fmt.Sprint(rank))
		for p := range b.Parts {
			b.Parts[p] = append(b.Parts[p], s.part(rank, p).Median)
		}
	}
	return b
}

// slug is a name that files and anchors can have.
func slug(name string) string {
	out := make([]rune, 0, len(name))
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_':
			out = append(out, c)
		case len(out) > 0 && out[len(out)-1] != '-':
			out = append(out, '-')
		}
	}
	return string(out)
}

// capital is a text with a capital first letter.
func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
