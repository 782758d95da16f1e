package schedule

// ScanDoubling combines, in Output of every rank, Input of all ranks up to it,
// in order: in round k a rank adds what the 2^k ranks before have combined
// (Hillis and Steele, 1986). Which are combined first depends on the number of
// ranks alone. With exclusive the own Input is left out, and Output of rank 0 is
// not touched.
func ScanDoubling(exclusive bool) Algorithm {
	return func(rank, size, _, count int) Schedule {
		s := Schedule{Name: "doubling"}
		in, out := Range{Input, 0, count}, Range{Output, 0, count}
		sum, other := Range{Scratch, 0, count}, Range{Scratch, count, count}
		s.need(2 * count)
		have := in // of the ranks from some on up to this
		prefix := Range{}
		for d := 1; d < size; d *= 2 {
			var steps []Step
			if rank+d < size {
				steps = append(steps, send(rank+d, have))
			}
			if rank >= d {
				steps = append(steps, recv(rank-d, other))
			}
			s.net(steps...)
			if rank < d {
				continue
			}
			if exclusive {
				if before := (Range{Scratch, 2 * count, count}); prefix == (Range{}) {
					s.need(3 * count)
					s.local(copyStep(before, other))
					prefix = before
				} else {
					s.local(merge(prefix, other, prefix))
					// other is lost if a program's function has combined them, and
					// only needed for those behind.
					if rank+2*d < size {
						s.local(merge(sum, prefix, in))
						have = sum
					}
					continue
				}
			}
			s.local(merge(sum, other, have))
			have = sum
		}
		switch {
		case !exclusive:
			s.local(copyStep(out, have))
		case rank > 0:
			s.local(copyStep(out, prefix))
		}
		return s
	}
}

// ScanChain is ScanDoubling from each rank to the next, in parts of about
// segment elements that follow one another.
func ScanChain(exclusive bool, segment int) Algorithm {
	return func(rank, size, _, count int) Schedule {
		s := Schedule{Name: "chain"}
		in, out := Range{Input, 0, count}, Range{Output, 0, count}
		k := segments(count, segment)
		most := (count + k - 1) / k
		lag := min(pipelineLag, k-1)
		hold := 2*lag + 2
		slot := func(t int) Range { return Range{Scratch, 2 * (t % hold) * most, in.cut(t, k).Len} }
		sum := func(t int) Range { return Range{Scratch, (2*(t%hold) + 1) * most, in.cut(t, k).Len} }
		last := rank == size-1
		switch {
		case rank == 0:
			if !last {
				s.pipeline(k, lag, func(t int) []Step { return []Step{send(1, in.cut(t, k))} }, nil)
			}
			if !exclusive {
				s.local(copyStep(out, in))
			}
			return s
		default:
			s.need(2 * hold * most)
		}
		s.pipeline(k+lag+1, lag, func(t int) (steps []Step) {
			if t < k {
				steps = append(steps, recv(rank-1, slot(t)))
			}
			if t > lag && !last {
				steps = append(steps, send(rank+1, sum(t-lag-1)))
			}
			return steps
		}, func(t int) (steps []Step) {
			if t >= k {
				return nil
			}
			if !last || !exclusive {
				steps = append(steps, merge(sum(t), slot(t), in.cut(t, k)))
			}
			if exclusive {
				return append(steps, copyStep(out.cut(t, k), slot(t)))
			}
			return append(steps, copyStep(out.cut(t, k), sum(t)))
		})
		return s
	}
}
