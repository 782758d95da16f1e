package schedule

// Transfer is what a rank sends and receives in an Alltoall: elements for and
// from each rank, which lie in rank order. What one rank has for another is
// what that one receives from it.
type Transfer struct {
	Send, Recv []int
	InPlace    bool // Input is the same memory as Output
}

// AlltoallPairwise sends block r of Input of every rank to rank r, a pair of
// blocks at a time, of which the next is under way already.
func AlltoallPairwise(rank, size int, x Transfer) Schedule {
	s := Schedule{Name: "pairwise"}
	return s.exchange(rank, size, pipelineLag, x)
}

// AlltoallLinear sends all blocks at once.
func AlltoallLinear(rank, size int, x Transfer) Schedule {
	s := Schedule{Name: "linear"}
	return s.exchange(rank, size, size, x)
}

func (s Schedule) exchange(rank, size, lag int, x Transfer) Schedule {
	from, to := offsets(x.Send), offsets(x.Recv)
	src := Input
	if x.InPlace {
		src = Scratch
		s.need(from[size])
		s.local(copyStep(Range{Scratch, 0, from[size]}, Range{Input, 0, from[size]}))
	}
	s.pipeline(size-1, lag, func(t int) []Step {
		a, b := (rank+t+1)%size, (rank-t-1+size)%size
		return []Step{send(a, Range{src, from[a], x.Send[a]}), recv(b, Range{Output, to[b], x.Recv[b]})}
	}, nil)
	s.local(copyStep(Range{Output, to[rank], x.Recv[rank]}, Range{src, from[rank], x.Send[rank]}))
	return s
}

// PairAlgorithm is the part of one rank in an exchange in which n(from, to) is
// the length of the block that rank from has for rank to. Input and Output are
// apart.
type PairAlgorithm func(rank, size int, n func(from, to int) int) Schedule

// transferOf is what a rank sends and receives.
func transferOf(rank, size int, n func(from, to int) int) Transfer {
	var x Transfer
	for r := range size {
		x.Send, x.Recv = append(x.Send, n(rank, r)), append(x.Recv, n(r, rank))
	}
	return x
}

// PairsPairwise is AlltoallPairwise.
func PairsPairwise(rank, size int, n func(from, to int) int) Schedule {
	return AlltoallPairwise(rank, size, transferOf(rank, size, n))
}

// AlltoallBruck is PairsBruck with blocks of count elements. Input and Output
// may be the same memory.
func AlltoallBruck(rank, size, _, count int) Schedule {
	return PairsBruck(rank, size, func(_, _ int) int { return count })
}

// PairsBruck exchanges blocks in log2(size) rounds: a block that has to travel d
// ranks goes 2^k of them in round k for every bit k of d (Bruck et al. 1997). It
// sends fewer messages, and every block several times.
func PairsBruck(rank, size int, n func(from, to int) int) Schedule {
	s := Schedule{Name: "bruck"}
	x := transferOf(rank, size, n)
	from, to := offsets(x.Send), offsets(x.Recv)
	end := 1
	for end < size {
		end *= 2
	}
	// Scratch has the blocks by how far they have to go, then what is sent and
	// received in a round. At the round of a bit, a block has gone the lower ones.
	held := func(d, bit int) int {
		r := (rank - d&(bit-1) + size) % size
		return n(r, (r+d)%size)
	}
	room := make([]int, size)
	for d := range room {
		for bit := 1; bit <= end; bit *= 2 {
			room[d] = max(room[d], held(d, bit))
		}
	}
	off := offsets(room)
	block := func(d, bit int) Range { return Range{Scratch, off[d], held(d, bit)} }
	s.need(off[size])
	for d := range size {
		r := (rank + d) % size
		s.local(copyStep(block(d, 1), Range{Input, from[r], x.Send[r]}))
	}
	for bit := 1; bit < size; bit *= 2 {
		var packed, unpacked []Step
		out, in := Range{Buf: Scratch, Off: off[size]}, Range{Buf: Scratch}
		for d := bit; d < size; d++ {
			if d&bit != 0 {
				k := held(d, bit)
				packed = append(packed, copyStep(out.part(out.Len, k), block(d, bit)))
				out.Len += k
			}
		}
		in.Off = out.Off + out.Len
		for d := bit; d < size; d++ {
			if d&bit != 0 {
				k := held(d, 2*bit)
				unpacked = append(unpacked, copyStep(block(d, 2*bit), in.part(in.Len, k)))
				in.Len += k
			}
		}
		s.need(in.Off + in.Len)
		s.local(packed...)
		s.net(send((rank+bit)%size, out), recv((rank-bit+size)%size, in))
		s.local(unpacked...)
	}
	// What came d ranks far came from rank−d.
	for d := range size {
		r := (rank - d + size) % size
		s.local(copyStep(Range{Output, to[r], x.Recv[r]}, block(d, end)))
	}
	return s
}
