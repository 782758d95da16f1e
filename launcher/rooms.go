package launcher

import (
	"sync"

	"github.com/sspurn/sspurn/launcher/agent"
)

// rooms returns credits for output to an agent once the output has been taken,
// a quarter of a window at a time.
type rooms struct {
	link *link
	mu   sync.Mutex
	owed map[source]int // guarded by mu
}

func newRooms(l *link) *rooms { return &rooms{link: l, owed: make(map[source]int)} }

// taken returns the function that gives back the room of a stream.
func (r *rooms) taken(rank int, stream agent.Stream) func(n int) {
	return func(n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		src := source{rank, stream}
		r.owed[src] += n
		if owed := r.owed[src]; owed >= stream.Window()/4 {
			r.owed[src] = 0
			r.link.out.Send(agent.Frame{Kind: agent.Room, Rank: rank, Stream: stream, Payload: agent.Uint32(owed)})
		}
	}
}
