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
// late, how long it takes: the medians of three seeds. Rows hardly repeat within a
// block: those that do travel once a block and once a clock, which is no equal
// volume.
func products() experiment {
	const seeds = 3
	e := experiment{name: "products"}
	names := map[string][]string{}
	for seed := 1; seed <= seeds; seed++ {
		for _, policy := range []string{"ssp:3", "absp:2,1", "absp:4"} {
			name := fmt.Sprintf("%s, seed %d", policy, seed)
			names[policy] = append(names[policy], name)
			e.runs = append(e.runs, setup{
				name: name,
				synth: []string{
					"-compute", "50ms", "-clocks", "120", "-rows", "4096", "-touch", "4", "-sync", policy, "-seed", fmt.Sprint(seed),
				},
				takes: 7 * time.Second,
			})
		}
	}
	for _, policy := range []string{"absp:2,1", "absp:4"} {
		relative := func(key string) func(map[string]result) float64 {
			return func(r map[string]result) float64 {
				return median(key, names[policy])(r) / median(key, names["ssp:3"])(r)
			}
		}
		e.figures = append(e.figures,
			figure{what: "bytes, " + policy + " / ssp:3", of: relative("bytes"), low: 0.9, high: 1.1, expected: "1.0 ± 0.1"},
			figure{what: "seconds, " + policy + " / ssp:3", of: relative("seconds"), low: 0.95, high: 1.05, expected: "1.0 ± 0.05"})
	}
	return e
}

// prefetch: refreshing what would be missed moves no more rows than asking on
// demand; refreshing all of it, each clock, moves the most, for the youngest copies.
func prefetch() experiment {
	e := experiment{name: "prefetch"}
	for _, mode := range []string{"demand", "conservative", "aggressive"} {
		e.runs = append(e.runs, setup{
			name: mode, launch: []string{"-emulate", "delay=5ms"},
			synth: []string{"-compute", "50ms", "-jitter", "0.2", "-clocks", "100", "-sync", "ssp:10", "-prefetch", mode}, takes: 7 * time.Second,
		})
	}
	e.figures = []figure{
		{what: "fetches, conservative / demand", of: ratio("fetches", "conservative", "demand"), low: 0.75, high: 1.25, expected: "1.0 ± 0.25"},
		{what: "fetches, aggressive / demand", of: ratio("fetches", "aggressive", "demand"), low: 3, high: 11, expected: "3 to 11"},
		{what: "mean age − clock, aggressive / demand", of: ratio("stale_mean", "aggressive", "demand"), low: 0, high: 0.8, expected: "at most 0.8"},
	}
	return e
}
