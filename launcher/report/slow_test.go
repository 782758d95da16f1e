package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Several slow clocks are drawn, each of another time and none that is short.
func TestSlowClocksAreApart(t *testing.T) {
	at := func(rank int, start, seconds float64) SlowClock {
		return SlowClock{Rank: rank, Start: start, End: start + seconds}
	}
	for _, tt := range []struct {
		name   string
		clocks []SlowClock
		want   []int // indices
	}{
		{"none", nil, nil},
		{"all wait at once", []SlowClock{at(0, 1, 9), at(1, 1, 8.5), at(2, 2, 8)}, []int{0}},
		{"at three times, and once more", []SlowClock{at(0, 1, 9), at(1, 2, 8), at(2, 20, 7), at(0, 40, 7), at(1, 60, 6)}, []int{0, 2, 3}},
		{"one after another", []SlowClock{at(0, 1, 5), at(0, 6, 4), at(0, 9.5, 4)}, []int{0, 1, 2}},
		{"short ones", []SlowClock{at(0, 1, 9), at(0, 20, 4.4)}, []int{0}},
	} {
		got := apart(tt.clocks)
		var want []SlowClock
		for _, i := range tt.want {
			want = append(want, tt.clocks[i])
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, want)
		}
	}
}

// Each of them is a chart of its setting.
func TestSlowClocksAreDrawn(t *testing.T) {
	run := NewRun(telemetry.JobInfo{Program: "p", Ranks: 1, Ended: true, Setting: "bsp"})
	var spans []telemetry.Span
	for i := range 30 {
		from, took := time.Duration(i)*time.Second, 10*time.Millisecond
		if i%8 == 3 {
			took = 900 * time.Millisecond
		}
		spans = append(spans, telemetry.Span{Kind: telemetry.Compute, On: telemetry.NoRank, Start: from, End: from + took, Clock: int64(i)})
	}
	telemetry.NewRecorder(0, start(), func(line []byte) {
		var e telemetry.Event
		if err := e.Parse(line); err != nil {
			t.Error(err)
		}
		run.Add(0, &e)
	}).Spans(spans)
	r := New([]*Run{run}, Options{})
	var ids []string
	for _, c := range r.Charts {
		if c.Time != nil {
			ids = append(ids, c.ID)
		}
		if c.of != 1 && c.Time != nil {
			t.Errorf("%s is of setting %d", c.ID, c.of)
		}
	}
	if want := "slow-bsp slow2-bsp slow3-bsp"; strings.Join(ids, " ") != want {
		t.Errorf("charts %q, want %q", ids, want)
	}
	var page strings.Builder
	if err := r.Page(&page, Live{}); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if !strings.Contains(page.String(), `id="chart-`+id+`" data-of="0"`) {
			t.Errorf("the page has no %s that belongs to the setting", id)
		}
	}
}

// A run that did not come to its result goes by the name that the others have.
func TestSettingOfAKilledRun(t *testing.T) {
	said := telemetry.Event{Kind: "setting", Text: "ssp:3"}
	for _, tt := range []struct {
		job    telemetry.JobInfo
		events []telemetry.Event
		want   string
	}{
		{telemetry.JobInfo{Program: "bin/mf"}, nil, "mf"},
		{telemetry.JobInfo{Program: "bin/mf"}, []telemetry.Event{said}, "ssp:3"},
		{telemetry.JobInfo{Program: "bin/mf", Args: []string{"-sync", "ssp", "-staleness", "3"}}, []telemetry.Event{said}, "ssp:3"},
		{telemetry.JobInfo{Program: "bin/mf", Args: []string{"-sync", "ssp"}}, nil, "ssp"},
		{telemetry.JobInfo{Program: "bin/mf"}, []telemetry.Event{said, {Kind: "result", Result: [][2]string{{"sync", "bsp"}}}}, "bsp"},
		{telemetry.JobInfo{Program: "bin/mf", Setting: "async"}, []telemetry.Event{said}, "async"},
	} {
		tt.job.Ranks = 1
		run := NewRun(tt.job)
		for i := range tt.events {
			run.Add(0, &tt.events[i])
		}
		if got := run.Setting(); got != tt.want {
			t.Errorf("%+v, %v: setting %q, want %q", tt.job, tt.events, got, tt.want)
		}
	}
}

// The median of two whole numbers has no more digits than it needs.
func TestHalves(t *testing.T) {
	for v, want := range map[float64]string{106.5: "106.5", 7: "7", 0: "0", -1.5: "-1.5", 1234567: "1234567"} {
		if got := halves(v).Text; got != want {
			t.Errorf("%g: got %q, want %q", v, got, want)
		}
	}
}

// A window shows nothing of the time before the first clocks and after the last.
func TestWindowIsTrimmed(t *testing.T) {
	w := window{from: -3, to: 12, rows: []row{{bars: []bar{{from: 1, to: 2}, {from: 2, to: 4}}}, {bars: []bar{{from: 0.5, to: 3}}}}}
	if w.trim(); w.from != 0.5 || w.to != 4 {
		t.Errorf("from %g to %g, want 0.5 to 4", w.from, w.to)
	}
	empty := window{from: 1, to: 2}
	if empty.trim(); empty.from != 1 || empty.to != 2 {
		t.Errorf("nothing: from %g to %g", empty.from, empty.to)
	}
}
