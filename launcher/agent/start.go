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

// start is the ranks of this host on their way. It is owned by the loop, which
// handles frames between one rank and the next, so that a job of many ranks can
// be ended while they are started.
type start struct {
	info   StartInfo
	dir    string
	env    []string
	null   *os.File
	shared *bootstrap.Shared // by the ranks; nil: nothing is
	cores  [][]int           // of each rank, by its place among those of the host; nil: ranks are not bound
	answer StartedInfo
}

// bindCore is the flag that has ranks bound, for messages.
const bindCore = "-bind core"

const (
	rankFiles  = 3       // descriptors that the agent holds for each rank
	otherFiles = 64      // and those for everything else
	maxRanks   = 1 << 16 // of a host
)

// startRanks begins to start the ranks of this host, on the locked thread. An
// error means that none will be.
func (s *server) startRanks(info StartInfo) error {
	if s.started || len(info.Ranks) == 0 {
		return errors.New("start without ranks, or for the second time")
	}
	s.started = true
	if len(info.Ranks) > maxRanks {
		return errors.Errorf("%d ranks are more than the %d that a host can take", len(info.Ranks), maxRanks)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return errors.Wrap(err, "limit of open files")
	}
	if err := enoughFiles(len(info.Ranks), uint64(limit.Cur)); err != nil {
		return err
	}
	dir, note, err := workDir(info)
	if err != nil {
		return err
	}
	var cores [][]int
	if info.Bind {
		own, err := ownCores()
		if err != nil {
			return errors.WithMessage(err, bindCore)
		}
		cores = divide(own, len(info.Ranks))
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return errors.Wrap(err, "standard input")
	}
	s.starting = &start{info: info, dir: dir, env: mergeEnv(os.Environ(), info.Env), null: null, cores: cores, answer: StartedInfo{Note: note}}
	// A bell for each rank, and the memory, must fit beside what is needed.
	if n := len(info.Ranks); info.Welcome.Shared != nil && n > 1 && n <= bootstrap.MaxShared && uint64((rankFiles+1)*n+otherFiles) < limit.Cur {
		if s.starting.shared, err = bootstrap.NewShared(info.Welcome.Shared.ID, n); err != nil && note == "" {
			s.starting.answer.Note = "no shared memory, ranks talk over TCP: " + err.Error()
		}
	}
	s.waiting.Go(s.reap)
	s.startNext() // at once: input for rank 0, which is the first one, may follow
	return nil
}

// enoughFiles returns an error if so many ranks need more descriptors than the
// limit.
func enoughFiles(ranks int, limit uint64) error {
	if need := uint64(rankFiles*ranks + otherFiles); need > limit {
		return errors.Errorf("%d ranks need %d open files, and the limit is %d (ulimit -n)", ranks, need, limit)
	}
	return nil
}

// startNext starts one rank. It runs on the locked thread.
func (s *server) startNext() {
	st := s.starting
	n := st.info.Ranks[len(st.answer.Pids)]
	r, err := s.startRank(st, n)
	if r != nil {
		st.answer.Pids = append(st.answer.Pids, r.pid)
		s.spawned <- struct{}{}
	}
	if err != nil || len(st.answer.Pids) == len(st.info.Ranks) {
		s.endStart(errors.WithMessagef(err, "start rank %d", n))
	}
}

// endStart tells the launcher which ranks were started. Without a start that is
// under way it does nothing.
func (s *server) endStart(err error) {
	st := s.starting
	if st == nil {
		return
	}
	s.starting = nil
	_ = st.null.Close() // nothing was written to it
	if st.shared != nil {
		st.shared.Close() // the ranks have it
	}
	close(s.spawned)
	if err != nil {
		st.answer.Error = err.Error()
	}
	if st.cores != nil {
		st.answer.Cores = st.cores[:len(st.answer.Pids)]
	}
	s.out.SendJSON(Started, 0, st.answer)
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

// startRank starts one rank and the goroutines that carry its streams. A rank
// that comes with an error was started all the same.
func (s *server) startRank(st *start, n int) (r *rank, err error) {
	info, env := st.info, st.env
	var theirs []int // closed here in any case
	var mine []*os.File
	defer func() {
		for _, fd := range theirs {
			_ = syscall.Close(fd)
		}
		if r == nil {
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
	stdin := int(st.null.Fd())
	if n == 0 {
		if stdin, err = pipe(1); err != nil {
			return nil, err
		}
	}

	r = &rank{number: n, out: mine[0], diag: mine[1], control: mine[2], status: make(chan syscall.WaitStatus, 1)}
	for i := range r.credits {
		r.credits[i] = NewCredits(Stream(i).Window())
	}
	place := len(st.answer.Pids)
	if err := r.welcome(info.Welcome, place, st.shared); err != nil {
		return nil, err
	}
	env = append(env[:len(env):len(env)],
		bootstrap.EnvControl+"="+strconv.Itoa(controlFD),
		bootstrap.EnvRank+"="+strconv.Itoa(n),
		bootstrap.EnvSize+"="+strconv.Itoa(info.Welcome.Size))

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, errors.New("the job has ended")
	}
	fork := func() (err error) {
		r.pid, err = syscall.ForkExec(info.Program, info.Args, &syscall.ProcAttr{
			Dir: st.dir, Env: env, Sys: leaderAttr(),
			Files: []uintptr{uintptr(stdin), uintptr(stdout), uintptr(stderr), uintptr(pair[1])},
		})
		return errors.Wrapf(err, "%s", info.Program)
	}
	if st.cores == nil {
		err = fork()
	} else { // on a thread that is locked until this process ends
		err = bound(st.cores[place], fork)
	}
	if r.pid == 0 {
		return nil, err
	}
	s.note('+', r.pid)
	s.ranks = append(s.ranks, r)
	if n == 0 {
		s.stdin = newFeeder(mine[3], s.out)
		s.wg.Go(s.stdin.run)
	}
	s.wg.Go(func() { s.carry(r) })
	return r, err
}
