package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp"
)

// simulate runs synth on ranks in this process and returns its result line.
func simulate(t *testing.T, ranks, workers int, policy ssp.Policy, cfg config) (string, error) {
	t.Helper()
	if cfg.descend == 0 {
		cfg.descend = -1
	}
	o := apps.Options{Policy: policy, Workers: workers, Seed: 1}
	if err := cfg.verify(&o); err != nil {
		return "", err
	}
	var out bytes.Buffer // of rank 0
	err := runtime.RunLocal(t.Context(), ranks, func(ctx context.Context, c *runtime.Comm) error {
		own := cfg
		return own.run(ctx, apps.NewJob("synth", o, c, &out, io.Discard))
	})
	return out.String(), err
}

func TestEveryPolicyPassesItsCheck(t *testing.T) {
	for _, policy := range []ssp.Policy{ssp.BSP(), ssp.SSP(0), ssp.SSP(1), ssp.SSP(3), ssp.ESSP(0), ssp.ESSP(2), ssp.Async(), ssp.ABSP(4), ssp.WPC(3, 1), ssp.CAP(2), ssp.FSSP(2), ssp.Auto(3)} {
		for _, x := range []struct{ ranks, workers int }{{1, 1}, {1, 3}, {2, 1}, {3, 2}, {5, 1}} {
			cfg := config{clocks: 40, rows: 13, touch: 4, check: true, compute: 100 * time.Microsecond, jitter: 1}
			out, err := simulate(t, x.ranks, x.workers, policy, cfg)
			if err != nil {
				t.Errorf("%v, %d × %d: %v", policy, x.ranks, x.workers, err)
				continue
			}
			want := fmt.Sprintf(" checked=%d ", 40*4*x.ranks*x.workers)
			if !strings.Contains(out, want) || !strings.Contains(out, " violations=0 ") {
				t.Errorf("%v, %d × %d: result %q, want %q and no violations", policy, x.ranks, x.workers, out, want)
			}
		}
	}
}

func TestBarrierAfterEachClock(t *testing.T) {
	out, err := simulate(t, 3, 1, ssp.SSP(2), config{clocks: 30, rows: 4, check: true, barrier: true})
	if err != nil || !strings.Contains(out, " clocks=30 ") {
		t.Errorf("result %q, %v", out, err)
	}
}

func TestDuration(t *testing.T) {
	out, err := simulate(t, 3, 2, ssp.FSSP(2), config{clocks: 1, length: 50 * time.Millisecond, compute: time.Millisecond, rows: 4})
	if err != nil || strings.Contains(out, " clocks=0 ") || strings.Contains(out, " clocks=1 ") || !strings.Contains(out, " iterations=") || !strings.Contains(out, " freed=") {
		t.Errorf("result %q, %v", out, err)
	}
}

func TestDescend(t *testing.T) {
	for _, policy := range []ssp.Policy{ssp.BSP(), ssp.SSP(2), ssp.Backup(1), ssp.DBW(), ssp.FSSP(2)} {
		out, err := simulate(t, 3, 1, policy, config{clocks: 1, compute: 100 * time.Microsecond, rows: 4, descend: 10, first: 150, rate: 0.05, random: true})
		if err != nil || !strings.Contains(out, " reached=1 ") {
			t.Errorf("%v: result %q, %v", policy, out, err)
		}
	}
}

func TestNarrowRowsAreRefused(t *testing.T) {
	_, err := simulate(t, 2, 2, ssp.BSP(), config{clocks: 1, rows: 1, width: 3})
	if err == nil || !strings.Contains(err.Error(), "-width 3: expected at least 4") {
		t.Errorf("error %v", err)
	}
}

func TestFlags(t *testing.T) {
	for name, cfg := range map[string]config{
		"-compute": {clocks: 1, rows: 1, compute: -1},
		"-jitter":  {clocks: 1, rows: 1, jitter: 2},
		"-clocks":  {rows: 1},
		"-rows":    {clocks: 1},
		"-touch":   {clocks: 1, rows: 2, touch: 3},
		"-width":   {clocks: 1, rows: 1, width: -1},
		"-barrier": {clocks: 1, rows: 1, barrier: true},

		"-duration":             {clocks: 1, rows: 1, length: -1},
		"-descend 2e+12":        {clocks: 1, rows: 1, descend: 2e12},
		"-descend with":         {clocks: 1, rows: 1, descend: 1, check: true},
		"-slow":                 {clocks: 1, rows: 1, descend: 1, first: 1, rate: 1, slow: -1},
		"-first":                {clocks: 1, rows: 1, descend: 1},
		"-rate":                 {clocks: 1, rows: 1, descend: 1, first: 1},
		"-exponential":          {clocks: 1, rows: 1, random: true},
		"-duration with -check": {clocks: 1, rows: 1, length: 1, check: true},
	} {
		if cfg.descend == 0 {
			cfg.descend = -1
		}
		if err := cfg.verify(&apps.Options{Workers: 2}); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestCheckFindsALooserPolicy claims less staleness than the store allows: rank
// 1 never ends its first clock, so rank 0 misses its updates at once.
func TestCheckFindsALooserPolicy(t *testing.T) {
	for _, policy := range []ssp.Policy{ssp.SSP(40), ssp.ESSP(40), ssp.Async()} {
		err := runtime.RunLocal(t.Context(), 2, func(ctx context.Context, c *runtime.Comm) error {
			cfg := config{descend: -1, clocks: 30, rows: 2, touch: 2, check: true, compute: time.Duration(c.Rank()) * time.Hour}
			job := apps.NewJob("synth", apps.Options{Policy: policy, Workers: 1}, c, io.Discard, io.Discard)
			b, err := newBench(job, &cfg)
			if err != nil {
				return err
			}
			b.rule = ssp.SSP(3)
			return b.run(ctx)
		})
		if err == nil || !strings.Contains(err.Error(), "violation: worker 0 at clock 4 used a copy of age 0, expected at least 1") {
			t.Errorf("%v, tested as ssp:3: error %v, want a violation at clock 4", policy, err)
		}
	}
}
