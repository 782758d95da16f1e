package schedule

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// callOf is a call of size ranks with n elements in all.
func callOf(v Verb, size, n int) *Call {
	if v == Barrier {
		n = 0
	}
	c := &Call{Verb: v, Size: size, Count: n, Elem: 4, Counts: Blocks(size, n)}
	for _, k := range c.Counts {
		c.Transfer.Send = append(c.Transfer.Send, k)
		c.Transfer.Recv = append(c.Transfer.Recv, k)
	}
	return c
}

// TestFormulas: what the formulas say is what schedules cost, on one host, and
// on several where an algorithm is for these. The copies that some formulas
// count are left out.
func TestFormulas(t *testing.T) {
	m := &Machine{Link: Link{Alpha: 1000, Beta: 0.25}, Gamma: 0.05, Local: &Link{Alpha: 300, Beta: 0.1}, Segment: 4096}
	for v := Barrier; v <= Exscan; v++ {
		for i, k := range candidates(v) {
			for _, size := range []int{2, 4, 8, 16} {
				for name, hosts := range layouts(size) {
					for _, n := range []int{64, 64 << 10} {
						c := callOf(v, size, n)
						if one := k.allowed(c); one != (hosts == nil) {
							continue
						}
						if c.Hosts = hosts; !k.allowed(c) {
							continue
						}
						e := m.estimate(c)
						want, got := k.cost(e), m.Simulate(c, i)
						copies := e.g * mostCopied(m, c, i)
						if got < 0.6*want-copies || got > 1.25*want+3*e.a {
							t.Errorf("%v %s, %d ranks on hosts %s, %d elements: formula %.0f, measured %.0f", v, k.name, size, name, n, want, got)
						}
					}
				}
			}
		}
	}
}

// mostCopied is how many elements the rank copies that copies most.
func mostCopied(m *Machine, c *Call, i int) float64 {
	most := 0
	for r := range c.Size {
		n := 0
		for _, round := range m.Build(c, i, r).Rounds {
			for _, step := range round.Local {
				if step.Kind == Copy {
					n += step.Dst.Len
				}
			}
		}
		most = max(most, n)
	}
	return float64(most)
}

// TestChoose: whatever the call, the algorithm fits it, and costs at most a bit
// more than the best; so too on several hosts, for verbs whose formulas know of
// these.
func TestChoose(t *testing.T) {
	m := &Machine{Link: Link{Alpha: 15000, Beta: 0.4}, Gamma: 0.1, Segment: 256 << 10}
	near := *m
	near.Local = &Link{Alpha: 3000, Beta: 0.15}
	for v := Barrier; v <= Exscan; v++ {
		for _, size := range []int{1, 2, 3, 4, 8, 13, 16, 24} {
			for _, n := range []int{0, 1, 1000, 100_000, 1_000_000} {
				for _, inOrder := range []bool{false, true} {
					if inOrder && !combines(v) {
						continue
					}
					for name, hosts := range layouts(size) {
						if hosts != nil && !knowsHosts(v) {
							continue
						}
						c := callOf(v, size, n)
						c.InOrder, c.Hosts = inOrder, hosts
						on := m
						if hosts != nil {
							on = &near
						}
						chosen(t, on, c, fmt.Sprintf("%v of %d ranks on hosts %s, %d elements, in order %v", v, size, name, n, inOrder))
					}
				}
			}
		}
	}
}

// chosen checks the choice for a call. Where ranks share no cores, copies are not
// simulated, and counted beside.
func chosen(t *testing.T, m *Machine, c *Call, what string) {
	t.Helper()
	list := candidates(c.Verb)
	i := m.Choose(c)
	if i < 0 || !list[i].allowed(c) {
		t.Fatalf("%s: algorithm %d", what, i)
	}
	cost := func(i int) float64 {
		took := m.Simulate(c, i)
		if c.crowd() > 1 {
			return took
		}
		return took + m.Gamma*float64(c.Elem)*mostCopied(m, c, i)
	}
	got, best, by := cost(i), 0.0, ""
	for j, k := range list {
		if k.allowed(c) {
			if cost := cost(j); by == "" || cost < best {
				best, by = cost, k.name
			}
		}
	}
	if got > 1.5*best {
		t.Errorf("%s: %s costs %.0f, %s %.0f", what, list[i].name, got, by, best)
	}
}

// knowsHosts says whether all formulas of a verb know which messages stay within
// a host.
func knowsHosts(v Verb) bool {
	switch v {
	case Barrier, Allreduce, Allgather, ReduceScatter, Alltoall:
		return true
	}
	return false
}

func TestRules(t *testing.T) {
	m := &Machine{Link: Link{Alpha: 1000, Beta: 1}, Segment: 1024, Rules: []Rule{
		{Verb: "allreduce", Ranks: 4, UpToBytes: 100, Algorithm: "ring"},
		{Verb: "allreduce", Ranks: 4, Algorithm: "sliced"}, // does not fit
		{Verb: "bcast", Algorithm: "chain"},
	}}
	for _, x := range []struct {
		v       Verb
		size, n int
		want    string
	}{
		{Allreduce, 4, 25, "ring"}, {Allreduce, 4, 26, "doubling"}, {Allreduce, 5, 20, "doubling"}, {Bcast, 3, 1, "chain"},
	} {
		if got := Name(x.v, m.Choose(callOf(x.v, x.size, x.n))); got != x.want {
			t.Errorf("%v of %d ranks, %d elements: %s, want %s", x.v, x.size, x.n, got, x.want)
		}
	}
	for name, want := range map[string]string{
		"sliced": "algorithm sliced does not fit; those that do: [doubling rabenseifner ring pairwise ordered tree flat direct]",
		"fast":   fmt.Sprintf(`no algorithm "fast"; there are %v`, Names(Allreduce)),
	} {
		if _, err := Find(callOf(Allreduce, 4, 1), name); fmt.Sprint(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var table = flag.Bool("table", false, "print what algorithms cost on up to 1024 ranks")

// TestTable makes the tables of docs/collectives.md: what a call costs by each
// algorithm on hosts of eight ranks each. Rings of 1024 ranks are costed by their
// formulas, the others simulated.
func TestTable(t *testing.T) {
	m := &Machine{
		Link: Link{Alpha: 20_000, Beta: 0.32}, Gamma: 0.03, Local: &Link{Alpha: 5_000, Beta: 0.1}, Segment: 1 << 20,
	}
	sizes := []int{16}
	if *table {
		sizes = []int{16, 64, 256, 1024}
	}
	for _, v := range []Verb{Barrier, Bcast, Allreduce, ReduceScatter, Allgather, Alltoall} {
		names := slices.DeleteFunc(Names(v), func(name string) bool { return name == "by-core" }) // of hosts with cores
		t.Logf("%v: | ranks | bytes | %s |", v, strings.Join(names, " | "))
		for _, size := range sizes {
			for _, bytes := range []int{8, 64 << 10, 16 << 20} {
				if v == Barrier && bytes > 8 {
					continue
				}
				n := bytes / 4
				if v != Allreduce && v != Bcast {
					n = max(n/size, 1) * size // whole blocks
				}
				c := callOf(v, size, n)
				for r := range size {
					c.Hosts = append(c.Hosts, r/8)
				}
				row := fmt.Sprintf("| %d | %d |", size, c.Count*4)
				best := math.Inf(1)
				costs := make([]float64, len(names))
				e := m.estimate(c)
				for i, name := range names {
					j := find(candidates(v), name)
					k := candidates(v)[j]
					if !k.allowed(c) {
						continue
					}
					long := slices.Contains([]string{"ring", "pairwise", "ordered", "linear", "scatter-allgather", "direct", "chain"}, k.name)
					if costs[i] = k.cost(e); size <= 256 || !long {
						costs[i] = m.Simulate(c, j)
					}
					best = min(best, costs[i])
				}
				for i := range costs {
					switch {
					case costs[i] == 0:
						row += " |"
					case costs[i] == best:
						row += fmt.Sprintf(" **%.3g** |", costs[i]/1000)
					default:
						row += fmt.Sprintf(" %.3g |", costs[i]/1000)
					}
				}
				t.Log(row)
			}
		}
	}
}
