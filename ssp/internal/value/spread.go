package value

// Spread follows, at a shard, how far the batches that it has applied have spread:
// a batch is visible when all ranks that read from the shard have installed it.
// Batches are numbered in the order of their application.
//
// A rank that has not asked for anything has no copy that could lack a batch.
// The workers of the shard's own rank read its rows themselves. A writer's own
// rank counts only when it has other workers than the writer.
type Spread struct {
	siblings bool
	member   []bool
	marks    []uint64    // by rank: the last batch that is installed there
	waiting  [][]applied // by writer: not visible, in order
	visible  []uint64    // by writer: the last version that is
}

type applied struct{ version, count uint64 }

// NewSpread returns a Spread over so many ranks; siblings says that a rank has
// several workers.
func NewSpread(ranks int, siblings bool) *Spread {
	return &Spread{
		siblings: siblings, member: make([]bool, ranks), marks: make([]uint64, ranks),
		waiting: make([][]applied, ranks), visible: make([]uint64, ranks),
	}
}

// Join makes a rank one that reads from the shard, after count batches.
func (s *Spread) Join(rank int, count uint64) {
	if !s.member[rank] {
		s.member[rank], s.marks[rank] = true, count
	}
}

// Applied says that a batch of a rank is applied as number count.
func (s *Spread) Applied(from int, version, count uint64) {
	s.waiting[from] = append(s.waiting[from], applied{version, count})
	s.advance(from)
}

// Installed says that a rank has all batches up to number count.
func (s *Spread) Installed(rank int, count uint64) {
	if count <= s.marks[rank] {
		return
	}
	s.marks[rank] = count
	for from := range s.waiting {
		s.advance(from)
	}
}

func (s *Spread) advance(from int) {
	q := s.waiting[from]
	if len(q) == 0 {
		return
	}
	least := q[len(q)-1].count
	for r, m := range s.marks {
		if s.member[r] && (r != from || s.siblings) {
			least = min(least, m)
		}
	}
	n := 0
	for n < len(q) && q[n].count <= least {
		s.visible[from] = q[n].version
		n++
	}
	s.waiting[from] = append(q[:0], q[n:]...)
}

// Visible returns the last version of a writer that all ranks have.
func (s *Spread) Visible(from int) uint64 { return s.visible[from] }
