package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// The verdicts.
const (
	met    = "met"
	missed = "MISSED"
	open   = "–" // nothing to compare, or no goal
)

// line is a line of the table.
type line struct {
	point
	times   []float64 // medians, µs, by side; NaN for none
	lost    []int     // rounds without a time, by side
	ratio   float64   // to the better peer; NaN for none
	verdict string
	names   []string // of the sides
}

// compare makes a line of each point.
func (l *lab) compare(todo []point) []line {
	var lines []line
	for _, p := range todo {
		n := line{point: p, ratio: math.NaN(), verdict: open}
		for _, s := range l.sides {
			all := l.found[s.name][p]
			n.times = append(n.times, median(all))
			n.lost = append(n.lost, len(slices.DeleteFunc(slices.Clone(all), func(x float64) bool { return !math.IsNaN(x) })))
			n.names = append(n.names, s.name)
		}
		better := 0 // the peer, none yet
		for i, usec := range n.times {
			if i > 0 && !math.IsNaN(usec) && (better == 0 || usec < n.times[better]) {
				better = i
			}
		}
		ours := l.found[l.sides[0].name][p]
		switch {
		case p.most > 0 && !math.IsNaN(n.times[0]):
			n.verdict = verdict(n.times[0], p.most)
		case better > 0:
			n.ratio = median(ratios(ours, l.found[l.sides[better].name][p]))
			if p.goal > 0 && !math.IsNaN(n.ratio) {
				n.verdict = verdict(n.ratio, p.goal)
			}
		}
		lines = append(lines, n)
	}
	return lines
}

func verdict(value, most float64) string {
	if value <= most {
		return met
	}
	return missed
}

// ratios are those of the rounds that both sides have: what disturbs a machine for
// a while hits both.
func ratios(ours, theirs []float64) []float64 {
	var r []float64
	for i := range min(len(ours), len(theirs)) {
		r = append(r, ours[i]/theirs[i]) // NaN if either is
	}
	return r
}

// median returns the median of what is not NaN, NaN of nothing.
func median(x []float64) float64 {
	s := slices.DeleteFunc(slices.Clone(x), math.IsNaN)
	n := len(s)
	if n == 0 {
		return math.NaN()
	}
	slices.Sort(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// cells are the texts of a line.
func (n line) cells() []string {
	c := []string{n.transport, n.op, "", strconv.Itoa(n.ranks)}
	if n.bytes > 0 {
		c[2] = size(n.bytes)
	}
	for i, usec := range n.times {
		text := micros(usec)
		if n.lost[i] > 0 && !math.IsNaN(usec) {
			text += fmt.Sprintf(" (%d lost)", n.lost[i])
		}
		c = append(c, text)
	}
	goal := open
	switch {
	case n.most > 0:
		goal = "≤ " + micros(n.most) + " µs"
	case n.goal > 0:
		goal = "≤ " + strconv.FormatFloat(n.goal, 'g', -1, 64)
	}
	ratio := open
	if !math.IsNaN(n.ratio) {
		ratio = fmt.Sprintf("%.2f", n.ratio)
	}
	return append(c, ratio, goal, n.verdict)
}

func (n line) head() []string {
	c := []string{"over", "operation", "bytes", "ranks"}
	for _, name := range n.names {
		c = append(c, name+" µs")
	}
	return append(c, "ratio", "goal", "")
}

// micros returns a time with three digits, without an exponent.
func micros(usec float64) string {
	switch {
	case math.IsNaN(usec):
		return open
	case usec >= 100:
		return strconv.FormatFloat(usec, 'f', 0, 64)
	}
	return strconv.FormatFloat(usec, 'g', 3, 64)
}

// size returns bytes in the largest unit that leaves none over.
func size(n int) string {
	switch {
	case n%mib == 0:
		return fmt.Sprintf("%d MiB", n/mib)
	case n%kib == 0:
		return fmt.Sprintf("%d KiB", n/kib)
	}
	return fmt.Sprintf("%d B", n)
}

// text is the table for a terminal.
func text(lines []line) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for i, n := range lines {
		if i == 0 {
			fmt.Fprintln(w, strings.Join(n.head(), "\t"))
		}
		fmt.Fprintln(w, strings.Join(n.cells(), "\t"))
	}
	_ = w.Flush() // into memory
	return b.String()
}

// markdown is the table for a document.
func markdown(lines []line) string {
	var b strings.Builder
	for i, n := range lines {
		if i == 0 {
			fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(n.head(), " | "), strings.Repeat("---|", len(n.head())))
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(n.cells(), " | "))
	}
	return b.String()
}
