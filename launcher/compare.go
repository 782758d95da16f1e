package launcher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/report"
)

// Comparison is a program that is run under several settings of -sync, one run
// after another.
type Comparison struct {
	// Job is what the runs have in common. RunDir is the folder for their directories,
	// Trace a name in each of these; {dir} in Args stands for a run's own.
	Job      Job
	Settings []string // of -sync, at least one
	Repeats  int      // runs of each setting, at least 1
	Shuffle  uint64   // seed of the order
	Replace  bool     // removes the runs of an earlier comparison from RunDir

	spare spare // what a full disk costs
}

// dirMark in an argument of the program stands for the directory of the run, in
// which rank 0 may leave files.
const dirMark = "{dir}"

// Trial is one run of a comparison.
type Trial struct {
	Setting string
	Repeat  int // from 1
	Dir     string

	Began   time.Time
	Seconds float64  // that it took, launch included
	Failure *Failure // nil after success

	seen *report.Run // what it recorded, but its spans; nil: it was not started
}

// ParseSettings reads a list of settings with commas between. A part that begins
// with a digit or a point belongs to the setting before it, and so does a word that
// this one, if it is a policy of package ssp, has behind its numbers, as in
// cvap:3,0.1,strong. A list with a semicolon in it has those between settings, and
// nothing else counts.
func ParseSettings(list string) ([]string, error) {
	between := ","
	if strings.Contains(list, ";") {
		between = ";"
	}
	var settings []string
	for i, part := range strings.Split(list, between) {
		if between == "," && i > 0 && continues(settings[len(settings)-1], part) {
			settings[len(settings)-1] += "," + part
			continue
		}
		settings = append(settings, part)
	}
	seen := map[string]bool{}
	for _, s := range settings {
		if strings.TrimSpace(s) != s || s == "" {
			return nil, errors.Errorf("-sync %q: want settings with commas, or semicolons, between, such as bsp,ssp:3,async", list)
		}
		if seen[s] {
			return nil, errors.Errorf("-sync %q: %s is there twice", list, s)
		}
		seen[s] = true
	}
	return settings, nil
}

// continues reports whether a part of a list belongs to the setting before it.
func continues(setting, part string) bool {
	if part != "" && strings.IndexByte("0123456789.", part[0]) >= 0 {
		return true
	}
	name, _, numbers := strings.Cut(setting, ":")
	if !numbers {
		return false
	}
	switch name {
	case "cvap":
		if _, err := strconv.ParseFloat(part, 64); err == nil { // inf
			return true
		}
		fallthrough
	case "vap":
		return slices.Contains([]string{"strong", "sqrt", "element"}, part)
	case "managed":
		return slices.Contains([]string{"relmag", "mag", "fifo", "random"}, part)
	}
	return false
}

// Plan returns the runs in their order: in each repeat every setting once,
// shuffled anew, so that a machine that becomes slower or faster favours none.
func (c *Comparison) Plan() []Trial {
	random := rand.New(rand.NewPCG(c.Shuffle, 0))
	trials := make([]Trial, 0, len(c.Settings)*c.Repeats)
	names := map[string]int{}
	for _, s := range c.Settings {
		names[folderName(s)]++
	}
	for repeat := 1; repeat <= c.Repeats; repeat++ {
		for _, i := range random.Perm(len(c.Settings)) {
			name := folderName(c.Settings[i])
			if names[name] > 1 {
				name += "-" + strconv.Itoa(i)
			}
			trials = append(trials, Trial{Setting: c.Settings[i], Repeat: repeat, Dir: filepath.Join(c.Job.RunDir, name+"-"+strconv.Itoa(repeat))})
		}
	}
	return trials
}

// folderName is a setting as the name of a folder.
func folderName(setting string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_':
			return r
		case r == ':':
			return -1
		}
		return '_'
	}, setting)
}

// Run runs the comparison, then tell with the runs that were made. A run that fails
// does not end it, unless that was the launcher's own doing or an interrupt: then
// the error says it, and the rest is left out. Otherwise the error is the first
// failure of a run, else that of tell. The job's Dashboard, about whose runs o says
// more, and its Metrics are served from before the first run to after the last.
func (c *Comparison) Run(ctx context.Context, std Streams, o report.Options, tell func([]Trial) error) ([]Trial, error) {
	closing, err := c.open(ctx, std, o)
	defer closing()
	if err != nil {
		return nil, asFailure(err)
	}
	done, err := c.runs(ctx, std)
	if len(done) > 0 {
		if e := tell(done); err == nil && e != nil {
			err = launchFailure(errors.WithMessage(e, "report"))
		}
	}
	if c.Job.Board != nil {
		f, _ := stderrors.AsType[*Failure](err)
		text := fmt.Sprintf("The comparison has ended: %d of %d runs went well.", good(done), len(c.Settings)*c.Repeats)
		c.Job.Board.linger(ctx, text, c.Job.Hold, f != nil && f.Code > exitSignal, std)
	}
	return done, err
}

// open finds what is wrong before anything is run, starts to serve what the job
// asks for, and makes the folder. closing ends the serving, also after an error.
func (c *Comparison) open(ctx context.Context, std Streams, o report.Options) (closing func(), err error) {
	var open []func()
	closing = func() {
		for _, f := range open {
			f()
		}
	}
	program, err := c.check()
	if err == nil {
		err = c.checkSettings(ctx, program, std)
	}
	if err != nil {
		return closing, err
	}
	if c.Job.Metrics != "" {
		server, err := serveMetrics(c.Job.Metrics)
		if err != nil {
			return closing, err
		}
		c.Job.scrape = server
		open = append(open, server.close)
	}
	if c.Job.Dashboard != "" {
		board, err := NewDashboard(c.Job.Dashboard, o)
		if err != nil {
			return closing, err
		}
		c.Job.Board = board
		open = append(open, func() {
			if e := board.Close(); e != nil {
				fmt.Fprintf(std.Stderr, "sspurn: %s\n", oneLine(e))
			}
		})
	}
	if err := c.makeFolder(); err != nil {
		return closing, err
	}
	if c.Job.scrape != nil {
		c.Job.scrape.announce(std.Stderr)
	}
	if c.Job.Board != nil {
		fmt.Fprintf(std.Stderr, "sspurn: dashboard at %s\n", c.Job.Board.URL())
	}
	return closing, nil
}

// runs makes the runs.
func (c *Comparison) runs(ctx context.Context, std Streams) ([]Trial, error) {
	show, err := newCompareView(c, std.Stderr)
	if err != nil {
		return nil, launchFailure(err)
	}
	defer show.close()
	taps := newTap(std.Signals)
	defer taps.close()
	var done []Trial
	var first error
	for _, t := range c.Plan() {
		if taps.interrupted() != nil {
			break
		}
		show.start(&t)
		t.Began = time.Now()
		err := c.run(ctx, &t, Streams{Stdout: show.out, Stderr: show.out, Signals: taps.out}, show)
		t.Seconds = time.Since(t.Began).Seconds()
		if err != nil {
			t.Failure = asFailure(err)
			if first == nil {
				first = t.Failure
			}
		}
		done = append(done, t)
		show.end(&t, taps.interrupted() != nil)
		if t.Failure != nil && t.Failure.Code == ExitLaunch || ctx.Err() != nil {
			return done, t.Failure
		}
	}
	if sig := taps.interrupted(); sig != nil {
		return done, &Failure{
			Code:  exitSignal + int(sig.(syscall.Signal)),
			Cause: fmt.Sprintf("ended by %s: %d of %d runs were made", signalName(sig.(syscall.Signal)), good(done), len(c.Settings)*c.Repeats),
		}
	}
	return done, first
}

// good counts the runs that went well.
func good(done []Trial) int {
	n := 0
	for _, t := range done {
		if t.Failure == nil {
			n++
		}
	}
	return n
}

// run makes one run.
func (c *Comparison) run(ctx context.Context, t *Trial, std Streams, show *compareView) error {
	if err := os.RemoveAll(t.Dir); err != nil {
		return errors.Wrap(err, "run directory")
	}
	args, err := c.arguments(t)
	if err != nil {
		return err
	}
	job := c.Job
	job.Args = args
	job.Template, job.Shuffle = c.Job.Args, c.Shuffle
	job.RunDir, job.OutputDir = t.Dir, filepath.Join(t.Dir, "output")
	job.spare, job.memory = &c.spare, &memory{}
	if c.spare.output = c.Job.OutputDir == ""; !c.spare.output { // somebody asked for it
		job.OutputDir = filepath.Join(c.Job.OutputDir, filepath.Base(t.Dir))
	}
	if job.Trace != "" { // one for each run
		job.Trace = filepath.Join(t.Dir, c.Job.Trace)
	}
	job.Setting, job.Repeat, job.Watch, job.Progress = t.Setting, t.Repeat, show.status, Off
	err = Run(ctx, job, std)
	t.seen = job.memory.run
	return err
}

// tap hands signals on to the running job and remembers an interrupt, which ends
// the comparison too.
type tap struct {
	out  chan os.Signal
	quit chan struct{}
	done chan struct{}
	sig  chan os.Signal // size 1: the first interrupt
}

func newTap(in <-chan os.Signal) *tap {
	t := &tap{out: make(chan os.Signal, 8), quit: make(chan struct{}), done: make(chan struct{}), sig: make(chan os.Signal, 1)}
	go func() {
		defer close(t.done)
		for {
			select {
			case sig := <-in:
				if sig == syscall.SIGINT || sig == syscall.SIGTERM {
					select {
					case t.sig <- sig:
					default:
					}
				}
				select {
				case t.out <- sig:
				default: // nobody runs who would take it
				}
			case <-t.quit:
				return
			}
		}
	}()
	return t
}

// interrupted returns the signal that ends the comparison, nil while there is none.
func (t *tap) interrupted() os.Signal {
	select {
	case sig := <-t.sig:
		t.sig <- sig
		return sig
	default:
		return nil
	}
}

func (t *tap) close() {
	close(t.quit)
	<-t.done
}
