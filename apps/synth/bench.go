package main

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/ssp"
)

// bench is a run on one rank.
type bench struct {
	job    *apps.Job
	cfg    *config
	rule   ssp.Policy // what -check tests: the job's policy
	width  int
	ledger *ledger

	store    *ssp.Store
	table    *ssp.Table[int64]
	until    time.Time  // with -duration
	checkers []*checker // by worker; nil without -check
	issued   [][]int64  // by worker: when it began to add its updates of a clock; for traces
}

func newBench(job *apps.Job, cfg *config) (*bench, error) {
	workers := job.Comm.Size() * job.Workers
	width := cfg.width
	if width == 0 {
		width = max(16, workers)
	}
	if width < workers {
		return nil, errors.Errorf("-width %d: expected at least %d, a column for each worker of the job", width, workers)
	}
	return &bench{
		job: job, cfg: cfg, rule: job.Policy, width: width,
		ledger: &ledger{seed: job.Seed, workers: workers, rows: cfg.rows, touch: cfg.touch, clocks: cfg.clocks},
	}, nil
}

func (b *bench) run(ctx context.Context) error {
	if err := b.open(ctx); err != nil {
		return err
	}
	if err := collectives.Barrier(ctx, b.job.Comm); err != nil {
		return err
	}
	if b.cfg.length == 0 {
		b.job.Plan(b.cfg.clocks)
	}
	start := time.Now()
	b.until = start.Add(b.cfg.length)
	if err := b.store.Work(ctx, b.work); err != nil {
		return err
	}
	if err := b.store.Sync(ctx); err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	if b.cfg.check {
		if err := b.settle(ctx); err != nil {
			return err
		}
	}
	total, err := b.sum(ctx)
	if err != nil {
		return err
	}
	if err := b.store.Close(ctx); err != nil {
		return err
	}
	clocks := b.cfg.clocks
	if b.cfg.length > 0 {
		clocks = int64(total.latest)
	}
	result := b.job.Result(clocks, seconds, total.iterations/seconds)
	total.report(result)
	if b.cfg.check {
		result.Add("violations", 0)
	}
	result.Add("seed", b.job.Seed)
	return b.job.Finish(result)
}

// work is the body of a worker.
func (b *bench) work(ctx context.Context, w *ssp.Worker) error {
	self := b.job.Comm.Rank()*b.job.Workers + w.Index()
	view := b.table.View(w)
	values := make([]int64, b.width)
	rows := make([]int64, 0, b.ledger.touch)
	for clock := int64(0); b.more(clock, w); clock++ {
		if b.checkers != nil {
			b.checkers[w.Index()].begin(clock)
		}
		rows = rows[:0]
		b.ledger.each(self, clock, func(row int64) { rows = append(rows, row) })
		for _, row := range rows {
			if err := view.Get(ctx, row, values); err != nil {
				return err
			}
			if b.checkers == nil {
				continue
			}
			if err := b.checkers[w.Index()].read(row, values, time.Now().UnixNano()); err != nil {
				return err
			}
		}
		if err := b.sleep(ctx, self, clock); err != nil {
			return err
		}
		if b.issued != nil {
			b.issued[w.Index()] = append(b.issued[w.Index()], time.Now().UnixNano())
		}
		for _, row := range rows {
			view.IncAt(row, self, 1)
		}
		if err := w.Clock(ctx); err != nil {
			return err
		}
		if b.cfg.barrier {
			if err := collectives.Barrier(ctx, b.job.Comm); err != nil {
				return err
			}
		}
	}
	return nil
}

// more reports whether a worker makes another iteration.
func (b *bench) more(clock int64, w *ssp.Worker) bool {
	switch {
	case b.cfg.length > 0:
		return time.Now().Before(b.until)
	case b.rule.Drops():
		return int64(w.Now()) < b.cfg.clocks // it may skip some
	}
	return clock < b.cfg.clocks
}

// sleep computes.
func (b *bench) sleep(ctx context.Context, self int, clock int64) error {
	u := apps.Uniform(b.job.Seed, uint64(self)+1, uint64(clock))
	d := time.Duration(float64(b.cfg.compute) * (1 + b.cfg.jitter*(2*u-1)))
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle tests what only the end of the run shows: the sums, and reads without
// bound against the times of all updates.
func (b *bench) settle(ctx context.Context) error {
	end := newTally(b.ledger)
	end.advance(b.cfg.clocks)
	rows := int64(0)
	err := b.table.Collect(ctx, 0, func(row int64, x []int64) error {
		rows++
		want := end.row(row)
		if !slices.Equal(x[:len(want)], want) || slices.ContainsFunc(x[len(want):], func(v int64) bool { return v != 0 }) {
			return errors.Errorf("violation: row %d holds %d at the end, expected %d", row, x, want)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if b.job.Comm.Rank() == 0 && rows != b.cfg.rows {
		return errors.Errorf("violation: %d rows at the end, expected %d", rows, b.cfg.rows)
	}
	if b.issued == nil {
		return nil
	}
	issued, err := b.allIssued(ctx)
	if err != nil {
		return err
	}
	for _, k := range b.checkers {
		if err := k.trace.check(b.ledger, issued); err != nil {
			return err
		}
	}
	return nil
}

// allIssued returns when each worker of the job began to add its updates of
// each clock. Clocks of different hosts can not be compared: then an update
// counts as made before everything.
func (b *bench) allIssued(ctx context.Context) ([][]int64, error) {
	c := b.job.Comm
	own := slices.Concat(b.issued...)
	out := make([][]int64, c.Size())
	for r := range out {
		out[r] = own
	}
	in, err := apps.Exchange(ctx, c, out)
	if err != nil {
		return nil, err
	}
	var all [][]int64
	for r, times := range in {
		times = slices.Clone(times)
		if c.Host(r) != c.Host(c.Rank()) {
			for i := range times {
				times[i] = math.MinInt64
			}
		}
		for w := range int64(b.job.Workers) {
			all = append(all, times[w*b.cfg.clocks:(w+1)*b.cfg.clocks])
		}
	}
	return all, nil
}
