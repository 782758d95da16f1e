package runtime

import (
	stderrors "errors"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/match"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

const (
	accessLimit = 64 << 10         // bytes of operations in a frame, and of an answer that is copied
	pieceLimit  = accessLimit - 32 // longest data of an operation: a multiple of every element's size
)

// region is this rank's part of a window: the target of the others'
// operations. All is guarded by engine.mu.
type region struct {
	id    uint32
	group *group
	cells
	shared *sharing // the memory of all; nil: reached by its rank only
	closed bool
	barred atomic.Bool // closed
	fences int64       // that this rank has begun
	lock   lock
	notes  *match.Queues[*Request, *note]
	watch  []*Request         // that wait for a change
	asleep int                // of these, calls that do not look for it themselves
	loans  map[*loan]struct{} // parts of mem that the transport refers to
}

// cells is the memory of a window at one rank.
type cells struct {
	elem uint8
	unit int // bytes of an element
	mem  []byte
	head *partHead // nil: reached by its rank only
}

func newCells(elem uint8, mem []byte) cells {
	return cells{elem: elem, unit: elemSize(elem), mem: mem}
}

// loan is a part of a region on its way to who has asked for it.
type loan struct {
	g    *region
	peer int
	part []byte
}

// Sent is called when it has left.
func (l *loan) Sent(error) { delete(l.g.loans, l) }

var errAccess = stderrors.New("protocol: an operation beyond the window")

func newRegion(id uint32, group *group, own cells, ranks int) *region {
	return &region{
		id: id, group: group, cells: own,
		notes: match.New[*Request, *note](ranks),
		loans: map[*loan]struct{}{},
	}
}

// check refuses an operation that the window has no place for. Honest peers
// check before they send.
func (g *region) check(op *wire.Op) error {
	size, unit := uint64(len(g.mem)), uint64(g.unit)
	switch op.Kind {
	case wire.OpNotify, wire.OpLock, wire.OpUnlock:
		return nil
	case wire.OpAccumulate, wire.OpFetch:
		if !Accumulator(op.How).suits(g.elem) {
			return errAccess
		}
	case wire.OpSwap:
		if op.Length != unit {
			return errAccess
		}
	}
	if op.Offset > size || op.Length > size-op.Offset || op.Offset%unit != 0 || op.Length%unit != 0 {
		return errAccess
	}
	return nil
}

// apply does one operation on the memory, and appends what its answer is.
func (c *cells) apply(op *wire.Op, data, answer []byte) []byte {
	at := c.mem[op.Offset : op.Offset+op.Length]
	switch op.Kind {
	case wire.OpPut:
		copyWhole(at, data)
	case wire.OpGet:
		answer = append(answer, at...)
	case wire.OpAccumulate:
		accumulate(Accumulator(op.How), c.elem, at, data)
	case wire.OpFetch:
		answer = append(answer, at...)
		accumulate(Accumulator(op.How), c.elem, at, data)
	case wire.OpSwap:
		answer = append(answer, at...)
		if string(at) == string(data[:c.unit]) {
			copyWhole(at, data[c.unit:])
		}
	}
	return answer
}

// copyWhole is copy, and moves each element by one instruction as far as who
// reads it meanwhile can see. Go's copy does so (on amd64, and on arm64 in all
// implementations that are known) except for two bytes alone.
func copyWhole(dst, src []byte) int {
	if min(len(dst), len(src)) != 2 || uintptr(unsafe.Pointer(&dst[0]))&1 != 0 || uintptr(unsafe.Pointer(&src[0]))&1 != 0 {
		return copy(dst, src)
	}
	*(*uint16)(unsafe.Pointer(&dst[0])) = *(*uint16)(unsafe.Pointer(&src[0]))
	return 2
}

// regionOf returns the part of a window that is open here, or nil.
func (e *engine) regionOf(id uint32) *region {
	if e.recentRegion == nil || e.recentRegion.id != id {
		e.recentRegion = e.regions[id]
	}
	return e.recentRegion
}

// beginAccess finds the place for the payload of an Access.
func (e *engine) beginAccess(peer int, h *wire.Header) ([]byte, error) {
	if h.Length > accessLimit {
		return nil, errors.Errorf("protocol: %d bytes of operations", h.Length)
	}
	m := e.newMessage()
	m.buf = e.newBuffer(int(h.Length))
	e.peers[peer].cur.message = m
	return m.buf, nil
}

// beginPut finds the place in a window for a long put.
func (e *engine) beginPut(h *wire.Header) ([]byte, error) {
	g := e.regionOf(h.Context)
	if g == nil {
		return nil, nil
	}
	if err := g.check(&wire.Op{Kind: wire.OpPut, Offset: h.ID, Length: h.Length}); err != nil {
		return nil, err
	}
	return g.mem[h.ID : h.ID+h.Length], nil
}

// endPut takes note of a long put that has arrived.
func (e *engine) endPut(peer int, h *wire.Header) {
	e.peers[peer].stream.taken++
	e.served, e.servedBy = e.served+1, peer
	if g := e.regionOf(h.Context); g != nil {
		e.look(g)
	}
	if h.Flags&wire.WantAnswer != 0 {
		e.answer(peer, nil, nil, 0)
	}
}

// endAccess does the operations of a frame, in order.
func (e *engine) endAccess(peer int, h *wire.Header, b []byte) {
	p := &e.peers[peer]
	p.stream.taken++
	e.served, e.servedBy = e.served+1, peer
	g := e.regionOf(h.Context)
	answer := e.scratch[:0]
	var lent *loan
	for len(b) > 0 && g != nil {
		var op wire.Op
		data, rest, err := op.Decode(b)
		if err == nil {
			err = g.check(&op)
		}
		b = rest
		switch {
		case err != nil:
		case op.Kind == wire.OpNotify:
			err = e.notified(g, peer, &op)
		case op.Kind == wire.OpLock:
			e.wantLock(g, lockRequest{peer: peer, id: op.Offset, shared: op.How == 1})
		case op.Kind == wire.OpUnlock:
			e.unlock(g, peer, op.Offset)
		case op.Kind == wire.OpGet && op.Length > accessLimit && len(answer) == 0 && len(b) == 0:
			lent = &loan{g: g, peer: peer, part: g.mem[op.Offset : op.Offset+op.Length]}
		case op.Result() > accessLimit-uint64(len(answer)):
			err = errAccess
		default:
			answer = g.apply(&op, data, answer)
		}
		if err != nil {
			e.lose(peer, err)
			return
		}
	}
	e.scratch = answer[:0]
	if g != nil {
		e.look(g)
		e.expect(g)
	} else {
		e.denyLocks(peer, b)
	}
	if h.Flags&wire.WantAnswer != 0 {
		var flags uint8
		if g == nil {
			flags = wire.WindowClosed
		}
		e.answer(peer, answer, lent, flags)
	}
}

// answer tells a peer that everything it has sent for windows is done, with
// what came out of it.
func (e *engine) answer(peer int, copied []byte, lent *loan, flags uint8) {
	e.out = wire.Header{Kind: wire.Answer, Flags: flags, ID: e.peers[peer].stream.taken, Length: uint64(len(copied))}
	if lent == nil {
		e.vec = append(e.vec[:0], copied)
		e.transmit(peer, e.vec, nil)
	} else {
		e.out.Length = uint64(len(lent.part))
		e.vec = append(e.vec[:0], lent.part)
		if !e.transmit(peer, e.vec, lent) {
			lent.g.loans[lent] = struct{}{}
		}
	}
	clear(e.vec)
}

// detachAccess takes a request about windows out of wherever it is.
func (e *engine) detachAccess(r *Request) {
	switch r.phase {
	case accessing:
		p := &e.peers[r.peer]
		p.stream.forget(r)
		if p.cur.request == r {
			p.cur.request = nil
			e.t.Discard(r.peer)
		}
	case locking:
		delete(e.locks, r.until)
		e.tellLock(r.peer, r.region, wire.Op{Kind: wire.OpUnlock, Offset: r.until})
	case awaiting:
		r.region.notes.Cancel(&r.entry)
	case watching:
		g := r.region
		g.watch = slices.DeleteFunc(g.watch, func(w *Request) bool { return w == r })
	}
}

// look ends the waits for changes that have happened, and reports whether any
// have.
func (e *engine) look(g *region) (any bool) {
	for i := 0; i < len(g.watch); {
		r := g.watch[i]
		if !e.judge(r) {
			i++
			continue
		}
		g.watch = slices.Delete(g.watch, i, i+1)
		e.complete(r, nil)
		any = true
	}
	return any
}

// lookFor is look for one request, where it is about memory that others change
// by themselves.
func (e *engine) lookFor(r *Request) bool {
	if r == nil || r.phase != watching || r.region.head == nil || !e.judge(r) {
		return false
	}
	e.detach(r, false)
	e.complete(r, nil)
	return true
}

// judge asks the program whether a change is what a request waits for. A panic
// there is one of this rank.
func (e *engine) judge(r *Request) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			e.collapse(errors.WithMessage(&panicError{v, debug.Stack()}, r.String()))
		}
	}()
	return r.test()
}

// closeRegions ends the access to all regions of a communicator.
func (e *engine) closeRegions(g *group) {
	for _, r := range e.regions {
		if r.group == g {
			e.closeRegion(r)
		}
	}
}

// pending returns a request about the region that has not ended, or nil.
func (g *region) pending() *Request {
	r := g.group.pending
	for r != nil && r.region != g {
		r = r.next
	}
	return r
}

// closeRegion ends the access to a region.
func (e *engine) closeRegion(g *region) {
	if g.closed {
		return
	}
	g.closed = true
	g.barred.Store(true)
	if g.head != nil {
		g.head.closed.Store(1)
	}
	if g.shared != nil {
		g.shared.retire()
		g.shared = nil
	}
	delete(e.regions, g.id)
	e.recentRegion = nil
	for r := g.pending(); r != nil; r = g.pending() {
		e.detach(r, false)
		e.complete(r, ErrClosed)
	}
	for l := range g.loans {
		e.t.Detach(l.peer, l)
	}
	clear(g.loans)
	for _, q := range g.lock.queue {
		e.denyLock(q)
	}
	g.lock.queue = nil
	for en := g.notes.Oldest(); en != nil; en = g.notes.Oldest() {
		g.notes.Drop(en)
		e.consumed(en.Source, forNotes, 0)
	}
}
