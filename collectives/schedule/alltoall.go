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

// AlltoallBruck exchanges blocks of count elements in log2(size) rounds: a
// block that has to travel d ranks goes 2^k of them in round k for every bit k
// of d (Bruck et al. 1997). It sends fewer messages, and every block several
// times.
func AlltoallBruck(rank, size, _, count int) Schedule {
	s := Schedule{Name: "bruck"}
	block := func(buf Buffer, r int) Range { return Range{buf, r * count, count} }
	// Scratch has the blocks by how far they have to go, then what is sent and
	// received in a round.
	s.need(size * count)
	for d := range size {
		s.local(copyStep(block(Scratch, d), block(Input, (rank+d)%size)))
	}
	for bit := 1; bit < size; bit *= 2 {
		var moving []int
		for d := bit; d < size; d++ {
			if d&bit != 0 {
				moving = append(moving, d)
			}
		}
		n := len(moving) * count
		out, in := Range{Scratch, size * count, n}, Range{Scratch, size*count + n, n}
		s.need(size*count + 2*n)
		for i, d := range moving {
			s.local(copyStep(out.part(i*count, count), block(Scratch, d)))
		}
		s.net(send((rank+bit)%size, out), recv((rank-bit+size)%size, in))
		for i, d := range moving {
			s.local(copyStep(block(Scratch, d), in.part(i*count, count)))
		}
	}
	// What came d ranks far came from rank−d.
	for d := range size {
		s.local(copyStep(block(Output, (rank-d+size)%size), block(Scratch, d)))
	}
	return s
}
