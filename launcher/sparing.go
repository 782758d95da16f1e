package launcher

import (
	"fmt"

	"github.com/sspurn/sspurn/launcher/agent"
)

// sparing is a display whose failures cost the output and not the job. The first
// one is told, and nothing is written from then on.
type sparing struct {
	display
	dir    string
	failed bool
}

func (s *sparing) spare(write func() error) error {
	if s.failed {
		return nil
	}
	err := write()
	if err == nil {
		return nil
	}
	s.failed = true
	return s.display.say(fmt.Appendf(nil, "sspurn: the output of the ranks in %s is incomplete: %s\n", s.dir, oneLine(err)))
}

func (s *sparing) put(rank int, stream agent.Stream, data []byte) error {
	return s.spare(func() error { return s.display.put(rank, stream, data) })
}

func (s *sparing) flush() error { return s.spare(s.display.flush) }

func (s *sparing) ended(rank int) error {
	return s.spare(func() error { return s.display.ended(rank) })
}

func (s *sparing) close() error {
	if s.failed {
		_ = s.display.close() // as far as that goes
		return nil
	}
	return s.spare(s.display.close)
}
