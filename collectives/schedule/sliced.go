package schedule

// AllreduceSliced combines within every host so that each rank there has the
// result of a slice of the vector, then each slice between the hosts, and
// gathers the slices within the host. All hosts have equally many ranks. The
// operation must commute.
func AllreduceSliced(hosts []int, segment int, between Algorithm) Algorithm {
	return func(rank, size, _, count int) Schedule {
		l := newLevels(hosts, rank, 0)
		slices := Blocks(len(l.mine), count)
		all, in := Range{Output, 0, count}, Range{Input, 0, count}
		own := all.part(offsets(slices)[l.place], slices[l.place])
		peers := l.slices()[l.place]
		return join("sliced",
			ReduceScatterPairwise(segment, false)(l.place, len(l.mine), 0, slices).onto(l.mine, in, own),
			between(l.host, len(peers), 0, own.Len).onto(peers, own, own),
			AllgatherPairwise(l.place, len(l.mine), 0, slices).onto(l.mine, own, all))
	}
}

// AllgatherSliced has ranks of equal place in their hosts exchange their blocks
// between the hosts, and then the ranks of every host what they have got:
// between hosts as little is sent as there can be, by all ranks at once. All
// hosts have equally many ranks. between and within are the algorithms of the
// two exchanges.
func AllgatherSliced(hosts []int, between, within BlockAlgorithm) BlockAlgorithm {
	return func(rank, size, _ int, counts []int) Schedule {
		l := newLevels(hosts, rank, 0)
		peers := l.slices()
		x := layOut(peers, counts)
		all := Range{Output, 0, x.total()}
		whole, base := all, 0
		if !x.straight() {
			whole.Buf, base = Scratch, all.Len
		}
		own := x.group(whole, l.place)
		s := join("sliced",
			between(l.host, len(l.members), 0, pick(counts, peers[l.place])).move(peers[l.place], Range{Input, 0, counts[rank]}, own, base),
			within(l.place, len(l.mine), 0, x.sizes).move(l.mine, own, whole, base))
		if whole != all {
			s.local(x.unpack(all, whole)...)
		}
		return s
	}
}

// ReduceScatterSliced is AllgatherSliced backwards: the ranks of a host combine,
// each the blocks of those that have its place in their hosts, and these combine
// theirs between the hosts. The operation must commute.
func ReduceScatterSliced(hosts []int, between, within BlockAlgorithm) BlockAlgorithm {
	return func(rank, size, _ int, counts []int) Schedule {
		l := newLevels(hosts, rank, 0)
		peers := l.slices()
		x := layOut(peers, counts)
		s := Schedule{Name: "sliced"}
		whole := Range{Input, 0, x.total()}
		own := Range{Scratch, 0, x.sizes[l.place]} // Input is not written
		base := own.Len
		if !x.straight() {
			packed := Range{Scratch, 0, whole.Len}
			s.local(x.pack(packed, whole)...)
			whole, own, base = packed, x.group(packed, l.place), packed.Len
		}
		return join(s.Name, s,
			within(l.place, len(l.mine), 0, x.sizes).move(l.mine, whole, own, base),
			between(l.host, len(l.members), 0, pick(counts, peers[l.place])).move(peers[l.place], own, Range{Output, 0, counts[rank]}, base))
	}
}

// AlltoallSliced exchanges blocks of count elements in two steps: within every
// host, so that each rank has what the host's ranks send to those of its own
// place, and then between these. Every block is sent twice, and copied up to
// three times, in far fewer messages. All hosts have equally many ranks.
func AlltoallSliced(hosts []int, between, within PairAlgorithm) Algorithm {
	return func(rank, size, _, count int) Schedule {
		l := newLevels(hosts, rank, 0)
		peers := l.slices()
		h, m, n := len(l.members), len(l.mine), size*count
		each := make([]int, size)
		for r := range each {
			each[r] = count
		}
		toPlaces, fromHosts := layOut(peers, each), layOut(l.members, each)
		s := Schedule{Name: "sliced"}
		in, out, base := Range{Input, 0, n}, Range{Output, 0, n}, 2*n
		first, second := Range{Scratch, 0, n}, Range{Scratch, n, n}
		src, dst := in, out
		if !toPlaces.straight() {
			s.local(toPlaces.pack(first, in)...)
			src = first
		}
		s = join(s.Name, s, within(l.place, m, func(_, _ int) int { return h * count }).move(l.mine, src, second, base))
		// From every rank of the host there is a block for every host, and to
		// every host goes one of every rank.
		var turned copies
		for to := range h {
			for from := range m {
				turned.add(first.part((to*m+from)*count, count), second.part((from*h+to)*count, count))
			}
		}
		s.local(turned...)
		if !fromHosts.straight() {
			dst = second
		}
		s = join(s.Name, s, between(l.host, h, func(_, _ int) int { return m * count }).move(peers[l.place], first, dst, base))
		if dst != out {
			s.local(fromHosts.unpack(out, second)...)
		}
		return s
	}
}
