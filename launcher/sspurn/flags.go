package main

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/launcher"
)

// placeFlags are the flags that say where ranks go.
func placeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "n", Aliases: []string{"np"}, Usage: "ranks; default: all slots of the hosts, else the cores of this machine", DefaultText: "N"},
		&cli.StringFlag{Name: "hosts", Aliases: []string{"hostfile", "machinefile"}, Usage: "file of hosts, one a line: [user@]name [slots=N] [port=P] [addr=A], name:N, node[01-16]; - reads standard input", DefaultText: "FILE"},
		&cli.StringFlag{Name: "host", Usage: "hosts on the command line: a:4,b:4", DefaultText: "LIST"},
		&cli.StringFlag{Name: "map-by", Usage: "slot: fill a host before the next; node: one rank a host in turn", DefaultText: "slot|node"},
		&cli.IntFlag{Name: "ppr", Usage: "ranks on each host", DefaultText: "K"},
		&cli.BoolFlag{Name: "oversubscribe", Usage: "allow more ranks than slots"},
		&cli.StringFlag{Name: "bind", Usage: "core: bind each rank to its share of the cores that sspurn may use on the host (Linux), where two jobs would get the same; default: none", DefaultText: "none|core"},
	}
}

// reachFlags are the flags that say how hosts are reached.
func reachFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "ssh", Usage: "remote shell and its options", DefaultText: "CMD"},
		&cli.StringFlag{Name: "stage", Usage: "copy the program to the hosts: auto (where it is absent or differs), always, never", DefaultText: "auto|always|never"},
		&cli.StringFlag{Name: "iface", Usage: "network or interface of the mesh; default: the route of the remote shell", DefaultText: "CIDR|NAME"},
		&cli.StringFlag{Name: "ports", Usage: "ports of the mesh; default: any", DefaultText: "LO-HI"},
		&cli.BoolFlag{Name: "v", Usage: "say what the launcher does"},
	}
}

func checkFlags() []cli.Flag { return append(placeFlags(), reachFlags()...) }

// runFlags are all flags of a run.
func runFlags() []cli.Flag {
	return append(checkFlags(),
		&cli.StringSliceFlag{Name: "x", Usage: "environment variable for the ranks, with the launcher's value or this one; repeatable", DefaultText: "NAME[=VALUE]"},
		&cli.StringFlag{Name: "wdir", Usage: "working directory of the ranks; default: the launcher's", DefaultText: "DIR"},
		&cli.BoolFlag{Name: "tag-output", Usage: "[rank] before each line; default: on a terminal with more than one rank"},
		&cli.BoolFlag{Name: "timestamp", Usage: "time before each line"},
		&cli.StringFlag{Name: "output", Usage: "store output in DIR/rank-N.out and .err instead of showing it", DefaultText: "DIR"},
		&cli.DurationFlag{Name: "timeout", Usage: "end the job after this time; exit status 124", DefaultText: "D"},
		&cli.DurationFlag{Name: "stall", Value: time.Minute, Usage: "say which ranks are missing when a call of the runtime has lasted so long, and name a deadlock; default: 1m; 0: never", DefaultText: "D"},
		&cli.DurationFlag{Name: "grace", Usage: "between asking ranks to end and killing them; default: 10s after an interrupt or timeout, 1s after a failure", DefaultText: "D"},
		&cli.StringFlag{Name: "run-dir", Usage: "keep the record of the run here; default: a temporary directory that only a failed job leaves", DefaultText: "DIR"},
		&cli.StringFlag{Name: "record", Usage: "off: ranks record nothing; default: what a report needs", DefaultText: "on|off"},
		&cli.StringFlag{Name: "trace", Usage: "write a timeline of all ranks to FILE, which Perfetto (ui.perfetto.dev) opens; .gz compresses", DefaultText: "FILE"},
		&cli.StringFlag{Name: "dashboard", Usage: "serve a live page about the job at this address, :8080 say, to its end and beyond", DefaultText: "ADDR"},
		&cli.DurationFlag{Name: "hold", Usage: "serve the page so long after the end; default: on a terminal until Ctrl-C, else until open pages have it", DefaultText: "D"},
		&cli.StringFlag{Name: "metrics", Usage: "serve Prometheus metrics of launcher and ranks at this address, under /metrics", DefaultText: "ADDR"},
		&cli.StringFlag{Name: "shm", Usage: "ranks of one host talk through memory that they share (Linux); default: unless -emulate is given; on: also then, but for the pairs that it slows; off: over TCP like those of different hosts", DefaultText: "auto|on|off"},
		&cli.StringFlag{Name: "on-demand", Usage: "connect two ranks, over TCP, when they first talk; off: all when the job starts, which finds bad networks then; default: on in jobs of more than 64 ranks", DefaultText: "auto|on|off"},
		&cli.StringFlag{Name: "emulate", Usage: "make the network slower: 'rate=1gbit,delay=1ms;pairs=0-3,2-*,rate=100mbit,delay=5ms,jitter=1ms,down=5s+2s/30s' (clauses; a later one replaces the first for its pairs; * is any other rank; down: after 5 s for 2 s, every 30 s again)", DefaultText: "SPEC"},
		&cli.StringFlag{Name: "straggle", Usage: "make ranks slower: 'rank=1+3,factor=4', 'rank=1,delay=200ms', 'rotate,delay=200ms', 'random,p=0.05,delay=200ms', 'exp,mean=20ms', or several with ; between, whose delays add", DefaultText: "SPEC"},
		&cli.StringFlag{Name: "progress", Usage: "live line with clock, loss, rate, waiting, the slowest rank and the time left; default: on a terminal", DefaultText: "auto|on|off"},
	)
}

// compareUsage are the flags of a run that mean something else in a comparison.
var compareUsage = map[string]string{
	"run-dir":   "folder of the runs and the report; one with the runs of an earlier comparison is refused without -replace; default: compare-DATE-TIME",
	"output":    "store output in DIR/RUN/rank-N.out and .err, and fail where it can not be written; default: in output/ of each run's folder",
	"trace":     "leave a timeline of all ranks in a file NAME in the folder of each run, as bsp-1/NAME; .gz compresses",
	"dashboard": "serve a live page about all runs at this address, :8080 say, to their end and beyond",
	"metrics":   "serve Prometheus metrics of the running job at this address, under /metrics, from the first run to the last",
}

// compareFlags are the flags of a comparison.
func compareFlags() []cli.Flag {
	run := runFlags()
	for _, f := range run {
		if f, ok := f.(*cli.StringFlag); ok && compareUsage[f.Name] != "" {
			f.Usage = compareUsage[f.Name]
			if f.Name == "trace" {
				f.DefaultText = "NAME"
			}
		}
	}
	return append([]cli.Flag{
		&cli.StringFlag{Name: "sync", Value: "bsp,ssp:1,ssp:3,essp:3,async", Usage: "the settings, each given to the program as -sync, with commas between; those of the store may have commas themselves, as managed:3,mag,cvap:3,0.1; for others write semicolons between settings: 'a:x,y;b'; default: bsp,ssp:1,ssp:3,essp:3,async", DefaultText: "LIST"},
		&cli.IntFlag{Name: "repeat", Value: 1, Usage: "runs of each setting", DefaultText: "K"},
		&cli.Float64Flag{Name: "target", Usage: "value of the program's metric whose time counts; default: one that all settings reached", DefaultText: "X"},
		&cli.Uint64Flag{Name: "shuffle", Value: 1, Usage: "seed of the order of the settings, which is another one in each repeat", DefaultText: "SEED"},
		&cli.BoolFlag{Name: "replace", Usage: "remove the runs of an earlier comparison, with all that is in their folders, from -run-dir first"},
	}, run...)
}

const compareText = `Run a program under several settings of -sync, one run after another, and show which
reaches the answer first: tables at the end, and in -run-dir (default: compare-DATE-TIME)
a page with all pictures and numbers, report.html, and the record and output of each run.
The program must take -sync, as all apps of sspurn do; {dir} in its arguments stands for
the directory of the run, so that rank 0 can leave its files there. Rank 0 records the
metric: c.Recorder().Record(telemetry.Event{Kind: "loss", Metric: "rmse", Better: "lower",
Value: v, Seconds: s, Clocks: n}), s and n of the work so far. Before the first run a program
that is built with sspurn's runtime is started once for each setting, until it calls
runtime.Run: if it exits with another status than 0 before that, because it has parsed the
setting (ssp.ParsePolicy), the comparison ends with what it says. A mistake that only the body
of Run finds fails when its turn comes.`

const compareExamples = `
Examples:
  sspurn compare -n 4 bin/mf -data ratings.tsv -epochs 20
  sspurn compare -n 8 -sync bsp,ssp:1,ssp:3,async -repeat 3 -target 1.18 -run-dir out bin/mf -data ratings.tsv
  sspurn compare -n 8 -straggle rotate,delay=200ms -emulate rate=1gbit,delay=1ms bin/synth -compute 50ms

The exit status is that of the first run that failed; the others are made all the same. A full
disk costs records and the files of the report, not runs and tables.
`

// appHelp is the help of sspurn itself.
func appHelp(flags []cli.Flag) string {
	return `sspurn runs a program on many hosts: each copy of it is a rank.

  sspurn [flags] PROGRAM [ARGS...]    run a job; what follows PROGRAM is the program's
  sspurn hosts [flags]                show where each rank would go, start nothing
  sspurn check [flags] [PROGRAM]      are all hosts reachable, able to run the program and to reach one another?
  sspurn compare [flags] PROGRAM [ARGS...]  run it under several -sync settings: which reaches the answer first?
  sspurn report [flags] RUNDIR...     put recorded runs (-run-dir) side by side: tables, and a page with pictures

Flags:
` + flagTable(flags) + `
Examples:
  sspurn -n 4 ./app -sync ssp:3             four ranks on this machine
  sspurn -n 64 -hosts hosts.txt ./app       on the hosts of a file, by ssh
  sspurn -host a:4,b:4 -x DEBUG=1 ./app     four ranks on each of two hosts
  sspurn -n 8 -output logs -timeout 1h ./app
  sspurn compare -n 8 -sync bsp,ssp:3,async -repeat 3 ./app
  sspurn -run-dir a ./app -sync bsp; sspurn -run-dir b ./app -sync ssp:3; sspurn report a b

Output comes in lines, each of up to 64 KiB whole. A longer one comes in pieces, and on a terminal one
whose end does not follow at once, with lines of other ranks between, perhaps. Standard input goes to
rank 0; the others find its end at once.

The ranks get the signal itself: SIGINT after Ctrl-C, SIGTERM after -timeout or a failure of another
rank, and SIGKILL -grace later. The context of runtime.Run does not end by it: a program that has to
clean up passes one of signal.NotifyContext. A deadlock is named (-stall), not ended.

Exit status: 0 when every rank returned 0; else that of the first rank that failed, 128 and the
number of the signal that ended it or the job, 124 after -timeout, 125 when the launcher failed.
`
}

// commandHelp is the help of a command.
func commandHelp(usage, text string, flags []cli.Flag) string {
	return text + "\n\n  " + usage + "\n\nFlags:\n" + flagTable(flags)
}

// flagTable lists flags with one dash, as they are written.
func flagTable(flags []cli.Flag) string {
	var b strings.Builder
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		head := ""
		for i, n := range f.Names() {
			if i > 0 {
				head += ", "
			}
			head += "-" + n
		}
		if doc.TakesValue() {
			head += " " + doc.GetDefaultText()
		}
		fmt.Fprintf(&b, "  %s\n        %s\n", head, doc.GetUsage())
	}
	return b.String()
}

// jobOf reads the flags.
func jobOf(c *cli.Context) (launcher.Job, error) {
	var job launcher.Job
	if lineage := c.Lineage(); len(lineage) > 2 && lineage[1].NumFlags() > 0 {
		return job, fmt.Errorf("flags come after the command: sspurn %s [flags]", c.Command.Name)
	}
	self, err := os.Executable()
	if err != nil {
		return job, err
	}
	job.Self = []string{self}
	job.Ranks = c.Int("n")
	if c.IsSet("n") && job.Ranks < 1 {
		return job, fmt.Errorf("-n %d: want at least one rank", job.Ranks)
	}
	if job.Hosts, err = hostsOf(c); err != nil {
		return job, err
	}
	job.Place = launcher.Placement{By: launcher.MapBy(c.String("map-by")), PerHost: c.Int("ppr"), Oversubscribe: c.Bool("oversubscribe")}
	if c.IsSet("ppr") && job.Place.PerHost < 1 {
		return job, fmt.Errorf("-ppr %d: want at least one rank a host", job.Place.PerHost)
	}
	if err := oneOf(c, "map-by", "slot", "node"); err != nil {
		return job, err
	}
	if err := oneOf(c, "bind", "none", "core"); err != nil {
		return job, err
	}
	job.Bind = launcher.Binding(c.String("bind"))
	if err := oneOf(c, "stage", "auto", "always", "never"); err != nil {
		return job, err
	}
	if err := oneOf(c, "progress", "auto", "on", "off"); err != nil {
		return job, err
	}
	if err := oneOf(c, "record", "on", "off"); err != nil {
		return job, err
	}
	if err := oneOf(c, "shm", "auto", "on", "off"); err != nil {
		return job, err
	}
	if err := oneOf(c, "on-demand", "auto", "on", "off"); err != nil {
		return job, err
	}
	job.Stage = launcher.Staging(c.String("stage"))
	job.Progress, job.Memory = launcher.Switch(c.String("progress")), launcher.Switch(c.String("shm"))
	job.OnDemand = launcher.Switch(c.String("on-demand"))
	if c.IsSet("ssh") {
		if job.SSH, err = launcher.SplitWords(c.String("ssh")); err != nil {
			return job, fmt.Errorf("-ssh: %w", err)
		}
		if len(job.SSH) == 0 {
			return job, fmt.Errorf("-ssh: no command")
		}
	}
	job.Iface = c.String("iface")
	if strings.Contains(job.Iface, "/") {
		if _, err := netip.ParsePrefix(job.Iface); err != nil {
			return job, fmt.Errorf("-iface %s: not a network", job.Iface)
		}
	}
	if c.IsSet("ports") {
		if job.Ports, err = portRange(c.String("ports")); err != nil {
			return job, err
		}
	}
	job.Verbose = c.Bool("v")
	for _, x := range c.StringSlice("x") {
		name, _, valued := strings.Cut(x, "=")
		if name == "" {
			return job, fmt.Errorf("-x %s: want NAME or NAME=VALUE", x)
		}
		if !valued {
			value, ok := os.LookupEnv(name)
			if !ok {
				return job, fmt.Errorf("-x %s: not set in the launcher's environment", name)
			}
			x = name + "=" + value
		}
		job.Env = append(job.Env, x)
	}
	for _, name := range []string{"wdir", "output", "run-dir", "emulate", "straggle", "iface", "hosts", "host", "trace", "dashboard", "metrics"} {
		if c.IsSet(name) && strings.TrimSpace(c.String(name)) == "" {
			return job, fmt.Errorf("-%s: empty", name)
		}
	}
	job.Dir, job.OutputDir, job.RunDir = c.String("wdir"), c.String("output"), c.String("run-dir")
	job.Emulate, job.Straggle = c.String("emulate"), c.String("straggle")
	job.Record, job.Trace = launcher.Switch(c.String("record")), c.String("trace")
	job.Dashboard, job.Hold, job.Metrics = c.String("dashboard"), c.Duration("hold"), c.String("metrics")
	if job.Record == launcher.Off {
		for _, name := range []string{"run-dir", "trace", "dashboard", "metrics"} {
			if c.IsSet(name) {
				return job, fmt.Errorf("-record off leaves nothing for -%s", name)
			}
		}
	}
	for _, d := range []string{"timeout", "grace", "hold"} {
		if c.IsSet(d) && c.Duration(d) <= 0 {
			return job, fmt.Errorf("-%s %v: want more than nothing", d, c.Duration(d))
		}
	}
	job.Timeout, job.Grace, job.Stall = c.Duration("timeout"), c.Duration("grace"), c.Duration("stall")
	if job.Stall < 0 {
		return job, fmt.Errorf("-stall %v: want a time, or 0", job.Stall)
	}
	job.Timestamp = c.Bool("timestamp")
	if c.IsSet("tag-output") {
		job.Tag = launcher.Off
		if c.Bool("tag-output") {
			job.Tag = launcher.On
		}
	}
	return job, nil
}

// oneOf checks a flag of few values.
func oneOf(c *cli.Context, name string, values ...string) error {
	if !c.IsSet(name) {
		return nil
	}
	for _, v := range values {
		if c.String(name) == v {
			return nil
		}
	}
	return fmt.Errorf("-%s %q: want %s", name, c.String(name), strings.Join(values, " or "))
}

// portRange parses "LO-HI" or one port.
func portRange(s string) ([2]int, error) {
	lo, hi, ok := strings.Cut(s, "-")
	if !ok {
		hi = lo
	}
	a, err1 := strconv.ParseUint(lo, 10, 16)
	b, err2 := strconv.ParseUint(hi, 10, 16)
	if err1 != nil || err2 != nil || a == 0 || a > b {
		return [2]int{}, fmt.Errorf("-ports %s: want LO-HI with 1 ≤ LO ≤ HI ≤ 65535", s)
	}
	return [2]int{int(a), int(b)}, nil
}

// hostsOf reads -hosts or -host.
func hostsOf(c *cli.Context) ([]launcher.Host, error) {
	if c.IsSet("hosts") && c.IsSet("host") {
		return nil, fmt.Errorf("-hosts and -host exclude each other")
	}
	if c.IsSet("host") {
		return launcher.ParseHostList(c.String("host"))
	}
	if !c.IsSet("hosts") {
		return nil, nil
	}
	name := c.String("hosts")
	if name == "-" {
		return launcher.ParseHosts("standard input", os.Stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("hosts file: %w", err)
	}
	defer f.Close()
	return launcher.ParseHosts(name, f)
}
