package report

import (
	"bytes"
	"strings"
	"testing"
)

// Runs of other hosts or versions are told from repeats, in tables and page.
func TestUnlikeRunsAreNoted(t *testing.T) {
	var runs []*Run
	for repeat := 1; repeat <= 3; repeat++ {
		for _, sync := range []string{"bsp", "ssp:3"} {
			read, err := Read(synthetic(t, made{sync: sync, repeat: repeat, limit: -7, speed: 1}))
			if err != nil {
				t.Fatal(err)
			}
			runs = append(runs, read...)
		}
	}
	if n := New(runs, Options{}).Notes; len(n) != 0 {
		t.Errorf("notes of runs that are alike: %q", n)
	}
	runs[3].Job.Hosts[1].Name = "other" // ssp:3, repeat 2
	runs[5].Job.Versions = map[string]string{"sspurn": "new", "go": "go1.27", "platform": "linux/arm64"}
	runs[0].Job.Versions = nil // of bsp, repeat 1, nobody knows
	r := New(runs, Options{})
	want := []string{
		"the runs were not made on the same hosts, which may be why they differ: bsp, ssp:3 (repeat 1, repeat 3): hosta, hostb; ssp:3 (repeat 2): hosta, other",
		"the runs were not made by the same versions, which may be why they differ: bsp (repeat 2, repeat 3), ssp:3 (repeat 1, repeat 2): sspurn devel, go1.26, linux/amd64; ssp:3 (repeat 3): sspurn new, go1.27, linux/arm64",
	}
	var page, table bytes.Buffer
	if err := r.Page(&page, Live{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Terminal(&table, 0); err != nil {
		t.Fatal(err)
	}
	if len(r.Notes) != len(want) {
		t.Fatalf("notes %q", r.Notes)
	}
	for i, note := range want {
		if r.Notes[i] != note {
			t.Errorf("note %q, want %q", r.Notes[i], note)
		}
		if !strings.Contains(page.String(), "<li>"+note+"</li>") || !strings.Contains(table.String(), note+"\n") {
			t.Errorf("not in page or table: %q", note)
		}
	}
}
