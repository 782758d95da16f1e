package main

import (
	"math"
	"time"
)

// revision: a rule that corrects for delays takes steps that plain SGD does not
// survive (McMahan, Streeter, Delay-tolerant algorithms for asynchronous
// distributed online learning, NIPS 2014; on a parameter server first by Wei et
// al., Managed communication and consistency for fast data-parallel iterative
// analytics, SoCC 2015). The first rate is one that SGD survives, at the second
// it diverges, and ten times that is AdaRevision's.
func revision() experiment {
	run := func(update string) setup {
		return setup{
			name:  update,
			synth: []string{"-load", "descent", "-update", update, "-compute", "10ms", "-jitter", "0.5", "-clocks", "200", "-sync", "ssp:3"},
			takes: 3 * time.Second,
		}
	}
	loss := func(update string) func(map[string]result) float64 {
		return func(r map[string]result) float64 { return r[update].number("loss") / r[update].number("start_loss") }
	}
	const survives, diverges, revises = "sgd:0.16", "sgd:0.32", "adarevision:3.2"
	return experiment{
		name: "adarevision",
		runs: []setup{run(survives), run(diverges), run(revises)},
		figures: []figure{
			{what: "loss, end / start, " + survives, of: loss(survives), low: 0, high: 0.1, expected: "at most 0.1"},
			{what: "loss, end / start, " + diverges, of: loss(diverges), low: 1, high: math.Inf(1), expected: "diverges, at least 1"},
			{what: "loss, end / start, " + revises, of: loss(revises), low: 0, high: 0.1, expected: "at most 0.1"},
		},
	}
}
