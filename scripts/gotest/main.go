// Command gotest runs go test and ends with a summary that counts what was
// skipped, and why: a skipped test is otherwise invisible.
//
//	gotest [-v] [-alone PATTERN]... [GO TEST FLAGS] PACKAGES
//
// It prints go test's own lines: without -v those that go test prints without
// -v, with -v all. Packages that match a PATTERN run after the others, one at a
// time and never from the cache: they measure, and depend on what is installed.
package main

import (
	"context"
	stderrors "errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	verbose  bool
	alone    []string // patterns of packages
	flags    []string // for go test
	patterns []string // of packages
}

func parseArgs(args []string) (o options, err error) {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-v":
			o.verbose = true
		case a == "-alone":
			i++
			if i == len(args) {
				return o, stderrors.New("-alone: which packages?")
			}
			o.alone = append(o.alone, args[i])
		case strings.HasPrefix(a, "-"): // -flag or -flag=value: a value of its own would look like a package
			o.flags = append(o.flags, a)
		default:
			o.patterns = append(o.patterns, a)
		}
	}
	if len(o.patterns) == 0 {
		return o, stderrors.New("no packages")
	}
	return o, nil
}

// run runs the tests and returns an error if any failed.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseArgs(args)
	if err != nil {
		return err
	}
	all, err := list(ctx, o.patterns...)
	if err != nil {
		return err
	}
	var alone []string
	if len(o.alone) > 0 {
		if alone, err = list(ctx, o.alone...); err != nil {
			return err
		}
	}
	together := slices.DeleteFunc(slices.Clone(all), func(p string) bool { return slices.Contains(alone, p) })
	apart := slices.DeleteFunc(all, func(p string) bool { return !slices.Contains(alone, p) })

	s := newSummary(out, o.verbose)
	var failed error
	for _, part := range []struct {
		flags, packages []string
	}{{o.flags, together}, {append([]string{"-p=1", "-count=1"}, o.flags...), apart}} {
		if len(part.packages) == 0 {
			continue
		}
		failed = stderrors.Join(failed, goTest(ctx, s, part.flags, part.packages))
	}
	s.print()
	if failed == nil && s.failed() {
		failed = stderrors.New("tests failed")
	}
	return failed
}

func list(ctx context.Context, patterns ...string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list"}, patterns...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.Fields(string(out)), errors.Wrap(err, "go list")
}

// goTest runs go test once and feeds what it says to s.
func goTest(ctx context.Context, s *summary, flags, packages []string) error {
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"test", "-json"}, flags, packages)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go test then ends its tests
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return errors.Wrap(err, "go test")
	}
	if err := cmd.Start(); err != nil {
		return errors.Wrap(err, "go test")
	}
	readErr := s.read(out)
	if err := cmd.Wait(); err != nil {
		return errors.Wrap(err, "go test")
	}
	return readErr
}
