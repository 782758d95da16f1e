package schedule

// candidates are the algorithms of a verb; of those that cost the same the
// first is taken. Their places in the list are compared between ranks.
func candidates(v Verb) []candidate { return catalogue[v] }

// The formulas say what Measure counts: latency of rounds, the wire, and what
// is combined; those of pipelines leave out what overlaps.
var catalogue = map[Verb][]candidate{
	Barrier: {
		// Partners wait for one another: on few cores that is quicker than the
		// ring of dissemination.
		{name: "doubling", cost: func(e *estimate) float64 { return e.exchanges(0, 0) },
			work:  func(e *estimate) work { return doubled(e.p, 0) },
			build: vector(AllreduceDoubling)},
		{name: "dissemination", cost: func(e *estimate) float64 { return e.log * e.a },
			work:  func(e *estimate) work { return work{messages: e.p * steps(e.p, 2)} },
			build: vector(BarrierDissemination)},
		{name: "dissemination4", cost: func(e *estimate) float64 { return 1.5*e.log*e.a + 1 },
			work:  func(e *estimate) work { return work{messages: e.p * steps(e.p, 4)} },
			build: vector(Dissemination(4))},
		{name: "tree", cost: func(e *estimate) float64 { return 2 * e.log * e.a },
			work:  func(e *estimate) work { return along(e.p, 0, 2) },
			build: vector(AllreduceTree)},
		byCore(nil),
		flat(nil),
		{name: "two-level", fits: several, cost: func(e *estimate) float64 {
			return 2*log2(int(e.mine))*e.la + log2(int(e.hosts))*e.a
		}, work: func(e *estimate) work { return work{messages: 2*(e.p-e.hosts) + e.hosts*steps(e.hosts, 2)} },
			build: func(c *Call, rank, _ int) Schedule {
				return AllreduceTwoLevel(c.Hosts, BarrierDissemination)(rank, c.Size, 0, 0)
			}},
	},
	Bcast: {
		{name: "binomial", cost: func(e *estimate) float64 { return e.log * (e.a + e.n*e.b) },
			work:  func(e *estimate) work { return along(e.p, e.n, 1) },
			build: vector(BcastBinomial)},
		{name: "knomial4", cost: func(e *estimate) float64 { return 1.5*e.log*(e.a+e.n*e.b) + 1 },
			work:  func(e *estimate) work { return along(e.p, e.n, 1) },
			build: vector(BcastKnomial(4))},
		{name: "scatter-allgather", cost: func(e *estimate) float64 {
			return (e.log+e.p-1)*e.a + 2*e.part()*e.n*e.b
		}, work: func(e *estimate) work { return branches(e.p, e.n).plus(gathered(e.p, e.n, 1).times(e.part())) },
			build: vector(BcastScatterAllgather)},
		{name: "chain", cost: func(e *estimate) float64 {
			k := e.parts(e.n)
			return (k + e.p - 2) * (e.a + e.n/k*e.b)
		}, work: func(e *estimate) work { return along(e.p, e.n, e.parts(e.n)) }, build: parted(BcastChain)},
		{name: "two-level", fits: several, cost: func(e *estimate) float64 {
			return log2(int(e.hosts))*(e.a+e.n*e.b) + log2(int(e.mine))*(e.la+e.n*e.lb)
		}, work: func(e *estimate) work { return along(e.p, e.n, 1) }, build: func(c *Call, rank, _ int) Schedule {
			return BcastTwoLevel(c.Hosts, BcastBinomial)(rank, c.Size, c.Root, c.Count)
		}},
	},
	ReduceTo: {
		{name: "rotated", cost: func(e *estimate) float64 { return e.log * (e.a + e.n*(e.b+e.g)) },
			work:  func(e *estimate) work { return merging(along(e.p, e.n, 1)) },
			build: vector(ReduceRotated)},
		{name: "binomial", tree: always, cost: func(e *estimate) float64 {
			return e.log*(e.a+e.n*(e.b+e.g)) + e.root*(e.a+e.n*e.b)
		}, work: func(e *estimate) work { return merging(along(e.p, e.n, 1)).plus(work{e.root, e.root * e.n, 0}) },
			build: vector(ReduceBinomial)},
		{name: "chain", cost: func(e *estimate) float64 {
			k := e.parts(e.n)
			return (k+e.p-2)*(e.a+e.n/k*e.b) + (e.p-1)*e.n/k*e.g
		}, work: func(e *estimate) work { return merging(along(e.p, e.n, e.parts(e.n))) }, build: parted(ReduceChain)},
		{name: "scatter-gather", cost: func(e *estimate) float64 {
			k := e.parts(e.n / e.p)
			return (e.p-1)*(1+k)*e.a + e.part()*e.n*(2*e.b+e.g/k)
		}, work: func(e *estimate) work { return scattered(e.p, e.n, e.parts(e.n/e.p)).plus(along(e.p, e.n/e.p, 1)) },
			build: parted(ReduceScatterGather)},
		{name: "ordered-gather", tree: always, cost: func(e *estimate) float64 {
			return 2*(e.p-1)*e.a + e.part()*e.n*(2*e.b+e.g)
		}, work: func(e *estimate) work { return scattered(e.p, e.n, 1).plus(along(e.p, e.n/e.p, 1)) }, build: vector(ReduceScatterTree)},
		{name: "two-level", fits: several, cost: func(e *estimate) float64 {
			return log2(int(e.hosts))*(e.a+e.n*(e.b+e.g)) + log2(int(e.mine))*(e.la+e.n*(e.lb+e.g))
		}, work: func(e *estimate) work { return merging(along(e.p, e.n, 1)) }, build: func(c *Call, rank, _ int) Schedule {
			return ReduceTwoLevel(c.Hosts, ReduceRotated)(rank, c.Size, c.Root, c.Count)
		}},
	},
	Allreduce: {
		{name: "doubling", tree: power, cost: func(e *estimate) float64 { return e.exchanges(e.n, e.g) },
			work: func(e *estimate) work { return doubled(e.p, e.n) }, build: vector(AllreduceDoubling)},
		{name: "rabenseifner", tree: power, cost: (*estimate).halving, work: func(e *estimate) work { return halved(e.p, e.n) }, build: func(c *Call, rank, _ int) Schedule {
			return AllreduceHalving(c.Apart, c.Keeps)(rank, c.Size, 0, c.Count)
		}},
		{name: "ring", cost: func(e *estimate) float64 {
			k := e.parts(e.n / e.p)
			return 2*(e.p-1)*k*e.a + e.part()*e.n*(2*e.b+e.g/k)
		}, work: func(e *estimate) work {
			return scattered(e.p, e.n, e.parts(e.n/e.p)).plus(gathered(e.p, e.n, e.parts(e.n/e.p)))
		}, crowded: func(e *estimate) (path, chain float64) { return e.unhidden(2 * (e.p - 1) * e.parts(e.n/e.p)) },
			build: apart(AllreduceRing)},
		{name: "pairwise", cost: func(e *estimate) float64 {
			k := e.parts(e.n / e.p)
			return (e.p-1)*(1+k)*e.a + e.part()*e.n*(2*e.b+e.g/k)
		}, work: func(e *estimate) work { return scattered(e.p, e.n, e.parts(e.n/e.p)).plus(gathered(e.p, e.n, 1)) },
			crowded: func(e *estimate) (path, chain float64) { return e.unhidden((e.p - 1) * (1 + e.parts(e.n/e.p))) },
			build:   apart(AllreducePairwise)},
		{name: "ordered", tree: always, cost: func(e *estimate) float64 {
			return 2*(e.p-1)*e.a + e.part()*e.n*(2*e.b+e.g)
		}, work: func(e *estimate) work { return scattered(e.p, e.n, 1).plus(gathered(e.p, e.n, 1)) }, build: vector(AllreduceOrdered)},
		{name: "tree", tree: always, cost: func(e *estimate) float64 {
			return e.log * (2*e.a + e.n*(2*e.b+e.g))
		}, work: func(e *estimate) work { return merging(along(e.p, e.n, 1)).plus(along(e.p, e.n, 1)) }, build: vector(AllreduceTree)},
		byCore(aligned),
		flat(always),
		{name: "direct", tree: always, cost: func(e *estimate) float64 {
			return (e.p - 1) * (e.a + e.n*(e.b+e.g))
		}, work: func(e *estimate) work { return merging(gathered(e.p, e.n*e.p, 1)) }, build: vector(AllreduceDirect)},
		{name: "two-level", fits: several, cost: func(e *estimate) float64 {
			return e.inner(e.hosts, e.n) + log2(int(e.mine))*(2*e.la+e.n*(2*e.lb+e.g))
		}, work: func(e *estimate) work { return e.twoLevel() }, build: func(c *Call, rank, segment int) Schedule {
			return AllreduceTwoLevel(c.Hosts, inner(segment))(rank, c.Size, 0, c.Count)
		}},
		{name: "sliced", fits: even, cost: func(e *estimate) float64 {
			n := e.n / e.mine
			k := e.parts(n)
			return e.inner(e.hosts, n) + (e.mine-1)*((1+k)*e.la+n*(2*e.lb+e.g/k))
		}, work: func(e *estimate) work { return e.sliced() }, build: func(c *Call, rank, segment int) Schedule {
			return AllreduceSliced(c.Hosts, segment, inner(segment))(rank, c.Size, 0, c.Count)
		}},
	},
	ReduceScatter: {
		{name: "halving", cost: func(e *estimate) float64 { return e.doubling(e.g) },
			work:  func(e *estimate) work { return halvedScatter(e.p, e.n, float64(newFold(int(e.p)).rest)*e.n/e.p) },
			build: blocks(ReduceScatterHalving)},
		{name: "pairwise", cost: func(e *estimate) float64 {
			k := e.parts(e.n / e.p)
			return (e.p-1)*k*e.a + e.part()*e.n*(e.b+e.g/k)
		}, work: func(e *estimate) work { return scattered(e.p, e.n, e.parts(e.n/e.p)) }, build: apartBlocks(ReduceScatterPairwise)},
		{name: "ring", cost: func(e *estimate) float64 {
			k := e.parts(e.n / e.p)
			return (e.p-1)*k*e.a + e.part()*e.n*(e.b+e.g/k)
		}, work: func(e *estimate) work { return scattered(e.p, e.n, e.parts(e.n/e.p)) }, build: apartBlocks(ReduceScatterRing)},
		{name: "ordered", tree: always, cost: func(e *estimate) float64 {
			return (e.p-1)*e.a + e.part()*e.n*(e.b+e.g)
		}, work: func(e *estimate) work { return scattered(e.p, e.n, 1) }, build: blocks(ReduceScatterOrdered)},
		{name: "two-level", fits: both(several, roomy), cost: func(e *estimate) float64 {
			return log2(int(e.mine))*(2*e.la+e.n*(e.lb+e.g)) + unless(e.runs, e.n*e.g) +
				e.scattering(e.hosts, e.n, e.mine*e.n/e.p, e.a, e.b) + (e.mine-1)*e.n/e.p*e.lb
		}, work: (*estimate).reduceScatterTwoLevel, build: func(c *Call, rank, segment int) Schedule {
			return ReduceScatterTwoLevel(c.Hosts, scattering(segment))(rank, c.Size, 0, c.Counts)
		}},
		{name: "sliced", fits: both(even, roomy), cost: func(e *estimate) float64 {
			return unless(e.dealt, e.n*e.g) + e.scattering(e.mine, e.n, e.n/e.mine, e.la, e.lb) +
				e.scattering(e.hosts, e.n/e.mine, e.n/e.p, e.a, e.b)
		}, work: func(e *estimate) work { return e.slicedBlocks(e.evenWork) }, build: func(c *Call, rank, segment int) Schedule {
			return ReduceScatterSliced(c.Hosts, scattering(segment), scattering(segment))(rank, c.Size, 0, c.Counts)
		}},
	},
	// Of binomial gathers and scatters half of the blocks pass through the memory
	// of other ranks, and all through that of a root other than rank 0.
	Gather: {
		{name: "linear", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b },
			work:    func(e *estimate) work { return along(e.p, e.n/e.p, 1).plus(work{touched: e.n / e.p}) },
			crowded: (*estimate).oneByOne, build: blocks(GatherLinear)},
		{name: "binomial", cost: func(e *estimate) float64 {
			return e.log*e.a + e.part()*e.n*e.b + (1+e.root)*e.n*e.g
		}, work: func(e *estimate) work { return collected(e.p, e.n).plus(work{touched: e.root * e.n}) }, build: blocks(GatherBinomial)},
	},
	Scatter: {
		{name: "linear", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b },
			work:    func(e *estimate) work { return along(e.p, e.n/e.p, 1).plus(work{touched: e.n / e.p}) },
			crowded: (*estimate).oneByOne, build: blocks(ScatterLinear)},
		{name: "binomial", cost: func(e *estimate) float64 {
			return e.log*e.a + e.part()*e.n*e.b + (1+e.root)*e.n*e.g
		}, work: func(e *estimate) work { return collected(e.p, e.n).plus(work{touched: e.root * e.n}) }, build: blocks(ScatterBinomial)},
	},
	Allgather: {
		{name: "doubling", fits: power, cost: func(e *estimate) float64 { return e.doubling(0) },
			work:  func(e *estimate) work { return work{e.p * e.log, (e.p - 1) * e.n, e.n} },
			build: blocks(AllgatherDoubling)},
		{name: "bruck", cost: func(e *estimate) float64 { return e.log*e.a + e.part()*e.n*e.b + 2*e.n*e.g },
			work:  func(e *estimate) work { return work{e.p * e.log, (e.p - 1) * e.n, (e.p + 1) * e.n} },
			build: blocks(AllgatherBruck)},
		{name: "pairwise", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b },
			work:  func(e *estimate) work { return gathered(e.p, e.n, 1).plus(work{touched: e.n}) },
			build: blocks(AllgatherPairwise)},
		{name: "ring", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b },
			work:  func(e *estimate) work { return gathered(e.p, e.n, 1).plus(work{touched: e.n}) },
			build: blocks(AllgatherRing)},
		{name: "two-level", fits: both(several, roomy), cost: func(e *estimate) float64 {
			return log2(int(e.mine))*(2*e.la+e.n*e.lb) + (e.mine-1)*e.n/e.p*e.lb + e.gathering(e.hosts, e.n, e.a, e.b) + unless(e.runs, e.n*e.g)
		}, work: (*estimate).allgatherTwoLevel, build: func(c *Call, rank, segment int) Schedule {
			return AllgatherTwoLevel(c.Hosts, gathering(segment))(rank, c.Size, 0, c.Counts)
		}},
		{name: "sliced", fits: both(even, roomy), cost: func(e *estimate) float64 {
			return e.gathering(e.hosts, e.n/e.mine, e.a, e.b) + e.gathering(e.mine, e.n, e.la, e.lb) + unless(e.dealt, e.n*e.g)
		}, work: func(e *estimate) work { return e.slicedBlocks(e.gatheringWork) }, build: func(c *Call, rank, segment int) Schedule {
			return AllgatherSliced(c.Hosts, gathering(segment), gathering(segment))(rank, c.Size, 0, c.Counts)
		}},
	},
	Alltoall: {
		{name: "pairwise", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b },
			work:  func(e *estimate) work { return gathered(e.p, e.n, 1).plus(work{touched: e.n}) },
			build: transfer(AlltoallPairwise)},
		{name: "linear", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b },
			work:  func(e *estimate) work { return gathered(e.p, e.n, 1).plus(work{touched: e.n}) },
			build: transfer(AlltoallLinear)},
		{name: "bruck", fits: func(c *Call) bool { return !c.Uneven }, cost: func(e *estimate) float64 {
			return e.log*(e.a+e.n/2*(e.b+2*e.g)) + 2*e.n*e.g
		}, work: func(e *estimate) work { return bruckWork(e.p, e.n) },
			build: func(c *Call, rank, _ int) Schedule { return AlltoallBruck(rank, c.Size, 0, c.Count/c.Size) }},
		{name: "two-level", fits: both(several, func(c *Call) bool { return !c.Uneven && roomyFor(c, c.Size) }), cost: func(e *estimate) float64 {
			return 2*(log2(int(e.mine))*e.la+(e.mine-1)*e.n*e.lb) + e.exchanging(e.hosts, e.mine*e.mine*e.n/e.p*e.hosts, e.a, e.b) + 2*e.mine*e.n*e.g
		}, work: (*estimate).alltoallTwoLevel, build: func(c *Call, rank, segment int) Schedule {
			return AlltoallTwoLevel(c.Hosts, exchanging(segment))(rank, c.Size, 0, c.Count/c.Size)
		}},
		{name: "sliced", fits: both(even, func(c *Call) bool { return !c.Uneven && roomy(c) }), cost: func(e *estimate) float64 {
			return e.exchanging(e.mine, e.n, e.la, e.lb) + e.exchanging(e.hosts, e.n, e.a, e.b) + e.turns()*e.n*e.g
		}, work: (*estimate).alltoallSliced, build: func(c *Call, rank, segment int) Schedule {
			return AlltoallSliced(c.Hosts, exchanging(segment), exchanging(segment))(rank, c.Size, 0, c.Count/c.Size)
		}},
	},
	Scan:   scans(false),
	Exscan: scans(true),
}

func transfer(a func(rank, size int, x Transfer) Schedule) func(*Call, int, int) Schedule {
	return func(c *Call, rank, _ int) Schedule { return a(rank, c.Size, c.Transfer) }
}

func scans(exclusive bool) []candidate {
	return []candidate{
		{name: "doubling", tree: always, cost: func(e *estimate) float64 {
			return e.log * (e.a + e.n*(e.b+e.g))
		}, work: func(e *estimate) work { return prefixes(e.p, e.n) }, build: vector(ScanDoubling(exclusive))},
		{name: "chain", cost: func(e *estimate) float64 {
			k := e.parts(e.n)
			return (k+e.p-2)*(e.a+e.n/k*e.b) + (e.p-1)*e.n/k*e.g
		}, work: func(e *estimate) work {
			w := along(e.p, e.n, e.parts(e.n))
			if exclusive {
				return w.plus(work{touched: 2*w.moved - e.n})
			}
			return w.plus(work{touched: 2*w.moved + e.n})
		}, build: parted(func(segment int) Algorithm { return ScanChain(exclusive, segment) })},
	}
}

// With fewer ranks doubling was quicker than flat, and to more one rank should not
// need connections.
const leastFlat, mostFlat = 4, 32

// mostByCore is how many bytes the vectors of a core's ranks may have together:
// they should stay in its caches.
const mostByCore = 2 << 20

// byCore is the leader of each core with all others of it, and the leaders. What
// waits on a core waits for what others do there, so that only messages between
// cores leave one with nothing to do.
func byCore(tree func(*Call) bool) candidate {
	between := func(e *estimate) float64 { return e.doubled(e.homes) * (e.a + e.n*(e.b+e.g)) }
	return candidate{name: "by-core", tree: tree,
		fits: func(c *Call) bool {
			homes, most := c.homes()
			return homes > 1 && most > 1 && most <= mostFlat && most*c.Count*c.Elem <= mostByCore
		},
		cost: func(e *estimate) float64 { return (e.onHome-1)*(2*e.a+e.n*(2*e.b+e.g)) + between(e) },
		work: func(e *estimate) work {
			within := along(e.p-e.homes+1, e.n, 1)
			return merging(within).plus(within).plus(doubled(e.homes, e.n))
		},
		crowded: func(e *estimate) (path, chain float64) {
			return e.onHome*(e.a+e.n*e.b) + (e.onHome-1)*e.n*e.g + between(e), between(e)
		},
		build: func(c *Call, rank, _ int) Schedule { return AllreduceByCore(c.Homes)(rank, c.Size, 0, c.Count) }}
}

// flat is rank 0 with all others: in a crowd the fewest messages one after the
// other. While rank 0 copies and combines, the others wait.
func flat(tree func(*Call) bool) candidate {
	return candidate{name: "flat", tree: tree,
		fits: func(c *Call) bool { return c.Size >= leastFlat && c.Size <= mostFlat },
		cost: func(e *estimate) float64 { return (e.p - 1) * (2*e.a + e.n*(2*e.b+e.g)) },
		work: func(e *estimate) work { return merging(along(e.p, e.n, 1)).plus(along(e.p, e.n, 1)) },
		crowded: func(e *estimate) (path, chain float64) {
			return e.p*(e.a+e.n*e.b) + (e.p-1)*e.n*e.g, 2*e.a + (e.p-1)*e.n*(2*e.b+e.g)
		},
		build: vector(AllreduceFlat)}
}
