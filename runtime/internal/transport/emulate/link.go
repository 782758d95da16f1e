package emulate

import (
	"math/rand/v2"
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// burst is how many bytes may wait for the rate before a sender has to: what a
// socket's buffer takes.
const burst = 256 << 10

// link is the pure part: when a frame given to one direction of a link leaves
// it and when it arrives. Times count from any one moment.
type link struct {
	spec    bootstrap.Emulation
	random  *rand.Rand
	free    time.Duration // when all that was given has left
	arrival time.Duration // of the newest frame
}

// add gives the link a frame of n bytes at now. It arrives at arrival; its
// sender may go on at ready, now unless much is waiting for the rate.
func (l *link) add(now time.Duration, n int) (ready, arrival time.Duration) {
	l.free = max(l.free, now)
	ready = now
	if l.spec.Rate > 0 {
		perByte := 8 * float64(time.Second) / l.spec.Rate
		l.free += time.Duration(float64(n) * perByte)
		if backlog := l.free - now; backlog > time.Duration(burst*perByte) {
			ready = l.free - time.Duration(burst*perByte)
		}
	}
	delay := l.spec.Delay
	if j := l.spec.Jitter; j > 0 {
		delay += time.Duration(l.random.Int64N(int64(2*j)+1)) - j
	}
	l.arrival = max(l.arrival, l.free+delay)
	return ready, l.arrival
}
