package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// remotes makes a remote shell that needs no server: each host is a home
// directory of its own, and nothing of the environment gets there but what
// makes a process of this test known, and the staged copy of this binary
// sspurn. A host named away is out of reach, one named noisy has a login shell
// that talks, one named other is another kind of machine.
func remotes(t *testing.T) (shell, homes string) {
	t.Helper()
	dir := t.TempDir()
	homes = filepath.Join(dir, "homes")
	shell = filepath.Join(dir, "rsh")
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`#!/bin/sh
while [ "$1" = -p ]; do shift 2; done
h=%s/$1
mkdir -p "$h" && cd "$h" || exit 1
p=$PATH
case $1 in
away) echo "connect to host away: no route" >&2; exit 255;;
noisy) echo "Welcome!"; echo "You have mail.";;
other) p=%s:$PATH;;
esac
exec env -i HOME="$h" PATH="$p" GORACE=atexit_sleep_ms=0 %s=sspurn %s="$%s" sh -c "$2"
`, homes, bin, envAs, envMark, envMark)
	uname := "#!/bin/sh\ntest $1 = -s && echo Plan9 || echo pdp11\n"
	for path, text := range map[string]string{shell: script, filepath.Join(bin, "uname"): uname} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return shell, homes
}

// cached returns the files in the caches of the hosts.
func cached(t *testing.T, homes string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(homes, "*/.cache/sspurn/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	parts, err := filepath.Glob(filepath.Join(homes, "*/.cache/sspurn/*/.part*"))
	if err != nil || len(parts) > 0 {
		t.Errorf("parts left: %q (%v)", parts, err)
	}
	return files
}

func TestRemote(t *testing.T) {
	shell, homes := remotes(t)
	dir := t.TempDir()
	app := filepath.Join(dir, "app")
	if err := os.WriteFile(app, []byte("#!/bin/sh\necho $SSPURN_RANK at $HOME, $1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := start(t, nil, "-ssh", shell, "-host", "one:2,noisy:1", "-wdir", "/", app, "x")
	l.expect(0)
	for r, host := range []string{"one", "one", "noisy"} {
		want := fmt.Sprintf("%d at %s, x\n", r, filepath.Join(homes, host))
		if !strings.Contains(l.stdout.String(), want) {
			t.Errorf("no %q in %q; stderr %s", want, l.stdout.String(), l.stderr.String())
		}
	}
	if files := cached(t, homes); len(files) != 2 {
		t.Errorf("staged %q, want sspurn once for each host, and the program nowhere: it is there", files)
	}

	// A host on which the program's path does not lead to it gets a copy.
	l = start(t, nil, "-ssh", shell, "-host", "one:2,noisy:1", "-stage", "always", app, "y")
	l.expect(0)
	files := cached(t, homes)
	if len(files) != 4 {
		t.Errorf("staged %q, want sspurn and the program for each host", files)
	}
	// What is there is not copied again.
	before := make(map[string]os.FileInfo)
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		before[f] = st
	}
	l = start(t, nil, "-v", "-ssh", shell, "-host", "one:2,noisy:1", app, "z")
	l.expect(0)
	if strings.Contains(l.stderr.String(), "sends") {
		t.Errorf("copied again: %s", l.stderr.String())
	}
	for f, st := range before {
		now, err := os.Stat(f)
		if err != nil || !os.SameFile(st, now) {
			t.Errorf("%s was replaced (%v)", f, err)
		}
	}
}

func TestRemoteConcurrent(t *testing.T) {
	shell, homes := remotes(t)
	var launches []*launch
	for range 3 {
		launches = append(launches, start(t, nil, "-ssh", shell, "-host", "one:2", "-stage", "always", "sh", "-c", "echo ran"))
	}
	var wg sync.WaitGroup
	for _, l := range launches {
		wg.Go(func() { <-l.done })
	}
	wg.Wait()
	for _, l := range launches {
		l.expect(0)
		if got := l.stdout.String(); got != "ran\nran\n" {
			t.Errorf("got %q; stderr %s", got, l.stderr.String())
		}
	}
	if files := cached(t, homes); len(files) != 2 {
		t.Errorf("cache: %q", files)
	}
}

func TestRemoteFailures(t *testing.T) {
	shell, homes := remotes(t)
	never := []string{"-stage", "never"}
	tests := []struct {
		name string
		args []string
		text string
	}{
		{"out of reach", []string{"-host", "one,away", "true"}, "sspurn: host away: connect to host away: no route"},
		{"another platform", []string{"-host", "other", "true"}, "sspurn: host other: is plan9/pdp11, but this sspurn"},
		{"no such shell", []string{"-ssh", "/no/such/shell", "-host", "one", "true"}, "sspurn: host one: start the agent: fork/exec /no/such/shell"},
		{"directory", []string{"-host", "one", "-wdir", "/no/such", "true"}, "sspurn: host one: working directory /no/such does not exist"},
		{"silent shell", []string{"-ssh", "true", "-host", "one", "true"}, "sspurn: host one: the connection was closed (true: exit status 0)"},
		{"never", append(never, "-host", "one", filepath.Join(homes, "one", "app")), "app"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t, nil, append([]string{"-ssh", shell}, tt.args...)...)
			l.expect(125, tt.text)
			if n := strings.Count(l.stderr.String(), "\n"); n != 1 || l.stdout.String() != "" {
				t.Errorf("want one line, got %s%s", l.stdout.String(), l.stderr.String())
			}
		})
	}
}

func TestRemoteWorkingDirectory(t *testing.T) {
	// The launcher's directory does not exist at the host: the home does.
	shell, homes := remotes(t)
	gone := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	l := start(t, nil, "-ssh", shell, "-host", "one", "pwd")
	l.expect(0)
	if got := strings.TrimSpace(l.stdout.String()); got == filepath.Join(homes, "one") {
		t.Errorf("ran in %s although the launcher's directory exists", got)
	}
}

func TestRemoteKill(t *testing.T) {
	tests := []struct {
		name   string
		suffix string
		text   string
	}{
		{"launcher", "", ""},
		{"agent", "agent serve", "sspurn: host one: sspurn agent: the agent was killed by signal 9 (SIGKILL)"},
		{"keeper", "sspurn agent", "sspurn: host one: agent: the keeper has ended"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			shell, _ := remotes(t)
			l := start(t, nil, "-ssh", shell, "-host", "one:2", "sh", "-c", "(setsid sleep 600 &); echo up; exec sleep 600")
			l.poll("up", func() bool { return l.stdout.String() == "up\nup\n" })
			victim := l.cmd.Process.Pid
			if tt.suffix != "" {
				victim = l.find(tt.suffix)
			}
			if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if code := l.wait(); tt.text != "" && code != 125 {
				t.Errorf("exit status %d, want 125", code)
			}
			if !strings.Contains(l.stderr.String(), tt.text) {
				t.Errorf("no %q in %s", tt.text, l.stderr.String())
			}
		})
	}
}

func TestCheck(t *testing.T) {
	shell, _ := remotes(t)
	l := start(t, nil, "check", "-ssh", shell, "-host", "one:2,two:1", "sh")
	l.expect(0)
	for _, want := range []string{"one: ok (linux/", "ranks 0-1", "two: ok", "all 2 hosts are usable and reach one another"} {
		if !strings.Contains(l.stdout.String(), want) {
			t.Errorf("no %q in %s", want, l.stdout.String())
		}
	}
	l = start(t, nil, "check", "-ssh", shell, "-host", "one:2,away:1", "sh")
	l.expect(125, "sspurn: 1 of 2 hosts can not be used")
	if out := l.stdout.String(); !strings.Contains(out, "away: connect to host away: no route") || !strings.Contains(out, "one: ok") {
		t.Errorf("got %s", out)
	}
}
