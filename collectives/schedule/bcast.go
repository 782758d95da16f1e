package schedule

// BarrierDissemination lets no rank leave before all have entered: in round k a
// rank tells the one 2^k ahead and hears from the one 2^k behind (Hensgen,
// Finkel and Manber, 1988). Messages are empty.
func BarrierDissemination(rank, size, root, count int) Schedule {
	return Dissemination(2)(rank, size, root, count)
}

// Dissemination is BarrierDissemination in which a rank tells radix−1 others in
// each round: fewer rounds of more messages.
func Dissemination(radix int) Algorithm {
	return func(rank, size, _, _ int) Schedule {
		s := Schedule{Name: "dissemination"}
		if radix > 2 {
			s.Name = "dissemination" + digits(radix)
		}
		for d := 1; d < size; d *= radix {
			var steps []Step
			for k := 1; k < radix && k*d < size; k++ {
				steps = append(steps, send((rank+k*d)%size, Range{}), recv((rank-k*d+size)%size, Range{}))
			}
			s.net(steps...)
		}
		return s
	}
}

// BcastBinomial sends Output of the root to Output of all along a binomial
// tree: the ranks that have it double in every round.
func BcastBinomial(rank, size, root, count int) Schedule {
	return BcastKnomial(2)(rank, size, root, count)
}

// BcastKnomial is BcastBinomial with a tree in which the ranks that have the
// vector become radix times as many in every round.
func BcastKnomial(radix int) Algorithm {
	return func(rank, size, root, count int) Schedule {
		s := Schedule{Name: "binomial"}
		if radix > 2 {
			s.Name = "knomial" + digits(radix)
		}
		all := Range{Output, 0, count}
		v := (rank - root + size) % size
		mask := 1 // v and the ranks after it up to v+mask hear from v
		for ; mask < size && v/mask%radix == 0; mask *= radix {
		}
		if v != 0 {
			s.net(recv((v-v/mask%radix*mask+root)%size, all))
		}
		for mask /= radix; mask > 0; mask /= radix {
			var steps []Step
			for k := 1; k < radix && v+k*mask < size; k++ {
				steps = append(steps, send((v+k*mask+root)%size, all))
			}
			if len(steps) > 0 {
				s.net(steps...)
			}
		}
		return s
	}
}

// BcastChain sends the vector from each rank to the next, in parts of about
// segment elements that follow one another: every link carries it once, and all
// at the same time.
func BcastChain(segment int) Algorithm {
	return func(rank, size, root, count int) Schedule {
		s := Schedule{Name: "chain"}
		all := Range{Output, 0, count}
		v := (rank - root + size) % size
		next, prev := (rank+1)%size, (rank-1+size)%size
		k := segments(count, segment)
		switch {
		case size == 1:
		case v == 0:
			s.pipeline(k, pipelineLag, func(t int) []Step { return []Step{send(next, all.cut(t, k))} }, nil)
		case v == size-1:
			s.pipeline(k, pipelineLag, func(t int) []Step { return []Step{recv(prev, all.cut(t, k))} }, nil)
		default:
			// A part is there for certain, and passed on, when the round after
			// the lag begins.
			lag := min(pipelineLag, k-1)
			s.pipeline(k+lag+1, lag, func(t int) (steps []Step) {
				if t < k {
					steps = append(steps, recv(prev, all.cut(t, k)))
				}
				if t > lag {
					steps = append(steps, send(next, all.cut(t-lag-1, k)))
				}
				return steps
			}, nil)
		}
		return s
	}
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
	mask := 1
	for ; mask < size && v&mask == 0; mask *= 2 {
	}
	if v != 0 {
		s.net(recv((v-mask+root)%size, span(v, v+mask)))
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

// digits writes a small number.
func digits(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return digits(n/10) + digits(n%10)
}
