package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// figure is a number that an experiment yields and what is expected of it.
type figure struct {
	experiment string
	what       string
	of         func(map[string]result) float64
	low, high  float64 // the value must lie between
	expected   string
	percent    bool
	enough     bool // how often something was tested: not drawn

	value float64
}

func (f figure) good() bool { return f.value >= f.low && f.value <= f.high } // not with NaN

func (f figure) verdict() string {
	if f.good() {
		return "ok"
	}
	return "MISSED"
}

func (f figure) text() string {
	if f.percent {
		return fmt.Sprintf("%.1f %%", 100*f.value)
	}
	return fmt.Sprintf("%.4g", f.value)
}

// ratio is key of one run over that of another.
func ratio(key, over, under string) func(map[string]result) float64 {
	return func(r map[string]result) float64 { return r[over].number(key) / r[under].number(key) }
}

// of is key of a run.
func of(key, run string) func(map[string]result) float64 {
	return func(r map[string]result) float64 { return r[run].number(key) }
}

// median is that of key over runs, of which there is an odd number.
func median(key string, runs []string) func(map[string]result) float64 {
	return func(r map[string]result) float64 {
		values := make([]float64, len(runs))
		for i, run := range runs {
			values[i] = r[run].number(key)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
}

// experiment is some runs and what they show.
type experiment struct {
	name    string
	runs    []setup
	compare *comparison // instead of runs: what its report says of each setting
	figures []figure
}

// experiments returns all of them. Expected values are those of a simulation of
// eight ranks with the same compute times, in which the closed forms of the
// rotating straggler hold: T+d a clock under BSP, T+d/8 with enough slack.
func experiments() []experiment {
	return slices.Concat([]experiment{rotating(), permanent(), freeing(), converging(), dynamicBackup(), changingSpeeds(), fetches(), staleness(), readRule(), blocks(), products(), prefetch(), throttle(), revision(), capped(), priority()}, compared(), tuned())
}

// rotating: one rank after the other is late (Ho et al., More effective
// distributed ML via a stale synchronous parallel parameter server, NIPS 2013).
func rotating() experiment {
	run := func(policy string, perClock time.Duration) setup {
		return setup{
			name: policy, launch: []string{"-straggle", "rotate,delay=200ms"},
			synth: []string{"-compute", "50ms", "-clocks", "200", "-sync", policy}, takes: 200 * perClock,
		}
	}
	return experiment{
		name: "rotating",
		runs: []setup{run("bsp", 250*time.Millisecond), run("ssp:1", 125*time.Millisecond), run("ssp:3", 75*time.Millisecond)},
		figures: []figure{
			{what: "seconds, bsp / ssp:3", of: ratio("seconds", "bsp", "ssp:3"), low: 2.8, high: math.Inf(1), expected: "3.3, at least 2.8"},
			{what: "seconds, bsp / ssp:1", of: ratio("seconds", "bsp", "ssp:1"), low: 1.7, high: math.Inf(1), expected: "2.0, at least 1.7"},
		},
	}
}

// permanent: one rank is always four times slower, which no slack can hide.
func permanent() experiment {
	run := func(policy string) setup {
		return setup{
			name: policy, launch: []string{"-straggle", "rank=0,factor=4"},
			synth: []string{"-compute", "50ms", "-clocks", "60", "-sync", policy}, takes: 12 * time.Second,
		}
	}
	return experiment{
		name: "permanent",
		runs: []setup{run("bsp"), run("ssp:3")},
		figures: []figure{
			{what: "seconds, bsp / ssp:3", of: ratio("seconds", "bsp", "ssp:3"), low: 1 / 1.1, high: 1.1, expected: "1.0, 0.91 to 1.1"},
		},
	}
}

// fetches: how many rows are asked for again under a bound, as a share of those
// under none of slack.
func fetches() experiment {
	run := func(name, policy string, more ...string) setup {
		return setup{
			name:  name,
			synth: append([]string{"-compute", "50ms", "-clocks", "200", "-sync", policy}, more...), takes: 11 * time.Second,
		}
	}
	return experiment{
		name: "fetches",
		runs: []setup{
			run("ssp:0", "ssp:0"), run("ssp:1", "ssp:1"), run("ssp:3", "ssp:3"),
			run("ssp:0 with barriers", "ssp:0", "-barrier"), run("ssp:3 with barriers", "ssp:3", "-barrier"),
		},
		figures: []figure{
			{what: "fetches, ssp:1 / ssp:0", of: ratio("fetches", "ssp:1", "ssp:0"), low: 0.75, high: 1, expected: "about 92 %, at least 75 %", percent: true},
			{what: "fetches, ssp:3 / ssp:0", of: ratio("fetches", "ssp:3", "ssp:0"), low: 0.27, high: 0.39, expected: "33 % ± 6", percent: true},
			{what: "the same with a barrier each clock", of: ratio("fetches", "ssp:3 with barriers", "ssp:0 with barriers"), low: 0.22, high: 0.28, expected: "25 % ± 3", percent: true},
		},
	}
}

// staleness: how old the copies are that reads use, on links with a delay (Dai
// et al., High-performance distributed ML at scale through parameter server
// consistency models, AAAI 2015). Ranks drift apart as a run goes on, so its
// length counts, and one run says little: five seeds, the median.
func staleness() experiment {
	const seeds = 5
	e := experiment{name: "staleness"}
	names := map[string][]string{}
	for seed := 1; seed <= seeds; seed++ {
		for _, policy := range []string{"ssp:10", "essp:10", "cap:10"} {
			name := fmt.Sprintf("%s, seed %d", policy, seed)
			names[policy] = append(names[policy], name)
			e.runs = append(e.runs, setup{
				name: name, launch: []string{"-emulate", "delay=5ms"},
				synth: []string{"-compute", "50ms", "-jitter", "0.2", "-clocks", "100", "-sync", policy, "-seed", fmt.Sprint(seed)},
				takes: 6 * time.Second,
			})
		}
	}
	mean := func(policy string) func(map[string]result) float64 { return median("stale_mean", names[policy]) }
	e.figures = []figure{
		{what: "mean age − clock, essp:10", of: mean("essp:10"), low: -2.5, high: 0, expected: "−2.0, at least −2.5"},
		{what: "mean age − clock, cap:10", of: mean("cap:10"), low: -2.5, high: 0, expected: "at least −2.5"},
		{what: "mean age − clock, ssp:10", of: mean("ssp:10"), low: -8, high: -3.5, expected: "−5.8, between −8 and −3.5"},
		{what: "its standard deviation, essp:10 / ssp:10", of: func(r map[string]result) float64 {
			return median("stale_sd", names["essp:10"])(r) / median("stale_sd", names["ssp:10"])(r)
		}, low: 0, high: 0.6, expected: "0.4, at most 0.6"},
	}
	return e
}

// readRule: every read of many is tested against the rule of its policy.
func readRule() experiment {
	e := experiment{name: "read-rule"}
	for _, policy := range []string{"bsp", "ssp:1", "ssp:3", "essp:3", "async", "absp:4", "cap:3", "cvap:3,4", "vap:4,strong"} {
		for _, x := range [][2]int{{1, 900}, {3, 300}} {
			workers, clocks := x[0], x[1]
			name := fmt.Sprintf("%s, %d workers a rank", policy, workers)
			e.runs = append(e.runs, setup{
				name: name,
				synth: []string{
					"-check", "-compute", "2ms", "-jitter", "0.9", "-rows", "40", "-touch", "16", "-sync", policy,
					"-workers", fmt.Sprint(workers), "-clocks", fmt.Sprint(clocks),
				},
				takes: 8 * time.Second,
			})
			e.figures = append(e.figures,
				figure{what: "tested reads, " + name, of: of("checked", name), low: 1e5, high: math.Inf(1), expected: "at least 100000", enough: true},
				figure{what: "violations, " + name, of: of("violations", name), low: 0, high: 0, expected: "0"})
		}
	}
	return e
}
