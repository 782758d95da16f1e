//go:build !portable

package runtime

import (
	"log/slog"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/shm"
	"github.com/sspurn/sspurn/runtime/internal/transport/tcp"
)

// share maps the memory that the agent has handed over. Without it, or when
// that fails, it returns nil: the rank then reaches all others over TCP.
func (cfg Config) share(log *slog.Logger) segment {
	s := cfg.Shared
	if s == nil {
		return nil
	}
	seg, err := shm.Open(s.Memory, s.Bells, s.Slot, cfg.Rank)
	if err != nil {
		log.Warn("ranks of this host are reached over TCP", "cause", err.Error())
		return nil
	}
	return mapped{seg}
}

type mapped struct{ *shm.Segment }

func (m mapped) join(slots []int, mesh *tcp.Transport, recv transport.Receiver) (transport.Transport, error) {
	t, err := m.Join(slots, mesh, recv)
	if err != nil {
		return nil, err
	}
	return t, nil
}
