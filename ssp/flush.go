package ssp

import (
	"context"

	"github.com/sspurn/sspurn/ssp/internal/clock"
	"github.com/sspurn/sspurn/ssp/internal/codec"
)

// departure tells a worker with which versions its updates of a clock left.
type departure struct {
	from, to int64 // clocks
	eager    bool  // those to tables whose updates wait for nobody
	versions []uint64
}

// learn tells the views what has left.
func (w *Worker) learn() {
	if !w.left.Load() {
		return
	}
	w.batmu.Lock()
	batches := w.batchs
	w.batchs = nil
	w.left.Store(false)
	w.batmu.Unlock()
	for _, d := range batches {
		for _, v := range w.views {
			if v != nil {
				v.left(d)
			}
		}
	}
}

func (w *Worker) tell(d departure) {
	w.batmu.Lock()
	w.batchs = append(w.batchs, d)
	w.left.Store(true)
	w.batmu.Unlock()
}

// acquire takes the right to send batches.
func (s *Store) acquire(ctx context.Context) error {
	select {
	case s.sending <- struct{}{}:
		return nil
	default:
	}
	select {
	case s.sending <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.c.Done():
		return s.c.Err()
	case <-s.failed:
		return s.failure
	}
}

// flush sends the batches of all clocks that every worker of the rank has
// ended: one for each clock and owner, empty or not.
func (s *Store) flush(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-s.sending }()
	for {
		s.wmu.Lock()
		low := s.clocks.Min()
		end := int64(0)
		tables := s.tables
		for _, w := range s.workers {
			end = max(end, int64(w.clock))
			if low != clock.Forever {
				continue
			}
			for _, t := range tables { // a worker closes with the timestamp of its block
				end = max(end, int64(t.policy().last(w.clock)))
			}
		}
		s.wmu.Unlock()
		if s.sent >= low {
			return nil
		}
		at := s.sent
		next := announced(at, end, low)
		h := codec.Header{Flags: codec.Ticks, Clock: next}
		if s.freeing != nil {
			next, h = s.freeing.header(at, next, low)
		}
		if s.backing != nil {
			h.ID = s.backing.loss(next)
		}
		s.beginBatch(s.encoders, s.buffers, h)
		if s.backing != nil && next != clock.Forever {
			next = s.backing.upto(at, end, low)
		}
		last := next - 1
		if next == clock.Forever {
			last = clock.Forever
		}
		for _, t := range tables {
			if !t.policy().eager() {
				t.encode(at, last, s.encoders)
			}
		}
		versions := make([]uint64, s.size)
		for o := range versions {
			s.versions[o]++
			versions[o] = s.versions[o]
		}
		for _, w := range s.workers {
			w.tell(departure{at, last, false, versions})
		}
		if err := s.post(ctx, s.encoders, nil); err != nil {
			return err
		}
		s.sent = next
		if s.budget.tables.Load() > 0 {
			s.budget.left(s, last)
		}
	}
}

// beginBatch opens the batch for every owner that comes next there: one that
// announces a clock, or has updates of one.
func (s *Store) beginBatch(encs []codec.Encoder, bufs [][]byte, h codec.Header) {
	h.Kind, h.Rank, h.Epoch = codec.Batch, s.rank, s.epoch
	for o := range encs {
		h.Version = s.versions[o] + 1
		encs[o].Begin(bufs[o][:0], h)
	}
}

// post sends the batches, to all owners or those that are marked. When it can
// not, owners wait for a version that never comes: it is the end of the store.
func (s *Store) post(ctx context.Context, encs []codec.Encoder, marked []bool) error {
	err := s.postAll(ctx, encs, marked)
	if err != nil {
		s.fail(err)
	}
	return err
}

func (s *Store) postAll(ctx context.Context, encs []codec.Encoder, marked []bool) error {
	// Others first: their answers take longer.
	for k := 1; k <= s.size; k++ {
		o := (s.rank + k) % s.size
		msg := encs[o].End()
		s.buffers[o] = msg
		if marked != nil && !marked[o] {
			continue
		}
		if o == s.rank {
			if err := s.apply(o, msg); err != nil {
				return err
			}
			continue
		}
		if s.packers != nil {
			msg = s.pack(o, msg)
		}
		s.links[o].raw.Add(int64(len(msg)))
		msg = s.links[o].squeeze(msg)
		s.links[o].updates.Add(int64(len(msg)))
		if s.budget.tables.Load() > 0 {
			if err := s.postTimed(ctx, o, msg); err != nil {
				return err
			}
			continue
		}
		if err := s.data.Post(ctx, o, msg); err != nil {
			return err
		}
	}
	return nil
}

// sendEager sends the worker's sealed updates to tables that are eager, in a batch
// that does not tick.
func (w *Worker) sendEager(ctx context.Context) error {
	s := w.s
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-s.sending }()
	if w.encoders == nil {
		w.encoders, w.touched = make([]codec.Encoder, s.size), make([]bool, s.size)
	}
	clear(w.touched)
	s.beginBatch(w.encoders, s.buffers, codec.Header{Clock: int64(w.clock)})
	for _, v := range w.views {
		if v != nil && v.pendingEager() {
			v.encodeEager(w.encoders, w.touched)
		}
	}
	versions := make([]uint64, s.size)
	for o, t := range w.touched {
		if t {
			s.versions[o]++
			versions[o] = s.versions[o]
		}
	}
	d := departure{int64(w.clock), int64(w.clock), true, versions}
	for _, v := range w.views {
		if v != nil && v.pendingEager() {
			v.left(d)
		}
	}
	return s.post(ctx, w.encoders, w.touched)
}
