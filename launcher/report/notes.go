package report

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// notes says what spoils the numbers.
func (r *Report) notes(runs []*Run) {
	for _, s := range r.Settings {
		for _, run := range s.Runs {
			name := s.nameOf(run)
			if !run.Ended() && !run.Live {
				r.Notes = append(r.Notes, name+": "+state(run)+without(s, run))
			}
			if text := incomplete(run); text != "" {
				r.Notes = append(r.Notes, name+": "+text)
			}
		}
	}
	r.unlike("on the same hosts", func(run *Run) string {
		var names []string
		for _, h := range run.Job.Hosts {
			names = append(names, h.Name)
		}
		slices.Sort(names)
		return some(slices.Compact(names), 4)
	})
	r.unlike("by the same versions", func(run *Run) string { return versions(run.Job) })
	if r.Metric == "" && len(runs) > 1 {
		r.Notes = append(r.Notes, "the runs report no metric that they have in common, so there are no curves of it and no target; speed-ups compare seconds of training")
	}
}

// incomplete says what a run's record lacks, "" for nothing.
func incomplete(run *Run) string {
	var parts []string
	if run.Job.Partial != "" {
		text := "the record is incomplete: " + run.Job.Partial
		if run.Seen {
			text += " (what was seen while it ran is here, without slow clocks)"
		}
		parts = append(parts, text)
	}
	ranks := make([]string, len(run.Torn))
	for i, rank := range run.Torn {
		ranks[i] = strconv.Itoa(rank)
	}
	switch len(ranks) {
	case 0:
	case 1:
		parts = append(parts, "the record of rank "+ranks[0]+" lacks its end; what is there was read")
	default:
		parts = append(parts, "the records of ranks "+some(ranks, 8)+" lack their ends; what is there was read")
	}
	return strings.Join(parts, "; ")
}

// without says that a run does not count.
func without(s *Setting, run *Run) string {
	if slices.Contains(s.good, run) {
		return ""
	}
	return " (medians are without it)"
}

// nameOf names one of the setting's runs.
func (s *Setting) nameOf(run *Run) string {
	if len(s.Runs) < 2 {
		return s.Name
	}
	return s.Name + ", " + repeatOf(run)
}

// repeatOf names a run among those of its setting: not all are of a comparison.
func repeatOf(run *Run) string {
	if run.Job.Repeat == 0 && run.Dir != "" {
		return filepath.Base(run.Dir)
	}
	return "repeat " + strconv.Itoa(run.Job.Repeat)
}

// unlike notes that runs differ in what they should have in common: it may be why
// their numbers differ. Runs that do not say it are left out.
func (r *Report) unlike(what string, of func(*Run) string) {
	var kinds []string
	members := map[string][]string{}
	for _, s := range r.Settings {
		repeats := map[string][]string{}
		for _, run := range s.Runs {
			kind := of(run)
			if kind == "" {
				continue
			}
			if !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
			repeats[kind] = append(repeats[kind], repeatOf(run))
		}
		for kind, names := range repeats {
			name := s.Name
			if len(names) < len(s.Runs) {
				name += " (" + some(names, 4) + ")"
			}
			members[kind] = append(members[kind], name)
		}
	}
	if len(kinds) < 2 {
		return
	}
	for i, kind := range kinds {
		kinds[i] = some(members[kind], 6) + ": " + kind
	}
	r.Notes = append(r.Notes, "the runs were not made "+what+", which may be why they differ: "+strings.Join(kinds, "; "))
}

// some lists the first of many names.
func some(names []string, most int) string {
	if n := len(names); n > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", n-most)
	}
	return strings.Join(names, ", ")
}
