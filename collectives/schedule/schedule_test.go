package schedule

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

var counts = []int{0, 1, 2, 3, 7, 16, 33}

// vector is the goal of an operation over whole vectors.
func vector(size, count int, holds func(rank int) bool, inPlace, ordered bool) Goal {
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
	if size <= 9 {
		all := make([]int, size)
		for i := range all {
			all[i] = i
		}
		return all
	}
	return []int{0, 1, size / 2, size - 1}
}

func TestReductions(t *testing.T) {
	for size := 1; size <= 64; size++ {
		for _, count := range counts {
			if size > 20 && count > 3 {
				continue
			}
			for _, inPlace := range []bool{false, true} {
				everyone := func(int) bool { return true }
				if err := Check(All(AllreduceDoubling, size, 0, count), vector(size, count, everyone, inPlace, true)); err != nil {
					t.Fatalf("doubling size %d count %d in place %v: %v", size, count, inPlace, err)
				}
				if err := Check(All(AllreduceRing, size, 0, count), vector(size, count, everyone, inPlace, false)); err != nil {
					t.Fatalf("ring size %d count %d in place %v: %v", size, count, inPlace, err)
				}
				for _, root := range roots(size) {
					only := func(r int) bool { return r == root }
					if err := Check(All(ReduceBinomial, size, root, count), vector(size, count, only, inPlace, true)); err != nil {
						t.Fatalf("reduce size %d root %d count %d in place %v: %v", size, root, count, inPlace, err)
					}
				}
			}
		}
	}
}

// TestRingAgrees: whoever holds an element holds it combined in the same order,
// which is what makes results bit-equal.
func TestRingAgrees(t *testing.T) {
	for size := 2; size <= 17; size++ {
		g := vector(size, 40, func(int) bool { return true }, false, false)
		m := newMachine(All(AllreduceRing, size, 0, 40), g)
		if err := m.run(); err != nil {
			t.Fatal(err)
		}
		for r := range size {
			for i := range 40 {
				if got, want := fmt.Sprint(m.mem[r][Output][i]), fmt.Sprint(m.mem[0][Output][i]); got != want {
					t.Fatalf("size %d element %d: rank %d has %s, rank 0 %s", size, i, r, got, want)
				}
			}
		}
	}
}

func TestBcast(t *testing.T) {
	for name, a := range map[string]Algorithm{"binomial": BcastBinomial, "scatter-allgather": BcastScatterAllgather} {
		for size := 1; size <= 64; size++ {
			for _, count := range counts {
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
		parts := All(BarrierDissemination, size, 0, 0)
		none := func(int) int { return 0 }
		if err := Check(parts, Goal{Input: none, Output: none}); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		// Who has heard, directly or not, from whom: everybody from everybody.
		heard := make([]map[int]bool, size)
		for r := range heard {
			heard[r] = map[int]bool{r: true}
		}
		for k := range parts[0].Rounds {
			before := make([]map[int]bool, size)
			for r := range heard {
				before[r] = map[int]bool{}
				for q := range heard[r] {
					before[r][q] = true
				}
			}
			for r := range parts {
				for _, s := range parts[r].Rounds[k].Net {
					if s.Kind == Recv {
						for q := range before[s.Peer] {
							heard[r][q] = true
						}
					}
				}
			}
		}
		for r := range heard {
			if len(heard[r]) != size {
				t.Fatalf("size %d: rank %d leaves having heard from %d", size, r, len(heard[r]))
			}
		}
	}
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
		"gather binomial":  {GatherBinomial, false, false},
		"gather linear":    {GatherLinear, false, false},
		"allgather bruck":  {AllgatherBruck, false, true},
		"allgather ring":   {AllgatherRing, false, true},
		"scatter binomial": {ScatterBinomial, true, false},
		"scatter linear":   {ScatterLinear, true, false},
	} {
		for size := 1; size <= 64; size++ {
			for shape, c := range blockCounts(size) {
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
					g := Goal{Input: part, Output: whole, Ordered: true, Want: func(_, i int) []Term { return owner[i : i+1] }}
					if k.scatter {
						g.Input, g.Output = whole, part
						g.Want = func(r, i int) []Term { return []Term{{root, off[r] + i}} }
					}
					if err := Check(AllBlocks(k.a, size, root, c), g); err != nil {
						t.Fatalf("%s size %d root %d counts %s: %v", name, size, root, shape, err)
					}
					if k.all {
						break
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
			"ring":         {m.Measure(All(AllreduceRing, size, 0, n)), 2*(p-1)*m.Alpha + (p-1)/p*n*2.25},
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
			Check(All(AllreduceDoubling, size, root, count), vector(size, count, everyone, true, true)),
			Check(All(AllreduceRing, size, root, count), vector(size, count, everyone, false, false)),
			Check(All(ReduceBinomial, size, root, count), vector(size, count, only, false, true)),
		} {
			if err != nil {
				t.Fatalf("size %d root %d count %d: %v", size, root, count, err)
			}
		}
	})
}
