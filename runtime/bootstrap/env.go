package bootstrap

import (
	stderrors "errors"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/errors"
)

// welcomeWait bounds the wait for the agent's first line. The agent sends it
// when it starts the process, so it is there already; only a descriptor that
// is no control socket makes anybody wait.
const welcomeWait = 10 * time.Second

// FromEnv finds what this process must know to join its job: through the
// control socket of the agent that started it, when lookup (os.LookupEnv as a
// rule) finds SSPURN_CONTROL, and otherwise as a job of a single rank. The
// socket can be taken over once in a process, whose descriptors are never touched
// again by later calls; it is not inherited by programs that the process starts.
func FromEnv(lookup func(string) (string, bool)) (Config, error) {
	if tell, ok := Checking(lookup); ok {
		tell(nil)
		return Config{}, errors.New("this process was only to check its arguments")
	}
	text, ok := lookup(EnvControl)
	if !ok || text == "" {
		return Config{Job: "alone", Size: 1, Host: "localhost", HostRanks: 1}, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return Config{}, errors.Errorf("%s=%q is not a descriptor: the variable is set by the launcher and not for use by hand", EnvControl, text)
	}
	conn, err := takeOver(fd)
	if err != nil {
		return Config{}, errors.WithMessagef(err, "%s=%d", EnvControl, fd)
	}
	cfg, err := Attach(conn)
	if ne, ok := stderrors.AsType[net.Error](err); ok && ne.Timeout() {
		err = errors.WithMessage(err, "has another program of this rank joined before?")
	}
	if err != nil {
		return Config{}, stderrors.Join(errors.WithMessagef(err, "%s=%d", EnvControl, fd), conn.Close())
	}
	return cfg, nil
}

// taken holds the descriptors of control sockets that were taken over. The
// program may open something else by the same numbers.
var taken sync.Map

// takeOver returns the control socket, whose descriptor it closes.
func takeOver(fd int) (net.Conn, error) {
	if _, again := taken.Load(fd); again {
		return nil, errors.New("this process has joined its job before: it can do so once")
	}
	const not = "not a control socket of this process (was it started by a rank?)"
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		return nil, errors.Wrap(err, not)
	}
	if _, local := addr.(*syscall.SockaddrUnix); !local {
		return nil, errors.New(not)
	}
	taken.Store(fd, true)
	file := os.NewFile(uintptr(fd), "control")
	conn, err := net.FileConn(file) // a duplicate that is closed on exec
	if err != nil {
		return nil, errors.Wrap(err, not)
	}
	if err := file.Close(); err != nil {
		return nil, stderrors.Join(errors.Wrap(err, "close"), conn.Close())
	}
	return conn, nil
}

// Attach reads the welcome from the control channel and returns the rank's
// configuration, with its Control, which owns the connection from then on.
func Attach(conn net.Conn) (Config, error) {
	if err := conn.SetReadDeadline(time.Now().Add(welcomeWait)); err != nil {
		return Config{}, errors.Wrap(err, "control channel")
	}
	files := &descriptors{conn: conn}
	in := NewMessageReader(files)
	m, err := in.Read()
	if err != nil {
		files.take(nil)
		return Config{}, errors.WithMessage(err, "waiting for the agent's welcome")
	}
	shared := files.take(m.place())
	if m.Kind != KindWelcome {
		return Config{}, errors.Errorf("control channel: %s before the welcome", m.Kind)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		if shared != nil {
			shared.Close()
		}
		return Config{}, errors.Wrap(err, "control channel")
	}
	w := m.Welcome
	return Config{
		Job: w.Job, Rank: w.Rank, Size: w.Size, Host: w.Host, HostRanks: w.HostRanks, Cores: w.Cores,
		Secret: w.Secret, Listen: w.Listen, Ports: w.Ports,
		Emulate: w.Emulate, Straggle: w.Straggle, Record: w.Record, Join: w.Join, Stall: w.Stall, OnDemand: w.OnDemand,
		Shared:  shared,
		Control: newControl(conn, in, w.Rank, w.Size),
	}, nil
}
