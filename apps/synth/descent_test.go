package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/ssp"
)

func value(t *testing.T, line, key string) float64 {
	t.Helper()
	_, rest, ok := strings.Cut(line, " "+key+"=")
	text, _, _ := strings.Cut(rest, " ")
	v, err := strconv.ParseFloat(text, 64)
	if !ok || err != nil {
		t.Fatalf("no number %s in %q", key, line)
	}
	return v
}

// TestDescentLearns: the loss falls under every rule and every policy with a
// bound. Without one how far it falls depends on who gets a processor.
func TestDescentLearns(t *testing.T) {
	for _, update := range []string{"", "sgd:0.02", "sgd:0.1,sqrt", "momentum:0.002", "adagrad:0.2", "adam:0.02", "ftrl:0.2", "adarevision:0.2"} {
		for _, policy := range []ssp.Policy{ssp.BSP(), ssp.SSP(3), ssp.ESSP(2)} {
			for _, x := range []struct{ ranks, workers int }{{1, 1}, {3, 2}} {
				line, err := simulate(t, x.ranks, x.workers, policy, config{clocks: 150, rows: 2, load: loadDescent, update: update})
				if err != nil {
					t.Errorf("%s, %v, %d × %d: %v", update, policy, x.ranks, x.workers, err)
					continue
				}
				if first, last := value(t, line, "start_loss"), value(t, line, "loss"); !(last < 0.6*first) {
					t.Errorf("%s, %v, %d × %d: the loss went from %g to %g", update, policy, x.ranks, x.workers, first, last)
				}
			}
		}
	}
}

// TestDescentRepeats: under BSP the result is the same to the last digit.
func TestDescentRepeats(t *testing.T) {
	cfg := config{clocks: 50, rows: 3, load: loadDescent, update: "adarevision:1"}
	seen := map[string]bool{}
	for range 3 {
		line, err := simulate(t, 3, 2, ssp.BSP(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		seen[fmt.Sprint(value(t, line, "loss"))] = true
	}
	if len(seen) != 1 {
		t.Errorf("losses %v", seen)
	}
}

// TestDescentDiverges: a loss beyond all numbers is still a number of JSON.
func TestDescentDiverges(t *testing.T) {
	line, err := simulate(t, 2, 1, ssp.BSP(), config{clocks: 300, rows: 2, load: loadDescent, update: "sgd:100"})
	if err != nil || !strings.Contains(line, " loss=1e+300 ") {
		t.Errorf("%q, %v", line, err)
	}
}

func TestLoadFlags(t *testing.T) {
	for want, cfg := range map[string]config{
		"-load x":               {clocks: 1, rows: 1, load: "x"},
		"-update sgd:1: expect": {clocks: 1, rows: 1, update: "sgd:1"},
		"-check":                {clocks: 1, rows: 1, load: loadDescent, check: true},
		"-touch 1":              {clocks: 1, rows: 2, touch: 1, load: loadDescent},
		"-update: update \"s\"": {clocks: 1, rows: 1, load: loadDescent, update: "s"},
	} {
		cfg.descend = -1
		if err := cfg.verify(&apps.Options{Workers: 1}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}
