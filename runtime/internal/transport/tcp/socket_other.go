//go:build !linux

package tcp

import "net"

// tune sets the options of a mesh connection.
func tune(c *net.TCPConn) error { return tuneCommon(c) }

// portTaken reports whether another port may succeed where one failed.
func portTaken(error) bool { return true }
