package main

import (
	"context"
	"math"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/linalg"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp"
)

// trainer is a training run on one rank. The model is
//
//	rating ≈ mean + b_user + b_item + p_user · q_item
//
// fitted by stochastic gradient descent on the squared error plus lambda times
// the squares of what a rating touches (Koren, Bell, Volinsky: Matrix
// factorization techniques for recommender systems, Computer 42(8), 2009).
// Users' rows stay with their worker; an item's row, q and then b, is a row of
// the table.
type trainer struct {
	job  *apps.Job
	cfg  *config
	data *dataset
	plan *plan

	store *ssp.Store
	items *ssp.Table[float32]
	local []*local // by worker

	matrix []float32 // all item rows, as of the last evaluation; same on every rank
	epoch  int
	clocks int64
	spent  time.Duration // training so far
	result fit
}

// fit is how good the model is.
type fit struct{ train, test float64 } // RMSE

// local is the part of the model that belongs to one worker.
type local struct {
	shard
	factors []float32 // a row of rank numbers for each own user
	bias    []float32
	rows    []int64   // scratch: items of the next clock
	before  []float32 // scratch: a row before a visit
}

func newTrainer(ctx context.Context, job *apps.Job, cfg *config, d *dataset, p *plan, shards []shard) (*trainer, error) {
	store, err := ssp.Open(ctx, job.Comm, ssp.Config{Workers: job.Workers, Policy: job.Policy, Filter: job.Filter, Bandwidth: job.Bandwidth, Seed: job.Seed})
	if err != nil {
		return nil, err
	}
	t := &trainer{job: job, cfg: cfg, data: d, plan: p, store: store}
	t.items, err = ssp.CreateTable(ctx, store, ssp.TableSpec[float32]{
		Name: "items", Rows: int64(d.items), Width: cfg.rank + 1,
		Init: func(row int64, x []float32) { initial(job.Seed, 1, row, x[:cfg.rank]) },
	})
	if err != nil {
		return nil, err
	}
	for _, s := range shards {
		l := &local{shard: s, factors: make([]float32, len(s.users)*cfg.rank), bias: make([]float32, len(s.users))}
		for i, u := range s.users {
			if d.userCount[u] == 0 {
				continue // only held out: the item's bias is all that is known
			}
			initial(job.Seed, 0, int64(u), l.factors[i*cfg.rank:(i+1)*cfg.rank])
		}
		t.local = append(t.local, l)
	}
	return t, nil
}

// initial fills a row with small numbers that only the seed and the row's
// number decide. Their products are small against a rating's deviation from
// the mean, and different enough that the coordinates part.
func initial(seed, stream uint64, row int64, x []float32) {
	scale := 0.5 / math.Sqrt(float64(len(x)))
	for k := range x {
		x[k] = float32(scale * (2*apps.Uniform(seed, stream, uint64(row)<<16|uint64(k)) - 1))
	}
}

// pass trains until the next evaluation, for which it leaves every update applied
// everywhere, and returns for how many epochs.
func (t *trainer) pass(ctx context.Context) (epochs int, err error) {
	if err := collectives.Barrier(ctx, t.job.Comm); err != nil { // so that nobody's evaluation counts as training
		return 0, err
	}
	start := time.Now()
	epochs = min(max(1, t.cfg.evaluate), t.job.Epochs-t.epoch)
	err = t.store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
		for e := range epochs {
			if err := t.work(ctx, w, t.epoch+e, t.clocks+int64(e*t.plan.blocks)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := t.store.Sync(ctx); err != nil {
		return 0, err
	}
	t.spent += time.Since(start)
	t.epoch += epochs
	t.clocks += int64(epochs * t.plan.blocks)
	return epochs, nil
}

// work is one worker's pass from a clock on.
func (t *trainer) work(ctx context.Context, w *ssp.Worker, epoch int, from int64) error {
	rate := float32(t.cfg.rate * math.Pow(t.cfg.decay, float64(epoch)))
	l, view := t.local[w.Index()], t.items.View(w)
	worker := t.job.Comm.Rank()*t.job.Workers + w.Index()
	items := func(clock int64) []int64 {
		l.rows = l.rows[:0]
		for _, r := range l.block(t.plan.at(worker, clock)) {
			l.rows = append(l.rows, int64(r.item))
		}
		return l.rows
	}
	if err := view.Fetch(ctx, items(from)...); err != nil { // no clock has asked for those of the first pass
		return err
	}
	for i := range int64(t.plan.blocks) {
		clock := from + i
		view.Prefetch(items(clock + 1)...) // they come while this clock computes
		for n, r := range l.block(t.plan.at(worker, clock)) {
			row, err := view.Edit(ctx, int64(r.item))
			if err != nil {
				return err
			}
			share := t.share(int(r.to-r.from), rate)
			if share < 1 {
				l.before = append(l.before[:0], row...)
			}
			l.step(row, r, epoch+n, t.cfg.rank, float32(t.data.mean), rate, float32(t.cfg.lambda))
			if share < 1 {
				for k, b := range l.before {
					row[k] = b + share*(row[k]-b)
				}
			}
		}
		if err := w.Clock(ctx); err != nil {
			return err
		}
	}
	return nil
}

// share is the part of a visit's change of an item, after a number of ratings,
// that is kept. With a bound on staleness it is all: no other worker's visit is
// near. Without one all workers may have started from the same copy, and as
// each of them moves the row a good deal of the way to what its ratings want,
// their sum would overshoot and diverge: n steps take a bias 1-exp(-rate·n) of
// the way, and a row not much less. So that all workers together go the way at
// most once, a share of 1/workers is kept of the visits that go all of it
// (their mean), and all of those that go less than 1/workers (their sum). The
// rule is our own.
func (t *trainer) share(ratings int, rate float32) float32 {
	if _, bounded := t.job.Policy.Staleness(); bounded || t.plan.workers == 1 {
		return 1
	}
	way := 1 - math.Exp(-float64(rate)*float64(ratings))
	return float32(min(1, 1/(float64(t.plan.workers)*way)))
}

// block returns the runs of a block.
func (s *shard) block(b int) []run { return s.runs[s.first[b]:s.first[b+1]] }

// step descends along the ratings of one item, from another one in each pass.
func (l *local) step(row []float32, r run, turn, rank int, mean, rate, lambda float32) {
	users, values := l.user[r.from:r.to], l.value[r.from:r.to]
	at := int(apps.Mix(uint64(turn)) % uint64(len(users)))
	l.descend(row, users[at:], values[at:], rank, mean, rate, lambda)
	l.descend(row, users[:at], values[:at], rank, mean, rate, lambda)
}

func (l *local) descend(row []float32, users []int32, values []float32, rank int, mean, rate, lambda float32) {
	q, bias := row[:rank], row[rank]
	for i, u := range users {
		b := l.bias[u]
		p := l.factors[int(u)*rank:][:rank]
		e := linalg.FactorStep(p, q, values[i]-mean-b-bias, rate, lambda)
		l.bias[u] = b + rate*(e-lambda*b)
		bias += rate * (e - lambda*bias)
	}
	row[rank] = bias
}

// evaluate brings the item rows to every rank and measures the errors. It is
// collective, and legal after pass.
func (t *trainer) evaluate(ctx context.Context) error {
	c, width := t.job.Comm, t.cfg.rank+1
	if t.matrix == nil {
		t.matrix = make([]float32, t.data.items*width)
	}
	err := t.items.Collect(ctx, 0, func(row int64, x []float32) error {
		if t.data.itemCount[row] > 0 { // the others know only the user's bias
			copy(t.matrix[int(row)*width:], x)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := collectives.Bcast(ctx, c, t.matrix, 0); err != nil {
		return err
	}
	sums := make([]float64, 2)
	for _, l := range t.local {
		sums[0] += t.trainError(l)
		sums[1] += t.testError(l)
	}
	if err := collectives.Allreduce(ctx, c, sums, sums, collectives.Sum); err != nil {
		return err
	}
	t.result = fit{train: math.Sqrt(sums[0] / float64(t.data.train)), test: math.NaN()}
	if t.data.test > 0 {
		t.result.test = math.Sqrt(sums[1] / float64(t.data.test))
	}
	if math.IsNaN(t.result.train) || math.IsInf(t.result.train, 0) {
		return errors.Errorf("diverged in pass %d: the training error is %g; a smaller -rate (now %g) or a larger -lambda (now %g) helps",
			t.epoch, t.result.train, t.cfg.rate, t.cfg.lambda)
	}
	return nil
}

// predict is the model's value for an own user and an item.
func (t *trainer) predict(l *local, user, item int32) float32 {
	k := t.cfg.rank
	q := t.matrix[int(item)*(k+1):][:k+1]
	return float32(t.data.mean) + l.bias[user] + q[k] + linalg.Dot(l.factors[int(user)*k:][:k], q[:k])
}

func (t *trainer) trainError(l *local) float64 {
	sum := 0.0
	for _, r := range l.runs {
		for i := r.from; i < r.to; i++ {
			e := float64(l.value[i] - t.predict(l, l.user[i], r.item))
			sum += e * e
		}
	}
	return sum
}

func (t *trainer) testError(l *local) float64 {
	sum := 0.0
	for _, x := range l.test {
		e := float64(x.value - t.predict(l, x.user, x.item))
		sum += e * e
	}
	return sum
}

// figures are what is reported of a fit; the last one is what -target means.
func (f fit) figures() []apps.Figure {
	out := []apps.Figure{{Metric: "train_rmse", Better: "lower", Value: f.train}}
	if !math.IsNaN(f.test) {
		out = append(out, apps.Figure{Metric: "test_rmse", Better: "lower", Value: f.test})
	}
	return out
}

// run trains until the epochs are over or the target is reached.
func (t *trainer) run(ctx context.Context) error {
	before := time.Duration(0)
	t.job.Plan(int64(t.job.Epochs) * int64(t.plan.blocks))
	for t.epoch < t.job.Epochs {
		epochs, err := t.pass(ctx)
		if err != nil {
			return err
		}
		if err := t.evaluate(ctx); err != nil {
			return err
		}
		t.store.Loss(t.result.train)
		figures := t.result.figures()
		t.job.Report(apps.Point{
			Pass: float64(t.epoch), Goal: float64(t.job.Epochs), Clocks: t.clocks, Seconds: t.spent.Seconds(),
			Rate: float64(epochs) * float64(t.data.train) / (t.spent - before).Seconds(), Unit: "ratings", Figures: figures,
		})
		before = t.spent
		if t.job.Reached(figures[len(figures)-1]) {
			break
		}
	}
	return nil
}

// gatherTag is of the messages that bring the users' rows to rank 0.
const gatherTag runtime.Tag = 1

// model brings the users' rows to rank 0, where it returns the whole model; the
// other ranks get nil. It is collective.
func (t *trainer) model(ctx context.Context) (*model, error) {
	c, k := t.job.Comm, t.cfg.rank
	var numbers []int32
	var rows []float32
	for _, l := range t.local {
		numbers = append(numbers, l.users...)
		for i := range l.users {
			rows = append(rows, l.factors[i*k:(i+1)*k]...)
			rows = append(rows, l.bias[i])
		}
	}
	if c.Rank() != 0 {
		if err := runtime.Send(ctx, c, 0, gatherTag, []int64{int64(len(numbers))}); err != nil {
			return nil, err
		}
		if err := runtime.Send(ctx, c, 0, gatherTag, numbers); err != nil {
			return nil, err
		}
		return nil, runtime.Send(ctx, c, 0, gatherTag, rows)
	}
	m := newModel(k, t.data.users, t.data.items, float32(t.data.mean))
	m.setUsers(numbers, rows)
	for from := 1; from < c.Size(); from++ {
		count := []int64{0}
		if _, err := runtime.Recv(ctx, c, from, gatherTag, count); err != nil {
			return nil, err
		}
		numbers, rows = make([]int32, count[0]), make([]float32, int(count[0])*(k+1))
		if _, err := runtime.Recv(ctx, c, from, gatherTag, numbers); err != nil {
			return nil, err
		}
		if _, err := runtime.Recv(ctx, c, from, gatherTag, rows); err != nil {
			return nil, err
		}
		m.setUsers(numbers, rows)
	}
	for i, n := range t.data.itemCount {
		if n > 0 || t.data.itemHeld[i] > 0 {
			m.setItem(int32(i), t.matrix[i*(k+1):][:k+1])
		}
	}
	return m, nil
}
