package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// ringMain is a rank that sends a message around a ring, says how many
// connections it has when all have it, and then waits for a rank that it has not
// talked to, for ever if it is told to stay.
func ringMain(cfg bootstrap.Config, stay bool) int {
	err := runtime.Config(cfg).Run(context.Background(), func(ctx context.Context, c *runtime.Comm) error {
		n, token := c.Size(), make([]int64, 1)
		for range 2 { // who has it for the second time knows that all had it
			if c.Rank() > 0 {
				if _, err := runtime.Recv(ctx, c, c.Rank()-1, 0, token); err != nil {
					return err
				}
			}
			if err := runtime.Send(ctx, c, (c.Rank()+1)%n, 0, token); err != nil {
				return err
			}
			if c.Rank() == 0 {
				if _, err := runtime.Recv(ctx, c, n-1, 0, token); err != nil {
					return err
				}
			}
		}
		fmt.Printf("ring of %d: %d connections\n", os.Getpid(), connections())
		if !stay {
			return nil
		}
		_, err := runtime.Recv(ctx, c, (c.Rank()+n/2)%n, 0, token)
		return err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// connections counts this process's TCP connections over IPv4.
func connections() (n int) {
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		return -1
	}
	established := map[string]bool{}
	for _, line := range strings.Split(string(table), "\n") {
		if f := strings.Fields(line); len(f) > 9 && f[3] == "01" {
			established["socket:["+f[9]+"]"] = true
		}
	}
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return -1
	}
	for _, fd := range open {
		if to, err := os.Readlink(fd); err == nil && established[to] {
			n++
		}
	}
	return n
}

// TestOnDemand says which pairs are connected in a job that goes around a ring:
// all, or those of the ring and of the tree that is always there.
func TestOnDemand(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("connections are counted in /proc")
	}
	const n = 9
	few := 0
	for a := range n {
		for b := range a {
			if a == b+1 || a == n-1 && b == 0 || (a-1)/4 == b {
				few += 2 // ends
			}
		}
	}
	for _, tt := range []struct {
		args []string
		want int
	}{
		{nil, n * (n - 1)},
		{[]string{"-on-demand", "off"}, n * (n - 1)},
		{[]string{"-on-demand", "on"}, few},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			l := start(t, nil, append(append([]string{"-n", strconv.Itoa(n), "-shm", "off"}, tt.args...), "RANK", "ring", "end")...)
			l.expect(0)
			got := 0
			for _, line := range strings.Split(strings.TrimSpace(l.stdout.String()), "\n") {
				var pid, k int
				if _, err := fmt.Sscanf(line, "ring of %d: %d connections", &pid, &k); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				got += k
			}
			if got != tt.want {
				t.Errorf("%d ends of connections, want %d:\n%s", got, tt.want, l.stdout.String())
			}
		})
	}
}

// TestOnDemandKilled kills a rank with which most others have no connection.
func TestOnDemandKilled(t *testing.T) {
	l := start(t, nil, "-n", "9", "-shm", "off", "-on-demand", "on", "RANK", "ring", "stay")
	l.poll("ring", func() bool { return strings.Count(l.stdout.String(), "ring of") == 9 })
	_, text, _ := strings.Cut(l.stdout.String(), "ring of ")
	pid, err := strconv.Atoi(strings.SplitN(text, ":", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	l.expect(137, " on "+hostname(t)+": killed by signal 9 (SIGKILL)\n")
}
