package launcher

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	stderrors "errors"

	"github.com/sspurn/sspurn/launcher/agent"
)

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
	s.info.Hosts = slices.Clone(s.info.Hosts) // the recorder may still be writing those of the start
	for i := range s.info.Hosts {
		s.info.Hosts[i].Clock = s.links[i].clock.offsets()
	}
	f := s.failure(launch)
	if f != nil {
		s.info.Exit, s.info.Cause = f.Code, f.Cause
	}
	s.info.Ended, s.info.Seconds = true, time.Since(s.info.Start).Seconds()
	s.info = s.record.finish(s.info)
	s.job.memory.end(s.info)
	if s.job.Board != nil {
		s.job.Board.End(s.info)
	}
	var err error
	if s.impatient {
		err = s.printer.closeWithin(agent.PingEvery)
	} else {
		err = s.printer.close()
	}
	traced := ""
	if s.traceTo != nil && s.links[0].read != nil { // ranks were started
		traced = s.trace()
	}
	kept, left := s.record.leave(f != nil)
	if left != nil {
		fmt.Fprintf(s.std.Stderr, "sspurn: %s\n", oneLine(left))
	}
	switch {
	case f == nil && stderrors.Is(err, syscall.EPIPE):
		f = unheard() // the last words
	case f == nil && err != nil:
		f = launchFailure(err)
	case f == nil:
		if traced != "" {
			fmt.Fprintf(s.std.Stderr, "sspurn: %s\n", traced)
		}
		return nil
	case err != nil && !stderrors.Is(err, syscall.EPIPE):
		f.More = append(f.More, oneLine(err))
	}
	if traced != "" {
		f.More = append(f.More, traced)
	}
	if kept != "" {
		f.More = append(f.More, "the record of the run is in "+kept)
	}
	return f
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
	if f == nil && s.unheard {
		return unheard()
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

// unheard is the end of a job whose output nobody reads any more; a program of
// one process would have been sent the signal.
func unheard() *Failure {
	return &Failure{Code: exitSignal + int(syscall.SIGPIPE), Cause: "the reader of the output has gone (SIGPIPE)"}
}

// versions names the programs of a launch.
func versions() map[string]string {
	return map[string]string{"sspurn": Version(), "go": goruntime.Version(), "platform": goruntime.GOOS + "/" + goruntime.GOARCH}
}
