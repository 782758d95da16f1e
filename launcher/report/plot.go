package report

import (
	"image/color"
	"math"
	"os"
	"strings"

	stderrors "errors"

	"github.com/pkg/errors"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

const (
	plotWidth  = 12 * vg.Inch
	plotHeight = 5 * vg.Inch
	plotDPI    = 110
)

// palette returns the colour of the i-th of some curves: those of Okabe and Ito
// that are told apart by people with any colour vision, on white.
func palette(i int) color.Color {
	colours := []color.RGBA{
		{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255},
		{86, 180, 233, 255}, {230, 159, 0, 255}, {0, 0, 0, 255},
	}
	return colours[i%len(colours)]
}

// dashes returns the dash pattern of the i-th curve, which tells curves apart
// that lie on one another.
func dashes(i int) []vg.Length {
	patterns := [][]vg.Length{nil, {vg.Points(7), vg.Points(3)}, {vg.Points(2), vg.Points(2)}, {vg.Points(8), vg.Points(3), vg.Points(2), vg.Points(3)}}
	return patterns[i%len(patterns)]
}

// Plot draws the loss curves of the runs into a PNG file, over time on the left
// and over passes on the right.
func Plot(path, title string, runs []*Summary) error {
	if !alike(runs) {
		return errors.New("plot: the runs have no curve of one metric in common")
	}
	if title == "" {
		title = strings.ReplaceAll(runs[0].Metric, "_", " ")
	}
	left, err := panel(title+" over time", "seconds of training", runs, func(p Point) float64 { return p.Seconds })
	if err != nil {
		return err
	}
	right, err := panel(title+" over passes", "passes over the data", runs, func(p Point) float64 { return p.Pass })
	if err != nil {
		return err
	}
	img := vgimg.NewWith(vgimg.UseWH(plotWidth, plotHeight), vgimg.UseDPI(plotDPI))
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: vg.Points(24), PadTop: vg.Points(10), PadBottom: vg.Points(10), PadLeft: vg.Points(10), PadRight: vg.Points(16)}
	for i, c := range plot.Align([][]*plot.Plot{{left, right}}, tiles, draw.New(img))[0] {
		[]*plot.Plot{left, right}[i].Draw(c)
	}
	f, err := os.Create(path)
	if err != nil {
		return errors.Wrap(err, "plot")
	}
	_, err = vgimg.PngCanvas{Canvas: img}.WriteTo(f)
	return errors.Wrap(stderrors.Join(err, f.Close()), "plot")
}

// panel is one of the plots.
func panel(title, axis string, runs []*Summary, x func(Point) float64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, axis, strings.ReplaceAll(runs[0].Metric, "_", " ")
	p.Title.TextStyle.Font.Size = vg.Points(14)
	p.Title.Padding = vg.Points(8)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font.Size = vg.Points(12)
		a.Tick.Label.Font.Size = vg.Points(11)
		a.Label.Padding = vg.Points(4)
	}
	p.Legend.TextStyle.Font.Size = vg.Points(12)
	p.Legend.ThumbnailWidth = vg.Points(34)
	p.Legend.Padding = vg.Points(3)
	p.Legend.XOffs, p.Legend.YOffs = -vg.Points(10), vg.Points(10)
	if !runs[0].Higher { // the empty corner
		p.Legend.Top, p.Legend.YOffs = true, -vg.Points(10)
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{225}, color.Gray{225}
	p.Add(grid)
	for i, s := range runs {
		points := make(plotter.XYs, len(s.Curve))
		for j, c := range s.Curve {
			points[j] = plotter.XY{X: x(c), Y: c.Value}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, errors.Wrapf(err, "plot: %s", s.Name)
		}
		line.Color, line.Width, line.Dashes = palette(i), vg.Points(2), dashes(i)
		p.Add(line)
		p.Legend.Add(s.Name, line)
	}
	p.X.Min = 0
	if bound, ok := opening(runs); ok && runs[0].Higher {
		p.Y.Min = bound
	} else if ok {
		p.Y.Max = bound
	}
	return p, nil
}

// opening returns the worst value after a tenth of each curve, where the plot
// begins: the steep start of long curves would squeeze everything that tells
// them apart into a line. ok is false for short curves.
func opening(runs []*Summary) (value float64, ok bool) {
	worst := math.Inf(1)
	for _, s := range runs {
		if len(s.Curve) < 10 {
			return 0, false
		}
		worst = min(worst, s.sign()*s.Curve[len(s.Curve)/10].Value)
	}
	return runs[0].sign() * worst, true
}
