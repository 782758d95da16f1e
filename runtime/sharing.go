package runtime

import (
	"context"
	goruntime "runtime"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
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
// bytes takes no lock: elements have at most eight bytes, and copies move them
// whole. Those of sixteen go by frames.
const (
	partAlign = 4096 // of the parts of the ranks, so that each can be given back
	headSize  = int(unsafe.Sizeof(partHead{}))

	lockTries  = 50 // looks at a lock before the core is given up
	lockVisits = 16 // of these between looks at what others want
	lockTurns  = 4000
	lockRest   = 50 * time.Microsecond // between looks after that many

	outVisits = 256 // operations on others' memory between looks at what they want
)

// partHead is what a part begins with.
type partHead struct {
	lock    atomic.Uint32 // held: 1
	changes uint32        // under the lock
	_       [56]byte
	asleep  atomic.Uint32 // calls of the owner that are to be told of a change
	closed  atomic.Uint32 // by its owner: 1
	_       [56]byte
}

// sharing is a window's memory of all ranks, as this one has it mapped.
type sharing struct {
	memory    transport.Memory
	parts     []cells       // by rank of the communicator
	from, len int           // of the own part
	settled   bool          // no rank uses the window any more
	given     bool          // up
	reads     atomic.Uint32 // and long writes
}

// offer returns where the room of this rank begins if the ranks of a
// communicator can share windows of such elements, −1 if not.
func (e *engine) offer(g *group, elem uint8) int64 {
	s, ok := e.t.(transport.Sharer)
	if !ok || len(g.ranks) == 1 || elemSize(elem) > 8 {
		return -1
	}
	for _, peer := range g.ranks {
		if peer != e.rank && !s.Shares(peer) {
			return -1
		}
	}
	at, _ := s.Room()
	return at
}

// share maps a window with so many elements at each rank, in the room of rank 0
// from at on.
func (e *engine) share(at int64, lens []int, elem uint8, rank int) (*sharing, error) {
	s := e.t.(transport.Sharer)
	unit := elemSize(elem)
	begins := make([]int64, len(lens)+1)
	for r, n := range lens {
		const most = 1 << 46 // is more than can be mapped
		if n > most/unit || begins[r] > most {
			return nil, errors.Errorf("%d elements at rank %d", n, r)
		}
		begins[r+1] = begins[r] + int64(headSize+n*unit+partAlign-1)&^(partAlign-1)
	}
	total := begins[len(lens)]
	if rank == 0 {
		if err := s.Take(at, total); err != nil {
			return nil, err
		}
	}
	memory, err := s.Map(at, total)
	if err != nil {
		return nil, err
	}
	sh := &sharing{memory: memory, from: int(begins[rank]), len: int(begins[rank+1] - begins[rank])}
	for r, n := range lens {
		part := memory.Bytes()[begins[r]:begins[r+1]]
		c := newCells(elem, part[headSize:headSize+n*unit:headSize+n*unit])
		c.head = (*partHead)(unsafe.Pointer(unsafe.SliceData(part)))
		sh.parts = append(sh.parts, c)
	}
	return sh, nil
}

// agree lets the window go by frames unless all ranks have mapped it. c is for
// messages of the runtime's own.
func (w *view) agree(ctx context.Context, c *Comm, alloc func() []byte) error {
	mapped := make([]int64, c.Size())
	if w.shared != nil {
		mapped[c.Rank()] = 1
	}
	if err := c.exchange(ctx, mapped, 1); err != nil {
		return err
	}
	for _, m := range mapped {
		if m == 1 {
			continue
		}
		if w.shared != nil {
			mem := alloc()
			e := c.e
			e.mu.Lock()
			w.region.mem, w.region.head = mem, nil
			e.mu.Unlock()
			_ = w.shared.memory.Close() // nobody has begun to use it
			w.shared = nil
		}
		break
	}
	return nil
}

// unshare gives up the memory that is shared, which then is zero. It is mapped
// for as long as a call or the program has the window.
func (w *view) unshare() {
	s := w.shared
	if s == nil || s.given {
		return
	}
	s.given = true
	from, n := s.from, s.len
	if !s.settled { // who does not know that it is closed is to find so
		from, n = from+partAlign, n-partAlign
	}
	if n > 0 {
		if err := s.memory.Empty(from, n); err != nil {
			w.c.e.log.Debug("memory of a window stays in use", "cause", err.Error())
		}
	}
	goruntime.AddCleanup(s, func(m transport.Memory) { _ = m.Close() }, s.memory)
	if w.c.e.leftOver(len(s.memory.Bytes())) {
		goruntime.GC()
	}
}

// leftOver counts memory that is to be unmapped, of which Go's heap knows
// nothing, and reports whether it is time for that.
func (e *engine) leftOver(n int) bool {
	const mostMaps, mostBytes = 1000, 1 << 40
	e.mu.Lock()
	defer e.mu.Unlock()
	e.oldMaps, e.oldBytes = e.oldMaps+1, e.oldBytes+n
	if e.oldMaps < mostMaps && e.oldBytes < mostBytes {
		return false
	}
	e.oldMaps, e.oldBytes = 0, 0
	return true
}

// watching keeps the list of regions to look at while callers poll.
func (e *engine) watching(g *region) {
	if g.head == nil {
		return
	}
	i := slices.Index(e.watched, g)
	switch {
	case len(g.watch) > 0 && i < 0:
		e.watched = append(e.watched, g)
	case len(g.watch) == 0 && i >= 0:
		e.watched = slices.Delete(e.watched, i, i+1)
	}
}

// sleep is called by who is about to park. Where that is for a change, others
// have to tell of it from now on. Who changes something looks for sleepers
// afterwards, and the sleeper looks for changes once more, so that one of them
// sees the other.
func (e *engine) sleep(r *Request) {
	if r == nil || r.phase != watching || r.region.head == nil {
		return
	}
	g := r.region
	g.asleep++
	r.asleep = true
	g.head.asleep.Store(uint32(g.asleep))
	e.look(g)
}

// wakeUp is the opposite of sleep.
func (e *engine) wakeUp(r *Request) {
	if !r.asleep {
		return
	}
	g := r.region
	g.asleep--
	r.asleep = false
	g.head.asleep.Store(uint32(g.asleep))
}

// refusal returns why an operation can not begin, nil if it can: that what view.begin
// says, without the lock of the engine, and that the target has closed its part.
func (w *view) refusal(ctx context.Context, verb string, rank int) error {
	if ctx.Err() == nil && !w.c.group.barred.Load() && !w.region.barred.Load() && w.shared.parts[rank].head.closed.Load() == 0 {
		return nil
	}
	peer, err := w.begin(ctx, verb, rank)
	if err == nil {
		w.c.e.mu.Unlock()
		err = during((&Request{kind: opAccess, verb: verb, group: w.c.group, peer: peer}).String(), ErrClosed)
	}
	return err
}

// acquire takes the lock of a part.
func (w *view) acquire(ctx context.Context, verb string, rank int) (*cells, error) {
	p := &w.shared.parts[rank]
	for turn := 1; ; turn++ {
		if err := w.refusal(ctx, verb, rank); err != nil {
			return nil, err
		}
		if p.head.lock.CompareAndSwap(0, 1) {
			return p, nil
		}
		for range lockTries {
			if p.head.lock.Load() == 0 && p.head.lock.CompareAndSwap(0, 1) {
				return p, nil
			}
		}
		switch {
		case turn > lockTurns: // its holder has been stopped, maybe
			time.Sleep(lockRest)
		case turn%lockVisits == 0:
			w.c.e.visit(AnySource)
			fallthrough
		default:
			yield()
		}
	}
}

// release gives the lock of a part back, after a change.
func (w *view) release(ctx context.Context, verb string, rank int, p *cells, now bool) error {
	p.head.changes++
	visit := p.head.changes%outVisits == 0
	p.head.lock.Store(0)
	return w.changedAt(ctx, verb, rank, p, visit, now)
}

// changedAt ends an operation that has changed a part: it tells who sleeps there
// until that, at once if now is set, and lets others in if visit is.
func (w *view) changedAt(ctx context.Context, verb string, rank int, p *cells, visit, now bool) error {
	if p.head.asleep.Load() != 0 {
		if err := w.tell(ctx, verb, rank, now); err != nil {
			return err
		}
	}
	if visit {
		w.c.e.visit(AnySource)
		yield()
	}
	goruntime.KeepAlive(w)
	return nil
}

// tell lets the owner of a part know that something has changed there.
func (w *view) tell(ctx context.Context, verb string, rank int, now bool) error {
	peer, err := w.begin(ctx, verb, rank)
	if err != nil {
		return err
	}
	e := w.c.e
	if peer == e.rank {
		e.look(w.region)
		e.mu.Unlock()
		return nil
	}
	if s := &e.peers[peer].stream; len(s.pending) == 0 || s.region != w.region {
		op := wire.Op{Kind: wire.OpPut} // of nothing
		if err := w.reserve(ctx, verb, peer, op.Size()); err != nil {
			return err
		}
		e.push(peer, w.region, &op)
	}
	if now {
		e.dispatch(peer, w.region, nil)
		e.flush()
	}
	e.mu.Unlock()
	return nil
}

// amend does an operation that changes a part; its result goes to dst.
func (w *view) amend(ctx context.Context, verb string, rank int, op *wire.Op, data, dst []byte) error {
	if overlap(data, dst) {
		data = slices.Clone(data)
	}
	p, err := w.acquire(ctx, verb, rank)
	if err != nil {
		return err
	}
	p.apply(op, data, dst[:0])
	return w.release(ctx, verb, rank, p, len(dst) > 0)
}

func overlap(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	i, k := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return i < k+uintptr(len(b)) && k < i+uintptr(len(a))
}

// store is put.
func (w *view) store(ctx context.Context, verb string, rank, off int, src []byte) error {
	if len(src) <= bundleLimit {
		p, err := w.acquire(ctx, verb, rank)
		if err != nil {
			return err
		}
		copy(p.mem[off:], src)
		return w.release(ctx, verb, rank, p, false)
	}
	for len(src) > 0 {
		if err := w.refusal(ctx, verb, rank); err != nil {
			return err
		}
		n := min(len(src), putPiece)
		p := &w.shared.parts[rank]
		copy(p.mem[off:], src[:n])
		visit := w.shared.reads.Add(1)%outVisits == 0 // orders the copy before what follows
		if err := w.changedAt(ctx, verb, rank, p, visit, false); err != nil {
			return err
		}
		src, off = src[n:], off+n
	}
	return nil
}

// load is get.
func (w *view) load(ctx context.Context, verb string, rank, off int, dst []byte) error {
	for {
		if err := w.refusal(ctx, verb, rank); err != nil {
			return err
		}
		n := copy(dst[:min(len(dst), putPiece)], w.shared.parts[rank].mem[off:])
		if w.shared.reads.Add(1)%outVisits == 0 {
			w.c.e.visit(AnySource)
			yield()
		}
		goruntime.KeepAlive(w)
		if dst, off = dst[n:], off+n; len(dst) == 0 {
			return nil
		}
	}
}
