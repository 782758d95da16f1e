package schedule

// BarrierDissemination lets no rank leave before all have entered: in round k a
// rank tells the one 2^k ahead and hears from the one 2^k behind (Hensgen,
// Finkel and Manber, 1988). Messages are empty.
func BarrierDissemination(rank, size, _, _ int) Schedule {
	s := Schedule{Name: "dissemination"}
	for d := 1; d < size; d *= 2 {
		s.net(send((rank+d)%size, Range{}), recv((rank-d+size)%size, Range{}))
	}
	return s
}

// BcastBinomial sends Output of the root to Output of all along a binomial
// tree: the ranks that have it double in every round.
func BcastBinomial(rank, size, root, count int) Schedule {
	s := Schedule{Name: "binomial"}
	all := Range{Output, 0, count}
	v := (rank - root + size) % size
	top := 1
	for top < size {
		top *= 2
	}
	mask := 1
	for ; mask < top; mask *= 2 {
		if v&mask != 0 {
			s.net(recv((v-mask+root)%size, all))
			break
		}
	}
	for mask /= 2; mask > 0; mask /= 2 {
		if v+mask < size {
			s.net(send((v+mask+root)%size, all))
		}
	}
	return s
}

// BcastScatterAllgather scatters the vector along a binomial tree and gathers
// the blocks around a ring, so that every rank sends and receives about twice
// the vector however many there are (van de Geijn; Thakur, Rabenseifner and
// Gropp 2005, section 4.2).
func BcastScatterAllgather(rank, size, root, count int) Schedule {
	s := Schedule{Name: "scatter-allgather"}
	v := (rank - root + size) % size
	off := offsets(Blocks(size, count)) // of blocks by v
	span := func(from, to int) Range { return Range{Output, off[from], off[min(to, size)] - off[from]} }
	top := 1
	for top < size {
		top *= 2
	}
	mask := 1
	for ; mask < top; mask *= 2 {
		if v&mask != 0 {
			s.net(recv((v-mask+root)%size, span(v, v+mask)))
			break
		}
	}
	for mask /= 2; mask > 0; mask /= 2 {
		if v+mask < size {
			s.net(send((v+mask+root)%size, span(v+mask, v+2*mask)))
		}
	}
	right, left := (rank+1)%size, (rank-1+size)%size
	for k := range size - 1 {
		out, in := (v-k+size)%size, (v-k-1+size)%size
		var steps []Step
		// The root has every block already, its left neighbour need not send.
		if v != size-1 {
			steps = append(steps, send(right, span(out, out+1)))
		}
		if v != 0 {
			steps = append(steps, recv(left, span(in, in+1)))
		}
		s.net(steps...)
	}
	return s
}
