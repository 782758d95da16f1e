package agent

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// controlFD is the rank's end of its control channel.
const controlFD = 3

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
