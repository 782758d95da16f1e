package schedule

// Model is the α-β-γ model of a machine: what a message, an element on the wire
// and an element combined cost, in any unit of time.
type Model struct {
	Alpha, Beta, Gamma float64

	// Between ranks of one host messages may cost something else.
	Hosts                 []int // of each rank; nil: nobody's messages do, and Cores are those of one host
	LocalAlpha, LocalBeta float64

	Cores []int // of each rank's host; 0: not known, nil: of none
}

// link is what messages cost between two ranks.
func (m *Model) link(a, b int) (alpha, beta float64) {
	if m.Hosts != nil && m.Hosts[a] == m.Hosts[b] {
		return m.LocalAlpha, m.LocalBeta
	}
	return m.Alpha, m.Beta
}

// Measure returns what a call takes: its longest path, or the work of a host's
// ranks on its cores where that takes longer. See Path and Work. Within a host
// whose ranks share cores only half of a message holds up the next ones of a
// rank: the other half is its peer's work.
func (m Model) Measure(parts []Schedule) float64 {
	shared := crowds(m.Hosts, m.Cores)
	return max(m.path(parts, func(a, b int) float64 {
		host := 0
		if m.Hosts != nil {
			if host = m.Hosts[a]; m.Hosts[b] != host {
				return 1
			}
		}
		if shared[host] > 1 {
			return 0.5
		}
		return 1
	}), m.Work(parts))
}

// Path returns when the last rank is done if all start at 0. A rank sends
// one message after the other and takes them in one after the other, both at
// once and while it combines; a message arrives Alpha plus Beta for each element
// after its turn has come on both sides. Every rank has a core of its own.
func (m Model) Path(parts []Schedule) float64 {
	return m.path(parts, func(_, _ int) float64 { return 1 })
}

// path is Path where the next message has its turn after a share of the time
// that one between two ranks takes.
func (m Model) path(parts []Schedule, share func(a, b int) float64) float64 {
	ranks := make([]clock, len(parts))
	line := map[[2]int][]float64{} // of messages under way, when each arrives
	for running := len(parts); running > 0; {
		moved := false
		running = 0
		for r := range parts {
			c := &ranks[r]
			for c.round < len(parts[r].Rounds) && c.step(m, share, r, parts[r].Rounds, line) {
				moved = true
			}
			if c.round < len(parts[r].Rounds) {
				running++
			}
		}
		if !moved && running > 0 {
			panic("schedule: measured schedules deadlock")
		}
	}
	last := 0.0
	for _, c := range ranks {
		last = max(last, c.now)
	}
	return last
}

// clock is a rank in Path.
type clock struct {
	now, out, in float64 // of the rank, and of its two directions
	round        int
	opened       int       // rounds
	taken        int       // rounds that are closed
	done         []float64 // of each opened round, when its messages have left or come
}

// step runs a round, or returns false because a message is missing.
func (c *clock) step(m Model, share func(a, b int) float64, r int, rounds []Round, line map[[2]int][]float64) bool {
	if c.opened == c.round {
		end := 0.0
		for _, s := range rounds[c.round].Net {
			if s.Kind == Send {
				alpha, beta := m.link(r, s.Peer)
				takes := alpha + beta*float64(s.Src.Len)
				begun := max(c.out, c.now)
				c.out = begun + share(r, s.Peer)*takes
				key := [2]int{r, s.Peer}
				line[key] = append(line[key], begun+takes)
				end = c.out
			}
		}
		c.done = append(c.done, end)
		c.opened++
	}
	round := rounds[c.round]
	for ; c.taken <= c.round-round.Lag; c.taken++ {
		for _, s := range rounds[c.taken].Net {
			if s.Kind == Recv && len(line[[2]int{s.Peer, r}]) == 0 {
				return false
			}
		}
		for _, s := range rounds[c.taken].Net {
			if s.Kind == Recv {
				key := [2]int{s.Peer, r}
				alpha, beta := m.link(r, s.Peer)
				c.in = max(c.in+share(s.Peer, r)*(alpha+beta*float64(s.Dst.Len)), line[key][0])
				line[key] = line[key][1:]
				c.done[c.taken] = max(c.done[c.taken], c.in)
			}
		}
		c.now = max(c.now, c.done[c.taken])
	}
	for _, s := range round.Local {
		if s.Kind == Reduce {
			c.now += m.Gamma * float64(s.Dst.Len)
		}
	}
	c.round++
	return true
}

// All builds the parts of every rank.
func All(a Algorithm, size, root, count int) []Schedule {
	parts := make([]Schedule, size)
	for r := range parts {
		parts[r] = a(r, size, root, count)
	}
	return parts
}

// AllBlocks builds the parts of every rank.
func AllBlocks(a BlockAlgorithm, size, root int, counts []int) []Schedule {
	parts := make([]Schedule, size)
	for r := range parts {
		parts[r] = a(r, size, root, counts)
	}
	return parts
}
