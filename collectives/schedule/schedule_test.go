package schedule

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var counts = []int{0, 1, 2, 7, 16, 33}

func TestBcast(t *testing.T) {
	for size := 1; size <= 64; size++ {
		algorithms := map[string]Algorithm{
			"binomial": BcastBinomial, "knomial3": BcastKnomial(3), "knomial4": BcastKnomial(4), "knomial8": BcastKnomial(8),
			"scatter-allgather": BcastScatterAllgather, "chain": BcastChain(testSegment), "chain, whole": BcastChain(1 << 20),
		}
		for way, hosts := range hostsOf(size) {
			algorithms["two-level "+way] = BcastTwoLevel(hosts, BcastChain(testSegment))
		}
		for name, a := range algorithms {
			for _, count := range few(size) {
				for _, root := range roots(size) {
					// Output of the root is where the vector comes from.
					n := func(int) int { return count }
					g := Goal{Input: n, Output: n, InPlace: true, Ordered: true, Want: func(_, i int) []Term { return []Term{{root, i}} }}
					if err := Check(All(a, size, root, count), g); err != nil {
						t.Fatalf("%s size %d root %d count %d: %v", name, size, root, count, err)
					}
				}
			}
		}
	}
}

func TestBarrier(t *testing.T) {
	for size := 1; size <= 64; size++ {
		algorithms := map[string]Algorithm{
			"doubling": AllreduceDoubling, "tree": AllreduceTree, "flat": AllreduceFlat,
			"dissemination": BarrierDissemination, "dissemination3": Dissemination(3), "dissemination4": Dissemination(4),
		}
		for way, hosts := range hostsOf(size) {
			algorithms["two-level "+way] = AllreduceTwoLevel(hosts, BarrierDissemination)
			algorithms["by-core "+way] = AllreduceByCore(hosts)
		}
		for name, a := range algorithms {
			parts := All(a, size, 0, 0)
			none := func(int) int { return 0 }
			if err := Check(parts, Goal{Input: none, Output: none}); err != nil {
				t.Fatalf("%s size %d: %v", name, size, err)
			}
			for r, n := range heard(parts) {
				if n != size {
					t.Fatalf("%s size %d: rank %d leaves having heard from %d", name, size, r, n)
				}
			}
		}
	}
}

// heard returns from how many ranks each has heard in the end, directly or not.
// The parts have no lag.
func heard(parts []Schedule) []int {
	size := len(parts)
	know := make([][]bool, size)
	round := make([]int, size)
	sent := make([]bool, size)
	line := map[[2]int][][]bool{}
	for r := range know {
		know[r] = make([]bool, size)
		know[r][r] = true
	}
	for moved := true; moved; {
		moved = false
		for r := range parts {
			if round[r] == len(parts[r].Rounds) {
				continue
			}
			step := parts[r].Rounds[round[r]]
			ready := true
			for _, s := range step.Net {
				key := [2]int{r, s.Peer}
				if s.Kind == Send && !sent[r] {
					line[key] = append(line[key], slices.Clone(know[r]))
				}
				ready = ready && (s.Kind == Send || len(line[[2]int{s.Peer, r}]) > 0)
			}
			sent[r] = true
			if !ready {
				continue
			}
			for _, s := range step.Net {
				if s.Kind == Recv {
					key := [2]int{s.Peer, r}
					for q, k := range line[key][0] {
						know[r][q] = know[r][q] || k
					}
					line[key] = line[key][1:]
				}
			}
			sent[r], moved = false, true
			round[r]++
		}
	}
	n := make([]int, size)
	for r := range know {
		for _, k := range know[r] {
			if k {
				n[r]++
			}
		}
	}
	return n
}

func TestScan(t *testing.T) {
	for name, a := range map[string]func(exclusive bool) Algorithm{
		"doubling": ScanDoubling,
		"chain":    func(exclusive bool) Algorithm { return ScanChain(exclusive, testSegment) },
	} {
		for size := 1; size <= 64; size++ {
			for _, count := range few(size) {
				for _, exclusive := range []bool{false, true} {
					n := func(int) int { return count }
					want := func(rank, i int) (want []Term) {
						for r := 0; r < rank || r == rank && !exclusive; r++ {
							want = append(want, Term{r, i})
						}
						return want
					}
					for _, inPlace := range []bool{false, true} {
						g := Goal{Input: n, Output: n, Want: want, Ordered: true, InPlace: inPlace}
						if err := Check(All(a(exclusive), size, 0, count), g); err != nil {
							t.Fatalf("%s size %d count %d exclusive %v in place %v: %v", name, size, count, exclusive, inPlace, err)
						}
					}
				}
			}
		}
	}
}

// TestCheckFinds: the checker sees every fault it is there for.
func TestCheckFinds(t *testing.T) {
	x := Range{Output, 0, 1}
	in, tmp := Range{Input, 0, 1}, Range{Scratch, 0, 1}
	one := func(int) int { return 1 }
	goal := Goal{Input: one, Output: one, Want: func(_, i int) []Term { return []Term{{0, i}, {1, i}} }}
	round := func(net ...Step) Round { return Round{Net: net} }
	good := []Schedule{
		{Scratch: 1, Rounds: []Round{{Local: []Step{copyStep(x, in)}}, {Net: []Step{send(1, in), recv(1, tmp)}, Local: []Step{reduce(x, tmp)}}}},
		{Scratch: 1, Rounds: []Round{{Local: []Step{copyStep(x, in)}}, {Net: []Step{send(0, in), recv(0, tmp)}, Local: []Step{reduce(x, tmp)}}}},
	}
	if err := Check(good, goal); err != nil {
		t.Fatal(err)
	}
	for want, parts := range map[string][]Schedule{
		"deadlock":    {{Rounds: []Round{round(send(1, in)), round(recv(1, x))}}, {Rounds: []Round{round(send(0, in)), round(recv(0, x))}}},
		"receives 1":  {{Rounds: []Round{round(send(1, Range{}))}}, {Rounds: []Round{round(recv(0, x))}}},
		"overlaps":    {{Rounds: []Round{round(send(1, x), recv(1, x))}}, {}},
		"outside":     {{Rounds: []Round{round(send(1, tmp))}}, {}},
		"written":     {{Rounds: []Round{round(recv(1, in))}}, {}},
		"undefined":   {{Rounds: []Round{round(send(1, x))}}, {Rounds: []Round{round(recv(0, x))}}},
		"is made of":  {{Rounds: []Round{{Local: []Step{copyStep(x, in)}}}}, {Rounds: []Round{{Local: []Step{copyStep(x, in)}}}}},
		"two steps":   {{Rounds: []Round{round(send(1, in), send(1, in))}}, {}},
		"peer 0":      {{Rounds: []Round{round(send(0, in))}}, {}},
		"lengths":     {{Rounds: []Round{{Local: []Step{copyStep(x, Range{})}}}}, {}},
		"local ones":  {{Rounds: []Round{{Local: []Step{send(1, in)}}}}, {}},
		"those of":    {{Rounds: []Round{round(Step{Kind: Copy, Peer: 1, Dst: x, Src: in})}}, {}},
		"twice":       nil,
		"wrong order": nil,
	} {
		g := goal
		switch want {
		case "twice":
			parts = []Schedule{good[0], good[1]}
			parts[0].Rounds = append(parts[0].Rounds[:2:2], Round{Local: []Step{reduce(x, tmp)}})
			want = "is made of"
		case "wrong order":
			parts, g.Ordered = good, true // rank 1 combines 1 before 0
			want = "rank 1 element 0 is made of"
		}
		if err := Check(parts, g); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestCost compares what schedules cost with the formulas of the literature.
func TestCost(t *testing.T) {
	m := Model{Alpha: 1000, Beta: 1, Gamma: 0.25}
	const n = 64 * 60
	for _, size := range []int{2, 4, 8, 16, 32} {
		p, log := float64(size), math.Log2(float64(size))
		for name, c := range map[string]struct{ got, want float64 }{
			"barrier":      {m.Measure(All(BarrierDissemination, size, 0, 0)), log * m.Alpha},
			"bcast":        {m.Measure(All(BcastBinomial, size, 0, n)), log * (m.Alpha + n)},
			"reduce":       {m.Measure(All(ReduceBinomial, size, 0, n)), log * (m.Alpha + n*1.25)},
			"doubling":     {m.Measure(All(AllreduceDoubling, size, 0, n)), log * (m.Alpha + n*1.25)},
			"ring":         {m.Measure(All(AllreduceRing(1<<20, false), size, 0, n)), 2*(p-1)*m.Alpha + (p-1)/p*n*2.25},
			"allgather":    {m.Measure(AllBlocks(AllgatherRing, size, 0, Blocks(size, n))), (p - 1) * (m.Alpha + n/p)},
			"bruck":        {m.Measure(AllBlocks(AllgatherBruck, size, 0, Blocks(size, n))), log*m.Alpha + n*(p-1)/p},
			"linear":       {m.Measure(AllBlocks(ScatterLinear, size, 0, Blocks(size, n))), (p - 1) * (m.Alpha + n/p)},
			"scatter tree": {m.Measure(AllBlocks(ScatterBinomial, size, 0, Blocks(size, n))), log*m.Alpha + n*(p-1)/p},
			"gather tree":  {m.Measure(AllBlocks(GatherBinomial, size, 0, Blocks(size, n))), log*m.Alpha + n*(p-1)/p},
		} {
			if math.Abs(c.got-c.want) > 1e-3*c.want+float64(size) {
				t.Errorf("%s at %d: costs %v, want %v", name, size, c.got, c.want)
			}
		}
	}
}

func FuzzSchedules(f *testing.F) {
	f.Add(uint8(5), uint8(2), uint8(7), uint64(1))
	f.Add(uint8(64), uint8(63), uint8(200), uint64(2))
	f.Add(uint8(11), uint8(0), uint8(30), uint64(3))
	f.Fuzz(func(t *testing.T, s, r, c uint8, seed uint64) {
		size := 1 + int(s)%64
		root, count := int(r)%size, int(c)%201
		if size*size*count > 1<<17 {
			count %= 8
		}
		// Ranks on up to as many hosts, in half of the cases as even as can be, and
		// blocks of up to twice count/size.
		random := rand.New(rand.NewPCG(seed, 0))
		hosts, blocks := make([]int, size), make([]int, size)
		many := 1 + random.IntN(size)
		for i, q := range random.Perm(size) {
			hosts[q], blocks[q] = i%many, random.IntN(2*count/size+2)
			if seed%2 > 0 {
				hosts[q] = random.IntN(many)
			}
		}
		gather, scatter := AllgatherTwoLevel(hosts, AllgatherRing), ReduceScatterTwoLevel(hosts, ReduceScatterPairwise(testSegment, false))
		exchange := AlltoallTwoLevel(hosts, PairsPairwise)
		if _, even := Even(hosts); even {
			gather, scatter = AllgatherSliced(hosts, AllgatherBruck, AllgatherRing), ReduceScatterSliced(hosts, ReduceScatterHalving, ReduceScatterHalving)
			exchange = AlltoallSliced(hosts, PairsBruck, PairsPairwise)
		}
		block := count / size
		x := transfers(size, false, func(_, _ int) int { return block })
		everyone, only := func(int) bool { return true }, func(q int) bool { return q == root }
		for _, inPlace := range []bool{false, true} {
			for _, err := range []error{
				Check(All(AllreduceDoubling, size, root, count), reducing(size, count, everyone, inPlace, true)),
				Check(All(AllreduceRing(testSegment, false), size, root, count), reducing(size, count, everyone, inPlace, false)),
				Check(All(AllreduceRing(testSegment, true), size, root, count), reducing(size, count, everyone, false, false)),
				Check(All(AllreduceHalving(true, false), size, root, count), reducing(size, count, everyone, false, true)),
				Check(All(AllreduceFlat, size, root, count), reducing(size, count, everyone, inPlace, true)),
				Check(All(ReduceBinomial, size, root, count), reducing(size, count, only, inPlace, true)),
				Check(All(AllreduceTwoLevel(hosts, AllreduceDoubling), size, root, count), reducing(size, count, everyone, inPlace, false)),
				Check(All(ReduceTwoLevel(hosts, ReduceRotated), size, root, count), reducing(size, count, only, inPlace, false)),
				Check(AllBlocks(AllgatherTwoLevel(hosts, AllgatherBruck), size, root, blocks), gatherGoal(blocks, inPlace)),
				Check(AllBlocks(ReduceScatterTwoLevel(hosts, ReduceScatterHalving), size, root, blocks), scatterGoal(blocks, inPlace, false)),
				Check(AllBlocks(gather, size, root, blocks), gatherGoal(blocks, inPlace)),
				Check(AllBlocks(scatter, size, root, blocks), scatterGoal(blocks, inPlace, false)),
				Check(All(exchange, size, root, block), alltoallGoal(x, inPlace)),
				Check(All(AlltoallTwoLevel(hosts, PairsBruck), size, root, block), alltoallGoal(x, inPlace)),
			} {
				if err != nil {
					t.Fatalf("size %d root %d count %d hosts %v blocks %v in place %v: %v", size, root, count, hosts, blocks, inPlace, err)
				}
			}
		}
	})
}
