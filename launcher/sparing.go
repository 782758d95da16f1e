package launcher

import (
	"fmt"
	"sync/atomic"

	"github.com/sspurn/sspurn/launcher/agent"
)

// spare lets jobs go on whose run directories can not be written, on a full disk
// say: that costs the record. The first failure of all jobs is told. A nil spare
// spares nothing that fails before the ranks are started.
type spare struct {
	output bool // what can not be written to OutputDir costs the output
	told   atomic.Bool
	traces atomic.Bool // a failure to write a trace, which is asked for, was told
}

// first reports whether a failure is to be told.
func (s *spare) first() bool { return s == nil || s.told.CompareAndSwap(false, true) }

// firstTrace is first for traces.
func (s *spare) firstTrace() bool { return s == nil || s.traces.CompareAndSwap(false, true) }

// outputs reports whether the output is spared.
func (s *spare) outputs() bool { return s != nil && s.output }

// sparing is a display whose failures cost the output and not the job. The first
// one is told, and nothing is written from then on.
type sparing struct {
	display
	dir    string
	spare  *spare
	failed bool
}

func (s *sparing) spared(write func() error) error {
	if s.failed {
		return nil
	}
	err := write()
	if err == nil {
		return nil
	}
	s.failed = true
	if !s.spare.first() {
		return nil
	}
	return s.say([]byte(outputLost(s.dir, err)))
}

// outputLost words that output could not be written.
func outputLost(dir string, err error) string {
	return fmt.Sprintf("sspurn: the output of the ranks in %s is incomplete: %s\n", dir, oneLine(err))
}

func (s *sparing) put(rank int, stream agent.Stream, data []byte) error {
	return s.spared(func() error { return s.display.put(rank, stream, data) })
}

func (s *sparing) flush() error { return s.spared(s.display.flush) }

func (s *sparing) ended(rank int) error {
	return s.spared(func() error { return s.display.ended(rank) })
}

func (s *sparing) close() error {
	if s.failed {
		_ = s.display.close() // as far as that goes
		return nil
	}
	return s.spared(s.display.close)
}
