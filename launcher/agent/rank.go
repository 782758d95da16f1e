package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// controlFD is the rank's end of its control channel.
const controlFD = 3

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

// startRanks starts the ranks of this host. It runs on the locked thread.
func (s *server) startRanks(info StartInfo) StartedInfo {
	var answer StartedInfo
	if s.started || len(info.Ranks) == 0 {
		answer.Error = "start without ranks, or for the second time"
		return answer
	}
	s.started = true
	defer close(s.spawned)
	dir, note, err := workDir(info)
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	answer.Note = note
	null, err := os.Open(os.DevNull)
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	defer null.Close()
	env := mergeEnv(os.Environ(), info.Env)
	s.waiting.Go(s.reap)
	for _, n := range info.Ranks {
		r, err := s.startRank(info, n, dir, env, null)
		if err != nil {
			answer.Error = errors.WithMessagef(err, "start rank %d", n).Error()
			return answer
		}
		answer.Pids = append(answer.Pids, r.pid)
		s.spawned <- struct{}{}
	}
	return answer
}

// workDir returns the directory in which the ranks run.
func workDir(info StartInfo) (dir, note string, err error) {
	st, err := os.Stat(info.Dir)
	if err == nil && st.IsDir() {
		return info.Dir, "", nil
	}
	if !info.Or {
		return "", "", errors.Errorf("working directory %s does not exist", info.Dir)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", "", errors.Wrapf(err, "working directory %s does not exist", info.Dir)
	}
	return home, "working directory " + info.Dir + " does not exist, ranks run in " + home, nil
}

// mergeEnv returns base with the added variables, which win; of two added ones
// the later.
func mergeEnv(base, added []string) []string {
	name := func(e string) string {
		n, _, _ := strings.Cut(e, "=")
		return n
	}
	last := make(map[string]int, len(base)+len(added))
	all := append(append([]string(nil), base...), added...)
	for i, e := range all {
		last[name(e)] = i
	}
	out := make([]string, 0, len(all))
	for i, e := range all {
		if n := name(e); last[n] == i && n != bootstrap.EnvControl && n != bootstrap.EnvRank && n != bootstrap.EnvSize {
			out = append(out, e)
		}
	}
	return out
}

// startRank starts one rank and the goroutines that carry its streams.
func (s *server) startRank(info StartInfo, n int, dir string, env []string, null *os.File) (r *rank, err error) {
	var theirs []int // closed here in any case
	var mine []*os.File
	defer func() {
		for _, fd := range theirs {
			_ = syscall.Close(fd)
		}
		if err != nil {
			for _, f := range mine {
				_ = f.Close()
			}
		}
	}()
	pipe := func(ours int) (int, error) { // ours: 0 reads, 1 writes
		p, err := newPipe()
		if err != nil {
			return 0, errors.Wrap(err, "pipe")
		}
		theirs = append(theirs, p[1-ours])
		if err := unix.SetNonblock(p[ours], true); err != nil {
			return 0, errors.Wrap(err, "pipe")
		}
		mine = append(mine, os.NewFile(uintptr(p[ours]), "pipe"))
		return p[1-ours], nil
	}
	stdout, err := pipe(0)
	if err != nil {
		return nil, err
	}
	stderr, err := pipe(0)
	if err != nil {
		return nil, err
	}
	pair, err := newPair()
	if err != nil {
		return nil, errors.Wrap(err, "control channel")
	}
	theirs = append(theirs, pair[1])
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return nil, errors.Wrap(err, "control channel")
	}
	mine = append(mine, os.NewFile(uintptr(pair[0]), "control"))
	stdin := int(null.Fd())
	if n == 0 {
		if stdin, err = pipe(1); err != nil {
			return nil, err
		}
	}

	r = &rank{number: n, out: mine[0], diag: mine[1], control: mine[2], status: make(chan syscall.WaitStatus, 1)}
	for i := range r.credits {
		r.credits[i] = NewCredits(Stream(i).Window())
	}
	welcome := info.Welcome
	welcome.Rank = n
	line, err := bootstrap.AppendMessage(nil, bootstrap.Message{Kind: bootstrap.KindWelcome, Welcome: &welcome})
	if err != nil {
		return nil, err
	}
	r.tell(line) // waits in the socket, so that the rank finds it
	env = append(env[:len(env):len(env)],
		bootstrap.EnvControl+"="+strconv.Itoa(controlFD),
		bootstrap.EnvRank+"="+strconv.Itoa(n),
		bootstrap.EnvSize+"="+strconv.Itoa(info.Welcome.Size))

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, errors.New("the job has ended")
	}
	r.pid, err = syscall.ForkExec(info.Program, info.Args, &syscall.ProcAttr{
		Dir: dir, Env: env, Sys: leaderAttr(),
		Files: []uintptr{uintptr(stdin), uintptr(stdout), uintptr(stderr), uintptr(pair[1])},
	})
	if err != nil {
		return nil, errors.Wrapf(err, "%s", info.Program)
	}
	s.note('+', r.pid)
	s.ranks = append(s.ranks, r)
	if n == 0 {
		s.stdin = newFeeder(mine[3], s.out)
		s.wg.Go(s.stdin.run)
	}
	s.wg.Go(func() { s.carry(r) })
	return r, nil
}

// reap waits for the ranks to exit, one for each token. The group of an exited
// leader is killed before the leader is reaped, so that the id is still its.
func (s *server) reap() {
	left := 0
	for {
		for left == 0 {
			if _, ok := <-s.spawned; !ok {
				return
			}
			left++
		}
		if err := waitAny(); err != nil {
			return // somebody else reaped: there is nothing to wait for
		}
		s.mu.Lock()
		ranks := s.ranks
		s.mu.Unlock()
		found := false
		for _, r := range ranks {
			if s.collect(r) {
				left--
				found = true
			}
		}
		if !found {
			s.reapOrphans()
		}
		for ; left < 0; left++ { // collected before its token was taken
			<-s.spawned
		}
	}
}

// reapOrphans reaps what ranks have left behind and what has ended since.
func (s *server) reapOrphans() {
	for _, pid := range children() {
		s.mu.Lock()
		leader := false
		for _, r := range s.ranks {
			leader = leader || r.pid == pid
		}
		if !leader {
			collect(pid, func() {})
		}
		s.mu.Unlock()
	}
}

// collect reaps the rank if it has exited since.
func (s *server) collect(r *rank) bool {
	s.mu.Lock()
	if r.reaped {
		s.mu.Unlock()
		return false
	}
	status, ok := collect(r.pid, func() {
		_ = syscall.Kill(-r.pid, syscall.SIGKILL) // the leader alone, as a rule
		s.note('-', r.pid)
	})
	r.reaped = ok
	s.mu.Unlock()
	if !ok {
		return false
	}
	r.status <- status
	r.ended.Store(true)
	past := time.Unix(1, 0)
	for _, f := range []*os.File{r.out, r.diag, r.control} {
		_ = f.SetReadDeadline(past) // closed already: nobody reads
	}
	if r.number == 0 {
		s.stdin.close()
	}
	return true
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
	for {
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
			if r.credits[Record].TakeAll(len(m.Record)) {
				s.out.SendBulk(Frame{Kind: Output, Stream: Record, Rank: r.number, Payload: m.Record})
			}
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

// tell writes a line into the rank's control channel without waiting. A rank
// that leaves so much unread that a line does not fit has not joined, and gets
// no further ones.
func (r *rank) tell(line []byte) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.broken {
		return
	}
	raw, err := r.control.SyscallConn()
	if err != nil {
		return // closed
	}
	err = raw.Write(func(fd uintptr) bool {
		n, err := unix.SendmsgN(int(fd), line, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		r.broken = err != nil || n < len(line)
		return true
	})
	r.broken = r.broken || err != nil
}

// cacheDir returns the directory of staged programs, which only the user can
// write to.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", errors.Wrap(err, "cache directory")
	}
	return filepath.Join(dir, "sspurn"), nil
}
