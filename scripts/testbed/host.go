//go:build linux

package testbed

import (
	"context"
	stderrors "errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/pkg/errors"
)

// Host is one host of a testbed.
type Host struct {
	Name string  // as ssh and /etc/hosts know it
	Addr string  // its IPv4 address on the bridge
	Init process // its first process, whose end is the host's
	SSHD int     // the listening sshd, numbered as inside the host; 0 on the launcher's host

	link   string // the bridge's end of its cable
	bridge *Host  // where that end is: the launcher's host
}

// Command returns a command to be run in the host with Start or Run; name is
// looked up inside. In a host it gets a login's minimal environment and the
// folder /root, in the launcher's host this process's environment and folder.
// When ctx ends, the command is killed.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/", args...) // an absolute path is not looked up here
	cmd.Path, cmd.Args[0], cmd.Err = name, name, nil
	if h.SSHD != 0 {
		cmd.Env = hostEnv()
		cmd.Dir = "/root"
	} else if wd, err := os.Getwd(); err == nil {
		cmd.Dir = wd
	}
	return cmd
}

// hostEnv is the environment that sshd gives a command of root.
func hostEnv() []string {
	return []string{"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "PATH=" + hostPath}
}

const hostPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Start starts a command from Command in the host. As with any command, the
// caller waits for it.
func (h *Host) Start(cmd *exec.Cmd) error {
	return errors.WithMessagef(inside(h.Init.PID, allSpaces(), func() error {
		if !strings.Contains(cmd.Path, "/") {
			path, err := exec.LookPath(cmd.Path)
			if err != nil {
				return errors.Wrap(err, "start")
			}
			cmd.Path = path
		}
		return errors.Wrap(cmd.Start(), "start")
	}), "%s: %s", h.Name, cmd.Args[0])
}

// Run starts a command from Command and waits for it. The error is as from
// exec.Cmd.
func (h *Host) Run(cmd *exec.Cmd) error {
	if err := h.Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// Output runs a command and returns what it wrote to standard output.
func (h *Host) Output(ctx context.Context, name string, args ...string) (string, error) {
	var out, diag strings.Builder
	cmd := h.Command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := h.Run(cmd); err != nil {
		return out.String(), errors.Wrapf(err, "%s: %s %s: %s", h.Name, name, strings.Join(args, " "), strings.TrimSpace(diag.String()))
	}
	return out.String(), nil
}

// Processes lists what runs in the host besides its first process and the
// listening sshd.
func (h *Host) Processes() ([]Process, error) {
	if !h.Init.alive() {
		return nil, errors.Errorf("%s: is gone", h.Name)
	}
	list, err := processesOf(h.Init.PID, 1, h.SSHD)
	return list, errors.WithMessage(err, h.Name)
}

// AwaitQuiet waits until nothing that Processes lists runs in the host, apart
// from those that except reports; nil means none. If ctx ends first, the error
// names what still runs.
func (h *Host) AwaitQuiet(ctx context.Context, except func(Process) bool) error {
	for {
		list, err := h.Processes()
		if except != nil {
			list = slices.DeleteFunc(list, except)
		}
		if err != nil || len(list) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			var names []string
			for _, p := range list {
				names = append(names, p.String())
			}
			return errors.WithMessagef(context.Cause(ctx), "%s: still running: %s", h.Name, strings.Join(names, "; "))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Dial connects from the host to a TCP address.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	var conn net.Conn
	err := inside(h.Init.PID, networkOnly(), func() (err error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return errors.Wrap(err, "dial")
		}
		ip := net.ParseIP(host) // names would be looked up by goroutines on threads outside of the host
		if ip == nil {
			return errors.Errorf("dial %s: want an address, not a name", addr)
		}
		d := net.Dialer{FallbackDelay: -1} // one address: dialled on this thread
		conn, err = d.DialContext(ctx, "tcp", net.JoinHostPort(ip.String(), port))
		return errors.Wrap(err, "dial")
	})
	return conn, errors.WithMessage(err, h.Name)
}

// awaitPort returns when something answers at addr, or when ctx or ten seconds
// end.
func (h *Host) awaitPort(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, stderrors.New("no answer within 10 s"))
	defer cancel()
	for {
		conn, err := h.Dial(ctx, addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return stderrors.Join(context.Cause(ctx), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
