package schedule

import "slices"

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
	members [][]int // ranks of every host, its leader first; that of the root first
	leaders []int   // of these hosts
	mine    []int   // ranks of this host
	host    int     // place of this host in members
	place   int     // of the rank in mine
}

// newLevels has the root lead its host, and the lowest rank all others.
func newLevels(hosts []int, rank, root int) levels {
	var l levels
	at := map[int]int{} // of hosts, in members
	add := func(r int) {
		h, known := at[hosts[r]]
		if !known {
			h = len(l.members)
			at[hosts[r]] = h
			l.members, l.leaders = append(l.members, nil), append(l.leaders, r)
		}
		if r == rank {
			l.host, l.place = h, len(l.members[h])
		}
		l.members[h] = append(l.members[h], r)
	}
	add(root)
	for r := range hosts {
		if r != root {
			add(r)
		}
	}
	l.mine = l.members[l.host]
	return l
}

// slices are the ranks that have the same place in their hosts, by place. All
// hosts have equally many ranks.
func (l *levels) slices() [][]int {
	all := make([][]int, len(l.mine))
	for _, ranks := range l.members {
		for i, r := range ranks {
			all[i] = append(all[i], r)
		}
	}
	return all
}

// layout is the blocks of all ranks group by group, where the ranks of a group
// need not be neighbours.
type layout struct {
	counts []int // of ranks
	order  []int // the ranks, as their blocks lie
	sizes  []int // elements of each group
	off    []int // where the groups begin, and the end
}

func layOut(groups [][]int, counts []int) layout {
	x := layout{counts: counts, order: slices.Concat(groups...)}
	for _, ranks := range groups {
		n := 0
		for _, r := range ranks {
			n += counts[r]
		}
		x.sizes = append(x.sizes, n)
	}
	x.off = offsets(x.sizes)
	return x
}

// total is the elements of all blocks.
func (x *layout) total() int { return x.off[len(x.sizes)] }

// straight reports whether the blocks lie in rank order.
func (x *layout) straight() bool { return slices.IsSorted(x.order) }

// group is a group of all blocks.
func (x *layout) group(all Range, g int) Range { return all.part(x.off[g], x.sizes[g]) }

// pack copies blocks from rank order to theirs.
func (x *layout) pack(grouped, ranked Range) copies {
	var c copies
	off, at := offsets(x.counts), 0
	for _, r := range x.order {
		c.add(grouped.part(at, x.counts[r]), ranked.part(off[r], x.counts[r]))
		at += x.counts[r]
	}
	return c
}

// unpack is pack backwards.
func (x *layout) unpack(ranked, grouped Range) copies {
	c := x.pack(grouped, ranked)
	for i, step := range c {
		c[i] = copyStep(step.Src, step.Dst)
	}
	return c
}

// copies are local steps, one for all that is contiguous in both places.
type copies []Step

func (c *copies) add(dst, src Range) {
	follows := func(a, b Range) bool { return a.Buf == b.Buf && a.Off+a.Len == b.Off }
	if n := len(*c); n > 0 && follows((*c)[n-1].Dst, dst) && follows((*c)[n-1].Src, src) {
		(*c)[n-1].Dst.Len += dst.Len
		(*c)[n-1].Src.Len += src.Len
	} else if dst.Len > 0 {
		*c = append(*c, copyStep(dst, src))
	}
}

// pick is the counts of some ranks.
func pick(counts, ranks []int) []int {
	some := make([]int, len(ranks))
	for i, r := range ranks {
		some[i] = counts[r]
	}
	return some
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

// move is onto for a rank that uses the first base elements of Scratch itself.
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
