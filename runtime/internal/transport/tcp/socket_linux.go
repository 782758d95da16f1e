package tcp

import (
	stderrors "errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// silence bounds how long a host may leave data unacknowledged.
const silence = 2500 * time.Millisecond

// tune sets the options of a mesh connection.
func tune(c *net.TCPConn) error {
	if patrols {
		return limited(c, 0)
	}
	return limited(c, silence)
}

// bound sets the options of one that nobody patrols yet.
func bound(c *net.TCPConn) error { return limited(c, silence) }

// limited has a connection end when data is unacknowledged for that long, or,
// with zero, as long as the kernel is patient.
func limited(c *net.TCPConn, silence time.Duration) error {
	if err := tuneCommon(c); err != nil {
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
	})
	return stderrors.Join(err, failed)
}

// unpaced has a socket that is not connected yet, or the connections of one that
// listens, do without bbr: it paces what needs no pacing here. Once connected it
// is too late: a timer goes on to pace whatever comes in its place. Kernels
// without cubic, and users that may not choose it, go on.
func unpaced(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		if cc, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION); err == nil && cc == "bbr" {
			_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
		}
	})
}

// portTaken reports whether another port may succeed where one failed.
func portTaken(err error) bool {
	return stderrors.Is(err, unix.EADDRINUSE) || stderrors.Is(err, unix.EACCES)
}
