package schedule

import (
	"math"
	"testing"
)

// counted is what the parts of a call do, step by step.
func counted(parts []Schedule) (w work) {
	for _, p := range parts {
		for _, round := range p.Rounds {
			for _, s := range round.Net {
				if s.Kind == Send {
					w.messages++
					w.moved += float64(s.Src.Len)
				}
			}
			for _, s := range round.Local {
				w.touched += float64(s.Dst.Len)
			}
		}
	}
	return w
}

// layouts are hosts of size ranks.
func layouts(size int) map[string][]int {
	all := map[string][]int{"one": nil, "runs": {}, "dealt": {}, "uneven": {}, "threes": {}}
	for r := range size {
		all["runs"] = append(all["runs"], r*2/size)
		all["dealt"] = append(all["dealt"], r%3)
		all["threes"] = append(all["threes"], r/3)
		all["uneven"] = append(all["uneven"], min(r, 1))
	}
	return all
}

// TestWork: the formulas of work count what schedules do.
func TestWork(t *testing.T) {
	m := &Machine{Link: Link{Alpha: 1000, Beta: 0.25}, Gamma: 0.05, Segment: 1 << 10}
	near := func(got, want, slack float64) bool { return math.Abs(got-want) <= slack*want+1e-6 }
	for v := Barrier; v <= Exscan; v++ {
		for i, k := range candidates(v) {
			for size := 2; size <= 17; size++ {
				for name, hosts := range layouts(size) {
					for _, n := range []int{0, 12 * size, 1024 * size, 5000 * size} {
						c := callOf(v, size, n)
						c.Hosts = hosts
						c.Root = size / 2 * (n / size % 2)
						if !k.allowed(c) {
							continue
						}
						var parts []Schedule
						for r := range size {
							parts = append(parts, m.Build(c, i, r))
						}
						got, want := k.work(m.estimate(c)), counted(parts)
						touched := 0.1
						switch {
						case v == Exscan && k.name == "doubling":
							touched = 0.5 // it keeps two sums
						case k.name == "two-level":
							touched = 0.5 // where a host's only rank copies its vector
						}
						if !near(got.messages, want.messages, 0) || !near(got.moved, want.moved, 1e-3) || !near(got.touched, want.touched, touched) {
							t.Errorf("%v %s, %d ranks on hosts %s, %d elements: formula %v, counted %v", v, k.name, size, name, n, got, want)
						}
					}
				}
			}
		}
	}
}
