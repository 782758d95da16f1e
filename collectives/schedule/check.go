package schedule

import (
	"fmt"
	"slices"
)

// A Term is one contribution to an element: element Index of the Input of Rank.
type Term struct{ Rank, Index int }

// Goal says what a set of schedules must do.
type Goal struct {
	Input  func(rank int) int // elements of Input
	Output func(rank int) int // elements of Output
	// Want is what element i of Output of a rank must be made of, in rank order;
	// nil when it must not be written.
	Want func(rank, i int) []Term
	// Ordered asks for exactly this order of operands; otherwise any will do.
	Ordered bool
	// InPlace lays Input of every rank over the beginning of its Output.
	InPlace bool
}

// Check runs the schedules of all ranks, of which those are the parts,
// symbolically and returns the first violation: a deadlock when no send is
// buffered, a send that meets a receive of another length, memory that the
// steps of a round share or that lies outside its buffer, a write to Input, or
// an output element that is not made of every wanted contribution exactly once.
func Check(parts []Schedule, g Goal) error {
	m := newMachine(parts, g)
	if err := m.run(); err != nil {
		return err
	}
	for r := range parts {
		for i := range g.Output(r) {
			if err := m.checkElement(r, i, g); err != nil {
				return err
			}
		}
	}
	return nil
}

// value is what an element holds: the operands in the order in which they were
// combined. Values are never changed. Nil is undefined.
type value []Term

type machine struct {
	parts   []Schedule
	mem     [][3][]value
	inPlace bool
	round   []int    // of each rank
	open    [][]Step // net steps of the round that are not done
}

func newMachine(parts []Schedule, g Goal) *machine {
	m := &machine{parts: parts, inPlace: g.InPlace, round: make([]int, len(parts)), open: make([][]Step, len(parts))}
	for r, p := range parts {
		var mem [3][]value
		mem[Input] = make([]value, g.Input(r))
		mem[Output] = make([]value, g.Output(r))
		mem[Scratch] = make([]value, p.Scratch)
		for i := range mem[Input] {
			mem[Input][i] = value{{r, i}}
			if g.InPlace && i < len(mem[Output]) {
				mem[Output][i] = mem[Input][i]
			}
		}
		m.mem = append(m.mem, mem)
	}
	return m
}

func (m *machine) run() error {
	for r := range m.parts {
		if err := m.enter(r); err != nil {
			return err
		}
	}
	for progress := true; progress; {
		progress = false
		for r := range m.parts {
			for i := 0; i < len(m.open[r]); i++ {
				if m.open[r][i].Kind != Send {
					continue
				}
				met, err := m.transfer(r, i)
				if err != nil {
					return err
				}
				if met {
					progress = true
					break // the lists have changed
				}
			}
		}
	}
	for r, p := range m.parts {
		if m.round[r] < len(p.Rounds) {
			return fmt.Errorf("deadlock: rank %d stays in round %d with %+v", r, m.round[r], m.open[r])
		}
	}
	return nil
}

// enter begins the round of a rank and, while there is nothing to send or
// receive, ends it.
func (m *machine) enter(r int) error {
	for m.round[r] < len(m.parts[r].Rounds) {
		round := m.parts[r].Rounds[m.round[r]]
		if err := m.checkRound(r, round); err != nil {
			return fmt.Errorf("rank %d round %d: %w", r, m.round[r], err)
		}
		if len(round.Net) > 0 {
			m.open[r] = slices.Clone(round.Net)
			return nil
		}
		if err := m.leave(r); err != nil {
			return err
		}
	}
	return nil
}

// leave runs the local steps of a round and goes to the next.
func (m *machine) leave(r int) error {
	for _, s := range m.parts[r].Rounds[m.round[r]].Local {
		dst, src := m.at(r, s.Dst), m.at(r, s.Src)
		for i := range dst {
			if src[i] == nil || s.Kind == Reduce && dst[i] == nil {
				return fmt.Errorf("rank %d round %d: %+v uses what is undefined", r, m.round[r], s)
			}
		}
		for i := range dst {
			if s.Kind == Reduce {
				m.set(r, s.Dst, i, slices.Concat(dst[i], src[i]))
			} else {
				m.set(r, s.Dst, i, src[i])
			}
		}
	}
	m.round[r]++
	return nil
}

// transfer completes send i of rank r if its receive is open.
func (m *machine) transfer(r, i int) (bool, error) {
	s := m.open[r][i]
	j := slices.IndexFunc(m.open[s.Peer], func(t Step) bool { return t.Kind == Recv && t.Peer == r })
	if j < 0 {
		return false, nil
	}
	t := m.open[s.Peer][j]
	if s.Src.Len != t.Dst.Len {
		return false, fmt.Errorf("rank %d sends %d elements, rank %d receives %d", r, s.Src.Len, s.Peer, t.Dst.Len)
	}
	for k, v := range m.at(r, s.Src) {
		if v == nil {
			return false, fmt.Errorf("rank %d round %d: %+v sends what is undefined", r, m.round[r], s)
		}
		m.set(s.Peer, t.Dst, k, v)
	}
	m.open[r] = slices.Delete(m.open[r], i, i+1)
	m.open[s.Peer] = slices.Delete(m.open[s.Peer], j, j+1)
	for _, q := range []int{r, s.Peer} {
		if len(m.open[q]) > 0 || m.round[q] >= len(m.parts[q].Rounds) {
			continue
		}
		if err := m.leave(q); err != nil {
			return false, err
		}
		if err := m.enter(q); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (m *machine) at(r int, x Range) []value { return m.mem[r][x.Buf][x.Off : x.Off+x.Len] }

func (m *machine) set(r int, x Range, i int, v value) {
	m.mem[r][x.Buf][x.Off+i] = v
	if m.inPlace && x.Buf == Output && x.Off+i < len(m.mem[r][Input]) {
		m.mem[r][Input][x.Off+i] = v
	}
}

func (m *machine) checkRound(r int, round Round) error {
	type use struct {
		Range
		write bool
	}
	var uses []use
	peers := map[Step]bool{}
	for _, s := range round.Net {
		if s.Peer < 0 || s.Peer >= len(m.parts) || s.Peer == r {
			return fmt.Errorf("peer %d", s.Peer)
		}
		if key := (Step{Kind: s.Kind, Peer: s.Peer}); peers[key] {
			return fmt.Errorf("two steps of one kind with peer %d", s.Peer)
		} else {
			peers[key] = true
		}
		switch s.Kind {
		case Send:
			uses = append(uses, use{s.Src, false})
		case Recv:
			uses = append(uses, use{s.Dst, true})
		default:
			return fmt.Errorf("local step %+v among those of the net", s)
		}
	}
	for i, u := range uses {
		if err := m.checkRange(r, u.Range, u.write); err != nil {
			return err
		}
		for _, v := range uses[:i] {
			if (u.write || v.write) && m.overlap(u.Range, v.Range) {
				return fmt.Errorf("%+v overlaps %+v", u.Range, v.Range)
			}
		}
	}
	for _, s := range round.Local {
		if s.Kind != Reduce && s.Kind != Copy {
			return fmt.Errorf("step %+v among the local ones", s)
		}
		if s.Dst.Len != s.Src.Len {
			return fmt.Errorf("%+v: lengths differ", s)
		}
		if s.Dst.Buf == s.Src.Buf && m.overlap(s.Dst, s.Src) {
			return fmt.Errorf("%+v: overlap", s)
		}
		if err := m.checkRange(r, s.Dst, true); err != nil {
			return err
		}
		if err := m.checkRange(r, s.Src, false); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) checkRange(r int, x Range, write bool) error {
	if x.Len == 0 {
		return nil
	}
	if x.Buf > Scratch || x.Off < 0 || x.Len < 0 || x.Off+x.Len > len(m.mem[r][x.Buf]) {
		return fmt.Errorf("%+v outside its buffer", x)
	}
	if write && x.Buf == Input {
		return fmt.Errorf("%+v written", x)
	}
	return nil
}

func (m *machine) overlap(a, b Range) bool {
	same := a.Buf == b.Buf || m.inPlace && a.Buf != Scratch && b.Buf != Scratch
	return same && a.Len > 0 && b.Len > 0 && a.Off < b.Off+b.Len && b.Off < a.Off+a.Len
}

func (m *machine) checkElement(r, i int, g Goal) error {
	got, want := m.mem[r][Output][i], g.Want(r, i)
	if want == nil {
		if got != nil && !(g.InPlace && slices.Equal(got, value{{r, i}})) {
			return fmt.Errorf("rank %d element %d was written: %v", r, i, got)
		}
		return nil
	}
	if !g.Ordered {
		got = slices.Clone(got)
		slices.SortFunc(got, func(a, b Term) int { return a.Rank - b.Rank })
	}
	if !slices.Equal(got, value(want)) {
		return fmt.Errorf("rank %d element %d is made of %v, want %v", r, i, got, want)
	}
	return nil
}
