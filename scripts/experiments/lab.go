package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// setup is one run of synth.
type setup struct {
	name   string        // within its experiment
	ranks  int           // 0: 8
	launch []string      // flags of sspurn
	synth  []string      // flags of synth
	takes  time.Duration // about how long it runs, for the display

	observe func(*telemetry.Run, result) // adds to the result what the record says; nil: nothing
}

// result is synth's result line.
type result map[string]any

// number returns the value of a key that synth prints as a number; NaN does not
// occur, a missing key is an error of this program.
func (r result) number(key string) float64 {
	v, ok := r[key].(float64)
	if !ok {
		panic(fmt.Sprintf("experiments: synth's result has no number %q: %v", key, r))
	}
	return v
}

// lab runs setups.
type lab struct {
	bin         string
	progress    io.Writer
	total, done int
	expect      time.Duration // of the runs that are left
}

// begin says what is run next.
func (l *lab) begin(what string, takes time.Duration) {
	l.done++
	fmt.Fprintf(l.progress, "[%d/%d, about %.0f s left] %s\n", l.done, l.total, l.expect.Seconds(), what)
	l.expect -= takes
}

// run starts a setup and waits for its result.
func (l *lab) run(ctx context.Context, experiment string, s setup) (result, error) {
	args := append([]string{"-n", strconv.Itoa(cmp.Or(s.ranks, 8)), "-progress", "off"}, s.launch...)
	dir := ""
	if s.observe != nil {
		var err error
		if dir, err = os.MkdirTemp("", "sspurn-experiment-"); err != nil {
			return nil, errors.Wrap(err, experiment)
		}
		defer os.RemoveAll(dir)
		args = append(args, "-run-dir", filepath.Join(dir, "run"))
	}
	args = append(append(args, filepath.Join(l.bin, "synth"), "-json"), s.synth...)
	l.begin(fmt.Sprintf("%s, %s: sspurn %s", experiment, s.name, strings.Join(args, " ")), s.takes)
	// An experiment that hangs is a failure too.
	limit := 2*s.takes + time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.Errorf("no end after %v", limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(l.bin, "sspurn"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // the launcher ends its ranks
	cmd.WaitDelay = 20 * time.Second
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, errors.Errorf("%s, %s: %v\n%s", experiment, s.name, err, strings.TrimSpace(log.String()))
	}
	r, err := parse(out.String())
	if err != nil || s.observe == nil {
		return r, err
	}
	record, err := telemetry.ReadRun(filepath.Join(dir, "run"))
	if err != nil {
		return nil, errors.WithMessagef(err, "%s, %s", experiment, s.name)
	}
	s.observe(record, r)
	return r, nil
}

// parse finds synth's result, the last line of its output, which the launcher
// may have marked with the rank.
func parse(out string) (result, error) {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := lines[len(lines)-1]
	begin := strings.IndexByte(last, '{')
	if begin < 0 {
		return nil, errors.Errorf("expected a result in JSON as the last line, found %q", last)
	}
	var r result
	if err := json.Unmarshal([]byte(last[begin:]), &r); err != nil {
		return nil, errors.Wrapf(err, "result %q", last)
	}
	return r, nil
}
