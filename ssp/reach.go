package ssp

import (
	"context"
	"sync"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/telemetry"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/oplog"
	"github.com/sspurn/sspurn/ssp/internal/shard"
	"github.com/sspurn/sspurn/ssp/internal/value"
)

// How far updates have spread, for bounds on values. A push is acknowledged when
// its rows are installed; when all subscribers have acknowledged what followed a
// batch, its owner tells the sender. From Clock to there it takes about four times
// the delay of a link, as pushes do not wait for those that are on their way.

// reach is how far this rank's batches have spread.
type reach struct {
	mu     sync.Mutex
	seen   []uint64      // by owner: the last batch that everybody has
	notify chan struct{} // closed at news; nil when nobody waits
}

// boundTable prepares the store for a table whose values have a bound.
func (s *Store) boundTable() {
	if s.bounded.CompareAndSwap(false, true) {
		s.crew.spawn(s.tellReach)
	}
}

// shardBound describes the policy to the shards.
func (p Policy) shardBound(siblings bool) *shard.Bound {
	if !p.valued() {
		return nil
	}
	b := &shard.Bound{Siblings: siblings, Element: p.bound&Element != 0}
	if p.bound&Strong != 0 {
		b.Strong = p.threshold
	}
	return b
}

// installed says that a subscriber has all that was pushed to it after count
// batches.
func (s *Store) installed(rank int, count uint64) error {
	if !s.bounded.Load() {
		return nil
	}
	s.mu.Lock()
	rose, push, err := s.shard.Installed(rank, count)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	ready, err := s.release(rose)
	s.mu.Unlock()
	if push {
		s.wakePushers()
	}
	s.wakeTeller()
	if err != nil {
		return err
	}
	return s.replyAll(ready)
}

func (s *Store) wakeTeller() {
	select {
	case s.spread <- struct{}{}:
	default:
	}
}

// tellReach tells the ranks which of their batches everybody has, until the store
// is closed.
func (s *Store) tellReach(ctx context.Context) {
	told := make([]uint64, s.size)
	var news []int
	for {
		select {
		case <-s.spread:
		case <-ctx.Done():
			return
		case <-s.c.Done():
			return
		}
		news = news[:0]
		s.mu.Lock()
		for r := range told {
			if v := s.shard.Visible(r); v > told[r] {
				told[r] = v
				news = append(news, r)
			}
		}
		s.mu.Unlock()
		for _, r := range news {
			if r == s.rank {
				s.reached(r, told[r])
				continue
			}
			var e codec.Encoder
			e.Begin(nil, codec.Header{Kind: codec.Ack, Rank: s.rank, Version: told[r]})
			msg := e.End()
			s.links[r].control.Add(int64(len(msg)))
			if err := s.news.Post(ctx, r, msg); err != nil {
				if ctx.Err() == nil {
					s.fail(errors.WithMessagef(err, "news of updates to rank %d", r))
				}
				return
			}
		}
	}
}

// hearReach takes what tellReach of an owner says.
func (s *Store) hearReach(m *runtime.Message) error {
	var d codec.Decoder
	if err := d.Reset(m.Payload); err != nil {
		return err
	}
	if h := d.Header(); h.Kind != codec.Ack {
		return errors.Errorf("a message of kind %d where news of updates are due", h.Kind)
	}
	s.reached(m.Source, d.Header().Version)
	return nil
}

// news returns a channel that is closed at the next news, with r.mu.
func (r *reach) news() <-chan struct{} {
	if r.notify == nil {
		r.notify = make(chan struct{})
	}
	return r.notify
}

func (s *Store) reached(owner int, version uint64) {
	r := &s.reach
	r.mu.Lock()
	defer r.mu.Unlock()
	if version <= r.seen[owner] {
		return
	}
	r.seen[owner] = version
	if r.notify != nil {
		close(r.notify)
		r.notify = nil
	}
}

// gate lets a worker's updates of a table out when the bound on values admits
// them.
type gate struct {
	book *value.Book // what has left and is not everywhere, by owner
	next []change    // sealed, not left
	seen []uint64    // scratch
	open bool        // next may leave
}

type change struct {
	owner int
	key   value.Key
	delta float64
}

// weigh notes the updates of a sealed entry for the gate. What is there already
// leaves with them.
func (v *View[T]) weigh(e *oplog.Entry[T]) {
	g := v.gate
	element := v.t.spec.Policy.bound&Element != 0
	var had map[value.Key]int
	if len(g.next) > 0 {
		had = map[value.Key]int{}
		for i, c := range g.next {
			had[c.key] = i
		}
	}
	for i, row := range e.Rows {
		owner := v.t.owner(row)
		shard.Weigh(&e.Delta, int(e.At[i]), row, element, func(k value.Key, delta float64) {
			if at, ok := had[k]; ok {
				g.next[at].delta += delta
				return
			}
			g.next = append(g.next, change{owner, k, delta})
		})
	}
	g.open = false
}

// waits reports whether sealed updates wait for the bound on values.
func (v *View[T]) waits() bool { return v.gate != nil && len(v.eager) > 0 && !v.gate.open }

// admit opens the gate if the bound lets the sealed updates in. Otherwise it
// returns the owner of a row that has too much on its way, and a channel that is
// closed when more of this rank's updates are everywhere.
func (v *View[T]) admit() (news <-chan struct{}, owner int) {
	g, r := v.gate, &v.w.s.reach
	r.mu.Lock()
	copy(g.seen, r.seen)
	news = r.news()
	r.mu.Unlock()
	for o, version := range g.seen {
		g.book.Visible(o, version)
	}
	limit := v.t.spec.Policy.threshold(int64(v.w.clock))
	for _, c := range g.next {
		if !g.book.Fits(c.key, c.delta, limit) {
			return news, c.owner
		}
	}
	g.open = true
	return nil, 0
}

// awaitReach waits until the bound lets the sealed updates in.
func (v *View[T]) awaitReach(ctx context.Context) error {
	for {
		news, owner := v.admit()
		if v.gate.open {
			return nil
		}
		start := time.Now()
		err := v.w.s.wait(ctx, news)
		v.w.blocked(telemetry.Gate, owner, start)
		v.w.totals.Value += time.Since(start)
		if err != nil {
			return errors.WithMessagef(err, "table %s: wait for the bound on values", v.t.spec.Name)
		}
	}
}

// entered notes that the sealed updates have left.
func (g *gate) entered(versions []uint64) {
	for _, c := range g.next {
		g.book.Add(c.owner, versions[c.owner], c.key, c.delta)
	}
	g.next, g.open = g.next[:0], false
}
