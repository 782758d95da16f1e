package agent

import (
	"sync/atomic"
	"time"
)

// silentBeats is how many beats in a row without a word make Silence.
const silentBeats = int(Silence / PingEvery)

// Monitor tells whether the other end of a channel is gone. It counts this
// process's own beats, one every PingEvery: on a machine that stands still, for a
// moment or in fits, neither end runs, and the time that passes proves nothing.
// The zero Monitor is ready.
type Monitor struct {
	heard atomic.Bool // since the last beat
	quiet int         // beats since then
}

// Hear notes that the other end has said something, or could not have been heard.
// It may be called beside Beat.
func (m *Monitor) Hear() { m.heard.Store(true) }

// Beat counts a beat. It returns for how long nothing has been heard, and whether
// that is longer than Silence.
func (m *Monitor) Beat() (silent time.Duration, gone bool) {
	if m.heard.Swap(false) {
		m.quiet = 0
		return 0, false
	}
	m.quiet++
	return time.Duration(m.quiet) * PingEvery, m.quiet > silentBeats
}
