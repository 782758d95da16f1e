package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// floodMain is a rank that exchanges messages of all sizes with all others
// until the job ends. It says when it is under way, and by what.
func floodMain(cfg bootstrap.Config) int {
	err := runtime.Config(cfg).Run(context.Background(), func(ctx context.Context, c *runtime.Comm) error {
		n := c.Size()
		var in, out [2][]byte
		for i := range in {
			in[i], out[i] = make([]byte, 1<<20), make([]byte, 1<<20)
		}
		for round := 0; ; round++ {
			size := []int{8, 1000, 60_000, 1 << 20}[round%4]
			var rs []*runtime.Request
			for i := range in {
				step := (round+i)%(n-1) + 1
				rs = append(rs,
					runtime.Irecv(c, (c.Rank()+n-step)%n, runtime.Tag(i), in[i][:size]),
					runtime.Isend(c, (c.Rank()+step)%n, runtime.Tag(i), out[i][:size]))
			}
			if err := runtime.WaitAll(ctx, rs...); err != nil {
				return err
			}
			if round == 8 {
				fmt.Printf("flood of %d: %d mappings\n", os.Getpid(), mappings(os.Getpid()))
			}
		}
	})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// mappings is how much shared memory of jobs a process has mapped, in pieces.
func mappings(pid int) int {
	maps, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/maps")
	if err != nil {
		return 0
	}
	return strings.Count(string(maps), "memfd:sspurn")
}

// flooding waits until n ranks are under way, of which so many share memory
// where ranks do.
func flooding(l *launch, n, mapped int) {
	l.t.Helper()
	if !sharing {
		mapped = 0
	}
	l.poll("flood", func() bool { return strings.Count(l.stdout.String(), "flood of") == n })
	if got := strings.Count(l.stdout.String(), ": 1 mappings"); got != mapped {
		l.t.Errorf("%d ranks share memory, want %d:\n%s", got, mapped, l.stdout.String())
	}
}

// TestShared says which jobs share memory.
func TestShared(t *testing.T) {
	tests := []struct {
		args   []string
		n      int
		mapped int
	}{
		{[]string{}, 3, 3},
		{[]string{"-shm", "auto"}, 2, 2},
		{[]string{"-shm", "off"}, 3, 0},
		{[]string{"-emulate", "delay=1us"}, 3, 0},
		{[]string{"-shm", "on", "-emulate", "pairs=0-1,delay=1us"}, 3, 3},
		{[]string{"-shm", "on", "-emulate", "delay=1us"}, 3, 0},
		{[]string{"-shm", "on", "-emulate", "pairs=0-*,delay=1us"}, 3, 2}, // the other two
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			l := start(t, nil, slices.Concat([]string{"-n", strconv.Itoa(tt.n)}, tt.args, []string{"RANK", "flood"})...)
			flooding(l, tt.n, tt.mapped)
			if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			l.expect(143)
		})
	}
}

// TestSharedKilled kills each process of a job in the middle of floods. Nothing
// may be left: no process, which the mapped memory ends with, and no file.
func TestSharedKilled(t *testing.T) {
	host := hostname(t)
	tests := []struct {
		name   string
		victim func(l *launch) int
		code   int
		text   string
	}{
		{"rank", func(l *launch) int {
			_, text, _ := strings.Cut(l.stdout.String(), "flood of ")
			pid, _ := strconv.Atoi(strings.SplitN(text, ":", 2)[0])
			return pid
		}, 137, " on " + host + ": killed by signal 9 (SIGKILL)\n"},
		{"agent", func(l *launch) int { return l.find("agent serve") }, 125, "the agent was killed by signal 9"},
		{"keeper", func(l *launch) int { return l.find("agent") }, 125, "the keeper has ended"},
		{"launcher", func(l *launch) int { return l.cmd.Process.Pid }, -1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := files(t)
			l := start(t, nil, "-n", "4", "RANK", "flood")
			flooding(l, 4, 4)
			if err := syscall.Kill(tt.victim(l), syscall.SIGKILL); err != nil {
				t.Fatalf("%v, after\n%s%s", err, l.stdout.String(), l.stderr.String())
			}
			l.expect(tt.code, tt.text)
			if after := files(t); !slices.Equal(before, after) {
				t.Errorf("files %q, before the job %q", after, before)
			}
		})
	}
}

// files are those where shared memory may have a name.
func files(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir("/dev/shm")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), "sspurn") {
			names = append(names, e.Name())
		}
	}
	return names
}
