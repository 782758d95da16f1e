package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pkg/errors"
)

// workload is a job that does the same work whenever it runs.
type workload struct {
	name    string
	program []string
}

// workloads are an app that computes, and a load that does little but clock and
// wait: there are far more events for the work. Under bsp the number of messages
// does not depend on who is late, so the work is the same. Two workers a rank, since
// ranks with one poll while they wait, which takes processor time for no work.
func workloads(bin, data string) []workload {
	mf := []string{filepath.Join(bin, "mf"), "-sync", "bsp", "-workers", "2", "-epochs", "5", "-rank", "100"}
	if data != "" {
		mf = append(mf, "-data", data)
	}
	return []workload{
		{"mf", mf},
		{"synth", []string{
			filepath.Join(bin, "synth"), "-sync", "bsp", "-workers", "2", "-clocks", "800", "-compute", "0", "-rows", "64", "-touch", "16", "-width", "4096",
		}},
	}
}

// ranks of every job.
const ranks = "4"

// lab runs workloads.
type lab struct {
	bin, dir string
	record   string
	// rounds are the runs that a side of a pair consists of, in turns with those of
	// the other: on a machine that others use too, the same work takes more time now
	// and less then.
	rounds      int
	progress    io.Writer
	total, done int
	start       time.Time
}

// compare runs a workload with and without records, pairs times after one that
// does not count.
func (l *lab) compare(ctx context.Context, w workload, pairs int) (comparison, error) {
	c := comparison{name: w.name}
	for pair := -1; pair < pairs; pair++ {
		var seconds [2]float64
		for turn := range 2 * l.rounds {
			on := (turn + turn/2 + pair) & 1 // the first of each two in turns
			s, err := l.run(ctx, w, on == 1)
			if err != nil {
				return c, err
			}
			seconds[on] += s
		}
		if pair >= 0 {
			c.off, c.on = append(c.off, seconds[0]), append(c.on, seconds[1])
		}
	}
	return c, nil
}

// run runs a workload and returns the processor time that its processes took.
func (l *lab) run(ctx context.Context, w workload, on bool) (float64, error) {
	args := []string{"-n", ranks, "-progress", "off"}
	if on {
		dir := filepath.Join(l.dir, "run")
		defer os.RemoveAll(dir)
		args = append(args, "-run-dir", dir)
		if l.record != "on" {
			args = append(args, "-trace", filepath.Join(dir, "trace.json"))
		}
		if l.record == "all" {
			args = append(args, "-metrics", "127.0.0.1:0")
		}
	} else {
		args = append(args, "-record", "off")
	}
	args = append(args, w.program...)
	const limit = 10 * time.Minute // a run that hangs is a failure too
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.Errorf("no end after %v", limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(l.bin, "sspurn"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // the launcher ends its ranks
	cmd.WaitDelay = 20 * time.Second
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return 0, errors.Errorf("%s: sspurn %s: %v\n%s", w.name, strings.Join(args, " "), err, strings.TrimSpace(log.String()))
	}
	// The launcher waits for its agents, and those for their keepers and ranks:
	// it has the time of all of them.
	seconds := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	l.done++
	left := time.Since(l.start) / time.Duration(l.done) * time.Duration(l.total-l.done)
	what := "without records"
	if on {
		what = "with"
	}
	fmt.Fprintf(l.progress, "[%d/%d, about %.0f s left] %s %s: %.3f s of CPU\n", l.done, l.total, left.Seconds(), w.name, what, seconds)
	return seconds, nil
}
