package schedule

// The algorithms of several levels leave what is done among the hosts' leaders,
// or among the ranks of a host, to these, which have few rounds for short
// vectors and few bytes for long ones.

// number is an integer, also where formulas have it.
type number interface{ int | float64 }

// Among so many ranks every block straight to its rank takes no more rounds than
// anything else.
const mostPairs = 3

// doubles reports whether n elements are exchanged by doubling, or halving, which
// sends no more than others and takes the fewest rounds, but combines nothing
// while messages are under way: with blocks of up to an eighth of a segment.
func doubles[N number](p, n, segment N) bool { return isPower(int(p)) && 8*n <= segment*p }

// brief reports whether n elements are exchanged in few rounds where that takes
// more bytes or copies: with blocks of up to a 64th of a segment, some 16 KiB.
func brief[N number](p, n, segment N) bool { return p > mostPairs && 64*n <= segment*p }

// inner is an allreduce.
func inner(segment int) Algorithm {
	return func(rank, size, root, count int) Schedule {
		if count <= segment {
			return AllreduceDoubling(rank, size, root, count)
		}
		return AllreduceRing(segment, false)(rank, size, root, count)
	}
}

// inner is what that of n elements costs p leaders.
func (e *estimate) inner(p, n float64) float64 {
	if n <= e.segment {
		return log2(int(p)) * (e.a + n*(e.b+e.g))
	}
	k := e.parts(n / p)
	return 2*(p-1)*k*e.a + (p-1)/p*n*(2*e.b+e.g/k)
}

func (e *estimate) innerWork(p, n float64) work {
	if n <= e.segment {
		return doubled(p, n)
	}
	k := e.parts(n / p)
	return scattered(p, n, k).plus(gathered(p, n, k))
}

// gathering is an allgather.
func gathering(segment int) BlockAlgorithm {
	return func(rank, size, root int, counts []int) Schedule {
		n := offsets(counts)[size]
		switch {
		case doubles(size, n, segment):
			return AllgatherDoubling(rank, size, root, counts)
		case brief(size, n, segment):
			return AllgatherBruck(rank, size, root, counts)
		}
		return AllgatherPairwise(rank, size, root, counts)
	}
}

// gathering is what that of n elements costs p ranks.
func (e *estimate) gathering(p, n, a, b float64) float64 {
	moved := (p - 1) / p * n * b
	switch {
	case doubles(p, n, e.segment):
		return log2(int(p))*a + moved
	case brief(p, n, e.segment):
		return log2(int(p))*a + moved + 2*n*e.g
	}
	return (p-1)*a + moved
}

func (e *estimate) gatheringWork(p, n float64) work {
	switch {
	case doubles(p, n, e.segment):
		return work{p * log2(int(p)), (p - 1) * n, n}
	case brief(p, n, e.segment):
		return work{p * log2(int(p)), (p - 1) * n, (p + 1) * n}
	}
	return gathered(p, n, 1).plus(work{touched: n})
}

// scattering is a reduce-scatter.
func scattering(segment int) BlockAlgorithm {
	return func(rank, size, root int, counts []int) Schedule {
		if n := offsets(counts)[size]; doubles(size, n, segment) || brief(size, n, segment) {
			return ReduceScatterHalving(rank, size, root, counts)
		}
		return ReduceScatterPairwise(segment, false)(rank, size, root, counts)
	}
}

// scattering is what that of n elements costs p ranks, of which one gets most.
func (e *estimate) scattering(p, n, most, a, b float64) float64 {
	part := (p - 1) / p
	if doubles(p, n, e.segment) || brief(p, n, e.segment) {
		fold := unless(isPower(int(p)), 1)
		return (log2(int(p))+fold)*a + (part+fold)*n*(b+e.g)
	}
	k := e.parts(most)
	return (p-1)*k*a + part*n*(b+e.g/k)
}

// scatteringWork has folded as halvedScatter has it.
func (e *estimate) scatteringWork(p, n, most, folded float64) work {
	if doubles(p, n, e.segment) || brief(p, n, e.segment) {
		return halvedScatter(p, n, folded)
	}
	return scattered(p, n, e.parts(most))
}

// evenWork is scatteringWork with blocks of one length.
func (e *estimate) evenWork(p, n float64) work {
	return e.scatteringWork(p, n, n/p, float64(newFold(int(p)).rest)*n/p)
}

// exchanging is an alltoall, in which no block is longer than the longest that a
// rank has for itself.
func exchanging(segment int) PairAlgorithm {
	return func(rank, size int, n func(from, to int) int) Schedule {
		most := 0
		for r := range size {
			most = max(most, n(r, r))
		}
		if brief(size, most*size, segment) {
			return PairsBruck(rank, size, n)
		}
		return PairsPairwise(rank, size, n)
	}
}

// exchanging is what that of n elements each costs p ranks.
func (e *estimate) exchanging(p, n, a, b float64) float64 {
	if brief(p, n, e.segment) {
		return log2(int(p))*(a+n/2*(b+2*e.g)) + 2*n*e.g
	}
	return (p-1)*a + (p-1)/p*n*b
}

func (e *estimate) exchangingWork(p, n float64) work {
	if brief(p, n, e.segment) {
		return bruckWork(p, n)
	}
	return gathered(p, n, 1).plus(work{touched: n})
}
