package member

import "github.com/sspurn/sspurn/ssp/internal/clock"

// Set is what a shard knows of who counts: the vector clock of all ranks, in
// which those that are freed hold nobody back.
type Set struct {
	clock.Vector
	members []membership
}

type membership struct {
	term      uint32 // of the last change
	announced int64  // by the rank itself
	back      int64  // where it counts again, when that is known before that it is freed; 0: not
	freed     bool
	ever      bool // freed in this epoch
}

// NewSet returns the set of so many ranks, which all count, at clock 0.
func NewSet(ranks int) *Set {
	return &Set{Vector: *clock.NewVector(ranks), members: make([]membership, ranks)}
}

// Step advances a rank to the clock that its batch announces and reports whether
// the minimum rose.
func (s *Set) Step(epoch uint32, rank int, to int64) (rose bool) {
	if epoch == s.Epoch() {
		s.members[rank].announced = to
	}
	return s.Vector.Step(epoch, rank, to)
}

// Free takes a rank out of the minimum, which it does with a batch of its own,
// and reports whether that rose. When it is known already that the rank has come
// back, the clocks between do not count.
func (s *Set) Free(epoch uint32, rank int, term uint32) (rose bool) {
	m := &s.members[rank]
	switch {
	case epoch != s.Epoch():
		return false
	case term > m.term:
		m.term, m.freed, m.ever, m.back = term, true, true, 0
		return s.Vector.Step(epoch, rank, clock.Forever)
	case m.back > 0:
		back := m.back
		m.ever, m.back = true, 0
		return s.Vector.Step(epoch, rank, back)
	}
	return false
}

// Admit lets a rank count again from a clock on that the minimum has not passed.
// A term that is not above that of the rank's last change changes nothing.
func (s *Set) Admit(epoch uint32, rank int, term uint32, at int64) {
	m := &s.members[rank]
	if epoch != s.Epoch() || term <= m.term {
		return
	}
	m.term = term
	if !m.freed {
		m.back = at
		return
	}
	m.freed = false
	s.Rejoin(rank, max(at, m.announced))
}

// Freed reports whether a rank is freed.
func (s *Set) Freed(rank int) bool { return s.members[rank].freed }

// Ever reports whether a rank has been freed since the last Reset, or still is.
func (s *Set) Ever(rank int) bool { return s.members[rank].ever }

// Reset puts all ranks at one clock, in a new epoch. Who was freed still is.
func (s *Set) Reset(to int64) {
	s.Vector.Reset(to)
	for r := range s.members {
		m := &s.members[r]
		m.announced, m.ever, m.back = to, m.freed, 0
		if m.freed {
			s.Vector.Step(s.Epoch(), r, clock.Forever)
		}
	}
}
