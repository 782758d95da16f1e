package launcher

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/agent"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/telemetry"
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
	plan, err := Plan(&job)
	if err != nil {
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
	return s.run(ctx, paths)
}

// launchFailure is a failure of the launcher itself.
func launchFailure(err error) *Failure { return &Failure{Code: ExitLaunch, Cause: err.Error()} }

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

// event is what a link's reader found.
type event struct {
	link  *link
	kind  agent.Kind // 0: the channel has ended
	rank  int
	err   error
	note  string
	exit  agent.ExitInfo
	peer  bootstrap.Peer
	ruled bootstrap.Verdict
	start agent.StartedInfo
}

// supervisor runs the started job. Its fields are owned by run.
type supervisor struct {
	job     *Job
	plan    *Layout
	links   []*link
	std     Streams
	log     *logger
	printer *printer
	record  *recorder
	out     *outcome
	info    telemetry.JobInfo

	events  chan event // unbuffered: readers wait for the supervisor, who never waits for them
	quit    chan struct{}
	readers sync.WaitGroup
	input   *input

	roster  []bootstrap.Peer
	drained []bool

	asked     syscall.Signal // the signal that ends the job; 0: none
	timedOut  bool
	impatient bool // a second interrupt

	killAt    *time.Timer // SIGKILL for all
	primaryAt *time.Timer // the primary cause is not waited for any longer
	endAt     *time.Timer // a rank that announced its failure has not exited
}

func newSupervisor(job *Job, plan *Layout, links []*link, std Streams, log *logger) (*supervisor, error) {
	n := plan.Ranks
	s := &supervisor{
		job: job, plan: plan, links: links, std: std, log: log,
		out:    newOutcome(plan.hostNames()),
		events: make(chan event), quit: make(chan struct{}),
		roster: make([]bootstrap.Peer, n), drained: make([]bool, n),
		input:  newInput(),
		killAt: stoppedTimer(), primaryAt: stoppedTimer(), endAt: stoppedTimer(),
	}
	var err error
	if s.printer, err = newPrinter(job, n, std); err != nil {
		return nil, err
	}
	s.info = telemetry.JobInfo{
		Program: job.Program, Args: job.Args, Ranks: n, Start: time.Now(),
		Settings: settings(job), Versions: versions(),
	}
	s.record, err = newRecorder(job, n, s.printer, isTerminal(std.Stderr))
	if err != nil {
		return nil, stderrors.Join(err, s.printer.close())
	}
	return s, nil
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// settings returns the flags that change what is measured.
func settings(job *Job) map[string]string {
	m := make(map[string]string)
	if job.Emulate != "" {
		m["emulate"] = job.Emulate
	}
	if job.Straggle != "" {
		m["straggle"] = job.Straggle
	}
	return m
}

// random returns n random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// start has the agents start the ranks.
func (s *supervisor) start(paths []string) error {
	addrs, err := meshAddrs(s.job, s.links)
	if err != nil {
		return err
	}
	welcome := bootstrap.Welcome{
		Job: hex.EncodeToString(random(8)), Size: s.plan.Ranks, Secret: random(32),
		Ports: s.job.Ports, Emulate: s.job.Emulate, Straggle: s.job.Straggle,
	}
	s.info.Job = welcome.Job
	dir := s.job.Dir
	if dir == "" {
		if dir, err = os.Getwd(); err != nil {
			return errors.Wrap(err, "working directory")
		}
	}
	for i, l := range s.links {
		ranks := s.plan.On[i]
		w := welcome
		w.Host, w.HostRanks, w.Listen = l.host.Name, len(ranks), addrs[i]
		s.info.Hosts = append(s.info.Hosts, telemetry.HostInfo{Name: l.host.Name, Addr: addrs[i], Ranks: ranks})
		l.out.SendJSON(agent.Start, 0, agent.StartInfo{
			Program: paths[i], Args: append([]string{s.job.Program}, s.job.Args...), Env: s.job.Env,
			Dir: dir, Or: s.job.Dir == "", Welcome: w, Ranks: ranks,
		})
		s.log.printf("host %s: starts %d ranks of %s, mesh address %s", l.host.Name, len(ranks), paths[i], addrs[i])
		l.watch.Stop()
		l.heard.Store(int64(time.Since(l.epoch)))
		l.read = make(chan struct{})
		s.readers.Go(func() {
			defer close(l.read)
			s.read(l)
		})
	}
	return s.record.started(s.info)
}

// read follows one agent's channel. Output goes straight to the printer, which
// never waits; everything else to the supervisor.
func (s *supervisor) read(l *link) {
	rooms := newRooms(l)
	send := func(e event) {
		e.link = l
		select {
		case s.events <- e:
		case <-s.quit: // read on, to the end of the channel
		}
	}
	for {
		f, err := l.in.Read()
		if err != nil {
			send(event{err: err})
			return
		}
		l.heard.Store(int64(time.Since(l.epoch)))
		e := event{kind: f.Kind, rank: f.Rank}
		if f.Rank >= s.plan.Ranks {
			send(event{err: errors.Errorf("frame %d of rank %d", f.Kind, f.Rank)})
			return
		}
		switch f.Kind {
		case agent.Ping, agent.Suspended:
			continue
		case agent.Output:
			data := append([]byte(nil), f.Payload...)
			taken := rooms.taken(f.Rank, f.Stream)
			if f.Stream == agent.Record {
				s.record.put(chunk{rank: f.Rank, data: data, taken: taken})
			} else {
				s.printer.put(chunk{rank: f.Rank, stream: f.Stream, data: data, taken: taken})
			}
			continue
		case agent.Drained:
			s.printer.drained(f.Rank)
		case agent.StdinRoom:
			n, err := f.Number()
			if err == nil {
				s.input.credits.Give(n)
			}
			continue
		case agent.Started:
			err = f.Decode(&e.start)
		case agent.Joined:
			err = f.Decode(&e.peer)
		case agent.Failing:
			err = f.Decode(&e.ruled)
		case agent.Exited:
			err = f.Decode(&e.exit)
		case agent.Fatal:
			e.note = string(f.Payload)
		default:
			err = errors.Errorf("frame %d is not for the launcher", f.Kind)
		}
		if err != nil {
			send(event{err: err})
			return
		}
		send(e)
	}
}

// run runs the job and returns how it ended.
func (s *supervisor) run(ctx context.Context, paths []string) error {
	err := s.start(paths)
	if err == nil {
		err = s.supervise(ctx)
	}
	return s.finish(err)
}

// supervise handles what happens until nothing of the job is left. An error is
// a failure of the launcher itself.
func (s *supervisor) supervise(ctx context.Context) error {
	s.input.start(s.std.Stdin, s.rootLink())
	tick := time.NewTicker(agent.PingEvery)
	defer tick.Stop()
	last := time.Now()
	var limit <-chan time.Time
	if s.job.Timeout > 0 {
		t := time.NewTimer(s.job.Timeout)
		defer t.Stop()
		limit = t.C
	}
	var launch error
	for !s.over() {
		select {
		case e := <-s.events:
			if err := s.on(e); err != nil && launch == nil {
				launch = err
				s.killAll()
			}
		case sig := <-s.std.Signals:
			last = s.signalled(sig, last)
		case <-tick.C:
			now := time.Now() // the tick carries the time at which it was due
			s.look(now.Sub(last) > 2*agent.PingEvery)
			last = now
		case <-limit:
			if s.out.ending {
				continue
			}
			s.timedOut = true
			s.end(syscall.SIGTERM, GraceAsked)
		case <-s.killAt.C:
			s.killAll()
		case <-s.primaryAt.C:
			s.log.printf("no primary cause within %v", primaryWithin)
			s.end(syscall.SIGTERM, GraceFailed)
		case <-s.endAt.C:
			s.end(syscall.SIGTERM, GraceFailed)
		case <-ctx.Done():
			if launch == nil {
				launch = context.Cause(ctx)
				s.killAll()
			}
			ctx = context.WithoutCancel(ctx)
		}
	}
	return launch
}

// rootLink returns the link to the host of rank 0.
func (s *supervisor) rootLink() *link {
	for i, ranks := range s.plan.On {
		if slices.Contains(ranks, 0) {
			return s.links[i]
		}
	}
	return s.links[0] // there is a rank 0
}

// primaryWithin is how long the launcher waits for the end that explains a
// rank which only lost another one: the detection time of a host that has
// vanished.
const primaryWithin = agent.Silence + agent.PingEvery

// over reports whether all ranks have ended and said everything.
func (s *supervisor) over() bool {
	if s.out.left > 0 {
		return false
	}
	if s.impatient {
		return true
	}
	for _, l := range s.links {
		if l.gone {
			continue
		}
		for _, r := range s.plan.On[l.index] {
			if !s.drained[r] {
				return false
			}
		}
	}
	return true
}

// on handles what an agent said.
func (s *supervisor) on(e event) error {
	switch e.kind {
	case 0:
		return s.lostHost(e.link, s.channelEnd(e.link, e.err))
	case agent.Fatal:
		return s.lostHost(e.link, "agent: "+e.note)
	case agent.Started:
		for i, pid := range e.start.Pids {
			s.log.printf("rank %d on %s: process %d", s.plan.On[e.link.index][i], e.link.host.Name, pid)
		}
		if e.start.Note != "" {
			fmt.Fprintf(s.std.Stderr, "sspurn: host %s: %s\n", e.link.host.Name, e.start.Note)
		}
		if e.start.Error != "" {
			// The ranks that it did start are ended with the rest.
			for _, r := range s.plan.On[e.link.index][len(e.start.Pids):] {
				s.drained[r] = true
				s.out.exit(r, agent.ExitInfo{})
			}
			return errors.Errorf("host %s: %s", e.link.host.Name, e.start.Error)
		}
	case agent.Joined:
		e.peer.Host = e.link.host.Name
		s.roster[e.rank] = e.peer
		all, lost := s.out.join(e.rank)
		if all {
			for _, l := range s.links {
				l.out.SendJSON(agent.Roster, 0, s.roster)
			}
			s.log.printf("all %d ranks have joined", s.plan.Ranks)
		}
		s.lost(lost)
		if s.out.settled() {
			s.end(syscall.SIGTERM, GraceFailed)
		}
	case agent.Failing:
		s.lost(s.out.failing(e.rank, e.ruled))
		if !e.ruled.Secondary && s.out.first != nil && s.out.first.rank == e.rank && !s.out.ending {
			s.endAt.Reset(GraceFailed)
		}
	case agent.Exited:
		s.log.printf("rank %d on %s: %s", e.rank, e.link.host.Name, exitText(e.exit))
		s.lost(s.out.exit(e.rank, e.exit))
		if s.out.settled() {
			s.end(syscall.SIGTERM, GraceFailed)
		}
	case agent.Drained:
		s.drained[e.rank] = true
	}
	return nil
}

// exitText words an exit for the log.
func exitText(e agent.ExitInfo) string {
	if e.Signal != 0 {
		return signalCause(e.Signal, e.Core)
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// lost tells all ranks of losses and begins to end the job.
func (s *supervisor) lost(losses []bootstrap.Loss) {
	for _, loss := range losses {
		for _, l := range s.links {
			l.out.SendJSON(agent.Lost, 0, loss)
		}
	}
	if len(losses) == 0 || s.out.ending {
		return
	}
	if s.out.first == nil && s.out.secondary != nil {
		s.primaryAt.Reset(primaryWithin)
	}
}

// lostHost handles the end of an agent's channel.
func (s *supervisor) lostHost(l *link, cause string) error {
	if l.gone {
		return nil
	}
	l.gone = true
	lost := s.out.hostLost(l.host.Name, s.plan.On[l.index], cause)
	s.log.printf("host %s: %s", l.host.Name, cause)
	s.lost(lost)
	if len(lost) > 0 {
		s.end(syscall.SIGTERM, GraceFailed)
	}
	return nil
}

// channelEnd words why the channel to an agent has ended.
func (s *supervisor) channelEnd(l *link, err error) string {
	if err != io.EOF && !stderrors.Is(err, os.ErrClosed) {
		return "the channel to its agent broke: " + err.Error()
	}
	// The keeper and the remote shell speak before they end.
	late := time.AfterFunc(agent.PingEvery, func() { _ = l.cmd.Process.Kill() })
	defer late.Stop()
	l.wait()
	if said := l.diag.last(); said != "" {
		return said
	}
	return "the channel to its agent was closed (" + processEnd(l.cmd, l.status) + ")"
}

// look finds silent agents. A late look proves nothing: this process did not
// run either.
func (s *supervisor) look(late bool) {
	for _, l := range s.links {
		if l.gone {
			continue
		}
		now := time.Since(l.epoch)
		if late {
			l.heard.Store(int64(now))
			continue
		}
		if silent := now - time.Duration(l.heard.Load()); silent > agent.Silence {
			// What is left of the channel is of no use, and the agent ends its ranks
			// when it hears nothing either.
			_ = s.lostHost(l, fmt.Sprintf("no sign of life for %.1f s", silent.Seconds()))
			l.kill()
		}
	}
}

// signal sends a signal to all ranks.
func (s *supervisor) signal(sig syscall.Signal) {
	for _, l := range s.links {
		l.out.Send(agent.Frame{Kind: agent.Signal, Payload: agent.Uint32(int(sig))})
	}
}

// end asks the ranks to end with sig and kills them after the grace period,
// once; a second call changes nothing.
func (s *supervisor) end(sig syscall.Signal, grace time.Duration) {
	if s.out.ending {
		return
	}
	s.out.ending = true
	s.primaryAt.Stop()
	s.endAt.Stop()
	if s.job.Grace > 0 {
		grace = s.job.Grace
	}
	s.signal(sig)
	s.killAt.Reset(grace)
}

// killAll kills the ranks.
func (s *supervisor) killAll() {
	s.out.ending = true
	s.killAt.Stop()
	s.signal(syscall.SIGKILL)
}

// signalled handles a signal that the launcher was sent. It returns the time
// of the last tick.
func (s *supervisor) signalled(sig os.Signal, last time.Time) time.Time {
	switch n := sig.(syscall.Signal); n {
	case syscall.SIGINT, syscall.SIGTERM:
		if s.asked != 0 {
			s.impatient = true
			s.killAll()
			return last
		}
		s.asked = n
		if s.out.ending { // of itself: now at once
			s.killAll()
			return last
		}
		s.log.printf("%s: asking the ranks to end", n)
		s.end(n, GraceAsked)
	case syscall.SIGUSR1, syscall.SIGUSR2:
		s.signal(n)
	case syscall.SIGTSTP:
		s.suspend()
		return time.Time{} // the next tick is late
	}
	return last
}

// suspend stops the ranks, then this process, and continues both.
func (s *supervisor) suspend() {
	waiting := make(map[*link]bool)
	for _, l := range s.links {
		if !l.gone {
			l.out.Send(agent.Frame{Kind: agent.Suspend})
			waiting[l] = true
		}
	}
	// Frames are written by goroutines of this process: stop only once the
	// agents have them.
	for _, l := range s.links {
		if waiting[l] {
			l.out.Flush(agent.PingEvery)
		}
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // to ourselves: always permitted
	// This thread may run on for a moment: what says that the stop is over is the
	// signal that ends it.
	var meanwhile []os.Signal
	for sig := range s.std.Signals {
		if sig == syscall.SIGCONT {
			break
		}
		meanwhile = append(meanwhile, sig)
	}
	for l := range waiting {
		l.out.Send(agent.Frame{Kind: agent.Resume})
	}
	for _, sig := range meanwhile {
		if sig != syscall.SIGTSTP {
			s.signalled(sig, time.Time{})
		}
	}
}

// finish ends the agents, writes what is left and words the failure.
func (s *supervisor) finish(launch error) error {
	close(s.quit)
	s.input.close()
	var wg sync.WaitGroup
	for _, l := range s.links {
		wg.Go(func() { s.part(l) })
	}
	wg.Wait()
	s.readers.Wait()
	f := s.failure(launch)
	if f != nil {
		s.info.Exit, s.info.Cause = f.Code, f.Cause
	}
	s.info.Ended, s.info.Seconds = true, time.Since(s.info.Start).Seconds()
	kept, err := s.record.finish(s.info, f != nil)
	if s.impatient {
		err = stderrors.Join(s.printer.closeWithin(agent.PingEvery), err)
	} else {
		err = stderrors.Join(s.printer.close(), err)
	}
	if f != nil {
		if kept != "" {
			f.More = append(f.More, "the record of the run is in "+kept)
		}
		return f
	}
	if err != nil {
		return launchFailure(err)
	}
	return nil
}

// part ends one agent and reaps its process.
func (s *supervisor) part(l *link) {
	if l.read == nil { // the job was never started
		leave([]*link{l})
		return
	}
	l.out.Send(agent.Frame{Kind: agent.Bye})
	l.out.Close()
	select {
	case <-l.exited:
		return
	default:
	}
	late := time.AfterFunc(leaveWithin, l.kill)
	defer late.Stop()
	<-l.read
	l.wait()
}

// failure words how the job ended; nil means well.
func (s *supervisor) failure(launch error) *Failure {
	if launch != nil {
		return launchFailure(launch)
	}
	if s.timedOut {
		return &Failure{Code: ExitTimeout, Cause: fmt.Sprintf("the job did not end within %v", s.job.Timeout)}
	}
	f := s.out.cause()
	if s.asked != 0 && (f == nil || f.code == exitSignal+int(s.asked)) {
		return &Failure{Code: exitSignal + int(s.asked), Cause: "ended by " + signalName(s.asked)}
	}
	if f == nil {
		return nil
	}
	fail := &Failure{Code: f.code, Cause: f.String()}
	if f.rank >= 0 {
		fail.Tail = s.printer.tail(f.rank)
	}
	return fail
}

// versions names the programs of a launch.
func versions() map[string]string {
	return map[string]string{"sspurn": version(), "go": goruntime.Version(), "platform": goruntime.GOOS + "/" + goruntime.GOARCH}
}
