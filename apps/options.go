package apps

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/pkg/errors"
	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/ssp"
)

// Options are the values of the flags that all apps share.
type Options struct {
	Policy         ssp.Policy // -sync and -staleness
	Filter         ssp.Filter // -filter
	Bandwidth      float64    // -bandwidth: bits a second of each rank; 0: no cap
	Workers        int        // -workers: per rank, at least 1
	Seed           uint64     // -seed
	Epochs         int        // -epochs: passes over the data
	ClocksPerEpoch int        // -clocks-per-epoch; 0: derived by the app
	Target         float64    // -target: stop when the app's figure of merit is as good; NaN: never
	Out            string     // -out: file for the model; empty: none
	Data           []string   // -data: input files
	JSON           bool       // -json: the result line as a JSON object
}

// shared returns the shared flags; parse reads them back by name.
func (a *App) shared() []cli.Flag {
	d := a.Defaults
	flags := []cli.Flag{
		&cli.StringSliceFlag{Name: "data", Usage: "read `FILE`, plain, gzip or zstd; may be repeated"},
		&cli.StringFlag{Name: "sync", Value: "ssp:3", Usage: "how fresh reads are: bsp, absp:K[,S], ssp:N, essp:N, managed:N, cap:N, fssp:N, vap:V, cvap:N,V, backup:B, dbw, async or auto[:N]; N is a bound in clocks, V one on values, K the clocks to a barrier, B ranks are not waited for"},
		&cli.StringFlag{Name: "filter", Value: "none", Usage: "what updates travel, and how: threshold:X, topk:K, half, byte, keys, hold:H, joined by +"},
		&cli.StringFlag{Name: "bandwidth", Usage: "under managed, cap what each rank sends at a `RATE` such as 10mbit; what must leave counts, and is not delayed", DefaultText: "what the network takes"},
		&cli.IntFlag{Name: "staleness", Usage: "`N` for a -sync that does not say it", DefaultText: "none"},
		&cli.IntFlag{Name: "workers", Value: max(d.Workers, 1), Usage: "workers of each rank"},
		&cli.Uint64Flag{Name: "seed", Value: max(d.Seed, 1), Usage: "of everything that is random"},
		&cli.IntFlag{Name: "epochs", Value: max(d.Epochs, 1), Usage: "passes over the data"},
		&cli.IntFlag{Name: "clocks-per-epoch", Value: d.ClocksPerEpoch, Usage: "clocks of a pass over the data", DefaultText: "derived"},
		&cli.Float64Flag{Name: "target", Value: math.NaN(), Usage: "stop when the app's figure of merit is as good as `X`", DefaultText: "never"},
		&cli.StringFlag{Name: "out", Usage: "write the model to `FILE`"},
		&cli.BoolFlag{Name: "json", Usage: "print the result as a JSON object"},
	}
	return slices.DeleteFunc(flags, func(f cli.Flag) bool {
		name := f.Names()[0]
		if name == "filter" || name == "bandwidth" {
			name = "sync" // who has no store has neither
		}
		return slices.Contains(a.Without, name)
	})
}

// parse reads the command line. With help set nothing else counts.
func (a *App) parse(args []string) (o Options, help bool, err error) {
	if len(args) == 0 {
		args = []string{a.Name}
	}
	command := &cli.App{
		Name:            a.Name,
		Flags:           append(slices.Clone(a.Flags), a.shared()...),
		HideHelp:        true,
		HideVersion:     true,
		HideHelpCommand: true,
		Writer:          io.Discard,
		ErrWriter:       io.Discard,
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError:    func(_ *cli.Context, err error, _ bool) error { return err },
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return errors.Errorf("unexpected argument %q: flags come first, each with its value", c.Args().First())
			}
			var err error
			o, err = a.options(c)
			return err
		},
	}
	for _, arg := range args[1:] {
		if name := strings.TrimLeft(arg, "-"); len(name) < len(arg) && (name == "help" || name == "h") {
			return o, true, nil
		}
	}
	if err := command.Run(args); err != nil {
		return o, false, usage(a.Name, err)
	}
	return o, false, nil
}

func (a *App) options(c *cli.Context) (Options, error) {
	o := Options{
		Workers: 1, Seed: c.Uint64("seed"), Epochs: c.Int("epochs"), ClocksPerEpoch: c.Int("clocks-per-epoch"),
		Target: math.NaN(), Out: c.String("out"), Data: c.StringSlice("data"), JSON: c.Bool("json"),
	}
	has := func(name string) bool { return !slices.Contains(a.Without, name) }
	if has("workers") {
		o.Workers = c.Int("workers")
	}
	if has("target") {
		o.Target = c.Float64("target")
	}
	switch {
	case o.Workers < 1:
		return o, errors.Errorf("-workers %d: expected at least 1", o.Workers)
	case has("epochs") && o.Epochs < 1:
		return o, errors.Errorf("-epochs %d: expected at least 1", o.Epochs)
	case o.ClocksPerEpoch < 0 || c.IsSet("clocks-per-epoch") && o.ClocksPerEpoch < 1:
		return o, errors.Errorf("-clocks-per-epoch %d: expected at least 1", o.ClocksPerEpoch)
	case c.Int("staleness") < 0:
		return o, errors.Errorf("-staleness %d: expected at least 0", c.Int("staleness"))
	}
	if has("sync") {
		staleness := -1 // not said
		if c.IsSet("staleness") {
			staleness = c.Int("staleness")
		}
		policy, err := ssp.ParsePolicy(c.String("sync"), staleness)
		if err != nil {
			return o, err
		}
		o.Policy = policy
		if text := c.String("bandwidth"); text != "" {
			if o.Bandwidth, err = bootstrap.ParseRate(text); err != nil {
				return o, errors.WithMessage(err, "-bandwidth")
			}
		}
		if text := c.String("filter"); text != "none" {
			if o.Filter, err = ssp.ParseFilter(text); err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

// help prints what the app does and its flags, with one dash as on the
// launcher's command line.
func (a *App) help(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", a.Name, a.Summary)
	if a.Text != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(a.Text))
	}
	fmt.Fprintf(w, "\nFlags:\n")
	tab := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range append(slices.Clone(a.Flags), a.shared()...) {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		name, text := placeholder(d.GetUsage())
		names := ""
		for i, n := range f.Names() {
			if i > 0 {
				names += ", "
			}
			names += "-" + n
		}
		if d.TakesValue() {
			names += " " + name
		}
		if v := d.GetDefaultText(); d.TakesValue() && v != "" && v != `""` {
			text += " (default " + strings.Trim(v, `"`) + ")"
		}
		fmt.Fprintf(tab, "  %s\t%s\n", names, text)
	}
	fmt.Fprintf(tab, "  -help\tthis text\n")
	_ = tab.Flush() // a reader that went away is no failure of help
	if len(a.Examples) > 0 {
		fmt.Fprintf(w, "\nExamples:\n")
		for _, e := range a.Examples {
			fmt.Fprintf(w, "  %s\n", e)
		}
	}
}

// placeholder splits the usage text of a flag into the name of its value, set
// in backquotes, and the text without the quotes.
func placeholder(usage string) (name, text string) {
	if i := strings.IndexByte(usage, '`'); i >= 0 {
		if j := strings.IndexByte(usage[i+1:], '`'); j >= 0 {
			name = usage[i+1 : i+1+j]
			return name, usage[:i] + name + usage[i+2+j:]
		}
	}
	return "VALUE", usage
}
