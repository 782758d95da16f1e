package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Fact is a line of what is known of the job.
type Fact struct{ Name, Text string }

// facts lists what is known of the jobs.
func (r *Report) facts(runs []*Run) {
	add := func(name string, texts []string) {
		if len(texts) > 0 {
			r.Facts = append(r.Facts, Fact{name, strings.Join(texts, "\n")})
		}
	}
	distinct := func(of func(*Run) string) []string {
		var out []string
		for _, run := range runs {
			if s := of(run); s != "" && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
		return out
	}
	add("command", distinct(func(run *Run) string { return command(run.Job) }))
	add("hosts", distinct(func(run *Run) string { return hosts(run.Job) }))
	emulation := distinct(func(run *Run) string {
		text := run.Job.Settings["emulate"]
		if e, err := bootstrap.ParseEmulation(text); err == nil && text != "" {
			return e.Describe() + " (-emulate " + text + ")"
		}
		return text
	})
	if len(emulation) == 0 {
		emulation = []string{"none: the network as it is"}
	}
	add("emulated network", emulation)
	stragglers := distinct(func(run *Run) string {
		text := run.Job.Settings["straggle"]
		if s, err := bootstrap.ParseStraggle(text); err == nil && text != "" {
			return s.Describe() + " (-straggle " + text + ")"
		}
		return text
	})
	if len(stragglers) == 0 {
		stragglers = []string{"none made"}
	}
	add("stragglers", stragglers)
	add("versions", distinct(func(run *Run) string { return versions(run.Job) }))
	if n := len(runs); n > 0 {
		first, last := runs[0].Job.Start, runs[0].Job.Start
		for _, run := range runs {
			if run.Job.Start.Before(first) {
				first = run.Job.Start
			}
			if run.Job.Start.After(last) {
				last = run.Job.Start
			}
		}
		text := first.Format("2006-01-02 15:04:05 -0700")
		if n > 1 {
			text = plural(n, "run") + ", started from " + text + " to " + last.Format("2006-01-02 15:04:05 -0700")
		}
		add("time", []string{text})
	}
	var said []string
	for _, s := range r.Settings {
		for _, run := range s.Runs {
			name := ""
			if len(runs) > 1 {
				name = s.nameOf(run) + ", "
			}
			for _, text := range run.said {
				said = append(said, name+text)
			}
		}
	}
	add("notes", said)
	if r.Reached {
		add("target", []string{r.metricName() + " " + significant(r.Target, 5)})
	}
}

// versions says what a run was made with, "" when its record does not.
func versions(job telemetry.JobInfo) string {
	v := job.Versions
	if len(v) == 0 {
		return ""
	}
	return fmt.Sprintf("sspurn %s, %s, %s", v["sspurn"], v["go"], v["platform"])
}

// command is what was run, without what differs between settings.
func command(job telemetry.JobInfo) string {
	words := []string{job.Program}
	for _, a := range plainArgs(job) {
		words = append(words, quoted(a))
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell reads it.
func quoted(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n\"'\\$`*?[]()<>|&;#~!") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// hosts says which ranks ran where.
func hosts(job telemetry.JobInfo) string {
	var parts []string
	for i, h := range job.Hosts {
		if i == 8 {
			parts = append(parts, fmt.Sprintf("and %d more", len(job.Hosts)-i))
			break
		}
		parts = append(parts, h.Name+" ("+plural(len(h.Ranks), "rank")+")")
	}
	return strings.Join(parts, ", ")
}
