package runtime

import (
	"bytes"
	"context"
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
// the Leave: who has left sends one on every connection that is made later. When
// all have left no connection is made any more, both ends of each know of it,
// and the goodbyes go over those that there are.

// reaches reports whether a Leave or a Goodbye goes to a peer, and is to be
// awaited. The lock is held.
func (e *engine) reaches(peer int) bool {
	if e.tree == nil || e.t.Link(peer) == transport.Linked {
		return true
	}
	if e.parting {
		e.peers[peer].gone = true
	}
	return false
}

// tellLeft tells all ranks that this one has left, when nothing that it sent is
// under way.
func (e *engine) tellLeft(ctx context.Context) {
	const forever = time.Duration(1<<63 - 1)
	e.linger(forever, func() bool { return !e.t.Pending() || e.failure != nil || ctx.Err() != nil })
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure == nil {
		e.passLeft(e.rank, e.rank)
	}
}

// passLeft says that a rank has left to the neighbours in the tree but the one
// that said so. The lock is held.
func (e *engine) passLeft(rank, from int) {
	for _, peer := range e.tree {
		if peer != from {
			e.out = wire.Header{Kind: wire.Left, ID: uint64(rank)}
			e.transmit(peer, nil, nil)
		}
	}
}

// hearLeft takes the word of a neighbour in the tree that a rank has left.
func (e *engine) hearLeft(from, rank int) {
	e.passLeft(rank, from)
	if rank == e.rank || e.t.Link(rank) != transport.Unlinked {
		return // its Leave comes or has come
	}
	e.peers[rank].left = true
	e.desert(rank)
	e.checkLeave()
}

// Joined is told by the transport that a peer that was not connected is. It has
// missed what connected peers have been told.
func (e *engine) Joined(peer int) {
	if e.leaving {
		e.out = wire.Header{Kind: wire.Leave}
		e.transmit(peer, nil, nil)
	}
	if e.parting {
		e.out = wire.Header{Kind: wire.Goodbye}
		e.transmit(peer, nil, nil)
	}
	if e.revoked != nil {
		e.revoke(peer)
	}
}

// revoke tells a peer of the job's failure.
func (e *engine) revoke(peer int) {
	e.out = wire.Header{Kind: wire.Revoke, Length: uint64(len(e.revoked))}
	e.transmit(peer, [][]byte{e.revoked}, nil)
}

// passRevoke passes a peer's word of the job's failure on, the first time.
func (e *engine) passRevoke(word []byte) {
	if e.tree == nil || e.revoked != nil || e.failure != nil {
		return
	}
	e.revoked = bytes.Clone(word)
	for peer := range e.peers {
		if p := &e.peers[peer]; peer != e.rank && !p.fell && !p.gone && p.lost == nil && e.t.Link(peer) != transport.Unlinked {
			e.revoke(peer)
		}
	}
}
