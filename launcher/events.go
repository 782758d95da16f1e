package launcher

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/agent"
	"github.com/sspurn/sspurn/runtime/bootstrap"
)

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
			s.metrics.became(s.plan.On[e.link.index][i], rankStarted)
		}
		if len(e.start.Cores) > 0 {
			s.log.printf("host %s: %s", e.link.host.Name, boundText(s.plan.On[e.link.index], e.start.Cores))
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
			if s.out.ending { // it stopped starting because it was told so
				return nil
			}
			return errors.Errorf("host %s: %s", e.link.host.Name, e.start.Error)
		}
	case agent.Joined:
		e.peer.Host = e.link.host.Name
		s.roster[e.rank] = e.peer
		s.metrics.became(e.rank, rankJoined)
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
		s.metrics.became(e.rank, rankExited)
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
	s.stalls.end() // calls of the others fail now
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
	for _, r := range s.plan.On[l.index] {
		s.metrics.became(r, rankExited)
	}
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

// look finds silent agents, once in each agent.PingEvery.
func (s *supervisor) look() {
	for _, l := range s.links {
		if l.gone {
			continue
		}
		if silent, gone := l.monitor.Beat(); gone {
			// What is left of the channel is of no use, and the agent ends its ranks
			// when it hears nothing either.
			_ = s.lostHost(l, fmt.Sprintf("no sign of life for %.1f s", silent.Seconds()))
			l.kill()
		}
	}
}
