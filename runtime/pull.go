package runtime

import (
	"slices"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// maxPulls bounds what a rank asks of another, and what others can have it keep.
// Like receives that are posted, pulls need no credits: the messages that have
// them may have to wait for a pull.
const maxPulls = 1 << 20

// pull is what a peer asks for.
type pull struct {
	context, tag uint32
	elem         uint8
	id, length   uint64
}

// meets reports whether an offer is what a peer asks for, as far as order goes.
func (a *pull) meets(r *Request) bool {
	return a.context == r.head.Context && a.tag == r.head.Tag
}

// pulls reports whether a request is a pull whose message has not begun to come.
func (r *Request) pulls() bool { return r.phase == cleared && r.head.Kind == wire.Pull }

// expect has the payload of a number, which a peer that breaks the rules may use
// twice, go to an arrival.
func (p *peer) expect(id uint64, a *arrival) {
	if old := p.inbound[id]; old == nil || *old == (arrival{}) {
		p.coming++
	}
	p.inbound[id] = a
}

// ask starts a pull.
func (e *engine) ask(r *Request) {
	p := &e.peers[r.peer]
	r.group.link(r)
	switch {
	case p.left:
		e.complete(r, e.deserted(r.peer))
		return
	case len(p.inbound) >= maxPulls:
		e.complete(r, errors.Errorf("more than %d messages asked for", maxPulls))
		return
	}
	e.lastOp++
	r.head = wire.Header{
		Kind: wire.Pull, Elem: r.elem, Context: r.context, Tag: r.entry.Tag,
		ID: e.lastOp | wire.PullID, Length: uint64(len(r.buf)),
	}
	r.phase = cleared
	r.status = Status{Source: r.peer, Tag: Tag(r.head.Tag), Bytes: len(r.buf), Count: len(r.buf) / elemSize(r.elem)}
	r.landing = arrival{request: r}
	p.expect(r.head.ID, &r.landing)
	e.out = r.head
	e.transmit(r.peer, nil, nil)
}

// provide starts a send that waits to be pulled.
func (e *engine) provide(r *Request) {
	p := &e.peers[r.peer]
	r.flight.r = r
	r.group.link(r)
	for i := range p.pulls {
		if a := p.pulls[i]; a.meets(r) {
			p.unpull(i)
			e.yieldTo(r, &a)
			return
		}
	}
	if p.left {
		e.complete(r, e.deserted(r.peer))
		return
	}
	r.phase = offered
	p.offers.push(r)
}

// beginPull checks what a peer asks for.
func (e *engine) beginPull(peer int, h *wire.Header) error {
	switch {
	case h.ID&wire.PullID == 0:
		return errors.Errorf("protocol: %#x is the number of no pull", h.ID)
	case len(e.peers[peer].pulls) >= maxPulls:
		return errors.Errorf("protocol: more than %d pulls", maxPulls)
	}
	return nil
}

// endPull takes it.
func (e *engine) endPull(peer int, h *wire.Header) {
	p := &e.peers[peer]
	a := pull{h.Context, h.Tag, h.Elem, h.ID, h.Length}
	if e.queuesOf(h.Context) == nil { // closed
		e.refusePull(peer, &a)
		return
	}
	for r := p.offers.first; r != nil; r = r.nextSend {
		if a.meets(r) {
			p.offers.remove(r)
			e.yieldTo(r, &a)
			return
		}
	}
	p.pulls = append(p.pulls, a)
}

// yieldTo sends an offer that has met a pull.
func (e *engine) yieldTo(r *Request, a *pull) {
	e.out = wire.Header{Kind: wire.Data, ID: a.id, Length: r.head.Length}
	if a.elem != r.head.Elem || a.length != r.head.Length {
		e.out.Flags, e.out.Elem = wire.Unlike, r.head.Elem
		e.transmit(r.peer, nil, nil)
		e.complete(r, nil)
		return
	}
	r.phase = leaving
	if e.transmit(r.peer, r.payload, &r.flight) && r.phase == leaving {
		e.flown(r)
	}
}

// refusePull answers a pull from a communicator that is closed.
func (e *engine) refusePull(peer int, a *pull) {
	e.out = wire.Header{Kind: wire.Data, Flags: wire.Gone, ID: a.id}
	e.transmit(peer, nil, nil)
}

// differs is the error of a pull that nothing came of, nil when all is well.
func (r *Request) differs(h *wire.Header) error {
	if h.Flags&(wire.Unlike|wire.Gone) == 0 {
		return nil
	}
	room := r.status.Bytes
	r.status.Bytes, r.status.Count = 0, 0
	switch {
	case h.Flags&wire.Gone != 0:
		return ErrClosed
	case h.Elem != r.elem:
		return &TypeError{Sent: elemName(h.Elem), Want: elemName(r.elem)}
	}
	r.status.Bytes, r.status.Count = int(h.Length), int(h.Length)/elemSize(r.elem)
	return &LengthError{Bytes: int(h.Length), Room: room}
}

// unpull forgets one of the peer's pulls. The first, as it mostly is, goes without
// moving the others.
func (p *peer) unpull(i int) {
	if i == 0 && len(p.pulls) > 1 {
		p.pulls = p.pulls[1:]
		return
	}
	p.pulls = slices.Delete(p.pulls, i, i+1)
}

// refusePulls ends what was pulled from a communicator that is closed now.
func (e *engine) refusePulls(id uint32) {
	for peer := range e.peers {
		p := &e.peers[peer]
		var gone []pull
		p.pulls = slices.DeleteFunc(p.pulls, func(a pull) bool {
			if a.context>>8 != id {
				return false
			}
			gone = append(gone, a)
			return true
		})
		for i := range gone {
			e.refusePull(peer, &gone[i])
		}
	}
}
