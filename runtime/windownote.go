package runtime

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/internal/match"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// Note is what a notified put tells the target.
type Note struct {
	Source int // rank of who has put
	Tag    Tag
	Offset int // where, in elements
	Count  int // how many
}

// note is one that nobody has waited for yet.
type note struct {
	entry     match.Entry[*note]
	offset, n int
}

// notified takes a notification. It is held against the sender's credits until
// it is waited for.
func (e *engine) notified(g *region, peer int, op *wire.Op) error {
	p := &e.peers[peer]
	if p.held[forNotes] += messageCost; p.held[forNotes] > e.window {
		return errors.New("protocol: notifications beyond the credits")
	}
	n := &note{offset: int(op.Offset) / g.unit, n: int(op.Length) / g.unit}
	n.entry.Source, n.entry.Tag, n.entry.Value = peer, op.Tag, n
	if en := g.notes.Deliver(peer, op.Tag); en != nil {
		e.noted(en.Value, n)
		return nil
	}
	g.notes.Hold(&n.entry)
	return nil
}

// noted ends a wait with a notification.
func (e *engine) noted(r *Request, n *note) {
	peer := n.entry.Source
	r.note = Note{Source: r.group.place(peer), Tag: Tag(n.entry.Tag), Offset: n.offset, Count: n.n}
	e.complete(r, nil)
	e.consumed(peer, forNotes, 0)
}

// notify tells a rank that all before is done.
func (w *view) notify(ctx context.Context, rank int, op wire.Op) error {
	const verb = "notify "
	e := w.c.e
	peer, err := w.begin(ctx, verb, rank)
	if err != nil {
		return err
	}
	p := &e.peers[peer]
	if p.waiting[forNotes].first != nil || p.credits[forNotes] < messageCost {
		e.dispatch(peer, w.region, nil)
		r := w.request(verb, peer)
		if r.head.Kind = wire.Access; p.left {
			e.complete(r, e.deserted(peer))
		} else {
			r.phase = queued
			p.waiting[forNotes].push(r)
		}
		if err := w.finish(ctx, r); err != nil {
			return err
		}
		e.mu.Lock()
	} else {
		p.credits[forNotes] -= messageCost
	}
	if peer == e.rank {
		err = e.notified(w.region, peer, &op)
		e.mu.Unlock()
		return err
	}
	if err := w.reserve(ctx, verb, peer, op.Size()); err != nil {
		e.mu.Lock()
		e.credited(peer, forNotes, messageCost)
		e.mu.Unlock()
		return err
	}
	e.collect(peer, w.region, &op)
	e.dispatch(peer, w.region, nil)
	e.flush()
	e.mu.Unlock()
	return nil
}

func (w *view) waitNote(ctx context.Context, src int, tag Tag) (Note, error) {
	const verb = "wait for a notification by "
	e := w.c.e
	peer, err := w.c.source(src)
	if err != nil {
		return Note{}, errors.WithMessage(err, "wait for a notification")
	}
	if _, err := w.begin(ctx, verb, w.c.Rank()); err != nil {
		return Note{}, err
	}
	r := w.request(verb, peer)
	if en := w.region.notes.Claim(peer, uint32(tag)); en != nil {
		e.noted(r, en.Value)
	} else if peer >= 0 && e.peers[peer].left {
		e.complete(r, e.deserted(peer))
	} else {
		r.entry.Source, r.entry.Tag, r.entry.Value = peer, uint32(tag), r
		r.phase = awaiting
		w.region.notes.Post(&r.entry)
	}
	e.mu.Unlock()
	e.await(ctx, r)
	n := r.note
	return n, e.retire(r)
}
