package ssp

import (
	"context"
	stderrors "errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/telemetry"
	"github.com/sspurn/sspurn/ssp/internal/clock"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/oplog"
)

// Worker is one thread of computation: it reads and updates rows through Views
// and ends its iterations with Clock. It belongs to one goroutine.
type Worker struct {
	s     *Store
	index int
	clock Clock  // written with Store.wmu
	turn  uint64 // a number for the running clock that never comes again
	open  bool
	views []view // by table; nil where none was asked for

	encoders []codec.Encoder // for batches of its own
	touched  []bool

	left   atomic.Bool // batches has news; set before they leave
	batmu  sync.Mutex  // guards batches
	batchs []departure

	auto *tuned // chooses the slack of tables with Auto; nil without one

	since     time.Time // compute since
	waited    time.Duration
	recorded  time.Time
	totals    Stats
	gates     []time.Duration // totals.Gate by the rank that was waited for
	line      timeline
	published Stats // guarded by Store.wmu

	free    bool          // reads are not gated: the rank is freed
	busy    time.Duration // for the last clock, waits excluded; written with Store.wmu
	flushed time.Duration // at the end of the clock before
	loss    float64       // of the running iteration; NaN: not said
	said    float64       // of the last one; written with Store.wmu
}

// view is a View of any element.
type view interface {
	seal(clock Clock, all bool) (rows int)
	filtered() oplog.Filtered
	left(d departure)
	trim(c Clock)
	reset(at Clock)
	next()
	rebound()
	retire()
	wish()
	pendingEager() bool
	waits() bool
	awaitReach(ctx context.Context) error
	encodeEager(encs []codec.Encoder, touched []bool)
	acked() bool
	awaitAck(ctx context.Context) error
}

// Index is the worker's number on its rank, from 0 to Config.Workers−1.
func (w *Worker) Index() int { return w.index }

// Now returns how many clocks the worker has ended.
func (w *Worker) Now() Clock { return w.clock }

// Work runs body on Config.Workers goroutines, each with a worker of its own,
// and returns when all have: with nil, or the error of the first worker that
// failed, which ends the context of the others. A panic is such an error, of one
// line; if the body of runtime.Run returns it, the stack goes to the rank's standard
// error. Workers are closed when their body returns. Every rank calls Work, and
// between two calls Sync; indices stay.
func (s *Store) Work(ctx context.Context, body func(ctx context.Context, w *Worker) error) error {
	ws := make([]*Worker, s.cfg.Workers)
	for i := range ws {
		w, err := s.NewWorker()
		if err != nil {
			for _, w := range ws[:i] {
				err = stderrors.Join(err, w.Close())
			}
			return err
		}
		ws[i] = w
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	busy := len(ws)
	if s.pushes() {
		busy++ // pushes are on their way while workers compute: they must not poll
	}
	s.c.Computing(busy)
	defer s.c.Computing(-busy)
	var group sync.WaitGroup
	var once sync.Once
	var first error
	for _, w := range ws {
		group.Go(func() {
			err := w.run(ctx, body)
			if err != nil {
				once.Do(func() {
					first = err
					if _, ok := err.(*workerPanic); !ok { // which names it
						first = errors.WithMessagef(err, "worker %d", w.index)
					}
					cancel(first)
				})
			}
		})
	}
	group.Wait()
	return first
}

func (w *Worker) run(ctx context.Context, body func(context.Context, *Worker) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &workerPanic{w.index, p, debug.Stack()}
		}
		if e := w.end(ctx, err != nil); err == nil {
			err = e
		}
	}()
	return body(ctx, w)
}

// workerPanic is what a panic of a worker becomes: one line for all ranks, with the
// stack beside it.
type workerPanic struct {
	worker int
	value  any
	stack  []byte
}

func (e *workerPanic) Error() string { return fmt.Sprintf("panic in worker %d: %v", e.worker, e.value) }

// Unwrap returns the error that the program panicked with, if it was one.
func (e *workerPanic) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// Stack is what runtime.Run prints.
func (e *workerPanic) Stack() []byte { return e.stack }

// NewWorker opens the next worker of this rank: the long form of Work. All
// Config.Workers are to be opened and closed; one that is not holds the other
// ranks back. After a worker has been closed, Sync comes before the next.
func (s *Store) NewWorker() (*Worker, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.closed {
		return nil, errors.New("new worker: the store is closed")
	}
	if s.begun == s.cfg.Workers {
		return nil, errors.Errorf("new worker: all %d are open or were closed since the last Sync", s.cfg.Workers)
	}
	w := s.workers[s.begun]
	if w.open {
		return nil, errors.Errorf("new worker: worker %d is still open", w.index)
	}
	s.begun++
	w.open = true
	w.turn++
	w.since, w.waited = time.Now(), 0
	if w.auto != nil {
		w.auto.since = w.since
	}
	w.line.begin(w.clock, w.since)
	return w, nil
}

// Close ends the worker: what it has not handed over with Clock leaves, and it
// holds nobody back any more. Its Views must not be used until it is opened
// again.
func (w *Worker) Close() error { return w.end(context.Background(), false) }

// end closes the worker. A worker that failed hands nothing over: its job is
// about to end.
func (w *Worker) end(ctx context.Context, failed bool) error {
	if !w.open {
		return nil
	}
	w.open = false
	start := w.account()
	var err error
	if !failed {
		if err = w.handOver(ctx, true); err == nil {
			w.leave()
			err = w.s.flush(ctx)
		}
	}
	now := time.Now()
	w.totals.Flush += now.Sub(start) - w.waited
	w.line.end(now)
	w.record(now, true)
	return errors.WithMessagef(err, "close worker %d", w.index)
}

// leave takes the worker out of the rank's minimum.
func (w *Worker) leave() {
	w.s.wmu.Lock()
	w.s.clocks.Step(w.s.clocks.Epoch(), w.index, clock.Forever)
	w.s.wmu.Unlock()
}

// handOver seals the updates of the running clock and sends those that wait for
// nobody. With all set, updates do not wait for the end of their block either, nor
// where filters have kept them back.
func (w *Worker) handOver(ctx context.Context, all bool) error {
	eager := false
	for _, v := range w.views {
		if v != nil {
			v.seal(w.clock, all)
			eager = eager || v.pendingEager()
		}
	}
	if eager {
		if err := w.sendEager(ctx); err != nil {
			return err
		}
	}
	for _, v := range w.views {
		if v == nil || !v.waits() {
			continue
		}
		if err := v.awaitReach(ctx); err != nil {
			return err
		}
		if err := w.sendEager(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Clock ends an iteration: the updates that the worker has made since the last
// one leave for the owners of their rows, at once or, together with those of
// the other workers of the rank, when the last of them has ended the same clock.
// It waits only while too much of what left before is still under way, and until a
// bound on values (VAP) lets the updates in.
func (w *Worker) Clock(ctx context.Context) error {
	if !w.open {
		return errors.Errorf("clock: worker %d is closed", w.index)
	}
	if err := w.straggle(ctx); err != nil {
		return err
	}
	computed := w.totals.Compute
	start := w.account()
	if err := w.handOver(ctx, false); err != nil {
		return errors.WithMessagef(err, "worker %d: clock %d", w.index, w.clock)
	}
	s := w.s
	s.wmu.Lock()
	w.clock++
	if s.freeing != nil {
		w.busy = w.totals.Compute - computed + w.flushed
		s.freeing.step(w)
	}
	if s.backing != nil {
		s.backing.step(w)
		w.said, w.loss = w.loss, math.NaN()
	}
	rose := s.clocks.Step(s.clocks.Epoch(), w.index, int64(w.clock))
	s.wmu.Unlock()
	if rose {
		if err := s.flush(ctx); err != nil {
			return errors.WithMessagef(err, "worker %d: clock %d", w.index, w.clock-1)
		}
	}
	w.turn++
	w.learn()
	for _, v := range w.views {
		if v == nil {
			continue
		}
		v.next()
		v.trim(w.clock)
		if s.cfg.Prefetch != OnDemand {
			v.wish()
		}
		for !v.acked() {
			if err := v.awaitAck(ctx); err != nil {
				return errors.WithMessagef(err, "worker %d: clock %d", w.index, w.clock-1)
			}
		}
	}
	now := time.Now()
	w.flushed = now.Sub(start) - w.waited
	w.totals.Flush += w.flushed
	w.totals.Clocks++
	if w.auto != nil {
		w.tune(now)
	}
	w.since, w.waited = now, 0
	w.line.end(now)
	w.line.begin(w.clock, now)
	w.record(now, false)
	return nil
}

// account ends the computing of a clock and returns the time.
func (w *Worker) account() time.Time {
	now := time.Now()
	w.totals.Compute += now.Sub(w.since) - w.waited
	w.since, w.waited = now, 0
	w.line.finish(now)
	return now
}

// blocked adds a wait that ends now to the worker's totals: a Miss on the owner
// of rows, or a Gate on the rank that was behind.
func (w *Worker) blocked(kind telemetry.SpanKind, on int, start time.Time) {
	now := time.Now()
	d := now.Sub(start)
	w.waited += d
	if kind == telemetry.Miss {
		w.totals.Miss += d
	} else {
		w.totals.Gate += d
	}
	if on >= 0 {
		if kind == telemetry.Gate {
			w.gates[on] += d
		}
		on = w.s.c.JobRank(on)
	}
	w.line.note(kind, on, start, now)
}

func (w *Worker) reset(at Clock) {
	w.batmu.Lock()
	w.batchs = nil
	w.left.Store(false)
	w.batmu.Unlock()
	w.clock = at
	w.turn++
	w.free = w.s.freeing != nil && w.s.freeing.free.Load()
	w.flushed, w.loss = 0, math.NaN()
	for _, v := range w.views {
		if v != nil {
			v.reset(at)
		}
	}
}

// straggle sleeps as the experiment wants; it counts as computing.
func (w *Worker) straggle(ctx context.Context) error {
	s := w.s
	if len(s.straggle) == 0 {
		return nil
	}
	d := delay(s.straggle, s.rank, s.size, w.clock, s.cfg.Seed, time.Since(w.since)-w.waited)
	if d <= 0 {
		return nil
	}
	start := time.Now()
	defer func() {
		end := time.Now()
		w.totals.Straggle += end.Sub(start)
		w.line.note(telemetry.Straggle, telemetry.NoRank, start, end)
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.c.Done():
		return s.c.Err()
	case <-s.failed:
		return s.failure
	}
}

var errSparse = stderrors.New("the table is sparse")

// pushes reports whether a table has subscribers.
func (s *Store) pushes() bool {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	for _, t := range s.tables {
		if t.policy().pushes() {
			return true
		}
	}
	return false
}
