package ssp

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Stats is what the workers of a rank have done and waited for since Open, as of
// their last Clock.
type Stats struct {
	Clocks   int64         // Clock calls, all workers
	Compute  time.Duration // outside the store, straggling included
	Gate     time.Duration // waiting because other workers are behind
	Value    time.Duration // of Gate: held back by a bound on values
	Miss     time.Duration // waiting for rows to arrive
	Flush    time.Duration // in Clock and Close, without what is in Gate
	Straggle time.Duration // slept for Config.Straggle, part of Compute
	Reads    int64         // rows read
	Fetches  int64         // rows asked for at other ranks
	Evicted  int64         // copies dropped for lack of room
	Freed    int64         // how often this rank was freed, under FSSP
	Applied  int64         // batches of this rank, one a clock, that counted, under Backup and DBW
	Dropped  int64         // and that were too late
	Held     int64         // times that a filter kept a row's updates back when their clock ended; rows of other ranks
	Saved    int64         // about the bytes that filters have kept from leaving; negative where they cost more
	// Stale counts reads by the age of the copy minus the reader's clock.
	Stale map[Clock]int64
	// Bytes that left this rank, by class: update, fetch (requests for rows and
	// the answers to others'), push, control; raw, the first three before
	// compression; and wire, all of the runtime's. Under Managed also voluntary: about
	// what of update, before compression, could have waited.
	Bytes map[string]int64

	near [nearAges]int64 // Stale of 0, -1, …; not in Reads
}

// nearAges is the number of differences that are counted in an array.
const nearAges = 64

func newStats() Stats { return Stats{Stale: map[Clock]int64{}} }

func (s *Stats) read(behind Clock) {
	if uint64(behind) < nearAges {
		s.near[behind]++
	} else {
		s.Stale[-behind]++
		s.Reads++
	}
}

// add sums.
func (s *Stats) add(o *Stats) {
	s.Clocks += o.Clocks
	s.Compute += o.Compute
	s.Gate += o.Gate
	s.Value += o.Value
	s.Miss += o.Miss
	s.Flush += o.Flush
	s.Straggle += o.Straggle
	s.Reads += o.Reads
	s.Fetches += o.Fetches
	s.Held += o.Held
	s.Saved += o.Saved
	for k, n := range o.Stale {
		s.Stale[k] += n
	}
	for i, n := range o.near {
		if n > 0 {
			s.Stale[-Clock(i)] += n
			s.Reads += n
		}
	}
}

// recordEvery is the least time between two events of a worker: that in which
// records leave a rank.
const recordEvery = 500 * time.Millisecond

// record publishes the worker's totals and, not too often unless it is the
// last, writes an event.
func (w *Worker) record(now time.Time, last bool) {
	if !last && now.Sub(w.recorded) < recordEvery {
		return
	}
	w.recorded = now
	t := newStats()
	t.add(&w.totals)
	for _, v := range w.views {
		if v != nil {
			f := v.filtered()
			t.Held += f.Held
			t.Saved += f.Before - f.After
		}
	}
	if w.index == 0 {
		t.Saved += w.s.spared.Load() // of all workers
	}
	w.s.wmu.Lock()
	w.published = t
	w.s.wmu.Unlock()
	r := w.s.c.Recorder()
	if !r.Enabled() {
		return
	}
	e := telemetry.Event{
		Kind: "clock", Worker: w.index, Clock: int64(w.clock),
		Compute: t.Compute.Seconds(), Gate: t.Gate.Seconds(), Miss: t.Miss.Seconds(), Flush: t.Flush.Seconds(),
		Straggle: t.Straggle.Seconds(), Reads: t.Reads, Fetches: t.Fetches, Held: t.Held, Saved: t.Saved,
	}
	if t.Clocks != e.Clock {
		e.Clocks = t.Clocks
	}
	if b := w.s.backing; b != nil && w.index == 0 {
		e.Dropped = b.dropped.Load()
	}
	for _, k := range slices.Sorted(maps.Keys(t.Stale)) {
		e.Stale = append(e.Stale, [2]int64{int64(k), t.Stale[k]})
	}
	for rank, d := range w.gates {
		if d > 0 {
			e.On = append(e.On, [2]float64{float64(w.s.c.JobRank(rank)), d.Seconds()})
		}
	}
	slices.SortFunc(e.On, func(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) })
	r.Record(e)
	w.line.flush()
	if last {
		r.Flush()
	}
	if w.index == 0 {
		w.s.record()
	}
}

// record writes the bytes that have left.
func (s *Store) record() {
	if r := s.c.Recorder(); r.Enabled() {
		s.recording.Lock()
		defer s.recording.Unlock()
		s.recorded.Store(int64(time.Since(s.start)))
		b, to := s.bytes()
		r.Record(telemetry.Event{Kind: "bytes", Bytes: b, To: to})
	}
}

// beatEvery is how long a rank is silent at most, whatever its workers wait for.
const beatEvery = time.Second

// beat records the bytes while no worker does.
func (s *Store) beat(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if time.Since(s.start)-time.Duration(s.recorded.Load()) >= beatEvery {
				s.record()
			}
		case <-ctx.Done():
			return
		case <-s.c.Done():
			return
		}
	}
}

// bytes returns what has left by class, and by the rank of the job it went to.
func (s *Store) bytes() (b map[string]int64, to []int64) {
	b = map[string]int64{"update": 0, "fetch": 0, "push": 0, "control": 0, "raw": 0, "wire": 0}
	for i := range s.links {
		l := &s.links[i]
		b["update"] += l.updates.Load()
		b["fetch"] += l.fetches.Load()
		b["push"] += l.pushed.Load()
		b["control"] += l.control.Load()
		b["raw"] += l.raw.Load()
	}
	if s.budget.tables.Load() > 0 {
		b["voluntary"] = s.budget.voluntary.Load()
	}
	for _, n := range s.c.TrafficTo() {
		to = append(to, int64(n))
		b["wire"] += int64(n)
	}
	return b, to
}

// Stats returns the totals of this rank. It may be called at any time.
func (s *Store) Stats() Stats {
	out := newStats()
	s.wmu.Lock()
	for _, w := range s.workers {
		out.add(&w.published)
	}
	tables := s.tables
	s.wmu.Unlock()
	for _, t := range tables {
		out.Evicted += t.evicted()
	}
	if s.freeing != nil {
		out.Freed = s.freeing.times.Load()
	}
	if s.backing != nil {
		out.Applied, out.Dropped = s.backing.applied.Load(), s.backing.dropped.Load()
	}
	out.Bytes, _ = s.bytes()
	return out
}
