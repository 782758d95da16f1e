package launcher

import (
	"math"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

const (
	clockWindow  = 5 * time.Second // one sample is kept of so long a time, at first
	clockSamples = 128             // from which on windows become twice as long
)

// clockMeter compares a host's clock with the launcher's from questions and
// answers, as NTP does (RFC 5905, section 8): of each window it keeps the
// sample with the shortest round trip, whose error is the least. It is a pure
// state machine.
type clockMeter struct {
	answers int
	window  time.Duration // 0: clockWindow
	samples []telemetry.ClockOffset
	index   []int64 // window of each sample
}

// add takes one round: when the question was sent and the answer arrived by
// the launcher's clock, and in between when the question arrived and the answer
// was sent by the host's, all since the same moment.
func (m *clockMeter) add(sent, asked, answered, arrived time.Duration) {
	m.answers++
	trip := (arrived - sent) - (answered - asked)
	if trip < 0 || answered < asked {
		return // one of the clocks stood still
	}
	m.keep(telemetry.ClockOffset{
		At:     (sent + (arrived-sent)/2).Seconds(),
		Offset: ((asked-sent)/2 + (answered-arrived)/2).Seconds(), // halves first: the sum of far-off clocks overflows
		Error:  (trip / 2).Seconds(),
	})
}

// keep takes a sample into its window; they come in the order of time.
func (m *clockMeter) keep(c telemetry.ClockOffset) {
	if m.window == 0 {
		m.window = clockWindow
	}
	i := int64(math.Floor(c.At / m.window.Seconds()))
	n := len(m.samples)
	switch {
	case n == 0 || m.index[n-1] != i:
		m.samples, m.index = append(m.samples, c), append(m.index, i)
	case c.Error < m.samples[n-1].Error:
		m.samples[n-1] = c
	}
	if len(m.samples) >= clockSamples {
		old := m.samples
		m.window *= 2
		m.samples, m.index = nil, nil
		for _, c := range old {
			m.keep(c)
		}
	}
}

// offsets returns the samples, without those that say less than their better
// neighbours: they cost room, and a line through them is worse than one without.
func (m *clockMeter) offsets() []telemetry.ClockOffset {
	var out []telemetry.ClockOffset
	for i, c := range m.samples {
		if !m.explained(i) {
			out = append(out, c)
		}
	}
	return out
}

// better is how much smaller the error of a better sample is.
const better = 0.5

// explained reports whether the nearest samples before and after i that are
// better lie on a line that goes through what i allows.
func (m *clockMeter) explained(i int) bool {
	c := m.samples[i]
	before, after := i-1, i+1
	for before >= 0 && m.samples[before].Error > better*c.Error {
		before--
	}
	for after < len(m.samples) && m.samples[after].Error > better*c.Error {
		after++
	}
	var says float64
	switch there := after < len(m.samples); {
	case before < 0 && !there:
		return false
	case before < 0:
		says = m.samples[after].Offset
	case !there:
		says = m.samples[before].Offset
	default:
		a, b := m.samples[before], m.samples[after]
		says = a.Offset + (b.Offset-a.Offset)*(c.At-a.At)/(b.At-a.At)
	}
	return math.Abs(says-c.Offset) <= c.Error
}
