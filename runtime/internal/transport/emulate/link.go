package emulate

import (
	"math/rand/v2"
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// burst is how many bytes may wait to leave before a sender has to: what a
// socket's buffer takes.
const burst = 256 << 10

// forever is later than any frame; sums of two do not overflow.
const forever = time.Duration(1) << 61

// link is the pure part: when a frame given to one direction of a link leaves
// it and when it arrives. Times count from when the ranks have joined.
type link struct {
	spec    bootstrap.Link
	random  *rand.Rand
	free    float64       // nanoseconds the link has been up when all that was given has left; fractions matter to short frames
	arrival time.Duration // of the newest frame

	// Without a rate nothing waits but during an outage, until it ends.
	bytes int
	back  time.Duration
}

// add gives the link a frame of n bytes at now. It arrives at arrival; its
// sender may go on at ready, now unless much is waiting to leave.
func (l *link) add(now time.Duration, n int) (ready, arrival time.Duration) {
	ready = now
	up := float64(upTime(l.spec.Down, now))
	l.free = max(l.free, up)
	if l.spec.Rate > 0 {
		perByte := 8 * float64(time.Second) / l.spec.Rate
		l.free += float64(n) * perByte
		if l.free-up > burst*perByte {
			ready = upAt(l.spec.Down, l.free-burst*perByte)
		}
	}
	left := max(now, upAt(l.spec.Down, l.free))
	if l.spec.Rate == 0 {
		if left != l.back {
			l.bytes, l.back = 0, left
		}
		if l.bytes += n; left > now && l.bytes > burst {
			ready = left
		}
	}
	delay := l.spec.Delay
	if j := l.spec.Jitter; j > 0 {
		delay += time.Duration(l.random.Int64N(int64(2*j)+1)) - j
	}
	l.arrival = max(l.arrival, left+delay)
	return ready, l.arrival
}

// upTime is for how long a link with these outages has been up at a time.
func upTime(o bootstrap.Outage, at time.Duration) time.Duration {
	since := at - o.After
	if o.For == 0 || since <= 0 {
		return at
	}
	if o.Every == 0 {
		return o.After + max(0, since-o.For)
	}
	return o.After + since/o.Every*(o.Every-o.For) + max(0, since%o.Every-o.For)
}

// upAt is when a link with these outages has been up for so many nanoseconds
// and is up: the last time with that upTime.
func upAt(o bootstrap.Outage, up float64) time.Duration {
	if up >= float64(forever) {
		return forever
	}
	t := time.Duration(up)
	if o.For == 0 || t < o.After {
		return t
	}
	outages := time.Duration(1)
	if o.Every > 0 {
		outages += (t - o.After) / (o.Every - o.For)
	}
	if outages > (forever-t)/o.For {
		return forever
	}
	return t + outages*o.For
}
