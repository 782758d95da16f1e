package schedule

import (
	"math"
	"slices"
	"strings"
	"testing"
)

var counts = []int{0, 1, 2, 7, 16, 33}

// reducing is the goal of an operation over whole vectors.
func reducing(size, count int, holds func(rank int) bool, inPlace, ordered bool) Goal {
	n := func(int) int { return count }
	return Goal{Input: n, Output: n, InPlace: inPlace, Ordered: ordered, Want: func(rank, i int) []Term {
		if !holds(rank) {
			return nil
		}
		var want []Term
		for r := range size {
			want = append(want, Term{r, i})
		}
		return want
	}}
}

// roots are those worth trying.
func roots(size int) []int {
	if size <= 6 {
		all := make([]int, size)
		for i := range all {
			all[i] = i
		}
		return all
	}
	if size <= 20 {
		return []int{0, 1, size - 1}
	}
	return []int{0, size * 2 / 3}
}

// reductions are the algorithms whose result is made of what all ranks have.
type reduction struct {
	a       Algorithm
	ordered bool // combines in rank order
	rooted  bool
	apart   bool // for calls that are Apart
	keeps   bool // and for operations that keep their left operand
}

const testSegment = 3 // elements, so that vectors have several parts

// hostsOf spreads ranks over hosts in some ways: runs of equal length (the last
// one may be shorter), around, and a host of its own for rank 0; of many ranks in
// one of these ways.
func hostsOf(size int) map[string][]int {
	names := []string{"runs", "around", "alone"}
	if size > 16 {
		names = names[size%3 : size%3+1]
	}
	ways := map[string][]int{}
	for _, name := range names {
		h := make([]int, size)
		for r := range h {
			switch name {
			case "runs":
				h[r] = 4 - r/3
			case "around":
				h[r] = r % 3
			case "alone":
				h[r] = min(r, 1)
			}
		}
		ways[name] = h
	}
	return ways
}

func reductions(size int) map[string]reduction {
	all := map[string]reduction{
		"doubling":            {a: AllreduceDoubling, ordered: true},
		"rabenseifner":        {a: AllreduceHalving(false, true), ordered: true},
		"rabenseifner apart":  {a: AllreduceHalving(true, false), ordered: true, apart: true},
		"rabenseifner kept":   {a: AllreduceHalving(true, true), ordered: true, apart: true, keeps: true},
		"ring":                {a: AllreduceRing(testSegment)},
		"ring apart":          {a: AllreduceRingApart(testSegment), apart: true},
		"ring apart, whole":   {a: AllreduceRingApart(1 << 20), apart: true},
		"ring, whole blocks":  {a: AllreduceRing(1 << 20)},
		"pairwise":            {a: AllreducePairwise(testSegment)},
		"pairwise apart":      {a: AllreducePairwiseApart(testSegment), apart: true},
		"ordered":             {a: AllreduceOrdered, ordered: true},
		"tree":                {a: AllreduceTree, ordered: true},
		"flat":                {a: AllreduceFlat, ordered: true},
		"direct":              {a: AllreduceDirect, ordered: true},
		"reduce":              {a: ReduceBinomial, ordered: true, rooted: true},
		"reduce rotated":      {a: ReduceRotated, rooted: true},
		"reduce chain":        {a: ReduceChain(testSegment), rooted: true},
		"reduce scatter":      {a: ReduceScatterGather(testSegment), rooted: true},
		"reduce scatter tree": {a: ReduceScatterTree, ordered: true, rooted: true},
	}
	for way, hosts := range hostsOf(size) {
		runs := way != "around"
		all["two-level "+way] = reduction{a: AllreduceTwoLevel(hosts, AllreduceDoubling), ordered: runs && way != "runs"}
		all["two-level ring "+way] = reduction{a: AllreduceTwoLevel(hosts, AllreduceRing(testSegment))}
		all["reduce two-level "+way] = reduction{a: ReduceTwoLevel(hosts, ReduceRotated), rooted: true}
		if _, even := Even(hosts); even {
			all["sliced "+way] = reduction{a: AllreduceSliced(hosts, testSegment, AllreduceHalving(false, false))}
		}
	}
	return all
}

// few are element counts that a test of size ranks can afford.
func few(size int) []int {
	switch {
	case size <= 6:
		return counts
	case size <= 20:
		return []int{1, 33}
	default:
		return []int{3}
	}
}

func TestReductions(t *testing.T) {
	for size := 1; size <= 64; size++ {
		for name, x := range reductions(size) {
			for i, count := range few(size) {
				for _, root := range roots(size) {
					if !x.rooted && root > 0 {
						continue
					}
					holds := func(r int) bool { return !x.rooted || r == root }
					for _, inPlace := range []bool{false, true} {
						if x.apart && inPlace || !x.apart && size > 9 && inPlace != ((size+i)%2 == 0) {
							continue
						}
						g := reducing(size, count, holds, inPlace, x.ordered)
						g.Keeps = x.keeps
						if err := Check(All(x.a, size, root, count), g); err != nil {
							t.Fatalf("%s size %d root %d count %d in place %v: %v", name, size, root, count, inPlace, err)
						}
					}
				}
			}
		}
	}
}

// TestApart: what is for calls that are Apart is not for those in place, nor,
// where it says so, for operations that lose their left operand; and it takes no
// memory beside the vectors, as far as that is so.
func TestApart(t *testing.T) {
	const count = 24
	for _, size := range []int{2, 3, 4, 6, 8} {
		for name, x := range reductions(size) {
			if !x.apart {
				continue
			}
			all := func(int) bool { return true }
			parts := All(x.a, size, 0, count)
			if err := Check(parts, reducing(size, count, all, true, false)); err == nil {
				t.Errorf("%s, %d ranks: in place", name, size)
			}
			if err := Check(parts, reducing(size, count, all, false, false)); x.keeps != (err != nil) {
				t.Errorf("%s, %d ranks, with an operation that loses its left operand: %v", name, size, err)
			}
			most := 0
			switch folds := size&(size-1) != 0; {
			case strings.HasPrefix(name, "pairwise") && size > 2, name == "rabenseifner apart" && folds:
				most = count
			case name == "rabenseifner kept" && folds:
				most = count / 2
			}
			for r, p := range parts {
				if p.Scratch > most {
					t.Errorf("%s, %d ranks: rank %d has scratch memory of %d", name, size, r, p.Scratch)
				}
			}
		}
	}
	for _, c := range []*Call{{Verb: Allreduce, Size: 2, Count: count}, {Verb: ReduceScatter, Size: 2, Count: count, Counts: Blocks(2, count)}} {
		for _, name := range []string{"rabenseifner", "ring", "pairwise"} {
			i, err := Find(c, name)
			if err != nil {
				continue
			}
			apart := *c
			apart.Apart, apart.Keeps = true, true
			if with, without := testMachine.Build(c, i, 0), testMachine.Build(&apart, i, 0); with.Scratch == 0 || without.Scratch > 0 {
				t.Errorf("%v by %s: scratch memory of %d, and apart of %d", c.Verb, name, with.Scratch, without.Scratch)
			}
		}
	}
}

var testMachine = Machine{Link: Link{Alpha: 1000, Beta: 1}, Segment: 1 << 20}

// treeOf is element i combined over the ranks from lo on, below hi, in tree order.
func treeOf(lo, hi, i int) value {
	if hi-lo == 1 {
		return &node{Term: Term{lo, i}}
	}
	half := 1
	for 2*half < hi-lo {
		half *= 2
	}
	return &node{left: treeOf(lo, lo+half, i), right: treeOf(lo+half, hi, i)}
}

// TestAgree: whoever holds an element holds it combined alike, which is what
// makes results bit-equal, and in tree order where the algorithm says so.
func TestAgree(t *testing.T) {
	inTree := map[string]bool{"ordered": true, "tree": true, "flat": true, "direct": true, "reduce": true, "reduce scatter tree": true}
	for size := 2; size <= 17; size++ {
		for name, x := range reductions(size) {
			const count = 40
			root := size - 1
			g := reducing(size, count, func(int) bool { return true }, false, false)
			g.Keeps = x.keeps
			m := newMachine(All(x.a, size, root, count), g)
			if err := m.run(); err != nil {
				t.Fatal(err)
			}
			pow := size&(size-1) == 0 && (name == "doubling" || strings.HasPrefix(name, "rabenseifner"))
			for r := range size {
				for i := range count {
					got := m.mem[r][Output][i]
					if x.rooted && r != root {
						continue
					}
					if want := m.mem[root][Output][i]; !alike(got, want) {
						t.Fatalf("%s size %d element %d: rank %d has %v, rank %d %v", name, size, i, r, got.terms(nil), root, want.terms(nil))
					}
					if (inTree[name] || pow) && !alike(got, treeOf(0, size, i)) {
						t.Fatalf("%s size %d element %d: not in tree order", name, size, i)
					}
				}
			}
		}
		for shape, c := range blockCounts(size) {
			off := offsets(c)
			n := func(int) int { return off[size] }
			m := newMachine(AllBlocks(ReduceScatterOrdered, size, 0, c), Goal{Input: n, Output: func(r int) int { return c[r] }})
			if err := m.run(); err != nil {
				t.Fatal(err)
			}
			for r := range size {
				for i, got := range m.mem[r][Output] {
					if !alike(got, treeOf(0, size, off[r]+i)) {
						t.Fatalf("reduce-scatter size %d counts %s rank %d element %d: not in tree order", size, shape, r, i)
					}
				}
			}
		}
	}
}

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

// blockCounts are the shapes of per-rank counts.
func blockCounts(size int) map[string][]int {
	shapes := map[string][]int{"none": nil, "one": nil, "three": nil, "rising": nil, "odd ranks": nil, "last": nil}
	for name := range shapes {
		c := make([]int, size)
		for r := range c {
			switch name {
			case "one":
				c[r] = 1
			case "three":
				c[r] = 3
			case "rising":
				c[r] = r % 5
			case "odd ranks":
				c[r] = 2 * (r % 2)
			}
		}
		if name == "last" {
			c[size-1] = 7
		}
		shapes[name] = c
	}
	return shapes
}

func TestBlocks(t *testing.T) {
	type kind struct {
		a       BlockAlgorithm
		scatter bool
		all     bool
	}
	for name, k := range map[string]kind{
		"gather binomial":    {GatherBinomial, false, false},
		"gather linear":      {GatherLinear, false, false},
		"allgather bruck":    {AllgatherBruck, false, true},
		"allgather ring":     {AllgatherRing, false, true},
		"allgather pairwise": {AllgatherPairwise, false, true},
		"allgather doubling": {AllgatherDoubling, false, true},
		"scatter binomial":   {ScatterBinomial, true, false},
		"scatter linear":     {ScatterLinear, true, false},
	} {
		for size := 1; size <= 64; size++ {
			if name == "allgather doubling" && size&(size-1) != 0 {
				continue
			}
			for shape, c := range blockCounts(size) {
				if size > 20 && (shape == "three" || shape == "one") || size > 32 && k.all && shape != "odd ranks" {
					continue
				}
				off := offsets(c)
				var owner []Term // of each element of the whole
				for r, n := range c {
					for i := range n {
						owner = append(owner, Term{r, i})
					}
				}
				for _, root := range roots(size) {
					whole := func(r int) int {
						if r == root || k.all {
							return off[size]
						}
						return 0
					}
					part := func(r int) int { return c[r] }
					for _, inPlace := range []bool{false, true} {
						if size > 20 && inPlace != (size%2 == 0) {
							continue
						}
						// The own block of the whole may be the part itself.
						g := Goal{Input: part, Output: whole, Ordered: true, Want: func(_, i int) []Term { return owner[i : i+1] }}
						g.InPlace, g.Shift = inPlace, func(r int) int { return off[r] }
						if k.scatter {
							g.Input, g.Output = whole, part
							g.Want = func(r, i int) []Term { return []Term{{root, off[r] + i}} }
							g.Shift = func(r int) int { return -off[r] }
						}
						if err := Check(AllBlocks(k.a, size, root, c), g); err != nil {
							t.Fatalf("%s size %d root %d counts %s in place %v: %v", name, size, root, shape, inPlace, err)
						}
					}
					if k.all {
						break
					}
				}
			}
		}
	}
}

func TestReduceScatter(t *testing.T) {
	for name, k := range map[string]struct {
		a       BlockAlgorithm
		ordered bool
		apart   bool
	}{
		"ring":           {a: ReduceScatterRing(testSegment)},
		"ring apart":     {a: ReduceScatterRingApart(testSegment), apart: true},
		"pairwise":       {a: ReduceScatterPairwise(testSegment)},
		"pairwise apart": {a: ReduceScatterPairwiseApart(testSegment), apart: true},
		"halving":        {a: ReduceScatterHalving},
		"ordered":        {a: ReduceScatterOrdered, ordered: true},
	} {
		for size := 1; size <= 64; size++ {
			for shape, c := range blockCounts(size) {
				off := offsets(c)
				if size > 9 && shape != "rising" && shape != "last" || size > 20 && shape == "rising" {
					continue
				}
				for _, inPlace := range []bool{false, true} {
					if k.apart && inPlace {
						continue
					}
					g := Goal{
						Input: func(int) int { return off[size] }, Output: func(r int) int { return c[r] },
						Ordered: k.ordered, InPlace: inPlace, Shift: func(r int) int { return -off[r] },
						Want: func(rank, i int) (want []Term) {
							for r := range size {
								want = append(want, Term{r, off[rank] + i})
							}
							return want
						},
					}
					if err := Check(AllBlocks(k.a, size, 0, c), g); err != nil {
						t.Fatalf("%s size %d counts %s in place %v: %v", name, size, shape, inPlace, err)
					}
				}
			}
		}
	}
}

// transfers are what the ranks exchange when rank r has n(r, q) for q.
func transfers(size int, inPlace bool, n func(r, q int) int) []Transfer {
	x := make([]Transfer, size)
	for r := range x {
		x[r].InPlace = inPlace
		for q := range size {
			x[r].Send = append(x[r].Send, n(r, q))
			x[r].Recv = append(x[r].Recv, n(q, r))
		}
	}
	return x
}

func TestAlltoall(t *testing.T) {
	shapes := map[string]func(r, q int) int{
		"none":      func(r, q int) int { return 0 },
		"one":       func(r, q int) int { return 1 },
		"three":     func(r, q int) int { return 3 },
		"different": func(r, q int) int { return (r + 2*q) % 4 },
	}
	for size := 1; size <= 64; size++ {
		for shape, n := range shapes {
			if size > 16 && shape == "three" || size > 32 && (size+len(shape))%4 != 0 {
				continue
			}
			x := transfers(size, false, n)
			goal := func(inPlace bool) Goal {
				return Goal{
					Input:  func(r int) int { return offsets(x[r].Send)[size] },
					Output: func(r int) int { return offsets(x[r].Recv)[size] }, Ordered: true, InPlace: inPlace,
					Want: func(rank, i int) []Term {
						q := 0
						for ; i >= x[rank].Recv[q]; q++ {
							i -= x[rank].Recv[q]
						}
						return []Term{{q, offsets(x[q].Send)[rank] + i}}
					},
				}
			}
			for name, a := range map[string]func(rank, size int, x Transfer) Schedule{"pairwise": AlltoallPairwise, "linear": AlltoallLinear} {
				for _, inPlace := range []bool{false, true} {
					if size > 20 && inPlace != (size%2 == 0) {
						continue
					}
					parts := make([]Schedule, size)
					for r := range parts {
						x[r].InPlace = inPlace
						parts[r] = a(r, size, x[r])
					}
					if err := Check(parts, goal(inPlace)); err != nil {
						t.Fatalf("%s size %d %s in place %v: %v", name, size, shape, inPlace, err)
					}
				}
			}
			if shape == "different" {
				continue
			}
			for _, inPlace := range []bool{false, true} {
				if err := Check(All(AlltoallBruck, size, 0, n(0, 0)), goal(inPlace)); err != nil {
					t.Fatalf("bruck size %d %s in place %v: %v", size, shape, inPlace, err)
				}
			}
		}
	}
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
			"ring":         {m.Measure(All(AllreduceRing(1<<20), size, 0, n)), 2*(p-1)*m.Alpha + (p-1)/p*n*2.25},
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
	f.Add(uint8(5), uint8(2), uint8(7))
	f.Add(uint8(64), uint8(63), uint8(200))
	f.Fuzz(func(t *testing.T, s, r, c uint8) {
		size := 1 + int(s)%64
		root, count := int(r)%size, int(c)%201
		if size*size*count > 1<<17 {
			count %= 8
		}
		everyone, only := func(int) bool { return true }, func(q int) bool { return q == root }
		for _, err := range []error{
			Check(All(AllreduceDoubling, size, root, count), reducing(size, count, everyone, true, true)),
			Check(All(AllreduceRing(testSegment), size, root, count), reducing(size, count, everyone, false, false)),
			Check(All(AllreduceRingApart(testSegment), size, root, count), reducing(size, count, everyone, false, false)),
			Check(All(AllreduceHalving(true, false), size, root, count), reducing(size, count, everyone, false, true)),
			Check(All(AllreduceFlat, size, root, count), reducing(size, count, everyone, true, true)),
			Check(All(ReduceBinomial, size, root, count), reducing(size, count, only, false, true)),
		} {
			if err != nil {
				t.Fatalf("size %d root %d count %d: %v", size, root, count, err)
			}
		}
	})
}
