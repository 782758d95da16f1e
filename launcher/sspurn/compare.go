package main

import (
	stderrors "errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/launcher"
	"github.com/sspurn/sspurn/launcher/report"
)

// compare runs a program under several settings.
func compare(c *cli.Context) error {
	job, err := jobOf(c)
	if err != nil {
		return err
	}
	if c.NArg() == 0 {
		return stderrors.New("compare: no PROGRAM to run")
	}
	if job.Record == launcher.Off {
		return stderrors.New("compare: -record off leaves nothing to compare")
	}
	target, err := targetOf(c)
	if err != nil {
		return err
	}
	if c.Int("repeat") < 1 {
		return fmt.Errorf("-repeat %d: want at least 1", c.Int("repeat"))
	}
	job.Program, job.Args = c.Args().First(), c.Args().Tail()
	if job.RunDir == "" {
		job.RunDir = "compare-" + time.Now().Format("20060102-150405")
	}
	settings, err := launcher.ParseSettings(c.String("sync"))
	if err != nil {
		return err
	}
	options := report.Options{Target: target, Order: settings}
	comparison := launcher.Comparison{Job: job, Settings: settings, Repeats: c.Int("repeat"), Shuffle: c.Uint64("shuffle"), Replace: c.Bool("replace")}
	std := launcher.Streams{Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals()}
	done, err := comparison.Run(c.Context, std, options, func(done []launcher.Trial) error {
		return reportComparison(job.RunDir, options, done)
	})
	if len(done) == 0 && err == nil {
		return stderrors.New("compare: no run was made")
	}
	return err
}

// reportComparison prints and draws what has been measured. A file that can not be
// written, on a full disk say, is told and costs that file.
func reportComparison(dir string, o report.Options, done []launcher.Trial) error {
	var runs []*report.Run
	for i := range done {
		if run := done[i].Recorded(); run != nil {
			runs = append(runs, run)
		}
	}
	if len(runs) == 0 {
		return nil
	}
	fmt.Println()
	r := report.New(runs, o)
	if err := r.Terminal(os.Stdout, launcher.Columns(os.Stdout)); err != nil {
		return err
	}
	for _, f := range []reportFile{
		{filepath.Join(dir, "report.html"), "html"}, {filepath.Join(dir, "report.png"), "png"}, {filepath.Join(dir, "csv"), "csv"},
	} {
		if err := f.write(os.Stdout, r); err != nil {
			fmt.Fprintf(os.Stderr, "sspurn: no %s: %s\n", f.path, strings.TrimPrefix(oneLine(err), "write: "))
		}
	}
	return nil
}
