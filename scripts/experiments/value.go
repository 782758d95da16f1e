package main

import (
	"math"
	"time"
)

// throttle: where nothing but the bound on values limits updates of one sign, they
// leave at its rate to the time in which an update becomes visible to all (Wei et
// al., Consistency models of distributed machine learning, 2013): four times the
// delay of a link, here where all ranks write one row. 500 clocks that add 1 under
// a bound of 10 on links of 20 ms take as many seconds as that is delays.
func throttle() experiment {
	run := func(policy string, takes time.Duration) setup {
		return setup{
			name: policy, launch: []string{"-emulate", "delay=20ms"},
			synth: []string{"-compute", "0s", "-clocks", "500", "-rows", "1", "-sync", policy}, takes: takes,
		}
	}
	return experiment{
		name: "throttle",
		runs: []setup{run("vap:10", 7*time.Second), run("vap:20", 4*time.Second), run("vap:10,strong", 30*time.Second), run("cvap:1000,10", 7*time.Second)},
		figures: []figure{
			{what: "delays of a link to full visibility, vap:10", of: of("seconds", "vap:10"), low: 3, high: 5, expected: "4 ± 25 %"},
			{what: "seconds, vap:10 / vap:20", of: ratio("seconds", "vap:10", "vap:20"), low: 1.75, high: 2.25, expected: "2.0 ± 0.25"},
			{what: "seconds, cvap:1000,10 / vap:10", of: ratio("seconds", "cvap:1000,10", "vap:10"), low: 0.9, high: 1.1, expected: "1.0 ± 0.1"},
			{what: "seconds, vap:10,strong / vap:10", of: ratio("seconds", "vap:10,strong", "vap:10"), low: 1, high: math.Inf(1), expected: "more than 1: all ranks share one bound"},
		},
	}
}
