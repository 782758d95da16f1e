//go:build linux

// Command testbed makes hosts on this machine, reachable by ssh, to run jobs
// over; see package testbed for what a host is.
//
//	testbed run -hosts 3 -- CMD...        make hosts, run CMD in the launcher's host, remove all
//	testbed up -hosts 3 [-rate 100mbit]   make hosts that stay until "testbed down"
//	testbed exec HOST -- CMD...           run CMD in a host (node1, ..., launcher)
//	testbed ps|cut|mend HOST, rate HOST 10mbit, down
//
// CMD of run finds the ssh command line in $TESTBED_SSH and the hosts file in
// $TESTBED_HOSTS.
package main

import (
	"context"
	stderrors "errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pkg/errors"
	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/scripts/testbed"
)

func main() {
	testbed.Child()
	app := &cli.App{
		Name:  "testbed",
		Usage: "make hosts on this machine, reachable by ssh, to run jobs over",
		Commands: []*cli.Command{
			{Name: "up", Usage: "make hosts that stay until down", Flags: append(upFlags(), dirFlag()), Action: up},
			{Name: "serve", Hidden: true, Flags: append(upFlags(), dirFlag()), Action: serve},
			{Name: "down", Usage: "remove the hosts and all that runs in them", Flags: []cli.Flag{dirFlag()}, Action: down},
			{Name: "run", Usage: "make hosts, run a command in the launcher's host, remove all", ArgsUsage: "-- CMD [ARGS...]", Flags: upFlags(), Action: run},
			{Name: "exec", Usage: "run a command in a host", ArgsUsage: "HOST -- CMD [ARGS...]", Flags: []cli.Flag{dirFlag()}, Action: execute},
			hostCommand("ps", "list what runs in a host besides its first process and sshd", 1, ps),
			hostCommand("cut", "pull a host's cable", 1, func(ctx context.Context, h *testbed.Host, _ []string) error { return h.Cut(ctx) }),
			hostCommand("mend", "plug it in again", 1, func(ctx context.Context, h *testbed.Host, _ []string) error { return h.Mend(ctx) }),
			hostCommand("rate", "limit a host's link (\"10mbit\"; \"none\" takes the limit off)", 2, rate),
		},
		HideHelpCommand: true,
		ExitErrHandler:  func(*cli.Context, error) {}, // main decides
	}
	// SIGINT and SIGTERM end what is being made or run, and then all is removed.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := app.RunContext(ctx, os.Args)
	stop()
	os.Exit(exitCode(err))
}

// exitCode prints an error and returns the status to exit with: that of the
// command that ran, if that is the error.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := stderrors.AsType[*exec.ExitError](err); ok {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal())
		}
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "testbed:", err)
	return 125
}

func dirFlag() cli.Flag {
	return &cli.StringFlag{Name: "dir", Value: filepath.Join(os.TempDir(), "testbed"), Usage: "the testbed's folder"}
}

func upFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "hosts", Value: 3, Usage: "number of hosts"},
		&cli.StringFlag{Name: "rate", Usage: "bandwidth of every link, as in 100mbit (default: unlimited)"},
		&cli.StringSliceFlag{Name: "share", Usage: "folder of this machine that hosts see at the same place, read-only (may be repeated)"},
	}
}

func options(c *cli.Context) (testbed.Options, error) {
	o := testbed.Options{Hosts: c.Int("hosts"), Dir: c.String("dir"), Rate: c.String("rate")}
	for _, p := range c.StringSlice("share") {
		abs, err := filepath.Abs(p)
		if err != nil {
			return o, errors.Wrap(err, "share")
		}
		o.Share = append(o.Share, abs)
	}
	return o, nil
}

// up starts a process that owns the testbed, in a session of its own, and
// returns when the hosts are there.
func up(c *cli.Context) error {
	if c.Args().Present() {
		return errors.Errorf("up: unexpected %q", c.Args().First())
	}
	o, err := options(c)
	if err != nil {
		return err
	}
	ready, readyIn, err := os.Pipe()
	if err != nil {
		return errors.Wrap(err, "up")
	}
	args := []string{"serve", "-hosts", fmt.Sprint(o.Hosts), "-dir", o.Dir, "-rate", o.Rate}
	for _, p := range o.Share {
		args = append(args, "-share", p)
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdout = readyIn // says it is up, or why not, and closes
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return errors.Wrap(err, "up")
	}
	readyIn.Close()
	stop := context.AfterFunc(c.Context, func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) // fails when it has ended
	defer stop()
	answer := make([]byte, 4096)
	n, _ := ready.Read(answer) // no answer is an answer
	text := strings.TrimSpace(string(answer[:n]))
	if text != "up" {
		return errors.Errorf("up: %s", text)
	}
	t, err := testbed.Open(o.Dir)
	if err != nil {
		return err
	}
	fmt.Printf("hosts:     node1 to node%d, %s\nhostsfile: %s\nssh:       %s\n", len(t.Hosts()), testbed.LauncherName, t.HostsFile(), t.SSH())
	return cmd.Process.Release()
}

// serve owns a testbed until it gets a signal.
func serve(c *cli.Context) error {
	o, err := options(c)
	if err != nil {
		return err
	}
	t, err := testbed.Up(c.Context, o)
	if err != nil {
		fmt.Println(err)
		return err
	}
	fmt.Println("up")
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		err = syscall.Dup3(int(null.Fd()), 1, 0) // lets go of whoever waits for the end of our output
	}
	if err == nil {
		<-c.Context.Done()
	}
	return stderrors.Join(errors.Wrap(err, "serve"), t.Close())
}

// down ends the testbed's owner and waits until it is gone.
func down(c *cli.Context) error {
	dir := c.String("dir")
	pid, err := testbed.Owner(dir)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return errors.Wrap(err, "down")
	}
	limit := time.Now().Add(10 * time.Second)
	for time.Now().Before(limit) {
		if _, err := testbed.Owner(dir); err != nil {
			return nil
		}
		select {
		case <-c.Context.Done():
			return context.Cause(c.Context)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.Errorf("down: process %d did not end within 10 s", pid)
}

func run(c *cli.Context) error {
	if !c.Args().Present() {
		return stderrors.New("run: which command? testbed run -hosts 3 -- CMD [ARGS...]")
	}
	o, err := options(c)
	if err != nil {
		return err
	}
	t, err := testbed.Up(c.Context, o)
	if err != nil {
		return err
	}
	cmd := command(t.Launcher(), c.Args().Slice())
	cmd.Env = append(os.Environ(), "TESTBED_SSH="+t.SSH(), "TESTBED_HOSTS="+t.HostsFile())
	err = foreground(c.Context, t.Launcher(), cmd)
	return stderrors.Join(err, t.Close())
}

func execute(c *cli.Context) error {
	args := c.Args().Slice()
	if len(args) > 1 && args[1] == "--" {
		args = append(args[:1:1], args[2:]...)
	}
	if len(args) < 2 {
		return stderrors.New("exec: testbed exec HOST -- CMD [ARGS...]")
	}
	h, err := find(c, args[0])
	if err != nil {
		return err
	}
	return foreground(c.Context, h, command(h, args[1:]))
}

func command(h *testbed.Host, args []string) *exec.Cmd {
	cmd := h.Command(context.Background(), args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

// foreground runs a command to its end, and hands on what asks for that. An
// interrupt is not handed on: the terminal sends it to the command, too.
func foreground(ctx context.Context, h *testbed.Host, cmd *exec.Cmd) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(asked)
	if ctx.Err() != nil { // asked before there was anything to hand it on to
		return context.Cause(ctx)
	}
	if err := h.Start(cmd); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			return err
		case sig := <-asked:
			_ = cmd.Process.Signal(sig) // fails when it has ended
		}
	}
}

func find(c *cli.Context, name string) (*testbed.Host, error) {
	t, err := testbed.Open(c.String("dir"))
	if err != nil {
		return nil, err
	}
	return t.Host(name)
}

func hostCommand(name, usage string, args int, f func(context.Context, *testbed.Host, []string) error) *cli.Command {
	return &cli.Command{Name: name, Usage: usage, ArgsUsage: "HOST", Flags: []cli.Flag{dirFlag()}, Action: func(c *cli.Context) error {
		if c.NArg() != args {
			return errors.Errorf("%s: %d arguments, want %d", name, c.NArg(), args)
		}
		h, err := find(c, c.Args().First())
		if err != nil {
			return err
		}
		return f(c.Context, h, c.Args().Tail())
	}}
}

func ps(_ context.Context, h *testbed.Host, _ []string) error {
	list, err := h.Processes()
	for _, p := range list {
		fmt.Println(p)
	}
	return err
}

func rate(ctx context.Context, h *testbed.Host, args []string) error {
	if args[0] == "none" {
		return h.SetRate(ctx, "")
	}
	return h.SetRate(ctx, args[0])
}
