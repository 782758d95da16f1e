package launcher

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/launcher/agent"
)

// input carries the launcher's standard input to rank 0.
type input struct {
	credits *agent.Credits
	stop    *os.File // closing it wakes the goroutine; nil: there is none
	wg      sync.WaitGroup
}

// newInput returns an input that has not started.
func newInput() *input { return &input{credits: agent.NewCredits(agent.StdinWindow)} }

// start starts reading from in, unless that is the terminal of a job in the
// background, which would stop the launcher. Rank 0 then sees the end of its
// input at once.
func (i *input) start(in *os.File, to *link) {
	end := func() { to.out.SendBulk(agent.Frame{Kind: agent.Stdin}) } // behind the input
	if in == nil || isTerminal(in) && !inForeground(in) {
		end()
		return
	}
	wake, stop, err := os.Pipe()
	if err != nil {
		end()
		return
	}
	i.stop = stop
	i.wg.Go(func() {
		defer wake.Close()
		defer end()
		i.carry(in, wake, to)
	})
}

// carry reads only when there is something to read, and so can be ended
// without making the descriptor, which other processes share, non-blocking.
func (i *input) carry(in, wake *os.File, to *link) {
	buf := make([]byte, agent.MaxChunk)
	fds := []unix.PollFd{
		{Fd: int32(in.Fd()), Events: unix.POLLIN},
		{Fd: int32(wake.Fd()), Events: unix.POLLIN},
	}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		if fds[0].Revents == 0 {
			continue
		}
		n := i.credits.Take(len(buf))
		if n == 0 {
			return
		}
		got, err := unix.Read(int(in.Fd()), buf[:n])
		i.credits.Give(n - max(got, 0)) // what was read stays taken until the agent has room again
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil || got == 0:
			return
		default:
			to.out.SendBulk(agent.Frame{Kind: agent.Stdin, Payload: buf[:got]})
		}
	}
}

// close ends the goroutine.
func (i *input) close() {
	i.credits.Close()
	if i.stop != nil {
		_ = i.stop.Close() // a pipe of ours
	}
	i.wg.Wait()
}

// isTerminal reports whether the file is a terminal.
func isTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// inForeground reports whether this process is in the terminal's foreground
// group.
func inForeground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
