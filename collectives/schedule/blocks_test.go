package schedule

import "testing"

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
	for size := 1; size <= 64; size++ {
		algorithms := map[string]kind{
			"gather binomial":    {GatherBinomial, false, false},
			"gather linear":      {GatherLinear, false, false},
			"allgather bruck":    {AllgatherBruck, false, true},
			"allgather ring":     {AllgatherRing, false, true},
			"allgather pairwise": {AllgatherPairwise, false, true},
			"scatter binomial":   {ScatterBinomial, true, false},
			"scatter linear":     {ScatterLinear, true, false},
		}
		if size&(size-1) == 0 {
			algorithms["allgather doubling"] = kind{AllgatherDoubling, false, true}
		}
		for way, hosts := range hostsOf(size) {
			algorithms["allgather two-level "+way] = kind{AllgatherTwoLevel(hosts, AllgatherPairwise), false, true}
			algorithms["allgather two-level bruck "+way] = kind{AllgatherTwoLevel(hosts, AllgatherBruck), false, true}
			if _, even := Even(hosts); even {
				algorithms["allgather sliced "+way] = kind{AllgatherSliced(hosts, AllgatherBruck, AllgatherPairwise), false, true}
			}
		}
		for name, k := range algorithms {
			for shape, c := range blockCounts(size) {
				if size > 20 && (shape == "three" || shape == "one") || size > 32 && k.all && shape != "odd ranks" {
					continue
				}
				off := offsets(c)
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
						g := gatherGoal(c, inPlace)
						g.Output = whole
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

// gatherGoal is the goal of an allgather of blocks.
func gatherGoal(c []int, inPlace bool) Goal {
	off := offsets(c)
	var owner []Term // of each element of the whole
	for r, n := range c {
		for i := range n {
			owner = append(owner, Term{r, i})
		}
	}
	return Goal{
		Input: func(r int) int { return c[r] }, Output: func(int) int { return off[len(c)] },
		Ordered: true, InPlace: inPlace, Shift: func(r int) int { return off[r] },
		Want: func(_, i int) []Term { return owner[i : i+1] },
	}
}

// scatterGoal is the goal of a reduce-scatter to blocks.
func scatterGoal(c []int, inPlace, ordered bool) Goal {
	off := offsets(c)
	return Goal{
		Input: func(int) int { return off[len(c)] }, Output: func(r int) int { return c[r] },
		Ordered: ordered, InPlace: inPlace, Shift: func(r int) int { return -off[r] },
		Want: func(rank, i int) (want []Term) {
			for r := range c {
				want = append(want, Term{r, off[rank] + i})
			}
			return want
		},
	}
}

// alltoallGoal is the goal of an alltoall.
func alltoallGoal(x []Transfer, inPlace bool) Goal {
	return Goal{
		Input:  func(r int) int { return offsets(x[r].Send)[len(x)] },
		Output: func(r int) int { return offsets(x[r].Recv)[len(x)] }, Ordered: true, InPlace: inPlace,
		Want: func(rank, i int) []Term {
			q := 0
			for ; i >= x[rank].Recv[q]; q++ {
				i -= x[rank].Recv[q]
			}
			return []Term{{q, offsets(x[q].Send)[rank] + i}}
		},
	}
}

func TestReduceScatter(t *testing.T) {
	type kind struct {
		a       BlockAlgorithm
		ordered bool
		apart   bool
	}
	for size := 1; size <= 64; size++ {
		algorithms := map[string]kind{
			"ring":           {a: ReduceScatterRing(testSegment, false)},
			"ring apart":     {a: ReduceScatterRing(testSegment, true), apart: true},
			"pairwise":       {a: ReduceScatterPairwise(testSegment, false)},
			"pairwise apart": {a: ReduceScatterPairwise(testSegment, true), apart: true},
			"halving":        {a: ReduceScatterHalving},
			"ordered":        {a: ReduceScatterOrdered, ordered: true},
		}
		for way, hosts := range hostsOf(size) {
			algorithms["two-level "+way] = kind{a: ReduceScatterTwoLevel(hosts, ReduceScatterHalving)}
			algorithms["two-level pairwise "+way] = kind{a: ReduceScatterTwoLevel(hosts, ReduceScatterPairwise(testSegment, false))}
			if _, even := Even(hosts); even {
				algorithms["sliced "+way] = kind{a: ReduceScatterSliced(hosts, ReduceScatterHalving, ReduceScatterPairwise(testSegment, false))}
			}
		}
		for name, k := range algorithms {
			for shape, c := range blockCounts(size) {
				if size > 9 && shape != "rising" && shape != "last" || size > 20 && shape == "rising" {
					continue
				}
				for _, inPlace := range []bool{false, true} {
					if k.apart && inPlace {
						continue
					}
					if err := Check(AllBlocks(k.a, size, 0, c), scatterGoal(c, inPlace, k.ordered)); err != nil {
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
					if err := Check(parts, alltoallGoal(x, inPlace)); err != nil {
						t.Fatalf("%s size %d %s in place %v: %v", name, size, shape, inPlace, err)
					}
				}
			}
			if shape == "different" {
				parts := make([]Schedule, size)
				for r := range parts {
					parts[r] = PairsBruck(r, size, n)
				}
				if err := Check(parts, alltoallGoal(x, false)); err != nil {
					t.Fatalf("bruck size %d %s: %v", size, shape, err)
				}
				continue
			}
			algorithms := map[string]Algorithm{"bruck": AlltoallBruck}
			for way, hosts := range hostsOf(size) {
				algorithms["two-level "+way] = AlltoallTwoLevel(hosts, PairsPairwise)
				algorithms["two-level bruck "+way] = AlltoallTwoLevel(hosts, PairsBruck)
				if _, even := Even(hosts); even {
					algorithms["sliced "+way] = AlltoallSliced(hosts, PairsBruck, PairsPairwise)
				}
			}
			for name, a := range algorithms {
				for _, inPlace := range []bool{false, true} {
					if err := Check(All(a, size, 0, n(0, 0)), alltoallGoal(x, inPlace)); err != nil {
						t.Fatalf("%s size %d %s in place %v: %v", name, size, shape, inPlace, err)
					}
				}
			}
		}
	}
}
