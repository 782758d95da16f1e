package main

import (
	"context"
	"math"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/ssp"
)

// factors is a load that learns, of rows that matter differently: it factors a
// matrix of ratings that is made up as it is needed, of the rank of the table's
// width, by stochastic gradient descent. Rows are items, the i-th of which is rated
// (1+i)^-skew times as often as the first; each worker has users of its own, whose
// factors nobody else needs.
type factors struct {
	*bench
	goal
	table *ssp.Table[float32]
	often []float64 // by item: the share of the ratings that it and those before it get
	truth []float64 // rows × width
	first float64   // the loss of the first worker's users at the start
	last  float64   // and in its last clock
}

// Users of a worker, and ratings that it sees in a clock.
const (
	users   = 64
	ratings = 256
)

func newFactors(b *bench) *factors {
	f := &factors{bench: b, often: make([]float64, b.cfg.rows), truth: b.normal(1<<32, int(b.cfg.rows))}
	sum := 0.0
	for i := range f.often {
		sum += math.Pow(float64(1+i), -b.cfg.skew)
		f.often[i] = sum
	}
	for i := range f.often {
		f.often[i] /= sum
	}
	return f
}

// normal returns factors of so many items or users: products of two have the
// variance 1.
func (b *bench) normal(stream uint64, n int) []float64 {
	rng := rand.New(rand.NewPCG(b.job.Seed, stream))
	x := make([]float64, n*b.width)
	scale := math.Pow(float64(b.width), -0.25)
	for i := range x {
		x[i] = scale * rng.NormFloat64()
	}
	return x
}

func (f *factors) run(ctx context.Context) error {
	store, err := ssp.Open(ctx, f.job.Comm, ssp.Config{Workers: f.job.Workers, Policy: f.job.Policy, Filter: f.job.Filter, Bandwidth: f.job.Bandwidth, Seed: f.job.Seed})
	if err != nil {
		return err
	}
	f.store = store
	f.table, err = ssp.CreateTable(ctx, store, ssp.TableSpec[float32]{Name: "items", Rows: f.cfg.rows, Width: f.width, Init: func(row int64, x []float32) {
		for i := range x {
			x[i] = float32(0.4*apps.Uniform(f.job.Seed, uint64(row), uint64(i)) - 0.2)
		}
	}})
	if err != nil {
		return err
	}
	if err := collectives.Barrier(ctx, f.job.Comm); err != nil {
		return err
	}
	f.job.Plan(f.cfg.clocks)
	f.begin = time.Now()
	if err := store.Work(ctx, f.work); err != nil {
		return err
	}
	if err := store.Sync(ctx); err != nil {
		return err
	}
	seconds := time.Since(f.begin).Seconds()
	total, err := f.sum(ctx)
	if err != nil {
		return err
	}
	if err := store.Close(ctx); err != nil {
		return err
	}
	result := f.job.Result(f.cfg.clocks, seconds, float64(f.cfg.clocks)*float64(f.ledger.workers)/seconds)
	total.report(result)
	result.Add("start_loss", f.first)
	result.Add("loss", f.last)
	f.report(result)
	result.Add("seed", f.job.Seed)
	return f.job.Finish(result)
}

// loss is the mean square error of the ratings of users, in the shares in which
// they come.
func (f *factors) loss(x []float32, p, truth []float64) float64 {
	sum, before := 0.0, 0.0
	for i, upto := range f.often {
		q, want := x[i*f.width:][:f.width], f.truth[i*f.width:][:f.width]
		for u := range users {
			e := 0.0
			for k := range q {
				e += p[u*f.width+k]*float64(q[k]) - truth[u*f.width+k]*want[k]
			}
			sum += (upto - before) * e * e / users
		}
		before = upto
	}
	if !(sum < unlimited) {
		return unlimited
	}
	return sum
}

// work is the body of a worker: all rows, some ratings, a clock.
func (f *factors) work(ctx context.Context, w *ssp.Worker) error {
	self := f.job.Comm.Rank()*f.job.Workers + w.Index()
	view, rng := f.table.View(w), rand.New(rand.NewPCG(f.job.Seed, uint64(self)))
	truth, p := f.normal(1<<33+uint64(self), users), f.normal(1<<34+uint64(self), users)
	for i := range p {
		p[i] *= 0.1
	}
	rows := make([]int64, f.cfg.rows)
	for i := range rows {
		rows[i] = int64(i)
	}
	x, read := make([]float32, len(f.truth)), make([]float32, len(f.truth))
	var touched []int64
	for clock := range f.cfg.clocks {
		if err := view.GetMany(ctx, rows, x); err != nil {
			return err
		}
		if self == 0 {
			f.last = f.loss(x, p, truth)
			if clock == 0 {
				f.first = f.last
			}
			f.meet(f.bench, clock, f.last, f.first)
		}
		copy(read, x)
		seen := map[int64]bool{}
		touched = touched[:0]
		for range ratings {
			u, i := rng.IntN(users), sort.SearchFloat64s(f.often, rng.Float64())
			i = min(i, len(f.often)-1)
			if !seen[int64(i)] {
				seen[int64(i)] = true
				touched = append(touched, int64(i))
			}
			own, q := p[u*f.width:][:f.width], x[i*f.width:][:f.width]
			e := 0.0
			for k := range q {
				e += own[k]*float64(q[k]) - truth[u*f.width+k]*f.truth[i*f.width+k]
			}
			for k := range q {
				was := own[k]
				own[k] -= f.cfg.step * e * float64(q[k])
				q[k] -= float32(f.cfg.step * e * was)
			}
		}
		if err := f.sleep(ctx, self, clock); err != nil {
			return err
		}
		for _, row := range touched {
			change := read[int(row)*f.width:][:f.width]
			for k, v := range change {
				change[k] = x[int(row)*f.width+k] - v
			}
			view.Inc(row, change)
		}
		if err := w.Clock(ctx); err != nil {
			return err
		}
		if f.cfg.barrier {
			if err := collectives.Barrier(ctx, f.job.Comm); err != nil {
				return err
			}
		}
	}
	return nil
}
