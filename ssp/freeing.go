package ssp

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/telemetry"
	"github.com/sspurn/sspurn/ssp/internal/clock"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/member"
)

// freeing is the part of a store of FSSP that has to do with who counts; package
// member holds the rules.
type freeing struct {
	s     *Store
	coord *member.Coordinator // on rank 0, else nil; guarded by Store.mu

	free  atomic.Bool          // this rank is freed
	ever  atomic.Bool          // it is, or has been since the last Sync
	times atomic.Int64         // how often it has been freed
	back  atomic.Int64         // the clock from which on this rank counts again; 0: none
	duty  atomic.Pointer[duty] // leaves with this rank's next batch that ticks

	away  bool // batches do not tick; owned by the sender
	quiet bool // a Sync is under way; owned by the sender
}

// duty is a change that this rank makes known.
type duty struct {
	term    uint32
	epoch   uint32
	subject int
}

func newFreeing(s *Store) *freeing {
	f := &freeing{s: s}
	if s.rank == 0 {
		f.coord = member.NewCoordinator(s.size, member.DefaultRules(int64(s.cfg.Policy.staleness)))
	}
	return f
}

// step sets the clock of a worker that ends an iteration, and whether it is
// gated in the next one; with Store.wmu.
func (f *freeing) step(w *Worker) {
	back := f.back.Load()
	if back > int64(w.clock) {
		w.clock = Clock(back)
	}
	w.free = back == 0 && f.free.Load()
}

// header returns the clock that follows a batch, and what the batch tells; by
// the sender.
func (f *freeing) header(at, next, low int64) (int64, codec.Header) {
	s := f.s
	if back := f.back.Load(); back > 0 && low >= back { // all workers have skipped to it
		next = max(next, back)
		f.away = false
		f.free.Store(false)
		f.back.Store(0)
	}
	var h codec.Header
	if next != clock.Forever {
		s.wmu.Lock()
		busy := time.Duration(0)
		for _, w := range s.workers {
			busy = max(busy, w.busy)
		}
		s.wmu.Unlock()
		h.ID = uint64(max(1, busy.Microseconds()))
	}
	if f.away && next != clock.Forever {
		return next, h
	}
	h.Flags, h.Clock = codec.Ticks, next
	if d := f.duty.Load(); d != nil && next != clock.Forever {
		f.duty.Store(nil)
		if d.epoch == s.epoch {
			h.Branch, h.Last = d.term, d.subject+1
		}
	}
	return next, h
}

// arrived looks at a batch that the shard has taken, with Store.mu.
func (f *freeing) arrived(rank int, msg []byte) {
	var d codec.Decoder
	if d.Reset(msg) != nil {
		return // the shard has read it already
	}
	h := d.Header()
	subject := h.Last - 1
	if h.Branch != 0 && subject == f.s.rank && rank != subject {
		f.back.Store(h.Clock)
	}
	if f.coord == nil {
		return
	}
	was := member.Counts
	if h.Branch != 0 {
		was = f.coord.Standing(subject)
	}
	o, ok := f.coord.Batch(rank, member.Batch{
		Ticks: h.Flags&codec.Ticks != 0, Clock: h.Clock, Took: float64(h.ID), Term: h.Branch, Subject: subject,
	})
	if h.Branch != 0 && f.coord.Standing(subject) != was {
		f.note(subject, h.Clock)
	}
	if !ok {
		return
	}
	var e codec.Encoder
	e.Begin(nil, codec.Header{Kind: codec.Order, Rank: f.s.rank, Epoch: h.Epoch, Branch: o.Term, Last: o.Subject + 1})
	out := e.End()
	f.s.crew.spawn(func(ctx context.Context) {
		var err error
		if o.Sender == f.s.rank {
			err = f.order(out)
		} else {
			f.s.links[o.Sender].control.Add(int64(len(out)))
			err = f.s.data.Post(ctx, o.Sender, out)
		}
		if err != nil && ctx.Err() == nil {
			f.s.fail(errors.WithMessagef(err, "order to rank %d", o.Sender))
		}
	})
}

// note puts a change on record.
func (f *freeing) note(subject int, at int64) {
	ms := func(microseconds float64) string { return fmt.Sprintf("%.3g ms", microseconds/1000) }
	text := fmt.Sprintf("rank %d is freed: %s an iteration, the median is %s", f.s.c.JobRank(subject), ms(f.coord.Mean(subject)), ms(f.coord.Median()))
	if f.coord.Standing(subject) == member.Counts {
		text = fmt.Sprintf("rank %d counts again from clock %d on: %s an iteration, the median is %s",
			f.s.c.JobRank(subject), at, ms(f.coord.Mean(subject)), ms(f.coord.Median()))
	}
	f.s.crew.spawn(func(context.Context) { f.s.c.Recorder().Record(telemetry.Event{Kind: "note", Text: text}) })
}

// order takes an order of the coordinator.
func (f *freeing) order(msg []byte) error {
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		return err
	}
	h := d.Header()
	subject := h.Last - 1
	if subject < 0 || subject >= f.s.size || h.Branch == 0 {
		return errors.Errorf("an order about rank %d, term %d", subject, h.Branch)
	}
	if subject != f.s.rank {
		f.duty.Store(&duty{term: h.Branch, epoch: h.Epoch, subject: subject})
		return nil
	}
	f.s.crew.spawn(func(ctx context.Context) { f.leave(ctx, h.Epoch, h.Branch) })
	return nil
}

// leave frees this rank: it announces to all shards that it holds nobody back.
// It does not wait for the end of the running iteration.
func (f *freeing) leave(ctx context.Context, epoch, term uint32) {
	s := f.s
	if s.acquire(ctx) != nil {
		return
	}
	defer func() { <-s.sending }()
	if f.quiet || f.away || s.sent == clock.Forever || epoch != s.epoch {
		return
	}
	f.away = true
	f.free.Store(true)
	f.ever.Store(true)
	f.times.Add(1)
	s.beginBatch(s.encoders, s.buffers, codec.Header{Flags: codec.Ticks, Clock: clock.Forever, Branch: term, Last: s.rank + 1})
	for o := range s.versions {
		s.versions[o]++
	}
	_ = s.post(ctx, s.encoders, nil) // it has failed the store
}

// rest keeps this rank as it is until reset: all it has to say is sent.
func (f *freeing) rest(ctx context.Context) error {
	if err := f.s.acquire(ctx); err != nil {
		return err
	}
	f.quiet = true
	f.duty.Store(nil)
	<-f.s.sending
	return nil
}

// sync begins an epoch at the coordinator, with Store.mu.
func (f *freeing) sync(at int64) {
	if f.coord != nil {
		f.coord.Sync(at)
	}
}

// reset begins an epoch on this rank, whose batches all have arrived: so have
// those that say who counts.
func (f *freeing) reset() {
	f.s.sending <- struct{}{} // nobody is sending
	if f.back.Swap(0) > 0 {
		f.away = false
		f.free.Store(false)
	}
	f.ever.Store(f.away)
	f.quiet = false
	<-f.s.sending
}
