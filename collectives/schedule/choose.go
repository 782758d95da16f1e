package schedule

import (
	"fmt"
	"slices"
)

// Verb is a collective operation.
type Verb uint8

// The verbs.
const (
	Barrier Verb = iota + 1
	Bcast
	ReduceTo
	Allreduce
	ReduceScatter
	Gather
	Allgather
	Scatter
	Alltoall
	Scan
	Exscan
	NeighborAllgather
	NeighborAlltoall
)

var verbs = [...]string{
	"unknown call", "barrier", "bcast", "reduce", "allreduce", "reduce-scatter", "gather", "allgather", "scatter", "alltoall", "scan",
	"exscan", "neighbor-allgather", "neighbor-alltoall",
}

// String is the name of the operation: "allreduce".
func (v Verb) String() string {
	if int(v) >= len(verbs) {
		return verbs[0]
	}
	return verbs[v]
}

// Call is what algorithms are chosen by. All ranks of a call have equal ones,
// but for Apart, Keeps and Transfer.
type Call struct {
	Verb    Verb
	Size    int // ranks
	Root    int
	Count   int   // elements of the vector; of all blocks of the verbs over blocks, and of those a rank sends in an Alltoall
	Counts  []int // of the blocks; not of Alltoall
	Elem    int   // bytes of an element
	InOrder bool  // results may not depend on the algorithm
	Hosts   []int // of each rank, in any numbers; nil: one host
	Cores   []int // of each rank's host; 0: not known. nil: of none
	Homes   []int // the core of its host that each rank keeps to; negative: none. nil: of none
	Apart   bool  // Input and Output share no memory
	Keeps   bool  // where Dst of a Reduce is Src, the operation leaves Left as it is
	Uneven  bool  // an Alltoall of blocks of different lengths

	Transfer Transfer // of Alltoall
}

// Link is what a message and each byte of it cost, in nanoseconds.
type Link struct {
	Alpha float64 `json:"alpha_ns"`
	Beta  float64 `json:"beta_ns_per_byte"`
}

// Machine is what algorithms are chosen for.
type Machine struct {
	Link            // between hosts, or everywhere
	Gamma   float64 `json:"gamma_ns_per_byte"` // to combine or copy a byte
	Local   *Link   `json:"local,omitempty"`   // within a host; nil: as everywhere
	Segment int     `json:"segment_bytes"`     // what pipelines move at a time
	Rules   []Rule  `json:"rules,omitempty"`   // the first that covers a call decides, if its algorithm fits
}

// Rule names the algorithm of some calls: those of a verb whose Call.Count
// elements have more than OverBytes bytes and at most UpToBytes.
type Rule struct {
	Verb      string `json:"verb"`
	Ranks     int    `json:"ranks,omitempty"` // 0: any number
	OverBytes int64  `json:"over_bytes,omitempty"`
	UpToBytes int64  `json:"up_to_bytes,omitempty"` // 0: no limit
	Algorithm string `json:"algorithm"`
}

func (r *Rule) covers(c *Call) bool {
	if r.Verb != c.Verb.String() || r.Ranks != 0 && r.Ranks != c.Size {
		return false
	}
	bytes := int64(c.Count) * int64(c.Elem)
	return (r.OverBytes == 0 || bytes > r.OverBytes) && (r.UpToBytes == 0 || bytes <= r.UpToBytes)
}

// candidate is an algorithm of a verb.
type candidate struct {
	name  string
	fits  func(c *Call) bool        // nil: always
	tree  func(c *Call) bool        // whether it combines in tree order; nil: never
	cost  func(e *estimate) float64 // of the longest path, by the formulas of the literature, for what Path counts
	work  func(e *estimate) work    // of all ranks of a call together, more than one
	build func(c *Call, rank, segment int) Schedule

	// crowded is of one host whose ranks share cores: the longest path, and the
	// longest chain of messages that wait for one another, and not only for
	// their turn at a rank. nil: both are cost.
	crowded func(e *estimate) (path, chain float64)
}

// Choose returns the algorithm of least cost for a call: an index for
// [Build], and for [Name].
func (m *Machine) Choose(c *Call) int {
	list := candidates(c.Verb)
	for i := range m.Rules {
		if r := &m.Rules[i]; r.covers(c) {
			if k := find(list, r.Algorithm); k >= 0 && list[k].allowed(c) {
				return k
			}
		}
	}
	e := m.estimate(c)
	best, least := -1, 0.0
	for i := range list {
		if !list[i].allowed(c) {
			continue
		}
		if cost := list[i].total(e); best < 0 || cost < least {
			best, least = i, cost
		}
	}
	return best
}

// Find returns the algorithm of that name, for [Build], or an error that says
// which there are, or which fit the call where that one does not.
func Find(c *Call, name string) (int, error) {
	list := candidates(c.Verb)
	i := find(list, name)
	switch {
	case i < 0:
		return -1, fmt.Errorf("no algorithm %q; there are %v", name, Names(c.Verb))
	case list[i].allowed(c):
		return i, nil
	}
	var names []string
	for i := range list {
		if list[i].allowed(c) {
			names = append(names, list[i].name)
		}
	}
	return -1, fmt.Errorf("algorithm %s does not fit; those that do: %v", name, names)
}

// Name is the name of algorithm i of a verb.
func Name(v Verb, i int) string {
	if list := candidates(v); i >= 0 && i < len(list) {
		return list[i].name
	}
	return "unknown"
}

// Names are those of all algorithms of a verb.
func Names(v Verb) []string {
	var names []string
	for _, k := range candidates(v) {
		names = append(names, k.name)
	}
	return names
}

// Build makes a rank's part of a call by algorithm i.
func (m *Machine) Build(c *Call, i, rank int) Schedule {
	k := candidates(c.Verb)[i]
	s := k.build(c, rank, max(1, m.Segment/max(c.Elem, 1)))
	s.Name = k.name
	return s
}

// Simulate returns the nanoseconds that a call takes by algorithm i, as
// [Model.Measure] does.
func (m *Machine) Simulate(c *Call, i int) float64 {
	parts := make([]Schedule, c.Size)
	for r := range parts {
		parts[r] = m.Build(c, i, r)
	}
	size := float64(c.Elem)
	model := Model{Alpha: m.Alpha, Beta: m.Beta * size, Gamma: m.Gamma * size}
	model.Hosts, model.Cores = c.Hosts, c.Cores
	model.LocalAlpha, model.LocalBeta = model.Alpha, model.Beta
	if m.Local != nil {
		model.LocalAlpha, model.LocalBeta = m.Local.Alpha, m.Local.Beta*size
		if c.Hosts == nil {
			model.Alpha, model.Beta = m.Local.Alpha, m.Local.Beta*size
		}
	}
	return model.Measure(parts)
}

func find(list []candidate, name string) int {
	return slices.IndexFunc(list, func(k candidate) bool { return k.name == name })
}

func (k *candidate) allowed(c *Call) bool {
	return (k.fits == nil || k.fits(c)) && (!c.InOrder || !combines(c.Verb) || k.tree != nil && k.tree(c))
}

// combines reports whether a verb has an operation.
func combines(v Verb) bool {
	switch v {
	case ReduceTo, Allreduce, ReduceScatter, Scan, Exscan:
		return true
	}
	return false
}

func several(c *Call) bool {
	if c.Hosts == nil {
		return false
	}
	n := len(slices.Compact(slices.Sorted(slices.Values(c.Hosts))))
	return n > 1 && n < c.Size
}

func even(c *Call) bool {
	if c.Hosts == nil {
		return false
	}
	several, even := Even(c.Hosts)
	return several && even
}

// mostScratch is the longest vector, in bytes, for which scratch memory of its
// length, or a few times that, may be taken to save time.
const mostScratch = 64 << 20

func roomy(c *Call) bool { return roomyFor(c, 1) }

// roomyFor is roomy for a rank that takes the vectors of so many.
func roomyFor(c *Call, ranks int) bool { return c.Count*max(c.Elem, 1) <= mostScratch/ranks }

func both(f, g func(*Call) bool) func(*Call) bool {
	return func(c *Call) bool { return f(c) && g(c) }
}

func power(c *Call) bool { return isPower(c.Size) }

func isPower(size int) bool { return size&(size-1) == 0 }

func always(*Call) bool { return true }

// vector makes a candidate's build of an algorithm.
func vector(a Algorithm) func(*Call, int, int) Schedule {
	return func(c *Call, rank, _ int) Schedule { return a(rank, c.Size, c.Root, c.Count) }
}

// parted is vector for algorithms with segments.
func parted(a func(segment int) Algorithm) func(*Call, int, int) Schedule {
	return func(c *Call, rank, segment int) Schedule { return a(segment)(rank, c.Size, c.Root, c.Count) }
}

// apart is parted for algorithms that take less memory where Input and Output
// are apart.
func apart(a func(segment int, apart bool) Algorithm) func(*Call, int, int) Schedule {
	return func(c *Call, rank, segment int) Schedule { return a(segment, c.Apart)(rank, c.Size, c.Root, c.Count) }
}

func blocks(a BlockAlgorithm) func(*Call, int, int) Schedule {
	return func(c *Call, rank, _ int) Schedule { return a(rank, c.Size, c.Root, c.Counts) }
}

func apartBlocks(a func(segment int, apart bool) BlockAlgorithm) func(*Call, int, int) Schedule {
	return func(c *Call, rank, segment int) Schedule { return a(segment, c.Apart)(rank, c.Size, c.Root, c.Counts) }
}
