package report

import (
	"fmt"
	"math"
	"strconv"

	"github.com/pkg/errors"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// plot draws a chart. legend says whether the names are in the picture.
func (c *Chart) plot(t theme, legend bool) (*plot.Plot, error) {
	p := plot.New()
	dress(p, t)
	p.X.Label.Text, p.Y.Label.Text = c.X, c.Y
	if legend {
		p.Title.Text = c.Title
	}
	if c.Bars == nil && c.Time == nil {
		grid := plotter.NewGrid()
		grid.Vertical.Color, grid.Horizontal.Color = t.of(roleGrid, 0), t.of(roleGrid, 0)
		p.Add(grid)
	}
	var err error
	switch {
	case c.Bars != nil:
		err = c.Bars.draw(p, t, legend)
	case c.Time != nil:
		c.Time.draw(p, t, legend)
	default:
		err = c.lines(p, t, legend)
	}
	if err != nil {
		return nil, errors.Wrapf(err, "chart %s", c.ID)
	}
	if v := c.bounds[0]; !math.IsNaN(v) {
		p.Y.Min = v
	}
	if v := c.bounds[1]; !math.IsNaN(v) {
		p.Y.Max = v
	}
	if p.Y.Min >= p.Y.Max { // a curve without height
		p.Y.Min, p.Y.Max = p.Y.Min-1, p.Y.Max+1
	}
	if p.X.Min >= p.X.Max {
		p.X.Min, p.X.Max = p.X.Min-1, p.X.Max+1
	}
	return p, nil
}

// dress gives a plot fonts and colours.
func dress(p *plot.Plot, t theme) {
	ink := t.of(roleInk, 0)
	style := func(s *text.Style, size float64) {
		s.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)}
		s.Color = ink
	}
	style(&p.Title.TextStyle, 12)
	p.Title.Padding = vg.Points(6)
	p.BackgroundColor = nil
	if !t.named {
		p.BackgroundColor = hex("#ffffff", 255)
	}
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		style(&a.Label.TextStyle, 10.5)
		style(&a.Tick.Label, 10)
		a.Label.Padding = vg.Points(3)
		a.Tick.Marker = ticks{}
		a.LineStyle.Color, a.Tick.LineStyle.Color = ink, ink
	}
	style(&p.Legend.TextStyle, 10)
	p.Legend.ThumbnailWidth, p.Legend.Padding = vg.Points(28), vg.Points(2)
}

// lines draws curves and their ranges.
func (c *Chart) lines(p *plot.Plot, t theme, legend bool) error {
	p.Legend.Top, p.Legend.XOffs, p.Legend.YOffs = c.top, -vg.Points(6), vg.Points(6)
	if c.top {
		p.Legend.YOffs = -vg.Points(6)
	}
	for _, l := range c.Lines {
		if l.runs > 1 && !l.Step {
			outline := make(plotter.XYs, 0, 2*len(l.x))
			for i, x := range l.x {
				outline = append(outline, plotter.XY{X: x, Y: l.low[i]})
			}
			for i := len(l.x) - 1; i >= 0; i-- {
				outline = append(outline, plotter.XY{X: l.x[i], Y: l.high[i]})
			}
			area, err := plotter.NewPolygon(outline)
			if err != nil {
				return err
			}
			area.Color, area.LineStyle.Width = t.of(roleBand, l.Setting), 0
			p.Add(area)
		}
	}
	for _, l := range c.Lines {
		line, err := plotter.NewLine(l.points())
		if err != nil {
			return err
		}
		if l.Step {
			p.X.Tick.Marker = ticks{whole: true}
		}
		line.Color, line.Width, line.Dashes = t.of(roleSeries, l.Setting), vg.Points(1.8), dashes(l.Setting)
		p.Add(line)
		if legend {
			p.Legend.Add(l.Name, line)
		}
	}
	return nil
}

// points are the corners of the curve that is drawn: of a histogram, steps a
// bin wide.
func (l *Line) points() plotter.XYs {
	points := make(plotter.XYs, 0, len(l.x))
	for i, x := range l.x {
		if l.Step {
			points = append(points, plotter.XY{X: x - 0.5, Y: l.median[i]}, plotter.XY{X: x + 0.5, Y: l.median[i]})
		} else {
			points = append(points, plotter.XY{X: x, Y: l.median[i]})
		}
	}
	return points
}

// draw draws stacked bars.
func (b *Bars) draw(p *plot.Plot, t theme, legend bool) error {
	width := vg.Points(min(26, 300/float64(max(1, len(b.Names)))))
	var below *plotter.BarChart
	p.Legend.Top = true
	for i, part := range b.Parts {
		bars, err := plotter.NewBarChart(plotter.Values(part), width)
		if err != nil {
			return err
		}
		bars.Color, bars.LineStyle.Width = t.of(rolePart, int(telemetry.Compute)+i), 0
		if below != nil {
			bars.StackOn(below)
		}
		below = bars
		p.Add(bars)
		if legend {
			p.Legend.Add(partNames[i], bars)
		}
	}
	p.Y.Min = 0
	names := make([]plot.Tick, 0, len(b.Names))
	every := 1 + len(b.Names)/17
	for i, name := range b.Names {
		if i%every == 0 {
			names = append(names, plot.Tick{Value: float64(i), Label: name})
		}
	}
	p.X.Tick.Marker = plot.ConstantTicks(names)
	p.X.Tick.Length, p.X.LineStyle.Width = 0, 0
	p.X.Min, p.X.Max = -0.7, float64(len(b.Names))-0.3
	if legend { // beside the bars
		p.X.Max += 0.3 * (p.X.Max - p.X.Min)
	}
	return nil
}

// draw draws what the workers did, a row each, rank 0 at the top.
func (l *Timeline) draw(p *plot.Plot, t theme, legend bool) {
	p.Add(&timelinePlotter{l, t})
	n := len(l.rows)
	var names []plot.Tick
	workers := 0
	for _, r := range l.rows {
		workers = max(workers, r.worker)
	}
	for i, r := range l.rows {
		name := "rank " + strconv.Itoa(r.rank)
		if workers > 0 {
			name = fmt.Sprintf("%d.%d", r.rank, r.worker)
		}
		names = append(names, plot.Tick{Value: float64(n - 1 - i), Label: name})
	}
	p.Y.Tick.Marker = plot.ConstantTicks(names)
	p.Y.Tick.Length, p.Y.LineStyle.Width = 0, 0
	p.X.Min, p.X.Max = l.from, l.to
	p.Y.Min, p.Y.Max = -0.6, float64(n)-0.4
	if legend { // beside the rows
		p.X.Max += 0.27 * (p.X.Max - p.X.Min)
		p.Legend.Top = true
		for i, name := range partNames {
			p.Legend.Add(name, swatch{t.of(rolePart, int(telemetry.Compute)+i)})
		}
	}
}

// timelinePlotter is a plot.Plotter.
type timelinePlotter struct {
	l *Timeline
	t theme
}

func (d *timelinePlotter) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	n := len(d.l.rows)
	mark := draw.TextStyle{
		Color: d.t.of(roleMark, 0), Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(8)},
		XAlign: draw.XCenter, YAlign: draw.YCenter, Handler: p.TextHandler,
	}
	for i, r := range d.l.rows {
		at := float64(n - 1 - i)
		low, high := y(at-0.36), y(at+0.36)
		for j, b := range r.bars {
			left, right := x(b.from), x(b.to)
			rectangle := []vg.Point{{X: left, Y: low}, {X: right, Y: low}, {X: right, Y: high}, {X: left, Y: high}}
			c.FillPolygon(d.t.of(rolePart, int(b.kind)), rectangle)
			if b.on >= 0 && right-left > vg.Points(14) && high-low > vg.Points(8) {
				c.FillText(mark, vg.Point{X: (left + right) / 2, Y: (low + high) / 2}, strconv.Itoa(b.on))
			}
			if j > 0 && r.bars[j-1].clock != b.clock {
				c.StrokeLine2(draw.LineStyle{Color: d.t.of(roleInk, 0), Width: vg.Points(1)}, left, y(at-0.46), left, y(at+0.46))
			}
		}
		if s := d.l.clock; r.rank == s.Rank && r.worker == s.Worker {
			left, right, low, high := x(s.Start), x(s.End), y(at-0.43), y(at+0.43)
			c.StrokeLines(draw.LineStyle{Color: d.t.of(roleInk, 0), Width: vg.Points(1.6)},
				[]vg.Point{{X: left, Y: low}, {X: right, Y: low}, {X: right, Y: high}, {X: left, Y: high}, {X: left, Y: low}})
		}
	}
}

// swatch is the thumbnail of a colour.
type swatch struct {
	c interface{ RGBA() (r, g, b, a uint32) }
}

func (s swatch) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(s.c, []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}})
}

// ticks labels round numbers, four to nine of them; plot's own are too few for
// charts of this size.
type ticks struct{ whole bool } // whole numbers only

// Ticks implements plot.Ticker.
func (t ticks) Ticks(low, high float64) []plot.Tick {
	if !(high > low) || math.IsInf(high-low, 0) {
		return nil
	}
	const most = 9 // intervals
	step := math.Pow(10, math.Floor(math.Log10((high-low)/most)))
	for i := 0; (high-low)/step > most; i++ {
		step *= []float64{2, 2.5, 2}[i%3] // 1, 2, 5, 10
	}
	if t.whole {
		step = max(1, step)
	}
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var out []plot.Tick
	for i := math.Ceil(low/step - 1e-9); i*step <= high+1e-9*step; i++ {
		out = append(out, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step+0, 'f', digits, 64)})
	}
	return out
}
