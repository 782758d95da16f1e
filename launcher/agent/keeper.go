package agent

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"strconv"
	"sync"
	"syscall"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// lifelineFD is the agent's end of the socket between keeper and agent.
const lifelineFD = 3

// Main runs the per-host end of a launch over in and out and returns the exit
// status. Without arguments it is the keeper, which starts this program again
// as the agent proper (argument "serve") and outlives it: args is what follows
// "sspurn agent" on the command line.
func Main(args []string, in, out, diag *os.File) int {
	// Both only move bytes. Further threads take no work off the first: each wakes
	// for every message, on processors that the ranks compute on.
	goruntime.GOMAXPROCS(1)
	var err error
	switch {
	case len(args) == 0:
		err = keep(in, out, diag)
	case len(args) == 1 && args[0] == "serve":
		err = serve(in, out)
	default:
		err = errors.New("sspurn agent is started by the launcher and takes no arguments")
	}
	if err != nil {
		fmt.Fprintf(diag, "sspurn agent: %v\n", err)
		return 1
	}
	return 0
}

// keep is the keeper. It is the parent of the agent and adopts whatever
// outlives its own parent on this host. The agent tells it the process groups
// of the ranks over the lifeline; when the agent dies, every group and
// every process that came here with its end is killed. When the keeper ends, the agent
// sees the end of the lifeline and kills the groups itself.
func keep(in, out, diag *os.File) error {
	if err := adoptOrphans(); err != nil {
		return err
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return errors.Wrap(err, "lifeline")
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	mine, theirs := os.NewFile(uintptr(fds[0]), "lifeline"), os.NewFile(uintptr(fds[1]), "lifeline")
	self := selfPath
	if self == "" {
		if self, err = os.Executable(); err != nil {
			return errors.Wrap(err, "own program")
		}
	}
	cmd := exec.Cmd{Path: self, Args: []string{os.Args[0], "agent", "serve"}, Stdin: in, Stdout: out, Stderr: diag, ExtraFiles: []*os.File{theirs}}
	if err := cmd.Start(); err != nil {
		return errors.Wrap(err, "start the agent")
	}
	if err := theirs.Close(); err != nil {
		return errors.Wrap(err, "lifeline")
	}
	groups := &groupSet{ids: make(map[int]bool)}
	var wg sync.WaitGroup
	wg.Go(func() { groups.follow(mine) })
	status := groups.await(cmd.Process.Pid, &wg)
	sweep()
	switch {
	case status.Signaled():
		return errors.Errorf("the agent was killed by signal %d (%s); its ranks were killed", int(status.Signal()), unix.SignalName(status.Signal()))
	case status.ExitStatus() != 0: // it has said why
		return errors.Errorf("the agent ended with exit status %d", status.ExitStatus())
	}
	return nil
}

// groupSet is the process groups that the agent has started.
type groupSet struct {
	mu  sync.Mutex
	ids map[int]bool // guarded by mu
}

// follow reads "+id" and "-id" lines until the lifeline ends.
func (g *groupSet) follow(lifeline io.Reader) {
	in := bufio.NewScanner(lifeline)
	for in.Scan() {
		line := in.Text()
		if len(line) < 2 {
			continue
		}
		id, err := strconv.Atoi(line[1:])
		if err != nil || id <= 1 {
			continue
		}
		g.mu.Lock()
		if line[0] == '+' {
			g.ids[id] = true
		} else {
			delete(g.ids, id)
		}
		g.mu.Unlock()
	}
}

// has reports whether the process leads a group of the job.
func (g *groupSet) has(pid int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ids[pid]
}

// await reaps orphans until the agent has ended and then kills the groups.
// Leaders that came here with the agent's end are not reaped before that, so
// that the ids are still theirs.
func (g *groupSet) await(agent int, following *sync.WaitGroup) syscall.WaitStatus {
	for {
		if err := waitAny(); err != nil {
			return 0 // no child is left: the agent has been reaped already
		}
		if status, ok := collect(agent, func() {}); ok {
			following.Wait() // the agent's end of the lifeline is closed
			g.mu.Lock()
			defer g.mu.Unlock()
			for id := range g.ids {
				// The group may be gone; there is nobody to tell.
				_ = syscall.Kill(-id, syscall.SIGKILL)
			}
			return status
		}
		for _, pid := range children() {
			if pid != agent && !g.has(pid) {
				collect(pid, func() {})
			}
		}
	}
}

// sweep kills and reaps every child until none is left.
func sweep() {
	for {
		_, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.ECHILD {
			return
		}
		for _, pid := range children() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be a zombie
		}
		if err := waitAny(); err != nil {
			return
		}
	}
}
