package report

import (
	"math"
	"strings"
	"testing"
)

// TestFailedRunsDoNotWin: a setting whose only run failed is shown, and neither
// compared nor listened to when it comes to the metric and the target.
func TestFailedRunsDoNotWin(t *testing.T) {
	dirs := []string{
		synthetic(t, made{sync: "bsp", limit: 0.9, speed: 1, slow: 3, lower: true}),
		synthetic(t, made{sync: "ssp:3", limit: 0.9, speed: 1, slow: 2, lower: true}),
		synthetic(t, made{sync: "essp:x", limit: 0.9, speed: 1, slow: 0.01, lower: true, exit: 3}),
	}
	runs, err := Read(dirs...)
	if err != nil {
		t.Fatal(err)
	}
	runs[2].curves, runs[2].metric = nil, "" // it failed before it had one
	r := New(runs, Options{})
	if r.Metric == "" || !r.Reached {
		t.Errorf("metric %q, target %v: one failed run takes them from all", r.Metric, r.Target)
	}
	if v := r.Verdict(); !strings.HasPrefix(v, "ssp:3 ") || strings.Contains(v, "essp") {
		t.Errorf("verdict %q", v)
	}
	table := r.Table("settings")
	for _, row := range table.Rows {
		for i, c := range table.Columns {
			if row[0].Text == "essp:x" && (c.Key == "speedup" || c.Key == "seconds_to_target") && !math.IsNaN(row[i].Value) {
				t.Errorf("essp:x: %s is %v", c.Key, row[i].Value)
			}
		}
	}
	// With one setting that has ended there is nothing to compare.
	runs, err = Read(dirs[0], dirs[2])
	if err != nil {
		t.Fatal(err)
	}
	if v := New(runs, Options{}).Verdict(); v != "" {
		t.Errorf("verdict %q", v)
	}
}
