package schedule

// ReduceBinomial combines Input of all ranks into Output of the root, along a
// binomial tree over neighbouring ranks: what is combined is always the whole
// of a run of ranks with the whole of the run behind it, in this order. The
// tree ends at rank 0, which passes the result on when it is not the root.
// Output of other ranks is not touched.
func ReduceBinomial(rank, size, root, count int) Schedule {
	s := Schedule{Name: "binomial"}
	in := Range{Input, 0, count}
	sum, other := Range{Scratch, 0, count}, Range{Scratch, count, count}
	cur := in
	for mask := 1; mask < size; mask *= 2 {
		if rank&mask != 0 {
			s.net(send(rank-mask, cur))
			cur = Range{}
			break
		}
		if rank+mask < size {
			s.Scratch = 2 * count
			s.net(recv(rank+mask, other))
			if cur == in {
				s.local(copyStep(sum, in))
				cur = sum
			}
			s.local(reduce(sum, other))
		}
	}
	out := Range{Output, 0, count}
	switch {
	case rank == 0 && root == 0:
		s.local(copyStep(out, cur))
	case rank == 0:
		s.net(send(root, cur))
	case rank == root:
		s.net(recv(0, out))
	}
	return s
}

// AllreduceDoubling combines Input of all ranks into Output of all by recursive
// doubling (Thakur, Rabenseifner and Gropp 2005, section 4.5). When size is not
// a power of two, the first ranks pair up before and share the result after.
// Runs of neighbouring ranks are combined in order, and by all that combine
// them alike, so that results are bit-equal.
func AllreduceDoubling(rank, size, _, count int) Schedule {
	s := Schedule{Name: "doubling"}
	cur, other := Range{Output, 0, count}, Range{Scratch, 0, count}
	s.local(copyStep(cur, Range{Input, 0, count}))
	if size == 1 {
		return s
	}
	s.Scratch = count
	pow := 1
	for 2*pow <= size {
		pow *= 2
	}
	rest := size - pow
	// Of the first 2*rest ranks, odd ones hand over to the even one before.
	v := rank - rest
	if rank < 2*rest {
		v = rank / 2
		if rank%2 != 0 {
			s.net(send(rank-1, cur))
			s.net(recv(rank-1, cur))
			return s
		}
		s.net(recv(rank+1, other))
		s.local(reduce(cur, other))
	}
	real := func(v int) int {
		if v < rest {
			return 2 * v
		}
		return v + rest
	}
	for mask := 1; mask < pow; mask *= 2 {
		peer := real(v ^ mask)
		s.net(send(peer, cur), recv(peer, other))
		if v&mask == 0 {
			s.local(reduce(cur, other))
		} else {
			s.local(reduce(other, cur))
			cur, other = other, cur
		}
	}
	if cur.Buf != Output {
		s.local(copyStep(other, cur))
		cur = other
	}
	if rank < 2*rest {
		s.net(send(rank+1, cur))
	}
	return s
}

// AllreduceRing combines Input of all ranks into Output of all: the blocks go
// around the ring once to be combined and once more to be spread (Patarasuk and
// Yuan 2009). Every rank sends twice the vector however many there are. A block
// is combined from the rank behind its own around to its own, so the operation
// must commute; each is finished by one rank, so results are bit-equal.
func AllreduceRing(rank, size, _, count int) Schedule {
	s := Schedule{Name: "ring"}
	counts := Blocks(size, count)
	off := offsets(counts)
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	s.local(copyStep(Range{Output, 0, count}, Range{Input, 0, count}))
	if size == 1 {
		return s
	}
	s.Scratch = most
	block := func(r int) Range {
		r = (r%size + size) % size
		return Range{Output, off[r], counts[r]}
	}
	right, left := (rank+1)%size, (rank-1+size)%size
	for k := range size - 1 {
		in := block(rank - k - 2)
		tmp := Range{Scratch, 0, in.Len}
		s.net(send(right, block(rank-k-1)), recv(left, tmp))
		s.local(reduce(in, tmp))
	}
	for k := range size - 1 {
		s.net(send(right, block(rank-k)), recv(left, block(rank-k-1)))
	}
	return s
}
