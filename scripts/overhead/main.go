// Overhead measures what it costs to record a run: the processor time of the
// launcher, its agents and all ranks, with records, metrics and a trace against
// without, at a fixed amount of work. Runs alternate, so that whatever else the
// machine does hits both alike. It exits with 1 when a limit is missed.
//
//	go run ./scripts/overhead [-bin DIR] [-data FILE] [-pairs N] [-rounds N] [NAME...]
package main

import (
	"context"
	stderrors "errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

// The limits: by how much recording may add to the processor time.
const (
	medianLimit   = 0.02 // the median of the pairs
	intervalLimit = 0.04 // the upper end of its 95 % interval
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "overhead:", err)
		stop()
		os.Exit(1)
	}
}

// errMissed says that limits, which have been printed, are missed.
var errMissed = stderrors.New("recording costs more than it may")

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("overhead", flag.ContinueOnError)
	flags.SetOutput(progress)
	bin := flags.String("bin", "bin", "folder with sspurn, mf and synth")
	data := flags.String("data", "", "ratings for mf, `FILE`; default: ratings of a made-up matrix of low rank")
	pairs := flags.Int("pairs", 20, "pairs of runs with and without records, of each workload")
	rounds := flags.Int("rounds", 4, "runs of each side in a pair; more on a machine that others use too")
	record := flags.String("record", "all", "what is compared with nothing: all (records, metrics and a trace), trace (records and a trace), or on (records)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *pairs < 1 {
		return fmt.Errorf("-pairs %d: expected at least 1", *pairs)
	}
	if *rounds < 1 {
		return fmt.Errorf("-rounds %d: expected at least 1", *rounds)
	}
	if !slices.Contains([]string{"all", "trace", "on"}, *record) {
		return fmt.Errorf("-record %s: expected all, trace or on", *record)
	}
	dir, err := os.MkdirTemp("", "sspurn-overhead-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	todo := workloads(*bin, *data)
	if names := flags.Args(); len(names) > 0 {
		all := todo
		todo = slices.DeleteFunc(slices.Clone(all), func(w workload) bool { return !slices.Contains(names, w.name) })
		if len(todo) != len(names) {
			return fmt.Errorf("unknown workload among %q; there are mf and synth", names)
		}
	}
	l := &lab{bin: *bin, dir: dir, record: *record, rounds: *rounds, progress: progress, total: len(todo) * 2 * *rounds * (*pairs + 1), start: time.Now()}
	var table []comparison
	for _, w := range todo {
		if w.name == "mf" && *data == "" {
			w.program = append(w.program, "-data", filepath.Join(dir, "ratings.tsv"))
			if err := writeRatings(filepath.Join(dir, "ratings.tsv")); err != nil {
				return err
			}
		}
		c, err := l.compare(ctx, w, *pairs)
		if err != nil {
			return err
		}
		table = append(table, c)
	}
	return print(out, table)
}

// print writes the comparisons as a table.
func print(out io.Writer, table []comparison) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "workload\tpairs\tCPU s without\twith\tmedian ratio\t95 %% interval\tlimits %.2f, %.2f\t\n", 1+medianLimit, 1+intervalLimit)
	missed := false
	for _, c := range table {
		verdict := "ok"
		if !c.good() {
			verdict, missed = "MISSED", true
		}
		low, high := interval(c.ratios())
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t%.4f\t%.4f to %.4f\t%s\n", c.name, len(c.off), median(c.off), median(c.on), median(c.ratios()), low, high, verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if missed {
		return errMissed
	}
	return nil
}
