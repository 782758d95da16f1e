//go:build unix && !linux

package agent

import (
	"syscall"
	"time"
)

// pollEvery is how often exits are looked for where no call waits for one
// without reaping it.
const pollEvery = 5 * time.Millisecond

// selfPath is empty where the system does not say: the name is looked up.
const selfPath = ""

// adoptOrphans has no counterpart here: processes that leave their group are
// out of reach.
func adoptOrphans() error { return nil }

// waitAny returns after a while.
func waitAny() error {
	time.Sleep(pollEvery)
	return nil
}

// collect reaps the child if it has exited and calls before.
func collect(pid int, before func()) (syscall.WaitStatus, bool) {
	var status syscall.WaitStatus
	got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
	if err != nil || got != pid {
		return 0, false
	}
	before()
	return status, true
}

// leaderAttr makes the child lead a process group of its own.
func leaderAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// children returns nothing: see adoptOrphans.
func children() []int { return nil }
