package report

import (
	"bytes"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

func names(r *Report) string {
	var out []string
	for _, s := range r.Settings {
		out = append(out, s.Name)
	}
	return strings.Join(out, " ")
}

func TestSettingsAreSorted(t *testing.T) {
	var dirs []string
	for _, s := range []string{"async", "essp:3", "ssp:10", "ssp:3", "bsp", "other"} {
		dirs = append(dirs, synthetic(t, made{sync: s, limit: -7, speed: 1}))
	}
	for order, want := range map[string]string{
		"":             "bsp ssp:3 ssp:10 essp:3 async other",
		"async,ssp:10": "async ssp:10 bsp ssp:3 essp:3 other",
	} {
		if got := names(read(t, Options{Order: strings.Split(order, ",")}, dirs...)); got != want {
			t.Errorf("order %q: got %s, want %s", order, got, want)
		}
	}
}

// Runs of one setting that differ in anything else are not repeats of one another.
func TestDifferentJobsStayApart(t *testing.T) {
	a := synthetic(t, made{sync: "bsp", limit: -7, speed: 1})
	b := synthetic(t, made{sync: "bsp", limit: -7, speed: 1, args: []string{"-rank", "8"}})
	c := synthetic(t, made{sync: "bsp", limit: -7, speed: 1, emulate: "rate=1mbit"})
	r := read(t, Options{}, a, b, c, a)
	if len(r.Settings) != 3 || len(r.Settings[0].Runs) != 2 {
		t.Errorf("settings %s", names(r))
	}
	if n := len(slices.Compact(strings.Fields(names(r)))); n < 2 {
		t.Errorf("names do not tell apart: %s", names(r))
	}
}

func TestFailedRunsDoNotCount(t *testing.T) {
	good := synthetic(t, made{sync: "bsp", repeat: 1, limit: -7, speed: 1, slow: 2})
	bad := synthetic(t, made{sync: "bsp", repeat: 2, limit: -7, speed: 1, slow: 50, exit: 3})
	r := read(t, Options{}, good, bad)
	row := r.Table("settings").Rows[0]
	if row[1].Value != 1 || len(r.Table("runs").Rows) != 2 {
		t.Errorf("got %v", row)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "exit status 3") || !strings.Contains(r.Notes[0], "repeat 2") || !strings.Contains(r.Notes[0], "without it") {
		t.Errorf("notes %q", r.Notes)
	}
	// Alone it is shown all the same, and the notes say what it is.
	if r := read(t, Options{}, bad); len(r.Notes) != 1 || strings.Contains(r.Notes[0], "without it") || r.Table("settings").Rows[0][1].Value != 1 {
		t.Errorf("notes %q", r.Notes)
	}
}

func TestTornAndUnended(t *testing.T) {
	dir := synthetic(t, made{sync: "ssp:1", limit: -7, speed: 1})
	name := filepath.Join(dir, telemetry.RankFile(1))
	text, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, text[:len(text)/2], 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, Options{}, dir)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "lacks its end") {
		t.Errorf("notes %q", r.Notes)
	}
	var b bytes.Buffer
	if err := r.Page(&b, Live{}); err != nil || !strings.Contains(b.String(), "lacks its end") {
		t.Errorf("the page does not say it (%v)", err)
	}
}

// A report of nothing, and of runs that recorded nothing, is a report.
func TestNothing(t *testing.T) {
	for _, runs := range [][]*Run{nil, {NewRun(telemetry.JobInfo{Program: "true", Ranks: 3})}, {NewRun(telemetry.JobInfo{Program: "true"})}} {
		r := New(runs, Options{})
		var page, table, data bytes.Buffer
		if err := r.Page(&page, Live{}); err != nil {
			t.Error(err)
		}
		if err := r.Terminal(&table, 0); err != nil {
			t.Error(err)
		}
		if err := r.JSON(&data); err != nil {
			t.Error(err)
		}
		if err := r.WriteFile(filepath.Join(t.TempDir(), "x.png"), "png"); err == nil {
			t.Error("a picture of nothing")
		}
	}
}

func curve(metric, better string, values ...float64) *Run {
	run := NewRun(telemetry.JobInfo{Ranks: 1, Ended: true})
	for i, v := range values {
		run.Add(0, &telemetry.Event{Kind: "loss", Metric: metric, Better: better, Value: v, Pass: float64(i), Seconds: 2 * float64(i), Clocks: int64(10 * i)})
	}
	return run
}

func TestTimeTo(t *testing.T) {
	for _, c := range []struct {
		better       string
		target, want float64
		ok           bool
	}{
		{"higher", -9, 0, true}, {"higher", -8.5, 1, true}, {"higher", -7, 4, true}, {"higher", -6, 0, false},
		{"lower", -7.5, 0, true}, {"lower", -9.5, 0, false},
	} {
		run := curve("m", c.better, -9, -8, -7, -7.5)
		got, ok := run.TimeTo(c.target)
		if got != c.want || ok != c.ok {
			t.Errorf("%s is better, to %g: got %g, %v, want %g, %v", c.better, c.target, got, ok, c.want, c.ok)
		}
		if clocks, ok := run.ClocksTo(c.target); ok != c.ok || clocks != 5*got {
			t.Errorf("%s is better, to %g: %g clocks, want %g", c.better, c.target, clocks, 5*got)
		}
	}
	if got, ok := curve("m", "lower", 9, math.NaN(), 3).TimeTo(5); !ok || got != 4 {
		t.Errorf("after a value that is no number: %g, %v", got, ok)
	}
}

func TestCommonTarget(t *testing.T) {
	a, b := curve("m", "higher", -10, -5), curve("m", "higher", -9, -6, -6.5)
	if got, ok := CommonTarget([]*Run{a, b}); !ok || math.Abs(got-(-10+0.98*4)) > 1e-12 {
		t.Errorf("got %g, %v", got, ok)
	}
	c, d := curve("m", "lower", 3, 1), curve("m", "lower", 2, 2, math.NaN())
	if got, ok := CommonTarget([]*Run{c, d}); !ok || math.Abs(got-(3-0.98)) > 1e-12 {
		t.Errorf("lower is better: got %g, %v", got, ok)
	}
	for i, runs := range [][]*Run{nil, {a, c}, {a, curve("n", "higher", -9, -6)}, {a, curve("m", "higher")}, {a, curve("m", "higher", -3)}} {
		if got, ok := CommonTarget(runs); ok {
			t.Errorf("case %d: got %g, want none", i, got)
		}
	}
}

func TestVerdict(t *testing.T) {
	run := func(sync string, repeat int, seconds float64) *Run {
		r := NewRun(telemetry.JobInfo{Program: "p", Ranks: 1, Setting: sync, Repeat: repeat, Ended: true})
		r.Add(0, &telemetry.Event{Kind: "clock", Clock: 1, Compute: seconds})
		return r
	}
	for _, c := range []struct {
		runs []*Run
		want string
	}{
		{[]*Run{run("bsp", 1, 8), run("ssp:3", 1, 2)}, "ssp:3 was done first: after 2 s, 4 × as fast as bsp."},
		{[]*Run{run("bsp", 1, 8), run("bsp", 2, 2), run("ssp:3", 1, 3), run("ssp:3", 2, 4)}, "ssp:3 was done first: after 3.50 s, 1.43 × as fast as bsp. Not told apart from it by these runs: bsp."},
		{[]*Run{run("bsp", 1, 1), run("ssp:3", 1, 2)}, "bsp was done first: after 1 s."},
		{[]*Run{run("bsp", 1, 1), run("ssp:3", 1, 1.01)}, "bsp was done first: after 1 s. Within 5 % of it: ssp:3."},
		{[]*Run{run("bsp", 1, 1)}, ""},
	} {
		if got := New(c.runs, Options{}).Verdict(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestTerminal(t *testing.T) {
	var out bytes.Buffer
	r := read(t, Options{Items: "tokens"}, several(t)...)
	if err := r.Terminal(&out, 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"tokens/s", "25 %", "1 M", "s to -7.034", "staleness", "compression", "bsp", "ssp:3", "async", "speed-up", "s on the link"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if strings.TrimRight(line, " ") != line {
			t.Errorf("blanks at the end of %q", line)
		}
		if strings.Contains(line, "\x1b") {
			t.Errorf("an escape sequence in %q", line)
		}
	}
}

// On a narrow terminal no table is wider than it, and no column is lost.
func TestTerminalIsNarrow(t *testing.T) {
	r := read(t, Options{}, several(t)...)
	for _, width := range []int{60, 80, 120, 400} {
		var out bytes.Buffer
		if err := r.Terminal(&out, width); err != nil {
			t.Fatal(err)
		}
		for _, id := range onTerminal {
			for _, c := range r.Table(id).Columns {
				if !strings.Contains(out.String(), c.Head) {
					t.Errorf("width %d: no column %s", width, c.Head)
				}
			}
		}
		table := false
		for _, line := range strings.Split(out.String(), "\n") {
			table = strings.HasPrefix(line, "setting") || table && line != ""
			if n := utf8.RuneCountInString(line); table && n > width {
				t.Errorf("width %d: a line of %d: %s", width, n, line)
			}
		}
		if ranges := strings.Contains(out.String(), "(11–12)"); ranges != (width >= 120) {
			t.Errorf("width %d: ranges %v", width, ranges)
		}
	}
}

func TestFiles(t *testing.T) {
	r := read(t, Options{}, several(t)...)
	for _, format := range Formats() {
		path := filepath.Join(t.TempDir(), "report."+format)
		for range 2 { // the second replaces the first
			if err := r.WriteFile(path, format); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "x.png")
	if err := r.WriteFile(path, "png"); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if img, err := png.Decode(f); err != nil || img.Bounds().Dx() < 1000 {
		t.Errorf("picture %v", err)
	}
	if err := r.WriteFile(path, "pdf"); err == nil || !strings.Contains(err.Error(), "html") {
		t.Errorf("error %v, want one that lists the formats", err)
	}
	if err := r.WriteFile(filepath.Join(t.TempDir(), "absent", "x.html"), "html"); err == nil {
		t.Error("no error for a folder that does not exist")
	}
	for name, want := range map[string]string{"a.html": "html", "a.htm": "html", "a.PNG": "png", "a.svg": "svg", "a.csv": "csv", "v1.2": "", "a": "", "json": ""} {
		if got := FormatOf(name); got != want {
			t.Errorf("%s: format %q, want %q", name, got, want)
		}
	}
}

func TestArgument(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{{"-a 1 -sync bsp", "bsp"}, {"--sync=async", "async"}, {"-sync", ""}, {"sync bsp", ""}, {"", ""}} {
		if got, _ := argument(strings.Fields(c.args), "sync"); got != c.want {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
}

func TestFacts(t *testing.T) {
	dir := synthetic(t, made{sync: "bsp", limit: -7, speed: 1, emulate: "delay=2ms", args: []string{"-data", "my file.tsv"}})
	facts := map[string]string{}
	for _, f := range read(t, Options{}, dir).Facts {
		facts[f.Name] = f.Text
	}
	for name, want := range map[string]string{
		"command": "bin/app -data 'my file.tsv'", "hosts": "hosta (1 rank), hostb (1 rank)", "versions": "sspurn devel, go1.26, linux/amd64",
		"time": start().Format("2006-01-02 15:04:05 -0700"),
	} {
		if facts[name] != want {
			t.Errorf("%s: got %q, want %q", name, facts[name], want)
		}
	}
	for _, name := range []string{"emulated network", "stragglers", "target"} {
		if facts[name] == "" {
			t.Errorf("no fact %s", name)
		}
	}
}

func TestSlowest(t *testing.T) {
	skew := []float64{0, 3600} // the hosts' clocks are an hour apart
	runs, err := Read(synthetic(t, made{sync: "bsp", ranks: 2, limit: -7, speed: 1, skew: skew}))
	if err != nil {
		t.Fatal(err)
	}
	run := runs[0]
	slow := run.Slowest(3)
	if len(slow) != 3 {
		t.Fatalf("got %v", slow)
	}
	c := slow[0]
	if c.Rank != 0 || c.Worker != 0 || c.Clock != 19 || math.Abs(c.seconds()-0.35) > 1e-9 || math.Abs(c.Start-1.9) > 1e-6 || c.On != 1 || math.Abs(c.OnSeconds-0.275) > 1e-9 {
		t.Errorf("got %+v", c)
	}
	if p := c.Split; math.Abs(p.Gate-0.275) > 1e-9 || math.Abs(p.Compute-0.05) > 1e-9 || math.Abs(p.Flush-0.025) > 1e-9 {
		t.Errorf("got %+v", p)
	}
	w := run.around(c)
	if len(w.rows) != 4 {
		t.Fatalf("%d rows, want 4 workers", len(w.rows))
	}
	for _, r := range w.rows {
		if len(r.bars) < 8 { // about 0.9 s of clocks of 0.1 s, three bars each, cut at the ends
			t.Errorf("rank %d worker %d: %d bars: the ranks do not lie beside each other", r.rank, r.worker, len(r.bars))
		}
		for i, b := range r.bars {
			if b.from < w.from || b.to > w.to || b.from >= b.to || i > 0 && b.from < r.bars[i-1].from {
				t.Errorf("rank %d worker %d: bar %+v in %g to %g", r.rank, r.worker, b, w.from, w.to)
			}
		}
	}
}

// Too many spans lose the short ones, not the slowest clocks.
func TestSpansAreBounded(t *testing.T) {
	var s spans
	at := time.Duration(0)
	for i := range 100000 {
		d := time.Duration(i%97) * time.Microsecond
		if i == 50000 {
			d = time.Second
		}
		s.add([]telemetry.Span{{Kind: telemetry.Gate, On: 1, Start: at, End: at + d, Clock: int64(i)}}, 5000)
		at += d
		if len(s.all) > 5000 {
			t.Fatalf("%d spans", len(s.all))
		}
	}
	if !slices.ContainsFunc(s.all, func(x span) bool { return x.end-x.start == time.Second }) {
		t.Error("the longest span is lost")
	}
}
