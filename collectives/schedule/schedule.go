// Package schedule expresses collective algorithms as data: what each rank
// sends, receives, combines and copies, in rounds. An [Algorithm] is a pure
// function; [Check] proves it symbolically and [Measure] costs it, without a
// network.
package schedule

// Kind is what a step does.
type Kind uint8

// The kinds of steps.
const (
	Send   Kind = iota + 1 // send Src to Peer
	Recv                   // receive Dst from Peer
	Reduce                 // Dst = Dst op Src, both local, in this order
	Copy                   // Dst = Src, both local
)

// Buffer names the memory a range lies in.
type Buffer uint8

// The buffers.
const (
	Input   Buffer = iota // the caller's source; never written. It may be the same memory as Output.
	Output                // the caller's destination
	Scratch               // Schedule.Scratch elements that the executor provides
)

// Range is a run of elements of a buffer.
type Range struct {
	Buf      Buffer
	Off, Len int
}

// Step is one action of one rank.
type Step struct {
	Kind Kind
	Peer int   // of Send and Recv
	Dst  Range // of Recv, Reduce, Copy
	Src  Range // of Send, Reduce, Copy
}

// Round is a set of steps. The sends and receives of a round run at once and
// touch disjoint memory (two sends may share what they read); when all are done
// its local steps run in the order given. The k-th send of one rank to another
// meets the k-th receive there, whatever the rounds; a round has at most one
// send to and one receive from any peer.
type Round struct {
	Net   []Step // Send and Recv
	Local []Step // Reduce and Copy
}

// Schedule is the whole part of one rank.
type Schedule struct {
	Name    string // of the algorithm: "ring"
	Rounds  []Round
	Scratch int // elements
}

// Sends returns the number of elements that the rank sends.
func (s *Schedule) Sends() int {
	n := 0
	for _, r := range s.Rounds {
		for _, step := range r.Net {
			if step.Kind == Send {
				n += step.Src.Len
			}
		}
	}
	return n
}

// Algorithm builds the part of one rank in a collective over a vector of count
// elements. It depends on its arguments only. root is in [0, size) for rooted
// collectives and ignored by others.
type Algorithm func(rank, size, root, count int) Schedule

// BlockAlgorithm is an Algorithm over blocks: counts[r] elements belong to rank
// r and blocks lie in rank order.
type BlockAlgorithm func(rank, size, root int, counts []int) Schedule

// Blocks splits count elements as evenly as possible.
func Blocks(size, count int) []int {
	counts := make([]int, size)
	for r := range counts {
		counts[r] = (r+1)*count/size - r*count/size
	}
	return counts
}

// offsets returns where the blocks begin, and the end.
func offsets(counts []int) []int {
	off := make([]int, len(counts)+1)
	for r, n := range counts {
		off[r+1] = off[r] + n
	}
	return off
}

func (s *Schedule) net(steps ...Step)   { s.Rounds = append(s.Rounds, Round{Net: steps}) }
func (s *Schedule) local(steps ...Step) { s.then(Round{Local: steps}) }

// then adds local steps to the last round when there is one.
func (s *Schedule) then(r Round) {
	if n := len(s.Rounds); n > 0 {
		s.Rounds[n-1].Local = append(s.Rounds[n-1].Local, r.Local...)
		return
	}
	s.Rounds = append(s.Rounds, r)
}

func send(peer int, src Range) Step { return Step{Kind: Send, Peer: peer, Src: src} }
func recv(peer int, dst Range) Step { return Step{Kind: Recv, Peer: peer, Dst: dst} }
func reduce(dst, src Range) Step    { return Step{Kind: Reduce, Dst: dst, Src: src} }
func copyStep(dst, src Range) Step  { return Step{Kind: Copy, Dst: dst, Src: src} }
