package main

import (
	"context"
	"math"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/ssp"
)

// trainer is a training run on one rank: stochastic gradient descent on
//
//	mean of ln(1 + exp(-y w·x)) + l1 |w|₁ + l2/2 |w|²    with y = ±1
//
// over the training rows. The weights are a table, some of them a row.
type trainer struct {
	job     *apps.Job
	cfg     *config
	data    *dataset
	batches int // clocks of a pass
	width   int // weights in a row of the table

	store *ssp.Store
	table *ssp.Table[float32]
	local []*local // by worker

	w      []float32 // all weights, as of the last evaluation; same on every rank
	epoch  int
	clocks int64
	spent  time.Duration // training so far
	result fit
}

// local is what one worker works with.
type local struct {
	*share
	x, d   []float32 // scratch: weights of a batch; their change, or gradient
	orders [2][]int32
	pass   int // of orders[0]; the other one is of the next pass
}

// logBytes is the least that there is: under async a worker waits while its
// gradients of more than four clocks are under way. Clocks can be shorter than a
// turn of the processor, and without that a rank computes hundreds of gradients
// from weights that lack what they said already: four ranks on two cores, a9a,
// 10 passes, end at a logloss of 0.42 to 0.83 instead of 0.324.
const logBytes = 1

// newTrainer opens the store; it is collective.
func newTrainer(ctx context.Context, job *apps.Job, cfg *config, d *dataset) (*trainer, error) {
	t := &trainer{job: job, cfg: cfg, data: d, batches: job.ClocksPerEpoch, width: cfg.width}
	workers := job.Comm.Size() * job.Workers
	if t.batches == 0 {
		t.batches = derivedClocks(d.trainRows, workers, job.Policy)
	}
	if t.width == 0 {
		each, err := distinct(ctx, job.Comm, d.train, t.batches, d.weights())
		if err != nil {
			return nil, err
		}
		t.width = derivedWidth(d.weights(), each)
	}
	for i, r := range d.train {
		l := &local{share: newShare(r, t.batches, t.width, d.weights(), d.freq, d.trainRows), pass: -1}
		d.train[i] = nil // its columns are numbered anew
		most := 0
		for b := range l.batches {
			most = max(most, len(l.batches[b].rows)*t.width)
		}
		l.x, l.d = make([]float32, most), make([]float32, most)
		l.orders = [2][]int32{make([]int32, t.batches), make([]int32, t.batches)}
		t.local = append(t.local, l)
	}
	d.freq = nil
	var err error
	if t.store, err = ssp.Open(ctx, job.Comm, ssp.Config{Workers: job.Workers, Policy: job.Policy, Filter: job.Filter, Bandwidth: job.Bandwidth, Seed: job.Seed, LogBytes: logBytes}); err != nil {
		return nil, err
	}
	rows := (d.weights() + t.width - 1) / t.width
	spec := ssp.TableSpec[float32]{Name: "weights", Rows: int64(rows), Width: t.width, Update: cfg.rule}
	if cfg.l1 > 0 && cfg.rule != ssp.Add() {
		share, err := t.shares(ctx, job.Comm, rows*t.width)
		if err != nil {
			return nil, err
		}
		spec.Rule = proximal(cfg.adagrad, cfg.l1, t.width, share)
	}
	t.table, err = ssp.CreateTable(ctx, t.store, spec)
	if err != nil {
		return nil, err
	}
	t.w = make([]float32, rows*t.width)
	return t, nil
}

// at returns the batch that a worker does at a clock, counted over all passes.
// All workers of a rank go through theirs in the same order, so that the same
// ones leave together in every pass.
func (l *local) at(clock int64, seed uint64, rank int) *batch {
	n := int64(len(l.batches))
	pass := int(clock / n)
	if pass != l.pass && pass != l.pass+1 || l.pass < 0 {
		l.pass = pass
		shuffle(l.orders[0], seed, rank, pass)
		shuffle(l.orders[1], seed, rank, pass+1)
	}
	return &l.batches[l.orders[pass-l.pass][clock%n]]
}

// passes trains for n passes and leaves every update applied everywhere.
func (t *trainer) passes(ctx context.Context, n int) error {
	if err := collectives.Barrier(ctx, t.job.Comm); err != nil { // so that nobody's evaluation counts as training
		return err
	}
	start := time.Now()
	clocks := int64(n) * int64(t.batches)
	err := t.store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
		for i := range clocks {
			if err := t.clock(ctx, w, t.clocks+i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := t.store.Sync(ctx); err != nil {
		return err
	}
	t.spent += time.Since(start)
	t.epoch += n
	t.clocks += clocks
	return nil
}

// clock is one clock of a worker: a batch.
func (t *trainer) clock(ctx context.Context, w *ssp.Worker, clock int64) error {
	l, view := t.local[w.Index()], t.table.View(w)
	rank := t.job.Comm.Rank()
	b := l.at(clock, t.job.Seed, rank)
	view.Prefetch(l.at(clock+1, t.job.Seed, rank).rows...) // they come while this clock computes
	x, d := l.x[:len(b.rows)*t.width], l.d[:len(b.rows)*t.width]
	if err := view.GetMany(ctx, b.rows, x); err != nil {
		return err
	}
	if t.cfg.rule == ssp.Add() {
		t.step(l, b, x, d, clock)
	} else {
		clear(d)
		l.gradient(b, x, d, float32(t.cfg.l2))
	}
	view.IncMany(b.rows, d)
	return w.Clock(ctx)
}

// step takes a batch's steps from the weights x and sets d to their change.
func (t *trainer) step(l *local, b *batch, x, d []float32, clock int64) {
	copy(d, x)
	rate := float32(t.cfg.rate * math.Pow(t.cfg.decay, float64(clock/int64(t.batches))))
	l.descend(b, x, rate, float32(t.cfg.l1), float32(t.cfg.l2))
	part := t.part(b.to-b.from, rate)
	for k, was := range d {
		d[k] = part * (x[k] - was)
	}
}

// part is the part of a batch's change of the weights that is kept where changes
// are added up. All workers' batches that are under way may start from the same
// weights, and each of them goes a good deal of the way to what its rows want,
// so that their sum would overshoot and diverge: n steps go at most the share
// 1-exp(-rate·n·curvature) of it, the curvature of the loss being at most a
// quarter of the squared length of a row. So that all together go the way at
// most once, each keeps 1/(batches under way × share): the sum of the changes
// where these are small, their mean where each goes all the way. The rule is our
// own.
func (t *trainer) part(rows int, rate float32) float32 {
	n := underway(t.job.Comm.Size()*t.job.Workers, t.job.Policy)
	if n == 1 {
		return 1
	}
	way := 1 - math.Exp(-float64(rate)*float64(rows)*t.data.square/4)
	return float32(min(1, 1/(float64(n)*way)))
}

// run trains until the epochs are over or the target is reached.
func (t *trainer) run(ctx context.Context) error {
	t.job.Plan(int64(t.job.Epochs) * int64(t.batches))
	for t.epoch < t.job.Epochs {
		n, before := min(t.cfg.evaluate, t.job.Epochs-t.epoch), t.spent
		if err := t.passes(ctx, n); err != nil {
			return err
		}
		if err := t.evaluate(ctx); err != nil {
			return err
		}
		t.store.Loss(t.result.train)
		figures := t.result.figures()
		t.job.Report(apps.Point{
			Pass: float64(t.epoch), Goal: float64(t.job.Epochs), Clocks: t.clocks, Seconds: t.spent.Seconds(),
			Rate: float64(t.data.trainEntries) * float64(n) / (t.spent - before).Seconds(), Unit: "nonzeros", Figures: figures,
		})
		if t.job.Reached(figures[len(figures)-1]) {
			break
		}
	}
	return nil
}

// fit is how good the model is.
type fit struct {
	train     float64 // mean logloss of the training rows
	objective float64 // with the penalties
	nonzeros  int64   // weights that are not zero

	tested         bool
	test, acc, auc float64
}

// figures are what is reported of a fit; the last one is what -target means.
func (f fit) figures() []apps.Figure {
	out := []apps.Figure{{Metric: "train_logloss", Better: "lower", Value: f.train}}
	if !f.tested {
		return out
	}
	out = append(out, apps.Figure{Metric: "test_acc", Better: "higher", Value: f.acc})
	if !math.IsNaN(f.auc) { // it is not defined for rows of one class
		out = append(out, apps.Figure{Metric: "test_auc", Better: "higher", Value: f.auc})
	}
	return append(out, apps.Figure{Metric: "test_logloss", Better: "lower", Value: f.test})
}

// evaluate brings the weights to every rank and measures the model. It is
// collective, and legal after passes.
func (t *trainer) evaluate(ctx context.Context) error {
	c := t.job.Comm
	err := t.table.Collect(ctx, 0, func(row int64, x []float32) error {
		copy(t.w[int(row)*t.width:], x)
		return nil
	})
	if err != nil {
		return err
	}
	if err := collectives.Bcast(ctx, c, t.w, 0); err != nil {
		return err
	}
	f := fit{tested: t.data.testRows > 0}
	sums := []float64{0, 0, 0} // training loss, test loss, test rows that are right
	for _, l := range t.local {
		for i := range l.batches {
			b := &l.batches[i]
			for k, row := range b.rows {
				copy(l.x[k*t.width:(k+1)*t.width], t.w[int(row)*t.width:])
			}
			sums[0] += l.loss(b, l.x)
		}
	}
	scores := testScores(t.data.test, t.w)
	var of [2][]float64 // scores of negative and of positive rows
	for i, z := range scores {
		yes := t.data.test.Label[i] > 0
		sums[1] += logloss(z, yes)
		if (z > 0) == yes {
			sums[2]++
		}
		if yes {
			of[1] = append(of[1], z)
		} else {
			of[0] = append(of[0], z)
		}
	}
	if err := allSum(ctx, c, sums); err != nil {
		return err
	}
	f.train = sums[0] / float64(t.data.trainRows)
	abs, square := 0.0, 0.0
	for _, x := range t.w {
		if x != 0 {
			f.nonzeros++
		}
		abs += math.Abs(float64(x))
		square += float64(x) * float64(x)
	}
	f.objective = f.train + t.cfg.l1*abs + t.cfg.l2/2*square
	if math.IsNaN(f.objective) || math.IsInf(f.objective, 0) {
		return errors.Errorf("diverged in pass %d: the objective is %g; smaller steps (%s) or more -clocks-per-epoch (%d) help",
			t.epoch, f.objective, t.cfg.steps(), t.batches)
	}
	if f.tested {
		f.test, f.acc = sums[1]/float64(t.data.testRows), sums[2]/float64(t.data.testRows)
		if f.auc, err = auc(ctx, c, of[1], of[0]); err != nil {
			return err
		}
	}
	t.result = f
	return nil
}

// testScores returns w·x of every row.
func testScores(r *apps.Rows, w []float32) []float64 {
	scores := make([]float64, r.Len())
	for i := range scores {
		col, val := r.Row(i)
		for k, c := range col {
			scores[i] += float64(w[c]) * float64(val[k])
		}
	}
	return scores
}
