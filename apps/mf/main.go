// Mf factorises a matrix of ratings by stochastic gradient descent: users'
// rows stay with the rank that holds their ratings, items' rows are a table of
// the store.
package main

import (
	"context"
	"math"
	"os"

	"github.com/pkg/errors"
	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/linalg"
)

func main() {
	var cfg config
	os.Exit(apps.Main(app(&cfg), os.Args))
}

// config are the flags of mf.
type config struct {
	rank                int
	rate, decay, lambda float64
	evaluate            int // passes between evaluations; 0: 1
	value               string
	symmetric           bool
	model               string // -predict
}

func app(cfg *config) apps.App {
	return apps.App{
		Name:    "mf",
		Summary: "matrix factorisation of ratings by stochastic gradient descent",
		Text: `Reads lines "user item rating" (blanks, tabs or commas between them; numbers from 0 or 1), holds one in ten
out by a fixed rule, and fits mean + b_user + b_item + p_user · q_item to the rest. After every pass (-evaluate) it
prints the root mean squared error on both parts. -target is a held-out error.

The model file (-out) is text in the format of LIBMF: f, m, n, k, b, then a line for each user (p) and each item
(q); LIBMF's mf-predict reads it, and so does -predict, which prints the errors of a model on -data.

A pass has 8 × (staleness + 1) clocks for each worker of the job (async and auto count as a staleness of 3), or as many as
there are items if that is less. Workers go round blocks of items, each at its own distance, so an item rests for
8 × (staleness + 1) clocks before the next worker changes it; fewer clocks save messages, more help when ranks
drift far apart under async.`,
		Examples: []string{
			"sspurn -n 4 mf -data ratings.tsv.zst -rank 32 -sync ssp:3 -epochs 20 -out model.txt",
			"sspurn -n 2 mf -data cooc.upper.txt.zst -value log -symmetric -lambda 0.02 -rank 32",
			"mf -predict model.txt -data ratings.tsv.zst",
		},
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "rank", Aliases: []string{"k"}, Value: 32, Usage: "length of a user's and an item's row", Destination: &cfg.rank},
			&cli.Float64Flag{Name: "rate", Value: 0.02, Usage: "step size of the first pass", Destination: &cfg.rate},
			&cli.Float64Flag{Name: "decay", Value: 0.95, Usage: "factor of the step size from pass to pass", Destination: &cfg.decay},
			&cli.Float64Flag{Name: "lambda", Value: 0.1, Usage: "weight of the squares of the rows and biases", Destination: &cfg.lambda},
			&cli.IntFlag{Name: "evaluate", Value: 1, Usage: "passes from one evaluation, for which all updates are sent and applied, to the next", Destination: &cfg.evaluate},
			&cli.StringFlag{Name: "value", Value: "plain", Usage: "plain, or log to fit the logarithm of the rating", Destination: &cfg.value},
			&cli.BoolFlag{Name: "symmetric", Usage: "the file holds one half of a symmetric matrix", Destination: &cfg.symmetric},
			&cli.StringFlag{Name: "predict", Usage: "train nothing; print the errors of the model in `FILE` on -data", Destination: &cfg.model},
		},
		Defaults: apps.Options{Epochs: 20},
		Check:    cfg.check,
		Run:      cfg.run,
	}
}

// check reports what is wrong with the flags.
func (cfg *config) check(o *apps.Options) error {
	switch {
	case len(o.Data) == 0:
		return errors.New("-data is missing: expected a file of ratings")
	case cfg.rank < 1 || cfg.rank > maxRank-2:
		return errors.Errorf("-rank %d: expected 1 to %d", cfg.rank, maxRank-2)
	case !(cfg.rate > 0) || math.IsInf(cfg.rate, 0):
		return errors.Errorf("-rate %g: expected a number above 0", cfg.rate)
	case !(cfg.decay > 0 && cfg.decay <= 1):
		return errors.Errorf("-decay %g: expected a number above 0 and up to 1", cfg.decay)
	case !(cfg.lambda >= 0) || cfg.rate*cfg.lambda >= 1:
		return errors.Errorf("-lambda %g: expected a number from 0 up to 1/rate", cfg.lambda)
	case cfg.evaluate < 0:
		return errors.Errorf("-evaluate %d: expected at least 1", cfg.evaluate)
	case cfg.value != "plain" && cfg.value != "log":
		return errors.Errorf("-value %s: expected plain or log", cfg.value)
	case cfg.model != "" && o.Out != "":
		return errors.New("-predict and -out: expected one of them")
	}
	return nil
}

func (cfg *config) format() apps.RatingsFormat {
	return apps.RatingsFormat{Log: cfg.value == "log", Symmetric: cfg.symmetric}
}

func (cfg *config) run(ctx context.Context, job *apps.Job) error {
	if cfg.model != "" {
		return cfg.predict(ctx, job)
	}
	ratings, err := readShare(job, cfg.format())
	if err := job.Together(ctx, err); err != nil {
		return err
	}
	d, err := summarise(ctx, job.Comm, ratings)
	if err != nil {
		return err
	}
	if err := job.Together(ctx, d.check(job)); err != nil {
		return err
	}
	workers := job.Comm.Size() * job.Workers
	blocks := job.ClocksPerEpoch
	if blocks == 0 {
		blocks = derivedClocks(workers, int(job.Policy.Typical()), linalg.Nonzeros(d.itemCount))
	}
	p := newPlan(job.Seed, workers, blocks, d.userCount, d.itemCount)
	shards, err := settle(ctx, job.Comm, p, job.Workers, ratings)
	if err != nil {
		return err
	}
	job.Logf("%d users, %d items, %d ratings to train on and %d held out; %d clocks a pass", linalg.Nonzeros(d.userCount),
		linalg.Nonzeros(d.itemCount), d.train, d.test, blocks)
	t, err := newTrainer(ctx, job, cfg, d, p, shards)
	if err != nil {
		return err
	}
	if err := t.run(ctx); err != nil {
		return err
	}
	if err := t.save(ctx); err != nil {
		return err
	}
	if err := t.store.Close(ctx); err != nil {
		return err
	}
	result := job.Result(t.clocks, t.spent.Seconds(), float64(t.data.train)*float64(t.epoch)/t.spent.Seconds())
	figures := t.result.figures()
	result.Add("loss", figures[len(figures)-1].Value)
	for _, f := range figures {
		result.Add(f.Metric, f.Value)
	}
	result.Add("epochs", t.epoch)
	result.Add("rank", cfg.rank)
	result.Add("seed", job.Seed)
	return job.Finish(result)
}

// save writes the model file, if one is wanted. It is collective.
func (t *trainer) save(ctx context.Context) error {
	if t.job.Out == "" {
		return nil
	}
	m, err := t.model(ctx)
	if err != nil || m == nil {
		return err
	}
	return apps.WriteFile(t.job.Out, m.write)
}

// predict prints the errors of a model on the ratings of -data.
func (cfg *config) predict(ctx context.Context, job *apps.Job) error {
	m, err := readModel(cfg.model)
	var ratings apps.Ratings
	if err == nil {
		ratings, err = readShare(job, cfg.format())
	}
	if err := job.Together(ctx, err); err != nil {
		return err
	}
	var sums [4]float64 // squares and numbers, of the training and of the held-out part
	for i, v := range ratings.Value {
		part := 0
		if apps.Held(ratings.Row[i], ratings.Col[i]) {
			part = 2
		}
		e := float64(v - m.predict(ratings.Row[i], ratings.Col[i]))
		sums[part] += e * e
		sums[part+1]++
	}
	if err := collectives.Allreduce(ctx, job.Comm, sums[:], sums[:], collectives.Sum); err != nil {
		return err
	}
	if sums[1]+sums[3] == 0 {
		return &apps.InputError{File: job.Data[0], Err: errors.New(`expected ratings, "user item rating" a line, found none`)}
	}
	result := &apps.Result{}
	result.Add("app", job.App)
	result.Add("ranks", job.Comm.Size())
	result.Add("ratings", int64(sums[1]+sums[3]))
	result.Add("rmse", math.Sqrt((sums[0]+sums[2])/(sums[1]+sums[3])))
	result.Add("train_rmse", math.Sqrt(sums[0]/sums[1]))
	result.Add("test_rmse", math.Sqrt(sums[2]/sums[3]))
	return job.Finish(result)
}
