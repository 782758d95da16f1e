package schedule

import (
	"fmt"
	"strings"
	"testing"
)

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
// one may be shorter), around, a host of its own for rank 0, pairs of the first
// and the last, and mixed; of many ranks in two of these ways.
func hostsOf(size int) map[string][]int {
	names := []string{"runs", "around", "alone", "pairs", "mixed"}
	if size > 16 {
		names = []string{names[size%5], names[(size+2)%5]}
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
			case "pairs":
				h[r] = min(r, size-1-r)
			case "mixed":
				h[r] = (r*r + r/4) % 5
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
		"ring":                {a: AllreduceRing(testSegment, false)},
		"ring apart":          {a: AllreduceRing(testSegment, true), apart: true},
		"ring apart, whole":   {a: AllreduceRing(1<<20, true), apart: true},
		"ring, whole blocks":  {a: AllreduceRing(1<<20, false)},
		"pairwise":            {a: AllreducePairwise(testSegment, false)},
		"pairwise apart":      {a: AllreducePairwise(testSegment, true), apart: true},
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
	for _, cores := range []int{1, 2, 4} {
		all[fmt.Sprintf("aligned %d", cores)] = reduction{a: AllreduceByCore(onCores(size, cores)), ordered: true}
	}
	for way, hosts := range hostsOf(size) {
		all["two-level "+way] = reduction{a: AllreduceTwoLevel(hosts, AllreduceDoubling), ordered: way == "alone"}
		all["by-core "+way] = reduction{a: AllreduceByCore(hosts), ordered: way == "alone" || way == "runs"}
		all["two-level ring "+way] = reduction{a: AllreduceTwoLevel(hosts, AllreduceRing(testSegment, false))}
		all["reduce two-level "+way] = reduction{a: ReduceTwoLevel(hosts, ReduceRotated), rooted: true}
		if _, even := Even(hosts); even {
			all["sliced "+way] = reduction{a: AllreduceSliced(hosts, testSegment, AllreduceHalving(false, false))}
		}
	}
	return all
}

// onCores spreads ranks over cores in runs.
func onCores(size, cores int) []int {
	homes := make([]int, size)
	for r := range homes {
		homes[r] = r * cores / size
	}
	return homes
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
			pow := size&(size-1) == 0 && (name == "doubling" || strings.HasPrefix(name, "rabenseifner") || strings.HasPrefix(name, "aligned"))
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
