package schedule

import (
	"math/bits"
	"slices"
)

// Where ranks outnumber cores, the time of a call is not that of its longest
// chain of messages but that of all the work of a host's ranks on its cores:
// who waits leaves its core to another that has something to do.

// work is what all ranks of a call do together.
type work struct {
	messages float64
	moved    float64 // elements sent
	touched  float64 // elements combined or copied
}

func (w work) plus(v work) work {
	return work{w.messages + v.messages, w.moved + v.moved, w.touched + v.touched}
}

func (w work) times(k float64) work { return work{k * w.messages, k * w.moved, k * w.touched} }

// overhang is the part of the longest path during which cores have nothing to
// do although there is work. The bound for greedy schedules, work over cores and
// (1−1/cores) of the path (Brent 1974, lemma 2), has a half on two cores; calls
// of 3 to 8 ranks there were measured nearer to a third.
const overhang = 1.0 / 3

// total is what the candidate costs: its longest path where every rank has a
// core, else its work with what the path leaves idle, but no less than the path.
func (k *candidate) total(e *estimate) float64 {
	path := k.cost(e)
	if e.crowd <= 1 {
		return path
	}
	chain := path
	if k.crowded != nil && e.hosts == 1 {
		path, chain = k.crowded(e)
	}
	w := k.work(e)
	spent := (w.messages*e.la + w.moved*e.lb + w.touched*e.g) * e.crowd / e.p
	return max(path, spent+overhang*chain)
}

// oneByOne is crowded for a root that sends a block of a vector to each of the
// others, or takes one: half of a message is the other's work.
func (e *estimate) oneByOne() (path, chain float64) {
	block := e.a + e.n/e.p*e.b
	return e.p / 2 * block, block
}

// unhidden is crowded for a pipeline of an allreduce with so many rounds, which
// has no core free to combine while messages are under way.
func (e *estimate) unhidden(rounds float64) (path, chain float64) {
	path = rounds*e.a + e.part()*e.n*(2*e.b+e.g)
	return path, path
}

// crowd returns how many ranks share a core on the host where most do; 0 when
// that is not known of any.
func (c *Call) crowd() float64 {
	most := 0.0
	for _, n := range crowds(c.Hosts, c.Cores) {
		most = max(most, n)
	}
	return most
}

// homes returns to how many cores of a single host the ranks keep, and how many
// ranks to the same at most; 0 where there are several hosts, or ranks without.
func (c *Call) homes() (homes, most int) {
	if c.Homes == nil || len(c.Hosts) > 0 && slices.Min(c.Hosts) != slices.Max(c.Hosts) {
		return 0, 0
	}
	ranks := map[int]int{}
	for _, h := range c.Homes {
		if h < 0 {
			return 0, 0
		}
		ranks[h]++
		most = max(most, ranks[h])
	}
	return len(ranks), most
}

// aligned reports whether ranks by core, and the cores, make pairs as they do by
// number.
func aligned(c *Call) bool {
	_, even := Even(c.Homes)
	return isPower(c.Size) && even && slices.IsSorted(c.Homes)
}

// crowds returns how many ranks share a core, by host; without hosts there is
// one, 0.
func crowds(hosts, cores []int) map[int]float64 {
	ranks, shared := map[int]int{}, map[int]float64{}
	for r, n := range cores {
		host := 0
		if hosts != nil {
			host = hosts[r]
		}
		if ranks[host]++; n > 0 {
			shared[host] = float64(ranks[host]) / float64(n)
		}
	}
	return shared
}

// Work returns how long the cores of a host are busy at least, where that is
// longest: every message costs half of LocalAlpha and LocalBeta on either side,
// as the rest of what it takes between hosts is spent by no core, and what is
// combined or copied Gamma. Without Cores it is 0.
func (m Model) Work(parts []Schedule) float64 {
	alpha, beta := m.LocalAlpha, m.LocalBeta
	if m.Hosts == nil {
		alpha, beta = m.Alpha, m.Beta
	}
	busy := map[int]float64{} // of hosts
	most := 0.0
	for r := range parts {
		if m.Cores == nil || m.Cores[r] == 0 {
			continue
		}
		host := 0
		if m.Hosts != nil {
			host = m.Hosts[r]
		}
		for _, round := range parts[r].Rounds {
			for _, s := range round.Net {
				busy[host] += (alpha + beta*float64(s.Src.Len+s.Dst.Len)) / 2
			}
			for _, s := range round.Local {
				busy[host] += m.Gamma * float64(s.Dst.Len)
			}
		}
		most = max(most, busy[host]/float64(m.Cores[r]))
	}
	return most
}

// What algorithms that several operations share do, by p ranks with vectors of
// n elements.

// along is a tree, or a chain in k parts: every rank but one sends, or gets, n.
func along(p, n, k float64) work { return work{messages: (p - 1) * k, moved: (p - 1) * n} }

// merging is w when what is moved is combined.
func merging(w work) work { return w.plus(work{touched: w.moved}) }

// doubled is recursive doubling of the largest power of two, with the ranks
// beyond it before and after.
func doubled(p, n float64) work {
	f := newFold(int(p))
	pow, rest := float64(f.pow), float64(f.rest)
	each := pow * log2(f.pow)
	return work{each + 2*rest, (each + 2*rest) * n, (each + rest) * n}
}

// scattered is a reduce-scatter in which every rank sends its part of each
// block of a vector of n, in k parts.
func scattered(p, n, k float64) work {
	return work{p * (p - 1) * k, (p - 1) * n, (p - 1) * n}
}

// gathered has every rank send its block of n elements to all others.
func gathered(p, n, k float64) work { return work{messages: p * (p - 1) * k, moved: (p - 1) * n} }

// branches is a binomial tree along which blocks of n elements in all travel:
// each passes every rank between its own and the root.
func branches(p, n float64) work {
	blocks := 0
	for v := 1; v < int(p); v++ {
		blocks += min(v&-v, int(p)-v)
	}
	return work{messages: p - 1, moved: float64(blocks) * n / p}
}

// ones is how many ones there are in the binary numbers below p.
func ones(p float64) float64 {
	n := 0
	for v := range int(p) {
		n += bits.OnesCount(uint(v))
	}
	return float64(n)
}

// steps is how many messages a rank sends in a dissemination.
func steps(p float64, radix int) float64 {
	n := 0
	for d := 1; d < int(p); d *= radix {
		n += min(radix-1, (int(p)-1)/d)
	}
	return float64(n)
}

// halved is Rabenseifner's allreduce, of the power of two as doubled has it.
func halved(p, n float64) work {
	f := newFold(int(p))
	pow, rest := float64(f.pow), float64(f.rest)
	return work{2*pow*log2(f.pow) + 2*rest, 2 * (p - 1) * n, (p - 1) * n}
}

// halvedScatter is recursive halving to the blocks of a vector of n, of which
// folded are those of ranks beyond the power of two.
func halvedScatter(p, n, folded float64) work {
	f := newFold(int(p))
	return work{float64(f.pow)*log2(f.pow) + 2*float64(f.rest), (p-1)*n + folded, p*n - folded}
}

// collected is branches with what is copied: their own block by those who pass
// others on.
func collected(p, n float64) work {
	return branches(p, n).plus(work{touched: float64(int(p)/2) * n / p})
}

// prefixes is a scan by doubling.
func prefixes(p, n float64) work {
	w := work{touched: p * n}
	for d := 1; d < int(p); d *= 2 {
		w = w.plus(work{p - float64(d), (p - float64(d)) * n, (p - float64(d)) * n})
	}
	return w
}

// twoLevel combines in a tree within hosts, and between these as inner does.
func (e *estimate) twoLevel() work {
	within := work{messages: e.p - e.hosts, moved: (e.p - e.hosts) * e.n}
	return merging(within).plus(within).plus(e.innerWork(e.hosts, e.n))
}

// sliced has the ranks of hosts of as many combine a slice each.
func (e *estimate) sliced() work {
	k := e.parts(e.n / e.mine)
	within := scattered(e.mine, e.n, k).plus(gathered(e.mine, e.n, 1)).plus(work{touched: e.n})
	return within.times(e.hosts).plus(e.innerWork(e.hosts, e.n/e.mine).times(e.mine))
}

// leaderWork is what the ranks of all hosts do to bring their blocks to their
// leaders, or back: n elements for every rank.
func (e *estimate) leaderWork(n float64) (w work) {
	for _, m := range e.sizes {
		w = w.plus(collected(m, m*n))
		if m == 1 {
			w.touched += n
		}
	}
	return w
}

// allgatherTwoLevel sorts blocks at the leaders where hosts are not runs.
func (e *estimate) allgatherTwoLevel() work {
	sorted := unless(e.runs, e.hosts*e.n)
	return e.leaderWork(e.n / e.p).plus(e.gatheringWork(e.hosts, e.n)).plus(work{e.p - e.hosts, (e.p - e.hosts) * e.n, sorted})
}

func (e *estimate) reduceScatterTwoLevel() work {
	folded, alone := 0.0, 0.0
	rest := newFold(len(e.sizes)).rest
	for h, m := range e.sizes {
		if h < 2*rest && h%2 == 1 {
			folded += m * e.n / e.p
		}
		if m == 1 {
			alone++ // and copies its vector
		}
	}
	within := merging(work{messages: e.p - e.hosts, moved: (e.p - e.hosts) * e.n})
	within.touched += alone*e.n + unless(e.runs, e.hosts*e.n)
	return within.plus(e.scatteringWork(e.hosts, e.n, e.mine*e.n/e.p, folded)).plus(e.leaderWork(e.n / e.p))
}

// alltoallTwoLevel copies all blocks twice at the leaders, beside what the
// exchange between these does.
func (e *estimate) alltoallTwoLevel() work {
	all, h := e.p*e.n, len(e.sizes)
	w := e.leaderWork(e.n).times(2).plus(work{touched: 2 * all})
	block := e.n / e.p
	bruck := brief(e.hosts, e.mine*e.mine*block*e.hosts, e.segment)
	if bruck {
		w = w.plus(work{messages: e.hosts * log2(h), touched: 2 * all})
	} else {
		w.messages += e.hosts * (e.hosts - 1)
	}
	for a, m := range e.sizes {
		for d := range h {
			n := m * e.sizes[(a+d)%h] * block
			switch {
			case bruck:
				times := float64(bits.OnesCount(uint(d)))
				w = w.plus(work{moved: times * n, touched: 2 * times * n})
			case d > 0:
				w.moved += n
			default:
				w.touched += n
			}
		}
	}
	return w
}

// bruckWork is AlltoallBruck of n elements each.
func bruckWork(p, n float64) work {
	return work{p * log2(int(p)), ones(p) * n, 2 * (p + ones(p)) * n}
}

// turns is how often AlltoallSliced copies what a rank has.
func (e *estimate) turns() float64 { return 1 + unless(e.dealt, 1) + unless(e.runs, 1) }

func (e *estimate) alltoallSliced() work {
	w := e.exchangingWork(e.mine, e.n).times(e.hosts).plus(e.exchangingWork(e.hosts, e.n).times(e.mine))
	return w.plus(work{touched: e.turns() * e.p * e.n})
}

// slicedBlocks exchanges slices between hosts, and blocks within them, each as f
// does; all ranks copy the vector where their order is another.
func (e *estimate) slicedBlocks(f func(p, n float64) work) work {
	return f(e.hosts, e.n/e.mine).times(e.mine).plus(f(e.mine, e.n).times(e.hosts)).plus(work{touched: unless(e.dealt, e.p*e.n)})
}
