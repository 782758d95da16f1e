package launcher

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/agent"
)

const (
	connectWithin = 20 * time.Second // until an agent says hello; every step of staging anew
	leaveWithin   = 2 * time.Second  // for an agent to end after Bye
)

// link is the launcher's end of the channel to one agent.
type link struct {
	host  Host
	index int // of the host

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
	in     *agent.FrameReader
	out    *agent.Outbox
	diag   tailBuffer // what the remote shell and the keeper say
	hello  agent.HelloInfo
	local  bool
	pid    atomic.Int64 // of the agent, once it has said hello

	monitor agent.Monitor // of the agent; beats with the supervisor
	epoch   time.Time
	writing sync.WaitGroup
	exited  chan struct{} // closed when the process has been waited for
	status  error         // how it ended; valid after exited
	gone    bool          // owned by the supervisor: nothing more is expected
	read    chan struct{} // closed when its reader has returned; nil before there is one

	clock clockMeter // owned by the reader, later by who waited for it

	watch *time.Timer // kills the process while it is being set up; nil later
}

// startLink starts the agent's end and waits for its first word.
func startLink(ctx context.Context, host Host, index int, job *Job, log *logger) (*link, error) {
	l := &link{host: host, index: index, out: agent.NewOutbox(), exited: make(chan struct{}), epoch: time.Now()}
	l.local = isLocal(host)
	var boot *bootScript
	var err error
	if l.local {
		l.cmd = exec.Command(job.Self[0], append(append([]string(nil), job.Self[1:]...), "agent")...)
	} else {
		if boot, err = newBootScript(job); err != nil {
			return nil, err
		}
		argv := remoteCommand(job.SSH, host, boot.text)
		log.printf("host %s: %s", host.Name, strings.Join(argv[:len(argv)-1], " "))
		l.cmd = exec.Command(argv[0], argv[1:]...)
	}
	// In a session of its own, an interrupt typed at the terminal does not reach
	// it, and the channel outlives the grace period.
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	l.cmd.Stderr = &l.diag
	l.cmd.WaitDelay = leaveWithin // a shared ssh connection may hold the pipe open
	if l.stdin, err = l.cmd.StdinPipe(); err != nil {
		return nil, errors.Wrap(err, "pipe")
	}
	if l.stdout, err = l.cmd.StdoutPipe(); err != nil {
		return nil, errors.Wrap(err, "pipe")
	}
	if err := l.cmd.Start(); err != nil {
		return nil, errors.Wrap(err, "start the agent")
	}
	l.watch = time.AfterFunc(connectWithin, l.kill)
	stop := context.AfterFunc(ctx, l.kill)
	defer stop()
	if err := l.greet(boot, log); err != nil {
		l.kill()
		l.wait()
		return nil, l.explain(ctx, err)
	}
	if job.Bind == BindCore && l.hello.NoBind != "" {
		leave([]*link{l})
		return nil, errors.New(l.hello.NoBind)
	}
	return l, nil
}

// greet goes through the start script, starts writing, and waits for Hello.
func (l *link) greet(boot *bootScript, log *logger) error {
	if boot != nil {
		if err := boot.run(l, log); err != nil {
			return err
		}
	}
	l.in = agent.NewFrameReader(l.stdout)
	f, err := l.in.Read()
	if err != nil {
		return err
	}
	if f.Kind != agent.Hello {
		return errors.New("the agent does not say hello: is it another version of sspurn?")
	}
	if err := f.Decode(&l.hello); err != nil {
		return err
	}
	l.pid.Store(int64(l.hello.Pid))
	if l.hello.Version != agent.Version {
		return errors.Errorf("its sspurn speaks version %d of the protocol, this one %d", l.hello.Version, agent.Version)
	}
	l.writing.Go(func() {
		// A broken channel shows at the reading end too.
		_ = l.out.Write(l.stdin)
		_ = l.stdin.Close()
	})
	l.writing.Go(l.beat)
	return nil
}

// beat tells the agent that the launcher is alive, from the first word to the
// last.
func (l *link) beat() {
	tick := time.NewTicker(agent.PingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.out.Send(agent.Frame{Kind: agent.Ping})
			l.askTime()
		case <-l.exited:
			return
		}
	}
}

// askTime asks the agent what its host's clock shows.
func (l *link) askTime() {
	l.out.Send(agent.Frame{Kind: agent.Clock, Payload: agent.Times(int64(time.Since(l.epoch)))})
}

// quickTimes is how many answers at the start are followed by another question
// at once.
const quickTimes = 8

// told takes the answer to askTime, which has just arrived, for a job that
// started at start.
func (l *link) told(f agent.Frame, start time.Time) error {
	arrived := time.Since(l.epoch)
	var ns [3]int64
	if err := f.Times(ns[:]); err != nil {
		return err
	}
	since := l.epoch.Sub(start) // what is the same for both clocks makes no difference
	l.clock.add(time.Duration(ns[0])+since, time.Duration(ns[1]-start.UnixNano()), time.Duration(ns[2]-start.UnixNano()), arrived+since)
	if l.clock.answers <= quickTimes {
		l.askTime()
	}
	return nil
}

// alive pushes the deadline of the set-up back.
func (l *link) alive() { l.watch.Reset(connectWithin) }

// ask reads frames until one of the kind, while the agent is being set up.
func (l *link) ask(ctx context.Context, want agent.Kind, v any) error {
	stop := context.AfterFunc(ctx, l.kill)
	defer stop()
	for {
		f, err := l.in.Read()
		if err != nil {
			return l.explain(ctx, err)
		}
		switch f.Kind {
		case want:
			l.alive()
			return f.Decode(v)
		case agent.Fatal:
			return errors.Errorf("agent: %s", f.Payload)
		}
	}
}

// explain adds what is known of why the channel has ended.
func (l *link) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !l.watch.Stop() {
		return errors.Errorf("no answer within %v", connectWithin)
	}
	select {
	case <-l.exited:
	case <-time.After(leaveWithin):
		return err
	}
	if said := l.diag.last(); said != "" {
		return errors.New(said)
	}
	if err == io.EOF || errors.Is(err, os.ErrClosed) {
		return errors.Errorf("the connection was closed (%s)", processEnd(l.cmd, l.status))
	}
	return err
}

// processEnd words how a command has ended.
func processEnd(cmd *exec.Cmd, err error) string {
	if cmd.ProcessState != nil {
		return cmd.Args[0] + ": " + cmd.ProcessState.String()
	}
	return err.Error()
}

// kill ends the process at once. The far end notices that its channel has
// ended; an agent of this machine that has stopped running would not, and is
// killed too: its keeper ends the ranks.
func (l *link) kill() {
	if pid := int(l.pid.Load()); l.local && pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		select {
		case <-l.exited:
			return
		case <-time.After(agent.PingEvery):
		}
	}
	_ = l.cmd.Process.Kill() // it may have ended
}

// wait reaps the process, once its output has been read to the end or is of no
// use any more. It is called once.
func (l *link) wait() {
	l.status = l.cmd.Wait()
	close(l.exited)
	l.out.Close()
	l.writing.Wait()
}

// tailBuffer keeps the last lines written to it. It is safe for concurrent use.
type tailBuffer struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

// tailBytes is how much a tailBuffer keeps.
const tailBytes = 4 << 10

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if n := len(b.text) - tailBytes; n > 0 {
		b.text = append(b.text[:0], b.text[n:]...)
	}
	return len(p), nil
}

// blanks are what a line may end in and is still blank.
const blanks = " \r\n\t"

// lines returns the last n lines that are not blank.
func (b *tailBuffer) lines(n int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for line := range bytes.Lines(b.text) {
		if s := strings.TrimRight(string(line), blanks); s != "" {
			out = append(out, s)
		}
	}
	return out[max(0, len(out)-n):]
}

// last returns the last line, or "".
func (b *tailBuffer) last() string {
	if l := b.lines(1); len(l) > 0 {
		return l[0]
	}
	return ""
}
