package schedule

// AllreduceTwoLevel combines within every host first, then the hosts' results,
// and sends the result to the ranks of a host last: between hosts, every host
// sends as if it had one rank. hosts says where each rank is; between is the
// algorithm among the hosts' first ranks. Of zero elements it is a barrier. Runs
// of ranks are combined in order if hosts have runs of ranks.
func AllreduceTwoLevel(hosts []int, between Algorithm) Algorithm {
	return func(rank, size, _, count int) Schedule {
		l := newLevels(hosts, rank, 0)
		all, in := Range{Output, 0, count}, Range{Input, 0, count}
		s := ReduceBinomial(l.place, len(l.mine), 0, count).onto(l.mine, in, all)
		if l.place == 0 {
			s = join("", s, between(l.host, len(l.leaders), 0, count).onto(l.leaders, all, all))
		}
		return join("two-level", s, BcastBinomial(l.place, len(l.mine), 0, count).onto(l.mine, all, all))
	}
}

// AllreduceSliced combines within every host so that each rank there has the
// result of a slice of the vector, then each slice between the hosts, and
// gathers the slices within the host. All hosts have equally many ranks. The
// operation must commute.
func AllreduceSliced(hosts []int, segment int, between Algorithm) Algorithm {
	return func(rank, size, _, count int) Schedule {
		l := newLevels(hosts, rank, 0)
		slices := Blocks(len(l.mine), count)
		all, in := Range{Output, 0, count}, Range{Input, 0, count}
		own := all.part(offsets(slices)[l.place], slices[l.place])
		var peers []int // of this slice
		for _, leader := range l.leaders {
			peers = append(peers, newLevels(hosts, leader, 0).mine[l.place])
		}
		return join("sliced",
			ReduceScatterPairwise(segment, false)(l.place, len(l.mine), 0, slices).onto(l.mine, in, own),
			between(l.host, len(peers), 0, own.Len).onto(peers, own, own),
			AllgatherPairwise(l.place, len(l.mine), 0, slices).onto(l.mine, own, all))
	}
}

// BcastTwoLevel sends the vector to one rank of every host, by the algorithm
// between, and from there to all others of the host.
func BcastTwoLevel(hosts []int, between Algorithm) Algorithm {
	return func(rank, size, root, count int) Schedule {
		l := newLevels(hosts, rank, root)
		all := Range{Output, 0, count}
		s := Schedule{}
		if l.place == 0 {
			s = between(l.host, len(l.leaders), 0, count).onto(l.leaders, all, all)
		}
		return join("two-level", s, BcastBinomial(l.place, len(l.mine), 0, count).onto(l.mine, all, all))
	}
}

// ReduceTwoLevel is BcastTwoLevel backwards. The operation must commute.
func ReduceTwoLevel(hosts []int, between Algorithm) Algorithm {
	return func(rank, size, root, count int) Schedule {
		l := newLevels(hosts, rank, root)
		in, all := Range{Input, 0, count}, Range{Output, 0, count}
		if rank != root {
			all = Range{Scratch, 0, count}
		}
		s := ReduceBinomial(l.place, len(l.mine), 0, count).over(l.mine, in, all)
		if l.place == 0 {
			s = join("", s, between(l.host, len(l.leaders), 0, count).over(l.leaders, all, all))
		}
		s.Name = "two-level"
		return s
	}
}

// Even reports whether there are several hosts, and whether all have equally
// many ranks, more than one.
func Even(hosts []int) (several, even bool) {
	n := map[int]int{}
	for _, h := range hosts {
		n[h]++
	}
	for _, k := range n {
		if k != n[hosts[0]] || k == 1 {
			return len(n) > 1, false
		}
	}
	return len(n) > 1, true
}

// levels is how a rank stands in its host, and its host among the others.
type levels struct {
	mine    []int // ranks of this host, the leader first
	place   int   // in mine
	leaders []int // of all hosts, that of the root first
	host    int   // place of this host's in leaders
}

// newLevels has the root lead its host, and the lowest rank all others.
func newLevels(hosts []int, rank, root int) levels {
	l := levels{leaders: []int{root}, mine: nil}
	led := map[int]bool{hosts[root]: true}
	if hosts[rank] == hosts[root] {
		l.mine = append(l.mine, root)
	}
	for r, h := range hosts {
		if !led[h] {
			led[h] = true
			l.leaders = append(l.leaders, r)
		}
		if h == hosts[rank] && r != root {
			l.mine = append(l.mine, r)
		}
	}
	for i, r := range l.mine {
		if r == rank {
			l.place = i
		}
	}
	for i, r := range l.leaders {
		if hosts[r] == hosts[rank] {
			l.host = i
		}
	}
	return l
}

// onto gives a schedule other ranks, and other ranges for Input and Output.
func (s Schedule) onto(ranks []int, input, output Range) Schedule {
	return s.move(ranks, input, output, 0)
}

// over is onto for an output that may be the beginning of Scratch: what the
// schedule uses itself comes after it.
func (s Schedule) over(ranks []int, input, output Range) Schedule {
	base := 0
	if output.Buf == Scratch {
		base = output.Off + output.Len
	}
	return s.move(ranks, input, output, base)
}

func (s Schedule) move(ranks []int, input, output Range, base int) Schedule {
	at := func(r Range) Range {
		switch {
		case r.Len == 0:
			return Range{}
		case r.Buf == Input:
			return input.part(r.Off, r.Len)
		case r.Buf == Output:
			return output.part(r.Off, r.Len)
		}
		return r.part(base, r.Len)
	}
	moved := Schedule{Name: s.Name, Scratch: s.Scratch + base}
	for _, r := range s.Rounds {
		q := Round{Lag: r.Lag}
		for _, step := range r.Net {
			q.Net = append(q.Net, Step{step.Kind, ranks[step.Peer], at(step.Dst), at(step.Src), at(step.Left)})
		}
		for _, step := range r.Local {
			q.Local = append(q.Local, Step{step.Kind, 0, at(step.Dst), at(step.Src), at(step.Left)})
		}
		moved.Rounds = append(moved.Rounds, q)
	}
	return moved
}
