//go:build linux

package testbed

import (
	"bufio"
	"encoding/json"
	stderrors "errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// initName is what a host's first process is called; Child knows it by this.
const initName = "testbed-init"

// initConfig is what the first process of a host is told, on standard input.
type initConfig struct {
	Probe bool              // only try what a host needs, in place of making one
	Name  string            // host name
	Hosts string            // content of /etc/hosts
	Root  string            // folder to build the host's file system on; empty: that of this machine
	Share []string          // paths to show read-only in it
	SSHD  string            // path of sshd; empty: none
	Files map[string]string // further files of the host's file system
}

// initProcess is the owner's view of a host's first process.
type initProcess struct {
	process
	sshd  int           // see Host.SSHD
	end   chan struct{} // closed to end it
	ended chan struct{} // closed when it has ended and been waited for
}

// stop kills the process, and with it all of its process namespace, and waits.
func (p *initProcess) stop() {
	close(p.end)
	<-p.ended
}

// startInit starts the first process of a host and returns when it has built
// its file system and started its sshd.
func startInit(c *initConfig, log io.Writer) (*initProcess, error) {
	config, err := json.Marshal(c)
	if err != nil {
		return nil, errors.Wrap(err, "start host")
	}
	answer, answerIn, err := os.Pipe()
	if err != nil {
		return nil, errors.Wrap(err, "start host")
	}
	defer answer.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{initName, c.Name}
	cmd.Stdin = strings.NewReader(string(config))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{answerIn}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
		Setsid:     true, // not reached by a terminal's Ctrl-C
	}
	p := &initProcess{end: make(chan struct{}), ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The parent of Pdeathsig is a thread: this one must live as long as the host.
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		err := cmd.Start()
		answerIn.Close()
		started <- err
		if err != nil {
			return
		}
		<-p.end
		// Both fail only if the process has already ended, which is what is asked for.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, errors.Wrap(err, "start host")
	}
	if p.process, err = processOf(cmd.Process.Pid); err == nil {
		p.sshd, err = readAnswer(answer)
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// readAnswer reads what the first process says when it is ready, "ready PID",
// or why it is not.
func readAnswer(r io.Reader) (sshd int, err error) {
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return 0, errors.Wrap(err, "start host: first process ended without a word")
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !ok {
		return 0, errors.Errorf("start host: %s", strings.TrimSpace(line))
	}
	sshd, err = strconv.Atoi(number)
	return sshd, errors.Wrap(err, "start host")
}

// Child must be the first call of a program (or TestMain) that calls Up. In
// the first processes of hosts, which are started from the same program, it
// does their work and does not return; otherwise it returns at once.
func Child() {
	if len(os.Args) == 0 || os.Args[0] != initName {
		return
	}
	answer := os.NewFile(3, "answer")
	var c initConfig
	err := errors.Wrap(json.NewDecoder(os.Stdin).Decode(&c), "configuration")
	if err == nil {
		err = runInit(&c, answer)
	}
	if err != nil {
		fmt.Fprintln(answer, strings.ReplaceAll(err.Error(), "\n", " "))
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runInit is the first process of a host: it makes the host's file system,
// starts sshd and then waits for whatever ends, as a first process must.
func runInit(c *initConfig, answer *os.File) error {
	unix.CloseOnExec(int(answer.Fd()))
	if err := unix.Sethostname([]byte(c.Name)); err != nil {
		return errors.Wrap(err, "host name")
	}
	if err := detachMounts(); err != nil {
		return err
	}
	var err error
	switch {
	case c.Probe:
		err = errors.Wrap(unix.Mount("tmpfs", os.TempDir(), "tmpfs", 0, ""), "mount")
	case c.Root == "":
		err = patchRoot(c)
	default:
		err = buildRoot(c)
	}
	if err != nil {
		return err
	}
	pid := 0
	if c.SSHD != "" {
		cmd := exec.Command(c.SSHD, "-D", "-e", "-f", "/etc/ssh/sshd_config")
		cmd.Env = hostEnv()
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return errors.Wrap(err, "sshd")
		}
		pid = cmd.Process.Pid
	}
	fmt.Fprintln(answer, "ready", pid)
	answer.Close()
	return reap(pid)
}

// reap waits for every child and orphan until sshd ends; with pid 0, for ever.
// Orphans may be the only children, so it waits for the signal, not in wait4.
func reap(sshd int) error {
	ended := make(chan os.Signal, 1) // one stands for any number: each makes it look at all
	signal.Notify(ended, syscall.SIGCHLD)
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil)
		switch {
		case stderrors.Is(err, unix.EINTR):
		case err == nil && pid == 0, stderrors.Is(err, unix.ECHILD):
			<-ended
		case err != nil:
			return errors.Wrap(err, "wait")
		case pid == sshd:
			return errors.Errorf("sshd ended: exit status %d, signal %d", status.ExitStatus(), status.Signal())
		}
	}
}
