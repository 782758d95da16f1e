package schedule

// ReduceScatterRing combines Input of all ranks and leaves every rank its own
// block in Output: partial results go around the ring, in parts of about
// segment elements. Every rank sends the vector once, but for its own block. The
// operation must commute.
func ReduceScatterRing(segment int, apart bool) BlockAlgorithm {
	where := noRoom
	if apart {
		where = ownBlock
	}
	return func(rank, size, _ int, counts []int) Schedule {
		s := Schedule{Name: "ring"}
		s.reduceRing(rank, size, counts, segment, Range{Output, 0, counts[rank]}, 0, where)
		return s
	}
}

// room is what of Output may be received into before it is combined, in calls
// that are Apart.
type room uint8

const (
	noRoom    room = iota
	ownBlock       // what becomes the own block
	allBlocks      // Output holds all blocks
)

// reduceRing leaves the own block, combined, in own. Where Output has no room,
// scratch is used from base on.
func (s *Schedule) reduceRing(rank, size int, counts []int, segment int, own Range, base int, where room) {
	off := offsets(counts)
	if size == 1 {
		s.local(copyStep(own, Range{Input, off[0], counts[0]}))
		return
	}
	most := largest(counts)
	k := segments(most, segment)
	lag := min(pipelineLag, k-1)
	part := (most + k - 1) / k
	// What is received is sent on k rounds later, unless there are but two ranks.
	hold := k + lag + 1
	if size == 2 {
		hold = lag + 1
	}
	total := (size - 1) * k
	if where == noRoom || where == ownBlock && size > 2 {
		s.need(base + hold*part)
	}
	// Phase p sends block rank−p−1 and receives block rank−p−2.
	block := func(buf Buffer, t, shift int) Range {
		r := ((rank-t/k-shift)%size + size) % size
		return Range{buf, off[r], counts[r]}.cut(t%k, k)
	}
	got := func(t int) Range {
		switch {
		case where == allBlocks:
			return block(Output, t, 2)
		case where == ownBlock && t >= total-k:
			return own.cut(t%k, k)
		}
		return Range{Scratch, base + t%hold*part, block(Input, t, 2).Len}
	}
	right, left := (rank+1)%size, (rank-1+size)%size
	s.pipeline(total, lag, func(t int) []Step {
		out := block(Input, t, 1)
		if t >= k {
			out = got(t - k)
		}
		return []Step{send(right, out), recv(left, got(t))}
	}, func(t int) []Step {
		mine := block(Input, t, 2)
		if where == noRoom && t >= total-k {
			return []Step{merge(own.cut(t%k, k), mine, got(t))}
		}
		return []Step{reduce(got(t), mine)}
	})
}

// ReduceScatterPairwise is ReduceScatterRing in which every rank sends its part
// of a block straight to the rank that combines it.
func ReduceScatterPairwise(segment int, apart bool) BlockAlgorithm {
	return func(rank, size, _ int, counts []int) Schedule {
		s := Schedule{Name: "pairwise"}
		off := offsets(counts)
		in := func(r int) Range { return Range{Input, off[r], counts[r]} }
		own, mine := Range{Output, 0, counts[rank]}, in(rank)
		if size == 1 {
			s.local(copyStep(own, mine))
			return s
		}
		most := largest(counts)
		k := segments(most, segment)
		total := (size - 1) * k
		lag := min(pipelineLag, total-1)
		part := (most + k - 1) / k
		if !apart || size > 2 {
			s.need((lag + 1) * part)
		}
		got := func(t int) Range {
			if apart && t < k {
				return own.cut(t, k)
			}
			return Range{Scratch, t % (lag + 1) * part, own.cut(t%k, k).Len}
		}
		s.pipeline(total, lag, func(t int) []Step {
			d := t/k + 1
			to, from := (rank+d)%size, (rank-d+size)%size
			return []Step{send(to, in(to).cut(t%k, k)), recv(from, got(t))}
		}, func(t int) []Step {
			dst := own.cut(t%k, k)
			switch {
			case t >= k:
				return []Step{reduce(dst, got(t))}
			case apart:
				return []Step{reduce(dst, mine.cut(t, k))}
			}
			return []Step{merge(dst, mine.cut(t, k), got(t))}
		})
		return s
	}
}

// ReduceScatterOrdered is ReduceScatterPairwise in tree order: a rank keeps what
// all have of its block and combines when everything is there.
func ReduceScatterOrdered(rank, size, _ int, counts []int) Schedule {
	s := Schedule{Name: "ordered"}
	s.reduceOrdered(rank, size, counts, Range{Output, 0, counts[rank]}, 0)
	return s
}

func (s *Schedule) reduceOrdered(rank, size int, counts []int, own Range, base int) {
	off := offsets(counts)
	in := func(r int) Range { return Range{Input, off[r], counts[r]} }
	n := counts[rank]
	at := func(r int) Range {
		if r == rank {
			return in(rank)
		}
		return Range{Scratch, base + r*n, n}
	}
	if size > 1 {
		s.need(base + size*n)
		s.pipeline(size-1, pipelineLag, func(t int) []Step {
			to, from := (rank+t+1)%size, (rank-t-1+size)%size
			return []Step{send(to, in(to)), recv(from, at(from))}
		}, nil)
	}
	s.tree(size, at, own, Range{Scratch, base + rank*n, n})
}

// tree combines ranges of all ranks in tree order into dst. It uses them as
// scratch memory, and spare instead of those that lie in Input.
func (s *Schedule) tree(size int, at func(r int) Range, dst, spare Range) {
	cur := make([]Range, size)
	for r := range cur {
		cur[r] = at(r)
	}
	for mask := 1; mask < size; mask *= 2 {
		for r := 0; r+mask < size; r += 2 * mask {
			sum := cur[r]
			switch {
			case 2*mask >= size:
				sum = dst
			case sum.Buf == Input:
				sum = spare
			}
			s.local(merge(sum, cur[r], cur[r+mask]))
			cur[r] = sum
		}
	}
	if size == 1 {
		s.local(copyStep(dst, cur[0]))
	}
}

// ReduceScatterHalving halves, in every round, the blocks that a rank and its
// partner are concerned with (Thakur, Rabenseifner and Gropp 2005, section
// 4.3): few rounds. When size is not a power of two, the first ranks pair up
// before and share the result after. The operation must commute.
func ReduceScatterHalving(rank, size, _ int, counts []int) Schedule {
	s := Schedule{Name: "halving"}
	off := offsets(counts)
	total := off[size]
	whole := Range{Input, 0, total}
	own := Range{Output, 0, counts[rank]}
	if size == 1 {
		s.local(copyStep(own, whole))
		return s
	}
	f := newFold(size)
	if !f.core(rank) {
		s.net(send(rank-1, whole))
		s.net(recv(rank-1, own))
		return s
	}
	sum, other := Range{Scratch, 0, total}, Range{Scratch, total, total}
	s.need(2 * total)
	src := whole
	if f.pairs(rank) {
		s.net(recv(rank+1, other))
		s.local(merge(sum, whole, other))
		src = sum
	}
	// Of the ranks of the power of two, v has the blocks from first(v) on.
	first := func(v int) int { return off[f.first(v)] }
	v := f.place(rank)
	lo, hi := 0, f.pow
	for mask := f.pow / 2; mask > 0; mask /= 2 {
		mid := lo + mask
		keep, give := [2]int{lo, mid}, [2]int{mid, hi}
		if v&mask != 0 {
			keep, give = give, keep
		}
		from, n := first(keep[0]), first(keep[1])-first(keep[0])
		s.net(send(f.rank(v^mask), src.part(first(give[0]), first(give[1])-first(give[0]))), recv(f.rank(v^mask), other.part(from, n)))
		s.local(merge(sum.part(from, n), src.part(from, n), other.part(from, n)))
		src = sum
		lo, hi = keep[0], keep[1]
	}
	if f.pairs(rank) {
		s.net(send(rank+1, src.part(off[rank+1], counts[rank+1])))
	}
	s.local(copyStep(own, src.part(off[rank], counts[rank])))
	return s
}

// fold makes a power of two of any number of ranks: the first 2·rest pair up,
// and of each pair the even one goes on.
type fold struct{ pow, rest int }

func newFold(size int) fold {
	f := fold{pow: 1}
	for 2*f.pow <= size {
		f.pow *= 2
	}
	f.rest = size - f.pow
	return f
}

// core reports whether a rank goes on.
func (f fold) core(rank int) bool { return rank >= 2*f.rest || rank%2 == 0 }

// pairs reports whether a rank of the core stands for the next one too.
func (f fold) pairs(rank int) bool { return rank < 2*f.rest }

// place is that of a rank in the core.
func (f fold) place(rank int) int {
	if rank < 2*f.rest {
		return rank / 2
	}
	return rank - f.rest
}

// rank is that of a place in the core.
func (f fold) rank(v int) int {
	if v < f.rest {
		return 2 * v
	}
	return v + f.rest
}

// first is the first rank that a place stands for, also of the place after the
// last.
func (f fold) first(v int) int { return f.rank(v) }
