package ssp

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/ssp/internal/backup"
	"github.com/sspurn/sspurn/ssp/internal/clock"
	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// backing is the part of a store with backup workers that has to do with which
// batches count; package backup holds the rules.
type backing struct {
	s     *Store
	coord *backup.Coordinator // on rank 0, else nil; guarded by Store.mu
	dbw   *dynamic            // on rank 0 under DBW, else nil; guarded by Store.mu
	out   []letter            // what has not left; guarded by Store.mu
	// By rank: no more of its batches come in this epoch; guarded by Store.mu.
	closed []bool
	lost   []int         // ranks that have left with open workers; guarded by Store.mu
	wake   chan struct{} // there are some
	turn   chan struct{} // holds one: who takes it may send decisions

	reached          atomic.Int64 // clocks that are complete at the own shard
	applied, dropped atomic.Int64 // batches of this rank
	rateBits         atomic.Uint64
}

// letter is a message on its way, to a rank or, with a negative number, to all
// others.
type letter struct {
	to  int
	msg []byte
}

func newBacking(s *Store) *backing {
	b := &backing{s: s, closed: make([]bool, s.size), wake: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	if s.rank != 0 {
		return b
	}
	p := s.cfg.Policy
	if p.kind == dbw {
		b.coord = backup.NewCoordinator(s.size, s.size)
		b.dbw = newDynamic(s, backup.Rule(p.number))
	} else {
		b.coord = backup.NewCoordinator(s.size, s.size-int(p.number))
	}
	return b
}

// step sets the clock of a worker that ends an iteration: the newest that it can
// know of. With Store.wmu.
func (b *backing) step(w *Worker) { w.clock = max(w.clock, Clock(b.reached.Load())) }

// upto returns the clock that a batch covers all clocks before of, when it is
// that of clock at and all workers of the rank are at low. Clocks that are
// complete are so without this rank: their updates go together, to be dropped.
func (b *backing) upto(at, end, low int64) int64 {
	if low == clock.Forever {
		low = end
	}
	return max(at+1, min(low, b.reached.Load()))
}

// arrived looks at a batch that the shard has taken and reports whether that
// completes clocks; with Store.mu.
func (b *backing) arrived(rank int, msg []byte) (rose bool, err error) {
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return false, err
	}
	h := d.Header()
	if h.Clock == clock.Forever {
		b.closed[rank] = true
	}
	if b.coord != nil {
		if h.Clock == clock.Forever {
			b.coord.Close(rank)
		} else {
			b.coord.Arrive(rank, h.Clock-1)
			if b.dbw != nil {
				b.dbw.came(rank, h.Clock-1, math.Float64frombits(h.ID))
			}
		}
		return b.decide()
	}
	b.update()
	return false, nil
}

// decide makes the decisions that can be made, on rank 0 with Store.mu.
func (b *backing) decide() (rose bool, err error) {
	for {
		at, set, ok := b.coord.Next()
		if !ok {
			if b.update() { // what was learned may change what can be decided
				continue
			}
			return rose, nil
		}
		var e codec.Encoder
		e.Begin(nil, codec.Header{Kind: codec.Order, Rank: b.s.rank, Epoch: b.s.shard.Clocks().Epoch(), Clock: at})
		e.Table(codec.Block{Type: codec.Int32})
		for _, r := range set {
			e.Want(int64(r))
		}
		b.mail(-1, e.End())
		if b.dbw != nil {
			b.coord.Wait(b.dbw.decided(at, set))
		}
		now, err := b.s.shard.Decide(at, set)
		if err != nil {
			return false, err
		}
		rose = rose || now
	}
}

// mail has a message sent, with Store.mu.
func (b *backing) mail(to int, msg []byte) {
	b.out = append(b.out, letter{to, msg})
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// update tells the workers what has become of their batches, and rank 0 what they
// show, of which it reports that it waits for another number now; with Store.mu.
func (b *backing) update() (changed bool) {
	b.reached.Store(b.s.shard.Min())
	applied, dropped := b.s.shard.Fate(b.s.rank)
	b.applied.Store(applied)
	b.dropped.Store(dropped)
	for _, x := range b.s.shard.Spreads() {
		if b.dbw != nil {
			changed = b.learn(x) || changed
			continue
		}
		var e codec.Encoder
		e.Begin(nil, codec.Header{
			Kind: codec.Report, Rank: b.s.rank, Epoch: b.s.shard.Clocks().Epoch(), Clock: x.Clock, Last: x.K,
			Version: math.Float64bits(x.Squares), ID: math.Float64bits(x.Sum),
		})
		b.mail(0, e.End())
	}
	return changed
}

// order takes a decision.
func (b *backing) order(msg []byte) error {
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return err
	}
	s := b.s
	set := make([]int, 0, s.size)
	for d.NextTable() {
		for d.NextRow() {
			if d.Row() >= int64(s.size) {
				return errors.Errorf("a set with rank %d", d.Row())
			}
			set = append(set, int(d.Row()))
		}
	}
	if err := d.Err(); err != nil {
		return err
	}
	if len(set) == 0 {
		return errors.New("an empty set")
	}
	s.mu.Lock()
	if d.Header().Epoch != s.shard.Clocks().Epoch() {
		s.mu.Unlock()
		return errors.Errorf("a set of epoch %d", d.Header().Epoch)
	}
	rose, err := s.shard.Decide(d.Header().Clock, set)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	b.update()
	ready, err := s.release(rose)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.replyAll(ready)
}

// announce sends what there is until the store is closed.
func (b *backing) announce(ctx context.Context) {
	for {
		select {
		case <-b.wake:
		case <-ctx.Done():
			return
		case <-b.s.c.Done():
			return
		}
		if err := b.send(ctx); err != nil {
			if ctx.Err() == nil {
				b.s.fail(errors.WithMessage(err, "announce a clock"))
			}
			return
		}
	}
}

// send sends what there is, in its order.
func (b *backing) send(ctx context.Context) error {
	s := b.s
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.c.Done():
		return s.c.Err()
	}
	defer func() { <-b.turn }()
	s.mu.Lock()
	out := b.out
	b.out = nil
	s.mu.Unlock()
	for _, m := range out {
		for r := range s.size {
			if r == s.rank || m.to >= 0 && r != m.to {
				continue
			}
			s.links[r].control.Add(int64(len(m.msg)))
			if err := s.data.Post(ctx, r, m.msg); err != nil {
				return err
			}
		}
	}
	return nil
}

// rest returns when all sets of the epoch are decided, and on their way before
// anything that this rank sends from now on: all ranks have sent their batches.
func (b *backing) rest(ctx context.Context, call string, args []string) error {
	if _, err := b.s.meet(ctx, meeting{call: call, args: args}); err != nil {
		return err
	}
	return b.send(ctx)
}

// sync begins an epoch, with Store.mu.
func (b *backing) sync(at int64) {
	clear(b.closed)
	if b.coord != nil {
		b.coord.Sync(at)
	}
	if b.dbw != nil {
		b.dbw.sync(at)
	}
	b.reached.Store(at)
	b.lost = b.lost[:0]
	for _, r := range b.s.gone.Load().ranks {
		b.closed[r] = true
		b.lost = append(b.lost, r)
		if b.coord != nil {
			b.coord.Close(r)
		}
	}
}

// desert takes note that a rank has left, with Store.mu. If its workers were open
// it is one of those that an iteration may do without; when there are more of them
// than that, iterations do not end any more. Under DBW they may wait for all.
func (b *backing) desert(rank int) ([]answer, error) {
	if b.closed[rank] {
		return nil, nil
	}
	b.closed[rank] = true
	b.lost = append(b.lost, rank)
	if b.coord == nil {
		return nil, nil
	}
	b.coord.Close(rank)
	rose, err := b.decide()
	if err != nil {
		return nil, err
	}
	return b.s.release(rose)
}

// missed returns a rank without which an iteration does not end, or -1; with Store.mu.
func (b *backing) missed() int {
	if spare, _ := b.s.cfg.Policy.Backups(); len(b.lost) > spare {
		return b.lost[spare]
	}
	return -1
}

// Outdated reports whether the iteration that the worker is at is over without
// it: what it computes will be dropped. Where there are backup workers
// ([Backup]), a worker may look at it now and then, and end an iteration that
// counts no more with Clock at once, which is the push and interrupt of Xu,
// Neglia and Sebastianelli (2020); one that does not is push and wait.
func (w *Worker) Outdated() bool {
	b := w.s.backing
	return b != nil && b.reached.Load() > int64(w.clock)
}
