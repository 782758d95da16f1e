package agent

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// selfPath is this program, also when its file has been replaced since.
const selfPath = "/proc/self/exe"

// adoptOrphans makes this process the parent of all its descendants whose own
// parents have ended.
func adoptOrphans() error {
	return errors.Wrap(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "adopt orphans")
}

// waitAny waits until a child has exited, without reaping it. It fails when
// there is no child.
func waitAny() error {
	for {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// collect reaps the child if it has exited. It calls before while the process
// id, and with it the id of the group it leads, can not yet belong to anybody
// else.
func collect(pid int, before func()) (syscall.WaitStatus, bool) {
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil); err != nil || info.Signo == 0 {
		return 0, false
	}
	before()
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			return status, true
		}
	}
}

// leaderAttr makes the child lead a process group of its own and die with the
// thread that starts it, which must be locked to a goroutine that stays.
func leaderAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// children returns the processes whose parent is this process.
func children() []int {
	dir, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	self := strconv.Itoa(os.Getpid())
	var pids []int
	for _, e := range dir {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended meanwhile
		}
		// pid (comm) state ppid …; comm may hold anything, also parentheses.
		rest := string(stat)[strings.LastIndexByte(string(stat), ')')+1:]
		if f := strings.Fields(rest); len(f) > 1 && f[1] == self {
			pids = append(pids, pid)
		}
	}
	return pids
}

// newPipe makes a pipe that started programs do not inherit unasked.
func newPipe() (p [2]int, err error) {
	err = unix.Pipe2(p[:], unix.O_CLOEXEC)
	return p, err
}

// newPair makes two connected sockets that started programs do not inherit
// unasked.
func newPair() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}
