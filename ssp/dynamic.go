package ssp

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/telemetry"
	"github.com/sspurn/sspurn/ssp/internal/backup"
	"github.com/sspurn/sspurn/ssp/internal/clock"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/shard"
)

// dynamic is what rank 0 knows of iterations under DBW. It is guarded by
// Store.mu.
type dynamic struct {
	s       *Store
	chooser *backup.Chooser
	rounds  map[int64]*iteration // that may still tell something, by clock
	clock   int64                // whose figures are to come next
	waited  int64                // sum of the ranks that iterations waited for
	clocks  int64                // and their number
}

// iteration is a clock of DBW.
type iteration struct {
	start  time.Time // its model was known; zero: before anybody looked
	before int       // for how many the one before had waited
	came   int
	losses []float64 // by rank, NaN where none
	set    []int
	told   int // shards that have told
	spread shard.Spread
}

// keptRounds is how many clocks late results are timed for.
const keptRounds = 64

func newDynamic(s *Store, rule backup.Rule) *dynamic {
	return &dynamic{s: s, chooser: backup.NewChooser(s.size, rule), rounds: map[int64]*iteration{}}
}

func (d *dynamic) round(at int64) *iteration {
	x := d.rounds[at]
	if x == nil {
		x = &iteration{losses: slices.Repeat([]float64{math.NaN()}, d.s.size)}
		d.rounds[at] = x
	}
	return x
}

// came takes the arrival of a batch, which may be too late to count.
func (d *dynamic) came(rank int, at int64, loss float64) {
	if at < d.clock-keptRounds {
		return
	}
	x := d.round(at)
	x.losses[rank] = loss
	x.came++
	if !x.start.IsZero() {
		d.chooser.Came(x.before, x.came, time.Since(x.start).Seconds())
	}
}

// decided takes who makes up a clock, and returns for how many the next one waits.
func (d *dynamic) decided(at int64, set []int) int {
	d.round(at).set = set
	d.waited += int64(len(set))
	d.clocks++
	next := d.round(at + 1)
	next.start, next.before = time.Now(), len(set)
	return d.chooser.Done(len(set))
}

// learn takes what a shard has seen of a clock. It reports whether the running
// iteration waits for another number now, as that was the last of them.
func (b *backing) learn(x shard.Spread) (changed bool) {
	d := b.dbw
	it := d.round(x.Clock)
	it.told++
	it.spread.Squares += x.Squares
	it.spread.Sum += x.Sum
	it.spread.K = x.K
	for {
		it := d.rounds[d.clock]
		if it == nil || it.told < d.s.size {
			return changed
		}
		n, k, rate := float64(d.s.size), float64(it.spread.K), d.s.backing.rate()
		loss := 0.0
		for _, r := range it.set {
			loss += it.losses[r] / k
		}
		scale := n / rate // a rank's update is −rate/n times its gradient
		d.chooser.Learn(backup.Iteration{
			K: it.spread.K, Loss: loss, Rate: rate, Squares: it.spread.Squares * scale * scale, Mean: it.spread.Sum * scale * scale / (k * k),
		})
		d.clock++
		delete(d.rounds, d.clock-keptRounds)
		if d.clock == b.coord.Clock() { // the running iteration can still use it
			k := d.chooser.Next()
			changed = changed || k != b.coord.Waits()
			b.coord.Wait(k)
		}
	}
}

// told takes a shard's report.
func (b *backing) told(rank int, msg []byte) error {
	var dec codec.Decoder
	if err := dec.Reset(msg); err != nil {
		return err
	}
	h := dec.Header()
	if h.Last < 1 || h.Last > b.s.size {
		return errors.Errorf("a clock of %d ranks", h.Last)
	}
	s := b.s
	s.mu.Lock()
	if h.Epoch != s.shard.Clocks().Epoch() { // of an epoch that is over
		s.mu.Unlock()
		return nil
	}
	b.learn(shard.Spread{Clock: h.Clock, K: h.Last, Squares: math.Float64frombits(h.Version), Sum: math.Float64frombits(h.ID)})
	rose, err := b.decide()
	var ready []answer
	if err == nil {
		ready, err = s.release(rose)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.replyAll(ready)
}

// sync begins an epoch.
func (d *dynamic) sync(at int64) {
	clear(d.rounds)
	d.clock = at
	d.chooser.Pause()
	if d.clocks > 0 {
		text := fmt.Sprintf("waited for %.3g of %d ranks on average, in %d clocks", float64(d.waited)/float64(d.clocks), d.s.size, d.clocks)
		d.s.crew.spawn(func(context.Context) { d.s.c.Recorder().Record(telemetry.Event{Kind: "note", Text: text}) })
	}
	d.waited, d.clocks = 0, 0
}

// Loss tells the store, for DBW, the loss of the worker's minibatch at the model
// that the running iteration has read, and the rate of the descent: that the
// updates of the iteration are −rate/(n·w) times the worker's gradient, of n ranks
// with w workers each. Under other policies it does nothing. The last call before
// Clock counts.
func (w *Worker) Loss(loss, rate float64) {
	b := w.s.backing
	if b == nil {
		return
	}
	w.loss = loss
	b.rateBits.Store(math.Float64bits(rate))
}

// rate is what a worker of this rank said last.
func (b *backing) rate() float64 { return math.Float64frombits(b.rateBits.Load()) }

// loss returns what a batch says of the losses of the rank's workers: the bits of
// their mean, NaN when one did not say it.
func (b *backing) loss(next int64) uint64 {
	if b.s.cfg.Policy.kind != dbw || next == clock.Forever {
		return 0
	}
	b.s.wmu.Lock()
	defer b.s.wmu.Unlock()
	sum := 0.0
	for _, w := range b.s.workers {
		sum += w.said
	}
	return math.Float64bits(sum / float64(len(b.s.workers)))
}
