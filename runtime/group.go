package runtime

import "sync/atomic"

// group is what the spaces of one communicator share.
type group struct {
	id    uint32
	name  string
	ranks []int // by place in the communicator, the place in the job
	index []int // by place in the job, the place in the communicator or −1; nil: the same
	rank  int   // own place in the communicator

	done chan struct{} // closed with the first error

	// guarded by engine.mu
	err     error    // why calls fail; nil while all is well
	closed  bool     // by Close
	pending *Request // that have not ended, newest first
	accords int64    // calls of all ranks that make something of it
	splits  int
	dups    int
	opens   map[string]int // ports opened, by name
	locals  map[any]*local // what libraries keep, by their keys

	barred atomic.Bool           // err is set, or closed
	recent atomic.Pointer[local] // of locals, the one that was asked for last
}

func newGroup(id uint32, name string, ranks []int, self, size int) *group {
	g := &group{id: id, name: name, ranks: ranks, done: make(chan struct{}), opens: map[string]int{}}
	same := true
	for i, r := range ranks {
		if r == self {
			g.rank = i
		}
		same = same && i == r
	}
	if !same || len(ranks) != size {
		g.index = make([]int, size)
		for i := range g.index {
			g.index[i] = -1
		}
		for i, r := range ranks {
			g.index[r] = i
		}
	}
	return g
}

// place is the rank in the communicator of a rank of the job, −1 when it is
// not in it.
func (g *group) place(world int) int {
	if world < 0 {
		return world
	}
	if g.index == nil {
		return world
	}
	return g.index[world]
}

// link adds a request to those that have not ended.
func (g *group) link(r *Request) {
	r.prev, r.next = nil, g.pending
	if g.pending != nil {
		g.pending.prev = r
	}
	g.pending = r
}

func (g *group) unlink(r *Request) {
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		g.pending = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}
