package main

import (
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
// late, how long it takes. Rows hardly repeat within a block: those that do
// travel once a block and once a clock, which is no equal volume.
func products() experiment {
	e := experiment{name: "products"}
	for _, policy := range []string{"ssp:3", "absp:2,1", "absp:4"} {
		e.runs = append(e.runs, setup{
			name:  policy,
			synth: []string{"-compute", "50ms", "-clocks", "200", "-rows", "4096", "-touch", "16", "-sync", policy}, takes: 11 * time.Second,
		})
		if policy == "ssp:3" {
			continue
		}
		e.figures = append(e.figures,
			figure{what: "bytes, " + policy + " / ssp:3", of: ratio("bytes", policy, "ssp:3"), low: 0.9, high: 1.1, expected: "1.0 ± 0.1"},
			figure{what: "seconds, " + policy + " / ssp:3", of: ratio("seconds", policy, "ssp:3"), low: 0.95, high: 1.05, expected: "1.0 ± 0.05"})
	}
	return e
}
