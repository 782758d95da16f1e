package main

import (
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sayCores is a program whose ranks say their number and cores, which a child
// of theirs finds out.
var sayCores = []string{"sh", "-c", "echo $SSPURN_RANK $(grep Cpus_allowed_list /proc/self/status)"}

// ownCores returns the cores that this thread may run on.
func ownCores(t *testing.T) []int {
	t.Helper()
	set := unix.NewCPUSet(1 << 16)
	if err := unix.SchedGetaffinityDynamic(0, set); err != nil {
		t.Fatal(err)
	}
	var cores []int
	for core := range 1 << 16 {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores
}

// startOn is start with a launcher that may use these cores only.
func startOn(t *testing.T, cores []int, args ...string) *launch {
	t.Helper()
	goruntime.LockOSThread()
	own, set := unix.NewCPUSet(1<<16), unix.NewCPUSet(1<<16)
	for _, core := range cores {
		set.Set(core)
	}
	err := unix.SchedGetaffinityDynamic(0, own)
	if err == nil {
		err = unix.SchedSetaffinityDynamic(0, set)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.SchedSetaffinityDynamic(0, own); err != nil {
			t.Fatal(err) // the thread stays locked and ends with the test
		}
		goruntime.UnlockOSThread()
	}()
	return start(t, nil, args...)
}

// on is what these ranks say, the only ones of their host, that are bound to
// their share of the cores, or, unbound, have them all.
func on(cores []int, bound bool, ranks ...int) []string {
	var lines []string
	for i, rank := range ranks {
		share := cores
		switch c, n := len(cores), len(ranks); {
		case bound && c < n:
			share = cores[i*c/n : i*c/n+1]
		case bound:
			share = cores[i*c/n : (i+1)*c/n]
		}
		lines = append(lines, fmt.Sprintf("%d %v", rank, share))
	}
	slices.Sort(lines)
	return lines
}

// said is what ranks that say their cores have said.
func said(t *testing.T, text string) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Fatalf("%q among %s", line, text)
		}
		var cores []int
		for _, part := range strings.Split(f[2], ",") {
			lo, hi, ranged := strings.Cut(part, "-")
			if !ranged {
				hi = lo
			}
			a, err1 := strconv.Atoi(lo)
			b, err2 := strconv.Atoi(hi)
			if err1 != nil || err2 != nil {
				t.Fatalf("%q among %s", line, text)
			}
			for ; a <= b; a++ {
				cores = append(cores, a)
			}
		}
		lines = append(lines, fmt.Sprintf("%s %v", f[0], cores))
	}
	slices.Sort(lines)
	return lines
}

// TestBind: ranks are bound to their share of the launcher's own cores, and not
// when nobody asks for it, also after a job that was bound.
func TestBind(t *testing.T) {
	own := ownCores(t)
	tests := []struct {
		name  string
		cores []int
		n     int
		flags []string
	}{
		{"three ranks", own, 3, []string{"-bind", "core"}},
		{"one rank", own, 1, []string{"-bind", "core"}},
		{"a rank for each core and one", own, len(own) + 1, []string{"-bind", "core"}},
		{"not bound", own, 3, nil},
		{"none", own, 3, []string{"-bind", "none"}},
		{"on the last core", own[len(own)-1:], 2, []string{"-bind", "core"}},
		{"on every second core", everySecond(own), 2, []string{"-bind", "core"}},
		{"on the last core, not bound", own[len(own)-1:], 2, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := startOn(t, tt.cores, slices.Concat([]string{"-n", strconv.Itoa(tt.n)}, tt.flags, sayCores)...)
			l.expect(0)
			var ranks []int
			for r := range tt.n {
				ranks = append(ranks, r)
			}
			want := on(tt.cores, slices.Contains(tt.flags, "core"), ranks...)
			if got := said(t, l.stdout.String()); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if l.stderr.String() != "" {
				t.Errorf("stderr: %s", l.stderr.String())
			}
		})
	}
}

func everySecond(cores []int) (half []int) {
	for i := 0; i < len(cores); i += 2 {
		half = append(half, cores[i])
	}
	return half
}

// TestBindTold: -v says which cores each rank got, a line for each host; the
// hosts divide their cores for themselves.
func TestBindTold(t *testing.T) {
	shell, _ := remotes(t)
	own := ownCores(t)
	l := start(t, nil, slices.Concat([]string{"-v", "-bind", "core", "-ssh", shell, "-host", "one:2,two:1", "-map-by", "node"}, sayCores)...)
	l.expect(0)
	want := slices.Concat(on(own, true, 0, 2), on(own, true, 1))
	slices.Sort(want)
	if got := said(t, l.stdout.String()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, text := range []string{"sspurn: host one: rank 0 on core", ", rank 2 on core", "sspurn: host two: rank 1 on core"} {
		if strings.Count(l.stderr.String(), text) != 1 {
			t.Errorf("no %q in %s", text, l.stderr.String())
		}
	}
}

// TestBindCores: a bound rank knows all cores of its host, and has two
// processors to run on where it has one core.
func TestBindCores(t *testing.T) {
	own := ownCores(t)
	n := max(2, len(own))
	l := start(t, nil, "-n", strconv.Itoa(n), "-bind", "core", "-x", "GOMAXPROCS=", "RANK", "cores")
	l.expect(0)
	want := fmt.Sprintf("cores of the host %d, of this process 1, GOMAXPROCS 2\n", len(own))
	if got := l.stdout.String(); got != strings.Repeat(want, n) {
		t.Errorf("got %swant %d times %s", got, n, want)
	}
}

// TestBindCompared: all runs of a comparison are bound, and their records say so.
func TestBindCompared(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	l := start(t, nil, "compare", "-n", "2", "-bind", "core", "-v", "-sync", "bsp,async", "-run-dir", dir, "RANK", "learn", "1")
	l.expect(0)
	if got := strings.Count(l.stderr.String(), ", rank 1 on core"); got != 2 {
		t.Errorf("told %d times in %s", got, l.stderr.String())
	}
	for _, run := range []string{"bsp-1", "async-1"} {
		text, err := os.ReadFile(filepath.Join(dir, run, "job.json"))
		if err != nil || !strings.Contains(strings.ReplaceAll(string(text), " ", ""), `"bind":"core"`) {
			t.Errorf("%s: %v, %s", run, err, text)
		}
	}
}
