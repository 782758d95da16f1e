// Command sspurn starts a program on many hosts and watches over it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	goruntime "runtime"
	"strings"
	"syscall"

	stderrors "errors"

	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/launcher"
	"github.com/sspurn/sspurn/launcher/agent"
	"github.com/sspurn/sspurn/launcher/report"
)

func main() { os.Exit(run(os.Args)) }

// run is the whole command; it returns the exit status.
func run(argv []string) int {
	// A descriptor that nobody reads is an error of a write, not the end.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if len(argv) > 1 && argv[1] == "agent" { // without what the command line needs
		return agent.Main(argv[2:], os.Stdin, os.Stdout, os.Stderr)
	}
	err := newApp().RunContext(context.Background(), argv)
	if err == nil {
		return 0
	}
	if f, ok := stderrors.AsType[*launcher.Failure](err); ok {
		fmt.Fprintf(os.Stderr, "sspurn: %s\n", f.Cause)
		for _, line := range f.Tail {
			fmt.Fprintf(os.Stderr, "sspurn:   | %s\n", line)
		}
		for _, line := range f.More {
			fmt.Fprintf(os.Stderr, "sspurn: %s\n", line)
		}
		return f.Code
	}
	fmt.Fprintf(os.Stderr, "sspurn: %v (sspurn -help shows the flags)\n", oneLine(err))
	return launcher.ExitLaunch
}

// oneLine is the error's text on one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// newApp returns the tree of commands.
func newApp() *cli.App {
	usage := func(_ *cli.Context, err error, _ bool) error { return err }
	runUsage := func(_ *cli.Context, err error, _ bool) error {
		if strings.Contains(err.Error(), "not defined") { // the flag package has no error value for it
			err = fmt.Errorf("%w; flags of the program itself go behind PROGRAM", err)
		}
		return err
	}
	flags := append(runFlags(), &cli.BoolFlag{Name: "version", Usage: "print which sspurn this is"})
	app := &cli.App{
		Name:                  "sspurn",
		Version:               launcher.Version(),
		Usage:                 "run a program on many hosts",
		UsageText:             "sspurn [flags] PROGRAM [ARGS...]",
		HideVersion:           true, // its flag would take -v
		HideHelpCommand:       true,
		Flags:                 flags,
		Action:                runJob,
		OnUsageError:          runUsage,
		ExitErrHandler:        func(*cli.Context, error) {}, // main exits
		CustomAppHelpTemplate: appHelp(flags),
		Commands: []*cli.Command{
			{
				Name: "hosts", Usage: "show where each rank would go, start nothing", UsageText: "sspurn hosts [flags]",
				Flags: checkFlags(), Action: showHosts, OnUsageError: usage, HideHelpCommand: true,
				CustomHelpTemplate: commandHelp("sspurn hosts [flags]", "Show where each rank would go; start nothing.", checkFlags()),
			},
			{
				Name: "check", Usage: "are all hosts reachable, able to run the program and to reach one another?", UsageText: "sspurn check [flags] [PROGRAM]",
				Flags: checkFlags(), Action: checkHosts, OnUsageError: usage, HideHelpCommand: true,
				CustomHelpTemplate: commandHelp("sspurn check [flags] [PROGRAM]", "Are all hosts reachable, able to run the program and to reach one another?", checkFlags()),
			},
			{
				Name: "compare", Usage: "run a program under several settings", UsageText: "sspurn compare [flags] PROGRAM [ARGS...]",
				Flags: compareFlags(), Action: compare, OnUsageError: runUsage, HideHelpCommand: true,
				CustomHelpTemplate: commandHelp("sspurn compare [flags] PROGRAM [ARGS...]", compareText, compareFlags()) + compareExamples,
			},
			{
				Name: "report", Usage: "compare recorded runs", UsageText: "sspurn report [flags] RUNDIR...",
				Flags: reportFlags(), Action: reportRuns, OnUsageError: usage, HideHelpCommand: true,
				CustomHelpTemplate: commandHelp("sspurn report [flags] RUNDIR...", reportText, reportFlags()),
			},
		},
	}
	return app
}

// runJob is the default action.
func runJob(c *cli.Context) error {
	if c.Bool("version") {
		_, err := fmt.Fprintf(c.App.Writer, "sspurn %s, %s %s/%s\n", c.App.Version, goruntime.Version(), goruntime.GOOS, goruntime.GOARCH)
		return err
	}
	if c.NArg() == 0 {
		if c.NumFlags() == 0 {
			return cli.ShowAppHelp(c)
		}
		return stderrors.New("no PROGRAM to run")
	}
	job, err := jobOf(c)
	if err != nil {
		return err
	}
	job.Program, job.Args = c.Args().First(), c.Args().Tail()
	return launcher.Run(c.Context, job, launcher.Streams{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals()})
}

// signals returns what this process is sent from here on. A burst that comes while
// the launcher is busy fits. It is never stopped: an impatient interrupt must not
// cut the last words off.
func signals() <-chan os.Signal {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP, syscall.SIGCONT)
	return c
}

// showHosts prints the layout.
func showHosts(c *cli.Context) error {
	if c.NArg() > 0 {
		return fmt.Errorf("hosts takes no arguments, got %q", c.Args().First())
	}
	job, err := jobOf(c)
	if err != nil {
		return err
	}
	return launcher.ShowHosts(c.App.Writer, job)
}

// checkHosts tests the hosts.
func checkHosts(c *cli.Context) error {
	job, err := jobOf(c)
	if err != nil {
		return err
	}
	job.Program = c.Args().First()
	return launcher.Check(c.Context, job, launcher.Streams{Stdout: os.Stdout, Stderr: os.Stderr})
}

// reportRuns draws the report of recorded runs.
func reportRuns(c *cli.Context) error {
	if c.NArg() == 0 {
		return stderrors.New("report: no RUNDIR: want directories that -run-dir made")
	}
	if lineage := c.Lineage(); len(lineage) > 2 && lineage[1].NumFlags() > 0 {
		return fmt.Errorf("flags come after the command: sspurn %s [flags] RUNDIR", c.Command.Name)
	}
	for _, dir := range c.Args().Slice() {
		if strings.HasPrefix(dir, "-") {
			return fmt.Errorf("report: %s comes after a RUNDIR: flags come first", dir)
		}
	}
	files, err := reportFiles(c)
	if err != nil {
		return err
	}
	target, err := targetOf(c)
	if err != nil {
		return err
	}
	if err := makeReport(c.App.Writer, files, report.Options{Target: target}, c.Args().Slice()); err != nil {
		return &launcher.Failure{Code: launcher.ExitLaunch, Cause: "report: " + oneLine(err)}
	}
	return nil
}
