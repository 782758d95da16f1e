package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// Table writes the runs as a table, one line each, and below it where their
// time went. items is what the rate counts, "tokens" say.
func Table(w io.Writer, runs []*Summary, items string) error {
	target, common := CommonTarget(runs)
	metric := "loss"
	if len(runs) > 0 && runs[0].Metric != "" {
		metric = runs[0].Metric
	}
	reach := "to target"
	if common {
		reach = fmt.Sprintf("s to %.4g", target)
	}
	tab := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tab, "setting\tranks\tpasses\tclocks\tseconds\t%s/s\t%s\t%s\twaited\tsent\t\n", items, metric, reach)
	for _, s := range runs {
		final, time := "-", "-"
		if v, ok := s.Final(); ok {
			final = fmt.Sprintf("%.4f", v)
		}
		if t, ok := s.TimeTo(target); ok && common {
			time = fmt.Sprintf("%.2f", t)
		}
		fmt.Fprintf(tab, "%s\t%d\t%.4g\t%d\t%.2f\t%s\t%s\t%s\t%.0f %%\t%s\t\n", s.Name, s.Ranks, s.Passes, s.Clocks, s.Seconds,
			thousands(s.Rate, ""), final, time, 100*s.Split.Waited(), thousands(float64(s.Sent()), "B"))
	}
	fmt.Fprintf(tab, "\nseconds a worker\tcompute\tstraggling\tgate\tmiss\tflush\t\n")
	for _, s := range runs {
		n := float64(max(s.Workers, 1))
		fmt.Fprintf(tab, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", s.Name, (s.Split.Compute-s.Split.Straggle)/n, s.Split.Straggle/n,
			s.Split.Gate/n, s.Split.Miss/n, s.Split.Flush/n)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	for _, s := range runs {
		if len(s.Notes) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", s.Name, strings.Join(s.Notes, "; ")); err != nil {
			return err
		}
	}
	return nil
}

// thousands prints a number with three digits and a prefix of the SI.
func thousands(x float64, unit string) string {
	for _, p := range []struct {
		size   float64
		prefix string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if x >= 0.9995*p.size {
			return fmt.Sprintf("%.3g %s%s", x/p.size, p.prefix, unit)
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%.3g %s", x, unit))
}

// Read reads and summarises run directories.
func Read(dirs ...string) ([]*Summary, error) {
	runs := make([]*Summary, 0, len(dirs))
	for _, dir := range dirs {
		run, err := telemetry.ReadRun(dir)
		if err != nil {
			return nil, err
		}
		runs = append(runs, Summarise(run))
	}
	return runs, nil
}

// Write reports on run directories: a table to w, and the loss curves as a PNG
// to the file named plot, unless that is empty. It says where the plot is, or
// that there is none because the runs have no curve in common.
func Write(w io.Writer, plot string, dirs ...string) error {
	runs, err := Read(dirs...)
	if err != nil {
		return err
	}
	if err := Table(w, runs, "items"); err != nil {
		return err
	}
	if plot == "" {
		return nil
	}
	if !alike(runs) {
		_, err := fmt.Fprintln(w, "no plot: the runs have no curve of one metric in common")
		return err
	}
	if err := Plot(plot, "", runs); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "plot: %s\n", plot)
	return err
}
