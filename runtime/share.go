package runtime

import (
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/tcp"
)

// segment is memory that this rank shares with others of its host.
type segment interface {
	// join returns the transport that reaches through it the ranks that have a
	// slot, and all others over mesh. It takes both over, also when it fails.
	join(slots []int, mesh *tcp.Transport, recv transport.Receiver) (transport.Transport, error)
	Close() error
}

// near finds the ranks that self reaches through shared memory, and they it:
// those that have mapped the same and whose links are not to be slowed. It
// returns the slot of each rank, −1 for the others, and whether there are any.
func near(roster []bootstrap.Peer, self bootstrap.Peer, slow bootstrap.Emulation) (slots []int, some bool) {
	slots = make([]int, len(roster))
	for rank, p := range roster {
		slots[rank] = -1
		if rank == self.Rank || self.Shared == "" || p.Shared != self.Shared ||
			slow.Link(self.Rank, rank) != (bootstrap.Link{}) || slow.Link(rank, self.Rank) != (bootstrap.Link{}) {
			continue
		}
		slots[rank], some = p.Slot, true
	}
	return slots, some
}
