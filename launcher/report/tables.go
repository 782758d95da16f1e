package report

import (
	"fmt"
	"math"

	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// settingsTable: which setting reaches the answer first.
func (r *Report) settingsTable() *Table {
	t := &Table{ID: "settings", Title: "Which setting reaches the answer first"}
	several := len(r.Settings) > 1
	switch {
	case !several:
		t.Title = "The answer"
	case !r.Reached:
		t.Title = "Which setting is done first"
	}
	t.Columns = []Column{{Key: "setting", Head: "setting", Text: true}, {Key: "runs", Head: "runs"}}
	if r.Reached {
		t.Columns = append(t.Columns,
			Column{Key: "seconds_to_target", Head: "s to " + significant(r.Target, 4), Spread: true},
			Column{Key: "clocks_to_target", Head: "clocks to it", Spread: true})
		t.Note = fmt.Sprintf("Seconds and clocks until %s was %s, on straight lines between the values that were reported.", r.metricName(), significant(r.Target, 5))
	}
	if r.Metric != "" {
		t.Columns = append(t.Columns, Column{Key: "final_" + r.Metric, Head: "final " + r.metricName(), Spread: true})
	}
	t.Columns = append(t.Columns,
		Column{Key: "seconds", Head: "seconds", Spread: true},
		Column{Key: "rate", Head: r.items + "/s", Spread: true},
		Column{Key: "waited_share", Head: "waited", Spread: true})
	if several {
		t.Columns = append(t.Columns, Column{Key: "speedup", Head: "speed-up"})
	}
	short := func(v float64) Cell { return number(v, 3) }
	decisive := func(run *Run) float64 { return run.Seconds() }
	if r.Reached {
		decisive = func(run *Run) float64 { return orNever(run.TimeTo(r.Target)) }
	}
	for i, s := range r.Settings {
		row := []Cell{words(s.Name), count(int64(len(s.good)))}
		if r.Reached {
			row = append(row, spreadCell(s.outcome(decisive), never(short)),
				spreadCell(s.outcome(func(run *Run) float64 { return orNever(run.ClocksTo(r.Target)) }), never(short)))
		}
		if r.Metric != "" {
			row = append(row, spreadCell(s.spread(func(run *Run) float64 { return orNaN(run.Final()) }), func(v float64) Cell { return number(v, 5) }))
		}
		row = append(row,
			spreadCell(s.spread((*Run).Seconds), short),
			spreadCell(s.spread((*Run).Rate), rate),
			spreadCell(s.spread(func(run *Run) float64 { return run.Whole().Waited() }), percent))
		first, own := r.Settings[0].outcome(decisive).Median, s.outcome(decisive).Median
		up := first / own
		if i > 0 && (math.IsInf(first, 0) || math.IsInf(own, 0) || own == 0) {
			up = math.NaN()
		}
		if i == 0 {
			up = 1
		}
		if several {
			row = append(row, number(up, 3))
		}
		t.Rows = append(t.Rows, row)
	}
	if several {
		t.Note += " Speed-up is over " + r.Settings[0].Name + "."
	}
	t.Note += medians(r.Settings)
	return t
}

// never shows an infinite time in words.
func never(show func(float64) Cell) func(float64) Cell {
	return func(v float64) Cell {
		if math.IsInf(v, 0) {
			return Cell{Text: "never", Value: v}
		}
		return show(v)
	}
}

// medians says what the numbers in brackets are.
func medians(all []*Setting) string {
	for _, s := range all {
		if len(s.good) > 1 {
			return " Medians of the runs, and in brackets the least and the largest."
		}
	}
	return ""
}

// partNames are the parts of a Split in the order of parts.
var partNames = [...]string{"compute", "straggle", "gate", "miss", "flush"}

// timeTable: where the time of the workers went, and how old their reads were.
func (r *Report) timeTable() *Table {
	t := &Table{
		ID: "time", Title: "Where the time of the workers went, and how old their reads were",
		Note: "Compute is the time outside the store; straggle was slept for -straggle; gate is waiting for workers that are behind, miss for rows to arrive, flush the handing over of updates. " +
			"Staleness is how many clocks the copy that was read was behind the reader's clock; fetched counts rows asked for at other ranks for each row read.",
		Columns: []Column{{Key: "setting", Head: "setting", Text: true}},
	}
	for _, p := range partNames {
		t.Columns = append(t.Columns, Column{Key: p + "_share", Head: p, Spread: true})
	}
	t.Columns = append(t.Columns, Column{Key: "staleness_mean", Head: "staleness", Spread: true}, Column{Key: "staleness_p99", Head: "99th pct", Spread: true},
		Column{Key: "reads", Head: "reads", Spread: true}, Column{Key: "fetched_share", Head: "fetched", Spread: true})
	for _, s := range r.Settings {
		row := []Cell{words(s.Name)}
		for i := range partNames {
			row = append(row, spreadCell(s.spread(func(run *Run) float64 {
				w := run.Whole()
				return share(w.parts()[i], w.Total())
			}), percent))
		}
		row = append(row,
			spreadCell(s.spread(func(run *Run) float64 { return orNaN(mean(run.Stale())) }), func(v float64) Cell { return number(v, 3) }),
			spreadCell(s.spread(func(run *Run) float64 {
				q, ok := quantile(run.Stale(), 0.99)
				return orNaN(float64(q), ok)
			}), halves),
			spreadCell(s.spread(func(run *Run) float64 { n, _ := run.Reads(); return float64(n) }), rate),
			spreadCell(s.spread(func(run *Run) float64 {
				reads, fetches := run.Reads()
				return share(float64(fetches), float64(reads))
			}), percent))
		t.Rows = append(t.Rows, row)
	}
	return t
}

// trafficTable: what the ranks sent.
func (r *Report) trafficTable() *Table {
	t := &Table{
		ID: "traffic", Title: "What all ranks sent",
		Note: "Update: batches of updates to the owners; fetch: requests for rows and the answers; push: rows that owners sent unasked; control: rounds of Sync; " +
			"other: collectives, the program's own messages, headers. Compression is how many times longer updates, fetches and pushes were before.",
		Columns: []Column{{Key: "setting", Head: "setting", Text: true}},
	}
	for _, c := range classes {
		t.Columns = append(t.Columns, Column{Key: c + "_bytes", Head: c, Spread: true})
	}
	t.Columns = append(t.Columns, Column{Key: "sent_bytes", Head: "all", Spread: true}, Column{Key: "compression", Head: "compression", Spread: true})
	limited := false
	for _, s := range r.Settings {
		for _, run := range s.good {
			_, ok := run.linkSeconds()
			limited = limited || ok
		}
	}
	if limited {
		t.Columns = append(t.Columns, Column{Key: "link_seconds", Head: "s on the link", Spread: true})
		t.Note += " Seconds on the link are what all bytes of the job on the busiest link take at its emulated rate, loading and evaluation included."
	}
	filtered := false
	for _, s := range r.Settings {
		for _, run := range s.good {
			held, saved := run.Filtered()
			filtered = filtered || held != 0 || saved != 0
		}
	}
	if filtered {
		t.Columns = append(t.Columns, Column{Key: "held_rows", Head: "rows held", Spread: true}, Column{Key: "filtered_bytes", Head: "filtered", Spread: true})
		t.Note += " Filters kept back the updates of so many rows at the end of a clock, to leave later with newer ones; filtered is about by how much that " +
			"and fewer bits a value made updates shorter, before compression."
	}
	for _, s := range r.Settings {
		row := []Cell{words(s.Name)}
		for _, c := range classes {
			row = append(row, spreadCell(s.spread(func(run *Run) float64 { return float64(run.Bytes()[c]) }), octets))
		}
		row = append(row, spreadCell(s.spread(func(run *Run) float64 { return float64(run.Sent()) }), octets),
			spreadCell(s.spread(func(run *Run) float64 { return orNaN(run.Compression()) }), func(v float64) Cell { return number(v, 3) }))
		if limited {
			row = append(row, spreadCell(s.spread(func(run *Run) float64 { return orNaN(run.linkSeconds()) }), func(v float64) Cell { return number(v, 3) }))
		}
		if filtered {
			row = append(row, spreadCell(s.spread(func(run *Run) float64 { held, _ := run.Filtered(); return float64(held) }), func(v float64) Cell { return Cell{Text: thousands(v, ""), Value: v} }),
				spreadCell(s.spread(func(run *Run) float64 { _, saved := run.Filtered(); return float64(saved) }), octets))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// linkSeconds returns how long the bytes of the busiest link take at its
// emulated rate; ok is false when no rate is emulated.
func (r *Run) linkSeconds() (seconds float64, ok bool) {
	e, err := bootstrap.ParseEmulation(r.Job.Settings["emulate"])
	if err != nil {
		return 0, false
	}
	for rank := range r.ranks {
		for to, n := range r.ranks[rank].to {
			if bits := e.RateOf(rank, to); bits > 0 {
				seconds, ok = max(seconds, 8*float64(n)/bits), true
			}
		}
	}
	return seconds, ok
}

// runsTable: every run.
func (r *Report) runsTable() *Table {
	t := &Table{ID: "runs", Title: "Every run", Columns: []Column{
		{Key: "setting", Head: "setting", Text: true}, {Key: "repeat", Head: "repeat"}, {Key: "started", Head: "started", Text: true},
		{Key: "ranks", Head: "ranks"}, {Key: "passes", Head: "passes"}, {Key: "clocks", Head: "clocks"}, {Key: "seconds", Head: "seconds"},
		{Key: "rate", Head: r.items + "/s"}, {Key: "final", Head: "final " + r.metricName()}, {Key: "seconds_to_target", Head: "s to target"},
		{Key: "sent_bytes", Head: "sent"}, {Key: "state", Head: "state", Text: true}, {Key: "directory", Head: "directory", Text: true},
	}}
	for _, s := range r.Settings {
		for _, run := range s.Runs {
			final, toTarget := math.NaN(), math.NaN()
			if name, _ := run.Metric(); name == r.Metric && name != "" {
				final = orNaN(run.Final())
				if r.Reached {
					toTarget = orNever(run.TimeTo(r.Target))
				}
			}
			t.Rows = append(t.Rows, []Cell{
				words(s.Name), count(int64(run.Job.Repeat)), words(run.Job.Start.Format("15:04:05")), count(int64(run.Ranks())),
				number(run.Passes(), 4), count(run.Clocks()), number(run.Seconds(), 4), rate(run.Rate()), number(final, 6),
				never(func(v float64) Cell { return number(v, 4) })(toTarget), octets(float64(run.Sent())), words(state(run)), words(run.Dir),
			})
		}
	}
	return t
}

// ranksTable: the time of the workers of each rank, in seconds a worker.
func (r *Report) ranksTable() *Table {
	t := &Table{
		ID: "ranks", Title: "Time of each rank, in seconds a worker, and its part in the work",
		Note:    "Iterations are the clocks that its workers ended, those that they skipped not counted; dropped are those that did not count, as they came too late; contributed is the share of the others in those of all ranks.",
		Columns: []Column{{Key: "setting", Head: "setting", Text: true}, {Key: "rank", Head: "rank"}},
	}
	for _, p := range partNames {
		t.Columns = append(t.Columns, Column{Key: p + "_seconds", Head: p, Spread: true})
	}
	t.Columns = append(t.Columns, Column{Key: "iterations", Head: "iterations", Spread: true}, Column{Key: "dropped", Head: "dropped", Spread: true}, Column{Key: "contributed_share", Head: "contributed", Spread: true})
	for _, s := range r.Settings {
		for rank := range s.ranks() {
			row := []Cell{words(s.Name), count(int64(rank))}
			for i := range partNames {
				row = append(row, spreadCell(s.part(rank, i), func(v float64) Cell { return number(v, 4) }))
			}
			row = append(row,
				spreadCell(s.spread(func(run *Run) float64 {
					if rank >= run.Ranks() {
						return math.NaN()
					}
					return float64(run.Iterations(rank))
				}), rate),
				spreadCell(s.spread(func(run *Run) float64 {
					if rank >= run.Ranks() {
						return math.NaN()
					}
					return float64(run.Dropped(rank))
				}), rate),
				spreadCell(s.spread(func(run *Run) float64 {
					if rank >= run.Ranks() {
						return math.NaN()
					}
					all := int64(0)
					for r := range run.Ranks() {
						all += run.Iterations(r) - run.Dropped(r)
					}
					return share(float64(run.Iterations(rank)-run.Dropped(rank)), float64(all))
				}), percent))
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// ranks is the number of ranks of the setting's runs.
func (s *Setting) ranks() int {
	n := 0
	for _, run := range s.good {
		n = max(n, run.Ranks())
	}
	return n
}

// part is the spread of one part of a rank's time, in seconds a worker.
func (s *Setting) part(rank, i int) Spread {
	return s.spread(func(run *Run) float64 {
		if rank >= run.Ranks() || run.Workers(rank) == 0 {
			return math.NaN()
		}
		return run.Split(rank).parts()[i] / float64(run.Workers(rank))
	})
}

// slowest is how many clocks of a setting the table lists.
const slowest = 10

// slowTable: the slowest clocks of the run of each setting whose time is the
// median.
func (r *Report) slowTable() *Table {
	t := &Table{
		ID: "clocks", Title: "The slowest clocks, and who was waited for",
		Note: "Of the run of each setting that took the median time. Start counts from the start of the job.",
		Columns: []Column{
			{Key: "setting", Head: "setting", Text: true}, {Key: "repeat", Head: "repeat"}, {Key: "rank", Head: "rank"}, {Key: "worker", Head: "worker"},
			{Key: "clock", Head: "clock"}, {Key: "start_seconds", Head: "start, s"}, {Key: "seconds", Head: "seconds"},
		},
	}
	for _, p := range partNames {
		t.Columns = append(t.Columns, Column{Key: p + "_seconds", Head: p})
	}
	t.Columns = append(t.Columns, Column{Key: "waited_for_rank", Head: "waited for rank"}, Column{Key: "waited_for_seconds", Head: "for s"})
	for _, s := range r.Settings {
		run := s.typical()
		for _, c := range run.Slowest(slowest) {
			row := []Cell{
				words(s.Name), count(int64(run.Job.Repeat)), count(int64(c.Rank)), count(int64(c.Worker)), count(c.Clock),
				number(c.Start, 5), number(c.seconds(), 4),
			}
			for _, p := range c.Split.parts() {
				row = append(row, number(p, 3))
			}
			if c.On == telemetry.NoRank {
				row = append(row, unknown(), unknown())
			} else {
				row = append(row, count(int64(c.On)), number(c.OnSeconds, 3))
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// typical is the run of the setting whose seconds are nearest to the median.
func (s *Setting) typical() *Run {
	middle := s.spread((*Run).Seconds).Median
	best := s.good[0]
	for _, run := range s.good[1:] {
		if math.Abs(run.Seconds()-middle) < math.Abs(best.Seconds()-middle) {
			best = run
		}
	}
	return best
}

// waitsTable: who waited at the gate for whom.
func (r *Report) waitsTable() *Table {
	t := &Table{
		ID: "waits", Title: "Who waited for whom",
		Note: "Seconds at the gate of all workers of a rank, by the rank whose updates came last. Those below a thousandth of the setting's largest are left out.",
		Columns: []Column{
			{Key: "setting", Head: "setting", Text: true}, {Key: "rank", Head: "rank"}, {Key: "waited_for_rank", Head: "waited for rank"},
			{Key: "gate_seconds", Head: "seconds", Spread: true},
		},
	}
	for _, s := range r.Settings {
		n := s.ranks()
		waits := make([][]Spread, n)
		most := 0.0
		for rank := range n {
			waits[rank] = make([]Spread, n)
			for to := range n {
				waits[rank][to] = s.spread(func(run *Run) float64 {
					if rank >= run.Ranks() || to >= run.Ranks() {
						return math.NaN()
					}
					return run.On(rank)[to]
				})
				most = max(most, waits[rank][to].Median)
			}
		}
		for rank := range n {
			for to, w := range waits[rank] {
				if w.Median > most/1000 {
					t.Rows = append(t.Rows, []Cell{words(s.Name), count(int64(rank)), count(int64(to)), spreadCell(w, func(v float64) Cell { return number(v, 3) })})
				}
			}
		}
	}
	return t
}

// curveTable holds what a chart of lines draws.
func (r *Report) curveTable(id, title, key, head, valueKey, valueHead string, lines []Line) *Table {
	t := &Table{ID: id, Title: title, Columns: []Column{
		{Key: "setting", Head: "setting", Text: true}, {Key: key, Head: head}, {Key: valueKey, Head: valueHead, Spread: true},
	}}
	for _, l := range lines {
		for i, x := range l.x {
			y := spreadCell(Spread{l.median[i], l.low[i], l.high[i], l.runs}, func(v float64) Cell { return number(v, 5) })
			t.Rows = append(t.Rows, []Cell{words(l.Name), number(x, 5), y})
		}
	}
	return t
}
