// Synth does nothing useful at a chosen speed: a program for experiments with
// the store. With -check it tests every read against the rule of its policy.
package main

import (
	"context"
	"math"
	"os"
	"time"

	"github.com/pkg/errors"
	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/ssp"
)

func main() {
	var cfg config
	os.Exit(apps.Main(app(&cfg), os.Args))
}

// config are the flags of synth.
type config struct {
	compute time.Duration
	jitter  float64
	clocks  int64
	length  time.Duration
	rows    int64
	width   int
	touch   int64
	check   bool
	barrier bool
	noise   bool
	load    string
	update  string
	rule    ssp.Update // of update
	step    float64
	skew    float64 // of factors: the k-th item gets a share of 1/k to this power
	ahead   string  // text of mode
	mode    ssp.Prefetch

	descend   float64 // negative: count instead
	first     float64
	rate      float64
	random    bool
	slow      int
	slowAfter time.Duration
}

func app(cfg *config) apps.App {
	return apps.App{
		Name:    "synth",
		Summary: "a program for experiments: reads rows, sleeps, writes rows, clocks",
		Text: `In each clock every worker reads -touch neighbouring rows at a random place of the table, computes (sleeps, so
that ranks that share a core do not disturb each other), adds 1 to a column of its own in each of the rows, and
ends the clock. With -duration the workers do so until the time is over. The result says how many iterations all
of them have made, how many rows were read and fetched, and how stale the reads were: the age of the
copy minus the reader's clock. A worker that misses a row asks again for those of the clock before, too, so with
-touch below -rows more rows may be fetched than read.

With -check every read is tested: the worker's own updates must be exactly there, of every other worker those of
at least clock-s and at most clock+s+1 clocks (bsp: exactly clock), the age of the copy at least clock-s; without
a bound (async, fssp) nothing may be lost that was read before, and nothing seen before it was added (compared by time
among the ranks of one host). At the end the sums are tested exactly. A violation ends the job with an error.

With -load descent the workers learn instead: linear regression on random samples of -rows × -width coordinates,
the variance of the k-th being 1/k. In each clock a worker reads all rows, computes the gradient of 8 samples,
sleeps, and sends the gradient to a table with the rule -update. The result has the expected loss of the weights at
the start and at the end, which is exact; 1e+300 stands for one that is larger or no number. With -target X it also
says at which clock rank 0 had a loss of at most X times that at the start in what it read, and what it had sent
by then.

With -load factors they factor a matrix of ratings of the rank -width: each worker has 64 users of its own, the
-rows items are the table, of which the k-th gets a share of the ratings that is proportional to 1/k to the power
of -skew. In each clock a worker reads all rows, descends by 256 ratings at the rate -step, and sends the changes of the items. The losses
are those of the first worker's users.

With -descend the workers minimise |w|^2/2, w being a table of -rows rows of floats, from -first to 1.2 or until
-duration, by gradients to which noise is added. The result says whether and after how many
seconds (descent) the first worker saw that.`,
		Examples: []string{
			"sspurn -n 8 -straggle rotate,delay=200ms synth -compute 50ms -clocks 200 -sync ssp:3",
			"sspurn -n 8 synth -check -compute 1ms -jitter 0.5 -clocks 500 -rows 40 -touch 8 -workers 3 -sync essp:2",
			"sspurn -n 8 synth -load descent -update adarevision:1 -compute 10ms -jitter 0.5 -clocks 300 -sync ssp:3",
		},
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "compute", Value: 10 * time.Millisecond, Usage: "sleep `D` in each clock", Destination: &cfg.compute},
			&cli.Float64Flag{Name: "jitter", Usage: "vary the sleep by a random share of up to `X` (0 to 1) either way", Destination: &cfg.jitter},
			&cli.Int64Flag{Name: "clocks", Value: 100, Usage: "clocks of every worker", Destination: &cfg.clocks},
			&cli.DurationFlag{Name: "duration", Usage: "instead of -clocks: begin no clock after `D`", DefaultText: "none", Destination: &cfg.length},
			&cli.Int64Flag{Name: "rows", Value: 8, Usage: "rows of the table", Destination: &cfg.rows},
			&cli.IntFlag{Name: "width", Usage: "numbers in a row, at least one for each worker of the job", DefaultText: "16, or the workers of the job", Destination: &cfg.width},
			&cli.Int64Flag{Name: "touch", Usage: "rows read and written in each clock", DefaultText: "all", Destination: &cfg.touch},
			&cli.BoolFlag{Name: "noise", Usage: "fill the columns to which no worker adds with random numbers, so that rows do not compress", Destination: &cfg.noise},
			&cli.StringFlag{Name: "prefetch", Value: ssp.OnDemand.String(), Usage: "when rows are asked for again: demand, conservative (at the end of a clock, those that the next would miss) or aggressive (all that were used)", Destination: &cfg.ahead},
			&cli.BoolFlag{Name: "check", Usage: "test every read and the sums", Destination: &cfg.check},
			&cli.StringFlag{Name: "load", Value: loadCount, Usage: "what workers do: " + loadCount + ", " + loadDescent + " or " + loadFactors, Destination: &cfg.load},
			&cli.StringFlag{Name: "update", Usage: "update rule of -load " + loadDescent + ", such as adagrad:0.1 or sgd:0.1,sqrt", DefaultText: defaultUpdate, Destination: &cfg.update},
			&cli.Float64Flag{Name: "step", Value: 0.01, Usage: "with -update add and -load " + loadFactors + ", workers add -`X` times the gradient", Destination: &cfg.step},
			&cli.Float64Flag{Name: "skew", Value: 1, Usage: "with -load " + loadFactors + ", the item that comes k-th gets a share of the ratings like 1/k to the power of `X` (0: all the same)", Destination: &cfg.skew},
			&cli.BoolFlag{Name: "barrier", Usage: "wait for all ranks after each clock", Destination: &cfg.barrier},
			&cli.Float64Flag{Name: "descend", Value: -1, Usage: "instead of counting, descend with gradients that have a variance of `V`", DefaultText: "none", Destination: &cfg.descend},
			&cli.Float64Flag{Name: "first", Value: 150, Usage: "with -descend: the loss `X` at the begin", Destination: &cfg.first},
			&cli.Float64Flag{Name: "rate", Value: 0.05, Usage: "with -descend: multiply gradients by `X`", Destination: &cfg.rate},
			&cli.BoolFlag{Name: "exponential", Usage: "with -descend: sleep for an exponentially distributed time of -compute on average", Destination: &cfg.random},
			&cli.IntFlag{Name: "slow", Usage: "with -descend: the first `N` ranks sleep ten times as long", Destination: &cfg.slow},
			&cli.DurationFlag{Name: "slow-after", Usage: "with -slow: not before `D`", Destination: &cfg.slowAfter},
		},
		Without: []string{"data", "epochs", "clocks-per-epoch", "out"},
		Check:   cfg.verify,
		Run:     cfg.run,
	}
}

// verify reports what is wrong with the flags.
func (cfg *config) verify(o *apps.Options) error {
	if cfg.touch == 0 {
		cfg.touch = cfg.rows
	}
	if cfg.ahead != "" {
		var err error
		if cfg.mode, err = ssp.ParsePrefetch(cfg.ahead); err != nil {
			return errors.WithMessage(err, "-prefetch")
		}
	}
	switch {
	case cfg.compute < 0:
		return errors.Errorf("-compute %v: expected at least 0", cfg.compute)
	case !(cfg.jitter >= 0 && cfg.jitter <= 1):
		return errors.Errorf("-jitter %g: expected 0 to 1", cfg.jitter)
	case cfg.clocks < 1 || cfg.clocks > math.MaxInt32:
		return errors.Errorf("-clocks %d: expected at least 1", cfg.clocks)
	case cfg.length < 0:
		return errors.Errorf("-duration %v: expected at least 0", cfg.length)
	case cfg.length > 0 && (cfg.check || cfg.barrier):
		return errors.New("-duration with -check or -barrier: expected -clocks")
	case cfg.descend >= 0 && (cfg.check || cfg.barrier || cfg.touch != cfg.rows):
		return errors.New("-descend with -check, -barrier or -touch")
	case math.IsNaN(cfg.descend) || cfg.descend > 1e12:
		return errors.Errorf("-descend %g: expected 0 to 1e12", cfg.descend)
	case cfg.descend >= 0 && !(cfg.first > 0 && cfg.first <= 1e12):
		return errors.Errorf("-first %g: expected more than 0, at most 1e12", cfg.first)
	case cfg.descend >= 0 && !(cfg.rate > 0 && cfg.rate <= 1e6):
		return errors.Errorf("-rate %g: expected more than 0, at most 1e6", cfg.rate)
	case cfg.slow < 0 || cfg.slowAfter < 0:
		return errors.Errorf("-slow %d, -slow-after %v: expected at least 0", cfg.slow, cfg.slowAfter)
	case cfg.descend < 0 && (cfg.random || cfg.slow > 0 || cfg.slowAfter > 0):
		return errors.New("-exponential, -slow or -slow-after without -descend")
	case cfg.check && o.Policy.Drops():
		return errors.Errorf("-check with -sync %v: what is read depends on what was dropped", o.Policy)
	case cfg.rows < 1 || cfg.rows > 1<<24:
		return errors.Errorf("-rows %d: expected 1 to %d", cfg.rows, 1<<24)
	case cfg.touch < 1 || cfg.touch > cfg.rows:
		return errors.Errorf("-touch %d: expected 1 to -rows %d", cfg.touch, cfg.rows)
	case cfg.width < 0 || cfg.width > 1<<20:
		return errors.Errorf("-width %d: expected 1 to %d", cfg.width, 1<<20)
	case cfg.noise && cfg.check:
		return errors.New("-noise with -check: expected one of them, zeros are tested too")
	case cfg.barrier && o.Workers > 1:
		return errors.Errorf("-barrier with -workers %d: expected one worker a rank", o.Workers)
	}
	return cfg.verifyLoad()
}

func (cfg *config) run(ctx context.Context, job *apps.Job) error {
	if cfg.descend >= 0 {
		return runDescent(ctx, job, cfg)
	}
	b, err := newBench(job, cfg)
	if err := job.Together(ctx, err); err != nil {
		return err
	}
	if cfg.load == loadDescent {
		return newDescent(b).run(ctx)
	}
	if cfg.load == loadFactors {
		return newFactors(b).run(ctx)
	}
	return b.run(ctx)
}
