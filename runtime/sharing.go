package runtime

import (
	"context"
	"math"
	"os"
	"reflect"
	goruntime "runtime"
	"sync/atomic"
	"unsafe"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/transport"
)

// Windows in shared memory.
//
// Where all ranks of a communicator share memory, so do its windows: each rank
// has the memory of all others mapped, and does by itself what would otherwise be
// asked for by a frame. Rank 0 provides the room, every rank says whether it has
// mapped it, and if one has not, the window goes by frames at all of them.
// Locks and notifications are frames as ever. So is a word to a rank that waits
// for a change, after one.
//
// What changes few bytes holds a lock of the target's part: that of others and
// that of the owner exclude one another by it. A process that is killed while it
// holds one is a lost rank, with which every call on the communicator fails; nobody
// waits for the lock inside the engine, which has to find that out. Reading few
// bytes takes no lock: copies move elements whole, see copyWhole. Complex numbers,
// which programs read and write by halves, go by frames.
const (
	headSize = int(unsafe.Sizeof(partHead{}))

	mostMaps = 10_000 // windows that are shared at a time: a process has 65530 mappings, by default, for all it does
)

// partAlign is that of the parts of the ranks, so that each can be given back.
var partAlign = os.Getpagesize()

// partHead is what a part begins with.
type partHead struct {
	lock    atomic.Uint32 // held: 1
	waiting atomic.Int32  // for it
	changes uint32        // under the lock
	_       [52]byte
	asleep  atomic.Uint32 // calls of the owner wait to be told of a change: who tells them clears it
	closed  atomic.Uint32 // by its owner: 1
	offer   atomic.Int64  // its number
	_       [48]byte
}

// sharing is a window's memory of all ranks, as this one has it mapped.
type sharing struct {
	memory  transport.Memory
	maps    *atomic.Int32   // how many there are
	parts   []cells         // by rank of the communicator
	own     span            // the part of this rank
	offer   int64           // its number, of rank 0
	turns   []chan struct{} // by rank: held by the call that spins for the lock of a part, of all in this process
	settled bool            // no rank uses the window any more
	given   bool            // up
	reads   atomic.Uint32   // and long writes
}

// span is bytes of a sharing's memory.
type span struct{ from, n int }

// offer returns where the room of this rank begins if the ranks of a
// communicator can share windows of such elements, −1 if not.
func (e *engine) offer(g *group, elem uint8) int64 {
	s, ok := e.t.(transport.Sharer)
	if !ok || len(g.ranks) == 1 || reflect.Kind(elem) >= reflect.Complex64 {
		return -1
	}
	for _, peer := range g.ranks {
		if peer != e.rank && !s.Shares(peer) {
			return -1
		}
	}
	if e.maps.Load() >= mostMaps {
		return -1
	}
	at, _ := s.Room()
	return at
}

// tellUnshared says once why windows are not shared.
func (e *engine) tellUnshared(err error) {
	e.mu.Lock()
	told := e.unshared
	e.unshared = true
	e.mu.Unlock()
	if !told {
		e.log.Warn("windows go by messages also within this host", "cause", err.Error())
	}
}

// share maps a window with so many elements at each rank, in the room of rank 0
// from at on, which has offered that under a number.
func (e *engine) share(offer, at int64, lens []int, elem uint8, rank int) (*sharing, error) {
	s := e.t.(transport.Sharer)
	align, unit := int64(partAlign), int64(elemSize(elem))
	begins := make([]int64, len(lens)+1)
	for r, n := range lens {
		if begins[r] > mostBytes {
			return nil, errors.Errorf("%d elements at rank %d", n, r)
		}
		begins[r+1] = begins[r] + (int64(headSize)+int64(n)*unit+align-1)&^(align-1)
	}
	total := begins[len(lens)]
	if total > math.MaxInt {
		return nil, errors.Errorf("%d bytes", total)
	}
	if rank == 0 {
		if err := s.Take(at, total); err != nil {
			return nil, err
		}
	}
	memory, err := s.Map(at, total)
	if err != nil {
		return nil, err
	}
	e.maps.Add(1)
	sh := &sharing{memory: memory, maps: e.maps, offer: offer, own: span{int(begins[rank]), int(begins[rank+1] - begins[rank])}}
	for r, n := range lens {
		part := memory.Bytes()[begins[r]:begins[r+1]]
		end := headSize + n*int(unit)
		c := newCells(elem, part[headSize:end:end])
		c.head = (*partHead)(unsafe.Pointer(unsafe.SliceData(part)))
		if rank == 0 {
			c.head.offer.Store(offer)
		}
		sh.parts = append(sh.parts, c)
		sh.turns = append(sh.turns, make(chan struct{}, 1))
	}
	return sh, nil
}

// retire has it unmapped when nothing refers to it any more.
func (s *sharing) retire() {
	memory, maps := s.memory, s.maps
	goruntime.AddCleanup(s, func(own span) {
		_ = empty(memory, own, false)
		_ = memory.Close()
		maps.Add(-1)
	}, s.own)
}

// drop unmaps it at once: nobody has begun to use it.
func (s *sharing) drop() {
	_ = s.memory.Close()
	s.maps.Add(-1)
}

// empty gives pages of the own part back, all of them or those without its head.
func empty(memory transport.Memory, own span, all bool) error {
	if !all {
		own.from, own.n = own.from+partAlign, own.n-partAlign
	}
	if own.n == 0 {
		return nil
	}
	return memory.Empty(own.from, own.n)
}

// agree waits until all ranks have the window, and lets it go by frames unless all
// have mapped it.
func (w *view) agree(ctx context.Context, a *accord, alloc func() []byte) error {
	e, s, own := w.c.e, w.shared, int64(0)
	if s != nil {
		own = 1
	}
	all, err := a.exchange(ctx, 1, own)
	if err != nil {
		if s != nil {
			// Others may have agreed. It is theirs only if it says so: rank 0 may have
			// given up before it took the room, and use it for another one.
			if own := s.parts[w.c.Rank()].head; own.offer.Load() == s.offer {
				own.closed.Store(1)
			}
			s.drop()
			w.shared = nil
		}
		return err
	}
	mapped := 0
	for r := range w.lens {
		mapped += int(all[accordWords*r+1])
	}
	if mapped == 0 {
		return nil
	}
	if mapped == len(w.lens) {
		e.mu.Lock()
		w.region.head, w.region.shared = s.parts[w.c.Rank()].head, s
		e.mu.Unlock()
		return nil
	}
	if s != nil {
		mem := alloc()
		e.mu.Lock()
		w.region.mem = mem
		e.mu.Unlock()
		s.drop()
		w.shared = nil
	}
	// Nobody may come before that.
	_, err = a.exchange(ctx, 2)
	return err
}

// unshare gives up the memory that is shared, which then is zero. It is mapped
// for as long as a call or the program has the window.
func (w *view) unshare() {
	s := w.shared
	if s == nil || s.given {
		return
	}
	s.given = true
	if err := empty(s.memory, s.own, s.settled); err != nil {
		w.c.e.log.Debug("memory of a window stays in use", "cause", err.Error())
	}
	if w.c.e.leftOver(len(s.memory.Bytes())) {
		goruntime.GC()
	}
}

// leftOver counts memory that is to be unmapped, of which Go's heap knows
// nothing, and reports whether it is time for that.
func (e *engine) leftOver(n int) bool {
	const enough, enoughBytes = 1000, 16 << 30 // the kernel's tables for these take up to 1/500 of that
	e.mu.Lock()
	defer e.mu.Unlock()
	e.oldMaps, e.oldBytes = e.oldMaps+1, e.oldBytes+int64(n)
	if e.oldMaps < enough && e.oldBytes < enoughBytes {
		return false
	}
	e.oldMaps, e.oldBytes = 0, 0
	return true
}

// sleep is called by who is about to park. Where that is for a change, others
// have to tell of it from now on.
func (e *engine) sleep(r *Request) {
	if r == nil || r.phase != watching || r.region.head == nil {
		return
	}
	r.region.asleep++
	r.asleep = true
	e.expect(r.region)
}

// wakeUp is the opposite of sleep.
func (e *engine) wakeUp(r *Request) {
	if !r.asleep {
		return
	}
	r.asleep = false
	if r.region.asleep--; r.region.asleep == 0 && !r.region.closed {
		r.region.head.asleep.Store(0)
	}
}

// expect has others tell of the next change while calls sleep. Who changes
// something looks at the word afterwards, and here changes are looked for after
// it is set, so that one sees the other. The load keeps the order on machines
// where what follows a store may come before it.
func (e *engine) expect(g *region) {
	for g.asleep > 0 && !g.closed {
		g.head.asleep.Store(1)
		if g.head.asleep.Load(); !e.look(g) {
			return
		}
	}
}
