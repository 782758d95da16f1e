package main

import (
	"math"
	"time"
)

// tuned: a staleness that workers choose themselves costs little against the one
// that would have been best from the first clock to the last, whatever slows the
// ranks. The limit is our own.
func tuned() []experiment {
	fixed := []string{"bsp", "ssp:1", "ssp:3", "essp:3", "essp:7"}
	var out []experiment
	for _, x := range []struct {
		name   string
		launch []string
		takes  time.Duration
	}{
		{"none", nil, 60 * time.Second},
		{"rotating", []string{"-straggle", "rotate,delay=200ms"}, 120 * time.Second},
		{"random", []string{"-straggle", "random,p=0.05,delay=200ms"}, 90 * time.Second},
		{"permanent", []string{"-straggle", "rank=0,factor=4"}, 190 * time.Second},
	} {
		out = append(out, experiment{
			name: "auto-" + x.name,
			compare: &comparison{
				ranks: 8, settings: append(fixed[:len(fixed):len(fixed)], "auto"), repeats: 1, launch: x.launch,
				synth: []string{"-compute", "50ms", "-jitter", "0.2", "-clocks", "160"}, takes: x.takes,
			},
			figures: []figure{{
				what: "seconds, auto / the best of five fixed settings", low: 0, high: 1.15, expected: "at most 1.15",
				of: func(r map[string]result) float64 {
					best := math.Inf(1)
					for _, s := range fixed {
						best = min(best, r[s].number("seconds"))
					}
					return r["auto"].number("seconds") / best
				},
			}},
		})
	}
	return out
}
