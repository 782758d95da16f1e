// Package schedule expresses collective algorithms as data: what each rank
// sends, receives, combines and copies, in rounds. An [Algorithm] is a pure
// function; [Check] proves it symbolically and [Model.Measure] costs it,
// without a network. [Model.Choose] picks one for a [Call] and [Build] makes
// its parts.
package schedule

// Kind is what a step does.
type Kind uint8

// The kinds of steps.
const (
	Send   Kind = iota + 1 // send Src to Peer
	Recv                   // receive Dst from Peer
	Reduce                 // Dst = Left op Src, all local, in this order
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

// part is n elements of a range from off on.
func (r Range) part(off, n int) Range { return Range{r.Buf, r.Off + off, n} }

// Step is one action of one rank. Dst of a Reduce may be Left, or Src. In the
// second case what Left holds is lost, and Left is not Input, unless the
// operation keeps it, see Call.
type Step struct {
	Kind Kind
	Peer int   // of Send and Recv
	Dst  Range // of Recv, Reduce, Copy
	Src  Range // of Send, Reduce, Copy
	Left Range // of Reduce
}

// Round is a set of steps. The sends and receives of all open rounds run at
// once and touch disjoint memory (sends may share what they read). A round is
// opened, then waits until all rounds but the last Lag are closed (that is, what
// they send has left and what they receive is there), then runs its local steps
// in the order given, which touch nothing that an open round writes and write
// nothing that it reads. The k-th send of one rank to another meets the k-th
// receive there, whatever the rounds; a round has at most one send to and one
// receive from any peer. The last round has no Lag.
type Round struct {
	Net   []Step // Send and Recv
	Local []Step // Reduce and Copy
	Lag   int
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

// largest is the greatest of counts.
func largest(counts []int) int {
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	return most
}

// segments is into how many parts of about segment elements n are cut.
func segments(n, segment int) int {
	return max(1, (n+segment-1)/max(segment, 1))
}

// cut is segment s of k of a range, cut as evenly as possible.
func (r Range) cut(s, k int) Range {
	from, to := s*r.Len/k, (s+1)*r.Len/k
	return r.part(from, to-from)
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

// need makes scratch memory of at least n elements.
func (s *Schedule) need(n int) { s.Scratch = max(s.Scratch, n) }

// pipeline appends total rounds that overlap: net says what round t sends and
// receives; it may use what local has done for the rounds before t-lag. local
// says what is done with what round t has received, and may be nil.
func (s *Schedule) pipeline(total, lag int, net, local func(t int) []Step) {
	if total == 0 {
		return
	}
	lag = min(lag, total-1)
	for t := range total + lag {
		r := Round{Lag: lag}
		if t < total {
			r.Net = net(t)
		}
		if local != nil && t >= lag {
			r.Local = local(t - lag)
		}
		s.Rounds = append(s.Rounds, r)
	}
	s.Rounds[len(s.Rounds)-1].Lag = 0
}

// pipelineLag is how many rounds of a pipeline overlap: the next message is
// announced and its receive posted while one is under way and one is worked on.
const pipelineLag = 2

func send(peer int, src Range) Step { return Step{Kind: Send, Peer: peer, Src: src} }
func recv(peer int, dst Range) Step { return Step{Kind: Recv, Peer: peer, Dst: dst} }
func copyStep(dst, src Range) Step  { return Step{Kind: Copy, Dst: dst, Src: src} }

// reduce is dst = dst op src.
func reduce(dst, src Range) Step { return merge(dst, dst, src) }

// merge is dst = left op right.
func merge(dst, left, right Range) Step {
	return Step{Kind: Reduce, Dst: dst, Left: left, Src: right}
}
