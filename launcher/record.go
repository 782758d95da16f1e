package launcher

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// recorder writes the run directory and feeds the progress line. A temporary
// directory is made for the first line only: most programs record nothing.
type recorder struct {
	dir       string // "" until there is one
	temporary bool
	info      telemetry.JobInfo
	progress  *progress // nil: not shown
	printer   *printer

	mu     sync.Mutex
	queue  []chunk       // guarded by mu
	closed bool          // guarded by mu
	wake   chan struct{} // size 1
	wg     sync.WaitGroup

	files []*recordFile // owned by run, then by finish
	err   error         // owned by run, then by finish: first failure
}

type recordFile struct {
	file *os.File
	buf  *bufio.Writer
}

// newRecorder returns a recorder that has not started.
func newRecorder(job *Job, ranks int, p *printer, terminal bool) (*recorder, error) {
	r := &recorder{dir: job.RunDir, temporary: job.RunDir == "", printer: p, wake: make(chan struct{}, 1), files: make([]*recordFile, ranks)}
	if job.Progress == On || job.Progress != Off && terminal {
		r.progress = newProgress(ranks, !terminal)
	}
	if r.dir != "" {
		if err := os.MkdirAll(r.dir, 0o777); err != nil {
			return nil, errors.Wrap(err, "run directory")
		}
		if err := removeOld(r.dir, "rank-*.jsonl"); err != nil {
			return nil, errors.Wrap(err, "run directory")
		}
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

// started writes the job's description and starts the goroutine that writes
// records.
func (r *recorder) started(info telemetry.JobInfo) error {
	r.info = info
	r.wg.Go(r.run)
	if r.dir == "" {
		return nil
	}
	return telemetry.WriteJob(r.dir, info)
}

// put takes over a record line; it does not wait.
func (r *recorder) put(c chunk) {
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

// progressEvery is how often the progress line changes at most.
const progressEvery = 200 * time.Millisecond

// run writes records until finish. What can not be written is dropped, and
// the first failure reported at the end.
func (r *recorder) run() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		r.mu.Lock()
		queue, closed := r.queue, r.closed
		r.queue = nil
		r.mu.Unlock()
		for _, c := range queue {
			if r.err == nil {
				r.err = r.write(c)
			}
			c.taken(len(c.data))
		}
		if closed && len(queue) == 0 {
			return
		}
		if len(queue) > 0 {
			continue
		}
		select {
		case <-r.wake:
		case <-tick.C:
			r.flush()
			if r.progress != nil {
				if text, ok := r.progress.line(); ok {
					r.printer.progress(text)
				}
			}
		}
	}
}

// write appends a line to the rank's file.
func (r *recorder) write(c chunk) error {
	if r.progress != nil {
		var e telemetry.Event
		if err := json.Unmarshal(c.data, &e); err == nil { // a line of another version is kept, not shown
			r.progress.event(c.rank, e)
		}
	}
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
		file, err := os.Create(filepath.Join(r.dir, telemetry.RankFile(c.rank)))
		if err != nil {
			return errors.Wrap(err, "run directory")
		}
		f = &recordFile{file: file, buf: bufio.NewWriter(file)}
		r.files[c.rank] = f
	}
	_, _ = f.buf.Write(c.data) // the error stays with the writer
	return errors.Wrap(f.buf.WriteByte('\n'), "run directory")
}

// flush brings what was written to the files, for those who read along.
func (r *recorder) flush() {
	for _, f := range r.files {
		if f != nil && r.err == nil {
			r.err = errors.Wrap(f.buf.Flush(), "run directory")
		}
	}
}

// finish ends the goroutine and completes the directory. It returns the path
// of a temporary directory that stays because the job failed.
func (r *recorder) finish(info telemetry.JobInfo, failed bool) (kept string, err error) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.signal()
	r.wg.Wait()
	r.flush()
	for _, f := range r.files {
		if f != nil {
			r.err = stderrors.Join(r.err, errors.Wrap(f.file.Close(), "run directory"))
		}
	}
	if r.dir == "" {
		return "", r.err
	}
	if r.temporary && !failed {
		return "", stderrors.Join(r.err, errors.Wrap(os.RemoveAll(r.dir), "run directory"))
	}
	if r.temporary {
		kept = r.dir
	}
	return kept, stderrors.Join(r.err, telemetry.WriteJob(r.dir, info))
}
