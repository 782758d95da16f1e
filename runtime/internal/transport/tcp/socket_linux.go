package tcp

import (
	stderrors "errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// silence bounds how long a host may leave data unacknowledged.
const silence = 2500 * time.Millisecond

// tune sets the options of a mesh connection.
func tune(c *net.TCPConn) error {
	if err := tuneCommon(c); err != nil {
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		if !patrols {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
		}
		// bbr paces what needs no pacing here: cubic moves 60 % more over
		// loopback. Kernels without it, and users that may not choose it, go on.
		if cc, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION); err == nil && cc == "bbr" {
			_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
		}
	})
	return stderrors.Join(err, failed)
}

// portTaken reports whether another port may succeed where one failed.
func portTaken(err error) bool {
	return stderrors.Is(err, unix.EADDRINUSE) || stderrors.Is(err, unix.EACCES)
}
