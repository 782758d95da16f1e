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

// newPipe makes a pipe that started programs do not inherit unasked.
func newPipe() (p [2]int, err error) {
	return unasked(func() (p [2]int, err error) {
		err = syscall.Pipe(p[:])
		return p, err
	})
}

// newPair makes two connected sockets that started programs do not inherit
// unasked.
func newPair() ([2]int, error) {
	return unasked(func() ([2]int, error) { return syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0) })
}

// unasked marks what open opens before the next program can be started.
func unasked(open func() ([2]int, error)) ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	p, err := open()
	if err == nil {
		syscall.CloseOnExec(p[0])
		syscall.CloseOnExec(p[1])
	}
	return p, err
}
