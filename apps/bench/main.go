// Bench measures how fast messages are: the latency of a round trip and the
// rate of a stream between two ranks, and collective operations of all.
//
//	sspurn -n 2 bench -op pingpong,stream -sizes 8,64k
//	sspurn -n 8 bench -op barrier,allreduce
package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/errors"
	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
)

func main() { os.Exit(run(os.Args)) }

// config is what the flags say.
type config struct {
	ops   []string
	sizes []int // bytes
	time  time.Duration
	iters int
}

// run is the whole program; it returns the exit status.
func run(args []string) int {
	var cfg config
	var wrong error
	asked := false // for a measurement, not for help
	app := &cli.App{
		Name:            "bench",
		Usage:           "measure messages and collective operations",
		UsageText:       "sspurn -n N bench [flags]",
		HideHelpCommand: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "op", Value: "pingpong", Usage: "measure `NAME,...`: pingpong (half a round trip) and stream (time for each of the messages of a window) between ranks 0 and 1; barrier and allreduce (sum of float32) of all ranks, as rank 0 sees them"},
			&cli.StringFlag{Name: "sizes", Value: "8,64,1k,8k,64k,256k,1m,4m", Usage: "message sizes in `BYTES,...`; k and m are powers of 1024"},
			&cli.DurationFlag{Name: "time", Value: 300 * time.Millisecond, Usage: "measure each size for `D`", Destination: &cfg.time},
			&cli.IntFlag{Name: "iters", Value: 1_000_000, Usage: "at most `N` times", Destination: &cfg.iters},
		},
		Action: func(c *cli.Context) error {
			asked = true
			return cfg.parse(c)
		},
		OnUsageError:   func(_ *cli.Context, err error, _ bool) error { return err },
		ExitErrHandler: func(*cli.Context, error) {},
	}
	rank, _ := strconv.Atoi(os.Getenv(bootstrap.EnvRank)) // only decides who prints the help
	if rank != 0 {
		app.Writer = io.Discard
	}
	if wrong = app.Run(args); wrong == nil && !asked {
		return 0
	}
	err := runtime.Run(context.Background(), func(ctx context.Context, c *runtime.Comm) error {
		if wrong != nil {
			return wrong
		}
		return cfg.measure(ctx, c)
	})
	if err == nil {
		return 0
	}
	if _, launched := os.LookupEnv(bootstrap.EnvControl); !launched { // a launcher prints it
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
	}
	return 1
}

func (cfg *config) parse(c *cli.Context) error {
	if c.NArg() > 0 {
		return errors.Errorf("argument %q: expected flags only", c.Args().First())
	}
	cfg.ops = strings.Split(c.String("op"), ",")
	for _, op := range cfg.ops {
		if !slices.Contains([]string{"pingpong", "stream", "barrier", "allreduce"}, op) {
			return errors.Errorf("-op %q: expected pingpong, stream, barrier or allreduce", op)
		}
	}
	for text := range strings.SplitSeq(c.String("sizes"), ",") {
		n, err := parseSize(text)
		if err != nil {
			return errors.WithMessage(err, "-sizes")
		}
		cfg.sizes = append(cfg.sizes, n)
	}
	if cfg.time <= 0 {
		return errors.Errorf("-time %v: expected more than 0", cfg.time)
	}
	if cfg.iters < 1 {
		return errors.Errorf("-iters %d: expected at least 1", cfg.iters)
	}
	return nil
}

const maxSize = 1 << 30

// parseSize reads a number of bytes such as 8, 64k or 4m.
func parseSize(text string) (int, error) {
	digits, scale := text, 1
	if s, found := strings.CutSuffix(text, "k"); found {
		digits, scale = s, 1<<10
	} else if s, found := strings.CutSuffix(text, "m"); found {
		digits, scale = s, 1<<20
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n > uint64(maxSize/scale) {
		return 0, errors.Errorf("%q is not a size of at most %dm", text, maxSize>>20)
	}
	return int(n) * scale, nil
}

// measure does all that was asked for; rank 0 prints a line for each point.
func (cfg *config) measure(ctx context.Context, c *runtime.Comm) error {
	if c.Size() < 2 {
		return errors.New("messages need two ranks: sspurn -n 2 bench")
	}
	for _, op := range cfg.ops {
		sizes := cfg.sizes
		if op == "barrier" {
			sizes = []int{0}
		}
		for _, size := range sizes {
			p := newPoint(c, op, size)
			if c.Rank() >= p.ranks {
				continue
			}
			samples, err := p.run(ctx, cfg.time, cfg.iters)
			if err != nil {
				return err
			}
			if c.Rank() == 0 {
				fmt.Println(line(op, size, c.Size(), samples))
			}
		}
	}
	return nil
}

// line is the result of one point, from the times for one message.
func line(op string, size, ranks int, samples []time.Duration) string {
	slices.Sort(samples)
	n := len(samples)
	median := usec(samples[n/2])
	rate := math.Inf(1)
	if median > 0 {
		rate = float64(size) / median
	}
	return fmt.Sprintf("result app=bench op=%s bytes=%d ranks=%d samples=%d usec_median=%.3f usec_p99=%.3f mb_per_s=%.2f",
		op, size, ranks, n, median, usec(samples[n*99/100]), rate)
}

func usec(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
