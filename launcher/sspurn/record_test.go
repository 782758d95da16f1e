package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// flow records as a rank with a store does, a clock every millisecond.
func flow(cfg bootstrap.Config, clocks string) {
	last, err := strconv.Atoi(clocks)
	if err != nil {
		last = 1 << 30
	}
	r := telemetry.NewRecorder(cfg.Rank, time.Now(), cfg.Control.Record)
	r.SetTracing(cfg.Record == bootstrap.RecordTrace)
	r.Describe()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	before := r.At(time.Now())
	for i := 1; i <= last; i++ {
		<-tick.C
		now := r.At(time.Now())
		kind, on := telemetry.Compute, telemetry.NoRank
		if cfg.Rank == 0 {
			kind, on = telemetry.Gate, cfg.Size-1
		}
		r.Trace(telemetry.Span{Kind: kind, On: on, Start: before, End: now, Clock: int64(i)})
		r.Record(telemetry.Event{
			Kind: "clock", Clock: int64(i), Compute: float64(i) / 1024, Gate: 0.5, Reads: int64(i), Stale: [][2]int64{{-1, int64(i)}},
			On: [][2]float64{{float64(cfg.Size - 1), 0.5}},
		})
		if i%50 == 1 {
			r.Flush()
		}
		before = now
	}
	r.Flush()
}

// lines returns standard error, which every line of must be the launcher's.
func (l *launch) lines() []string {
	l.t.Helper()
	lines := strings.Split(strings.TrimSuffix(l.stderr.String(), "\n"), "\n")
	for _, line := range lines {
		if !strings.HasPrefix(line, "sspurn: ") {
			l.t.Errorf("stderr has the line %q", line)
		}
	}
	return lines
}

func fileSize(name string) int64 {
	st, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return st.Size()
}

// readChrome reads a trace and counts its spans.
func readChrome(t *testing.T, name string) (spans int, about map[string]string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".gz") {
		zip, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if text, err = io.ReadAll(zip); err != nil {
			t.Fatal(err)
		}
	}
	var doc struct {
		OtherData   map[string]string
		TraceEvents []struct {
			Ph      string
			Ts, Dur float64
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, e := range doc.TraceEvents {
		if e.Ph == "X" {
			spans++
			if e.Ts < 0 || e.Dur < 0 || e.Ts > 1e9 {
				t.Errorf("a span at %g µs for %g µs", e.Ts, e.Dur)
			}
		}
	}
	if _, err := os.Stat(name + ".new"); err == nil {
		t.Errorf("%s.new is left", name)
	}
	return spans, doc.OtherData
}

func TestTraceFile(t *testing.T) {
	dir := t.TempDir()
	t.Run("well", func(t *testing.T) {
		for _, file := range []string{"trace.json", "trace.json.gz"} {
			name, run := filepath.Join(dir, file), filepath.Join(dir, "run")
			l := start(t, nil, "-n", "3", "-trace", name, "-run-dir", run, "-emulate", "delay=1ms", "RANK", "flow", "60")
			l.expect(0)
			spans, about := readChrome(t, name)
			if spans != 3*60 || about["emulate"] != "delay=1ms" || about["exit"] != "0" {
				t.Errorf("%d spans, about %v", spans, about)
			}
			want := fmt.Sprintf("sspurn: the trace is %s, 180 spans: open it in https://ui.perfetto.dev", name)
			if lines := l.lines(); len(lines) != 1 || lines[0] != want {
				t.Errorf("said %q, want %q", lines, want)
			}
			r, err := telemetry.ReadRun(run)
			if err != nil {
				t.Fatal(err)
			}
			clock := r.Job.Hosts[0].Clock
			if len(clock) == 0 || clock[0].Error < 0 || clock[0].Offset < -clock[0].Error-0.001 || clock[0].Offset > clock[0].Error+0.001 {
				t.Errorf("this machine's clock against itself: %+v", clock)
			}
			if at := r.Align().Seconds(0, 0); at <= 0 || at > r.Job.Seconds {
				t.Errorf("rank 0 began %g s after the start of a job of %g s", at, r.Job.Seconds)
			}
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		name := filepath.Join(dir, "interrupted.json")
		l := start(t, nil, "-n", "2", "-trace", name, "-run-dir", filepath.Join(dir, "cut"), "RANK", "flow", "")
		l.poll("records", func() bool { return fileSize(filepath.Join(dir, "cut", "rank-1.jsonl")) > 20000 })
		if err := l.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		l.expect(130, "sspurn: ended by SIGINT\nsspurn: the trace is "+name)
		if spans, about := readChrome(t, name); spans < 10 || about["exit"] != "130" {
			t.Errorf("%d spans, about %v", spans, about)
		}
	})
	t.Run("failed", func(t *testing.T) {
		name := filepath.Join(dir, "failed.json")
		l := start(t, nil, "-n", "2", "-trace", name, "RANK", "kill", "1")
		l.expect(137, "killed by signal 9", "sspurn: the trace "+name+" has no spans: the program recorded none\n")
		if spans, about := readChrome(t, name); spans != 0 || !strings.Contains(about["cause"], "rank 1 on ") {
			t.Errorf("%d spans, about %v", spans, about)
		}
	})
	t.Run("link", func(t *testing.T) {
		link, target := filepath.Join(dir, "link"), filepath.Join(dir, "target")
		if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		start(t, nil, "-trace", link, "-n", "1", "RANK", "flow", "3").expect(0)
		if spans, _ := readChrome(t, target); spans != 3 {
			t.Errorf("%d spans where the link leads", spans)
		}
		l := start(t, nil, "-trace", "/dev/null", "-n", "1", "RANK", "flow", "3")
		l.expect(0, "the trace is /dev/null, 3 spans")
		if st, err := os.Stat("/dev/null"); err != nil || st.Mode().IsRegular() {
			t.Fatalf("/dev/null is %v (%v)", st.Mode(), err)
		}
	})
	for name, text := range map[string]string{
		filepath.Join(dir, "absent", "t.json"): "sspurn: trace: open ",
		dir:                                    "sspurn: trace: " + dir + " is a directory",
		"/proc/trace.json":                     "sspurn: trace: open /proc/trace.json.new",
		" ":                                    "sspurn: -trace: empty",
	} {
		l := start(t, nil, "-trace", name, "sh", "-c", "echo started")
		l.expect(125, text)
		if out := l.stdout.String(); out != "" || len(l.lines()) != 1 {
			t.Errorf("%s: stdout %q, stderr %q", name, out, l.stderr.String())
		}
	}
}

// The launcher is killed in the middle of a job: what it had written is there
// and says so.
func TestRecordOfAKilledLauncher(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	l := start(t, nil, "-n", "2", "-run-dir", dir, "RANK", "flow", "")
	record := func(rank int) string { return filepath.Join(dir, telemetry.RankFile(rank)) }
	l.poll("records", func() bool { return fileSize(record(0)) > 20000 && fileSize(record(1)) > 20000 })
	if err := l.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l.wait()
	text, err := os.ReadFile(record(1))
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.LastIndexByte(text, '\n')
	if err := os.WriteFile(record(1), text[:end-20], 0o600); err != nil { // however it was before, torn now
		t.Fatal(err)
	}
	run, err := telemetry.ReadRun(dir)
	if err != nil || len(run.Torn) == 0 || run.Job.Ended || len(run.Events[0]) < 50 || len(run.Events[1]) < 50 {
		t.Fatalf("%+v (%v)", run.Job, err)
	}
	l = start(t, nil, "report", "-out", filepath.Join(t.TempDir(), "p.png"), dir)
	l.expect(0)
	for _, want := range []string{"not ended", "what is there was read"} {
		if !strings.Contains(l.stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, l.stdout.String())
		}
	}
}

// startOnSmallDisk starts sspurn where dir is a disk of so many bytes, which
// only it sees: what is on it afterwards is copied to dir+".copy". Temporary
// files go to tmp.
func startOnSmallDisk(t *testing.T, dir, tmp string, size int, args ...string) *launch {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("needs unshare, to mount a small disk")
	}
	if out, err := exec.Command(unshare, "-m", "mount", "-t", "tmpfs", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("can not mount: %s", out)
	}
	script := fmt.Sprintf(`d=$0; mount -t tmpfs -o size=%d tmpfs "$d" || exit 99; TMPDIR=%s "$@"; s=$?; cp -r "$d" "$d.copy"; exit $s`, size, tmp)
	return startBy(t, []string{unshare, "-m", "sh", "-c", script, dir}, nil, nil, args...)
}

// A full disk costs the record, not the job.
func TestRecordOnFullDisk(t *testing.T) {
	t.Run("run directory", func(t *testing.T) {
		dir := t.TempDir()
		run := filepath.Join(dir, "run")
		l := startOnSmallDisk(t, dir, dir, 32<<10, "-n", "3", "-run-dir", run, "RANK", "flow", "400")
		l.poll("the failure, while ranks run", func() bool {
			select {
			case <-l.done:
				return true
			default:
				return strings.Contains(l.stderr.String(), "no space") && len(l.processes()) > 4
			}
		})
		l.expect(0)
		lines := l.lines()
		if want := "sspurn: the record of the run in " + run + " is incomplete: write " + run + "/rank-"; len(lines) != 1 || !strings.HasPrefix(lines[0], want) || !strings.HasSuffix(lines[0], "no space left on device") {
			t.Errorf("said %q, want one line %q", lines, want)
		}
		r, err := telemetry.ReadRun(filepath.Join(dir+".copy", "run"))
		if err != nil {
			t.Fatal(err)
		}
		kept := 0 // which rank's come first is chance
		for _, events := range r.Events {
			kept += len(events)
		}
		if kept < 50 {
			t.Errorf("%d events were kept", kept)
		}
		if _, err := os.Stat(filepath.Join(dir+".copy", "run", "job.json.new")); err == nil {
			t.Error("a part of job.json is left")
		}
	})
	t.Run("temporary", func(t *testing.T) {
		dir := t.TempDir()
		l := startOnSmallDisk(t, dir, dir, 16<<10, "-n", "2", "sh", "-c", `test $SSPURN_RANK = 0 && i=0 && while [ $i -lt 1000 ]; do printf '{"k":"record","record":{"ev":"note","s":"%0100d"}}\n' $i >&3; i=$((i+1)); done; exit 0`)
		l.expect(0, "sspurn: the record of the run in "+dir+"/sspurn-run-", "no space left on device\n")
		if n := len(l.lines()); n != 1 {
			t.Errorf("%d lines: %s", n, l.stderr.String())
		}
		if left, err := os.ReadDir(dir + ".copy"); err != nil || len(left) != 0 {
			t.Errorf("left: %v (%v)", left, err)
		}
	})
	t.Run("trace", func(t *testing.T) {
		dir := t.TempDir()
		name := filepath.Join(dir, "trace.json")
		l := startOnSmallDisk(t, dir, t.TempDir(), 16<<10, "-n", "3", "-trace", name, "RANK", "flow", "400")
		l.expect(0)
		lines := l.lines()
		if want := "sspurn: no trace " + name + ": write " + name + ".new: no space left on device"; len(lines) != 1 || lines[0] != want {
			t.Errorf("said %q, want %q", lines, want)
		}
		if left, err := os.ReadDir(dir + ".copy"); err != nil || len(left) != 0 {
			t.Errorf("left: %v (%v)", left, err)
		}
	})
}

// The metrics of a job can be read while it runs, and not afterwards.
func TestMetrics(t *testing.T) {
	l := start(t, nil, "-n", "2", "-metrics", ":0", "RANK", "flow", "")
	l.until(&l.stderr, "/metrics\n")
	line, _, _ := strings.Cut(l.stderr.String(), "\n")
	url, ok := strings.CutPrefix(line, "sspurn: metrics at ")
	if !ok || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("said %q", line)
	}
	text := ""
	wanted := []string{
		"\nsspurn_rank_clocks_total{rank=\"1\",worker=\"0\"} ", "\nsspurn_ranks{state=\"joined\"} 2\n",
		"\nsspurn_rank_gate_seconds_total{rank=\"0\",waited_for=\"1\"} 0.5\n", "\nsspurn_rank_resident_memory_bytes{rank=\"0\"} ",
		"\nsspurn_rank_read_staleness_clocks_bucket{rank=\"1\",le=\"0\"} 0\n", "\ngo_goroutines ",
	}
	l.poll("the metrics", func() bool {
		text = scrape(url)
		for _, w := range wanted {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	})
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	l.expect(143)
	if text := scrape(url); text != "" {
		t.Errorf("after the end: %s", text)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for addr, want := range map[string]string{
		taken.Addr().String(): "sspurn: metrics: listen tcp " + taken.Addr().String() + ": bind: address already in use",
		"9090":                "sspurn: metrics: listen tcp: address 9090: missing port",
		":x":                  "sspurn: metrics: listen tcp: lookup tcp/x",
	} {
		l := start(t, nil, "-metrics", addr, "sh", "-c", "echo started")
		l.expect(125, want)
		if out := l.stdout.String(); out != "" || len(l.lines()) != 1 {
			t.Errorf("%s: stdout %q, stderr %q", addr, out, l.stderr.String())
		}
	}
}

// scrape returns what is served, or "".
func scrape(url string) string {
	answer, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return ""
	}
	return string(text)
}

func TestRecordOff(t *testing.T) {
	tmp := t.TempDir()
	l := start(t, nil, "-n", "2", "-record", "off", "-x", "TMPDIR="+tmp, "sh", "-c", `printf '{"k":"record","record":{"ev":"note"}}\n' >&3; exit 5`)
	l.expect(5)
	if strings.Contains(l.stderr.String(), "record") {
		t.Errorf("stderr: %s", l.stderr.String())
	}
	for _, flag := range []string{"-run-dir", "-trace", "-metrics"} {
		l := start(t, nil, "-record", "off", flag, filepath.Join(tmp, "x"), "sh", "-c", "echo started")
		l.expect(125, "-record off leaves nothing for "+flag)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v (%v)", left, err)
	}
}

// A run directory that can not be written is found before anything runs.
func TestRunDirectoryIsChecked(t *testing.T) {
	l := start(t, nil, "-run-dir", "/proc/run", "sh", "-c", "echo started")
	l.expect(125, "sspurn: run directory: mkdir /proc/run")
	l = start(t, nil, "-run-dir", "/proc", "sh", "-c", "echo started")
	l.expect(125, "sspurn: run directory: open /proc/job.json.new")
	if out := l.stdout.String(); out != "" || len(l.lines()) != 1 {
		t.Errorf("stdout %q, stderr %q", out, l.stderr.String())
	}
}

// Without a terminal and without losses there is progress all the same.
func TestProgressOn(t *testing.T) {
	l := start(t, nil, "-n", "2", "-progress", "on", "RANK", "flow", "30")
	l.expect(0)
	lines := l.lines()
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "sspurn: clock 30 · ") || !strings.Contains(last, "slowest rank 1") {
		t.Errorf("said %q", lines)
	}
}
