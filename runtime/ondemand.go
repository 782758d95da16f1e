package runtime

import (
	"context"
	"slices"
	"time"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Where pairs connect on first use, a rank can not tell each peer itself that it
// leaves: that would connect all. It tells so
//
//   - those it is connected with, by a Leave behind all else that it sent them;
//   - then, when all that it ever sent has left and so no connection that it
//     asked for is still being made, everybody, by a Left that goes along the
//     tree of transport.InTree, whose neighbours are connected from the start.
//
// Who hears a Left of a rank with which it has no connection knows that nothing
// comes from there. With a connection, even one that is being made, it waits for
// the Leave: who has left sends one on every connection that is made later.
//
// Handlers may send until all bodies have returned, also to peers that are not
// connected yet; so the goodbyes go the same two ways, and nobody ends before all
// have said theirs and it has passed all of these on.

const forever = time.Duration(1<<63 - 1)

// tellAll says along the tree that this rank has left or, in the end, goes, when
// nothing that it sent is under way. A rank that is told to stop before fails, and
// says nothing.
func (e *engine) tellAll(ctx context.Context, kind wire.Kind) error {
	e.mu.Lock()
	e.sending = time.Now()
	e.mu.Unlock()
	e.linger(forever, func() bool { return !e.t.Pending() || e.failure != nil || ctx.Err() != nil })
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sending = time.Time{}
	if e.failure != nil {
		return e.failure
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	h := wire.Header{Kind: wire.Left, ID: uint64(e.rank)}
	if kind == wire.Goodbye {
		h.Flags = wire.Parted
	}
	e.passLeft(e.rank, h)
	return nil
}

// passLeft sends a Left to the neighbours in the tree but the one it is from. The
// lock is held.
func (e *engine) passLeft(from int, h wire.Header) {
	for _, peer := range e.tree {
		if peer != from {
			e.out = h
			e.transmit(peer, nil, nil)
		}
	}
}

// hearLeft takes a Left from a neighbour in the tree.
func (e *engine) hearLeft(from int, h *wire.Header) {
	rank, parts := int(h.ID), h.Flags&wire.Parted != 0
	p := &e.peers[rank]
	told := &p.told[h.Flags&wire.Parted]
	if *told {
		return
	}
	*told = true
	e.passLeft(from, wire.Header{Kind: wire.Left, Flags: h.Flags & wire.Parted, ID: h.ID})
	if e.t.Link(rank) == transport.Unlinked { // else its Leave or Goodbye comes or has come
		p.left, p.gone = true, p.gone || parts
		if !parts {
			e.desert(rank)
			e.tellPorts(rank)
		}
	}
	e.checkLeave()
}

// missed reports whether a rank that has said goodbye ends too early: it can only
// end well when it has heard the goodbye of this one, and a neighbour in the tree
// when it has passed on those of all. The lock is held.
func (e *engine) missed(rank int) bool {
	switch {
	case e.tree == nil:
		return false
	case !e.parting:
		return true
	case !slices.Contains(e.tree, rank):
		return false
	}
	for i := range e.peers {
		if i != e.rank && !e.peers[i].told[1] {
			return true
		}
	}
	return false
}

// Joined is told by the transport that a peer that was not connected is. It has
// missed what connected peers have been told.
func (e *engine) Joined(peer int) {
	e.peers[peer].gone = false // it says so on this connection, too
	if e.leaving {
		e.out = wire.Header{Kind: wire.Leave}
		e.transmit(peer, nil, nil)
	}
	if e.parting {
		e.out = wire.Header{Kind: wire.Goodbye}
		e.transmit(peer, nil, nil)
	}
	if e.revoked != nil {
		e.tellRevoked(peer)
	}
}

// Failed is told by the transport that this rank can not connect any more.
func (e *engine) Failed(err error) { e.collapse(err) }

// revocation is the word that the job has failed.
type revocation struct {
	word []byte // encodeCause
	from int    // the rank that said so first
}

// tellRevoked tells a peer that the job has failed.
func (e *engine) tellRevoked(peer int) {
	e.out = wire.Header{Kind: wire.Revoke, ID: uint64(e.revoked.from), Length: uint64(len(e.revoked.word))}
	e.transmit(peer, [][]byte{e.revoked.word}, nil)
}

// revoke tells all peers that the job has failed; where pairs connect on first
// use, those that it is connected with, who pass it on, also when they have said
// goodbye: they may wait for others. The lock is held.
func (e *engine) revoke(r *revocation) {
	e.revoked = r
	for peer := range e.peers {
		switch p := &e.peers[peer]; {
		case peer == e.rank || p.lost != nil:
		case e.tree == nil && p.gone:
		case e.tree != nil && e.t.Link(peer) == transport.Unlinked:
			p.fell = true // it hears of it from others
		default:
			e.tellRevoked(peer)
		}
	}
}

// passRevoke passes the word that the job has failed on, where peers may not be
// connected with who said it, the first time.
func (e *engine) passRevoke(r *revocation) {
	if e.tree != nil && e.revoked == nil && e.t != nil {
		e.revoke(r)
	}
}
