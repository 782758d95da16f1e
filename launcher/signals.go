package launcher

import (
	"os"
	"syscall"
	"time"

	"github.com/sspurn/sspurn/launcher/agent"
)

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
	s.stalls.end()
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
	s.stalls.end()
	s.killAt.Stop()
	s.signal(syscall.SIGKILL)
}

// signalled handles a signal that the launcher was sent.
func (s *supervisor) signalled(sig os.Signal) {
	switch n := sig.(syscall.Signal); n {
	case syscall.SIGINT, syscall.SIGTERM:
		if s.asked != 0 {
			s.impatient = true
			s.killAll()
			return
		}
		s.asked = n
		if s.out.ending { // of itself: now at once
			s.killAll()
			return
		}
		s.log.printf("%s: asking the ranks to end", n)
		s.end(n, GraceAsked)
	case syscall.SIGUSR1, syscall.SIGUSR2:
		s.signal(n)
	case syscall.SIGTSTP:
		s.suspend()
	}
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
			s.signalled(sig)
		}
	}
}
