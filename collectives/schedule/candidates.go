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
		{name: "doubling", cost: func(e *estimate) float64 { return (e.log + e.fold) * e.a }, build: vector(AllreduceDoubling)},
		{name: "dissemination", cost: func(e *estimate) float64 { return e.log * e.a }, build: vector(BarrierDissemination)},
		{name: "dissemination4", cost: func(e *estimate) float64 { return 1.5*e.log*e.a + 1 }, build: vector(Dissemination(4))},
		{name: "tree", cost: func(e *estimate) float64 { return 2 * e.log * e.a }, build: vector(AllreduceTree)},
		{name: "two-level", fits: several, cost: func(e *estimate) float64 {
			return 2*log2(int(e.mine))*e.la + log2(int(e.hosts))*e.a
		}, build: func(c *Call, rank, _ int) Schedule {
			return AllreduceTwoLevel(c.Hosts, BarrierDissemination)(rank, c.Size, 0, 0)
		}},
	},
	Bcast: {
		{name: "binomial", cost: func(e *estimate) float64 { return e.log * (e.a + e.n*e.b) }, build: vector(BcastBinomial)},
		{name: "knomial4", cost: func(e *estimate) float64 { return 1.5*e.log*(e.a+e.n*e.b) + 1 }, build: vector(BcastKnomial(4))},
		{name: "scatter-allgather", cost: func(e *estimate) float64 {
			return (e.log+e.p-1)*e.a + 2*e.part()*e.n*e.b
		}, build: vector(BcastScatterAllgather)},
		{name: "chain", cost: func(e *estimate) float64 {
			k := e.parts(e.n)
			return (k + e.p - 2) * (e.a + e.n/k*e.b)
		}, build: parted(BcastChain)},
		{name: "two-level", fits: several, cost: func(e *estimate) float64 {
			return log2(int(e.hosts))*(e.a+e.n*e.b) + log2(int(e.mine))*(e.la+e.n*e.lb)
		}, build: func(c *Call, rank, _ int) Schedule {
			return BcastTwoLevel(c.Hosts, BcastBinomial)(rank, c.Size, c.Root, c.Count)
		}},
	},
	ReduceTo: {
		{name: "rotated", cost: func(e *estimate) float64 { return e.log * (e.a + e.n*(e.b+e.g)) }, build: vector(ReduceRotated)},
		{name: "binomial", tree: always, cost: func(e *estimate) float64 {
			return e.log*(e.a+e.n*(e.b+e.g)) + e.root*(e.a+e.n*e.b)
		}, build: vector(ReduceBinomial)},
		{name: "chain", cost: func(e *estimate) float64 {
			k := e.parts(e.n)
			return (k+e.p-2)*(e.a+e.n/k*e.b) + (e.p-1)*e.n/k*e.g
		}, build: parted(ReduceChain)},
		{name: "scatter-gather", cost: func(e *estimate) float64 {
			k := e.parts(e.n / e.p)
			return (e.p-1)*(1+k)*e.a + e.part()*e.n*(2*e.b+e.g/k)
		}, build: parted(ReduceScatterGather)},
		{name: "ordered-gather", tree: always, cost: func(e *estimate) float64 {
			return 2*(e.p-1)*e.a + e.part()*e.n*(2*e.b+e.g)
		}, build: vector(ReduceScatterTree)},
		{name: "two-level", fits: several, cost: func(e *estimate) float64 {
			return log2(int(e.hosts))*(e.a+e.n*(e.b+e.g)) + log2(int(e.mine))*(e.la+e.n*(e.lb+e.g))
		}, build: func(c *Call, rank, _ int) Schedule {
			return ReduceTwoLevel(c.Hosts, ReduceRotated)(rank, c.Size, c.Root, c.Count)
		}},
	},
	Allreduce: {
		{name: "doubling", tree: power, cost: func(e *estimate) float64 {
			return (e.log + e.fold) * (e.a + e.n*(e.b+e.g))
		}, build: vector(AllreduceDoubling)},
		{name: "rabenseifner", tree: power, cost: func(e *estimate) float64 {
			return 2*e.log*e.a + e.part()*e.n*(2*e.b+e.g) + e.fold*e.n*(2*e.b+e.g)
		}, build: vector(AllreduceHalving)},
		{name: "ring", cost: func(e *estimate) float64 {
			k := e.parts(e.n / e.p)
			return 2*(e.p-1)*k*e.a + e.part()*e.n*(2*e.b+e.g/k)
		}, build: parted(AllreduceRing)},
		{name: "pairwise", cost: func(e *estimate) float64 {
			k := e.parts(e.n / e.p)
			return (e.p-1)*(1+k)*e.a + e.part()*e.n*(2*e.b+e.g/k)
		}, build: parted(AllreducePairwise)},
		{name: "ordered", tree: always, cost: func(e *estimate) float64 {
			return 2*(e.p-1)*e.a + e.part()*e.n*(2*e.b+e.g)
		}, build: vector(AllreduceOrdered)},
		{name: "tree", tree: always, cost: func(e *estimate) float64 {
			return e.log * (2*e.a + e.n*(2*e.b+e.g))
		}, build: vector(AllreduceTree)},
		{name: "direct", tree: always, cost: func(e *estimate) float64 {
			return (e.p - 1) * (e.a + e.n*(e.b+e.g))
		}, build: vector(AllreduceDirect)},
		{name: "two-level", fits: several, cost: func(e *estimate) float64 {
			h, log := e.hosts, log2(int(e.hosts))
			between := log * (e.a + e.n*(e.b+e.g))
			if e.n > e.segment {
				k := e.parts(e.n / h)
				between = 2*(h-1)*k*e.a + (h-1)/h*e.n*(2*e.b+e.g/k)
			}
			return between + log2(int(e.mine))*(2*e.la+e.n*(2*e.lb+e.g))
		}, build: func(c *Call, rank, segment int) Schedule {
			return AllreduceTwoLevel(c.Hosts, inner(segment))(rank, c.Size, 0, c.Count)
		}},
		{name: "sliced", fits: even, cost: func(e *estimate) float64 {
			h, n := e.hosts, e.n/e.mine
			between := log2(int(h)) * (e.a + n*(e.b+e.g))
			if n > e.segment {
				k := e.parts(n / h)
				between = 2*(h-1)*k*e.a + (h-1)/h*n*(2*e.b+e.g/k)
			}
			k := e.parts(n)
			return between + (e.mine-1)*((1+k)*e.la+n*(2*e.lb+e.g/k))
		}, build: func(c *Call, rank, segment int) Schedule {
			return AllreduceSliced(c.Hosts, segment, inner(segment))(rank, c.Size, 0, c.Count)
		}},
	},
	ReduceScatter: {
		{name: "halving", cost: func(e *estimate) float64 {
			return (e.log+2*e.fold)*e.a + (e.part()+e.fold)*e.n*(e.b+e.g)
		}, build: blocks(ReduceScatterHalving)},
		{name: "pairwise", cost: func(e *estimate) float64 {
			k := e.parts(e.n / e.p)
			return (e.p-1)*k*e.a + e.part()*e.n*(e.b+e.g/k)
		}, build: partedBlocks(ReduceScatterPairwise)},
		{name: "ring", cost: func(e *estimate) float64 {
			k := e.parts(e.n / e.p)
			return (e.p-1)*k*e.a + e.part()*e.n*(e.b+e.g/k)
		}, build: partedBlocks(ReduceScatterRing)},
		{name: "ordered", tree: always, cost: func(e *estimate) float64 {
			return (e.p-1)*e.a + e.part()*e.n*(e.b+e.g)
		}, build: blocks(ReduceScatterOrdered)},
	},
	Gather: {
		{name: "linear", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b }, build: blocks(GatherLinear)},
		{name: "binomial", cost: func(e *estimate) float64 {
			return e.log*e.a + e.part()*e.n*e.b + 2*e.n*e.g
		}, build: blocks(GatherBinomial)},
	},
	Scatter: {
		{name: "linear", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b }, build: blocks(ScatterLinear)},
		{name: "binomial", cost: func(e *estimate) float64 {
			return e.log*e.a + e.part()*e.n*e.b + 2*e.n*e.g
		}, build: blocks(ScatterBinomial)},
	},
	Allgather: {
		{name: "doubling", fits: power, cost: func(e *estimate) float64 { return e.log*e.a + e.part()*e.n*e.b }, build: blocks(AllgatherDoubling)},
		{name: "bruck", cost: func(e *estimate) float64 { return e.log*e.a + e.part()*e.n*e.b + 2*e.n*e.g }, build: blocks(AllgatherBruck)},
		{name: "pairwise", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b }, build: blocks(AllgatherPairwise)},
		{name: "ring", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b }, build: blocks(AllgatherRing)},
	},
	Alltoall: {
		{name: "pairwise", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b }, build: transfer(AlltoallPairwise)},
		{name: "linear", cost: func(e *estimate) float64 { return (e.p-1)*e.a + e.part()*e.n*e.b }, build: transfer(AlltoallLinear)},
		{name: "bruck", fits: func(c *Call) bool { return !c.Uneven }, cost: func(e *estimate) float64 {
			return e.log*(e.a+e.n/2*(e.b+2*e.g)) + 2*e.n*e.g
		}, build: func(c *Call, rank, _ int) Schedule { return AlltoallBruck(rank, c.Size, 0, c.Count/c.Size) }},
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
		}, build: vector(ScanDoubling(exclusive))},
		{name: "chain", cost: func(e *estimate) float64 {
			k := e.parts(e.n)
			return (k+e.p-2)*(e.a+e.n/k*e.b) + (e.p-1)*e.n/k*e.g
		}, build: parted(func(segment int) Algorithm { return ScanChain(exclusive, segment) })},
	}
}
