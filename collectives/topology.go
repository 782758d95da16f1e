package collectives

import (
	"context"
	"fmt"

	"github.com/sspurn/sspurn/collectives/schedule"
	"github.com/sspurn/sspurn/runtime"
)

// NoRank stands for a neighbour that there is not: one beyond the border of a
// [Cart]. Messages to and from it end at once: it is [runtime.NoRank].
const NoRank = runtime.NoRank

// Neighborhood is a communicator whose ranks know with whom they exchange: a
// [Cart] or a [Graph].
type Neighborhood interface {
	// Comm is the communicator.
	Comm() *runtime.Comm
	// Neighbors are the ranks that this one receives from and sends to, in the
	// order of the blocks of [NeighborAlltoall]. They are not to be changed.
	Neighbors() (in, out []int)

	neighbors() *topology
}

// topology is who a rank's neighbours are.
type topology struct {
	in, out []int // in the order of blocks; NoRank for none
	arrive  []int // indices of in, so ordered that several messages of one rank meet theirs
}

// newTopology has the messages of a rank arrive in the order of in.
func newTopology(in, out []int) *topology {
	t := &topology{in: in, out: out}
	for i := range in {
		t.arrive = append(t.arrive, i)
	}
	return t
}

// part is this rank's part of an exchange, and what is wrong with what it has for
// itself.
func (t *topology) part(a *args, rank int) (*schedule.Schedule, string) {
	s := &schedule.Schedule{Name: "direct"}
	from, to := offsetsOf(a.transfer.Send), offsetsOf(a.transfer.Recv)
	outgoing := func(i int) schedule.Range {
		if a.verb == schedule.NeighborAllgather {
			return schedule.Range{Buf: schedule.Input, Len: a.transfer.Send[0]}
		}
		return schedule.Range{Buf: schedule.Input, Off: from[i], Len: a.transfer.Send[i]}
	}
	// The k-th message to a rank is that of round k: all rounds are open at once.
	round := func(k int) *schedule.Round {
		for len(s.Rounds) <= k {
			s.Rounds = append(s.Rounds, schedule.Round{})
		}
		return &s.Rounds[k]
	}
	round(0)
	times := map[int]int{}
	var toSelf []schedule.Range
	for i, peer := range t.out {
		switch peer {
		case NoRank:
		case rank:
			toSelf = append(toSelf, outgoing(i))
		default:
			r := round(times[peer])
			times[peer]++
			r.Net = append(r.Net, schedule.Step{Kind: schedule.Send, Peer: peer, Src: outgoing(i)})
		}
	}
	clear(times)
	var local []schedule.Step
	for _, i := range t.arrive {
		dst := schedule.Range{Buf: schedule.Output, Off: to[i], Len: a.transfer.Recv[i]}
		switch peer := t.in[i]; peer {
		case NoRank:
		case rank:
			// As many come as go: so it is with grids, and graphs are checked.
			if bad := a.toItself(i, toSelf[0].Len, dst.Len); bad != "" {
				return nil, bad
			}
			local = append(local, schedule.Step{Kind: schedule.Copy, Dst: dst, Src: toSelf[0]})
			toSelf = toSelf[1:]
		default:
			r := round(times[peer])
			times[peer]++
			r.Net = append(r.Net, schedule.Step{Kind: schedule.Recv, Peer: peer, Dst: dst})
		}
	}
	for k := range s.Rounds {
		s.Rounds[k].Lag = len(s.Rounds)
	}
	last := &s.Rounds[len(s.Rounds)-1]
	last.Lag, last.Local = 0, local
	return s, ""
}

func offsetsOf(counts []int) []int {
	off := make([]int, len(counts)+1)
	for i, n := range counts {
		off[i+1] = off[i] + n
	}
	return off
}

// NeighborAllgather sends src to all neighbours that this rank sends to, and
// receives that of each neighbour it receives from, in their order, into dst.
// All src are equally long, or [Counts] says how long each of the received
// blocks is. The block of a neighbour that there is not is left alone. dst and
// src do not overlap. Ranks that are no neighbours do not wait for each other.
func NeighborAllgather[T runtime.Elem](ctx context.Context, n Neighborhood, dst, src []T, opts ...Option) error {
	return block(ctx, n.Comm(), neighborGatherArgs(n, dst, src, opts))
}

// StartNeighborAllgather starts a [NeighborAllgather].
func StartNeighborAllgather[T runtime.Elem](n Neighborhood, dst, src []T, opts ...Option) *Request {
	return begin(n.Comm(), neighborGatherArgs(n, dst, src, opts))
}

// PrepareNeighborAllgather prepares a [NeighborAllgather].
func PrepareNeighborAllgather[T runtime.Elem](n Neighborhood, dst, src []T, opts ...Option) (*Plan, error) {
	return ready(n.Comm(), neighborGatherArgs(n, dst, src, opts))
}

// NeighborAlltoall sends block i of src to the i-th neighbour that this rank
// sends to, and receives the block of the i-th that it receives from as block i
// of dst. All blocks are equally long, or [Counts] and [RecvCounts] say how long
// each is. Blocks of neighbours that there are not are left alone. dst and src do
// not overlap. Ranks that are no neighbours do not wait for each other.
func NeighborAlltoall[T runtime.Elem](ctx context.Context, n Neighborhood, dst, src []T, opts ...Option) error {
	return block(ctx, n.Comm(), neighborAlltoallArgs(n, dst, src, opts))
}

// StartNeighborAlltoall starts a [NeighborAlltoall].
func StartNeighborAlltoall[T runtime.Elem](n Neighborhood, dst, src []T, opts ...Option) *Request {
	return begin(n.Comm(), neighborAlltoallArgs(n, dst, src, opts))
}

// PrepareNeighborAlltoall prepares a [NeighborAlltoall].
func PrepareNeighborAlltoall[T runtime.Elem](n Neighborhood, dst, src []T, opts ...Option) (*Plan, error) {
	return ready(n.Comm(), neighborAlltoallArgs(n, dst, src, opts))
}

func neighborGatherArgs[T runtime.Elem](n Neighborhood, dst, src []T, opts []Option) (a args) {
	fill(&a, schedule.NeighborAllgather, noRoot, dst, src, opts)
	a.topology = n.neighbors()
	a.count = len(src)
	in := a.o.counts
	if a.uneven = in != nil; a.uneven {
		a.count = 0
	} else {
		in = repeat(len(src), len(a.topology.in))
	}
	a.transfer = schedule.Transfer{Send: []int{len(src)}, Recv: in}
	if total := a.check("counts", in, len(a.topology.in), "neighbors"); a.bad == "" && total != len(dst) {
		a.bad = fmt.Sprintf("dst has %d elements where the blocks have %d in total", len(dst), total)
	}
	return a
}

func neighborAlltoallArgs[T runtime.Elem](n Neighborhood, dst, src []T, opts []Option) (a args) {
	fill(&a, schedule.NeighborAlltoall, noRoot, dst, src, opts)
	t := n.neighbors()
	a.topology = t
	out, in := a.o.counts, a.o.recv
	switch {
	case out == nil && in != nil:
		a.bad = "counts of what is received, but not of what is sent"
		return a
	case out == nil:
		if len(t.out) > 0 {
			a.count = len(src) / len(t.out)
		} else if len(t.in) > 0 {
			a.count = len(dst) / len(t.in)
		}
		out, in = repeat(a.count, len(t.out)), repeat(a.count, len(t.in))
	case in == nil:
		in = out
	}
	a.uneven = a.o.counts != nil
	a.transfer = schedule.Transfer{Send: out, Recv: in}
	sent, received := a.check("counts", out, len(t.out), "neighbors"), a.check("receive counts", in, len(t.in), "neighbors")
	if a.bad == "" && (len(src) != sent || len(dst) != received) {
		a.bad = fmt.Sprintf("src has %d elements and dst %d where the blocks have %d and %d", len(src), len(dst), sent, received)
	}
	return a
}

func repeat(n, times int) []int {
	counts := make([]int, times)
	for i := range counts {
		counts[i] = n
	}
	return counts
}
