package main

import (
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
		&cli.StringFlag{Name: "format", Usage: "what to write: html, png, svg, csv (a directory), json; several with commas; default: as the name after -out says, else html", DefaultText: "LIST"},
		&cli.StringFlag{Name: "out", Usage: "where to: a file (of several formats: its name without the ending); - for standard output, then without tables; default: report", DefaultText: "FILE"},
		&cli.Float64Flag{Name: "target", Value: math.NaN(), Usage: "value of the metric whose time counts; default: one that all runs reached", DefaultText: "X"},
	}
}

// reportFile is one that is to be written; "-" is standard output.
type reportFile struct{ path, format string }

// reportFiles reads -format and -out.
func reportFiles(c *cli.Context) ([]reportFile, error) {
	out := c.String("out")
	if c.IsSet("out") && strings.TrimSpace(out) == "" {
		return nil, fmt.Errorf("-out: empty")
	}
	var formats []string
	switch named := report.FormatOf(out); {
	case c.IsSet("format"):
		formats = strings.Split(c.String("format"), ",")
	case named != "":
		formats = []string{named}
	case out == "" || out == "-":
		formats = []string{"html"}
	default:
		return nil, fmt.Errorf("-out %s: no ending that says a format (%s); -format does", out, strings.Join(report.Formats(), ", "))
	}
	var files []reportFile
	for _, f := range formats {
		f = strings.TrimSpace(f)
		switch {
		case !slices.Contains(report.Formats(), f):
			return nil, fmt.Errorf("-format %s: want %s", f, strings.Join(report.Formats(), ", "))
		case out == "-" && (len(formats) > 1 || f == "csv"):
			return nil, fmt.Errorf("-out -: want one format, not csv, whose tables are a file each")
		case out == "-":
			files = append(files, reportFile{"-", f})
		case out == "":
			files = append(files, reportFile{fileOf("report", f), f})
		case len(formats) == 1:
			files = append(files, reportFile{out, f})
		default:
			files = append(files, reportFile{fileOf(strings.TrimSuffix(out, filepath.Ext(out)), f), f})
		}
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
		if err := r.WriteFile(f.path, f.format); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", map[string]string{"html": "page", "png": "picture", "svg": "picture", "csv": "tables", "json": "numbers"}[f.format], f.path); err != nil {
			return errors.Wrap(err, "write")
		}
	}
	return nil
}
