package main

import (
	"fmt"
	"math"
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// bandwidth is the cap of the managed experiments.
const bandwidth = "10mbit"

// capped: a rank sends what the cap says, in all windows of five seconds, and no
// read is beyond the bound (Wei et al., Managed communication and consistency for
// fast data-parallel iterative analytics, SoCC 2015). All rows are written in each
// clock: two to three times what the cap lets through, of which a sixth must leave.
// The reads that are tested are those of a load of a tenth of the bytes, under a
// twentieth of the cap.
func capped() experiment {
	const run, checked = "rate", "checked"
	return experiment{
		name: "managed-rate",
		runs: []setup{{
			name:    run,
			synth:   []string{"-load", "descent", "-update", "add", "-step", "0.005", "-rows", "704", "-width", "16", "-compute", "30ms", "-jitter", "0.2", "-clocks", "400", "-sync", "managed:10", "-bandwidth", bandwidth},
			takes:   20 * time.Second,
			observe: windows,
		}, {
			name:  checked,
			synth: []string{"-check", "-rows", "1300", "-compute", "50ms", "-jitter", "0.2", "-clocks", "100", "-sync", "managed:10", "-bandwidth", "500kbit"},
			takes: 10 * time.Second,
		}},
		figures: []figure{
			{what: "bytes of a rank in 5 s / cap, least", of: of("least_window", run), low: 0.95, high: 1.05, expected: "1 ± 0.05"},
			{what: "bytes of a rank in 5 s / cap, most", of: of("most_window", run), low: 0.95, high: 1.05, expected: "1 ± 0.05"},
			{what: "violations", of: of("violations", checked), low: 0, high: 0, expected: "0"},
		},
	}
}

// priority: with as many bytes a second, what matters most gets a loss down with
// fewer of them than what comes by chance: factors of ratings of which a few items
// get most. The bound is so loose that nothing has to leave within the run and the
// order decides of all bytes, a twelfth of what is sent without a cap. (Under
// managed:100 rows have to leave after 34 clocks, which takes half of the cap.) Three
// seeds, medians; a run that does not get there counts with all that a rank has sent,
// which is less than it would need.
func priority() experiment {
	const seeds, first, chance = 3, "managed:1000", "managed:1000,random"
	e := experiment{name: "managed-priority"}
	names := map[string][]string{}
	for seed := 1; seed <= seeds; seed++ {
		for _, policy := range []string{first, chance} {
			name := fmt.Sprintf("%s, seed %d", policy, seed)
			names[policy] = append(names[policy], name)
			e.runs = append(e.runs, setup{
				name: name,
				synth: []string{"-load", "factors", "-step", "0.01", "-rows", "512", "-width", "16", "-compute", "30ms", "-jitter", "0.2",
					"-clocks", "300", "-target", "0.5", "-sync", policy, "-bandwidth", "500kbit", "-seed", fmt.Sprint(seed)},
				takes: 12 * time.Second,
			})
		}
	}
	sent := func(policy string, r map[string]result) float64 {
		for _, name := range names[policy] {
			if x := r[name]; x["target_bytes"] == nil {
				x["target_bytes"] = x.number("bytes") / x.number("ranks")
			}
		}
		return median("target_bytes", names[policy])(r)
	}
	e.figures = []figure{{
		what: "bytes of a rank until the target, relmag / random", low: 0, high: 0.9, expected: "at most 0.9",
		of: func(r map[string]result) float64 { return sent(first, r) / sent(chance, r) },
	}}
	return e
}

// windows adds to the result the least and the most that a rank has sent for the
// store in five seconds, relative to the cap, after the first two seconds of its
// clocks and before the last.
func windows(run *telemetry.Run, r result) {
	const length, step, skip = 5.0, 0.25, 2.0
	bits, err := bootstrap.ParseRate(bandwidth)
	if err != nil {
		panic(err)
	}
	least, most := math.Inf(1), math.Inf(-1)
	for _, events := range run.Events {
		var at, sent []float64
		begin, end := math.Inf(1), math.Inf(-1)
		for _, e := range events {
			switch e.Kind {
			case "bytes":
				at = append(at, e.Time)
				sent = append(sent, float64(e.Bytes["update"]+e.Bytes["fetch"]+e.Bytes["push"]+e.Bytes["control"]))
			case "clock":
				begin, end = min(begin, e.Time), max(end, e.Time)
			}
		}
		for t := begin + skip; t+length <= end-1; t += step {
			x := (between(at, sent, t+length) - between(at, sent, t)) / length / (bits / 8)
			least, most = min(least, x), max(most, x)
		}
	}
	r["least_window"], r["most_window"] = least, most
}

// between is the value at t of a line through points, of which at increases.
func between(at, value []float64, t float64) float64 {
	for i := 1; i < len(at); i++ {
		if t <= at[i] && at[i] > at[i-1] {
			share := max(0, t-at[i-1]) / (at[i] - at[i-1])
			return value[i-1] + share*(value[i]-value[i-1])
		}
	}
	return math.NaN()
}
