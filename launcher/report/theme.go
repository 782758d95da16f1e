package report

import (
	"fmt"
	"image/color"
	"regexp"
	"strconv"
	"strings"

	"gonum.org/v1/plot/vg"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// theme gives the colours of a chart. A picture has fixed ones; the page has
// names in their place, which its style sheet resolves for light and dark.
type theme struct {
	named bool
}

// role is what a colour is for.
type role uint8

const (
	roleInk    role = iota + 1 // text, axes
	roleGrid                   // behind the data
	roleBand                   // the range about a curve
	roleSeries                 // a curve
	rolePart                   // a part of a worker's time, by telemetry.SpanKind
	roleMark                   // text on parts
)

// seriesColours tell curves apart for people with any colour vision, on white
// and on dark (after Okabe and Ito, Color Universal Design, 2008).
var seriesColours = [...]struct{ light, dark string }{
	{"#0072b2", "#4aa3df"}, {"#d55e00", "#f28e3c"}, {"#009e73", "#2fc79a"}, {"#b8578f", "#e08fc0"},
	{"#9a7d00", "#e0c341"}, {"#333333", "#dddddd"}, {"#3f9bd1", "#8fd0f5"},
}

// partColours are those of the parts of a worker's time.
var partColours = map[telemetry.SpanKind]struct{ light, dark string }{
	telemetry.Compute: {"#8aa0b6", "#6f87a0"}, telemetry.Straggle: {"#6b5b95", "#9a89cf"}, telemetry.Gate: {"#d1495b", "#e06a79"},
	telemetry.Miss: {"#e0a030", "#d9a441"}, telemetry.Flush: {"#4f9d78", "#5fb98f"},
}

const (
	inkLight, inkDark   = "#1c2024", "#e6e8eb"
	gridLight, gridDark = "#e3e6ea", "#3a4047"
	markLight, markDark = "#ffffff", "#ffffff"
)

// marker is the first byte of a colour that is a name: role and index follow.
const marker = 0xe1

// of returns the colour of a role; index counts curves or parts.
func (t theme) of(r role, index int) color.Color {
	if t.named {
		return color.NRGBA{marker, byte(r), byte(index), 255}
	}
	switch r {
	case roleGrid:
		return hex(gridLight, 255)
	case roleBand:
		return hex(seriesColours[index%len(seriesColours)].light, 46)
	case roleSeries:
		return hex(seriesColours[index%len(seriesColours)].light, 255)
	case rolePart:
		return hex(partColours[telemetry.SpanKind(index)].light, 255)
	case roleMark:
		return hex(markLight, 255)
	}
	return hex(inkLight, 255)
}

func hex(s string, alpha uint8) color.NRGBA {
	v, _ := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32) // they are ours
	return color.NRGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), alpha}
}

// dashes tell curves apart that lie on one another.
func dashes(i int) []vg.Length {
	patterns := [...][]vg.Length{nil, {vg.Points(7), vg.Points(3)}, {vg.Points(2), vg.Points(2)}, {vg.Points(8), vg.Points(3), vg.Points(2), vg.Points(3)}}
	return patterns[i%len(patterns)]
}

var namedStyle = regexp.MustCompile(`style="([^"]*)#[eE]1([0-9a-fA-F]{2})([0-9a-fA-F]{2})([^"]*)"`)

// resolve turns the names among the colours of an SVG into classes, which the
// page's style sheet colours, and its script hides and finds.
func resolve(svg string) string {
	return namedStyle.ReplaceAllStringFunc(svg, func(s string) string {
		m := namedStyle.FindStringSubmatch(s)
		r, _ := strconv.ParseUint(m[2], 16, 8) // the expression matched hexadecimal digits
		i, _ := strconv.ParseUint(m[3], 16, 8)
		before, _ := strings.CutSuffix(m[1], "stroke:")
		property := "stroke"
		if before == m[1] {
			before, property = strings.TrimSuffix(m[1], "fill:"), "fill"
		}
		class := ""
		switch role(r) {
		case roleInk:
			class = "ink"
		case roleGrid:
			class = "grid"
		case roleBand:
			class = fmt.Sprintf("band s%d", i)
		case roleSeries:
			class = fmt.Sprintf("line s%d", i)
		case rolePart:
			class = fmt.Sprintf("part k%d", i)
		case roleMark:
			class = "mark"
		}
		style := strings.Trim(before+strings.TrimPrefix(m[4], ";"), ";")
		return fmt.Sprintf(`class="%s-%s %s" style="%s"`, property, strings.Fields(class)[0], class, style)
	})
}

// styleSheet returns the rules of the colours for one scheme.
func styleSheet(dark bool) string {
	pick := func(c struct{ light, dark string }) string {
		if dark {
			return c.dark
		}
		return c.light
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--ink:%s;--grid:%s;--mark:%s;", pick(struct{ light, dark string }{inkLight, inkDark}),
		pick(struct{ light, dark string }{gridLight, gridDark}), pick(struct{ light, dark string }{markLight, markDark}))
	for i, c := range seriesColours {
		fmt.Fprintf(&b, "--s%d:%s;", i, pick(c))
	}
	for k := telemetry.Compute; k <= telemetry.Flush; k++ {
		fmt.Fprintf(&b, "--k%d:%s;", k, pick(partColours[k]))
	}
	return b.String()
}
