package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// jobs reads the descriptions of the runs in a comparison's folder, by name.
func jobs(t *testing.T, dir string) map[string]telemetry.JobInfo {
	t.Helper()
	all := map[string]telemetry.JobInfo{}
	files, err := filepath.Glob(filepath.Join(dir, "*", telemetry.JobFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var info telemetry.JobInfo
		if err := json.Unmarshal(text, &info); err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(filepath.Dir(f))] = info
	}
	return all
}

func TestCompare(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	l := start(t, nil, "compare", "-n", "2", "-sync", "bsp,cvap:3,0.1", "-repeat", "2", "-target", "1.9", "-straggle", "rotate,delay=1ms", "-run-dir", out, "RANK", "learn", "1.5", "{dir}/x")
	l.expect(0)
	all := jobs(t, out)
	for name, want := range map[string]struct {
		setting string
		repeat  int
	}{"bsp-1": {"bsp", 1}, "bsp-2": {"bsp", 2}, "cvap3_0.1-1": {"cvap:3,0.1", 1}, "cvap3_0.1-2": {"cvap:3,0.1", 2}} {
		info, ok := all[name]
		if !ok || info.Setting != want.setting || info.Repeat != want.repeat || info.Args[0] != "-sync="+want.setting || info.Args[3] != filepath.Join(out, name, "x") || !info.Ended || info.Settings["straggle"] != "rotate,delay=1ms" {
			t.Errorf("%s: %+v", name, info)
		}
		if text, err := os.ReadFile(filepath.Join(out, name, "output", "rank-1.out")); err != nil || !strings.Contains(string(text), "joined 1 of 2") {
			t.Errorf("%s: output %q (%v)", name, text, err)
		}
	}
	// One run after another, every setting before any comes again.
	for _, a := range []string{"bsp-1", "cvap3_0.1-1"} {
		for _, b := range []string{"bsp-2", "cvap3_0.1-2"} {
			if !all[a].Start.Before(all[b].Start) {
				t.Errorf("%s did not start before %s", a, b)
			}
		}
	}
	for _, want := range []string{"s to 1.9", "bsp", "cvap:3,0.1", "page: " + filepath.Join(out, "report.html")} {
		if !strings.Contains(l.stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, l.stdout.String())
		}
	}
	for _, name := range []string{"report.html", "report.png", "csv/settings.csv"} {
		if st, err := os.Stat(filepath.Join(out, name)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e := l.stderr.String(); strings.Contains(e, "\x1b") || strings.Contains(e, "\r") || strings.Count(e, "run ") != 4 || strings.Count(e, "rmse 1.5833") != 4 {
		t.Errorf("standard error, which is no terminal:\n%s", e)
	}
	// The same folder again: the runs stay, or are replaced as is said.
	start(t, nil, "compare", "-n", "2", "-sync", "bsp", "-run-dir", out, "RANK", "learn", "1.5").expect(125, "-run-dir "+out+": the runs of an earlier comparison are there (bsp-1, bsp-2, cvap3_0.1-1, …)", "-replace")
	if kept := jobs(t, out); len(kept) != 4 || !kept["bsp-1"].Start.Equal(all["bsp-1"].Start) {
		t.Errorf("%+v", kept)
	}
	start(t, nil, "compare", "-n", "2", "-sync", "bsp", "-replace", "-run-dir", out, "RANK", "learn", "1.5").expect(0)
	if again := jobs(t, out); len(again) != 1 || !again["bsp-1"].Start.After(all["bsp-1"].Start) {
		t.Errorf("%+v", again)
	}
	// A run of its own is not removed, and its directory no folder for others.
	alone := filepath.Join(out, "alone")
	start(t, nil, "-n", "2", "-run-dir", alone, "RANK", "learn", "1.5").expect(0)
	for dir, want := range map[string]string{out: alone + " is no run of a comparison", alone: "this is the record of one run"} {
		start(t, nil, "compare", "-n", "2", "-sync", "bsp", "-replace", "-run-dir", dir, "RANK", "learn", "1.5").expect(125, want)
	}
	if kept := jobs(t, out); len(kept) != 2 {
		t.Errorf("%+v", kept)
	}
}

// A setting that the program does not know ends the comparison before anything is
// run, whenever its turn would come.
func TestCompareChecksSettings(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	for _, list := range []string{"typo", "bsp,typo", "typo,bsp,ssp:3"} {
		l := start(t, nil, "compare", "-n", "2", "-sync", list, "-run-dir", out, "-metrics", ":0", "RANK", "learn", "1.5")
		l.expect(125, " with -sync typo: no setting has this name\n")
		if n := len(l.lines()); n != 1 {
			t.Errorf("%d lines: %s", n, l.stderr.String())
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a folder was made for nothing")
	}
}

// Metrics and traces are of all runs.
func TestCompareServesMetricsOnce(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	l := start(t, nil, "compare", "-n", "2", "-sync", "bsp,async", "-shuffle", "3", "-run-dir", out, "-metrics", ":0", "-trace", "t.json", "RANK", "flow", "20")
	l.expect(0)
	if e := l.stderr.String(); strings.Count(e, "sspurn: metrics at ") != 1 || !strings.HasPrefix(e, "sspurn: metrics at ") {
		t.Errorf("%s", e)
	}
	for _, name := range []string{"bsp-1", "async-1"} {
		if spans, _ := readChrome(t, filepath.Join(out, name, "t.json")); spans != 40 {
			t.Errorf("%s: %d spans", name, spans)
		}
	}
	l = start(t, nil, "compare", "-n", "2", "-sync", "bsp,stay,async", "-run-dir", out+"2", "-metrics", ":0", "RANK", "learn", "1.5", "stay:stay")
	l.until(&l.stderr, "/metrics\n")
	line, _, _ := strings.Cut(l.stderr.String(), "\n")
	url := strings.TrimPrefix(line, "sspurn: metrics at ")
	l.poll("the metrics of a later run", func() bool {
		text := scrape(url)
		return strings.Contains(text, `sync="stay"`) && strings.Contains(text, `sspurn_ranks{state="joined"} 2`)
	})
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	l.expect(143)
}

// A run that fails is shown, and the others are made.
func TestCompareGoesOn(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	l := start(t, nil, "compare", "-n", "2", "-sync", "bsp,ssp:3,async", "-run-dir", out, "RANK", "learn", "1.5", "fail:ssp:3")
	l.expect(3, "does not like ssp:3")
	if len(jobs(t, out)) != 3 || !strings.Contains(l.stdout.String(), "async") || !strings.Contains(l.stdout.String(), "ssp:3: failed: rank ") {
		t.Errorf("%s", l.stdout.String())
	}
}

func TestCompareIsInterrupted(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	l := start(t, nil, "compare", "-n", "2", "-sync", "bsp,async", "-repeat", "3", "-run-dir", out, "RANK", "learn", "1.5", "stay:async")
	l.poll("the run that stays", func() bool {
		text, err := os.ReadFile(filepath.Join(out, "async-1", "output", "rank-0.err"))
		return err == nil && strings.Contains(string(text), "stays")
	})
	if err := l.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	l.expect(130, "ended by SIGINT")
	if n := len(jobs(t, out)); n == 0 || n > 2 {
		t.Errorf("%d runs", n)
	}
}

func TestCompareRefuses(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "taken", "bsp-1")
	if err := os.MkdirAll(mine, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mine, "thesis.txt"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-run-dir", out, "true", "-sync", "bsp"}, "-sync bsp is among the arguments of true"},
		{[]string{"-run-dir", out, "true", "--sync=bsp"}, "--sync=bsp is among the arguments of true"},
		{[]string{"-run-dir", out, "true", "-staleness", "3"}, "-staleness 3 is among the arguments of true"},
		{[]string{"-run-dir", out, "true", "--staleness=3"}, "--staleness=3 is among the arguments of true"},
		{[]string{"-run-dir", out, "-metrics", "9090", "true"}, "metrics: listen tcp: address 9090: missing port"},
		{[]string{"-run-dir", out, "-dashboard", "9090", "true"}, "-dashboard: listen tcp: address 9090: missing port"},
		{[]string{"-run-dir", out, "-trace", "/tmp/t.json", "true"}, "want a name without a folder"},
		{[]string{"-run-dir", out, "-trace", "x/t.json", "true"}, "want a name without a folder"},
		{[]string{"-run-dir", out, "-trace", "..", "true"}, "want a name without a folder"},
		{[]string{"-run-dir", out, "-trace", "job.json", "true"}, "the record of a run has a file of this name"},
		{[]string{"-run-dir", out, "-trace", "rank-0.jsonl", "true"}, "the record of a run has a file of this name"},
		{[]string{"-run-dir", out, "-sync", "bsp,,ssp:1", "true"}, "want settings with commas"},
		{[]string{"-run-dir", out, "-sync", "bsp,bsp", "true"}, "bsp is there twice"},
		{[]string{"-run-dir", out, "-repeat", "0", "true"}, "-repeat 0"},
		{[]string{"-run-dir", out, "-record", "off", "true"}, "-record off"},
		{[]string{"-run-dir", out, "absent-program"}, "program absent-program is not in the PATH"},
		{[]string{"-run-dir", out, "-straggle", "nonsense", "true"}, "straggle"},
		{[]string{"-run-dir", out}, "no PROGRAM"},
		{[]string{"-run-dir", filepath.Join(dir, "taken"), "-sync", "bsp", "true"}, "is not overwritten"},
	} {
		l := start(t, nil, append([]string{"compare"}, tt.args...)...)
		l.expect(125, tt.want)
		if n := strings.Count(l.stderr.String(), "\n"); n != 1 {
			t.Errorf("%v: %d lines, want one: %s", tt.args, n, l.stderr.String())
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a folder was made for nothing")
	}
}
