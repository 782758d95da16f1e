package report

import (
	"bytes"
	"io"
	"regexp"

	"github.com/pkg/errors"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Size of a chart in a picture, and of its SVG on the page.
const (
	chartWidth  = 6 * vg.Inch
	chartHeight = 3.6 * vg.Inch
	pageWidth   = 400 // points
	pageHeight  = 250
	timeWidth   = 560
	pictureDPI  = 110
)

// width of a chart on the page.
func (c *Chart) width() vg.Length {
	if c.Time != nil {
		return timeWidth
	}
	return pageWidth
}

// height of a chart on the page: a timeline grows with its rows.
func (c *Chart) height() vg.Length {
	if c.Time != nil {
		return vg.Points(max(120, 60+18*float64(len(c.Time.rows))))
	}
	return pageHeight
}

// inline returns the chart as an SVG element for the page, without colours of
// its own, and the plot's geometry.
func (c *Chart) inline() (svg string, frame frame, err error) {
	p, err := c.plot(theme{named: true}, false)
	if err != nil {
		return "", frame, err
	}
	canvas := vgsvg.New(c.width(), c.height())
	area := draw.Crop(draw.New(canvas), 0, -vg.Points(9), vg.Points(1), -vg.Points(4)) // for the halves of the last labels
	p.Draw(area)
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", frame, errors.Wrapf(err, "chart %s", c.ID)
	}
	data := p.DataCanvas(area)
	x, y := p.Transforms(&data)
	h := c.height().Points()
	frame.Pixels = [4]float64{x(p.X.Min).Points(), x(p.X.Max).Points(), h - y(p.Y.Min).Points(), h - y(p.Y.Max).Points()}
	frame.Data = [4]float64{p.X.Min, p.X.Max, p.Y.Min, p.Y.Max}
	return resolve(svgHead.ReplaceAllString(fontFamily.ReplaceAllString(b.String(), ""), `<svg viewBox="$1" role="img" aria-label="`+escape(c.Title)+`">`)), frame, nil
}

var (
	svgHead    = regexp.MustCompile(`(?s)^.*?<svg [^>]*viewBox="([^"]*)"[^>]*>`)
	fontFamily = regexp.MustCompile(`font-family:[^;"]*;font-variant:[^;"]*;font-weight:[^;"]*;font-style:[^;"]*;?`)
)

// frame says where data lie in a picture: the pixels (left, right, bottom, top)
// of the data's bounds (x least, x most, y least, y most).
type frame struct {
	Pixels [4]float64 `json:"px"`
	Data   [4]float64 `json:"data"`
}

// picture draws all charts below one another, two in a row.
func (r *Report) picture(canvas interface {
	vg.CanvasSizer
}) error {
	rows := (len(r.Charts) + 1) / 2
	plots := make([][]*plot.Plot, rows)
	for i := range plots {
		plots[i] = make([]*plot.Plot, 2)
		for j := range plots[i] {
			if k := 2*i + j; k < len(r.Charts) {
				p, err := r.Charts[k].plot(theme{}, true)
				if err != nil {
					return err
				}
				plots[i][j] = p
			}
		}
	}
	tiles := draw.Tiles{
		Rows: rows, Cols: 2, PadX: vg.Points(22), PadY: vg.Points(22),
		PadTop: vg.Points(12), PadBottom: vg.Points(12), PadLeft: vg.Points(12), PadRight: vg.Points(18),
	}
	area := draw.New(canvas)
	area.SetColor(hex("#ffffff", 255))
	area.Fill(area.Rectangle.Path())
	for i := range plots {
		for j, p := range plots[i] {
			if p != nil {
				p.Draw(tiles.At(area, j, i))
			}
		}
	}
	return nil
}

// size of the picture of all charts.
func (r *Report) size() (w, h vg.Length) {
	return 2 * chartWidth, vg.Length(max(1, (len(r.Charts)+1)/2)) * chartHeight
}

// PNG writes all charts as one picture.
func (r *Report) PNG(w io.Writer) error {
	width, height := r.size()
	img := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(pictureDPI))
	if err := r.picture(img); err != nil {
		return err
	}
	_, err := vgimg.PngCanvas{Canvas: img}.WriteTo(w)
	return errors.Wrap(err, "write picture")
}

// SVG writes all charts as one picture.
func (r *Report) SVG(w io.Writer) error {
	canvas := vgsvg.New(r.size())
	if err := r.picture(canvas); err != nil {
		return err
	}
	_, err := canvas.WriteTo(w)
	return errors.Wrap(err, "write picture")
}
