//go:build !linux

package tcp

import (
	"net"
	"syscall"
)

// tune sets the options of a mesh connection.
func tune(c *net.TCPConn) error { return tuneCommon(c) }

// bound sets the options of one whose handshake is not over.
func bound(c *net.TCPConn) error { return tuneCommon(c) }

// unpaced has nothing to do.
func unpaced(_, _ string, _ syscall.RawConn) error { return nil }

// portTaken reports whether another port may succeed where one failed.
func portTaken(error) bool { return true }
