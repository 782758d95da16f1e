package main

import (
	"fmt"
	"math"
	"time"
)

// freeing: FSSP frees the others from a rank that is slow all the time, and only
// then (Shi et al., A free stale synchronous parallel strategy for distributed
// machine learning, BDE 2019, who report 1.5 to 12 times the speed of SSP).
func freeing() experiment {
	slow := func(name, policy, factor string) setup {
		return setup{
			name: name, launch: []string{"-straggle", "rank=0,factor=" + factor},
			synth: []string{"-compute", "50ms", "-duration", "10s", "-sync", policy}, takes: 11 * time.Second,
		}
	}
	late := func(name, policy, straggle string, perClock time.Duration) setup {
		return setup{
			name: name, launch: []string{"-straggle", straggle},
			synth: []string{"-compute", "50ms", "-clocks", "200", "-sync", policy}, takes: 200 * perClock,
		}
	}
	const turn, chance = "rotate,delay=200ms", "random,p=0.05,delay=200ms"
	return experiment{
		name: "freeing",
		runs: []setup{
			slow("ssp, 4 times", "ssp:3", "4"), slow("fssp, 4 times", "fssp:3", "4"),
			slow("ssp, 12 times", "ssp:3", "12"), slow("fssp, 12 times", "fssp:3", "12"),
			late("ssp, in turn", "ssp:3", turn, 75*time.Millisecond), late("fssp, in turn", "fssp:3", turn, 75*time.Millisecond),
			late("ssp, by chance", "ssp:3", chance, 78*time.Millisecond), late("fssp, by chance", "fssp:3", chance, 78*time.Millisecond),
		},
		figures: []figure{
			{what: "iterations in 10 s, one rank 4 times slower, fssp:3 / ssp:3", of: ratio("iterations", "fssp, 4 times", "ssp, 4 times"), low: 2.8, high: math.Inf(1), expected: "3.1, at least 2.8"},
			{what: "iterations in 10 s, one rank 12 times slower, fssp:3 / ssp:3", of: ratio("iterations", "fssp, 12 times", "ssp, 12 times"), low: 5, high: math.Inf(1), expected: "6.4, at least 5"},
			{what: "times freed, 4 times slower", of: of("freed", "fssp, 4 times"), low: 1, high: 1, expected: "1"},
			{what: "times freed, 12 times slower", of: of("freed", "fssp, 12 times"), low: 1, high: 1, expected: "1"},
			{what: "seconds, late in turn, fssp:3 / ssp:3", of: ratio("seconds", "fssp, in turn", "ssp, in turn"), low: 0.95, high: 1.05, expected: "1.0 ± 0.05"},
			{what: "times freed, late in turn", of: of("freed", "fssp, in turn"), low: 0, high: 0, expected: "0"},
			{what: "seconds, late by chance, fssp:3 / ssp:3", of: ratio("seconds", "fssp, by chance", "ssp, by chance"), low: 0.95, high: 1.05, expected: "1.0 ± 0.05"},
			{what: "times freed, late by chance", of: of("freed", "fssp, by chance"), low: 0, high: 0, expected: "0"},
		},
	}
}

// converging: with one rank that is ten times slower, iterations of the others until
// a loss is reached under FSSP and without any bound, at the same rate. On links of
// 20 ms without a bound all read what is old, and not only the slow rank. The rate is
// the largest of 0.02, 0.04, 0.06 and 0.08 with other seeds, at all of which fssp:3
// converges; at 0.1 it does not always.
func converging() experiment {
	const clocks = 200
	run := func(policy string) setup {
		return setup{
			name: policy, launch: []string{"-straggle", "rank=7,factor=10", "-emulate", "delay=20ms"},
			synth: []string{"-load", "descent", "-update", "sgd:0.08", "-compute", "10ms", "-jitter", "0.2", "-clocks", fmt.Sprint(clocks),
				"-target", "0.1", "-sync", policy},
			takes: 21 * time.Second,
		}
	}
	return experiment{
		name: "freeing-converges",
		runs: []setup{run("fssp:3"), run("async")},
		figures: []figure{
			{what: "iterations until the target, fssp:3 / async, or all of them", low: 0, high: 0.5, expected: "1/4, at most 1/2", of: func(r map[string]result) float64 {
				async := float64(clocks)
				if x := r["async"]; x["target_clock"] != nil {
					async = x.number("target_clock")
				}
				if r["fssp:3"]["target_clock"] == nil {
					return math.Inf(1)
				}
				return r["fssp:3"].number("target_clock") / async
			}},
		},
	}
}
