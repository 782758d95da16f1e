package schedule

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// crowded is the machine that a communicator starts with.
var crowded = Machine{Link: Link{Alpha: 15_000, Beta: 0.4}, Local: &Link{Alpha: 3_000, Beta: 0.15}, Gamma: 0.05, Segment: 1 << 20}

// onHosts gives a call hosts, with so many cores each.
func onHosts(c *Call, hosts []int, cores ...int) *Call {
	c.Hosts, c.Cores = hosts, nil
	for r := range c.Size {
		host := 0
		if hosts != nil {
			host = hosts[r]
		}
		c.Cores = append(c.Cores, cores[host%len(cores)])
	}
	return c
}

// workOf is Model.Work, done in the dumbest way: message by message, each looked
// up at its receiver too, on a list of hosts.
func workOf(m Model, parts []Schedule) float64 {
	most := 0.0
	for host := range 64 {
		busy, cores := 0.0, 0
		in := func(r int) bool { return m.Hosts == nil && host == 0 || m.Hosts != nil && m.Hosts[r] == host }
		for r, p := range parts {
			if in(r) {
				cores = m.Cores[r]
			}
			for _, round := range p.Rounds {
				for _, s := range round.Net {
					if s.Kind != Send {
						continue
					}
					cost := m.LocalAlpha + m.LocalBeta*float64(s.Src.Len)
					if m.Hosts == nil {
						cost = m.Alpha + m.Beta*float64(s.Src.Len)
					}
					for _, end := range []int{r, s.Peer} {
						if in(end) {
							busy += cost / 2
						}
					}
				}
				for _, s := range round.Local {
					if in(r) {
						busy += m.Gamma * float64(s.Dst.Len)
					}
				}
			}
		}
		if cores > 0 {
			most = max(most, busy/float64(cores))
		}
	}
	return most
}

func TestModelWork(t *testing.T) {
	for _, v := range []Verb{Barrier, Bcast, Allreduce, ReduceScatter, Allgather, Alltoall} {
		for i, k := range candidates(v) {
			for size := 1; size <= 17; size++ {
				for name, hosts := range layouts(size) {
					c := onHosts(callOf(v, size, 100*size), hosts, 2, 1, 0)
					if !k.allowed(c) {
						continue
					}
					var parts []Schedule
					for r := range size {
						parts = append(parts, crowded.Build(c, i, r))
					}
					m := Model{Alpha: 7, Beta: 0.5, Gamma: 0.25, LocalAlpha: 3, LocalBeta: 0.125, Hosts: hosts, Cores: c.Cores}
					got, want := m.Work(parts), workOf(m, parts)
					if math.Abs(got-want) > 1e-9*want {
						t.Errorf("%v %s, %d ranks on hosts %s: %v, want %v", v, k.name, size, name, got, want)
					}
					path := m.Path(parts)
					if whole := m.Measure(parts); whole > max(path, got) || whole < max(path/2, got) || c.crowd() <= 1 && whole != max(path, got) {
						t.Errorf("%v %s, %d ranks on hosts %s: %v of path %v and work %v", v, k.name, size, name, whole, path, got)
					}
				}
			}
		}
	}
}

// TestShare: of messages that wait for their turn at rank 0 half is its own work,
// where ranks share cores.
func TestShare(t *testing.T) {
	for _, x := range []struct {
		hosts []int
		cores []int
		want  float64
	}{
		{nil, []int{4}, 6},                    // three messages in, three out
		{nil, []int{2}, 4},                    // half of each but the first and the last
		{[]int{0, 0, 0, 0}, []int{2}, 4},      // the same
		{[]int{0, 1, 2, 3}, []int{1}, 6},      // nobody shares a core
		{[]int{0, 0, 0, 1}, []int{2, 1}, 4.5}, // that from the other host is whole; that to it is the last
	} {
		c := onHosts(callOf(Barrier, 4, 0), x.hosts, x.cores...)
		m := Model{Alpha: 1, LocalAlpha: 1, Hosts: c.Hosts, Cores: c.Cores}
		if got := m.Measure(All(AllreduceFlat, 4, 0, 0)); got != x.want {
			t.Errorf("hosts %v of %v cores: %v, want %v", x.hosts, x.cores, got, x.want)
		}
	}
}

// TestCrowd: how many ranks share a core decides.
func TestCrowd(t *testing.T) {
	for _, x := range []struct {
		v        Verb
		size     int
		bytes    int
		hosts    []int
		cores    []int
		crowd    float64
		want, as string // as: without cores
	}{
		{Barrier, 4, 0, nil, []int{2}, 2, "flat", "doubling"},
		{Barrier, 8, 0, nil, []int{2}, 4, "flat", "doubling"},
		{Barrier, 4, 0, nil, []int{4}, 1, "doubling", "doubling"},
		{Barrier, 9, 0, nil, []int{8}, 1.125, "doubling", "dissemination"},
		{Barrier, 4, 0, nil, []int{0}, 0, "doubling", "doubling"},
		{Barrier, 16, 0, nil, []int{8}, 2, "tree", "doubling"},
		{Barrier, 33, 0, nil, []int{2}, 16.5, "tree", "dissemination"},
		{Allreduce, 4, 8, nil, []int{2}, 2, "flat", "doubling"},
		{Allreduce, 8, 8, nil, []int{2}, 4, "flat", "doubling"},
		{Allreduce, 4, 128 << 10, nil, []int{2}, 2, "rabenseifner", "rabenseifner"},
		{Allreduce, 8, 128 << 10, nil, []int{2}, 4, "tree", "rabenseifner"},
		{Allreduce, 8, 128 << 10, nil, []int{8}, 1, "rabenseifner", "rabenseifner"},
		{Allreduce, 8, 64 << 20, nil, []int{2}, 4, "rabenseifner", "pairwise"},
		{Barrier, 4, 0, []int{0, 0, 1, 1}, []int{2}, 1, "doubling", "doubling"}, // nearest first: one round between hosts
		{Barrier, 4, 0, []int{0, 1, 0, 0}, []int{2}, 1.5, "two-level", "two-level"},
		{Barrier, 6, 0, []int{0, 0, 0, 0, 1, 1}, []int{1, 8}, 4, "two-level", "doubling"},
		{Allgather, 4, 64, nil, []int{8}, 0.5, "doubling", "doubling"},
		{Allgather, 4, 64, []int{0, 0, 1, 1}, []int{8}, 0.25, "sliced", "sliced"},
		{Allgather, 6, 96, []int{0, 0, 0, 1, 1, 1}, []int{8}, 0.375, "sliced", "sliced"},
		{Allgather, 6, 96, []int{0, 0, 0, 0, 1, 1}, []int{8}, 0.5, "two-level", "two-level"},
		{Alltoall, 6, 96, []int{0, 0, 0, 1, 1, 1}, []int{8}, 0.375, "sliced", "sliced"},
		{Alltoall, 6, 96, []int{0, 0, 0, 0, 1, 1}, []int{8}, 0.5, "two-level", "two-level"},
		{ReduceScatter, 6, 96, []int{0, 1, 0, 1, 0, 1}, []int{8}, 0.375, "sliced", "sliced"},
		{ReduceScatter, 6, 96, []int{0, 0, 0, 0, 1, 1}, []int{8}, 0.5, "halving", "halving"}, // one round between hosts too
		{ReduceScatter, 6, 96, []int{0, 1, 0, 1, 0, 0}, []int{8}, 0.5, "two-level", "two-level"},
		{ReduceScatter, 6, 6 << 20, []int{0, 0, 0, 0, 1, 1}, []int{8}, 0.5, "pairwise", "pairwise"},
	} {
		t.Run(fmt.Sprintf("%v/%d/%d/cores=%v", x.v, x.size, x.bytes, x.cores), func(t *testing.T) {
			c := callOf(x.v, x.size, x.bytes/4)
			c.Hosts = x.hosts
			if got := Name(x.v, crowded.Choose(c)); got != x.as {
				t.Errorf("without cores: %s, want %s", got, x.as)
			}
			onHosts(c, x.hosts, x.cores...)
			if got := c.crowd(); got != x.crowd {
				t.Errorf("%v ranks a core, want %v", got, x.crowd)
			}
			if got := Name(x.v, crowded.Choose(c)); got != x.want {
				t.Errorf("%s, want %s", got, x.want)
			}
		})
	}
}

// TestChooseInACrowd: whatever the call, the choice fits, is proven elsewhere,
// and what it measures is not much more than the least.
func TestChooseInACrowd(t *testing.T) {
	for v := Barrier; v <= Exscan; v++ {
		for size := 1; size <= 17; size++ {
			for _, cores := range []int{1, 2, 3, 4, 8} {
				for _, n := range []int{0, 12 * size, 800 * size, 1500 * size, 4000 * size, 10_000 * size, 100_000 * size} {
					for _, inOrder := range []bool{false, true} {
						if inOrder && !combines(v) || n > 0 && v == Barrier {
							continue
						}
						c := onHosts(callOf(v, size, n), nil, cores)
						c.InOrder = inOrder
						chosen(t, &crowded, c, fmt.Sprintf("%v of %d ranks on %d cores, %d elements, in order %v", v, size, cores, n, inOrder))
						for name, hosts := range layouts(size) {
							if !inOrder && (size+cores)%2 == 0 && knowsHosts(v) {
								what := fmt.Sprintf("%v of %d ranks on hosts %s of %d cores, %d elements", v, size, name, cores, n)
								chosen(t, &crowded, onHosts(c, hosts, cores), what)
							}
						}
						if c = onHosts(c, layouts(size)["runs"], cores); size > 1 && Name(v, crowded.Choose(c)) == "flat" {
							t.Errorf("%v of %d ranks on two hosts of %d cores, %d elements, in order %v: flat", v, size, cores, n, inOrder)
						}
					}
				}
			}
		}
	}
}

// TestByCore: what its formulas say is what its schedules cost, where it fits; and
// short vectors of a host whose ranks keep to cores go that way.
func TestByCore(t *testing.T) {
	for _, v := range []Verb{Barrier, Allreduce} {
		k := candidates(v)[find(candidates(v), "by-core")]
		for size := 2; size <= 33; size++ {
			for cores := 2; cores <= 8; cores++ {
				for _, n := range []int{0, 2, 3000} {
					c := onHosts(callOf(v, size, n), nil, cores)
					c.Homes = onCores(size, cores)
					what := fmt.Sprintf("%v of %d ranks on %d cores, %d elements", v, size, cores, c.Count)
					if fits := size > cores; k.allowed(c) != fits {
						t.Fatalf("%s: allowed %v", what, !fits)
					} else if !fits {
						continue
					}
					chosen(t, &crowded, c, what)
					e := crowded.estimate(c)
					parts := make([]Schedule, size)
					for r := range parts {
						parts[r] = k.build(c, r, 1)
					}
					m := Model{Alpha: e.la, Beta: e.lb, Gamma: e.g, Cores: c.Cores}
					for of, x := range map[string][2]float64{
						"path":              {k.cost(e), m.Path(parts)},
						"path of the crowd": {max(first(k.crowded(e)), m.Work(parts)), m.Measure(parts)},
						"work":              {m.Work(parts), totalWork(e, k.work(e)) / float64(cores)},
					} {
						if want, got := x[0], x[1]; got < 0.6*want || got > 1.3*want+e.a {
							t.Errorf("%s: %s %.0f, by the formula %.0f", what, of, got, want)
						}
					}
				}
			}
		}
	}
	for _, x := range []struct {
		v           Verb
		size, cores int
		bytes       int
		inOrder     bool
		want        string
	}{
		{Barrier, 2, 2, 0, false, "doubling"}, {Barrier, 4, 2, 0, false, "by-core"}, {Barrier, 8, 2, 0, false, "by-core"},
		{Barrier, 5, 4, 0, false, "doubling"}, {Barrier, 64, 2, 0, false, "by-core"}, {Barrier, 80, 2, 0, false, "tree"},
		{Allreduce, 4, 2, 8, true, "by-core"}, {Allreduce, 6, 2, 8, true, "flat"}, {Allreduce, 8, 2, 128 << 10, false, "by-core"},
		{Allreduce, 4, 2, 2 << 20, false, "rabenseifner"}, {Allreduce, 8, 2, 2 << 20, false, "rabenseifner"}, {Allreduce, 8, 2, 64 << 20, false, "rabenseifner"},
	} {
		c := onHosts(callOf(x.v, x.size, x.bytes/4), nil, x.cores)
		c.Homes, c.InOrder = onCores(x.size, x.cores), x.inOrder
		if got := Name(x.v, crowded.Choose(c)); got != x.want {
			t.Errorf("%v of %d ranks on %d cores, %d bytes, in order %v: %s, want %s", x.v, x.size, x.cores, x.bytes, x.inOrder, got, x.want)
		}
	}
}

// TestByCoreFits: of several hosts, and of ranks without a home, no call goes by
// core, and in order none whose cores do not make the pairs that ranks make.
func TestByCoreFits(t *testing.T) {
	for _, x := range []struct {
		homes, hosts   []int
		fits, inOrders bool
	}{
		{[]int{0, 0, 1, 1}, nil, true, true},
		{[]int{0, 0, 1, 1}, []int{7, 7, 7, 7}, true, true},
		{[]int{0, 0, 1, 1}, []int{0, 0, 0, 1}, false, false},
		{[]int{0, 0, 1, -1}, nil, false, false},
		{[]int{0, 1, 0, 1}, nil, true, false},
		{[]int{0, 0, 0, 1}, nil, true, false},
		{[]int{0, 0, 1, 1, 2, 2}, nil, true, false},
		{[]int{0, 0, 0, 1, 1, 1, 2, 2}, nil, true, false},
		{[]int{0, 0, 1, 1, 2, 2, 3, 3}, nil, true, true},
		{[]int{0, 1, 2, 3}, nil, false, false},
		{[]int{1, 1, 1, 1}, nil, false, false},
		{nil, nil, false, false},
	} {
		c := callOf(Allreduce, 4, 5)
		if x.homes != nil {
			c = callOf(Allreduce, len(x.homes), 5)
		}
		c.Homes, c.Hosts = x.homes, x.hosts
		k := candidates(Allreduce)[find(candidates(Allreduce), "by-core")]
		if got := k.allowed(c); got != x.fits {
			t.Errorf("homes %v on hosts %v: %v", x.homes, x.hosts, got)
		}
		c.InOrder = true
		if got := k.allowed(c); got != x.inOrders {
			t.Errorf("homes %v on hosts %v, in order: %v", x.homes, x.hosts, got)
		}
	}
	// Whatever the cores of the ranks: what is allowed in order is in tree order.
	r, aligned := rand.New(rand.NewPCG(1, 2)), 0
	for i := range 1000 {
		size := 2 + r.IntN(15)
		homes := onCores(size, 1+r.IntN(size))
		if i%3 > 0 {
			for r2 := range homes {
				homes[r2] = r.IntN(1 + size/2)
			}
		}
		all := func(int) bool { return true }
		for _, inPlace := range []bool{false, true} {
			if err := Check(All(AllreduceByCore(homes), size, 0, 5), reducing(size, 5, all, inPlace, false)); err != nil {
				t.Fatalf("homes %v, in place %v: %v", homes, inPlace, err)
			}
		}
		c := callOf(Allreduce, size, 5)
		c.Homes, c.InOrder = homes, true
		if k := candidates(Allreduce)[find(candidates(Allreduce), "by-core")]; !k.allowed(c) {
			continue
		}
		aligned++
		m := newMachine(All(AllreduceByCore(homes), size, 0, 5), reducing(size, 5, all, false, true))
		if err := m.run(); err != nil {
			t.Fatal(err)
		}
		for r2 := range size {
			for i := range 5 {
				if !alike(m.mem[r2][Output][i], treeOf(0, size, i)) {
					t.Fatalf("homes %v: not in tree order", homes)
				}
			}
		}
	}
	if aligned < 10 {
		t.Errorf("only %d in order", aligned)
	}
}

func first(a, _ float64) float64 { return a }

// totalWork is the time of all that ranks do.
func totalWork(e *estimate, w work) float64 {
	return w.messages*e.la + w.moved*e.lb + w.touched*e.g
}
