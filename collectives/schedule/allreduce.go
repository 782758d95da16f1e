package schedule

// AllreduceDoubling combines Input of all ranks into Output of all by recursive
// doubling (Thakur, Rabenseifner and Gropp 2005, section 4.5). When size is not
// a power of two, the first ranks pair up before and share the result after.
// Runs of neighbouring ranks are combined in order, and by all that combine
// them alike, so that results are bit-equal; the order is that of the tree when
// size is a power of two.
func AllreduceDoubling(rank, size, _, count int) Schedule {
	s := Schedule{Name: "doubling"}
	cur, in := Range{Output, 0, count}, Range{Input, 0, count}
	if size == 1 {
		s.local(copyStep(cur, in))
		return s
	}
	f := newFold(size)
	if !f.core(rank) {
		s.net(send(rank-1, in))
		s.net(recv(rank-1, cur))
		return s
	}
	other := Range{Scratch, 0, count}
	s.need(count)
	have := in
	if f.pairs(rank) {
		s.net(recv(rank+1, other))
		s.local(merge(cur, in, other))
		have = cur
	}
	v := f.place(rank)
	for mask := 1; mask < f.pow; mask *= 2 {
		peer := f.rank(v ^ mask)
		s.net(send(peer, have), recv(peer, other))
		if v&mask == 0 {
			s.local(merge(cur, have, other))
		} else {
			s.local(merge(cur, other, have))
		}
		have = cur
	}
	if f.pairs(rank) {
		s.net(send(rank+1, cur))
	}
	return s
}

// AllreduceHalving combines Input of all ranks into Output of all: recursive
// halving of the vector and doubling back (Rabenseifner). Near ranks exchange
// the long halves. Runs of neighbouring ranks are combined in order, in that of
// the tree when size is a power of two; each part is finished by one rank, so
// results are bit-equal. If Input and Output are apart, what comes is received
// into Output where that has room; it has most if the operation keeps its left
// operand, see [Call].
func AllreduceHalving(apart, keeps bool) Algorithm {
	return func(rank, size, _, count int) Schedule {
		return allreduceHalving(rank, size, count, apart, keeps)
	}
}

func allreduceHalving(rank, size, count int, apart, keeps bool) Schedule {
	s := Schedule{Name: "rabenseifner"}
	out, in := Range{Output, 0, count}, Range{Input, 0, count}
	if size == 1 {
		s.local(copyStep(out, in))
		return s
	}
	f := newFold(size)
	if !f.core(rank) {
		s.net(send(rank-1, in))
		s.net(recv(rank-1, out))
		return s
	}
	have := in
	if f.pairs(rank) {
		other := out
		if !apart || !keeps {
			other = Range{Scratch, 0, count}
			s.need(count)
		}
		s.net(recv(rank+1, other))
		s.local(merge(out, in, other))
		have = out
	}
	v := f.place(rank)
	type span struct{ off, n int }
	keep, free := span{0, count}, span{} // of Output, what was given away last is free
	var before []span                    // what was kept at each level
	for mask := 1; mask < f.pow; mask *= 2 {
		before = append(before, keep)
		half := keep.n / 2
		low, high := span{keep.off, half}, span{keep.off + half, keep.n - half}
		give := high
		keep = low
		if v&mask != 0 {
			keep, give = high, low
		}
		mine, dst := have.part(keep.off, keep.n), out.part(keep.off, keep.n)
		other := Range{Scratch, 0, keep.n}
		switch {
		case apart && have == in && (keeps || v&mask != 0):
			other = dst
		case apart && have == in: // the lower half is not the longer one
			other = out.part(give.off, keep.n)
		case keep.n <= free.n:
			other = out.part(free.off, keep.n)
		default:
			s.need(keep.n)
		}
		peer := f.rank(v ^ mask)
		s.net(send(peer, have.part(give.off, give.n)), recv(peer, other))
		if v&mask == 0 {
			s.local(merge(dst, mine, other))
		} else {
			s.local(merge(dst, other, mine))
		}
		have, free = out, give
	}
	for mask := f.pow / 2; mask > 0; mask /= 2 {
		all := before[len(before)-1]
		before = before[:len(before)-1]
		rest := span{all.off, all.n - keep.n}
		if keep.off == all.off {
			rest.off += keep.n
		}
		peer := f.rank(v ^ mask)
		s.net(send(peer, out.part(keep.off, keep.n)), recv(peer, out.part(rest.off, rest.n)))
		keep = all
	}
	if f.pairs(rank) {
		s.net(send(rank+1, out))
	}
	return s
}

// AllreduceRing combines Input of all ranks into Output of all: the blocks go
// around the ring once to be combined and once more to be spread (Patarasuk and
// Yuan 2009), in parts of about segment elements, so that one is combined while
// others are under way. Every rank sends twice the vector however many there
// are. A block is combined from the rank behind its own around to its own, so
// the operation must commute; each is finished by one rank, so results are
// bit-equal.
func AllreduceRing(segment int, apart bool) Algorithm {
	where := noRoom
	if apart {
		where = allBlocks
	}
	return func(rank, size, _, count int) Schedule {
		s := Schedule{Name: "ring"}
		counts := Blocks(size, count)
		own := Range{Output, offsets(counts)[rank], counts[rank]}
		s.reduceRing(rank, size, counts, segment, own, 0, where)
		s.spreadRing(rank, size, counts, segment)
		return s
	}
}

// spreadRing sends the own block of Output around to all, and receives those of
// all others.
func (s *Schedule) spreadRing(rank, size int, counts []int, segment int) {
	off := offsets(counts)
	k := segments(largest(counts), segment)
	lag := min(pipelineLag, k-1)
	block := func(t, shift int) Range {
		r := ((rank-t/k-shift)%size + size) % size
		return Range{Output, off[r], counts[r]}.cut(t%k, k)
	}
	right, left := (rank+1)%size, (rank-1+size)%size
	s.pipeline((size-1)*k, lag, func(t int) []Step {
		return []Step{send(right, block(t, 0)), recv(left, block(t, 1))}
	}, nil)
}

// AllreducePairwise is AllreduceRing in which every rank sends its parts
// straight to the ranks that combine them, and these the result to all.
func AllreducePairwise(segment int, apart bool) Algorithm {
	return func(rank, size, _, count int) Schedule {
		counts := Blocks(size, count)
		own := Range{Output, offsets(counts)[rank], counts[rank]}
		s := ReduceScatterPairwise(segment, apart)(rank, size, 0, counts)
		s.Name = "pairwise"
		for i := range s.Rounds {
			for j := range s.Rounds[i].Local {
				s.Rounds[i].Local[j].shift(own.Off)
			}
			for j := range s.Rounds[i].Net {
				s.Rounds[i].Net[j].shift(own.Off)
			}
		}
		s.spread(rank, size, counts)
		return s
	}
}

// shift moves a step's ranges of Output.
func (step *Step) shift(off int) {
	for _, r := range []*Range{&step.Dst, &step.Left, &step.Src} {
		if r.Buf == Output {
			r.Off += off
		}
	}
}

// spread sends the own block of Output to all, and receives those of all
// others.
func (s *Schedule) spread(rank, size int, counts []int) {
	off := offsets(counts)
	block := func(r int) Range { return Range{Output, off[r], counts[r]} }
	s.pipeline(size-1, pipelineLag, func(t int) []Step {
		to, from := (rank+t+1)%size, (rank-t-1+size)%size
		return []Step{send(to, block(rank)), recv(from, block(from))}
	}, nil)
}

// AllreduceOrdered combines in tree order: every rank its block of the vector,
// of which it keeps what all have; then it sends the result to all.
func AllreduceOrdered(rank, size, _, count int) Schedule {
	s := Schedule{Name: "ordered"}
	counts := Blocks(size, count)
	own := Range{Output, offsets(counts)[rank], counts[rank]}
	s.reduceOrdered(rank, size, counts, own, 0)
	s.spread(rank, size, counts)
	return s
}

// AllreduceTree combines in tree order along a binomial tree to rank 0 and sends
// the result back along it. Ranks combine in Output, which the result overwrites.
func AllreduceTree(rank, size, _, count int) Schedule {
	s := Schedule{}
	s.ascend(rank, size, func(v int) int { return v }, true, count)
	return join("tree", s, BcastBinomial(rank, size, 0, count))
}

// AllreduceFlat combines in tree order: rank 0 is sent all vectors, combines
// them, and sends the result to all. Its two messages one after the other are
// the fewest with which a call can do without a message between every two ranks.
func AllreduceFlat(rank, size, _, count int) Schedule {
	return join("flat", reduceFlat(rank, size, 0, count), bcastFlat(rank, size, 0, count))
}

// reduceFlat is the way to rank 0.
func reduceFlat(rank, size, _, count int) (s Schedule) {
	in, out := Range{Input, 0, count}, Range{Output, 0, count}
	if rank > 0 {
		s.net(send(0, in))
		return s
	}
	at := func(r int) Range {
		if r == 0 {
			return in
		}
		return Range{Scratch, r * count, count}
	}
	var steps []Step
	for r := 1; r < size; r++ {
		steps = append(steps, recv(r, at(r)))
	}
	if size > 1 {
		s.need(size * count)
		s.net(steps...)
	}
	s.tree(size, at, out, Range{Scratch, 0, count})
	return s
}

// bcastFlat is the way back.
func bcastFlat(rank, size, _, count int) (s Schedule) {
	out := Range{Output, 0, count}
	if rank > 0 {
		s.net(recv(0, out))
		return s
	}
	var steps []Step
	for r := 1; r < size; r++ {
		steps = append(steps, send(r, out))
	}
	if size > 1 {
		s.net(steps...)
	}
	return s
}

// AllreduceByCore is AllreduceFlat among the ranks of each core, and doubling
// among the first ranks of these: most messages stay on their core, and all cores
// work at the same time. homes says which core each rank has. Runs of ranks are
// combined in order if cores have runs of ranks.
func AllreduceByCore(homes []int) Algorithm {
	return byLeaders("by-core", homes, reduceFlat, AllreduceDoubling, bcastFlat)
}

// AllreduceDirect combines in tree order: every rank has all vectors sent to it
// and combines them all. It takes one round, and many messages.
func AllreduceDirect(rank, size, _, count int) Schedule {
	s := Schedule{Name: "direct"}
	in := Range{Input, 0, count}
	at := func(r int) Range {
		if r == rank {
			return in
		}
		return Range{Scratch, r * count, count}
	}
	if size > 1 {
		s.need(size * count)
		var steps []Step
		for d := 1; d < size; d++ {
			steps = append(steps, send((rank+d)%size, in), recv((rank-d+size)%size, at((rank-d+size)%size)))
		}
		s.net(steps...)
	}
	s.tree(size, at, Range{Output, 0, count}, Range{Scratch, rank * count, count})
	return s
}

// join is schedules one after the other, with the same scratch memory.
func join(name string, parts ...Schedule) Schedule {
	s := Schedule{Name: name}
	for _, p := range parts {
		s.need(p.Scratch)
		s.Rounds = append(s.Rounds, p.Rounds...)
	}
	return s
}
