package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/launcher/report"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

func TestParseFindsTheLastLine(t *testing.T) {
	for _, out := range []string{
		"{\"seconds\":1.5,\"sync\":\"ssp:3\"}\n",
		"something before\n[0] {\"seconds\":1.5,\"sync\":\"ssp:3\"}\n",
	} {
		r, err := parse(out)
		if err != nil || r.number("seconds") != 1.5 || r["sync"] != "ssp:3" {
			t.Errorf("%q: %v, %v", out, r, err)
		}
	}
	for _, out := range []string{"", "no result", "{broken"} {
		if _, err := parse(out); err == nil {
			t.Errorf("%q: no error", out)
		}
	}
}

func TestFiguresJudge(t *testing.T) {
	var b bytes.Buffer
	f := figure{what: "x", low: 1, high: 2, expected: "1 to 2"}
	for v, good := range map[float64]bool{0.9: false, 1: true, 2: true, 2.1: false, math.NaN(): false, math.Inf(1): false} {
		f.value = v
		err := print(&b, []figure{f})
		if f.good() != good || (err == nil) != good || err != nil && !errors.Is(err, errMissed) {
			t.Errorf("%g: good %t, %v", v, f.good(), err)
		}
	}
	if n := strings.Count(b.String(), "MISSED"); n != 4 {
		t.Errorf("%d misses printed, want 4", n)
	}
}

// TestFiguresHaveTheirRuns finds figures of runs that do not exist.
func TestFiguresHaveTheirRuns(t *testing.T) {
	names := map[string]bool{}
	for _, e := range experiments() {
		if names[e.name] {
			t.Errorf("two experiments are called %s", e.name)
		}
		names[e.name] = true
		results := map[string]result{}
		for _, s := range e.runs {
			if results[s.name] != nil {
				t.Errorf("%s: two runs are called %s", e.name, s.name)
			}
			results[s.name] = result{"seconds": 1.0, "fetches": 1.0, "stale_mean": 1.0, "stale_sd": 1.0, "checked": 1.0, "violations": 1.0, "loss": 1.0, "start_loss": 1.0, "iterations": 1.0, "freed": 1.0, "bytes": 1.0, "descent": 1.0, "reached": 1.0, "least_window": 1.0, "most_window": 1.0, "target_bytes": 1.0, "target_clock": 1.0, "ranks": 8.0}
		}
		if e.compare != nil {
			for _, s := range e.compare.settings {
				results[s] = result{"seconds": 1.0, "link_seconds": 1.0, "speedup": 1.0}
			}
		}
		for _, f := range e.figures {
			if v := f.of(results); v != 1 {
				t.Errorf("%s: %s of equal runs is %g, want 1", e.name, f.what, v)
			}
		}
	}
}

func TestMediansAreTheReports(t *testing.T) {
	run := func(sync string, repeat int, seconds float64) *report.Run {
		r := report.NewRun(telemetry.JobInfo{Program: "synth", Ranks: 2, Setting: sync, Repeat: repeat, Ended: true, Settings: map[string]string{"emulate": "rate=8mbit"}})
		r.Add(0, &telemetry.Event{Kind: "clock", Clock: 1, Compute: seconds})
		r.Add(0, &telemetry.Event{Kind: "bytes", To: []int64{0, int64(seconds * 1e6)}})
		return r
	}
	got := medians(report.New([]*report.Run{run("bsp", 1, 6), run("bsp", 2, 8), run("bsp", 3, 7), run("ssp:3", 1, 3.5)}, report.Options{}))
	for setting, want := range map[string]float64{"bsp": 7, "ssp:3": 3.5} {
		if r := got[setting]; r.number("seconds") != want || r.number("link_seconds") != want || r.number("speedup") != 7/want {
			t.Errorf("%s: %v", setting, r)
		}
	}
}

func TestUnknownExperiment(t *testing.T) {
	err := run(context.Background(), []string{"absent"}, &bytes.Buffer{}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "rotating") {
		t.Errorf("error %v, want one that lists the experiments", err)
	}
}

func TestPlace(t *testing.T) {
	inf := math.Inf(1)
	for _, x := range []struct {
		f                figure
		value, low, high float64
		ok               bool
	}{
		{figure{value: 3, low: 2, high: inf}, 1.5, 1, inf, true},                   // at least
		{figure{value: 0.5, low: 0, high: 1}, 0.5, 0, 1, true},                     // at most
		{figure{value: 4, low: 1, high: 4}, 2, 0.5, 2, true},                       // between
		{figure{value: -1, low: -2, high: 0}, 0.5, 0, 1, true},                     // below zero
		{figure{value: -4, low: -8, high: -2}, 1, 0.5, 2, true},                    // between, below zero
		{figure{value: 0, low: 0, high: 0}, 0, 0, 0, false},                        // exact
		{figure{value: 1, low: 1, high: 1}, 0, 0, 0, false},                        // exact
		{figure{value: 1, low: -1, high: 1}, 0, 0, 0, false},                       // on both sides of zero
		{figure{value: inf, low: 0, high: 2}, inf, 0, 1, true},                     // never got there
		{figure{value: 5, low: 1e5, high: inf}, 5e-5, 1, inf, true},                // far off
		{figure{value: 0.9, low: 0.95, high: 1 / 0.95}, 0.9, 0.95, 1 / 0.95, true}, // around one
	} {
		value, low, high, ok := x.f.place()
		near := func(a, b float64) bool { return a == b || math.Abs(a-b) < 1e-12 }
		if !near(value, x.value) || !near(low, x.low) || !near(high, x.high) || ok != x.ok {
			t.Errorf("%+v: %g in %g to %g, %t", x.f, value, low, high, ok)
		}
	}
}

func TestPicture(t *testing.T) {
	table := []figure{
		{experiment: "a", what: "more <b>", low: 2, high: math.Inf(1), value: 3},
		{experiment: "b", what: "exact", low: 1, high: 1, value: 1},
		{experiment: "c", what: "less", low: 0, high: 1, value: math.Inf(1)},
		{experiment: "d", what: "unknown", low: 0, high: 1, value: math.NaN()},
	}
	if got := rows(table); len(got) != 2 || got[0].label != "c: less" || got[0].good || got[0].value != reach || !got[1].good {
		t.Errorf("%+v", got)
	}
	file := filepath.Join(t.TempDir(), "p.svg")
	if err := picture(file, table); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]int{"c: less": 1, "a: more": 1, "exact": 0, "unknown": 0, "#C02A1D": 1} {
		if n := strings.Count(string(text), label); (n > 0) != (want > 0) {
			t.Errorf("%q is there %d times", label, n)
		}
	}
	if err := picture(file, table[1:2]); err == nil {
		t.Error("an empty picture")
	}
	if err := picture(file+".unknown", table); err == nil {
		t.Error("an unknown format")
	}
	if got, want := string(markdown(table[:1])), "| a | more <b> | 3 |  | ok |\n"; !strings.HasSuffix(got, want) {
		t.Errorf("%q does not end in %q", got, want)
	}
}
