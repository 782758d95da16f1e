package main

import (
	"fmt"
	"io"
	goruntime "runtime"
	"strings"

	"github.com/sspurn/sspurn/apps"
)

// The values of -format.
const (
	formatTable = "table"
	formatCSV   = "csv"
	formatBench = "bench"
)

var formats = []string{formatTable, formatCSV, formatBench}

// writeHead writes what comes before all points.
func writeHead(w io.Writer, format string) error {
	var err error
	switch format {
	case formatTable:
		_, err = fmt.Fprintf(w, "%-18s %12s %6s %9s %14s %14s %14s %12s %12s\n", "operation", "bytes", "ranks", "samples", "median µs", "p99 µs", "min µs", "MB/s", "per second")
	case formatCSV:
		_, err = fmt.Fprintln(w, "op,bytes,ranks,samples,usec_median,usec_p99,usec_min,mb_per_s,per_s")
	case formatBench:
		_, err = fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: github.com/sspurn/sspurn/apps/bench\n", goruntime.GOOS, goruntime.GOARCH)
	}
	return err
}

// write writes the figures as a line.
func (f figures) write(w io.Writer, format string) error {
	var err error
	switch format {
	case formatTable:
		_, err = fmt.Fprintf(w, "%-18s %12d %6d %9d %14.3f %14.3f %14.3f %12.2f %12v\n", f.op, f.bytes, f.ranks, f.samples, f.median, f.p99, f.min, f.mbps, apps.Rate(f.rate))
	case formatCSV:
		_, err = fmt.Fprintf(w, "%s,%d,%d,%d,%.4f,%.4f,%.4f,%.2f,%.1f\n", f.op, f.bytes, f.ranks, f.samples, f.median, f.p99, f.min, f.mbps, f.rate)
	case formatBench:
		speed := ""
		if f.bytes > 0 {
			speed = fmt.Sprintf("\t%.2f MB/s", f.mbps)
		}
		_, err = fmt.Fprintf(w, "Benchmark%s/ranks=%d/bytes=%d\t%d\t%.2f ns/op%s\t%.2f p99-ns/op\t%.2f min-ns/op\n", camel(f.op), f.ranks, f.bytes, f.samples, 1e3*f.median, speed, 1e3*f.p99, 1e3*f.min)
	}
	return err
}

// camel makes StoreGet of store-get.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// result is the line for scripts: all figures if there is one point, else how
// many there are.
func result(app string, ranks int, all []figures, seconds float64) *apps.Result {
	r := &apps.Result{}
	r.Add("app", app)
	if len(all) == 1 {
		f := all[0]
		r.Add("op", f.op)
		r.Add("bytes", f.bytes)
		r.Add("ranks", ranks)
		r.Add("samples", f.samples)
		r.Add("usec_median", fmt.Sprintf("%.3f", f.median))
		r.Add("usec_p99", fmt.Sprintf("%.3f", f.p99))
		r.Add("usec_min", fmt.Sprintf("%.3f", f.min))
		r.Add("mb_per_s", fmt.Sprintf("%.2f", f.mbps))
		r.Add("per_s", apps.Rate(f.rate))
	} else {
		r.Add("ranks", ranks)
		r.Add("points", len(all))
	}
	r.Add("seconds", fmt.Sprintf("%.3f", seconds))
	return r
}
