package ssp

import (
	"fmt"
	"time"

	"github.com/sspurn/sspurn/runtime/telemetry"
	"github.com/sspurn/sspurn/ssp/internal/tuner"
)

// tuned is how a worker chooses the slack of its reads of tables with Auto.
type tuned struct {
	machine *tuner.Machine
	since   time.Time     // of the running clock
	gate    time.Duration // Stats.Gate then
	most    Clock
}

// tunes gives the worker a choice of slacks up to most.
func (w *Worker) tunes(most Clock) {
	if w.auto != nil && w.auto.most >= most {
		return
	}
	w.auto = &tuned{machine: tuner.New(int64(most)), since: w.since, gate: w.totals.Gate, most: most}
}

// tune tells the machine of the clock that ends now.
func (w *Worker) tune(now time.Time) {
	a, s := w.auto, w.s
	s.mu.Lock()
	low := Clock(s.shard.Min())
	s.mu.Unlock()
	was := a.machine.Staleness()
	next := a.machine.Clock(int64(now.Sub(a.since)), int64(w.totals.Gate-a.gate), int64(max(0, w.clock-low)))
	a.since, a.gate = now, w.totals.Gate
	if next == was {
		return
	}
	for _, v := range w.views {
		if v != nil {
			v.rebound()
		}
	}
	w.s.c.Recorder().Record(telemetry.Event{Kind: "note", Text: fmt.Sprintf("worker %d: staleness %d after %d from clock %d on", w.index, next, was, w.clock)})
}

// Loss tells tables with Auto of the job's loss, of which less is better, or of
// another figure that falls while all is well: when it gets worse their workers
// allow less staleness. It is local, is called outside Work, and costs nothing
// where there are no such tables.
func (s *Store) Loss(loss float64) {
	for _, w := range s.workers {
		if w.auto != nil {
			w.auto.machine.Loss(loss)
		}
	}
}
