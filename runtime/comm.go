package runtime

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"strconv"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Comm is a communicator: an ordered set of ranks whose messages meet those of
// no other communicator. Its methods and the functions that take it may be
// called by several goroutines at once, collective ones by one at a time.
type Comm struct {
	e     *engine
	group *group
	space uint8
	op    func() string // names calls of a library; may be nil
}

// NoColor as the color of Split makes a rank a member of no new communicator.
const NoColor = -1

// ownSpace carries what the runtime itself has to say on a communicator.
const ownSpace = 255

// Rank is this process's place in the communicator, from 0 to Size()−1.
func (c *Comm) Rank() int { return c.group.rank }

// Size is the number of ranks in the communicator.
func (c *Comm) Size() int { return len(c.group.ranks) }

// Name is "world" for the communicator of all ranks, and says for every other
// how it came about, such as "world/split2" for the second Split of it.
func (c *Comm) Name() string { return c.group.name }

// Host names the host of a rank, as the user wrote it.
func (c *Comm) Host(rank int) string { return c.e.hosts[c.group.ranks[rank]] }

// Cores is how many cores the host of a rank has, as its agent sees it; 0 when
// that is not known, as of ranks that share a process, or says nothing because
// the network is emulated. All ranks get the same answer.
func (c *Comm) Cores(rank int) int { return c.e.cores[c.group.ranks[rank]] }

// JobRank is the place in the job of a rank of this communicator: what record
// events call it.
func (c *Comm) JobRank(rank int) int { return c.group.ranks[rank] }

// Recorder is where this rank records what it does. It may be nil, which
// records nothing.
func (c *Comm) Recorder() *telemetry.Recorder { return c.e.recorder }

// Straggle is the job's specification of artificially slow workers; empty for
// none.
func (c *Comm) Straggle() string { return c.e.straggle }

// Traffic returns the bytes that this rank has sent and received on the wire
// since it joined, headers included, messages to itself not. Those that an
// emulated network still holds back count as sent, and what is done to windows
// in shared memory does not.
func (c *Comm) Traffic() (sent, received uint64) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	for i := range c.e.peers {
		sent += c.e.peers[i].sent
	}
	_, received = c.e.t.Bytes()
	return sent, received
}

// TrafficTo returns the bytes sent, as Traffic counts them, to each rank of the
// job, by its place there.
func (c *Comm) TrafficTo() []uint64 {
	to := make([]uint64, c.e.size)
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	for i := range to {
		to[i] = c.e.peers[i].sent
	}
	return to
}

// Computing adds n, which may be negative, to the number of goroutines of this
// rank that compute. While it is above one, calls that wait park at once
// instead of polling, so that they take no core from the others.
func (c *Comm) Computing(n int) { c.e.computing.Add(int32(n)) }

// Done is closed when the communicator can not be used any more: a rank of it
// was lost, it was closed, or the job is over.
func (c *Comm) Done() <-chan struct{} { return c.group.done }

// Err is nil until Done is closed and then says why.
func (c *Comm) Err() error {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	return c.e.broken(c.group)
}

// Close gives the communicator up on this rank, with its spaces: pending and
// later calls fail with ErrClosed, messages that wait or come are thrown away.
// A large message that has been announced to its receiver still goes out; what
// other ranks pull from this one fails with ErrClosed. Close is not collective,
// and Close of world is left to Run.
func (c *Comm) Close() error {
	e, g := c.e, c.group
	e.mu.Lock()
	defer e.mu.Unlock()
	if g.closed || g.id == 0 {
		return nil
	}
	for r := g.pending; r != nil; r = g.pending {
		e.detach(r, true) // who has been told of it may wait for its payload
		e.complete(r, ErrClosed)
	}
	e.breakGroup(g, ErrClosed)
	g.closed = true
	g.barred.Store(true)
	e.bury(g)
	return nil
}

// bury forgets a communicator that has been closed, and throws away what has come
// for it and will.
func (e *engine) bury(g *group) {
	delete(e.groups, g.id)
	e.shut[g.id] = true
	e.recentQ = nil
	e.closeRegions(g)
	for context, q := range e.queues {
		if context>>8 == g.id {
			delete(e.queues, context)
			e.empty(q)
		}
	}
	e.refusePulls(g.id)
	e.flush()
}

// Space returns the same communicator with another, private space of messages:
// none of them meets a receive of another space, wildcards included. It is
// local and costs nothing. Space 0 is the one that every communicator starts
// with and 255 is taken; libraries agree on the others: collectives 1, ssp 2.
func (c *Comm) Space(id uint8) *Comm {
	if id == ownSpace {
		panic("runtime: space 255 is the runtime's own")
	}
	return &Comm{e: c.e, group: c.group, space: id, op: c.op}
}

// context names the space of messages on the wire.
func (c *Comm) context() uint32 { return c.group.id<<8 | uint32(c.space) }

// target is the place in the job of a rank that is sent to.
func (c *Comm) target(rank int) (int, error) {
	if rank < 0 || rank >= len(c.group.ranks) {
		return 0, errors.Errorf("rank %d of %s, which has %d", rank, c.group.name, len(c.group.ranks))
	}
	return c.group.ranks[rank], nil
}

// source is the place in the job of a rank that is received from.
func (c *Comm) source(rank int) (int, error) {
	if rank == AnySource {
		return AnySource, nil
	}
	return c.target(rank)
}

// Split makes new communicators of the ranks that give the same color, ordered
// by key and, for equal keys, by rank. It is collective. A rank that gives
// NoColor gets nil; other colors are not negative. Spaces start anew. A rank
// makes one communicator of this one at a time, whatever its goroutines do
// otherwise.
//
// Where ranks make different calls of those that make communicators and windows, all
// get an error that matches ErrMismatch. Where one gives up, whose context ends, the
// others get one that matches ErrAbandoned, unless it had done its part already:
// they have something then that it lacks. Calls after that are in order again.
func (c *Comm) Split(ctx context.Context, color, key int) (*Comm, error) {
	return c.derive(ctx, verbSplit, c.child("split", &c.group.splits), color, key)
}

// SplitHost makes a communicator of the ranks of each host, in the order of their
// ranks. It is collective. On Linux they share memory, windows too, unless that
// is turned off.
func (c *Comm) SplitHost(ctx context.Context) (*Comm, error) {
	first := 0 // of this host
	for own := c.Host(c.Rank()); c.Host(first) != own; {
		first++
	}
	return c.derive(ctx, verbSplitHost, c.child("host", &c.group.splits), first, c.Rank())
}

// Dup makes a communicator of the same ranks. It is collective.
func (c *Comm) Dup(ctx context.Context) (*Comm, error) {
	return c.derive(ctx, verbDup, c.child("dup", &c.group.dups), 0, c.group.rank)
}

// child names a communicator that is made of this one, and counts it.
func (c *Comm) child(how string, count *int) string {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	*count++
	return c.group.name + "/" + how + strconv.Itoa(*count)
}

// errAtOnce says that two calls that must not were made at a time.
var errAtOnce = errors.New("another communicator or window was made at the same time by another goroutine")

// errTaken says that some rank has the identity of a new communicator already. All
// ranks find it.
var errTaken = errors.New("other goroutines make communicators all the time")

// derive is Split with a name. Rank 0 collects what all want, and the lowest
// identity for the new communicators that is above all that any rank knows: so
// no two communicators that share a rank share an identity. Where another
// goroutine has got the same meanwhile, for one that is made of another
// communicator, all ranks hear so and try others.
func (c *Comm) derive(ctx context.Context, verb accordVerb, name string, color, key int) (*Comm, error) {
	const tries = 16
	a := c.meet(verb)
	g, err := c.propose(ctx, a, name, color, key)
	for a.try++; a.try < tries && err == errTaken; a.try++ {
		g, err = c.propose(ctx, a, name, color, key)
	}
	if err != nil {
		return nil, errors.WithMessage(a.leave(err), name)
	}
	if g == nil {
		return nil, nil
	}
	return &Comm{e: c.e, group: g}, nil
}

// propose is one try of derive. It returns nil to a rank of no color.
func (c *Comm) propose(ctx context.Context, a *accord, name string, color, key int) (*group, error) {
	e, size := c.e, c.Size()
	e.mu.Lock()
	next := e.nextID
	e.mu.Unlock()
	all, err := a.exchange(ctx, 0, int64(color), int64(key), int64(next))
	if err != nil {
		return nil, err
	}
	id := uint32(0)
	for r := range size {
		if all[accordWords*r+1] < NoColor {
			return nil, errors.Errorf("color %d of rank %d is negative", all[accordWords*r+1], r)
		}
		id = max(id, uint32(all[accordWords*r+3]))
	}
	if a.try > 0 { // others of another parent fall elsewhere
		id += uint32(rand.New(rand.NewPCG(uint64(c.group.id), uint64(a.try))).IntN(1 << a.try))
	}
	if id >= 1<<24 {
		return nil, errors.Errorf("more than %d communicators", 1<<24)
	}
	var members []int // of the new one, by place in this one
	for r := range size {
		if all[accordWords*r+1] == int64(color) {
			at := len(members)
			for at > 0 && all[accordWords*members[at-1]+2] > all[accordWords*r+2] {
				at--
			}
			members = append(members, 0)
			copy(members[at+1:], members[at:])
			members[at] = r
		}
	}
	for i, r := range members {
		members[i] = c.group.ranks[r]
	}
	g := e.enlist(id, name, members, color != NoColor)
	taken := int64(0)
	if g == nil {
		taken = 1
	}
	if all, err = a.exchange(ctx, 1, taken); err == nil {
		for r := range size {
			if all[accordWords*r+1] != 0 {
				err = errTaken
			}
		}
	}
	if err != nil {
		if g != nil {
			e.strike(g)
		}
		return nil, err
	}
	if color == NoColor {
		return nil, nil
	}
	return g, nil
}

// enlist takes an identity for a new communicator: nil if it has been taken. A rank
// that is no member only knows of it then.
func (e *engine) enlist(id uint32, name string, members []int, member bool) *group {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.groups[id] != nil || e.shut[id] {
		return nil
	}
	e.nextID = max(e.nextID, id+1)
	g := newGroup(id, name, members, e.rank, e.size)
	if !member {
		return g
	}
	e.groups[id] = g
	for _, r := range members {
		if cause := e.peers[r].lost; cause != nil && r != e.rank {
			e.breakGroup(g, &RankError{Rank: r, Host: e.hosts[r], Cause: cause})
		}
	}
	if e.failure != nil && g.err == nil {
		if _, lost := e.failure.(*RankError); !lost {
			e.breakGroup(g, e.failure)
		}
	}
	return g
}

// strike takes back what enlist has done: nobody uses the communicator.
func (e *engine) strike(g *group) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.groups[g.id] == g {
		e.breakGroup(g, ErrClosed)
		g.closed = true
		e.bury(g)
	}
}

// empty throws away the messages of a context that has been closed.
func (e *engine) empty(q *queues) {
	for en := q.Oldest(); en != nil; en = q.Oldest() {
		q.Drop(en)
		e.drop(en.Value)
	}
}

// maxCause is the longest payload of a Revoke.
const maxCause = 4 << 10

// encodeCause is the payload of a Revoke: the culprit's rank and what happened.
func encodeCause(rank int, cause string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(rank))
	return append(b, cause[:min(len(cause), maxCause-4)]...)
}

// decodeCause reads the payload of a Revoke that came from peer.
func decodeCause(b []byte, peer int) (rank int, cause error) {
	if len(b) < 4 {
		return peer, errQuit
	}
	rank = int(int32(binary.LittleEndian.Uint32(b)))
	return rank, remoteError(b[4:])
}

// remoteError is the text of an error at another rank.
type remoteError string

func (e remoteError) Error() string { return string(e) }
