// Linear trains a linear classifier, logistic regression with penalties on
// sparse rows, by stochastic gradient descent: the weights are a table of the
// store.
package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/pkg/errors"
	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/ssp"
)

func main() {
	var cfg config
	os.Exit(apps.Main(app(&cfg), os.Args))
}

// config are the flags of linear.
type config struct {
	test        string
	split       int
	positive    string
	classes     []float64 // -positive, parsed; nil: labels are 0 and 1 or -1 and +1
	features    string
	hash        int
	bias        float64
	l1, l2      float64
	update      string
	rule        ssp.Update // -update, parsed; derived from the rows if that is empty
	adagrad     float64    // rate of -update adagrad, if it was derived or -l1 is given
	rate, decay float64
	width       int
	evaluate    int
	predict     string
	liblinear   string
}

func app(cfg *config) apps.App {
	return apps.App{
		Name:    "linear",
		Summary: "logistic regression on sparse rows by stochastic gradient descent",
		Text: `Reads rows in LIBSVM's format, "label column:value column:value ...", with labels 0 and 1, -1 and +1, or, with
-positive, any numbers, and minimises the mean of ln(1 + exp(-y w·x)) + l1 |w| + l2/2 |w|². liblinear's -c C is an l2
(or, for its L1 solver, an l1) of 1/(C × rows).

Rows to test on are those of -test, or with -split N the rows n = 1, 2, ... of -data whose mix(n), one SplitMix64
output, is a multiple of N. After every -evaluate passes it prints the mean logloss of the training rows and
accuracy, area under the ROC curve and logloss of the test rows. -target is a logloss, of the test rows if there are
any.

-features tfidf takes values as counts: (1 + ln count) ln(rows / rows with the column), rows scaled to length 1.

Workers send the summed gradient of a batch and the owner of a weight takes the step by -update: sgd:RATE,
momentum:RATE, adagrad:RATE, adarevision:ALPHA, adam:RATE or ftrl:ALPHA,BETA,L1,L2, where L1 is on the sum over the
rows of all passes. With -update add workers take a step a row, of -rate × -decay^passes, and add up what changes.
-l1 goes with adagrad and add.

A batch is a clock. A pass has so many that 1024 rows are on their way at once, those of all other workers' staleness
+ 1 clocks (async counts as a staleness of 3), in batches of 32 to 256 rows.

The weights (-out) are "column weight" a line, those that are not zero, and "bias weight" where there is a bias.`,
		Examples: []string{
			"sspurn -n 4 linear -data a9a -test a9a.t -l2 3e-5 -epochs 5 -out weights.txt",
			"sspurn -n 4 linear -data 20news.libsvm.zst -split 5 -positive 2,3,4,5,6,12,13,14,15 -features tfidf -l2 1e-6",
			"linear -data clicks.gz -hash 22 -l1 1e-6 -test clicks.t.gz -predict p.txt -liblinear model",
		},
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "test", Usage: "test on the rows of `FILE`", Destination: &cfg.test},
			&cli.IntFlag{Name: "split", Usage: "test on one in `N` rows of -data, and do not train on them", DefaultText: "none", Destination: &cfg.split},
			&cli.StringFlag{Name: "positive", Usage: "`LABELS`, with commas between them, that count as 1; all others count as 0", Destination: &cfg.positive},
			&cli.StringFlag{Name: "features", Value: "raw", Usage: "raw, or tfidf for counts", Destination: &cfg.features},
			&cli.IntFlag{Name: "hash", Usage: "hash columns to `BITS` bits", DefaultText: "columns as they are", Destination: &cfg.hash},
			&cli.Float64Flag{Name: "bias", Value: 1, Usage: "value of a column that every row has; 0 for none", Destination: &cfg.bias},
			&cli.Float64Flag{Name: "l1", Usage: "penalty on the absolute values of the weights", Destination: &cfg.l1},
			&cli.Float64Flag{Name: "l2", Usage: "penalty on half their squares, the bias's included", Destination: &cfg.l2},
			&cli.StringFlag{Name: "update", Usage: "`RULE` by which steps are taken", DefaultText: "adagrad, its rate 1 / mean squared length of a row", Destination: &cfg.update},
			&cli.Float64Flag{Name: "rate", Value: 0.05, Usage: "step size of the first pass, for -update add", Destination: &cfg.rate},
			&cli.Float64Flag{Name: "decay", Value: 0.8, Usage: "factor of that step size from pass to pass", Destination: &cfg.decay},
			&cli.IntFlag{Name: "width", Usage: "weights in a row of the table", DefaultText: "derived", Destination: &cfg.width},
			&cli.IntFlag{Name: "evaluate", Value: 1, Usage: "passes between two evaluations, at which all ranks meet", Destination: &cfg.evaluate},
			&cli.StringFlag{Name: "predict", Usage: "write the probability of 1 of each row to test on to `FILE`, a line each", Destination: &cfg.predict},
			&cli.StringFlag{Name: "liblinear", Usage: "write the model in liblinear's format to `FILE`", Destination: &cfg.liblinear},
		},
		Defaults: apps.Options{Epochs: 10},
		Check:    cfg.check,
		Run:      cfg.run,
	}
}

// maxWidth bounds -width.
const maxWidth = 1 << 16

// check reports what is wrong with the flags.
func (cfg *config) check(o *apps.Options) error {
	number := func(x, from, to float64) bool { return x >= from && x <= to }
	most := math.MaxFloat32
	switch {
	case len(o.Data) == 0:
		return errors.New("-data is missing: expected a file of rows")
	case cfg.split < 0 || cfg.split == 1:
		return errors.Errorf("-split %d: expected at least 2", cfg.split)
	case cfg.split > 0 && cfg.test != "":
		return errors.New("-split and -test: expected one of them")
	case cfg.features != "raw" && cfg.features != "tfidf":
		return errors.Errorf("-features %s: expected raw or tfidf", cfg.features)
	case cfg.hash < 0 || cfg.hash > 28:
		return errors.Errorf("-hash %d: expected 1 to 28", cfg.hash)
	case !number(cfg.bias, 0, most): // liblinear knows no other
		return errors.Errorf("-bias %g: expected a number from 0", cfg.bias)
	case !number(cfg.l1, 0, most):
		return errors.Errorf("-l1 %g: expected a number from 0", cfg.l1)
	case !number(cfg.l2, 0, most):
		return errors.Errorf("-l2 %g: expected a number from 0", cfg.l2)
	case !(cfg.rate > 0 && cfg.rate <= most):
		return errors.Errorf("-rate %g: expected a number above 0", cfg.rate)
	case !(cfg.decay > 0 && cfg.decay <= 1):
		return errors.Errorf("-decay %g: expected a number above 0 and up to 1", cfg.decay)
	case cfg.width < 0 || cfg.width > maxWidth:
		return errors.Errorf("-width %d: expected 1 to %d", cfg.width, maxWidth)
	case cfg.evaluate < 1:
		return errors.Errorf("-evaluate %d: expected at least 1", cfg.evaluate)
	case cfg.predict != "" && cfg.test == "" && cfg.split == 0:
		return errors.New("-predict without -test and -split: expected rows to predict")
	}
	if err := cfg.parseUpdate(); err != nil {
		return err
	}
	cfg.classes = nil
	if cfg.positive == "" {
		return nil
	}
	for _, word := range strings.Split(cfg.positive, ",") {
		x, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return errors.Errorf("-positive %s: expected numbers with commas between them, found %q", cfg.positive, word)
		}
		cfg.classes = append(cfg.classes, x)
	}
	return nil
}

// steps says, for messages, how large steps are.
func (cfg *config) steps() string {
	if cfg.rule == ssp.Add() {
		return fmt.Sprintf("-rate %g", cfg.rate)
	}
	return "-update " + cfg.update
}

func (cfg *config) run(ctx context.Context, job *apps.Job) error {
	var err error
	if job.Comm.Rank() == 0 { // the files are rank 0's
		for _, path := range []string{cfg.predict, cfg.liblinear} {
			if path != "" && err == nil {
				err = apps.CheckWritable(path)
			}
		}
	}
	if err := job.Together(ctx, err); err != nil {
		return err
	}
	d, err := cfg.load(ctx, job)
	if err != nil {
		return err
	}
	cfg.settle(d)
	t, err := newTrainer(ctx, job, cfg, d)
	if err != nil {
		return err
	}
	job.Logf("%d rows to train on, %d of them positive, %d to test on; %d columns, %d nonzeros; %d clocks a pass, %d weights a table row",
		d.trainRows, d.positive, d.testRows, d.weights(), d.trainEntries, t.batches, t.width)
	if err := t.run(ctx); err != nil {
		return err
	}
	if err := t.save(ctx); err != nil {
		return err
	}
	if err := t.store.Close(ctx); err != nil {
		return err
	}
	result := job.Result(t.clocks, t.spent.Seconds(), float64(d.trainEntries)*float64(t.epoch)/t.spent.Seconds())
	figures := t.result.figures()
	result.Add("loss", figures[len(figures)-1].Value)
	for _, f := range figures {
		result.Add(f.Metric, f.Value)
	}
	result.Add("objective", t.result.objective)
	result.Add("nonzero_weights", t.result.nonzeros)
	result.Add("update", cfg.update)
	result.Add("epochs", t.epoch)
	result.Add("seed", job.Seed)
	return job.Finish(result)
}
