package main

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/ssp"
)

// descent is a load that learns: linear regression on samples that are made up
// as they are needed. Coordinate i of a sample is normal with variance
// hᵢ = 1/(1+i), its label what the true weights, normal too, make of it. So the
// expected loss ½·Σ hᵢ(xᵢ − trueᵢ)² of weights x is known exactly.
type descent struct {
	*bench
	goal
	table *ssp.Table[float32]
	truth []float64
}

// batch is the number of samples of a gradient.
const batch = 8

// unlimited stands for losses that are too large or no number: JSON has neither.
const unlimited = 1e300

func newDescent(b *bench) *descent {
	d := &descent{bench: b, truth: make([]float64, b.cfg.rows*int64(b.width))}
	rng := rand.New(rand.NewPCG(b.job.Seed, 1<<32))
	for i := range d.truth {
		d.truth[i] = rng.NormFloat64()
	}
	return d
}

func curvature(i int) float64 { return 1 / float64(1+i) }

func (d *descent) run(ctx context.Context) error {
	store, err := ssp.Open(ctx, d.job.Comm, ssp.Config{Workers: d.job.Workers, Policy: d.job.Policy, Filter: d.job.Filter, Bandwidth: d.job.Bandwidth, Seed: d.job.Seed})
	if err != nil {
		return err
	}
	d.store = store
	d.table, err = ssp.CreateTable(ctx, store, ssp.TableSpec[float32]{Name: "weights", Rows: d.cfg.rows, Width: d.width, Update: d.cfg.rule})
	if err != nil {
		return err
	}
	if err := collectives.Barrier(ctx, d.job.Comm); err != nil {
		return err
	}
	d.job.Plan(d.cfg.clocks)
	begin := time.Now()
	d.begin = begin
	if err := store.Work(ctx, d.work); err != nil {
		return err
	}
	if err := store.Sync(ctx); err != nil {
		return err
	}
	seconds := time.Since(begin).Seconds()
	weights := make([]float64, len(d.truth))
	first := d.loss(weights)
	err = d.table.Collect(ctx, 0, func(row int64, x []float32) error {
		for i, v := range x {
			weights[row*int64(d.width)+int64(i)] = float64(v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	total, err := d.sum(ctx)
	if err != nil {
		return err
	}
	if err := store.Close(ctx); err != nil {
		return err
	}
	result := d.job.Result(d.cfg.clocks, seconds, float64(d.cfg.clocks)*float64(d.ledger.workers)/seconds)
	total.report(result)
	result.Add("update", d.cfg.rule)
	result.Add("start_loss", first)
	result.Add("loss", d.loss(weights))
	d.report(result)
	result.Add("seed", d.job.Seed)
	return d.job.Finish(result)
}

// loss is the expected loss of weights.
func (d *descent) loss(weights []float64) float64 {
	sum := 0.0
	for i, x := range weights {
		e := x - d.truth[i]
		sum += curvature(i) * e * e / 2
	}
	if !(sum < unlimited) {
		return unlimited
	}
	return sum
}

// look sees whether weights that were read are as good as the target.
func (d *descent) look(clock int64, x []float32) {
	loss, start := 0.0, 0.0
	for i, v := range x {
		e := float64(v) - d.truth[i]
		loss += curvature(i) * e * e / 2
		start += curvature(i) * d.truth[i] * d.truth[i] / 2
	}
	d.meet(d.bench, clock, loss, start)
}

// work is the body of a worker: all rows, a gradient, a clock.
func (d *descent) work(ctx context.Context, w *ssp.Worker) error {
	self := d.job.Comm.Rank()*d.job.Workers + w.Index()
	view, rng := d.table.View(w), rand.New(rand.NewPCG(d.job.Seed, uint64(self)))
	rows := make([]int64, d.cfg.rows)
	for i := range rows {
		rows[i] = int64(i)
	}
	n := len(d.truth)
	x, sample, sum, g := make([]float32, n), make([]float64, n), make([]float64, n), make([]float32, n)
	scale := 1.0
	if d.cfg.rule == ssp.Add() {
		scale = -d.cfg.step
	}
	for clock := range d.cfg.clocks {
		if err := view.GetMany(ctx, rows, x); err != nil {
			return err
		}
		if self == 0 && d.met == nil {
			d.look(clock, x)
		}
		clear(sum)
		for range batch {
			off := 0.0
			for i := range sample {
				sample[i] = rng.NormFloat64() * math.Sqrt(curvature(i))
				off += sample[i] * (float64(x[i]) - d.truth[i])
			}
			for i, a := range sample {
				sum[i] += a * off / batch
			}
		}
		for i, v := range sum {
			g[i] = float32(scale * v)
		}
		if err := d.sleep(ctx, self, clock); err != nil {
			return err
		}
		view.IncMany(rows, g)
		if err := w.Clock(ctx); err != nil {
			return err
		}
		if d.cfg.barrier {
			if err := collectives.Barrier(ctx, d.job.Comm); err != nil {
				return err
			}
		}
	}
	return nil
}

// The loads.
const (
	loadCount     = "count"
	loadDescent   = "descent"
	loadFactors   = "factors"
	defaultUpdate = "sgd:0.01"
)

// verifyLoad reports what is wrong with the flags of the load, once -touch is
// known.
func (cfg *config) verifyLoad() (err error) {
	if cfg.load == "" {
		cfg.load = loadCount
	}
	switch {
	case !(cfg.skew >= 0 && cfg.skew <= 8):
		return errors.Errorf("-skew %g: expected 0 to 8", cfg.skew)
	case cfg.load == loadCount && cfg.update == "":
		return nil
	case cfg.load == loadCount:
		return errors.Errorf("-update %s: expected -load %s with it", cfg.update, loadDescent)
	case cfg.load != loadDescent && cfg.load != loadFactors:
		return errors.Errorf("-load %s: expected %s, %s or %s", cfg.load, loadCount, loadDescent, loadFactors)
	case cfg.check:
		return errors.Errorf("-check with -load %s: expected -load %s", cfg.load, loadCount)
	case cfg.touch != cfg.rows:
		return errors.Errorf("-touch %d with -load %s: expected all %d rows", cfg.touch, cfg.load, cfg.rows)
	case cfg.load == loadFactors && cfg.update != "":
		return errors.Errorf("-update %s: expected -load %s with it", cfg.update, loadDescent)
	case cfg.load == loadFactors:
		return nil
	}
	if cfg.update == "" {
		cfg.update = defaultUpdate
	}
	cfg.rule, err = ssp.ParseUpdate(cfg.update)
	return errors.WithMessage(err, "-update")
}
