// Package rate decides how many bytes a sender may send beside what it must: a
// token bucket whose rate follows what the network takes. It is pure: time passes
// as arguments, in nanoseconds.
//
// Wei et al., Managed communication and consistency for fast data-parallel
// iterative analytics (SoCC 2015) use a leaky bucket of a rate that is given. Here
// it is increased by steps while bytes wait for it, and decreased by a factor when
// messages take much longer than the rate says, never above a cap. The numbers
// are our own.
package rate

import "math"

const (
	second = 1e9

	interval = 50e6  // of decisions
	pause    = 200e6 // between two decreases: the effect of one is to be seen
	late     = 50e6  // that a message may be in queues
	longest  = 100e6 // that the way there and back takes: more is a queue
	depth    = 1.0   // seconds of the rate that the bucket holds

	first    = 64 << 10 // bytes a second to begin with, without a cap
	floor    = 16 << 10
	least    = 64 << 10 // bytes that the bucket holds at least
	most     = 1 << 37  // bytes a second: beyond that nobody measures
	decrease = 0.8
	steps    = 20 // increases that double the rate of the last decrease
)

// Limiter is the bucket. Its rate is that of one sender with all its links.
type Limiter struct {
	cap     float64 // bytes a second; +Inf: none
	rate    float64
	step    float64 // of an increase; 0: double, there was no decrease yet
	tokens  float64 // negative: what had to be sent was more
	at      int64   // of tokens
	limited bool    // short, when the last interval ended
	short   bool    // bytes have waited for the rate since the last decision

	base    float64 // least time of a message: the way there and back
	acked   float64 // bytes taken since begun
	begun   int64
	goodput float64 // bytes a second, mean of some intervals
	cut     int64   // time of the last decrease
	bad     bool    // a message was late since the last decision
	drains  bool    // the last message was late: there is a queue
}

// New returns an empty bucket at a time. bits a second are its cap; 0: none.
func New(bits float64, now int64) *Limiter {
	l := &Limiter{cap: math.Inf(1), rate: first, at: now, begun: now, cut: now - pause, base: longest}
	if bits > 0 {
		l.cap = bits / 8
		l.rate = l.cap // the promise of whoever set it, until messages are late
		l.step = l.cap / steps
	}
	return l
}

// Rate returns the bytes a second.
func (l *Limiter) Rate() float64 { return l.rate }

// Allowed returns the bytes that may leave now; negative after more had to.
func (l *Limiter) Allowed(now int64) int64 {
	l.pass(now)
	return int64(math.Floor(l.tokens))
}

// Idle returns the time until the bucket is half full, an hour at most; 0: it is.
func (l *Limiter) Idle(now int64) int64 {
	l.pass(now)
	if lack := l.hold()/2 - l.tokens; lack > 0 {
		return int64(min(math.Ceil(lack/l.rate*second), 3600*second))
	}
	return 0
}

// Charge takes bytes that leave out of the bucket, whoever wanted them.
func (l *Limiter) Charge(now, bytes int64) {
	l.pass(now)
	// A debt of more than the bucket holds is forgiven: nobody can send less than
	// nothing, and a burst must not silence the sender for long.
	l.tokens = max(l.tokens-float64(bytes), -l.hold())
}

// Short says that bytes wait for the rate.
func (l *Limiter) Short() { l.short = true }

// Took says that a message of so many bytes took a time.
func (l *Limiter) Took(now, bytes, took int64) {
	l.pass(now)
	l.acked += float64(bytes)
	l.base = min(l.base, float64(took))
	if float64(took) > 2*l.base+2*float64(bytes)/l.rate*second+late {
		// What was sent before the last decrease waits in the queue that was its
		// reason: that has to drain, and says nothing of the new rate.
		l.drains = true
		l.bad = l.bad || now-took >= l.cut
		l.decide(now)
	} else {
		l.drains = false
	}
}

func (l *Limiter) hold() float64 { return max(least, depth*l.rate) }

// pass lets time pass.
func (l *Limiter) pass(now int64) {
	if now > l.at {
		l.tokens = min(l.tokens+l.rate*float64(now-l.at)/second, l.hold())
		l.at = now
	}
	if now-l.begun >= interval {
		l.decide(now)
	}
}

// decide ends an interval: additive increase, multiplicative decrease.
func (l *Limiter) decide(now int64) {
	if d := now - l.begun; d >= interval {
		const share = 0.25
		l.goodput += share * (l.acked/float64(d)*second - l.goodput)
		l.acked, l.begun = 0, now
		// A sender that used its rate and was not heard of to that extent has
		// filled a queue: more would not tell anything.
		if l.short && !l.drains && l.goodput >= l.rate/2 {
			step := l.step
			if step == 0 {
				step = l.rate
			}
			l.rate = min(l.rate+step, l.cap, most)
		}
		l.limited = l.short
		l.short = false
	}
	if l.bad && now-l.cut >= pause {
		// What was taken is what the network can do, unless the sender had little.
		taken := min(l.goodput, l.rate)
		if !l.limited && !l.short {
			taken = max(taken, l.rate/2)
		}
		l.rate = max(floor, decrease*taken)
		l.step = max(l.rate/steps, l.step/2) // one that came too low finds back
		l.cut = now
		l.short = false
	}
	l.bad = false
}
