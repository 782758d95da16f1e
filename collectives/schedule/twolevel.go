package schedule

// AllreduceTwoLevel combines within every host first, then the hosts' results,
// and sends the result to the ranks of a host last: between hosts, every host
// sends as if it had one rank. hosts says where each rank is; between is the
// algorithm among the hosts' first ranks. Of zero elements it is a barrier. Runs
// of ranks are combined in order if hosts have runs of ranks.
func AllreduceTwoLevel(hosts []int, between Algorithm) Algorithm {
	return byLeaders("two-level", hosts, ReduceBinomial, between, BcastBinomial)
}

// byLeaders combines within every group at its first rank, then between these,
// and sends the result to the ranks of the group.
func byLeaders(name string, groups []int, reduce, between, bcast Algorithm) Algorithm {
	return func(rank, size, _, count int) Schedule {
		l := newLevels(groups, rank, 0)
		all, in := Range{Output, 0, count}, Range{Input, 0, count}
		s := reduce(l.place, len(l.mine), 0, count).onto(l.mine, in, all)
		if l.place == 0 {
			s = join("", s, between(l.host, len(l.leaders), 0, count).onto(l.leaders, all, all))
		}
		return join(name, s, bcast(l.place, len(l.mine), 0, count).onto(l.mine, all, all))
	}
}

// BcastTwoLevel sends the vector to one rank of every host, by the algorithm
// between, and from there to all others of the host.
func BcastTwoLevel(hosts []int, between Algorithm) Algorithm {
	return func(rank, size, root, count int) Schedule {
		l := newLevels(hosts, rank, root)
		all := Range{Output, 0, count}
		s := Schedule{}
		if l.place == 0 {
			s = between(l.host, len(l.leaders), 0, count).onto(l.leaders, all, all)
		}
		return join("two-level", s, BcastBinomial(l.place, len(l.mine), 0, count).onto(l.mine, all, all))
	}
}

// ReduceTwoLevel is BcastTwoLevel backwards. The operation must commute.
func ReduceTwoLevel(hosts []int, between Algorithm) Algorithm {
	return func(rank, size, root, count int) Schedule {
		l := newLevels(hosts, rank, root)
		in, all := Range{Input, 0, count}, Range{Output, 0, count}
		if rank != root {
			all = Range{Scratch, 0, count}
		}
		s := ReduceBinomial(l.place, len(l.mine), 0, count).over(l.mine, in, all)
		if l.place == 0 {
			s = join("", s, between(l.host, len(l.leaders), 0, count).over(l.leaders, all, all))
		}
		s.Name = "two-level"
		return s
	}
}

// AllgatherTwoLevel has every host's ranks give their blocks to its leader, the
// leaders exchange these, all of a host in one piece, by the algorithm between,
// and pass the whole on: between hosts, every host sends as if it had one rank.
// Where ranks of a host are not neighbours the leaders sort the blocks in
// scratch memory.
func AllgatherTwoLevel(hosts []int, between BlockAlgorithm) BlockAlgorithm {
	return func(rank, size, _ int, counts []int) Schedule {
		l := newLevels(hosts, rank, 0)
		x := layOut(l.members, counts)
		all := Range{Output, 0, x.total()}
		whole, base := all, 0
		if l.place == 0 && !x.straight() {
			whole.Buf, base = Scratch, all.Len
		}
		own := x.group(whole, l.host)
		s := GatherBinomial(l.place, len(l.mine), 0, pick(counts, l.mine)).move(l.mine, Range{Input, 0, counts[rank]}, own, base)
		if l.place == 0 {
			s = join("", s, between(l.host, len(l.leaders), 0, x.sizes).move(l.leaders, own, whole, base))
		}
		if whole != all {
			s.local(x.unpack(all, whole)...)
		}
		return join("two-level", s, BcastBinomial(l.place, len(l.mine), 0, all.Len).onto(l.mine, all, all))
	}
}

// ReduceScatterTwoLevel combines within every host at its leader, then between
// the leaders, by the algorithm between, so that each has the blocks of its
// host's ranks, which it sends to them. The operation must commute.
func ReduceScatterTwoLevel(hosts []int, between BlockAlgorithm) BlockAlgorithm {
	return func(rank, size, _ int, counts []int) Schedule {
		l := newLevels(hosts, rank, 0)
		x := layOut(l.members, counts)
		n := x.total()
		sum, base := Range{Scratch, 0, n}, 0
		if l.place == 0 {
			base = n
		}
		s := ReduceBinomial(l.place, len(l.mine), 0, n).move(l.mine, Range{Input, 0, n}, sum, base)
		if l.place == 0 && !x.straight() {
			packed := Range{Scratch, n, n}
			s.local(x.pack(packed, sum)...)
			sum, base = packed, 2*n
		}
		own := x.group(sum, l.host)
		if l.place == 0 {
			s = join("", s, between(l.host, len(l.leaders), 0, x.sizes).move(l.leaders, sum, own, base))
		}
		out := Range{Output, 0, counts[rank]}
		return join("two-level", s, ScatterBinomial(l.place, len(l.mine), 0, pick(counts, l.mine)).move(l.mine, own, out, base))
	}
}

// AlltoallTwoLevel exchanges blocks of count elements by way of the hosts'
// leaders: every rank gives its leader all that it sends, the leaders exchange
// one message for each pair of hosts, by the algorithm between, and give their
// ranks what is for them. Far fewer messages cross between hosts, for which the
// leaders send, receive and copy what all ranks of their hosts would.
func AlltoallTwoLevel(hosts []int, between PairAlgorithm) Algorithm {
	return func(rank, size, _, count int) Schedule {
		l := newLevels(hosts, rank, 0)
		n, m := size*count, len(l.mine)
		each := make([]int, m)
		for i := range each {
			each[i] = n
		}
		// A leader has a row of blocks for every rank of its host, by the ranks
		// that they are for or come from; and what it sends and receives, by hosts.
		rows, base := Range{Scratch, 0, m * n}, 0
		if l.place == 0 {
			base = 3 * rows.Len
		}
		out, in := rows.part(rows.Len, rows.Len), rows.part(2*rows.Len, rows.Len)
		s := GatherBinomial(l.place, m, 0, each).move(l.mine, Range{Input, 0, n}, rows, base)
		if l.place == 0 {
			row := func(i, r int) Range { return rows.part(i*n+r*count, count) }
			var packed, unpacked copies
			at := 0
			for _, ranks := range l.members {
				for i := range m {
					for _, r := range ranks {
						packed.add(out.part(at, count), row(i, r))
						at += count
					}
				}
			}
			at = 0
			for _, ranks := range l.members {
				for _, r := range ranks {
					for i := range m {
						unpacked.add(row(i, r), in.part(at, count))
						at += count
					}
				}
			}
			s.local(packed...)
			s = join("", s, between(l.host, len(l.leaders), func(from, to int) int {
				return len(l.members[from]) * len(l.members[to]) * count
			}).move(l.leaders, out, in, base))
			s.local(unpacked...)
		}
		return join("two-level", s, ScatterBinomial(l.place, m, 0, each).move(l.mine, rows, Range{Output, 0, n}, base))
	}
}
