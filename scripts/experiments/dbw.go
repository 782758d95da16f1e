package main

import (
	"fmt"
	"math"
	"time"
)

// staticWaits are the numbers of ranks to wait for that DBW is compared with.
var staticWaits = [...]int{1, 2, 3, 4, 6, 8, 10, 12, 16}

// descents are runs of 16 ranks whose iterations take exponentially distributed
// times, waiting for each number and under DBW. Those that have not arrived after
// limit end then.
func descents(prefix string, limit time.Duration, synth ...string) []setup {
	const ranks = 16
	var runs []setup
	run := func(name, policy string) {
		args := append([]string{"-exponential", "-duration", limit.String(), "-sync", policy}, synth...)
		runs = append(runs, setup{name: prefix + name, ranks: ranks, synth: args, takes: limit / 2})
	}
	for _, k := range staticWaits {
		run(fmt.Sprintf("k=%d", k), fmt.Sprintf("backup:%d", ranks-k))
	}
	run("dbw", "dbw")
	return runs
}

// bestStatic is the least time of those that wait for a number that stays; one
// that has not arrived counts with its limit.
func bestStatic(r map[string]result, prefix string) float64 {
	best := math.Inf(1)
	for _, k := range staticWaits {
		best = min(best, r[fmt.Sprintf("%sk=%d", prefix, k)].number("descent"))
	}
	return best
}

// dynamicBackup: how long a descent takes with dynamic backup workers, and with
// numbers of them that stay (Xu, Neglia and Sebastianelli, Dynamic backup workers
// for parallel machine learning, 2020).
func dynamicBackup() experiment {
	e := experiment{name: "dbw"}
	for _, noise := range []int{50, 200, 600} {
		prefix := fmt.Sprintf("V=%d, ", noise)
		e.runs = append(e.runs, descents(prefix, 20*time.Second, "-compute", "100ms", "-descend", fmt.Sprint(noise))...)
		e.figures = append(e.figures,
			figure{what: prefix + "seconds, dbw / best static k", of: func(r map[string]result) float64 {
				return r[prefix+"dbw"].number("descent") / bestStatic(r, prefix)
			}, low: 0, high: 1.6, expected: "1.1 to 1.5, at most 1.6"},
			figure{what: prefix + "seconds, dbw / waiting for all", of: ratio("descent", prefix+"dbw", prefix+"k=16"), low: 0, high: 0.65, expected: "0.14 to 0.42, at most 0.65"},
			figure{what: prefix + "dbw arrives", of: of("reached", prefix+"dbw"), low: 1, high: 1, expected: "1"})
	}
	return e
}

// changingSpeeds: six of the ranks become ten times slower on the way.
func changingSpeeds() experiment {
	return experiment{
		name: "dbw-changing",
		runs: descents("", 20*time.Second, "-compute", "100ms", "-descend", "200", "-first", "1e6", "-slow", "6", "-slow-after", "1500ms"),
		figures: []figure{{what: "seconds, best static k / dbw", of: func(r map[string]result) float64 {
			return bestStatic(r, "") / r["dbw"].number("descent")
		}, low: 1.1, high: math.Inf(1), expected: "at least 1.1"}},
	}
}
