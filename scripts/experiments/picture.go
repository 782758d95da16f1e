package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The axis of the picture ends at 1/reach and reach; what lies beyond is drawn at
// its end.
const reach = 4

// place says where a figure is in the picture: the value and the ends of what is
// expected of it, relative to the limit where there is one, and to the middle
// (geometric) where there are two. ok is false of figures that must be exact, such
// as counts: there is nothing to see.
func (f figure) place() (value, low, high float64, ok bool) {
	value, low, high = f.value, f.low, f.high
	if high <= 0 { // below zero only
		value, low, high = -value, -high, -low
	}
	if low >= high || low < 0 {
		return 0, 0, 0, false
	}
	middle := math.Sqrt(low * high)
	switch {
	case low == 0:
		middle = high
	case math.IsInf(high, 1):
		middle = low
	}
	return value / middle, low / middle, high / middle, true
}

// row is a line of the picture.
type row struct {
	label            string
	value, low, high float64 // within the axis
	good             bool
}

// rows returns the lines, the first figure's last: the axis points up.
func rows(table []figure) []row {
	inside := func(x float64) float64 { return min(max(x, 1./reach), reach) }
	var out []row
	for _, f := range table {
		value, low, high, ok := f.place()
		if !ok || f.enough || math.IsNaN(value) {
			continue
		}
		out = append(out, row{fmt.Sprintf("%s: %s", f.experiment, f.what), inside(value), inside(low), inside(high), f.good()})
	}
	slices.Reverse(out)
	return out
}

var (
	expectedColour = color.RGBA{0xd5, 0xe4, 0xd5, 0xff}
	goodColour     = color.RGBA{0x1b, 0x6e, 0x3c, 0xff}
	missedColour   = color.RGBA{0xc0, 0x2a, 0x1d, 0xff}
	gridColour     = color.Gray{0xdd}
)

// picture draws the figures to a file, whose name says the format.
func picture(file string, table []figure) error {
	all := rows(table)
	if len(all) == 0 {
		return errors.New("picture: no figure has a range")
	}
	p := plot.New()
	p.Title.Text = "Measured (circles; triangles: missed) and expected (bars), relative to the limit, or to the middle of two"
	p.Title.TextStyle.Font.Size = vg.Points(9)
	p.X.Scale = plot.LogScale{}
	p.X.Min, p.X.Max = 1./reach, reach
	p.X.Tick.Marker = plot.ConstantTicks{{Value: 0.25, Label: "¼"}, {Value: 0.5, Label: "½"}, {Value: 1, Label: "1"}, {Value: 2, Label: "2"}, {Value: 4, Label: "4"}}
	p.Y.Min, p.Y.Max = -0.5, float64(len(all))-0.5
	ticks := make(plot.ConstantTicks, len(all))
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridColour, nil
	p.Add(grid)
	for i, r := range all {
		y := float64(i)
		ticks[i] = plot.Tick{Value: y, Label: r.label}
		bar, err := plotter.NewPolygon(plotter.XYs{{X: r.low, Y: y - 0.35}, {X: r.high, Y: y - 0.35}, {X: r.high, Y: y + 0.35}, {X: r.low, Y: y + 0.35}})
		if err != nil {
			return errors.Wrap(err, "picture")
		}
		bar.Color, bar.LineStyle.Width = expectedColour, 0
		point, err := plotter.NewScatter(plotter.XYs{{X: r.value, Y: y}})
		if err != nil {
			return errors.Wrap(err, "picture")
		}
		// Who can not tell the colours apart sees the shape.
		point.GlyphStyle = draw.GlyphStyle{Color: goodColour, Radius: vg.Points(2.5), Shape: draw.CircleGlyph{}}
		if !r.good {
			point.GlyphStyle = draw.GlyphStyle{Color: missedColour, Radius: vg.Points(3.5), Shape: draw.PyramidGlyph{}}
		}
		p.Add(bar, point)
	}
	p.Y.Tick.Marker = ticks
	p.Y.Tick.Label.Font.Size = vg.Points(7)
	p.Y.Tick.Length = 0
	p.Y.LineStyle.Width = 0
	canvas, err := draw.NewFormattedCanvas(8*vg.Inch, vg.Points(60+11*float64(len(all))), strings.TrimPrefix(filepath.Ext(file), "."))
	if err != nil {
		return errors.Wrap(err, "picture")
	}
	const margin = 8 // half of a label may stand out
	p.Draw(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return errors.Wrap(err, "picture")
	}
	return errors.Wrap(os.WriteFile(file, b.Bytes(), 0o666), "picture")
}
