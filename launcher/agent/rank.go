package agent

import (
	"encoding/json"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	stderrors "errors"

	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// drainIdle is how long a pipe of an ended rank must be silent to count as
// empty where a process that left the group still holds it open.
const drainIdle = 20 * time.Millisecond

// rank is a process that the agent has started.
type rank struct {
	number int
	pid    int
	reaped bool // guarded by server.mu

	out, diag *os.File // ends of its pipes
	control   *os.File // end of its control channel
	credits   [Streams]*Credits
	ended     atomic.Bool             // before the deadlines of the files above are set
	status    chan syscall.WaitStatus // size 1

	telling sync.Mutex // one line at a time on control
	broken  bool       // guarded by telling: a line did not fit
}

// carry moves everything that the rank says and reports its end.
func (s *server) carry(r *rank) {
	var pumps sync.WaitGroup
	pumps.Go(func() { s.pump(r, r.out, Stdout) })
	pumps.Go(func() { s.pump(r, r.diag, Stderr) })
	info := s.listen(r)
	status := <-r.status
	if status.Signaled() {
		info.Signal, info.Core = int(status.Signal()), status.CoreDump()
	} else {
		info.Code = status.ExitStatus()
	}
	_ = r.control.Close() // it has said all
	s.out.SendJSON(Exited, r.number, info)
	pumps.Wait()
	s.out.SendBulk(Frame{Kind: Drained, Rank: r.number})
}

// pump moves one stream of output until it ends.
func (s *server) pump(r *rank, f *os.File, stream Stream) {
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	credits := r.credits[stream]
	for {
		n := credits.Take(MaxChunk)
		if n == 0 {
			return
		}
		var got int
		var fail error
		err := s.awaitInput(r, f, func() error {
			return raw.Read(func(fd uintptr) bool {
				// The buffer is borrowed for the one call that finds data, so that an
				// idle rank needs none.
				buf, _ := s.buffers.Get().(*[MaxChunk]byte)
				if buf == nil {
					buf = new([MaxChunk]byte)
				}
				defer s.buffers.Put(buf)
				got, fail = syscall.Read(int(fd), buf[:n])
				if fail == syscall.EAGAIN || fail == syscall.EINTR {
					got = 0
					return false
				}
				if got > 0 {
					s.out.SendBulk(Frame{Kind: Output, Stream: stream, Rank: r.number, Payload: buf[:got]})
				}
				return true
			})
		})
		credits.Give(n - max(got, 0))
		if err != nil || fail != nil || got <= 0 {
			return
		}
	}
}

// awaitInput calls read, and again while it only ran into the deadline that
// the rank's end has set and the file may still hold something.
func (s *server) awaitInput(r *rank, f *os.File, read func() error) error {
	for tries := 0; ; tries++ {
		if r.ended.Load() {
			if err := f.SetReadDeadline(time.Now().Add(drainIdle)); err != nil {
				return err
			}
		}
		err := read()
		if err == nil || !stderrors.Is(err, os.ErrDeadlineExceeded) || tries > 0 && r.ended.Load() {
			return err
		}
	}
}

// listen follows the rank's control channel to its end.
func (s *server) listen(r *rank) (info ExitInfo) {
	in := bootstrap.NewMessageReader(r.control)
	var records []byte // frames that leave together
	size := 0          // bytes of the lines in them
	for {
		if size > 0 && (size >= MaxChunk || !in.Ready()) {
			if r.credits[Record].TakeAll(size) {
				s.out.SendFrames(records)
			}
			records, size = nil, 0
		}
		var m bootstrap.Message
		err := s.awaitInput(r, r.control, func() (err error) {
			m, err = in.Read()
			return err
		})
		if err != nil {
			if bad := channelFault(err); bad != nil && !r.ended.Load() {
				info.Verdict = &bootstrap.Verdict{Cause: bad.Error()}
				s.out.SendJSON(Failing, r.number, info.Verdict)
			}
			return info
		}
		switch m.Kind {
		case bootstrap.KindListening:
			info.Joined = true
			m.Self.Rank = r.number
			s.out.SendJSON(Joined, r.number, m.Self)
		case bootstrap.KindRecord:
			records = AppendFrame(records, Frame{Kind: Output, Stream: Record, Rank: r.number, Payload: m.Record})
			size += len(m.Record)
		case bootstrap.KindVerdict:
			info.Verdict = m.Verdict
			if !m.Verdict.OK {
				s.out.SendJSON(Failing, r.number, m.Verdict)
			}
		}
	}
}

// channelFault returns the error if it says that the rank broke the protocol,
// rather than that it closed the channel or was killed within a line.
func channelFault(err error) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	if stderrors.As(err, &syntax) || stderrors.As(err, &wrong) {
		return err
	}
	return nil
}

// welcome tells the rank what it joins; the line waits in the socket, so that
// the rank finds it. slot is its place in what is shared, if anything is.
func (r *rank) welcome(w bootstrap.Welcome, slot int, shared *bootstrap.Shared) error {
	for {
		w.Rank, w.Shared = r.number, nil
		var rights []byte
		if shared != nil {
			place := shared.Place
			place.Slot = slot
			w.Shared = &place
			rights = unix.UnixRights(shared.Descriptors()...)
		}
		line, err := bootstrap.AppendMessage(nil, bootstrap.Message{Kind: bootstrap.KindWelcome, Welcome: &w})
		if err != nil {
			return err
		}
		if err := r.say(line, rights); err == nil || shared == nil {
			return nil
		}
		shared = nil // too many descriptors under way: this rank has to do without
	}
}

// tell writes a line into the rank's control channel without waiting. A rank
// that leaves so much unread that a line does not fit has not joined, and gets
// no further ones.
func (r *rank) tell(line []byte) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if !r.broken {
		r.broken = r.say(line, nil) != nil
	}
}

// say writes a line and rights that go with it, or fails.
func (r *rank) say(line, rights []byte) error {
	raw, err := r.control.SyscallConn()
	if err != nil {
		return err // closed
	}
	failed := raw.Write(func(fd uintptr) bool {
		var n int
		if n, err = unix.SendmsgN(int(fd), line, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); err == nil && n < len(line) {
			err = io.ErrShortWrite
		}
		return true
	})
	return stderrors.Join(err, failed)
}
