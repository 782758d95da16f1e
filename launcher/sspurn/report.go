package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/launcher"
	"github.com/sspurn/sspurn/launcher/report"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

const reportText = `Put runs side by side that were recorded with -run-dir, at whatever times: runs of
one setting are repeats of one another. Tables go to standard output, and a page with
all pictures and numbers, which needs nothing else, to a file. A RUNDIR may also be
the directory of a comparison.`

// reportFlags are the flags of a report.
func reportFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "format", Usage: "what to write: html, png, svg, csv (a directory), json; several with commas; default: what the ending of -out says, html without -out", DefaultText: "LIST"},
		&cli.StringFlag{Name: "out", Usage: "where to: a file, for csv a directory; of several formats, their names without the endings; - for standard output, then without tables; default: report", DefaultText: "FILE"},
		&cli.Float64Flag{Name: "target", Usage: "value of the metric whose time counts; default: one that all runs reached", DefaultText: "X"},
	}
}

// targetOf reads -target; nil: none.
func targetOf(c *cli.Context) (*float64, error) {
	if !c.IsSet("target") {
		return nil, nil
	}
	x := c.Float64("target")
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil, fmt.Errorf("-target %v: want a number", x)
	}
	return &x, nil
}

// reportFile is one that is to be written; "-" is standard output.
type reportFile struct{ path, format string }

// reportFiles reads -format and -out.
func reportFiles(c *cli.Context) ([]reportFile, error) {
	out, known := c.String("out"), strings.Join(report.Formats(), ", ")
	if c.IsSet("out") && strings.TrimSpace(out) == "" {
		return nil, fmt.Errorf("-out: empty")
	}
	named := report.FormatOf(out)
	var formats []string
	switch {
	case c.IsSet("format"):
		for _, f := range strings.Split(c.String("format"), ",") {
			f = strings.TrimSpace(f)
			if !slices.Contains(report.Formats(), f) {
				return nil, fmt.Errorf("-format %s: want %s", f, known)
			}
			if !slices.Contains(formats, f) {
				formats = append(formats, f)
			}
		}
	case named == "csv":
		return nil, fmt.Errorf("-out %s: csv is a directory with a file for each table: want -format csv -out DIR", out)
	case named != "":
		formats = []string{named}
	case out == "" || out == "-":
		formats = []string{"html"}
	default:
		return nil, fmt.Errorf("-out %s: no ending that says a format (%s); -format does", out, known)
	}
	if out == "-" && (len(formats) > 1 || formats[0] == "csv") {
		return nil, fmt.Errorf("-out -: want one format, not csv, whose tables are a file each")
	}
	if len(formats) == 1 {
		switch f := formats[0]; {
		case out == "":
			return []reportFile{{fileOf("report", f), f}}, nil
		case named != "" && named != f:
			return nil, fmt.Errorf("-out %s: the ending says %s, and -format %s", out, named, f)
		default:
			return []reportFile{{out, f}}, nil
		}
	}
	name := cmp.Or(out, "report")
	if named != "" { // no other dot begins an ending
		name = strings.TrimSuffix(out, filepath.Ext(out))
	}
	var files []reportFile
	for _, f := range formats {
		files = append(files, reportFile{fileOf(name, f), f})
	}
	return files, nil
}

// fileOf is where a format goes.
func fileOf(name, format string) string {
	if format == "csv" { // a directory
		return name + "-csv"
	}
	return name + "." + format
}

// runDirs returns the run directories that are meant: those given, and for a
// directory of several runs those in it.
func runDirs(dirs []string) ([]string, error) {
	var all []string
	seen := map[string]bool{} // a directory that is named twice counts once
	add := func(dir string) {
		path, err := filepath.Abs(dir)
		if err != nil {
			path = dir
		}
		if !seen[path] {
			seen[path] = true
			all = append(all, dir)
		}
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, telemetry.JobFile)); err == nil {
			add(dir)
			continue
		}
		inside, err := filepath.Glob(filepath.Join(quoteGlob(dir), "*", telemetry.JobFile))
		if err != nil || len(inside) == 0 {
			if _, err := os.Stat(dir); err != nil {
				return nil, errors.Wrap(err, "run directory")
			}
			return nil, errors.Errorf("%s holds no record of a run (no %s)", dir, telemetry.JobFile)
		}
		for _, file := range inside {
			add(filepath.Dir(file))
		}
	}
	return all, nil
}

// quoteGlob keeps a path from being a pattern.
func quoteGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// makeReport reads runs, writes the tables to w and the files, and says where
// they are.
func makeReport(w io.Writer, files []reportFile, o report.Options, dirs []string) error {
	dirs, err := runDirs(dirs)
	if err != nil {
		return err
	}
	runs, err := report.Read(dirs...)
	if err != nil {
		return err
	}
	r := report.New(runs, o)
	if len(files) == 1 && files[0].path == "-" {
		return r.Write(w, files[0].format)
	}
	columns := 0
	if f, ok := w.(*os.File); ok {
		columns = launcher.Columns(f)
	}
	if err := r.Terminal(w, columns); err != nil {
		return err
	}
	for _, f := range files {
		if err := f.write(w, r); err != nil {
			return err
		}
	}
	return nil
}

// write writes the file and says to w where it is.
func (f reportFile) write(w io.Writer, r *report.Report) error {
	if err := r.WriteFile(f.path, f.format); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", map[string]string{"html": "page", "png": "picture", "svg": "picture", "csv": "tables", "json": "numbers"}[f.format], f.path)
	return errors.Wrap(err, "write")
}
