//go:build linux

// Package testbed makes hosts on this machine: each a network namespace on a
// common bridge with an address of its own, a mount namespace with a file
// system of its own (its own /tmp, home, program and cache folders), a process
// namespace, and a real sshd with throw-away keys. Jobs that run over them use
// the same ssh, the same staging and the same sockets as on real machines, and
// links can be slowed, cut and mended.
//
// Beside the hosts there is the launcher's host: its own network, on the same
// bridge, and its own processes, but the file system of this machine. It has
// no sshd.
//
// Everything hangs on one process, the owner: the one that called [Up]. No
// namespace has a name, and the first process of each gets SIGKILL from the
// kernel when the owner dies, so that nothing outlives it, however it ends.
// Only files may stay, and the next Up removes those of dead owners.
//
// It needs root, and the programs ip, tc, ssh, sshd and ssh-keygen;
// [Usable] says what is missing.
package testbed

import (
	"context"
	"encoding/json"
	stderrors "errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// MaxHosts is the largest number of hosts of one testbed.
const MaxHosts = 200

// LauncherName is the name of the launcher's host.
const LauncherName = "launcher"

const (
	subnet     = "10.77.0."
	prefixBits = "/24"
	stateFile  = "testbed.json"
	tempPrefix = "sspurn-testbed-"
)

// Options say what Up makes.
type Options struct {
	Hosts int      // number of hosts besides the launcher's, 1 to MaxHosts; named node1, node2, ...
	Dir   string   // where keys, logs and configuration go; created; a temporary folder when empty
	Rate  string   // bandwidth of every link and direction, as tc writes it ("100mbit"); unlimited when empty
	Share []string // absolute paths of this machine that the hosts see at the same place, read-only
}

// Testbed is a set of hosts. Its methods may be called from any goroutine.
type Testbed struct {
	dir      string
	launcher *Host
	hosts    []*Host

	owner  bool // this process called Up
	inits  []*initProcess
	closer sync.Once
	err    error // of Close; written inside closer
}

// state is what Up leaves in the testbed's folder for Open and for sweep.
type state struct {
	Owner    process // whose end is the testbed's end
	Launcher Host
	Hosts    []Host
}

// Usable returns nil when this process can make a testbed, and otherwise an
// error that says what is missing: permission or programs.
func Usable(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return stderrors.New("needs root")
	}
	var missing []string
	for _, name := range []string{"ip", "tc", "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if _, err := findSSHD(); err != nil {
		missing = append(missing, "sshd")
	}
	if len(missing) > 0 {
		return errors.Errorf("needs programs that are not installed: %s (packages iproute2, openssh-client, openssh-server)",
			strings.Join(missing, ", "))
	}
	p, err := startInit(&initConfig{Probe: true, Name: "probe"}, io.Discard)
	if err != nil {
		return errors.WithMessage(err, "needs namespaces")
	}
	defer p.stop()
	h := &Host{Name: "probe", Init: p.process}
	if err := h.ip(ctx, "link add br0 type bridge\nlink add veth1 type veth peer name eth0\n"); err != nil {
		return errors.WithMessage(err, "needs bridges and veth pairs")
	}
	return errors.WithMessage(h.inNetwork(ctx, "", "tc", tbf("eth0", "100mbit", 1<<17)...), "needs rate limits")
}

// Up makes a testbed and returns when every host's sshd answers. Close ends
// it, and so does the end of this process. A program that calls Up calls
// [Child] first thing in main.
func Up(ctx context.Context, o Options) (t *Testbed, err error) {
	if o.Hosts < 1 || o.Hosts > MaxHosts {
		return nil, errors.Errorf("testbed of %d hosts: must be 1 to %d", o.Hosts, MaxHosts)
	}
	for _, p := range o.Share {
		if !filepath.IsAbs(p) {
			return nil, errors.Errorf("share %s: must be absolute", p)
		}
	}
	if err := sweep(); err != nil {
		return nil, err
	}
	dir, err := makeDir(o.Dir)
	if err != nil {
		return nil, err
	}
	t = &Testbed{dir: dir, owner: true}
	defer func() {
		if err != nil {
			err = stderrors.Join(err, t.Close())
			t = nil
		}
	}()
	self, err := processOf(os.Getpid())
	if err != nil {
		return t, err
	}
	t.launcher = &Host{Name: LauncherName, Addr: subnet + "254"}
	for i := range o.Hosts {
		t.hosts = append(t.hosts, &Host{Name: fmt.Sprint("node", i+1), Addr: fmt.Sprint(subnet, i+1), link: fmt.Sprint("veth", i+1)})
	}
	if err := t.writeState(self); err != nil { // from here on sweep knows whose the folder is
		return t, err
	}
	if err := t.writeSSH(ctx); err != nil {
		return t, err
	}
	if err := t.start(o.Share); err != nil {
		return t, err
	}
	if err := t.connect(ctx); err != nil {
		return t, err
	}
	for _, h := range t.hosts {
		if err := h.SetRate(ctx, o.Rate); err != nil {
			return t, err
		}
	}
	for _, h := range t.hosts {
		if err := t.launcher.awaitPort(ctx, h.Addr+":22"); err != nil {
			return t, errors.WithMessagef(err, "sshd of %s: %s", h.Name, lastLine(t.logPath(h)))
		}
	}
	return t, t.writeState(self)
}

// start starts the first process of every host.
func (t *Testbed) start(share []string) error {
	sshd, err := findSSHD()
	if err != nil {
		return err
	}
	for _, h := range t.allHosts() {
		c := &initConfig{Name: h.Name, Hosts: t.etcHosts()}
		if h != t.launcher {
			c.Root = filepath.Join(t.dir, h.Name, "root")
			c.Share = share
			c.SSHD = sshd
			if c.Files, err = t.sshdFiles(h, sshd); err != nil {
				return err
			}
			if err := os.Mkdir(c.Root, 0o755); err != nil {
				return errors.Wrap(err, "root of "+h.Name)
			}
		}
		log, err := os.Create(t.logPath(h))
		if err != nil {
			return errors.Wrap(err, "log of "+h.Name)
		}
		p, err := startInit(c, log)
		log.Close()
		if err != nil {
			return errors.WithMessage(err, h.Name)
		}
		t.inits = append(t.inits, p)
		h.Init, h.SSHD = p.process, p.sshd
	}
	return nil
}

// Open finds the testbed that another process made in dir and still owns.
func Open(dir string) (*Testbed, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, errors.Wrap(err, "testbed")
	}
	s, err := readState(dir)
	if err != nil {
		return nil, err
	}
	if !s.Owner.alive() {
		return nil, errors.Errorf("testbed in %s: its owner, process %d, is gone", dir, s.Owner.PID)
	}
	t := &Testbed{dir: dir, launcher: &s.Launcher}
	for i := range s.Hosts {
		t.hosts = append(t.hosts, &s.Hosts[i])
	}
	t.bindLinks()
	return t, nil
}

// Owner returns the process that made the testbed, whose SIGTERM ends it when
// it is the testbed command.
func Owner(dir string) (pid int, err error) {
	s, err := readState(dir)
	if err != nil {
		return 0, err
	}
	if !s.Owner.alive() {
		return 0, errors.Errorf("testbed in %s: its owner, process %d, is gone", dir, s.Owner.PID)
	}
	return s.Owner.PID, nil
}

// Close ends every process of every host, and with them the hosts, and removes
// the testbed's folder. Commands started with Host.Start must be waited for by
// their starter, at the latest now. In a process that only opened the testbed
// it does nothing.
func (t *Testbed) Close() error {
	t.closer.Do(func() {
		if !t.owner {
			return
		}
		for _, p := range t.inits {
			p.stop()
		}
		t.err = errors.Wrap(os.RemoveAll(t.dir), "remove testbed")
	})
	return t.err
}

// Dir returns the testbed's folder.
func (t *Testbed) Dir() string { return t.dir }

// Hosts returns the hosts, without the launcher's, in the order of their
// numbers.
func (t *Testbed) Hosts() []*Host { return t.hosts }

// Launcher returns the launcher's host.
func (t *Testbed) Launcher() *Host { return t.launcher }

// Host returns the host of that name.
func (t *Testbed) Host(name string) (*Host, error) {
	for _, h := range t.allHosts() {
		if h.Name == name {
			return h, nil
		}
	}
	return nil, errors.Errorf("no host %q: there are %s and node1 to node%d", name, LauncherName, len(t.hosts))
}

// SSH returns the ssh command line that reaches the hosts by name from the
// launcher's host, as the launcher's -ssh flag takes it.
func (t *Testbed) SSH() string { return "ssh -F " + filepath.Join(t.dir, "ssh_config") }

// HostsFile returns the path of a hosts file with all hosts, without slots.
func (t *Testbed) HostsFile() string { return filepath.Join(t.dir, "hosts") }

func (t *Testbed) allHosts() []*Host { return append([]*Host{t.launcher}, t.hosts...) }

func (t *Testbed) logPath(h *Host) string { return filepath.Join(t.dir, h.Name, "log") }

func (t *Testbed) bindLinks() {
	for i, h := range t.hosts {
		h.link, h.bridge = fmt.Sprint("veth", i+1), t.launcher
	}
}

func (t *Testbed) writeState(owner process) error {
	s := state{Owner: owner, Launcher: *t.launcher}
	for _, h := range t.hosts {
		s.Hosts = append(s.Hosts, *h)
	}
	data, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return errors.Wrap(err, "testbed state")
	}
	path := filepath.Join(t.dir, stateFile)
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return errors.Wrap(err, "testbed state")
	}
	return errors.Wrap(os.Rename(path+".new", path), "testbed state")
}

func readState(dir string) (*state, error) {
	data, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, errors.Wrap(err, "no testbed")
	}
	s := new(state)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, errors.Wrapf(err, "testbed in %s", dir)
	}
	return s, nil
}

// makeDir makes the testbed's folder. A folder that a dead testbed left is
// taken over; one that holds anything else is refused, since Close removes it.
func makeDir(dir string) (string, error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", tempPrefix)
		return dir, errors.Wrap(err, "testbed")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", errors.Wrap(err, "testbed")
	}
	entries, err := os.ReadDir(dir)
	switch {
	case stderrors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0:
	case err != nil:
		return "", errors.Wrap(err, "testbed")
	default:
		s, err := readState(dir)
		if err != nil {
			return "", errors.Errorf("testbed: %s is not empty and not a testbed's", dir)
		}
		if s.Owner.alive() {
			return "", errors.Errorf("testbed in %s is in use by process %d", dir, s.Owner.PID)
		}
		if err := os.RemoveAll(dir); err != nil {
			return "", errors.Wrap(err, "testbed left by a dead owner")
		}
	}
	return dir, errors.Wrap(os.MkdirAll(dir, 0o755), "testbed")
}

// sweep removes the temporary folders of testbeds whose owner is dead. Their
// processes and namespaces went with the owner.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"*"))
	if err != nil {
		return errors.Wrap(err, "sweep")
	}
	for _, dir := range dirs {
		if s, err := readState(dir); err == nil && !s.Owner.alive() {
			if err := os.RemoveAll(dir); err != nil {
				return errors.Wrap(err, "sweep")
			}
		}
	}
	return nil
}

// lastLine returns the last line of the end of a log, for an error message.
func lastLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}

// findSSHD finds sshd, which is often outside of PATH and insists on being
// called by its absolute path.
func findSSHD() (string, error) {
	for _, p := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"} {
		if unix.Access(p, unix.X_OK) == nil {
			return p, nil
		}
	}
	return "", stderrors.New("sshd is not installed")
}
