package main

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/ssp"
)

// descentLast is the loss at the end of a descent.
const descentLast = 1.2

// quadratic minimises |w|²/2 with gradients that have a variance.
type quadratic struct {
	job   *apps.Job
	cfg   *config
	table *ssp.Table[float64]
	share float64 // of a worker's gradient in a step
	start time.Time
	hit   []float64 // by worker: seconds until it saw the loss at its end
	seen  []int64   // and the clock
}

// runDescent is -descend.
func runDescent(ctx context.Context, job *apps.Job, cfg *config) error {
	width := cfg.width
	if width == 0 {
		width = 64
	}
	parts := job.Comm.Size()
	if b, ok := job.Policy.Backups(); ok {
		parts -= b
	}
	d := &quadratic{job: job, cfg: cfg, share: 1 / float64(parts*job.Workers), hit: make([]float64, job.Workers), seen: make([]int64, job.Workers)}
	store, err := ssp.Open(ctx, job.Comm, ssp.Config{Workers: job.Workers, Policy: job.Policy, Seed: job.Seed})
	if err != nil {
		return err
	}
	begin := math.Sqrt(2 * cfg.first / float64(cfg.rows*int64(width)))
	d.table, err = ssp.CreateTable(ctx, store, ssp.TableSpec[float64]{Name: "w", Rows: cfg.rows, Width: width, Init: func(_ int64, x []float64) {
		for i := range x {
			x[i] = begin
		}
	}})
	if err != nil {
		return err
	}
	if err := collectives.Barrier(ctx, job.Comm); err != nil {
		return err
	}
	d.start = time.Now()
	if err := store.Work(ctx, d.work); err != nil {
		return err
	}
	if err := store.Sync(ctx); err != nil {
		return err
	}
	seconds := time.Since(d.start).Seconds()
	first, clocks := math.Inf(1), int64(0)
	for i, s := range d.hit {
		if s < first {
			first, clocks = s, d.seen[i]
		}
	}
	least, err := collectives.AllreduceValue(ctx, job.Comm, first, collectives.Min)
	if err != nil {
		return err
	}
	if first != least {
		clocks = 0
	}
	if clocks, err = collectives.AllreduceValue(ctx, job.Comm, clocks, collectives.Max); err != nil {
		return err
	}
	s := store.Stats()
	sums := []float64{float64(s.Clocks), float64(s.Applied), float64(s.Dropped), float64(s.Freed)}
	if err := collectives.Allreduce(ctx, job.Comm, sums, sums, collectives.Sum); err != nil {
		return err
	}
	if err := store.Close(ctx); err != nil {
		return err
	}
	result := job.Result(clocks, seconds, sums[0]/seconds)
	reached := int64(1)
	if math.IsInf(least, 0) {
		reached, least = 0, seconds
	}
	result.Add("reached", reached)
	result.Add("descent", least)
	result.Add("iterations", int64(sums[0]))
	if job.Policy.Drops() {
		result.Add("applied", int64(sums[1]))
		result.Add("dropped", int64(sums[2]))
	}
	if job.Policy.Frees() {
		result.Add("freed", int64(sums[3]))
	}
	result.Add("seed", job.Seed)
	return job.Finish(result)
}

// work is the body of a worker: it ends when it has seen the loss at its end, or
// when the time is over.
func (d *quadratic) work(ctx context.Context, w *ssp.Worker) error {
	self := d.job.Comm.Rank()*d.job.Workers + w.Index()
	rng := rand.New(rand.NewPCG(d.job.Seed, uint64(self)))
	v, width := d.table.View(w), d.table.Width()
	x := make([]float64, int(d.table.Rows())*width)
	d.hit[w.Index()] = math.Inf(1)
	for i := uint64(0); ; i++ {
		for row := range d.table.Rows() {
			if err := v.Get(ctx, row, x[int(row)*width:][:width]); err != nil {
				return err
			}
		}
		loss := 0.0
		for _, y := range x {
			loss += y * y / 2
		}
		since := time.Since(d.start)
		if self == 0 && i%16 == 0 {
			d.job.Report(apps.Point{
				Pass: float64(w.Now()), Clocks: int64(w.Now()), Seconds: since.Seconds(), Unit: "iterations",
				Figures: []apps.Figure{{Metric: "loss", Better: "lower", Value: loss}},
			})
		}
		switch {
		case math.IsNaN(loss) || math.IsInf(loss, 0):
			return errors.Errorf("the loss is %g at clock %d", loss, w.Now())
		case loss <= descentLast:
			d.hit[w.Index()], d.seen[w.Index()] = since.Seconds(), int64(w.Now())
			return nil
		case d.cfg.length > 0 && since >= d.cfg.length:
			return nil
		}
		if err := d.sleep(ctx, self, i, since); err != nil {
			return err
		}
		deviation := math.Sqrt(d.cfg.descend / float64(len(x)))
		for k, y := range x {
			e := deviation * rng.NormFloat64()
			loss += e * y
			x[k] = -d.cfg.rate * d.share * (y + e)
		}
		w.Loss(loss, d.cfg.rate)
		for row := range d.table.Rows() {
			v.Inc(row, x[int(row)*width:][:width])
		}
		if err := w.Clock(ctx); err != nil {
			return err
		}
	}
}

// sleep computes.
func (d *quadratic) sleep(ctx context.Context, self int, i uint64, since time.Duration) error {
	t := float64(d.cfg.compute)
	if d.cfg.random {
		t *= -math.Log1p(-apps.Uniform(d.job.Seed, uint64(self)+1, i))
	}
	if d.job.Comm.Rank() < d.cfg.slow && since >= d.cfg.slowAfter {
		t *= slowFactor
	}
	timer := time.NewTimer(time.Duration(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// slowFactor is how many times as long ranks take that become slow.
const slowFactor = 10
