//go:build linux

package jobs_test

import (
	"bytes"
	"context"
	stderrors "errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/runtimetest/race"
	"github.com/sspurn/sspurn/scripts/testbed"
)

func TestMain(m *testing.M) {
	testbed.Child()
	os.Exit(m.Run())
}

// cluster is a testbed with the programs under test.
type cluster struct {
	*testbed.Testbed
	bin  string // folder with sspurn, mf and synth; the hosts do not see it
	data string // folder that the hosts see too
	home string // of the launcher's user
}

// newCluster makes three hosts and builds the programs, or skips the test.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	if err := testbed.Usable(t.Context()); err != nil {
		t.Skipf("SKIPPED: no testbed here: %v", err)
	}
	c := &cluster{bin: t.TempDir(), data: t.TempDir(), home: t.TempDir()}
	flags, cgo := []string{"build", "-o", c.bin + "/"}, "CGO_ENABLED=0"
	if race.Enabled { // the programs under test are built like the tests
		flags, cgo = append(flags, "-race"), "CGO_ENABLED=1"
	}
	build := exec.CommandContext(t.Context(), "go", append(flags,
		"github.com/sspurn/sspurn/launcher/sspurn", "github.com/sspurn/sspurn/apps/mf", "github.com/sspurn/sspurn/apps/synth")...)
	build.Env = append(os.Environ(), cgo)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var err error
	if c.Testbed, err = testbed.Up(t.Context(), testbed.Options{Hosts: 3, Share: []string{c.data}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// job is a running launcher.
type job struct {
	t     *testing.T
	c     *cluster
	cmd   *exec.Cmd
	out   *record
	ended chan struct{} // closed when the launcher has ended
}

// start runs sspurn in the launcher's host with the hosts of the cluster.
func (c *cluster) start(t *testing.T, ranks int, flags []string, program string, args ...string) *job {
	t.Helper()
	argv := append([]string{"-n", strconv.Itoa(ranks), "-hosts", c.HostsFile(), "-ssh", c.SSH()}, flags...)
	argv = append(argv, filepath.Join(c.bin, program))
	cmd := c.Launcher().Command(context.Background(), filepath.Join(c.bin, "sspurn"), append(argv, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+c.home, "XDG_CACHE_HOME="+filepath.Join(c.home, ".cache"), "TMPDIR="+t.TempDir())
	cmd.Dir = c.home
	j := &job{t: t, c: c, cmd: cmd, out: newRecord(), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = j.out, j.out
	if err := c.Launcher().Start(cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(j.ended)
		_ = cmd.Wait() // the status is in cmd.ProcessState
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-j.ended
		if raced, _ := j.out.has("DATA RACE"); raced {
			t.Error("the race detector found something")
		}
		if t.Failed() {
			t.Logf("output of %v:\n%s", cmd.Args, j.out)
		}
	})
	return j
}

// sees waits until the launcher's output holds the text.
func (j *job) sees(text string, within time.Duration) {
	j.t.Helper()
	deadline := time.After(within)
	for {
		seen, changed := j.out.has(text)
		if seen {
			return
		}
		select {
		case <-changed:
		case <-j.ended:
			if seen, _ := j.out.has(text); !seen {
				j.t.Fatalf("the launcher ended, %v, without printing %q", j.cmd.ProcessState, text)
			}
			return
		case <-deadline:
			j.t.Fatalf("no %q in the output within %v", text, within)
		}
	}
}

// awaitRanks waits until n ranks have been started.
func (j *job) awaitRanks(n int, within time.Duration) {
	j.t.Helper()
	deadline := time.After(within)
	for {
		ranks := 0
		for _, r := range j.c.roles(j.t) {
			if r.kind == "rank" {
				ranks++
			}
		}
		if ranks >= n {
			return
		}
		select {
		case <-j.ended:
			j.t.Fatalf("the launcher ended, %v, before %d ranks were started", j.cmd.ProcessState, n)
		case <-deadline:
			j.t.Fatalf("%d ranks are started within %v, want %d", ranks, within, n)
		case <-time.After(time.Millisecond):
		}
	}
}

// end waits for the launcher's end and returns its exit status; -1 means
// killed.
func (j *job) end(within time.Duration) int {
	j.t.Helper()
	select {
	case <-j.ended:
		return j.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		j.t.Fatalf("the launcher is still there after %v", within)
		return 0
	}
}

// quiet checks that within the time nothing of the job is left on any host, the
// launcher's included. On a host that is cut off the sshd of the session is
// left out: it can not know yet that the other end is gone.
func (j *job) quiet(within time.Duration, cut *testbed.Host) {
	j.t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), within, fmt.Errorf("%v later", within))
	defer cancel()
	for _, h := range append(j.c.Hosts(), j.c.Launcher()) {
		except := func(testbed.Process) bool { return false }
		if h == cut {
			except = func(p testbed.Process) bool { return strings.HasPrefix(p.Args[0], "sshd:") }
		}
		if err := h.AwaitQuiet(ctx, except); err != nil {
			j.t.Error(err)
		}
	}
}

// said returns the launcher's own line that has all parts in it, or else all
// of its own lines.
func (j *job) said(parts []string) (line string, ok bool) {
	var own []string
	for line := range strings.Lines(j.out.String()) {
		if !strings.HasPrefix(line, "sspurn: ") {
			continue
		}
		line = strings.TrimSpace(line)
		own = append(own, line)
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			return line, true
		}
	}
	return strings.Join(own, "\n"), false
}

// role is what a process is in a job.
type role struct {
	kind string // rank, agent, keeper
	rank int    // of a rank
	host *testbed.Host
	pid  int
}

// roles finds the job's processes on the hosts.
func (c *cluster) roles(t *testing.T) []role {
	t.Helper()
	var list []role
	ranks := map[int]bool{} // by process
	for _, h := range c.Hosts() {
		ps, err := h.Processes()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
			if err != nil {
				continue // it has ended
			}
			n := len(p.Args)
			if _, value, ok := strings.Cut("\x00"+string(env), "\x00SSPURN_RANK="); ok {
				rank, err := strconv.Atoi(value[:max(0, strings.IndexByte(value, 0))])
				if err != nil {
					t.Fatalf("environment of process %v: %v", p, err)
				}
				if !ranks[p.Parent] { // else a child of a rank
					list = append(list, role{"rank", rank, h, p.PID})
				}
				ranks[p.PID] = true
			} else if n >= 3 && p.Args[n-2] == "agent" && p.Args[n-1] == "serve" {
				list = append(list, role{"agent", -1, h, p.PID})
			} else if n >= 2 && p.Args[n-1] == "agent" && !strings.HasSuffix(p.Args[0], "sh") {
				list = append(list, role{"keeper", -1, h, p.PID})
			}
		}
	}
	return list
}

// pick chooses one process of a kind; the test fails if there is none.
func (c *cluster) pick(t *testing.T, rng *rand.Rand, kind string) role {
	t.Helper()
	var fit []role
	for _, r := range c.roles(t) {
		if r.kind == kind {
			fit = append(fit, r)
		}
	}
	if len(fit) == 0 {
		t.Fatalf("no %s among the processes of the hosts", kind)
	}
	return fit[rng.IntN(len(fit))]
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !stderrors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
}

// record keeps what is written to it.
type record struct {
	mu      sync.Mutex
	text    bytes.Buffer  // guarded by mu
	changed chan struct{} // guarded by mu; closed at the next write
}

func newRecord() *record { return &record{changed: make(chan struct{})} }

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// has reports whether the text is there, and returns a channel that is closed
// when there is more.
func (r *record) has(text string) (bool, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(r.text.String(), text), r.changed
}

// pause waits: the moment at which something fails is part of what is tested.
func pause(d time.Duration) { <-time.After(d) }
