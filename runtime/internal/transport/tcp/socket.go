package tcp

import (
	"net"
	"time"
)

// tuneCommon sets the options that every system has: small frames leave at
// once, and a peer whose host has vanished is noticed within 3 s.
func tuneCommon(c *net.TCPConn) error {
	if err := c.SetNoDelay(true); err != nil {
		return err
	}
	return c.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable:   true,
		Idle:     time.Second,
		Interval: time.Second,
		Count:    2,
	})
}
