package schedule

import "math/bits"

// Model is the α-β-γ model of a machine: what a message, an element on the wire
// and an element combined cost, in any unit of time.
type Model struct{ Alpha, Beta, Gamma float64 }

// Measure returns when the last rank is done if all start at 0. A rank sends
// the messages of a round one after the other and takes them in one after the
// other, both at once; a message arrives Alpha plus Beta for each element after
// its turn has come on both sides.
func (m Model) Measure(parts []Schedule) float64 {
	type message struct{ at float64 }
	n := len(parts)
	now := make([]float64, n)
	round := make([]int, n)
	sent := make([]bool, n)
	line := make(map[[2]int][]message)
	for done := 0; done < n; {
		done = 0
		moved := false
		for r := range parts {
			if round[r] == len(parts[r].Rounds) {
				done++
				continue
			}
			step := parts[r].Rounds[round[r]]
			if !sent[r] {
				out := now[r]
				for _, s := range step.Net {
					if s.Kind == Send {
						out += m.Alpha + m.Beta*float64(s.Src.Len)
						key := [2]int{r, s.Peer}
						line[key] = append(line[key], message{out})
					}
				}
				sent[r], moved = true, true
			}
			end, out, ready := now[r], now[r], true
			for _, s := range step.Net {
				cost := m.Alpha + m.Beta*float64(max(s.Src.Len, s.Dst.Len))
				if s.Kind == Send {
					out += cost
					continue
				}
				q := line[[2]int{s.Peer, r}]
				if len(q) == 0 {
					ready = false
					break
				}
				end = max(end+m.Beta*float64(s.Dst.Len), q[0].at)
			}
			if !ready {
				continue
			}
			for _, s := range step.Net {
				if s.Kind == Recv {
					key := [2]int{s.Peer, r}
					line[key] = line[key][1:]
				}
			}
			end = max(end, out)
			for _, s := range step.Local {
				if s.Kind == Reduce {
					end += m.Gamma * float64(s.Dst.Len)
				}
			}
			now[r], sent[r], moved = end, false, true
			round[r]++
		}
		if !moved && done < n {
			panic("schedule: measured schedules deadlock")
		}
	}
	last := 0.0
	for _, t := range now {
		last = max(last, t)
	}
	return last
}

// All builds the parts of every rank.
func All(a Algorithm, size, root, count int) []Schedule {
	parts := make([]Schedule, size)
	for r := range parts {
		parts[r] = a(r, size, root, count)
	}
	return parts
}

// AllBlocks builds the parts of every rank.
func AllBlocks(a BlockAlgorithm, size, root int, counts []int) []Schedule {
	parts := make([]Schedule, size)
	for r := range parts {
		parts[r] = a(r, size, root, counts)
	}
	return parts
}

// log2 returns the rounds in which size ranks are reached by doubling.
func log2(size int) float64 { return float64(bits.Len(uint(size - 1))) }

// ChooseBcast returns the faster algorithm for count elements by the formulas
// of the literature.
func (m Model) ChooseBcast(size, count int) Algorithm {
	n, p := float64(count), float64(size)
	tree := log2(size) * (m.Alpha + n*m.Beta)
	ring := (log2(size)+p-1)*m.Alpha + 2*(p-1)/p*n*m.Beta
	if size <= 2 || tree <= ring {
		return BcastBinomial
	}
	return BcastScatterAllgather
}

// ChooseAllreduce is ChooseBcast for Allreduce; inOrder leaves out what
// reorders operands.
func (m Model) ChooseAllreduce(size, count int, inOrder bool) Algorithm {
	n, p := float64(count), float64(size)
	rounds := log2(size)
	if size&(size-1) != 0 {
		rounds++ // the extra ranks before and after
	}
	doubling := rounds * (m.Alpha + n*(m.Beta+m.Gamma))
	ring := 2*(p-1)*m.Alpha + (p-1)/p*n*(2*m.Beta+m.Gamma)
	if inOrder || size <= 2 || doubling <= ring {
		return AllreduceDoubling
	}
	return AllreduceRing
}

// ChooseGather is ChooseBcast for Gather, of total elements. Scatter is its
// mirror.
func (m Model) ChooseGather(size, total int) BlockAlgorithm {
	if m.tree(size, total) {
		return GatherBinomial
	}
	return GatherLinear
}

// ChooseScatter is described at [Model.ChooseGather].
func (m Model) ChooseScatter(size, total int) BlockAlgorithm {
	if m.tree(size, total) {
		return ScatterBinomial
	}
	return ScatterLinear
}

// tree reports whether a tree beats direct messages at the root: it saves
// messages there, and pays with copies through scratch memory.
func (m Model) tree(size, total int) bool {
	n, p := float64(total), float64(size)
	return log2(size)*m.Alpha+n*(m.Beta+2*m.Gamma) < (p-1)*m.Alpha+(p-1)/p*n*m.Beta
}

// ChooseAllgather is ChooseBcast for Allgather, of total elements.
func (m Model) ChooseAllgather(size, total int) BlockAlgorithm {
	n, p := float64(total), float64(size)
	if log2(size)*m.Alpha+n*2*m.Gamma <= (p-1)*m.Alpha {
		return AllgatherBruck
	}
	return AllgatherRing
}
