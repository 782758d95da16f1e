package schedule

// Results that do not depend on the algorithm come from one tree over the
// ranks: of neighbouring runs of 2^k ranks, aligned to that, the lower is
// combined with the upper, whatever of it there is. Algorithms that combine
// like this say "in tree order".

// ReduceBinomial combines Input of all ranks into Output of the root, in tree
// order, along a binomial tree that ends at rank 0, which passes the result on
// when it is not the root. Output of other ranks is not touched.
func ReduceBinomial(rank, size, root, count int) Schedule {
	s := Schedule{Name: "binomial"}
	cur := s.ascend(rank, size, func(v int) int { return v }, rank == 0 && root == 0, count)
	out := Range{Output, 0, count}
	switch {
	case root == 0 || size == 1:
	case rank == 0:
		s.net(send(root, cur))
	case rank == root:
		s.net(recv(0, out))
	}
	return s
}

// ReduceRotated is ReduceBinomial along a tree that ends at the root, for
// operations that commute.
func ReduceRotated(rank, size, root, count int) Schedule {
	s := Schedule{Name: "rotated"}
	s.ascend((rank-root+size)%size, size, func(v int) int { return (v + root) % size }, rank == root, count)
	return s
}

// ascend is the part of v in a binomial tree that ends at v = 0, in Output
// if that may be written. It returns where the result is.
func (s *Schedule) ascend(v, size int, at func(v int) int, inOutput bool, count int) Range {
	in := Range{Input, 0, count}
	sum, other := Range{Scratch, 0, count}, Range{Scratch, count, count}
	if inOutput {
		sum, other = Range{Output, 0, count}, Range{Scratch, 0, count}
	}
	cur := in
	for mask := 1; mask < size; mask *= 2 {
		if v&mask != 0 {
			s.net(send(at(v-mask), cur))
			return cur
		}
		if v+mask < size {
			s.need(other.Off + count)
			s.net(recv(at(v+mask), other))
			s.local(merge(sum, cur, other))
			cur = sum
		}
	}
	if size == 1 {
		s.local(copyStep(Range{Output, 0, count}, in))
	}
	return cur
}

// ReduceChain combines from the last rank (counted from the root) to the root:
// each passes on its own vector combined with what is behind it, in parts of
// about segment elements that follow one another. The operation must commute.
func ReduceChain(segment int) Algorithm {
	return func(rank, size, root, count int) Schedule {
		s := Schedule{Name: "chain"}
		in, out := Range{Input, 0, count}, Range{Output, 0, count}
		v := (rank - root + size) % size
		next, prev := (rank+1)%size, (rank-1+size)%size
		k := segments(count, segment)
		most := (count + k - 1) / k
		switch {
		case size == 1:
			s.local(copyStep(out, in))
		case v == size-1:
			s.pipeline(k, pipelineLag, func(t int) []Step { return []Step{send(prev, in.cut(t, k))} }, nil)
		case v == 0:
			lag := min(pipelineLag, k-1)
			slot := func(t int) Range { return Range{Scratch, t % (lag + 1) * most, in.cut(t, k).Len} }
			s.need((lag + 1) * most)
			s.pipeline(k, lag, func(t int) []Step { return []Step{recv(next, slot(t))} },
				func(t int) []Step { return []Step{merge(out.cut(t, k), in.cut(t, k), slot(t))} })
		default:
			// A part is received in round t, combined lag rounds later, sent in
			// the round after that and gone lag rounds later.
			lag := min(pipelineLag, k-1)
			hold := 2*lag + 2
			slot := func(t int) Range { return Range{Scratch, t % hold * most, in.cut(t, k).Len} }
			s.need(hold * most)
			s.pipeline(k+lag+1, lag, func(t int) (steps []Step) {
				if t < k {
					steps = append(steps, recv(next, slot(t)))
				}
				if t > lag {
					steps = append(steps, send(prev, slot(t-lag-1)))
				}
				return steps
			}, func(t int) []Step {
				if t >= k {
					return nil
				}
				return []Step{reduce(slot(t), in.cut(t, k))}
			})
		}
		return s
	}
}

// ReduceScatterGather combines the blocks of the vector at one rank each, along
// the ring of [ReduceScatterRing], and gathers them at the root (Rabenseifner).
// The operation must commute.
func ReduceScatterGather(segment int) Algorithm {
	return func(rank, size, root, count int) Schedule {
		counts := Blocks(size, count)
		off := offsets(counts)
		own := Range{Output, off[rank], counts[rank]}
		if rank != root {
			own = Range{Scratch, 0, counts[rank]}
		}
		s := Schedule{Name: "scatter-gather"}
		s.need(own.Len)
		s.reduceRing(rank, size, counts, segment, own, s.Scratch, noRoom)
		s.gatherBlocks(rank, size, root, own, counts)
		return s
	}
}

// ReduceScatterTree is ReduceScatterGather in tree order: see
// [ReduceScatterOrdered].
func ReduceScatterTree(rank, size, root, count int) Schedule {
	counts := Blocks(size, count)
	off := offsets(counts)
	own := Range{Output, off[rank], counts[rank]}
	if rank != root {
		own = Range{Scratch, 0, counts[rank]}
	}
	s := Schedule{Name: "ordered-gather"}
	s.need(own.Len)
	s.reduceOrdered(rank, size, counts, own, s.Scratch)
	s.gatherBlocks(rank, size, root, own, counts)
	return s
}

// gatherBlocks sends own to its block of the Output of the root.
func (s *Schedule) gatherBlocks(rank, size, root int, own Range, counts []int) {
	if rank != root {
		s.net(send(root, own))
		return
	}
	off := offsets(counts)
	var steps []Step
	for r := range size {
		if r != root {
			steps = append(steps, recv(r, Range{Output, off[r], counts[r]}))
		}
	}
	if len(steps) > 0 {
		s.net(steps...)
	}
}
