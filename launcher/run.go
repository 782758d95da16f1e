package launcher

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/agent"
	"github.com/sspurn/sspurn/launcher/report"
)

// logger writes what the launcher does when it was asked to say so.
type logger struct {
	on  bool
	out io.Writer
}

func (l *logger) printf(format string, args ...any) {
	if l.on {
		fmt.Fprintf(l.out, "sspurn: "+format+"\n", args...)
	}
}

// Run runs the job to its end. It returns nil when every rank returned 0, and
// otherwise a *Failure.
func Run(ctx context.Context, job Job, std Streams) error {
	if job.Dashboard == "" || job.Board != nil {
		return run(ctx, job, std)
	}
	board, err := NewDashboard(job.Dashboard, report.Options{})
	if err != nil {
		return launchFailure(err)
	}
	fmt.Fprintf(std.Stderr, "sspurn: dashboard at %s\n", board.URL())
	job.Board = board
	err = run(ctx, job, std)
	f, _ := stderrors.AsType[*Failure](err)
	board.linger(ctx, ending(f), job.Hold, f != nil && f.Code > exitSignal, std)
	if e := board.Close(); e != nil {
		fmt.Fprintf(std.Stderr, "sspurn: %s\n", oneLine(e))
	}
	return err
}

// ending words how a job has ended; nil means well.
func ending(f *Failure) string {
	if f == nil {
		return "The job has ended."
	}
	return "The job has failed: " + f.Cause + "."
}

// run is Run with the job's Board made.
func run(ctx context.Context, job Job, std Streams) error {
	plan, err := Plan(&job)
	if err != nil {
		return launchFailure(err)
	}
	if err := job.checkSlowing(plan.Ranks); err != nil {
		return launchFailure(err)
	}
	log := &logger{on: job.Verbose, out: std.Stderr}
	for _, n := range plan.Notes { // for people, not for scripts
		if job.Verbose || isTerminal(std.Stderr) {
			fmt.Fprintf(std.Stderr, "sspurn: %s\n", n)
		}
	}
	program, err := lookProgram(job.Program)
	if err != nil {
		return launchFailure(err)
	}
	if job.Dir != "" {
		if st, err := os.Stat(job.Dir); plan.local() && (err != nil || !st.IsDir()) {
			return launchFailure(errors.Errorf("-wdir %s: no such directory", job.Dir))
		}
	}
	var traceTo *traceFile
	if job.Trace != "" {
		if job.RunDir != "" { // where the trace may go
			err = errors.Wrap(os.MkdirAll(job.RunDir, 0o777), "run directory")
		}
		if err == nil {
			traceTo, err = newTraceFile(job.Trace)
		}
		if err != nil && job.spare == nil {
			return launchFailure(err)
		}
		if err != nil && job.spare.firstTrace() {
			fmt.Fprintf(std.Stderr, "sspurn: no trace %s: %s\n", job.Trace, oneLine(err))
		}
	}
	server := job.scrape
	if job.Metrics != "" && server == nil {
		if server, err = serveMetrics(job.Metrics); err != nil {
			return launchFailure(err)
		}
		defer server.close()
		server.announce(std.Stderr)
	}
	var scraped *metrics
	if server != nil {
		scraped = newMetrics(&job, plan.Ranks)
		server.follow(scraped)
	}
	// Signals count from here on: one that comes while hosts are being set up
	// ends that.
	setUp, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	early := make(chan os.Signal, 1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case sig := <-std.Signals:
				if sig == syscall.SIGINT || sig == syscall.SIGTERM {
					early <- sig
					cancel(errors.Errorf("interrupted by %s", sig))
					return
				}
			case <-done:
				return
			}
		}
	})
	links, paths, err := connect(setUp, &job, plan, program, log)
	close(done)
	wg.Wait()
	select {
	case sig := <-early:
		leave(links)
		return &Failure{Code: exitSignal + int(sig.(syscall.Signal)), Cause: "interrupted by " + sig.String() + " before the ranks were started"}
	default:
	}
	if err != nil {
		leave(links)
		return launchFailure(err)
	}
	s, err := newSupervisor(&job, plan, links, std, log)
	if err != nil {
		leave(links)
		return launchFailure(err)
	}
	s.traceTo = traceTo
	if scraped != nil {
		s.metrics = scraped
		s.record.observe(scraped, false)
	}
	return s.run(ctx, paths)
}

// launchFailure is a failure of the launcher itself.
func launchFailure(err error) *Failure { return &Failure{Code: ExitLaunch, Cause: oneLine(err)} }

// asFailure is an error as a failure: of the launcher itself when it is no other.
func asFailure(err error) *Failure {
	if f, ok := stderrors.AsType[*Failure](err); ok {
		return f
	}
	return launchFailure(err)
}

// oneLine is the text of an error, also of several joined ones.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// lookProgram returns the absolute path of the program.
func lookProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if stderrors.Is(err, exec.ErrDot) {
		err = nil // the PATH of the user says so
	}
	if err != nil {
		if filepath.Base(name) == name {
			if _, here := os.Stat(name); here == nil {
				return "", errors.Errorf("program %s is not in the PATH (did you mean ./%s ?)", name, name)
			}
			return "", errors.Errorf("program %s is not in the PATH", name)
		}
		if e, ok := stderrors.AsType[*exec.Error](err); ok {
			err = e.Err
		}
		if e, ok := stderrors.AsType[*os.PathError](err); ok {
			err = e.Err
		}
		return "", errors.Errorf("program %s: %v", name, err)
	}
	path, err = filepath.Abs(path)
	return path, errors.Wrap(err, "program")
}

// connect starts an agent on each host that gets ranks and has it find or
// fetch the program. It returns a link and the program's path for each host of
// the plan; on error some links may be there and must be left.
func connect(ctx context.Context, job *Job, plan *Layout, program string, log *logger) ([]*link, []string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	links := make([]*link, len(plan.Hosts))
	paths := make([]string, len(plan.Hosts))
	errs := make([]error, len(plan.Hosts))
	offer := newOffer(job, program)
	turn := make(chan struct{}, connectAtOnce)
	var wg sync.WaitGroup
	for i, h := range plan.Hosts {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			errs[i] = func() (err error) {
				if links[i], err = startLink(ctx, h, i, job, log); err != nil {
					return err
				}
				log.printf("host %s: agent %d is up (%s/%s, %d cores)", h.Name, links[i].hello.Pid, links[i].hello.OS, links[i].hello.Arch, links[i].hello.CPUs)
				if paths[i], err = stageProgram(ctx, links[i], offer, log); err != nil {
					return err
				}
				return nil
			}()
			if errs[i] != nil {
				errs[i] = errors.WithMessagef(errs[i], "host %s", h.Name)
				cancel(errs[i]) // nothing will be started: do not wait for the others
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return links, nil, err
	}
	return links, paths, nil
}

// connectAtOnce is how many hosts are set up at the same time.
const connectAtOnce = 32

// leave ends the agents of links that are there.
func leave(links []*link) {
	var wg sync.WaitGroup
	for _, l := range links {
		if l == nil {
			continue
		}
		wg.Go(func() {
			l.watch.Stop()
			l.out.Send(agent.Frame{Kind: agent.Bye})
			l.out.Close()
			late := time.AfterFunc(leaveWithin, l.kill)
			defer late.Stop()
			_, _ = io.Copy(io.Discard, l.stdout) // until its end
			l.wait()
		})
	}
	wg.Wait()
}
