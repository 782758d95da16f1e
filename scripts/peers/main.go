// Peers measures sspurn beside the MPI libraries that are installed, Open MPI and
// MPICH: bin/bench and a C program that does the same, in turns, several rounds,
// and prints medians, ratios and goals. It exits with 1 when a goal is missed.
//
//	go run ./scripts/peers [-bin DIR] [-rounds N] [-np 2,4,8] [-transports tcp,shm] [NAME...]
//	go run ./scripts/peers -launches 1000
//
// docs/bench.md says what is measured and how.
package main

import (
	"context"
	stderrors "errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		stop()
		os.Exit(1)
	}
}

// errMissed says that goals, which have been printed, are missed.
var errMissed = stderrors.New("not every goal is met")

// options is what the flags say.
type options struct {
	bin        string
	rounds     int
	time       time.Duration // of a point
	limit      time.Duration // of a run
	np         []int
	transports []string
	under      []string // in front of each command
	bind       bool     // ranks to cores
	launches   int
	markdown   string
	names      []string // patterns of operations; none: all
}

func parse(args []string, progress io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&o.bin, "bin", "bin", "`DIR` with sspurn and bench")
	flags.IntVar(&o.rounds, "rounds", 5, "how often everything is measured")
	flags.DurationVar(&o.time, "time", 100*time.Millisecond, "measure each point for `D` in each round")
	flags.DurationVar(&o.limit, "limit", 30*time.Second, "give up a run after `D`")
	np := flags.String("np", "2,4,8", "numbers of ranks")
	transports := flags.String("transports", "tcp,shm", "tcp over loopback, shm within the host")
	under := flags.String("under", "", "run every measurement under `COMMAND`, such as 'taskset -c 0,1'")
	flags.BoolVar(&o.bind, "bind", false, "bind ranks to cores, with the flag that each launcher has for it; otherwise each does what it does by itself")
	flags.IntVar(&o.launches, "launches", 0, "only start 64 processes `N` times")
	flags.StringVar(&o.markdown, "markdown", "", "write the table to `FILE` too, as Markdown")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	for text := range strings.SplitSeq(*np, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 2 {
			return o, fmt.Errorf("-np %q: expected numbers from 2 up", *np)
		}
		o.np = append(o.np, n)
	}
	o.transports = strings.Split(*transports, ",")
	for _, t := range o.transports {
		if t != tcp && t != shm {
			return o, fmt.Errorf("-transports %q: expected tcp, shm or both", *transports)
		}
	}
	o.under = strings.Fields(*under)
	o.names = flags.Args()
	for _, name := range o.names {
		if !slices.ContainsFunc(points(), func(p point) bool { match, _ := path.Match(name, p.op); return match }) {
			return o, fmt.Errorf("unknown operation %q; there are %s", name, operations())
		}
	}
	switch {
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds %d: expected at least 1", o.rounds)
	case o.time <= 0 || o.limit <= 0:
		return o, fmt.Errorf("-time %v, -limit %v: expected more than 0", o.time, o.limit)
	case o.launches < 0:
		return o, fmt.Errorf("-launches %d: expected at least 1", o.launches)
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	adoptOrphans()
	dir, err := os.MkdirTemp("", "sspurn-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l := &lab{options: o, progress: progress}
	if o.launches > 0 {
		return l.hammer(ctx, out)
	}
	if l.sides, err = findSides(ctx, o, dir); err != nil {
		return err
	}
	if len(l.sides) == 1 {
		return stderrors.New("neither Open MPI nor MPICH found (mpicc.openmpi, mpirun.openmpi, mpicc.mpich, mpiexec.mpich)")
	}
	todo := slices.DeleteFunc(points(), func(p point) bool { return !o.wants(p) })
	if err := l.measure(ctx, todo); err != nil {
		return err
	}
	lines := l.compare(todo)
	if o.markdown != "" {
		if err := os.WriteFile(o.markdown, []byte(markdown(lines)), 0o666); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(out, text(lines)); err != nil {
		return err
	}
	if slices.ContainsFunc(lines, func(l line) bool { return l.verdict == missed }) {
		return errMissed
	}
	return nil
}

// wants reports whether the flags ask for a point.
func (o options) wants(p point) bool {
	return (isLaunch(p.op) || slices.Contains(o.np, p.ranks) && slices.Contains(o.transports, p.transport)) &&
		(len(o.names) == 0 || slices.ContainsFunc(o.names, func(name string) bool { match, _ := path.Match(name, p.op); return match }))
}
