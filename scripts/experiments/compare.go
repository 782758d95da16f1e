package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/report"
)

// comparison is one call of sspurn compare with synth.
type comparison struct {
	ranks    int
	settings []string
	repeats  int
	launch   []string      // flags of sspurn compare
	synth    []string      // flags of synth
	takes    time.Duration // about how long it runs, for the display
}

// compare makes a comparison and returns, for each setting, the medians that its
// report shows, by the keys of their columns.
func (l *lab) compare(ctx context.Context, experiment string, c comparison) (map[string]result, error) {
	dir, err := os.MkdirTemp("", "sspurn-experiment-")
	if err != nil {
		return nil, errors.Wrap(err, experiment)
	}
	defer os.RemoveAll(dir)
	args := append([]string{"compare", "-n", strconv.Itoa(c.ranks), "-sync", strings.Join(c.settings, ","), "-repeat", strconv.Itoa(c.repeats), "-run-dir", dir, "-progress", "off"}, c.launch...)
	args = append(append(args, filepath.Join(l.bin, "synth")), c.synth...)
	l.begin(fmt.Sprintf("%s: sspurn %s", experiment, strings.Join(args, " ")), c.takes)
	limit := 2*c.takes + time.Minute
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
		return nil, errors.Errorf("%s: %v\n%s", experiment, err, strings.TrimSpace(log.String()))
	}
	dirs, err := filepath.Glob(filepath.Join(dir, "*-[0-9]*"))
	if err != nil {
		return nil, errors.Wrap(err, experiment)
	}
	runs, err := report.Read(dirs...)
	if err != nil {
		return nil, errors.WithMessage(err, experiment)
	}
	return medians(report.New(runs, report.Options{Order: c.settings})), nil
}

// medians takes the numbers of each setting out of a report's tables.
func medians(r *report.Report) map[string]result {
	out := map[string]result{}
	for _, id := range []string{"settings", "traffic"} {
		t := r.Table(id)
		for _, row := range t.Rows {
			name := row[0].Text
			if out[name] == nil {
				out[name] = result{}
			}
			for i, c := range t.Columns {
				if !c.Text && !math.IsNaN(row[i].Value) {
					out[name][c.Key] = row[i].Value
				}
			}
		}
	}
	return out
}

// compared: sspurn compare finds the known answers. With one rank after the other
// late, slack wins by as much as in the experiment called rotating; with none late
// the settings tie. On slow links the bytes say how long a run takes.
func compared() []experiment {
	slow := []string{"bsp", "ssp:1", "ssp:3", "essp:3"}
	rate := experiment{
		name: "compare-rate",
		compare: &comparison{
			ranks: 4, settings: slow, repeats: 3, launch: []string{"-emulate", "rate=10mbit"},
			synth: []string{"-compute", "0", "-rows", "1", "-width", "16384", "-noise", "-clocks", "40"}, takes: 60 * time.Second,
		},
	}
	for _, policy := range slow {
		rate.figures = append(rate.figures, figure{
			what: "seconds / seconds on the busiest link, " + policy, low: 0.85, high: 1.15, expected: "1.0 ± 0.15",
			of: func(r map[string]result) float64 {
				return r[policy].number("seconds") / r[policy].number("link_seconds")
			},
		})
	}
	return []experiment{
		rate,
		{
			name: "compare-rotating",
			compare: &comparison{
				ranks: 8, settings: []string{"bsp", "ssp:3"}, repeats: 3, launch: []string{"-straggle", "rotate,delay=200ms"},
				synth: []string{"-compute", "50ms", "-clocks", "80"}, takes: 80 * time.Second,
			},
			figures: []figure{{what: "speed-up of ssp:3 over bsp", of: of("speedup", "ssp:3"), low: 2.8, high: math.Inf(1), expected: "3.3, at least 2.8"}},
		},
		{
			name: "compare-tie",
			compare: &comparison{
				ranks: 8, settings: []string{"bsp", "ssp:3"}, repeats: 3, synth: []string{"-compute", "50ms", "-clocks", "80"}, takes: 26 * time.Second,
			},
			figures: []figure{{what: "speed-up of ssp:3 over bsp", of: of("speedup", "ssp:3"), low: 0.9, high: 1.1, expected: "1.0, 0.9 to 1.1"}},
		},
	}
}
