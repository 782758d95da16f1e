package agent

import (
	stderrors "errors"
	"fmt"
	"io"
	"net"
	"os"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// server is the agent proper.
type server struct {
	out      *Outbox
	lifeline *os.File // to the keeper
	keeper   int      // its process

	stage stager // owned by loop
	probe prober // owned by loop

	started  bool   // owned by loop
	starting *start // owned by loop: ranks that are being started; nil: none

	monitor   Monitor     // of the launcher
	busy      atomic.Bool // a frame is being handled
	suspended atomic.Bool
	start     time.Time // its wall time and what has passed since are the host's clock, which nobody sets

	mu    sync.Mutex // guards ranks and what is marked so in rank
	ranks []*rank
	ended bool // guarded by mu: no rank may be started any more

	spawned chan struct{} // one token for each rank that was started; closed when no more follow
	stdin   *feeder       // of rank 0; nil elsewhere. Set before ranks run.
	buffers sync.Pool     // of *[MaxChunk]byte
	wg      sync.WaitGroup
	waiting sync.WaitGroup // the goroutine that reaps

	fatal     chan error // size 1: the first reason to give up
	closing   chan struct{}
	closeOnce sync.Once
}

// serve runs the agent until the launcher says Bye or anything breaks.
func serve(in, out *os.File) error {
	// Ranks die with the thread that starts them, see leaderAttr. What they leave
	// behind comes here, and to the keeper only when this process dies.
	goruntime.LockOSThread()
	if err := adoptOrphans(); err != nil {
		return err
	}
	s := &server{
		out:      NewOutbox(),
		lifeline: os.NewFile(lifelineFD, "lifeline"),
		keeper:   os.Getppid(),
		start:    time.Now(),
		spawned:  make(chan struct{}, maxRanks),
		fatal:    make(chan error, 1),
		closing:  make(chan struct{}),
	}
	unix.CloseOnExec(lifelineFD)
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := s.out.Write(out); err != nil {
			s.giveUp(err)
		}
	})
	// Two goroutines that end with their descriptors, that is with the process:
	// nothing else wakes a read of a standard input that may be a file or a pipe
	// shared with the keeper.
	frames, handled := make(chan Frame), make(chan struct{})
	go s.read(in, frames, handled)
	go s.watchKeeper()
	s.wg.Go(s.beat)
	s.out.SendJSON(Hello, 0, hello())
	err := s.loop(frames, handled)
	if err != nil { // before the ranks' ends, which it explains
		s.out.Send(Frame{Kind: Fatal, Payload: []byte(err.Error())})
	}
	s.endRanks()
	s.closeOnce.Do(func() { close(s.closing) })
	s.wg.Wait()
	s.probe.close()
	s.stage.abandon()
	s.out.Close()
	if err == nil {
		writing.Wait()
		return nil
	}
	// The launcher may be gone without anybody reading: say it, but not for long.
	written := make(chan struct{})
	go func() {
		writing.Wait()
		close(written)
	}()
	select {
	case <-written:
	case <-time.After(PingEvery):
	}
	return err
}

func hello() HelloInfo {
	h := HelloInfo{Version: Version, OS: goruntime.GOOS, Arch: goruntime.GOARCH, CPUs: goruntime.NumCPU(), Pid: os.Getpid(), Keeper: os.Getppid()}
	h.Hostname, _ = os.Hostname() // only shown
	if _, err := ownCores(); err != nil {
		h.NoBind = errors.WithMessage(err, bindCore).Error()
	}
	// client address, client port, server address, server port
	if f := strings.Fields(os.Getenv("SSH_CONNECTION")); len(f) == 4 {
		h.From, h.Reached = f[0], f[2]
	}
	ifaces, err := net.Interfaces()
	if err != nil {
		return h // the launcher has other ways to find an address
	}
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
				h.Ifaces = append(h.Ifaces, Iface{Name: i.Name, IP: n.IP.String()})
			}
		}
	}
	return h
}

// giveUp ends the agent with err unless it is ending already.
func (s *server) giveUp(err error) {
	select {
	case s.fatal <- err:
	default:
	}
}

// read hands frames to the loop, one at a time. It answers itself when it is
// asked for the time: the loop may be busy.
func (s *server) read(in io.Reader, frames chan<- Frame, handled <-chan struct{}) {
	r := NewFrameReader(in)
	for {
		f, err := r.Read()
		s.monitor.Hear()
		if err != nil {
			if err == io.EOF {
				err = errors.New("the launcher's channel is closed")
				if os.Getppid() != s.keeper { // sshd closes it when its child ends
					err = errKeeper
				}
			}
			s.giveUp(err)
			return
		}
		if f.Kind == Clock {
			if err := s.tellTime(f); err != nil {
				s.giveUp(err)
				return
			}
			continue
		}
		frames <- f
		<-handled
	}
}

// tellTime answers a Clock frame that has just arrived.
func (s *server) tellTime(f Frame) error {
	arrived := s.now()
	var sent [1]int64
	if err := f.Times(sent[:]); err != nil {
		return err
	}
	s.out.Send(Frame{Kind: Clocked, Payload: Times(sent[0], arrived, s.now())})
	return nil
}

// now is the time by the host's clock in nanoseconds since 1970.
func (s *server) now() int64 { return s.start.UnixNano() + int64(time.Since(s.start)) }

var errKeeper = stderrors.New("the keeper has ended")

// watchKeeper waits for the end of the lifeline.
func (s *server) watchKeeper() {
	var b [1]byte
	for {
		if _, err := s.lifeline.Read(b[:]); err != nil {
			s.giveUp(errKeeper)
			return
		}
	}
}

// beat sends pings and gives up when the launcher is silent for too long.
func (s *server) beat() {
	tick := time.NewTicker(PingEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		s.out.Send(Frame{Kind: Ping})
		if s.suspended.Load() || s.busy.Load() {
			s.monitor.Hear()
		}
		if silent, gone := s.monitor.Beat(); gone {
			s.giveUp(errors.Errorf("the launcher was silent for %.1f s", silent.Seconds()))
			return
		}
	}
}

// loop handles frames until Bye (nil) or a reason to give up, and starts the
// ranks, for which it runs on the goroutine that is locked to a thread.
func (s *server) loop(frames <-chan Frame, handled chan<- struct{}) error {
	always := make(chan struct{})
	close(always)
	for {
		var next chan struct{} // ready while there is a rank to start
		if s.starting != nil && !s.suspended.Load() {
			next = always
		}
		select {
		case <-next:
			s.startNext()
		case err := <-s.fatal:
			return err
		case f := <-frames:
			if f.Kind == Bye {
				return nil
			}
			s.busy.Store(true)
			err := s.handle(f)
			s.busy.Store(false)
			s.monitor.Hear()
			if err != nil {
				return err
			}
			handled <- struct{}{}
		}
	}
}

// handle acts on one frame. An error is a breach of the protocol.
func (s *server) handle(f Frame) error {
	switch f.Kind {
	case Ping:
	case Offer:
		var offer OfferInfo
		if err := f.Decode(&offer); err != nil {
			return err
		}
		s.out.SendJSON(Staged, 0, s.stage.offer(offer))
	case Chunk:
		if answer, ok := s.stage.chunk(f.Payload); ok {
			s.out.SendJSON(Staged, 0, answer)
		}
	case Start:
		var info StartInfo
		if err := f.Decode(&info); err != nil {
			return err
		}
		if err := s.startRanks(info); err != nil {
			s.out.SendJSON(Started, 0, StartedInfo{Error: err.Error()})
		}
	case Stdin:
		if s.stdin != nil {
			s.stdin.put(f.Payload)
		}
	case Room:
		n, err := f.Number()
		if err != nil {
			return err
		}
		if r := s.rank(f.Rank); r != nil {
			r.credits[f.Stream].Give(n)
		}
	case Roster:
		var peers []bootstrap.Peer
		if err := f.Decode(&peers); err != nil {
			return err
		}
		return s.tell(bootstrap.Message{Kind: bootstrap.KindRoster, Roster: peers}, -1)
	case Lost:
		var loss bootstrap.Loss
		if err := f.Decode(&loss); err != nil {
			return err
		}
		return s.tell(bootstrap.Message{Kind: bootstrap.KindLost, Loss: &loss}, loss.Rank)
	case Signal:
		n, err := f.Number()
		if err != nil {
			return err
		}
		sig := syscall.Signal(n)
		s.signal(sig)
		if sig == syscall.SIGINT || sig == syscall.SIGTERM || sig == syscall.SIGKILL {
			s.endStart(errors.New("the job was ended while its ranks were started"))
		}
	case Suspend:
		s.suspended.Store(true)
		s.signal(syscall.SIGSTOP)
		s.out.Send(Frame{Kind: Suspended})
	case Resume:
		s.signal(syscall.SIGCONT)
		s.suspended.Store(false)
	case Listen:
		s.out.SendJSON(Listening, 0, s.probe.listen(string(f.Payload)))
	case Dial:
		var info DialInfo
		if err := f.Decode(&info); err != nil {
			return err
		}
		s.wg.Go(func() { s.out.SendJSON(Dialed, 0, dial(info)) })
	default:
		return errors.Errorf("frame %d is not for an agent", f.Kind)
	}
	return nil
}

// rank returns the rank of that number on this host, or nil.
func (s *server) rank(n int) *rank {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.ranks {
		if r.number == n {
			return r
		}
	}
	return nil
}

// signal sends the signal to the groups of all ranks that have not been reaped.
func (s *server) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.ranks {
		if !r.reaped {
			// The group may have ended; its id is not given away before the leader is reaped.
			_ = syscall.Kill(-r.pid, sig)
		}
	}
}

// tell sends the message to all ranks of the host that listen, but one.
func (s *server) tell(m bootstrap.Message, but int) error {
	line, err := bootstrap.AppendMessage(nil, m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	ranks := s.ranks
	s.mu.Unlock()
	for _, r := range ranks {
		if r.number != but {
			r.tell(line)
		}
	}
	return nil
}

// endRanks kills every rank and waits until all are reaped.
func (s *server) endRanks() {
	s.mu.Lock()
	s.ended = true
	ranks := s.ranks
	s.mu.Unlock()
	s.endStart(errors.New("the job has ended"))
	s.signal(syscall.SIGKILL)
	for _, r := range ranks {
		for _, c := range r.credits {
			c.Close() // nobody takes output any more
		}
	}
	if s.stdin != nil {
		s.stdin.close()
	}
	s.waiting.Wait()
	sweep()
}

// note tells the keeper of a group that was started ('+') or has ended ('-').
func (s *server) note(sign byte, pid int) {
	// A keeper that is gone is noticed by watchKeeper.
	_, _ = fmt.Fprintf(s.lifeline, "%c%d\n", sign, pid)
}
