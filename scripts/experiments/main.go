// Experiments runs the experiments by which the papers that sspurn follows are
// checked, on this machine, and prints each figure beside the value that is
// expected of it. It exits with 1 when one is missed.
//
//	go run ./scripts/experiments [-bin DIR] [-picture FILE] [-markdown FILE] [NAME...]
//
// Compute time is slept, so that eight ranks behave on two cores as on eight.
package main

import (
	"bytes"
	"context"
	stderrors "errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "experiments:", err)
		stop()
		os.Exit(1)
	}
}

// errMissed says that figures, which have been printed, are not as expected.
var errMissed = stderrors.New("not every figure is as expected")

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("experiments", flag.ContinueOnError)
	flags.SetOutput(progress)
	bin := flags.String("bin", "bin", "folder with sspurn and synth")
	drawn := flags.String("picture", "", "draw the figures to `FILE` too: .svg, .png or .pdf")
	document := flags.String("markdown", "", "write the table to `FILE` too, for a document")
	if err := flags.Parse(args); err != nil {
		return err
	}
	todo := experiments()
	if names := flags.Args(); len(names) > 0 {
		all := todo
		todo = slices.DeleteFunc(slices.Clone(all), func(e experiment) bool { return !slices.Contains(names, e.name) })
		if len(todo) != len(names) {
			return fmt.Errorf("unknown experiment among %q; there are %s", names, nameList(all))
		}
	}
	start := time.Now()
	l := &lab{bin: *bin, progress: progress}
	for _, e := range todo {
		for _, s := range e.runs {
			l.total++
			l.expect += s.takes
		}
		if e.compare != nil {
			l.total++
			l.expect += e.compare.takes
		}
	}
	var table []figure
	for _, e := range todo {
		results := map[string]result{}
		if e.compare != nil {
			var err error
			if results, err = l.compare(ctx, e.name, *e.compare); err != nil {
				return err
			}
		}
		for _, s := range e.runs {
			r, err := l.run(ctx, e.name, s)
			if err != nil {
				return err
			}
			results[s.name] = r
		}
		for _, f := range e.figures {
			f.experiment = e.name
			f.value = f.of(results)
			table = append(table, f)
			fmt.Fprintf(progress, "%s: %s = %s, expected %s: %s\n", e.name, f.what, f.text(), f.expected, f.verdict())
		}
	}
	fmt.Fprintf(progress, "%d runs in %.0f s\n", l.done, time.Since(start).Seconds())
	if *drawn != "" {
		if err := picture(*drawn, table); err != nil {
			return err
		}
	}
	if *document != "" {
		if err := os.WriteFile(*document, markdown(table), 0o666); err != nil {
			return err
		}
	}
	return print(out, table)
}

// markdown returns the figures as a table of a document.
func markdown(table []figure) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, "| experiment | figure | measured | expected | |\n|---|---|---|---|---|")
	for _, f := range table {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.experiment, f.what, f.text(), f.expected, f.verdict())
	}
	return b.Bytes()
}

// print writes the figures as a table.
func print(out io.Writer, table []figure) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "experiment\tfigure\tmeasured\texpected\t")
	missed := false
	for _, f := range table {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.experiment, f.what, f.text(), f.expected, f.verdict())
		missed = missed || !f.good()
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if missed {
		return errMissed
	}
	return nil
}

func nameList(all []experiment) string {
	text := ""
	for i, e := range all {
		if i > 0 {
			text += ", "
		}
		text += e.name
	}
	return text
}
