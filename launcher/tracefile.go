package launcher

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/report"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// traceFile is where the timeline of a job goes.
type traceFile struct {
	name   string // as the user wrote it
	path   string // of what is written: name, or what it is a link to
	direct bool   // a device or a pipe: nothing to put in its place
}

// newTraceFile checks that the file can be written and leaves it as it is.
func newTraceFile(name string) (*traceFile, error) {
	t := &traceFile{name: name, path: name}
	st, err := os.Stat(name)
	switch {
	case os.IsNotExist(err):
	case err != nil:
		return nil, errors.Wrap(err, "trace")
	case st.IsDir():
		return nil, errors.Errorf("trace: %s is a directory", name)
	case !st.Mode().IsRegular():
		t.direct = true
		return t, nil
	default:
		if t.path, err = filepath.EvalSymlinks(name); err != nil {
			return nil, errors.Wrap(err, "trace")
		}
		f, err := os.OpenFile(t.path, os.O_WRONLY, 0)
		if err != nil {
			return nil, errors.Wrap(err, "trace")
		}
		_ = f.Close() // nothing was written
	}
	f, err := t.open()
	if err != nil {
		return nil, errors.Wrap(err, "trace")
	}
	_ = f.Close() // nor here
	return t, errors.Wrap(os.Remove(t.path+".new"), "trace")
}

func (t *traceFile) open() (*os.File, error) {
	if t.direct { // a named pipe that nobody reads is an error, not a wait
		return os.OpenFile(t.path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	}
	return os.OpenFile(t.path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) // it may be somebody's
}

// write merges what the ranks recorded in dir into the file, which is the old
// or the whole new one at any time. It returns how many spans there are.
func (t *traceFile) write(ctx context.Context, job *telemetry.JobInfo, dir string) (spans int64, err error) {
	f, err := t.open()
	if err != nil {
		return 0, errors.Wrap(err, "trace")
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) }) // of a pipe; others do not wait
	defer stop()
	var w io.Writer = f
	var zip *gzip.Writer
	if strings.HasSuffix(t.path, ".gz") || strings.HasSuffix(t.name, ".gz") {
		zip, _ = gzip.NewWriterLevel(f, gzip.BestSpeed) // a level that exists
		w = zip
	}
	spans, err = report.Trace(ctx, w, job, dir)
	if zip != nil && err == nil {
		err = errors.Wrap(zip.Close(), "trace")
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if closed := f.Close(); err == nil {
		err = errors.Wrap(closed, "trace")
	}
	if t.direct {
		return spans, err
	}
	if err == nil {
		err = errors.Wrap(os.Rename(t.path+".new", t.path), "trace")
	}
	if err != nil {
		_ = os.Remove(t.path + ".new") // no part of a file is left
	}
	return spans, err
}

// trace writes the trace after the job and words how that went, which is all
// that becomes of a failure: the job is over. An interrupt ends it. "" is nothing
// to say.
func (s *supervisor) trace() string {
	ctx, cancel := context.WithCancelCause(context.Background())
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case sig := <-s.std.Signals:
				if sig == syscall.SIGINT || sig == syscall.SIGTERM {
					cancel(errors.Errorf("interrupted by %s", signalName(sig.(syscall.Signal))))
				}
			case <-done:
				return
			}
		}
	}()
	spans, err := s.traceTo.write(ctx, &s.info, s.record.dir)
	close(done)
	<-watched
	cancel(nil)
	switch {
	case err != nil && !s.job.spare.firstTrace():
		return ""
	case err != nil:
		return fmt.Sprintf("no trace %s: %s", s.traceTo.name, strings.TrimPrefix(oneLine(err), "trace: "))
	case spans == 0:
		return fmt.Sprintf("the trace %s has no spans: the program recorded none", s.traceTo.name)
	}
	return fmt.Sprintf("the trace is %s, %d spans: open it in https://ui.perfetto.dev", s.traceTo.name, spans)
}
