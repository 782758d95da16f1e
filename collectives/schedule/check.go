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
	// InPlace says that Input and Output are the same memory: element i of Input
	// is element i+Shift(rank) of Output, where that exists. A nil Shift is 0.
	InPlace bool
	Shift   func(rank int) int
	// Keeps says that a Reduce leaves Left as it is when Dst is Src.
	Keeps bool
}

// Check runs the schedules of all ranks, of which those are the parts,
// symbolically and returns the first violation: a deadlock when no send is
// buffered, a send that meets a receive of another length, memory that steps
// share that may run at once or that lies outside its buffer, a write to Input,
// or an output element that is not made of every wanted contribution exactly
// once.
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

// value is what an element holds: an operand, or two values combined in this
// order. Values are never changed. Nil is undefined.
type value = *node

type node struct {
	Term
	left, right value // both or none
}

// terms appends the operands of a value in order.
func (v *node) terms(to []Term) []Term {
	switch {
	case v == nil:
		return to
	case v.left == nil:
		return append(to, v.Term)
	}
	return v.right.terms(v.left.terms(to))
}

// alike reports whether two values combine the same operands in the same way.
func alike(a, b value) bool {
	if a == b || a == nil || b == nil {
		return a == b
	}
	return a.Term == b.Term && alike(a.left, b.left) && alike(a.right, b.right)
}

type machine struct {
	parts   []Schedule
	mem     [][3][]value
	inPlace bool
	keeps   bool
	shift   []int      // of each rank
	round   []int      // of each rank, the one opened last
	open    [][]opened // net steps that are not done, oldest first
}

// opened is a net step of a round that has been opened.
type opened struct {
	Step
	round int
}

func newMachine(parts []Schedule, g Goal) *machine {
	m := &machine{parts: parts, inPlace: g.InPlace, keeps: g.Keeps, round: make([]int, len(parts)), open: make([][]opened, len(parts)), shift: make([]int, len(parts))}
	for r, p := range parts {
		var mem [3][]value
		mem[Input] = make([]value, g.Input(r))
		mem[Output] = make([]value, g.Output(r))
		mem[Scratch] = make([]value, p.Scratch)
		if g.Shift != nil {
			m.shift[r] = g.Shift(r)
		}
		for i := range mem[Input] {
			mem[Input][i] = &node{Term: Term{r, i}}
			if j := i + m.shift[r]; g.InPlace && j >= 0 && j < len(mem[Output]) {
				mem[Output][j] = mem[Input][i]
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
		if m.round[r] < len(p.Rounds) || len(m.open[r]) > 0 {
			return fmt.Errorf("deadlock: rank %d stays in round %d with %+v", r, m.round[r], m.open[r])
		}
	}
	return nil
}

// enter opens the next round of a rank and, while the rounds that it waits for
// are closed, goes on.
func (m *machine) enter(r int) error {
	if err := m.begin(r); err != nil {
		return err
	}
	return m.advance(r)
}

func (m *machine) begin(r int) error {
	if i := m.round[r]; i < len(m.parts[r].Rounds) {
		if err := m.checkRound(r, i); err != nil {
			return fmt.Errorf("rank %d round %d: %w", r, i, err)
		}
		for _, s := range m.parts[r].Rounds[i].Net {
			m.open[r] = append(m.open[r], opened{s, i})
		}
	}
	return nil
}

// advance ends rounds of a rank as long as nothing is open that they wait for.
func (m *machine) advance(r int) error {
	for m.round[r] < len(m.parts[r].Rounds) {
		i := m.round[r]
		if len(m.open[r]) > 0 && m.open[r][0].round <= i-m.parts[r].Rounds[i].Lag {
			return nil
		}
		if err := m.leave(r); err != nil {
			return err
		}
		if err := m.begin(r); err != nil {
			return err
		}
	}
	return nil
}

// leave runs the local steps of a round and goes to the next.
func (m *machine) leave(r int) error {
	for _, s := range m.parts[r].Rounds[m.round[r]].Local {
		dst, src, left := m.at(r, s.Dst), m.at(r, s.Src), m.at(r, s.Left)
		made := make([]value, len(dst))
		for i := range dst {
			if src[i] == nil || s.Kind == Reduce && left[i] == nil {
				return fmt.Errorf("rank %d round %d: %+v uses what is undefined", r, m.round[r], s)
			}
			made[i] = src[i]
			if s.Kind == Reduce {
				made[i] = &node{left: left[i], right: src[i]}
			}
		}
		if s.Kind == Reduce && m.overlap(r, s.Dst, s.Src) && !m.keeps {
			for i := range left {
				m.set(r, s.Left, i, nil)
			}
		}
		for i := range made {
			m.set(r, s.Dst, i, made[i])
		}
	}
	m.round[r]++
	return nil
}

// transfer completes send i of rank r if it is the first to its peer and the
// peer has a receive open.
func (m *machine) transfer(r, i int) (bool, error) {
	s := m.open[r][i]
	if slices.IndexFunc(m.open[r], func(t opened) bool { return t.Kind == Send && t.Peer == s.Peer }) < i {
		return false, nil
	}
	j := slices.IndexFunc(m.open[s.Peer], func(t opened) bool { return t.Kind == Recv && t.Peer == r })
	if j < 0 {
		return false, nil
	}
	t := m.open[s.Peer][j]
	if s.Src.Len != t.Dst.Len {
		return false, fmt.Errorf("rank %d sends %d elements, rank %d receives %d", r, s.Src.Len, s.Peer, t.Dst.Len)
	}
	for k, v := range m.at(r, s.Src) {
		if v == nil {
			return false, fmt.Errorf("rank %d round %d: %+v sends what is undefined", r, s.round, s.Step)
		}
		m.set(s.Peer, t.Dst, k, v)
	}
	m.open[r] = slices.Delete(m.open[r], i, i+1)
	m.open[s.Peer] = slices.Delete(m.open[s.Peer], j, j+1)
	for _, q := range []int{r, s.Peer} {
		if err := m.advance(q); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (m *machine) at(r int, x Range) []value { return m.mem[r][x.Buf][x.Off : x.Off+x.Len] }

func (m *machine) set(r int, x Range, i int, v value) {
	m.mem[r][x.Buf][x.Off+i] = v
	if j := x.Off + i - m.shift[r]; m.inPlace && x.Buf == Output && j >= 0 && j < len(m.mem[r][Input]) {
		m.mem[r][Input][j] = v
	}
}

// checkRound checks round i of a rank against itself and the rounds that may
// still be open.
func (m *machine) checkRound(r, i int) error {
	rounds := m.parts[r].Rounds
	round := rounds[i]
	if round.Lag < 0 || i == len(rounds)-1 && round.Lag > 0 {
		return fmt.Errorf("lag of %d", round.Lag)
	}
	for k, s := range round.Net {
		if s.Peer < 0 || s.Peer >= len(m.parts) || s.Peer == r {
			return fmt.Errorf("peer %d", s.Peer)
		}
		for _, t := range round.Net[:k] {
			if t.Kind == s.Kind && t.Peer == s.Peer {
				return fmt.Errorf("two steps of one kind with peer %d", s.Peer)
			}
		}
		if s.Kind != Send && s.Kind != Recv {
			return fmt.Errorf("local step %+v among those of the net", s)
		}
		if err := m.checkRange(r, s.wire(), s.Kind == Recv); err != nil {
			return err
		}
	}
	// The rounds up to closed are closed when this one is opened.
	closed := -1
	for j, q := range rounds[:i] {
		closed = max(closed, j-q.Lag)
	}
	for j := closed + 1; j <= i; j++ {
		for k := range rounds[j].Net {
			s := &rounds[j].Net[k]
			for l := range round.Net {
				t := &round.Net[l]
				if (j < i || k < l) && (s.Kind == Recv || t.Kind == Recv) && m.overlap(r, s.wire(), t.wire()) {
					return fmt.Errorf("%+v overlaps %+v", s.wire(), t.wire())
				}
			}
		}
	}
	closed = max(closed, i-round.Lag)
	for _, s := range round.Local {
		if err := m.checkLocal(r, s); err != nil {
			return err
		}
		lost := Range{} // what is written beside Dst
		if s.Kind == Reduce && !m.keeps && m.overlap(r, s.Dst, s.Src) {
			lost = s.Left
		}
		for j := closed + 1; j <= i; j++ {
			for k := range rounds[j].Net {
				t := &rounds[j].Net[k]
				if m.overlap(r, s.Dst, t.wire()) || m.overlap(r, lost, t.wire()) || t.Kind == Recv && (m.overlap(r, s.Src, t.Dst) || m.overlap(r, s.Left, t.Dst)) {
					return fmt.Errorf("%+v meets the open %+v", s, *t)
				}
			}
		}
	}
	return nil
}

// wire is what a net step sends or receives.
func (s *Step) wire() Range {
	if s.Kind == Recv {
		return s.Dst
	}
	return s.Src
}

func (m *machine) checkLocal(r int, s Step) error {
	if s.Kind != Reduce && s.Kind != Copy {
		return fmt.Errorf("step %+v among the local ones", s)
	}
	if s.Dst.Len != s.Src.Len || s.Kind == Reduce && s.Left.Len != s.Dst.Len {
		return fmt.Errorf("%+v: lengths differ", s)
	}
	if m.overlap(r, s.Dst, s.Src) && !m.same(r, s.Dst, s.Src) {
		return fmt.Errorf("%+v: overlap", s)
	}
	if s.Kind == Reduce {
		if m.overlap(r, s.Dst, s.Left) && !m.same(r, s.Dst, s.Left) || m.overlap(r, s.Left, s.Src) {
			return fmt.Errorf("%+v: overlap", s)
		}
		if m.overlap(r, s.Dst, s.Src) && s.Left.Buf == Input && !m.keeps {
			return fmt.Errorf("%+v: the left operand is lost", s)
		}
		if err := m.checkRange(r, s.Left, false); err != nil {
			return err
		}
	}
	if err := m.checkRange(r, s.Dst, true); err != nil {
		return err
	}
	return m.checkRange(r, s.Src, false)
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

// place is a range where the memory is one: that of Input in Output.
func (m *machine) place(r int, x Range) Range {
	if m.inPlace && x.Buf == Input {
		return Range{Output, x.Off + m.shift[r], x.Len}
	}
	return x
}

func (m *machine) overlap(r int, a, b Range) bool {
	a, b = m.place(r, a), m.place(r, b)
	return a.Buf == b.Buf && a.Len > 0 && b.Len > 0 && a.Off < b.Off+b.Len && b.Off < a.Off+a.Len
}

func (m *machine) same(r int, a, b Range) bool { return m.place(r, a) == m.place(r, b) }

func (m *machine) checkElement(r, i int, g Goal) error {
	v, want := m.mem[r][Output][i], g.Want(r, i)
	got := v.terms(nil)
	if want == nil {
		if v != nil && !(g.InPlace && slices.Equal(got, []Term{{r, i - m.shift[r]}})) {
			return fmt.Errorf("rank %d element %d was written: %v", r, i, got)
		}
		return nil
	}
	if !g.Ordered {
		slices.SortFunc(got, func(a, b Term) int { return a.Rank - b.Rank })
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("rank %d element %d is made of %v, want %v", r, i, got, want)
	}
	return nil
}
