//go:build linux

package testbed_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/scripts/testbed"
)

// ownerName is the name under which this program is an owner to be killed.
const ownerName = "testbed-owner"

func TestMain(m *testing.M) {
	testbed.Child()
	if os.Args[0] == ownerName {
		beOwner()
	}
	os.Exit(m.Run())
}

// beOwner makes a testbed, prints its folder and the first process of its
// host, and waits to be killed.
func beOwner() {
	t, err := testbed.Up(context.Background(), testbed.Options{Hosts: 1})
	if err != nil {
		fmt.Println("owner:", err)
		os.Exit(1)
	}
	fmt.Println(t.Dir(), t.Hosts()[0].Init.PID)
	io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

// up makes a testbed for a test, or skips the test where none can be made.
func up(t *testing.T, o testbed.Options) *testbed.Testbed {
	t.Helper()
	if err := testbed.Usable(t.Context()); err != nil {
		t.Skipf("SKIPPED: no testbed here: %v", err)
	}
	tb, err := testbed.Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tb.Close(); err != nil {
			t.Error(err)
		}
	})
	return tb
}

// ssh runs a command in a host by ssh from the launcher's host.
func ssh(t *testing.T, tb *testbed.Testbed, host, command string) (string, error) {
	t.Helper()
	args := strings.Fields(tb.SSH())
	return tb.Launcher().Output(t.Context(), args[0], append(args[1:], host, command)...)
}

func TestHostsAreSeparate(t *testing.T) {
	shared := t.TempDir()
	if err := os.WriteFile(filepath.Join(shared, "data"), []byte("from outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	hidden := t.TempDir()
	tb := up(t, testbed.Options{Hosts: 3, Share: []string{shared}})
	for i, h := range tb.Hosts() {
		out, err := ssh(t, tb, h.Name, "hostname; cat "+shared+"/data; ls -d "+hidden+" "+shared+"/new; touch "+shared+"/new; ls /tmp | wc -l; echo x > /tmp/mine; echo $HOME; ls -A ~")
		if err != nil {
			t.Fatal(err)
		}
		// Nothing of this machine's /tmp is there but what is shared, whose path leads through it.
		want := h.Name + "\nfrom outside1\n/root\n.ssh\n"
		if strings.HasPrefix(shared, "/tmp/") {
			if out != want {
				t.Errorf("host %d: got %q, want %q", i, out, want)
			}
		}
		if _, err := os.Stat("/tmp/mine"); err == nil {
			t.Errorf("%s: its /tmp is that of this machine", h.Name)
		}
	}
	for _, name := range []string{"node1", "node2", "node3", "launcher"} {
		h, err := tb.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		out, err := tb.Hosts()[1].Output(t.Context(), "getent", "hosts", name)
		if err != nil || !strings.HasPrefix(out, h.Addr) {
			t.Errorf("address of %s as node2 sees it: got %q, %v, want %s", name, out, err, h.Addr)
		}
	}
	if _, err := tb.Host("node4"); err == nil {
		t.Error("node4 of three: no error")
	}
}

func TestProcesses(t *testing.T) {
	tb := up(t, testbed.Options{Hosts: 2})
	one, two := tb.Hosts()[0], tb.Hosts()[1]
	// What a login leaves in the background is what a launcher may leave behind.
	if _, err := ssh(t, tb, "node1", "</dev/null >/dev/null 2>&1 setsid sleep 1000 & until grep -q ^sleep /proc/$!/cmdline; do :; done"); err != nil {
		t.Fatal(err)
	}
	list, err := one.Processes()
	if err != nil {
		t.Fatal(err)
	}
	var left []testbed.Process
	for _, p := range list {
		if strings.HasSuffix(strings.Join(p.Args, " "), "sleep 1000") {
			left = append(left, p)
		}
	}
	if len(left) != 1 {
		t.Fatalf("processes of node1: got %v, want one sleep among them", list)
	}
	if list, err := two.Processes(); err != nil || len(list) != 0 {
		t.Errorf("processes of node2: got %v, %v, want none", list, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := one.AwaitQuiet(short, nil); err == nil || !strings.Contains(err.Error(), "sleep 1000") {
		t.Errorf("quiet with a process left: got %v, want an error that names it", err)
	}
	if err := syscall.Kill(left[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := one.AwaitQuiet(within(t, 5*time.Second), nil); err != nil {
		t.Error(err)
	}
}

func TestCutAndMend(t *testing.T) {
	tb := up(t, testbed.Options{Hosts: 2})
	h := tb.Hosts()[1]
	dial := func(timeout time.Duration) error {
		conn, err := tb.Launcher().Dial(within(t, timeout), h.Addr+":22")
		if err != nil {
			return err
		}
		return conn.Close()
	}
	if err := dial(5 * time.Second); err != nil {
		t.Fatalf("before the cut: %v", err)
	}
	if err := h.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := dial(300 * time.Millisecond); err == nil {
		t.Error("a connection over a cut link")
	}
	if err := h.Mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := dial(10 * time.Second); err != nil {
		t.Errorf("after mending: %v", err)
	}
	if err := tb.Launcher().Cut(t.Context()); err == nil {
		t.Error("cut of the launcher's host: no error")
	}
}

// TestRate sends four megabytes over a link of 20 Mbit/s. The bucket may pass
// at once what the link carries in 27 ms; less than 0.7 s of some 1.7 s means no
// limit, also where this process begins to read late.
func TestRate(t *testing.T) {
	tb := up(t, testbed.Options{Hosts: 1, Rate: "20mbit"})
	const size = 4 << 20
	receive := func() time.Duration {
		args := strings.Fields(tb.SSH())
		cmd := tb.Launcher().Command(t.Context(), args[0], append(args[1:], "node1", fmt.Sprintf("echo; head -c %d /dev/zero", size))...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := tb.Launcher().Start(cmd); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(out)
		if _, err := r.ReadByte(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		n, err := io.Copy(io.Discard, r)
		if err != nil || n != size {
			t.Fatalf("received %d bytes, %v, want %d", n, err, size)
		}
		took := time.Since(start)
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		return took
	}
	if took := receive(); took < 700*time.Millisecond {
		t.Errorf("4 MiB at 20 Mbit/s took %v, want at least 0.7 s", took)
	}
	if err := tb.Hosts()[0].SetRate(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	shown, err := tb.Hosts()[0].Output(t.Context(), "tc", "qdisc", "show", "dev", "eth0")
	if err != nil || strings.Contains(shown, "tbf") {
		t.Errorf("without a limit: got %q, %v, want no tbf", shown, err)
	}
	if err := tb.Hosts()[0].SetRate(t.Context(), "fast"); err == nil {
		t.Error("rate fast: no error")
	}
}

// TestOwnerKilled kills the owner of a testbed and expects its hosts to end at
// once and the next Up to remove its folder.
func TestOwnerKilled(t *testing.T) {
	if err := testbed.Usable(t.Context()); err != nil {
		t.Skipf("SKIPPED: no testbed here: %v", err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{ownerName}
	stdin, err := cmd.StdinPipe() // open as long as the test, so that the owner waits
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var dir string
	var pid int
	if _, err := fmt.Sscan(line, &dir, &pid); err != nil {
		t.Fatalf("owner says %q: %v", line, err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000)
	for err == unix.EINTR {
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000)
	}
	if n != 1 || err != nil {
		t.Errorf("first process of the host 5 s after its owner was killed: still there (%v)", err)
	}
	_ = cmd.Wait() // killed
	if _, err := testbed.Open(dir); err == nil {
		t.Error("open a testbed whose owner is dead: no error")
	}
	up(t, testbed.Options{Hosts: 1})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("folder of the dead owner: got %v, want it removed", err)
	}
}

func TestUpRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "precious"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]testbed.Options{
		"no hosts":       {},
		"too many":       {Hosts: testbed.MaxHosts + 1},
		"relative share": {Hosts: 1, Share: []string{"data"}},
		"folder in use":  {Hosts: 1, Dir: full},
	} {
		t.Run(name, func(t *testing.T) {
			if tb, err := testbed.Up(t.Context(), o); err == nil {
				tb.Close()
				t.Error("no error")
			}
		})
	}
	if _, err := os.Stat(filepath.Join(full, "precious")); err != nil {
		t.Error(err)
	}
}

// TestCommand uses the command as a user does: up, exec, ps, rate, down.
func TestCommand(t *testing.T) {
	if err := testbed.Usable(t.Context()); err != nil {
		t.Skipf("SKIPPED: no testbed here: %v", err)
	}
	bin := buildCommand(t)
	dir := filepath.Join(t.TempDir(), "tb")
	run := func(args ...string) (string, int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), bin, args...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := run("up", "-hosts", "2", "-dir", dir); code != 0 || !strings.Contains(out, filepath.Join(dir, "ssh_config")) {
		t.Fatalf("up: %d\n%s", code, out)
	}
	defer run("down", "-dir", dir)
	for _, c := range []struct {
		args []string
		out  string
		code int
	}{
		{[]string{"exec", "-dir", dir, "node2", "--", "hostname"}, "node2\n", 0},
		{[]string{"exec", "-dir", dir, "node1", "--", "sh", "-c", "exit 7"}, "", 7},
		{[]string{"exec", "-dir", dir, "node1", "--", "sh", "-c", "kill -9 $$"}, "", 137},
		{[]string{"exec", "-dir", dir, "launcher", "--", "sh", "-c", "ssh -F " + dir + "/ssh_config node1 hostname"}, "node1\n", 0},
		{[]string{"exec", "-dir", dir, "node9", "--", "true"}, "testbed: no host \"node9\": there are launcher and node1 to node2\n", 125},
		{[]string{"rate", "-dir", dir, "node1", "10mbit"}, "", 0},
		{[]string{"rate", "-dir", dir, "node1", "none"}, "", 0},
		{[]string{"cut", "-dir", dir, "node1"}, "", 0},
		{[]string{"mend", "-dir", dir, "node1"}, "", 0},
		{[]string{"ps", "-dir", dir, "node2"}, "", 0},
		{[]string{"down", "-dir", dir}, "", 0},
	} {
		if out, code := run(c.args...); out != c.out || code != c.code {
			t.Errorf("%v: got %q, status %d, want %q, %d", c.args, out, code, c.out, c.code)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("folder after down: %v", err)
	}
	if out, code := run("down", "-dir", dir); code != 125 || !bytes.Contains([]byte(out), []byte("no testbed")) {
		t.Errorf("second down: %d %q", code, out)
	}
}

func buildCommand(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "testbed")
	if out, err := exec.Command("go", "build", "-o", bin, "./cmd/testbed").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// TestCommandInterrupted ends "testbed run" with a signal and expects nothing
// to be left.
func TestCommandInterrupted(t *testing.T) {
	if err := testbed.Usable(t.Context()); err != nil {
		t.Skipf("SKIPPED: no testbed here: %v", err)
	}
	bin, tmp := buildCommand(t), t.TempDir()
	cmd := exec.CommandContext(t.Context(), bin, "run", "-hosts", "1", "--", "sh", "-c", "echo up; exec sleep 1000")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "up\n" {
		t.Errorf("got %q, %v, want up", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the status says it
	if code := cmd.ProcessState.ExitCode(); code != 128+15 {
		t.Errorf("exit status %v, want 143", cmd.ProcessState)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

// within returns a context that ends with the test or after d.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
