package report

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Options say what a report is about. The zero value is usable.
type Options struct {
	Title  string
	Target *float64 // value of the metric that runs are to reach; nil or NaN: one that all of them reached
	Order  []string // of the settings; others follow
	Items  string   // what rates count, "tokens" say; "" means items
}

// Report is what several runs say side by side.
type Report struct {
	Title    string
	Facts    []Fact
	Notes    []string // what a reader must know
	Settings []*Setting
	Metric   string // "" when the runs have none in common
	Higher   bool   // higher values of it are better
	Target   float64
	Reached  bool // Target means something

	Tables []*Table
	Charts []*Chart

	items string
}

// Setting is all runs under one setting.
type Setting struct {
	Name  string
	Runs  []*Run // in the order of their repeats
	good  []*Run // those that numbers are taken from
	whole bool   // they have ended well: others are not compared
}

// New makes the report of runs.
func New(runs []*Run, o Options) *Report {
	r := &Report{Title: o.Title, items: o.Items, Target: math.NaN()}
	if r.items == "" {
		r.items = "items"
	}
	r.Settings = settings(runs, o.Order)
	good := compared(r.Settings)
	if alike(good) {
		r.Metric, r.Higher = good[0].Metric()
	}
	switch {
	case r.Metric == "":
	case o.Target != nil && !math.IsNaN(*o.Target):
		r.Target, r.Reached = *o.Target, true
	default:
		r.Target, r.Reached = CommonTarget(good)
	}
	if r.Title == "" {
		r.Title = title(runs)
	}
	r.facts(runs)
	r.notes(runs)
	r.Tables = []*Table{
		r.settingsTable(), r.timeTable(), r.trafficTable(), r.runsTable(), r.ranksTable(), r.slowTable(), r.waitsTable(),
	}
	r.draw()
	return r
}

// compared are the runs that decide: those that have ended, or all where none
// has.
func compared(all []*Setting) []*Run {
	var ended, good []*Run
	for _, s := range all {
		good = append(good, s.good...)
		if s.whole {
			ended = append(ended, s.good...)
		}
	}
	if len(ended) > 0 {
		return ended
	}
	return good
}

// Table returns the table of an ID, or nil.
func (r *Report) Table(id string) *Table {
	for _, t := range r.Tables {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// plainArgs are the program's arguments without what differs between settings.
func plainArgs(job telemetry.JobInfo) []string {
	if job.Template != nil {
		return job.Template
	}
	var args []string
	for i := 0; i < len(job.Args); i++ {
		a := strings.TrimLeft(job.Args[i], "-")
		switch {
		case a == "sync" && i+1 < len(job.Args):
			i++
		case strings.HasPrefix(a, "sync="):
		default:
			args = append(args, job.Args[i])
		}
	}
	return args
}

// key is what runs of one setting have in common.
func (r *Run) key() string {
	s := r.Job.Settings
	return fmt.Sprintf("%q %q %q %d %q %q %q %q %q", r.Setting(), r.Job.Program, plainArgs(r.Job), r.Ranks(), s["emulate"], s["straggle"], s["shm"], s["on-demand"], s["bind"])
}

// settings sorts runs by setting.
func settings(runs []*Run, order []string) []*Setting {
	byKey := map[string]*Setting{}
	var all []*Setting
	for _, run := range runs {
		k := run.key()
		if byKey[k] == nil {
			byKey[k] = &Setting{Name: run.Setting()}
			all = append(all, byKey[k])
		}
		byKey[k].Runs = append(byKey[k].Runs, run)
	}
	names := map[string]int{}
	for _, s := range all {
		names[s.Name]++
		slices.SortStableFunc(s.Runs, func(a, b *Run) int {
			return cmp.Or(cmp.Compare(a.Job.Repeat, b.Job.Repeat), a.Job.Start.Compare(b.Job.Start))
		})
		for _, run := range s.Runs {
			if run.Ended() {
				s.good = append(s.good, run)
			}
		}
		if s.whole = len(s.good) > 0; !s.whole { // better than nothing, and the notes say it
			s.good = s.Runs
		}
	}
	place := func(s *Setting) int {
		if i := slices.Index(order, s.Name); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(all, func(a, b *Setting) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), compareSettings(a.Name, b.Name))
	})
	for _, s := range all {
		if names[s.Name] > 1 { // the same setting of different jobs
			dir := filepath.Clean(s.Runs[0].Dir)
			s.Name += " (" + filepath.Join(filepath.Base(filepath.Dir(dir)), filepath.Base(dir)) + ")"
		}
	}
	return all
}

// families are the policies from the strictest to the loosest.
var families = []string{"bsp", "absp", "ssp", "essp", "managed", "cap", "vap", "cvap", "fssp", "backup", "dbw", "auto", "async"}

// compareSettings orders settings by family and number.
func compareSettings(a, b string) int {
	rank := func(s string) (int, float64) {
		name, rest, _ := strings.Cut(s, ":")
		i := slices.Index(families, name)
		if i < 0 {
			i = len(families)
		}
		rest, _, _ = strings.Cut(rest, ",")
		x, _ := strconv.ParseFloat(rest, 64) // none: 0
		return i, x
	}
	fa, na := rank(a)
	fb, nb := rank(b)
	return cmp.Or(cmp.Compare(fa, fb), cmp.Compare(na, nb))
}

// alike reports whether all runs followed the same metric.
func alike(runs []*Run) bool {
	for _, s := range runs {
		name, higher := s.Metric()
		first, up := runs[0].Metric()
		if name == "" || name != first || higher != up {
			return false
		}
	}
	return len(runs) > 0
}

// settled is how much of the way from the first value to the goal that all runs
// reached makes the common target: at the goal itself the noise of the last
// passes would decide who was first.
const settled = 0.98

// CommonTarget returns a value that every run reached: 98 % of the way from the
// worst first value to the worst of the runs' best values. ok is false when the
// runs have no metric in common, or one of them no curve.
func CommonTarget(runs []*Run) (target float64, ok bool) {
	if !alike(runs) {
		return 0, false
	}
	from, to := math.Inf(1), math.Inf(1) // negated when lower is better
	for _, s := range runs {
		c := s.Curve()
		if len(c) < 2 {
			return 0, false
		}
		best := math.Inf(-1)
		for _, p := range c {
			if !math.IsNaN(p.Value) {
				best = max(best, s.sign()*p.Value)
			}
		}
		from, to = min(from, s.sign()*c[0].Value), min(to, best)
	}
	if math.IsNaN(from) || math.IsInf(to, 0) {
		return 0, false
	}
	return runs[0].sign() * (from + settled*(to-from)), true
}

// Best returns the setting with the best last value of the metric, as the median
// of its runs; ok is false without a metric.
func (r *Report) Best() (setting int, ok bool) {
	sign := -1.0
	if r.Higher {
		sign = 1
	}
	final := func(s *Setting) float64 {
		return sign * s.spread(func(run *Run) float64 { return orNaN(run.Final()) }).Median
	}
	for i, s := range r.Settings {
		if v := final(s); v > final(r.Settings[setting]) || math.IsNaN(final(r.Settings[setting])) {
			setting = i
		}
	}
	return setting, r.Metric != ""
}

// spread returns the spread of a number over the runs of a setting.
func (s *Setting) spread(of func(*Run) float64) Spread {
	values := make([]float64, 0, len(s.good))
	for _, run := range s.good {
		values = append(values, of(run))
	}
	return spread(values)
}

// outcome is spread for settings that are compared by it: NaN for one without a
// run that has ended.
func (s *Setting) outcome(of func(*Run) float64) Spread {
	if !s.whole {
		return spread([]float64{math.NaN()})
	}
	return s.spread(of)
}

// orNaN turns an absent value into NaN.
func orNaN(v float64, ok bool) float64 {
	if !ok {
		return math.NaN()
	}
	return v
}

// orNever turns a target that was not reached into an infinite time.
func orNever(v float64, ok bool) float64 {
	if !ok {
		return math.Inf(1)
	}
	return v
}

// title is the heading of a report that has none.
func title(runs []*Run) string {
	if len(runs) == 0 {
		return "no runs"
	}
	var programs []string
	for _, r := range runs {
		if p := filepath.Base(r.Job.Program); !slices.Contains(programs, p) {
			programs = append(programs, p)
		}
	}
	return strings.Join(programs, ", ") + " on " + plural(runs[0].Ranks(), "rank")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// metricName is the metric as it is read.
func (r *Report) metricName() string {
	if r.Metric == "" {
		return "loss"
	}
	return strings.ReplaceAll(r.Metric, "_", " ")
}

// state says how a run has ended.
func state(run *Run) string {
	switch {
	case run.Live:
		return "running"
	case !run.Job.Ended:
		return "not ended"
	case run.Job.Exit != 0 && run.Job.Cause != "":
		return "failed: " + run.Job.Cause
	case run.Job.Exit != 0:
		return "exit status " + strconv.Itoa(run.Job.Exit)
	}
	return "ended"
}
