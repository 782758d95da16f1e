package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// The test binary is also the command under test and the program of its ranks,
// as this variable says.
const envAs = "SSPURN_TEST_AS"

// envMark is in the environment of every process of one test.
const envMark = "SSPURN_TEST_MARK"

// patience bounds every wait of a test. Nothing is expected to take long.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	switch os.Getenv(envAs) {
	case "sspurn":
		os.Exit(run(os.Args))
	case "rank":
		os.Exit(rankMain(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// rankMain is a program that joins the job like runtime.Run does. What it does
// then is its first argument, and the second the rank that does it, the others
// waiting for the end.
func rankMain(args []string) int {
	if len(args) > 0 && args[0] == "-sync=typo" {
		fmt.Fprintln(os.Stderr, "no setting has this name\nUsage: ...")
		return 2
	}
	cfg, err := bootstrap.FromEnv(os.LookupEnv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if args[0] == "flood" {
		return floodMain(cfg)
	}
	if args[0] == "cores" {
		return coresMain(cfg)
	}
	if args[0] == "ring" {
		return ringMain(cfg, args[1] == "stay")
	}
	setting := ""
	if text, ok := strings.CutPrefix(args[0], "-sync="); ok { // of compare
		setting, args = text, args[1:]
	}
	if args[0] == "stall" {
		return stallMain(cfg, args[1])
	}
	me := len(args) > 1 && args[1] == strconv.Itoa(cfg.Rank)
	if me && args[0] == "absent" {
		return 0
	}
	self := bootstrap.Peer{Rank: cfg.Rank, Host: cfg.Host, Addr: cfg.Listen + ":1"}
	peers, err := cfg.Control.Roster(context.Background(), self)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		_ = cfg.Control.Finish(bootstrap.Verdict{Cause: err.Error(), Secondary: true})
		return 1
	}
	fmt.Printf("joined %d of %d at %s, %d bytes of secret, emulate %q\n", cfg.Rank, len(peers), peers[cfg.Rank].Addr, len(cfg.Secret), cfg.Emulate)
	switch {
	case setting != "" && len(args) > 2 && args[2] == "fail:"+setting:
		fmt.Fprintln(os.Stderr, "does not like", setting)
		return 3
	case setting != "" && len(args) > 2 && args[2] == "stay:"+setting:
		fmt.Fprintln(os.Stderr, "stays")
		<-cfg.Control.Losses()
		return 1
	case args[0] == "record":
		for i := range 1000 {
			cfg.Control.Record(fmt.Appendf(nil, `{"ev":"clock","t":%d,"rank":%d,"c":%d,"compute":1}`, i, cfg.Rank, i))
			if i%100 == 99 {
				fmt.Fprintln(os.Stderr, "at", i)
			}
		}
	case args[0] == "learn": // the second argument is the value it comes to
		limit, err := strconv.ParseFloat(args[1], 64)
		if err != nil {
			return 2
		}
		recorder := telemetry.NewRecorder(cfg.Rank, time.Now(), cfg.Control.Record)
		for pass := range 12 {
			if cfg.Rank == 0 {
				recorder.Record(telemetry.Event{Kind: "loss", Metric: "rmse", Better: "lower", Value: limit + 1/float64(pass+1), Pass: float64(pass), Seconds: float64(pass) / 2, Rate: 1000, Clocks: int64(pass)})
			}
			recorder.Record(telemetry.Event{Kind: "clock", Clock: int64(pass), Compute: 3 * float64(pass), Gate: float64(pass)})
		}
	case args[0] == "flow": // the second argument is the clocks it makes, the least rank waiting for the last; "": until it is ended
		flow(cfg, args[1])
	case args[0] == "ok":
	case me && args[0] == "error":
		fmt.Fprintln(os.Stderr, "this is why")
		_ = cfg.Control.Finish(bootstrap.Verdict{Cause: "the body's error\nsecond line"})
		return 7
	case me && args[0] == "panic": // in a goroutine that nobody recovers
		go deep(10)
		select {}
	case me && args[0] == "stuck": // says that it failed, and then does not exit
		_ = cfg.Control.Finish(bootstrap.Verdict{Cause: "stuck"})
		<-time.After(time.Hour) // not for ever: without cgo that is a deadlock that is noticed
	case me && args[0] == "leave":
		return 0
	case me && args[0] == "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	default:
		loss, ok := <-cfg.Control.Losses()
		if !ok {
			return 1
		}
		fmt.Fprintf(os.Stderr, "told of %d: %s\n", loss.Rank, loss.Cause)
		_ = cfg.Control.Finish(bootstrap.Verdict{Cause: "lost a peer", Secondary: true, Lost: loss.Rank})
		return 1
	}
	if err := cfg.Control.Finish(bootstrap.Verdict{OK: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// deep panics with a stack of n calls and more.
//
//go:noinline
func deep(n int) int {
	if n == 0 {
		panic("boom")
	}
	return deep(n-1) + 1
}

// launch is a run of the command under test.
type launch struct {
	t      *testing.T
	cmd    *exec.Cmd
	mark   string
	done   chan struct{}
	stdout watched
	stderr watched
}

// watched collects output and lets a test wait for it.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// start starts sspurn with the arguments; "RANK" among them is this program as
// a rank.
func start(t *testing.T, stdin io.Reader, args ...string) *launch {
	t.Helper()
	return startTo(t, nil, stdin, args...)
}

// startTo is start with a standard output that is not collected.
func startTo(t *testing.T, stdout *os.File, stdin io.Reader, args ...string) *launch {
	t.Helper()
	return startBy(t, nil, stdout, stdin, args...)
}

// startBy is startTo by a command that runs what follows it.
func startBy(t *testing.T, command []string, stdout *os.File, stdin io.Reader, args ...string) *launch {
	t.Helper()
	l := &launch{t: t, mark: fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano()), done: make(chan struct{})}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range args {
		if a == "RANK" {
			args = append(append(append([]string(nil), args[:i]...), "-x", envAs+"=rank", self), args[i+1:]...)
			break
		}
	}
	command = append(append(append([]string(nil), command...), self), args...)
	l.cmd = exec.Command(command[0], command[1:]...)
	// The race detector lets every process wait for a second at its end unless told.
	l.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", envAs+"=sspurn", envMark+"="+l.mark, "TMPDIR="+t.TempDir())
	l.cmd.Stdin, l.cmd.Stdout, l.cmd.Stderr = stdin, &l.stdout, &l.stderr
	if stdout != nil {
		l.cmd.Stdout = stdout
	}
	l.cmd.WaitDelay = patience
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.done)
		_ = l.cmd.Wait() // the state says it
	}()
	t.Cleanup(func() {
		_ = l.cmd.Process.Kill() // it has ended as a rule
		<-l.done
		l.gone()
	})
	return l
}

// wait returns the exit status once the command and all its processes are gone.
func (l *launch) wait() int {
	l.t.Helper()
	select {
	case <-l.done:
	case <-time.After(patience):
		l.t.Fatalf("no end; stdout:\n%s\nstderr:\n%s", l.stdout.String(), l.stderr.String())
	}
	l.gone()
	return l.cmd.ProcessState.ExitCode()
}

// until waits until the stream holds the text.
func (l *launch) until(w *watched, text string) {
	l.t.Helper()
	l.poll(text, func() bool { return strings.Contains(w.String(), text) })
}

// poll waits until the condition holds.
func (l *launch) poll(what string, holds func() bool) {
	l.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			l.t.Fatalf("not in time: %s; stdout:\n%.2000s\nstderr:\n%.2000s", what, l.stdout.String(), l.stderr.String())
		}
	}
}

// processes returns the living processes of this launch, from /proc.
func (l *launch) processes() map[int]string {
	found := make(map[int]string)
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", d.Name(), "environ"))
		if err != nil || !bytes.Contains(env, []byte(envMark+"="+l.mark)) {
			continue // ended meanwhile, a zombie, or somebody else's
		}
		cmdline, _ := os.ReadFile(filepath.Join("/proc", d.Name(), "cmdline"))
		found[pid] = strings.ReplaceAll(string(cmdline), "\x00", " ")
	}
	return found
}

// gone waits until no process of the launch is left.
func (l *launch) gone() {
	l.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		left := l.processes()
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			l.t.Errorf("left behind: %v", left)
			for pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL) // of this test, by its mark
			}
			return
		}
	}
}

// find returns the process whose command line ends with the words.
func (l *launch) find(suffix string) int {
	l.t.Helper()
	for pid, cmdline := range l.processes() {
		if strings.HasSuffix(strings.TrimSpace(cmdline), suffix) {
			return pid
		}
	}
	l.t.Fatalf("no process %q among %v", suffix, l.processes())
	return 0
}

// expect compares the exit status and looks for lines in standard error.
func (l *launch) expect(code int, texts ...string) {
	l.t.Helper()
	if got := l.wait(); got != code {
		l.t.Errorf("exit status %d, want %d; stderr:\n%s", got, code, l.stderr.String())
	}
	for _, text := range texts {
		if !strings.Contains(l.stderr.String(), text) {
			l.t.Errorf("no %q in stderr:\n%s", text, l.stderr.String())
		}
	}
}

func hostname(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestExitStatus(t *testing.T) {
	host := hostname(t)
	tests := []struct {
		name string
		args []string
		code int
		text string // in stderr; "" means that it is empty
	}{
		{"well", []string{"-n", "5", "true"}, 0, ""},
		{"own code", []string{"-n", "3", "sh", "-c", "exit $((SSPURN_RANK == 1 ? 3 : 0))"}, 3, "sspurn: rank 1 on " + host + ": exit status 3"},
		{"signal", []string{"-n", "3", "sh", "-c", "test $SSPURN_RANK = 2 && kill -9 $$; exec sleep 60"}, 137, "sspurn: rank 2 on " + host + ": killed by signal 9 (SIGKILL)"},
		{"tail", []string{"-n", "2", "sh", "-c", "test $SSPURN_RANK = 1 || exec sleep 60; echo why >&2; exit 1"}, 1, "sspurn:   | why"},
		{"timeout", []string{"-n", "2", "-timeout", "100ms", "sleep", "60"}, 124, "did not end within 100ms"},
		{"timeout of the deaf", []string{"-n", "2", "-timeout", "100ms", "-grace", "100ms", "sh", "-c", "trap '' TERM; while :; do sleep 60; done"}, 124, "did not end"},
		{"no program", []string{"-n", "2", "./no-such-program"}, 125, "program ./no-such-program: no such file"},
		{"not in the PATH", []string{"no-such-program"}, 125, "not in the PATH"},
		{"not executable", []string{"-n", "2", "/etc/passwd"}, 125, "permission denied"},
		{"no such directory", []string{"-wdir", "/no/such", "true"}, 125, "-wdir /no/such: no such directory"},
		{"no such hosts file", []string{"-hosts", "/no/such", "true"}, 125, "/no/such"},
		{"too many ranks", []string{"-n", "5", "-host", "localhost:3", "true"}, 125, "5 ranks are more than the 3 slots"},
		{"both host flags", []string{"-host", "a", "-hosts", "b", "true"}, 125, "exclude each other"},
		{"unknown flag", []string{"-bogus", "true"}, 125, "-bogus"},
		{"flag of the program", []string{"-n", "2", "-sync", "bsp", "true"}, 125, "-sync; flags of the program itself go behind PROGRAM"},
		{"bad choice of when to connect", []string{"-on-demand", "later", "true"}, 125, "-on-demand \"later\": want auto or on or off"},
		{"bad number", []string{"-n", "x", "true"}, 125, "-n"},
		{"no ranks", []string{"-n", "0", "true"}, 125, "-n 0"},
		{"no program at all", []string{"-n", "2"}, 125, "no PROGRAM"},
		{"bad choice", []string{"-map-by", "core", "true"}, 125, "want slot or node"},
		{"bad ports", []string{"-ports", "9-3", "true"}, 125, "-ports 9-3"},
		{"bad variable", []string{"-x", "NO_SUCH_VARIABLE", "true"}, 125, "NO_SUCH_VARIABLE"},
		{"no time", []string{"-timeout", "0s", "true"}, 125, "-timeout"},
		{"unknown interface", []string{"-iface", "nosuch0", "true"}, 125, "-iface nosuch0"},
		{"bad emulation", []string{"-n", "2", "-emulate", "rate=1", "sh", "-c", "echo started"}, 125, "sspurn: emulate: rate: \"1\" has no unit"},
		{"emulation of nobody's link", []string{"-n", "2", "-emulate", "delay=1ms,pairs=0-2", "true"}, 125, "sspurn: emulate: pairs: rank 2 does not exist"},
		{"bad straggle", []string{"-n", "2", "-straggle", "rotate", "sh", "-c", "echo started"}, 125, "sspurn: straggle \"rotate\": no delay"},
		{"straggle of nobody", []string{"-n", "2", "-straggle", "rank=2,factor=3", "true"}, 125, "sspurn: straggle: rank 2 does not exist"},
		{"too many ranks for a host", []string{"-n", "4000000", "sh", "-c", "echo started"}, 125, "4000000 ranks are more than 1 hosts can take"},
		{"run directory is a file", []string{"-run-dir", "/etc/passwd", "sh", "-c", "echo started"}, 125, "run directory: mkdir /etc/passwd: not a directory"},
		{"output directory is a file", []string{"-output", "/etc/passwd", "sh", "-c", "echo started"}, 125, "output directory: mkdir /etc/passwd: not a directory"},
		{"read-only output", []string{"-output", "/proc", "sh", "-c", "echo started"}, 125, "output directory: open /proc/.sspurn-"},
		{"empty emulation", []string{"-emulate", "", "true"}, 125, "-emulate"},
		{"flags of the program", []string{"sh", "-c", "exit 9", "-n", "3"}, 9, "exit status 9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t, nil, tt.args...)
			l.expect(tt.code, tt.text)
			if tt.text == "" && l.stderr.String() != "" {
				t.Errorf("stderr: %s", l.stderr.String())
			}
			if tt.code == 125 {
				if n := strings.Count(l.stderr.String(), "\n"); n != 1 {
					t.Errorf("%d lines, want one: %s", n, l.stderr.String())
				}
				if out := l.stdout.String(); out != "" {
					t.Errorf("stdout: %s", out)
				}
			}
		})
	}
}

func TestJoin(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			l := start(t, nil, "-n", strconv.Itoa(n), "-emulate", "delay=1ms", "RANK", "ok")
			l.expect(0)
			for r := range n {
				want := fmt.Sprintf("joined %d of %d at 127.0.0.1:1, 32 bytes of secret, emulate \"delay=1ms\"\n", r, n)
				if !strings.Contains(l.stdout.String(), want) {
					t.Errorf("no %q in %s", want, l.stdout.String())
				}
			}
		})
	}
}

func TestFirstFailure(t *testing.T) {
	host := hostname(t)
	tests := []struct {
		mode, rank string
		code       int
		text       string
		told       string
	}{
		{"error", "2", 7, "sspurn: rank 2 on " + host + ": exit status 7: the body's error\nsspurn:   | this is why\n", ""},
		{"kill", "1", 137, "sspurn: rank 1 on " + host + ": killed by signal 9 (SIGKILL)\n", ""},
		{"leave", "3", 1, "sspurn: rank 3 on " + host + ": exit status 0 in the middle of the job\n", ""},
		{"absent", "4", 1, "sspurn: rank 4 on " + host + ": ended without joining the job that other ranks have joined\n", ""},
		{"panic", "1", 2, "sspurn: rank 1 on " + host + ": exit status 2\nsspurn:   | panic: boom\nsspurn:   | goroutine ", ""},
		{"stuck", "0", 1, "sspurn: rank 0 on " + host + ": stuck\n", "told of 0: stuck"},
	}
	for _, tt := range tests {
		t.Run(tt.mode, func(t *testing.T) {
			l := start(t, nil, "-n", "5", "-grace", "500ms", "RANK", tt.mode, tt.rank)
			l.expect(tt.code, tt.text, tt.told)
			n := strings.Count(l.stderr.String(), "told of") +
				strings.Count(l.stderr.String(), "was lost before all ranks had joined") // to one that was late
			if tt.told != "" && n != 4 {
				t.Errorf("%d ranks were told, want 4:\n%s", n, l.stderr.String())
			}
			start(t, nil, "-n", "5", "-grace", "500ms", "-output", t.TempDir(), "RANK", tt.mode, tt.rank).expect(tt.code, tt.text)
		})
	}
}

// TestKill kills each process of a launch in turn. Nothing may be left, ranks
// that left their group and session included.
func TestKill(t *testing.T) {
	script := "trap '' INT TERM HUP; (setsid sleep 600 &) ; sleep 600 & echo up; while :; do sleep 600; done"
	tests := []struct {
		name   string
		victim func(l *launch) int
		text   string
	}{
		{"launcher", func(l *launch) int { return l.cmd.Process.Pid }, ""},
		{"agent", func(l *launch) int { return l.find("agent serve") }, "host " + hostname(t) + ": sspurn agent: the agent was killed by signal 9 (SIGKILL)"},
		{"keeper", func(l *launch) int { return l.find("agent") }, "host " + hostname(t) + ": agent: the keeper has ended"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t, nil, "-n", "3", "sh", "-c", script)
			l.poll("up", func() bool { return strings.Count(l.stdout.String(), "up\n") == 3 })
			if n := len(l.processes()); n < 3+3*3 {
				t.Fatalf("only %d processes: %v", n, l.processes())
			}
			if err := syscall.Kill(tt.victim(l), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			code := l.wait()
			if tt.text == "" {
				return
			}
			if code != 125 || !strings.Contains(l.stderr.String(), tt.text) {
				t.Errorf("exit status %d, stderr %s; want 125 and %q", code, l.stderr.String(), tt.text)
			}
		})
	}
}

// TestEnd lets the launch end by itself while ranks have left processes
// behind.
func TestEnd(t *testing.T) {
	l := start(t, nil, "-n", "3", "sh", "-c", "(setsid sleep 600 &); sleep 600 & echo ended")
	l.expect(0)
	if n := strings.Count(l.stdout.String(), "ended\n"); n != 3 {
		t.Errorf("output of %d ranks, want 3", n)
	}
}

func TestSignals(t *testing.T) {
	send := func(t *testing.T, l *launch, sig syscall.Signal) {
		t.Helper()
		if err := l.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	ready := func(l *launch, n int) {
		l.poll("ready", func() bool { return strings.Count(l.stdout.String(), "ready\n") == n })
	}
	t.Run("interrupt", func(t *testing.T) {
		l := start(t, nil, "-n", "2", "sh", "-c", "trap 'echo asked; exit 0' INT; echo ready; while :; do sleep 0.01; done")
		ready(l, 2)
		send(t, l, syscall.SIGINT)
		l.expect(130, "ended by SIGINT")
		if n := strings.Count(l.stdout.String(), "asked\n"); n != 2 {
			t.Errorf("%d ranks were asked, want 2", n)
		}
	})
	t.Run("terminate", func(t *testing.T) {
		l := start(t, nil, "-n", "2", "sh", "-c", "echo ready; exec sleep 600")
		ready(l, 2)
		send(t, l, syscall.SIGTERM)
		l.expect(143, "ended by SIGTERM")
	})
	t.Run("grace", func(t *testing.T) {
		l := start(t, nil, "-n", "2", "-grace", "200ms", "sh", "-c", "trap '' INT; echo ready; while :; do sleep 600; done")
		ready(l, 2)
		send(t, l, syscall.SIGINT)
		l.expect(130, "ended by SIGINT")
	})
	t.Run("twice", func(t *testing.T) {
		l := start(t, nil, "-n", "2", "-grace", "10m", "sh", "-c", "trap 'echo asked' INT; echo ready; while :; do sleep 0.01; done")
		ready(l, 2)
		send(t, l, syscall.SIGINT)
		l.until(&l.stdout, "asked")
		send(t, l, syscall.SIGINT)
		l.expect(130, "ended by SIGINT")
	})
	t.Run("user", func(t *testing.T) {
		l := start(t, nil, "-n", "2", "sh", "-c", "trap 'exit 4' USR1; trap 'echo two' USR2; echo ready; while :; do sleep 0.01; done")
		ready(l, 2)
		send(t, l, syscall.SIGUSR2)
		l.until(&l.stdout, "two")
		send(t, l, syscall.SIGUSR1)
		l.expect(4)
	})
	t.Run("suspend", func(t *testing.T) {
		l := start(t, nil, "-n", "2", "sh", "-c", "echo ready; while :; do sleep 0.01; echo tick; done")
		ready(l, 2)
		send(t, l, syscall.SIGTSTP)
		// The launcher reads nothing while it is stopped, and the ranks say nothing
		// more after that, for longer than an agent waits for a silent launcher.
		stopped := func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.cmd.Process.Pid))
			return err == nil && bytes.Contains(stat, []byte(") T "))
		}
		l.poll("the launcher is stopped", stopped)
		<-time.After(4 * time.Second)
		if !stopped() {
			t.Error("the launcher runs")
		}
		send(t, l, syscall.SIGCONT)
		before := strings.Count(l.stdout.String(), "tick\n")
		l.poll("ranks run again", func() bool { return strings.Count(l.stdout.String(), "tick\n") > before+100 })
		send(t, l, syscall.SIGTERM)
		l.expect(143)
	})
}

func TestStopped(t *testing.T) {
	// A launcher that is stopped outright says nothing to its agent, which ends
	// the ranks.
	l := start(t, nil, "-n", "2", "sh", "-c", "echo ready; exec sleep 600")
	l.poll("ready", func() bool { return strings.Count(l.stdout.String(), "ready\n") == 2 })
	if err := l.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	l.poll("the ranks are gone", func() bool { return len(l.processes()) == 1 })
	if err := l.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	l.expect(125, "the launcher was silent")
}

func TestStoppedAgent(t *testing.T) {
	l := start(t, nil, "-n", "2", "sh", "-c", "echo ready; exec sleep 600")
	l.poll("ready", func() bool { return strings.Count(l.stdout.String(), "ready\n") == 2 })
	if err := syscall.Kill(l.find("agent serve"), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	l.expect(125, "host "+hostname(t)+": no sign of life")
}

func TestOutput(t *testing.T) {
	t.Run("flood", func(t *testing.T) {
		const lines = 20000
		l := start(t, nil, "-n", "3", "-tag-output", "sh", "-c", fmt.Sprintf("i=0; while [ $i -lt %d ]; do echo line $i of $SSPURN_RANK; i=$((i+1)); done; printf end", lines))
		l.expect(0)
		next := make([]int, 3)
		ends := 0
		for _, line := range strings.Split(strings.TrimSuffix(l.stdout.String(), "\n"), "\n") {
			var tag, i, r int
			if n, _ := fmt.Sscanf(line, "[%d] line %d of %d", &tag, &i, &r); n != 3 {
				if strings.HasSuffix(line, "] end") {
					ends++
					continue
				}
				t.Fatalf("line %q", line)
			}
			if tag != r || next[r] != i {
				t.Fatalf("line %q, want line %d of %d", line, next[r], r)
			}
			next[r]++
		}
		for r, n := range next {
			if n != lines {
				t.Errorf("%d lines of rank %d, want %d", n, r, lines)
			}
		}
		if ends != 3 {
			t.Errorf("%d unfinished lines, want 3", ends)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		data := bytes.Repeat([]byte("\x00\xff\n\r no line"), 100000)
		l := start(t, bytes.NewReader(data), "-n", "1", "cat")
		l.expect(0)
		if l.stdout.String() != string(data) {
			t.Errorf("%d bytes came back, want %d", len(l.stdout.String()), len(data))
		}
	})
	t.Run("apart", func(t *testing.T) {
		l := start(t, nil, "-n", "2", "sh", "-c", "echo out; echo err >&2")
		l.expect(0)
		if out, diag := l.stdout.String(), l.stderr.String(); out != "out\nout\n" || diag != "err\nerr\n" {
			t.Errorf("stdout %q, stderr %q", out, diag)
		}
	})
	t.Run("directory", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "out")
		l := start(t, nil, "-n", "2", "-output", dir, "sh", "-c", "echo out $SSPURN_RANK; printf err >&2")
		l.expect(0)
		for r := range 2 {
			for ext, want := range map[string]string{"out": fmt.Sprintf("out %d\n", r), "err": "err"} {
				got, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("rank-%d.%s", r, ext)))
				if err != nil || string(got) != want {
					t.Errorf("rank %d: %s is %q (%v), want %q", r, ext, got, err, want)
				}
			}
		}
		if out := l.stdout.String() + l.stderr.String(); out != "" {
			t.Errorf("shown: %q", out)
		}
	})
	t.Run("prompt", func(t *testing.T) {
		// A part of a line is shown while the rank waits for the answer.
		in, answer := io.Pipe()
		l := start(t, in, "-n", "1", "sh", "-c", "printf 'name? '; read name; echo hello $name")
		l.until(&l.stdout, "name? ")
		if _, err := io.WriteString(answer, "you\n"); err != nil {
			t.Fatal(err)
		}
		if err := answer.Close(); err != nil {
			t.Fatal(err)
		}
		l.expect(0)
		if got := l.stdout.String(); got != "name? hello you\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("blocked", func(t *testing.T) {
		// Nobody reads the output: the job can be ended all the same.
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		l := startTo(t, w, nil, "-n", "2", "-grace", "10m", "sh", "-c", "trap '' INT; echo up >&2; exec cat /dev/zero")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		l.until(&l.stderr, "up\nup\n")
		l.poll("the end", func() bool {
			_ = l.cmd.Process.Signal(syscall.SIGINT) // two that come at once are one
			select {
			case <-l.done:
				return true
			default:
				return false
			}
		})
		l.expect(130, "ended by SIGINT")
	})
}

// The reader of the output goes away: so does the job, however long it would
// run on, as a single program would.
func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := startTo(t, w, nil, "-n", "3", "sh", "-c", "while :; do echo line; done")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	l.expect(141, "sspurn: the reader of the output has gone (SIGPIPE)\n")
	if n := strings.Count(l.stderr.String(), "\n"); n != 1 {
		t.Errorf("%d lines, want one: %s", n, l.stderr.String())
	}
}

// A job can be ended while its ranks are being started.
func TestEndWhileStarting(t *testing.T) {
	l := start(t, nil, "-n", "200", "sh", "-c", "echo up; exec sleep 600")
	l.until(&l.stdout, "up")
	if err := l.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	l.expect(130, "ended by SIGINT")
}

// What an earlier run has left does not mix with this one.
func TestDirectoriesOfEarlierRuns(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"3", "1"} {
		l := start(t, nil, "-n", n, "-output", dir, "-run-dir", dir, "RANK", "record")
		l.expect(0)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "job.json rank-0.err rank-0.jsonl rank-0.out" {
		t.Errorf("got %s", got)
	}
}

func TestStdinGoesToRankZero(t *testing.T) {
	l := start(t, strings.NewReader("a\nb\n"), "-n", "3", "-tag-output", "cat")
	l.expect(0)
	if got := l.stdout.String(); got != "[0] a\n[0] b\n" {
		t.Errorf("got %q", got)
	}
}

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SSPURN_TEST_PASSED", "from the launcher")
	l := start(t, nil, "-n", "2", "-wdir", dir, "-x", "SSPURN_TEST_PASSED", "-x", "OTHER=a b=c", "sh", "-c", `echo "$SSPURN_TEST_PASSED|$OTHER|$SSPURN_SIZE|$SSPURN_CONTROL|$(pwd)"`)
	l.expect(0)
	line := "from the launcher|a b=c|2|3|" + dir + "\n"
	if got := l.stdout.String(); got != line+line {
		t.Errorf("got %q, want twice %q", got, line)
	}
}

func TestPasswordStaysInside(t *testing.T) {
	l := start(t, nil, "-n", "2", "RANK", "wait", "-1")
	l.until(&l.stdout, "joined")
	for pid := range l.processes() {
		for _, file := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
			if err == nil && bytes.Contains(bytes.ToLower(text), []byte("secret")) {
				t.Errorf("process %d: %s mentions the secret", pid, file)
			}
		}
	}
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	l.expect(143)
}

func TestRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	l := start(t, nil, "-n", "2", "-run-dir", dir, "-progress", "on", "RANK", "record")
	l.expect(0)
	for r := range 2 {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("rank-%d.jsonl", r)))
		if err != nil {
			t.Fatal(err)
		}
		kept := bytes.Count(text, []byte(`"ev":"clock"`))
		dropped := 0
		if i := bytes.Index(text, []byte(`"s":"`)); i >= 0 {
			fmt.Sscanf(string(text[i+5:]), "%d record lines", &dropped)
		}
		if kept+dropped != 1000 || kept < 400 {
			t.Errorf("rank %d: %d lines kept and %d dropped, want 1000 together", r, kept, dropped)
		}
	}
	job, err := os.ReadFile(filepath.Join(dir, "job.json"))
	if err != nil || !bytes.Contains(job, []byte(`"ended": true`)) {
		t.Errorf("job.json: %s (%v)", job, err)
	}
}

func TestReport(t *testing.T) {
	dir := t.TempDir()
	var dirs []string
	for _, sync := range []string{"bsp", "ssp:3"} {
		dirs = append(dirs, filepath.Join(dir, sync))
		limit := map[string]string{"bsp": "1.5", "ssp:3": "1.25"}[sync]
		start(t, nil, "-n", "2", "-run-dir", dirs[len(dirs)-1], "RANK", "learn", limit, "-sync", sync).expect(0)
	}
	plot := filepath.Join(dir, "plot.png")
	l := start(t, nil, append([]string{"report", "-out", plot}, dirs...)...)
	l.expect(0)
	lines := strings.Split(l.stdout.String(), "\n")
	for i, want := range map[int]string{1: "setting runs s to 1.602 clocks to it final rmse seconds items/s waited speed-up", 3: "bsp 1 ", 4: "ssp:3 1 "} {
		if got := strings.Join(strings.Fields(lines[i]), " "); !strings.HasPrefix(got, want) || i > 1 && !strings.Contains(got, " 5.50 1 k 25 % ") {
			t.Errorf("line %d: %q, want %q", i+1, got, want)
		}
	}
	for _, args := range [][]string{{"-format", "html,png,svg,csv,json", "-out", filepath.Join(dir, "all.html")}, {"-target", "1.7", "-out", filepath.Join(dir, "one.json")}} {
		start(t, nil, append(append([]string{"report"}, args...), dir)...).expect(0) // the directory of the runs' directories
	}
	for _, args := range [][]string{ // a dot in a name is not an ending, and a target of 0 one like any other
		{"-format", "json,png,json", "-out", filepath.Join(dir, "v1.2")}, {"-format", "csv", "-out", filepath.Join(dir, "tables")},
		{"-format", "json", "-out", filepath.Join(dir, "v1.3"), "-target", "0"},
	} {
		start(t, nil, append(append([]string{"report"}, args...), dir)...).expect(0)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "v1.3")); err != nil || !strings.Contains(string(text), `"target": 0,`) {
		t.Errorf("-target 0: %.300s (%v)", text, err)
	}
	for _, name := range []string{"all.html", "all.png", "all.svg", "all-csv/settings.csv", "all.json", "one.json", "v1.2.json", "v1.2.png", "tables/settings.csv"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	l = start(t, nil, "report", "-target", "1.7", "-format", "json", "-out", "-", dir)
	l.expect(0)
	var numbers struct {
		Target float64
		Tables map[string][]map[string]any
	}
	if err := json.Unmarshal([]byte(l.stdout.String()), &numbers); err != nil || numbers.Target != 1.7 || len(numbers.Tables["settings"]) != 2 {
		t.Errorf("%+v (%v)", numbers, err)
	}
	f, err := os.Open(plot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := png.Decode(f); err != nil {
		t.Error(err)
	}

	empty, torn, other, void := filepath.Join(dir, "empty"), filepath.Join(dir, "torn"), filepath.Join(dir, "other"), filepath.Join(dir, "void")
	for _, d := range []string{empty, torn, other, void} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		filepath.Join(torn, "job.json"):      `{"program":"ap`,
		filepath.Join(void, "job.json"):      `{}`,
		filepath.Join(other, "job.json"):     `{"program":"app","ranks":1,"ended":true}`,
		filepath.Join(other, "rank-0.jsonl"): `{"ev":"clock","c":3,"compute":2}` + "\n" + `{"ev":"clo`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "no RUNDIR"},
		{[]string{filepath.Join(dir, "absent")}, "sspurn: report: run directory: stat " + filepath.Join(dir, "absent") + ": no such file"},
		{[]string{dirs[0], empty}, "sspurn: report: " + empty + " holds no record of a run"},
		{[]string{torn}, "sspurn: report: run directory: " + filepath.Join(torn, "job.json") + ": unexpected end"},
		{[]string{dirs[0], void}, "sspurn: report: run directory: " + filepath.Join(void, "job.json") + " names no program and no ranks"},
		{[]string{dirs[0], "-out", plot}, "flags come first"},
		{[]string{"-bogus", dirs[0]}, "-bogus"},
		{[]string{"-out", filepath.Join(dir, "absent", "plot.png"), dirs[0]}, "sspurn: report: write: open "},
		{[]string{"-format", "pdf", dirs[0]}, "-format pdf: want html, png, svg, csv, json"},
		{[]string{"-out", "x.pdf", dirs[0]}, "no ending that says a format"},
		{[]string{"-out", "-", "-format", "csv", dirs[0]}, "want one format"},
		{[]string{"-out", "v1.2", dirs[0]}, "no ending that says a format"},
		{[]string{"-out", "x.csv", dirs[0]}, "csv is a directory"},
		{[]string{"-out", "x.html", "-format", "png", dirs[0]}, "the ending says html, and -format png"},
		{[]string{"-target", "NaN", dirs[0]}, "-target NaN: want a number"},
	} {
		l := start(t, nil, append([]string{"report"}, tt.args...)...)
		l.expect(125, tt.want)
		if n := strings.Count(l.stderr.String(), "\n"); n != 1 {
			t.Errorf("%v: %d lines, want one: %s", tt.args, n, l.stderr.String())
		}
	}
	l = start(t, nil, "report", "-out", filepath.Join(dir, "other.html"), other)
	l.expect(0)
	for _, want := range []string{"the record of rank 0 lacks its end", "app"} {
		if !strings.Contains(l.stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, l.stdout.String())
		}
	}
}

func TestRecordOfAFailedJobStays(t *testing.T) {
	l := start(t, nil, "-n", "1", "RANK", "record")
	l.expect(0)
	if strings.Contains(l.stderr.String(), "record of the run") {
		t.Errorf("a directory after success: %s", l.stderr.String())
	}
	l = start(t, nil, "-n", "2", "sh", "-c", `printf '{"k":"record","record":{"ev":"note"}}\n' >&3; exit 5`)
	l.expect(5, "the record of the run is in ")
	_, path, _ := strings.Cut(l.stderr.String(), "the record of the run is in ")
	if _, err := os.Stat(filepath.Join(strings.TrimSpace(path), "job.json")); err != nil {
		t.Error(err)
	}
}

func TestBrokenControlChannel(t *testing.T) {
	l := start(t, nil, "-n", "2", "sh", "-c", `test $SSPURN_RANK = 1 && echo garbage >&3; exec sleep 600`)
	l.expect(1, "rank 1 on "+hostname(t)+": control channel")
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"-help"}, {"-h"}, {}, {"hosts", "-help"}, {"check", "-h"}, {"report", "-h"}} {
		l := start(t, nil, args...)
		l.expect(0)
		out := l.stdout.String()
		want := "-hosts, -hostfile, -machinefile FILE"
		if len(args) > 0 && args[0] == "report" {
			want = "-out FILE"
		}
		if !strings.Contains(out, want) || strings.Contains(out, "--") {
			t.Errorf("%v: %s", args, out)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, flag := range []string{"-version", "--version"} {
		l := start(t, nil, flag)
		l.expect(0)
		if out := l.stdout.String(); !strings.HasPrefix(out, "sspurn ") || strings.Count(out, "\n") != 1 || !strings.Contains(out, goruntime.Version()) {
			t.Errorf("%s: %q", flag, out)
		}
	}
	start(t, nil, "-v", "-n", "1", "true").expect(0, "starts 1 ranks of") // is no shorter name of it
}

func TestHosts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("node[1-2] slots=2\nuser@other:1 port=2222\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := start(t, nil, "hosts", "-hosts", file)
	l.expect(0)
	got := strings.Join(strings.Fields(l.stdout.String()), " ")
	for _, want := range []string{"node1 0-1 2 ssh", "node2 2-3 2 ssh", "other 4 1 ssh", "-p 2222 user@other"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	l = start(t, nil, "-n", "2", "hosts")
	l.expect(125, "flags come after the command")
	if err := os.WriteFile(file, []byte("fine\n\nbad name\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l = start(t, nil, "-hosts", file, "true")
	l.expect(125, file+":3: name: want key=value")
}
