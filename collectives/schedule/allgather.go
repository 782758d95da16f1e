package schedule

// AllgatherBruck brings Input of all ranks to Output of all in as few rounds as
// there can be, doubling what a rank holds (Bruck et al. 1997).
func AllgatherBruck(rank, size, _ int, counts []int) Schedule {
	s := Schedule{Name: "bruck"}
	to := offsets(counts)
	in := Range{Input, 0, counts[rank]}
	if size == 1 {
		s.local(copyStep(Range{Output, 0, in.Len}, in))
		return s
	}
	off := treeOffsets(size, rank, counts) // blocks from the own one upwards
	s.Scratch = off[size]
	span := func(a, b int) Range { return Range{Scratch, off[a], off[b] - off[a]} }
	s.local(copyStep(span(0, 1), in))
	for d := 1; d < size; d *= 2 {
		n := min(d, size-d)
		s.net(send((rank-d+size)%size, span(0, n)), recv((rank+d)%size, span(d, d+n)))
	}
	for u := range size {
		r := (u + rank) % size
		s.local(copyStep(Range{Output, to[r], counts[r]}, span(u, u+1)))
	}
	return s
}

// AllgatherRing brings Input of all ranks to Output of all, each block once
// around the ring.
func AllgatherRing(rank, size, _ int, counts []int) Schedule {
	s := Schedule{Name: "ring"}
	off := offsets(counts)
	block := func(r int) Range {
		r = (r%size + size) % size
		return Range{Output, off[r], counts[r]}
	}
	s.local(copyStep(block(rank), Range{Input, 0, counts[rank]}))
	for k := range size - 1 {
		s.net(send((rank+1)%size, block(rank-k)), recv((rank-1+size)%size, block(rank-k-1)))
	}
	return s
}

// AllgatherDoubling brings Input of all ranks to Output of all: pairs exchange
// all they have, which doubles in every round. size is a power of two.
func AllgatherDoubling(rank, size, _ int, counts []int) Schedule {
	s := Schedule{Name: "doubling"}
	off := offsets(counts)
	span := func(from, to int) Range { return Range{Output, off[from], off[to] - off[from]} }
	s.local(copyStep(span(rank, rank+1), Range{Input, 0, counts[rank]}))
	for mask := 1; mask < size; mask *= 2 {
		mine := rank &^ (mask - 1)
		theirs := mine ^ mask
		s.net(send(rank^mask, span(mine, mine+mask)), recv(rank^mask, span(theirs, theirs+mask)))
	}
	return s
}

// AllgatherPairwise brings Input of all ranks to Output of all: every block
// straight to every rank.
func AllgatherPairwise(rank, size, _ int, counts []int) Schedule {
	s := Schedule{Name: "pairwise"}
	off := offsets(counts)
	in := Range{Input, 0, counts[rank]}
	own := Range{Output, off[rank], counts[rank]}
	s.pipeline(size-1, pipelineLag, func(t int) []Step {
		to, from := (rank+t+1)%size, (rank-t-1+size)%size
		return []Step{send(to, in), recv(from, Range{Output, off[from], counts[from]})}
	}, nil)
	s.local(copyStep(own, in)) // may be the same memory, which has been read by now
	return s
}
