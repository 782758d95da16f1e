package ssp

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/filter"
)

// SetPolicy changes the policy of the table, at the clock to which it brings all
// workers first, as Sync does. It is collective and called outside Work; ranks
// that bring different policies get an error that matches ErrMismatch. Views are
// to be asked for anew: those from before are closed.
//
// The policies of whole stores (FSSP, Backup, DBW), bounds on values, and tables
// with a filter can not be changed.
func (t *Table[T]) SetPolicy(ctx context.Context, p Policy) error {
	call, args := "SetPolicy of table "+t.spec.Name, []string{"policy " + p.String()}
	if err := t.changes(p); err != nil {
		return errors.WithMessagef(err, "table %s", t.spec.Name)
	}
	s := t.s
	if err := s.sync(ctx, call, args...); err != nil {
		return errors.WithMessagef(err, "table %s: policy %v", t.spec.Name, p)
	}
	s.mu.Lock()
	t.own.SetModes(p.ordered(), p.eager(), p.pushes())
	s.shard.Refit()
	s.mu.Unlock()
	if p.prompt() {
		s.prompt.Store(true)
	}
	for o := range t.peers {
		if peer := &t.peers[o]; peer.cache != nil {
			peer.mu.Lock()
			peer.cache.Restart(p.pushes())
			peer.mu.Unlock()
		}
	}
	s.wmu.Lock()
	t.current.Store(&p)
	t.spec.Policy, t.slack = p, p.slack()
	for _, w := range s.workers {
		if t.id < len(w.views) && w.views[t.id] != nil {
			w.views[t.id].retire()
			w.views[t.id] = nil
		}
	}
	s.wmu.Unlock()
	// Nobody asks an owner that does not know yet.
	_, err := s.meet(ctx, meeting{call: call, args: args})
	return errors.WithMessagef(err, "table %s: policy %v", t.spec.Name, p)
}

// changes reports what keeps the table at its policy.
func (t *Table[T]) changes(p Policy) error {
	for _, q := range []Policy{p, t.spec.Policy} {
		switch {
		case q == (Policy{}):
			return errors.New("no policy")
		case q.Drops() || q.Frees() || q.valued():
			return errors.Errorf("policy %v: it holds for the whole of a table's life", q)
		}
		if r, _ := t.spec.Filter.rule(q, t.plain); r != (filter.Rule{}) {
			return errors.Errorf("policy %v: a table with a filter keeps its policy", p)
		}
	}
	return p.fits(t.s.cfg.Policy)
}

// retire closes a view for good.
func (v *View[T]) retire() { v.w = &Worker{index: v.w.index} }
