// Bench measures how fast the runtime is between the ranks of a job: messages,
// collective operations, one-sided memory and the parameter store.
//
//	sspurn -n 2 bench -op pingpong,stream -sizes 8,64KiB
//	sspurn -n 8 bench -op barrier,allreduce -sizes 8..4MiB
package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pkg/errors"
	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
)

func main() {
	cfg := config{patience: 2 * time.Second}
	os.Exit(apps.Main(app(&cfg), os.Args))
}

// config is what the flags say.
type config struct {
	op     string
	size   string
	sizes  []int // bytes; nil: those of each benchmark
	time   time.Duration
	warmup time.Duration // negative: a tenth of time
	iters  int
	count  int
	format string
	empty  bool
	tune   string // file to write a model to
	known  string // file with a model

	patience time.Duration // without a word on the way
}

func app(cfg *config) apps.App {
	return apps.App{
		Name:    "bench",
		Summary: "measure messages, collective operations, windows and the store",
		Text: `Each point is one operation with one number of bytes. It is repeated for -time, and its figures are the median, the
99th percentile and the least of the samples, in microseconds, what bytes a second the median comes to (MB are 10^6),
and how many operations a second. Data are checked once a point, outside the samples.

Operations, and what a sample is; those that say so take the time of the slowest rank after a barrier, the others
that of rank 0:

` + operations(),
		Examples: []string{
			"sspurn -n 2 bench -op pingpong,stream -sizes 8,64KiB,4MiB",
			"sspurn -n 8 bench -op barrier,allreduce -sizes 8..64MiB:8 -format csv -out new.csv",
			"sspurn -n 4 bench -op 'store-*' -time 1s",
			"sspurn -n 8 -hosts hosts.txt bench -tune cluster.json -op 'all*'",
			"sspurn -n 2 bench -op pingpong -sizes 8 -count 10 -format bench -out new.txt && benchstat old.txt new.txt",
		},
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "op", Value: "pingpong", Usage: "measure `NAME,...`; patterns such as 'store-*' take what the number of ranks allows", Destination: &cfg.op},
			&cli.StringFlag{Name: "sizes", Usage: "with so many `BYTES,...`, such as 8,64KiB,4MiB; LO..HI doubles from LO to HI, LO..HI:K multiplies by K", DefaultText: "a few for each operation", Destination: &cfg.size},
			&cli.DurationFlag{Name: "time", Value: 300 * time.Millisecond, Usage: "measure each point for `D`", Destination: &cfg.time},
			&cli.DurationFlag{Name: "warmup", Value: -1, Usage: "before that, run it for `D`", DefaultText: "a tenth of -time", Destination: &cfg.warmup},
			&cli.IntFlag{Name: "iters", Value: 5, Usage: "at least `N` samples of each point, whatever -time says", Destination: &cfg.iters},
			&cli.IntFlag{Name: "count", Value: 1, Usage: "measure all points `N` times, one after the other", Destination: &cfg.count},
			&cli.StringFlag{Name: "format", Value: formatTable, Usage: "print a `FORMAT`: table, csv, or bench, which benchstat reads", Destination: &cfg.format},
			&cli.StringFlag{Name: "tune", Usage: "first measure what messages and the algorithms of collective operations cost here, write that to `FILE`, and go by it", Destination: &cfg.tune},
			&cli.StringFlag{Name: "model", Usage: "go by the `FILE` that -tune has written", Destination: &cfg.known},
			&cli.StringFlag{Name: "out", Usage: "write the figures to `FILE` instead of standard output"},
			&cli.BoolFlag{Name: "empty", Usage: "measure nothing: make one barrier and end, for those who time how long a job takes to start", Destination: &cfg.empty},
		},
		Without: []string{"data", "sync", "staleness", "workers", "seed", "epochs", "clocks-per-epoch", "target", "out"},
		Check:   cfg.verify,
		Run:     cfg.run,
	}
}

// verify reports what is wrong with the flags.
func (cfg *config) verify(*apps.Options) error {
	if _, err := choose(benchmarks, cfg.op, everyRank); err != nil {
		return err
	}
	var err error
	if cfg.size != "" {
		if cfg.sizes, err = parseSizes(cfg.size); err != nil {
			return errors.WithMessage(err, "-sizes")
		}
	}
	if cfg.warmup < 0 {
		cfg.warmup = cfg.time / 10
	}
	switch {
	case cfg.tune != "" && cfg.known != "":
		return errors.New("-tune with -model: expected one of them")
	case cfg.time < 0:
		return errors.Errorf("-time %v: expected at least 0", cfg.time)
	case cfg.iters < 1 || cfg.iters > maxSamples:
		return errors.Errorf("-iters %d: expected 1 to %d", cfg.iters, maxSamples)
	case cfg.count < 1:
		return errors.Errorf("-count %d: expected at least 1", cfg.count)
	case !slices.Contains(formats, cfg.format):
		return errors.Errorf("-format %q: expected %s", cfg.format, strings.Join(formats, ", "))
	}
	return nil
}

func (cfg *config) run(ctx context.Context, job *apps.Job) error {
	if cfg.empty {
		if err := collectives.Barrier(ctx, job.Comm); err != nil {
			return err
		}
		r := &apps.Result{}
		r.Add("app", job.App)
		r.Add("ranks", job.Comm.Size())
		return job.Finish(r)
	}
	points, err := cfg.points(job.Comm.Size())
	if err := job.Together(ctx, err); err != nil {
		return err
	}
	if err := cfg.model(ctx, job); err != nil {
		return err
	}
	return newRun(cfg, job, points).run(ctx)
}

// points returns what is to be measured in a job of so many ranks.
func (cfg *config) points(ranks int) ([]point, error) {
	chosen, err := choose(benchmarks, cfg.op, ranks)
	if err != nil {
		return nil, err
	}
	var all []point
	for _, b := range chosen {
		sizes := b.sizes
		if len(cfg.sizes) > 0 && !b.fixed {
			sizes = cfg.sizes
		}
		for _, size := range sizes {
			if size%max(b.unit, 1) != 0 || size < b.unit {
				return nil, errors.Errorf("-sizes %d: expected a multiple of %d bytes for %s", size, b.unit, b.name)
			}
			all = append(all, point{benchmark: b, size: size})
		}
	}
	return all, nil
}
