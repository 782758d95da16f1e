// Package tuner chooses how stale reads may be while a job runs, from what its
// clocks cost. It is a pure machine: the lengths of clocks go in, the staleness
// of the next one comes out. The rules are our own.
//
// A worker is told three things of each of its clocks: how long it took, how
// much of that was waiting for slower workers, and by how much the worker was
// ahead of the slowest when it ended. They are looked at in windows:
//
//   - Where reads never used the slack that they were given, it is taken back:
//     fresher reads at no cost.
//   - Where waiting is a notable share of the time, a larger staleness is tried
//     for a window, and kept if clocks waited less then. A
//     straggler that is always slow makes everybody wait whatever the slack is:
//     where waiting is most of the time, less slack is tried in the same way, and
//     kept unless there was more waiting.
//   - What was tried in vain is not tried again for a while, for longer each time,
//     or until there is much more waiting than there was.
//   - A loss that gets worse halves the staleness that is allowed, and a run of
//     losses that get better doubles it again.
package tuner

// Start is the staleness that a machine begins with, where its limit allows it.
const Start = 3

const (
	leastWindow = 16   // clocks of a window, at least
	leastTrial  = 4    // and of one that is cut short, as less slack is clearly worse
	worseBy     = 1.5  // that is, so many times as much waiting
	notable     = 0.04 // share of the time spent waiting that is worth a trial
	mostly      = 0.5  // that says that slack does not help
	gain        = 0.85 // times as much waiting in a clock, at most, keeps a larger staleness
	cost        = 1.05 // and a smaller one
	surge       = 0.2  // more of it than when a trial failed allows the next
	firstPause  = 4    // windows until what failed is tried again; doubled each time
	longPause   = 64
	calm        = 3    // better losses in turn that allow twice the staleness again
	harm        = 1.01 // a loss this many times the best one is worse
)

// Machine is the choice of one worker. The zero value is not usable.
type Machine struct {
	most  int64 // never more
	limit int64 // by the loss, at most most
	s     int64

	// The running window.
	skip   int64 // clocks before it begins: those in which a new slack is used up
	clocks int64
	took   int64
	waited int64
	ahead  []int64 // clocks by how far ahead the worker was

	trial  trial
	before struct { // the trial
		s    int64
		wait float64 // of a clock
	}
	up, down pause
	unused   int // windows in turn in which slack was left

	best    float64 // loss
	lost    bool    // there is a best
	smooth  int     // better losses in turn
	changes int64
}

type trial uint8

const (
	none trial = iota
	larger
	smaller
)

// pause is how long something is not tried.
type pause struct {
	left, next int
	wait       float64 // share of the time when it failed
}

func (p *pause) fail(wait float64) {
	p.next = min(max(2*p.next, firstPause), longPause)
	p.left, p.wait = p.next, wait
}

func (p *pause) over(wait float64) bool { return p.left == 0 || wait > p.wait+surge }

func (p *pause) pass() { p.left = max(0, p.left-1) }

// New returns a machine that chooses from 0 to most.
func New(most int64) *Machine {
	return &Machine{most: most, limit: most, s: min(Start, most), ahead: make([]int64, most+1)}
}

// Staleness is what reads of the running clock may use.
func (m *Machine) Staleness() int64 { return m.s }

// Changes counts how often the staleness has changed.
func (m *Machine) Changes() int64 { return m.changes }

// Clock tells of a clock that has ended: its length and the part of it that was
// spent waiting for others, in any unit, and how many clocks the worker had ended
// before the slowest had. It returns the staleness of the next one.
func (m *Machine) Clock(took, waited, ahead int64) int64 {
	if m.skip > 0 {
		m.skip--
		return m.s
	}
	m.clocks++
	m.took += took
	m.waited += waited
	m.ahead[min(max(ahead, 0), m.most)]++
	switch {
	case m.clocks >= max(leastWindow, 4*(m.s+1)):
		m.decide()
	case m.trial == smaller && m.clocks >= leastTrial && float64(m.waited) > m.before.wait*worseBy*float64(m.clocks):
		m.decide()
	}
	return m.s
}

// decide ends a window.
func (m *Machine) decide() {
	wait := float64(m.waited) / float64(max(m.took, 1)) // share of the time
	each := float64(m.waited) / float64(m.clocks)
	used := m.used()
	m.up.pass()
	m.down.pass()
	was := m.s
	switch m.trial {
	case larger:
		if each > m.before.wait*gain {
			m.s = m.before.s
			m.up.fail(wait)
		} else {
			m.up, m.down = pause{}, pause{}
		}
		m.trial = none
	case smaller:
		if each > m.before.wait*cost {
			m.s = m.before.s
			m.down.fail(wait)
		}
		m.trial = none
	default:
		if used < m.s {
			m.unused++
		} else {
			m.unused = 0
		}
		m.before.s, m.before.wait = m.s, each
		switch {
		case m.unused >= 2 && wait < notable:
			m.s = used
			m.unused = 0
		case wait < notable:
		case m.s < m.limit && m.up.over(wait):
			m.s = min(2*m.s+1, m.limit)
			m.trial = larger
		case m.s > 0 && wait > mostly && m.down.over(wait):
			m.s /= 2
			m.trial = smaller
		}
	}
	m.turn(was)
}

// used is the slack that 19 of 20 clocks made do with.
func (m *Machine) used() int64 {
	over := m.clocks / 20
	for s := m.most; s > 0; s-- {
		if over -= m.ahead[s]; over < 0 {
			return s
		}
	}
	return 0
}

// turn begins a window after the staleness was was.
func (m *Machine) turn(was int64) {
	m.clocks, m.took, m.waited = 0, 0, 0
	clear(m.ahead)
	m.skip = 0
	if m.s != was {
		m.changes++
		m.skip = max(m.s, was) + 1 // until the worker is as far ahead as it may be
	}
}

// Loss tells of the loss that the job has now; better is what tells a better one
// from a worse: it must fall.
func (m *Machine) Loss(loss float64) {
	was := m.s
	switch {
	case !m.lost && loss == loss:
		m.lost, m.best = true, loss
		return
	case loss < m.best:
		m.best = loss
		if m.smooth++; m.smooth >= calm {
			m.smooth = 0
			m.limit = min(max(2*m.limit, 1), m.most)
		}
		return
	case worse(loss, m.best):
		m.smooth = 0
		m.limit = m.s / 2
		m.s = min(m.s, m.limit)
	}
	if m.s != was {
		m.trial = none
		m.turn(was)
	}
}

// worse: also a loss that is not a number.
func worse(loss, best float64) bool {
	if best < 0 {
		return !(loss <= best/harm)
	}
	return !(loss <= best*harm)
}
