package launcher

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/agent"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

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
	traceTo *traceFile  // nil: no trace is wanted
	metrics *metrics    // nil: nobody wants them
	stalls  *stallWatch // nil: nobody wants to know
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
	unheard   bool // the reader of the output has gone

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
		Settings: settings(job), Versions: versions(), Record: string(job.recording()), Setting: job.Setting, Repeat: job.Repeat, Template: job.Template,
	}
	s.record, err = newRecorder(job, n, s.printer, isTerminal(std.Stderr))
	if err != nil {
		return nil, stderrors.Join(err, s.printer.close())
	}
	if job.Stall > 0 {
		s.stalls = newStallWatch(plan.hostNames(), job.Stall, s.printer.say)
		s.record.observe(s.stalls, false)
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
	if job.Memory == On || job.Memory == Off {
		m["shm"] = string(job.Memory)
	}
	if job.OnDemand == On || job.OnDemand == Off {
		m["on-demand"] = string(job.OnDemand)
	}
	if job.Bind == BindCore {
		m["bind"] = string(job.Bind)
	}
	if job.Setting != "" {
		m["shuffle"] = strconv.FormatUint(job.Shuffle, 10)
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
		Ports: s.job.Ports, Emulate: s.job.Emulate, Straggle: s.job.Straggle, Record: s.job.recording(),
		Stall: s.job.Stall, OnDemand: s.job.onDemand(s.plan.Ranks),
	}
	s.info.Job = welcome.Job
	dir := s.job.Dir
	if dir == "" {
		if dir, err = os.Getwd(); err != nil {
			return errors.Wrap(err, "working directory")
		}
	}
	for i, l := range s.links {
		s.info.Hosts = append(s.info.Hosts, telemetry.HostInfo{Name: l.host.Name, Addr: addrs[i], Ranks: s.plan.On[i]})
	}
	if s.job.Board != nil {
		s.job.Board.Begin(s.info)
	}
	s.job.memory.begin(s.info)
	if err := s.record.started(s.info); err != nil { // before anything runs
		return err
	}
	for i, l := range s.links {
		ranks := s.plan.On[i]
		w := welcome
		w.Host, w.HostRanks, w.Cores, w.Listen = l.host.Name, len(ranks), l.hello.CPUs, addrs[i]
		if s.job.shares() {
			w.Shared = &bootstrap.Place{ID: hex.EncodeToString(random(8))}
		}
		l.out.SendJSON(agent.Start, 0, agent.StartInfo{
			Program: paths[i], Args: append([]string{s.job.Program}, s.job.Args...), Env: s.job.Env,
			Dir: dir, Or: s.job.Dir == "", Welcome: w, Ranks: ranks, Bind: s.job.Bind == BindCore,
		})
		s.log.printf("host %s: starts %d ranks of %s, mesh address %s", l.host.Name, len(ranks), paths[i], addrs[i])
		l.watch.Stop()
		l.monitor.Hear()
		l.read = make(chan struct{})
		l.askTime()
		s.readers.Go(func() {
			defer close(l.read)
			s.read(l)
		})
	}
	return nil
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
		l.monitor.Hear()
		e := event{kind: f.Kind, rank: f.Rank}
		if f.Rank >= s.plan.Ranks {
			send(event{err: errors.Errorf("frame %d of rank %d", f.Kind, f.Rank)})
			return
		}
		switch f.Kind {
		case agent.Ping, agent.Suspended:
			continue
		case agent.Clocked:
			if err := l.told(f, s.info.Start); err != nil {
				send(event{err: err})
				return
			}
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
	var limit <-chan time.Time
	if s.job.Timeout > 0 {
		t := time.NewTimer(s.job.Timeout)
		defer t.Stop()
		limit = t.C
	}
	var launch error
	deaf := s.printer.deaf
	for !s.over() {
		select {
		case <-deaf:
			deaf = nil
			if !s.out.ending {
				s.unheard = true
				s.end(syscall.SIGTERM, GraceFailed)
			}
		case e := <-s.events:
			if err := s.on(e); err != nil && launch == nil {
				launch = err
				s.killAll()
			}
		case sig := <-s.std.Signals:
			s.signalled(sig)
		case <-tick.C:
			s.look()
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
