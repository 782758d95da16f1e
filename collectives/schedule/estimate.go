package schedule

import (
	"math"
	"math/bits"
	"slices"
)

// estimate is a call in numbers: times for an element, rounds, parts.
type estimate struct {
	a, b, g float64 // message, element sent, element combined or copied
	n, p    float64 // elements, ranks
	log     float64 // rounds of doubling
	fold    float64 // 1 when the number of ranks is no power of two
	segment float64 // elements
	root    float64 // 1 when the root is not rank 0

	la, lb      float64   // message and element within a host
	hosts, mine float64   // hosts, and most ranks of one
	sizes       []float64 // ranks of each host
	runs        bool      // the ranks of every host are neighbours
	dealt       bool      // ranks lie by their place in their hosts, which are even
	near        []bool    // which rounds of doubling, nearest first, of the largest power of two stay within hosts
	nearFold    bool      // and ranks beyond that have their partners in their hosts
	crowd       float64   // most ranks on a core of a host; 0: not known
	homes       float64   // cores of the one host to which ranks keep; 0: none
	onHome      float64   // most ranks of one of these
}

func (m *Machine) estimate(c *Call) *estimate {
	size := float64(c.Elem)
	e := &estimate{
		a: m.Alpha, b: m.Beta * size, g: m.Gamma * size, n: float64(c.Count), p: float64(c.Size), log: log2(c.Size),
		segment: max(1, float64(m.Segment/max(c.Elem, 1))), hosts: 1, mine: float64(c.Size), crowd: c.crowd(),
	}
	homes, most := c.homes()
	e.homes, e.onHome = float64(homes), float64(most)
	e.fold = unless(isPower(c.Size), 1)
	if c.Root > 0 {
		e.root = 1
	}
	e.la, e.lb = e.a, e.b
	if m.Local != nil {
		e.la, e.lb = m.Local.Alpha, m.Local.Beta*size
	}
	if c.Hosts != nil {
		e.spread(c.Hosts)
	}
	if e.hosts == 1 {
		e.a, e.b = e.la, e.lb
	}
	return e
}

// spread fills in what depends on which rank is where.
func (e *estimate) spread(hosts []int) {
	l := newLevels(hosts, 0, 0)
	e.hosts, e.mine = float64(len(l.members)), 0
	for _, ranks := range l.members {
		e.sizes = append(e.sizes, float64(len(ranks)))
		e.mine = max(e.mine, float64(len(ranks)))
	}
	e.runs = slices.IsSorted(slices.Concat(l.members...))
	if _, even := Even(hosts); even {
		e.dealt = slices.IsSorted(slices.Concat(l.slices()...))
	}
	f := newFold(len(hosts))
	together := func(r, q int) bool { return hosts[r] == hosts[q] }
	e.nearFold = true
	for v := range f.rest {
		e.nearFold = e.nearFold && together(2*v, 2*v+1)
	}
	for mask := 1; mask < f.pow; mask *= 2 {
		near := true
		for v := 0; near && v < f.pow; v++ {
			near = together(f.rank(v), f.rank(v^mask))
		}
		e.near = append(e.near, near)
	}
}

// round is what a message and an element cost in a round of doubling.
func (e *estimate) round(i int) (a, b float64) {
	if i < len(e.near) && e.near[i] {
		return e.la, e.lb
	}
	return e.a, e.b
}

// folding is what they cost between ranks beyond the power of two and their
// partners.
func (e *estimate) folding() (a, b float64) {
	if e.nearFold {
		return e.la, e.lb
	}
	return e.a, e.b
}

// part is the fraction of a vector in all blocks but one.
func (e *estimate) part() float64 { return (e.p - 1) / e.p }

// parts is into how many segments n elements are cut.
func (e *estimate) parts(n float64) float64 { return float64(segments(int(n), int(e.segment))) }

// log2 returns the rounds in which size ranks are reached by doubling.
func log2(size int) float64 { return float64(bits.Len(uint(size - 1))) }

// unless is x where a condition does not hold, else 0.
func unless(condition bool, x float64) float64 {
	if condition {
		return 0
	}
	return x
}

// exchanges is what it costs where ranks exchange n elements in every round of
// doubling and touch what they receive; with the ranks beyond the power of two.
func (e *estimate) exchanges(n, touch float64) float64 {
	cost := 0.0
	for i := range int(e.log - e.fold) {
		a, b := e.round(i)
		cost += a + n*(b+touch)
	}
	a, b := e.folding()
	return cost + e.fold*2*(a+n*(b+touch))
}

// doubled is the rounds of doubling among p, with those beyond the power of two.
func (e *estimate) doubled(p float64) float64 {
	f := newFold(int(p))
	return log2(f.pow) + 2*float64(min(f.rest, 1))
}

// halving is what Rabenseifner's allreduce costs, whose nearest ranks exchange
// the longest halves.
func (e *estimate) halving() float64 {
	cost, half := 0.0, e.n
	for i := range int(e.log - e.fold) {
		a, b := e.round(i)
		half /= 2
		cost += 2*a + half*(2*b+e.g)
	}
	a, b := e.folding()
	return cost + e.fold*(2*a+e.n*(2*b+e.g))
}

// doubling is what it costs where ranks have twice as many blocks of a
// vector after every round, nearest ranks first, or half as many, nearest last,
// and touch what they receive; with the ranks beyond the power of two.
func (e *estimate) doubling(touch float64) float64 {
	rounds := int(e.log - e.fold)
	cost, part := 0.0, e.n/math.Exp2(float64(rounds))
	for i := range rounds {
		a, b := e.round(i)
		cost += a + part*(b+touch)
		part *= 2
	}
	a, b := e.folding()
	return cost + e.fold*(2*a+e.n*(b+touch))
}
