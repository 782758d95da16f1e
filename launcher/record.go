package launcher

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// observer follows what ranks record while the job runs.
type observer interface {
	// event takes an event of a rank. It is called by one goroutine, which must
	// not be held up. The event may be kept and must not be changed: others get it
	// too.
	event(rank int, e *telemetry.Event)
}

// recorder takes the record lines of all ranks to the run directory and to the
// observers. A temporary directory is made for the first line only: most
// programs record nothing. What can not be written costs the record, not the
// job.
type recorder struct {
	off       bool   // nothing is recorded
	dir       string // "" until there is one
	temporary bool
	info      telemetry.JobInfo
	spare     *spare
	say       func(text string) // tells the user, at once
	create    func(name string) (io.WriteCloser, error)

	observers []observer    // of all events but spans
	spans     []observer    // of those too
	progress  *progressLine // nil: not shown
	show      func(line string)
	watch     func(Status) // instead of show; may be nil

	mu     sync.Mutex
	queue  []chunk       // guarded by mu
	closed bool          // guarded by mu
	wake   chan struct{} // size 1
	wg     sync.WaitGroup

	files []*recordFile // owned by run, then by finish
	lines []int64       // owned by run, then by finish: taken, by rank
	err   error         // owned by run, then by finish: the first failure, after which nothing is written
}

type recordFile struct {
	file io.WriteCloser
	buf  *bufio.Writer
}

// newRecorder returns a recorder that has not started.
func newRecorder(job *Job, ranks int, p *printer, terminal bool) (*recorder, error) {
	r := &recorder{
		off: job.Record == Off, dir: job.RunDir, temporary: job.RunDir == "", spare: job.spare, say: p.say, show: p.progress,
		create: func(name string) (io.WriteCloser, error) { return os.Create(name) },
		wake:   make(chan struct{}, 1), files: make([]*recordFile, ranks), lines: make([]int64, ranks), watch: job.Watch,
	}
	if r.off {
		r.dir = ""
		return r, nil
	}
	if !terminal { // a line for each loss, which stays
		r.show = p.say
	}
	if r.watch != nil || job.Progress == On || job.Progress != Off && terminal {
		r.progress = newProgressLine(ranks, !terminal && r.watch == nil)
		r.observe(r.progress, false)
	}
	if job.Board != nil {
		r.observe(job.Board, true)
	}
	if job.memory != nil {
		r.observe(job.memory, false)
	}
	if r.dir != "" {
		err := os.MkdirAll(r.dir, 0o777)
		if err == nil {
			err = removeOld(r.dir, "rank-*.jsonl")
		}
		if err = errors.Wrap(err, "run directory"); err != nil && r.spare == nil {
			return nil, err
		}
		r.keep(func() error { return err })
	}
	return r, nil
}

// removeOld removes what an earlier run has left in a directory: it would pass
// for a part of this one where there are fewer ranks now.
func removeOld(dir string, patterns ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, pattern := range patterns {
			old, err := filepath.Match(pattern, e.Name())
			if old && err == nil {
				err = os.Remove(filepath.Join(dir, e.Name()))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// observe has o told of events from the start of the recorder on, of spans only
// when it wants them: they are most of what there is.
func (r *recorder) observe(o observer, spans bool) {
	r.observers = append(r.observers, o)
	if spans {
		r.spans = append(r.spans, o)
	}
}

// started writes the job's description and starts the goroutine that writes
// records.
func (r *recorder) started(info telemetry.JobInfo) error {
	r.info = info
	if r.dir != "" {
		err := telemetry.WriteJob(r.dir, info)
		if err != nil && r.spare == nil {
			r.dir = "" // not to be tried again
			return err
		}
		r.keep(func() error { return err })
	}
	r.wg.Go(r.run)
	return nil
}

// put takes over a record line; it does not wait.
func (r *recorder) put(c chunk) {
	if r.off && !isWaits(c) {
		c.taken(len(c.data))
		return
	}
	r.mu.Lock()
	r.queue = append(r.queue, c)
	r.mu.Unlock()
	r.signal()
}

func (r *recorder) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// progressEvery is how often the progress line changes at most, and how old
// what a reader of the run directory finds is at most.
const progressEvery = 200 * time.Millisecond

// run takes lines until finish.
func (r *recorder) run() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		r.mu.Lock()
		queue, closed := r.queue, r.closed
		r.queue = nil
		r.mu.Unlock()
		for _, c := range queue {
			r.tell(c)
			if !isWaits(c) {
				r.lines[c.rank]++
				r.keep(func() error { return r.write(c) })
			}
			c.taken(len(c.data))
		}
		if closed && len(queue) == 0 {
			return
		}
		if len(queue) > 0 { // more may have come
			select {
			case <-tick.C:
				r.refresh()
			default:
			}
			continue
		}
		select {
		case <-r.wake:
		case <-tick.C:
			r.refresh()
		}
	}
}

// refresh brings what was written to the files, for those who read along, and
// the progress line up to date.
func (r *recorder) refresh() {
	r.keep(r.flush)
	if r.progress == nil {
		return
	}
	r.progressed(r.progress.line())
}

// progressed shows a new progress line.
func (r *recorder) progressed(text string, ok bool) {
	switch {
	case !ok:
	case r.watch != nil:
		r.watch(r.progress.status())
	default:
		r.show(text)
	}
}

// tell decodes a line, once and if anybody wants it, for the observers. A line
// of another version is kept, but nobody told.
func (r *recorder) tell(c chunk) {
	who := r.observers
	if telemetry.IsKind(c.data, "spans") {
		who = r.spans
	}
	if len(who) == 0 {
		return
	}
	e := new(telemetry.Event)
	if e.Parse(c.data) != nil {
		return
	}
	if e.Kind == "spans" {
		who = r.spans
	}
	for _, o := range who {
		o.event(c.rank, e)
	}
}

// isWaits reports whether a line says what a rank waits for, which is for
// observers only.
func isWaits(c chunk) bool { return telemetry.IsKind(c.data, telemetry.WaitsKind) }

// keep does what writes to the run directory, unless that has failed before. The
// first failure is told at once, and nothing written from then on: what is
// there ends at the same time for all ranks.
func (r *recorder) keep(write func() error) {
	if r.err != nil {
		return
	}
	if r.err = write(); r.err != nil && r.spare.first() {
		dir := r.dir
		if dir == "" {
			dir = os.TempDir()
		}
		r.say(fmt.Sprintf("the record of the run in %s is incomplete: %s", dir, r.cause()))
	}
}

// cause words the first failure where it is clear that it is one of the record.
func (r *recorder) cause() string { return strings.TrimPrefix(oneLine(r.err), "run directory: ") }

// write appends a line to the rank's file.
func (r *recorder) write(c chunk) error {
	if r.dir == "" {
		dir, err := os.MkdirTemp("", "sspurn-run-")
		if err != nil {
			return errors.Wrap(err, "run directory")
		}
		r.dir = dir
		if err := telemetry.WriteJob(dir, r.info); err != nil {
			return err
		}
	}
	f := r.files[c.rank]
	if f == nil {
		file, err := r.create(filepath.Join(r.dir, telemetry.RankFile(c.rank)))
		if err != nil {
			return errors.Wrap(err, "run directory")
		}
		f = &recordFile{file: file, buf: bufio.NewWriter(file)}
		r.files[c.rank] = f
	}
	_, _ = f.buf.Write(c.data) // the error stays with the writer
	return errors.Wrap(f.buf.WriteByte('\n'), "run directory")
}

// flush brings what was written to the files.
func (r *recorder) flush() error {
	for _, f := range r.files {
		if f == nil {
			continue
		}
		if err := f.buf.Flush(); err != nil {
			return errors.Wrap(err, "run directory")
		}
	}
	return nil
}

// finish ends the goroutine and completes the directory. It returns the job's
// description as the directory has it, or would have it.
func (r *recorder) finish(info telemetry.JobInfo) telemetry.JobInfo {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.signal()
	r.wg.Wait()
	r.keep(r.flush)
	if r.progress != nil && r.progress.plain {
		r.progressed(r.progress.last())
	}
	for _, f := range r.files {
		if f == nil {
			continue
		}
		if err := f.file.Close(); err != nil {
			r.keep(func() error { return errors.Wrap(err, "run directory") })
		}
	}
	info.Lines = r.lines
	if r.err != nil {
		info.Partial = r.cause()
	}
	if r.dir == "" {
		return info
	}
	// Where the disk was full there may be room for this, and no more to say if not.
	if err := telemetry.WriteJob(r.dir, info); err != nil {
		r.keep(func() error { return err })
		info.Partial = r.cause()
	}
	return info
}

// leave removes a temporary directory after success, and returns its path if
// it stays.
func (r *recorder) leave(failed bool) (kept string, err error) {
	switch {
	case r.dir == "" || !r.temporary:
		return "", nil
	case failed:
		return r.dir, nil
	}
	return "", errors.Wrap(os.RemoveAll(r.dir), "run directory")
}
