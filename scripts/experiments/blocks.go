package main

import (
	"fmt"
	"math"
	"time"
)

// blocks: with one rank late after the other, four iterations to a clock align
// everybody at each barrier where three clocks of slack slide (Cui et al.,
// Exploiting bounded staleness to speed up big data analytics, USENIX ATC 2014).
func blocks() experiment {
	run := func(policy string, perClock time.Duration) setup {
		return setup{
			name: policy, launch: []string{"-straggle", "rotate,delay=200ms"},
			synth: []string{"-compute", "50ms", "-clocks", "200", "-sync", policy}, takes: 200 * perClock,
		}
	}
	return experiment{
		name: "blocks",
		runs: []setup{run("absp:4", 100*time.Millisecond), run("ssp:3", 75*time.Millisecond)},
		figures: []figure{
			{what: "seconds, absp:4 / ssp:3", of: ratio("seconds", "absp:4", "ssp:3"), low: 1.2, high: math.Inf(1), expected: "1.33, at least 1.2"},
		},
	}
}

// products: work per clock times (slack + 1) says what travels and, with nobody
// late, how long it takes. Rows hardly repeat within a block: those that do travel
// once a block and once a clock, which is no equal volume. Times are the medians of
// three seeds, of clocks that read a row each: what the processors have to do is no
// part of the claim.
func products() experiment {
	const seeds = 3
	e := experiment{name: "products"}
	run := func(name, policy, touch string, clocks, seed int) {
		e.runs = append(e.runs, setup{
			name: name,
			synth: []string{
				"-compute", "50ms", "-clocks", fmt.Sprint(clocks), "-rows", "4096", "-touch", touch, "-sync", policy, "-seed", fmt.Sprint(seed),
			},
			takes: time.Duration(clocks) * 55 * time.Millisecond,
		})
	}
	timed := map[string][]string{}
	for _, policy := range []string{"ssp:3", "absp:2,1", "absp:4"} {
		run(policy, policy, "16", 80, 1)
		for seed := 1; seed <= seeds; seed++ {
			name := fmt.Sprintf("%s, seed %d", policy, seed)
			timed[policy] = append(timed[policy], name)
			run(name, policy, "1", 120, seed)
		}
	}
	for _, policy := range []string{"absp:2,1", "absp:4"} {
		e.figures = append(e.figures,
			figure{what: "bytes, " + policy + " / ssp:3", of: ratio("bytes", policy, "ssp:3"), low: 0.9, high: 1.1, expected: "1.0 ± 0.1"},
			figure{what: "seconds, " + policy + " / ssp:3", of: func(r map[string]result) float64 {
				return median("seconds", timed[policy])(r) / median("seconds", timed["ssp:3"])(r)
			}, low: 0.95, high: 1.05, expected: "1.0 ± 0.05"})
	}
	return e
}

// prefetch: refreshing what would be missed moves about as many rows as asking on
// demand does, a third more at most: what is asked for earlier may be a clock older,
// and lasts three clocks then, not four. Refreshing all of it, each clock, moves the most, for the youngest copies.
// A barrier after each clock keeps the ranks together: copies last four clocks.
func prefetch() experiment {
	e := experiment{name: "prefetch"}
	for _, mode := range []string{"demand", "conservative", "aggressive"} {
		e.runs = append(e.runs, setup{
			name: mode, launch: []string{"-emulate", "delay=5ms"},
			synth: []string{"-compute", "50ms", "-barrier", "-clocks", "80", "-sync", "ssp:3", "-prefetch", mode}, takes: 6 * time.Second,
		})
	}
	e.figures = []figure{
		{what: "fetches, conservative / demand", of: ratio("fetches", "conservative", "demand"), low: 0.95, high: 1.35, expected: "1.0 to 1.33"},
		{what: "fetches, aggressive / demand", of: ratio("fetches", "aggressive", "demand"), low: 3.4, high: 4.2, expected: "4.0"},
		{what: "mean age − clock, aggressive / demand", of: ratio("stale_mean", "aggressive", "demand"), low: 0, high: 0.8, expected: "0.67, at most 0.8"},
	}
	return e
}
