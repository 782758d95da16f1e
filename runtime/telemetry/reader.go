package telemetry

import (
	"bufio"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	stderrors "errors"

	"github.com/pkg/errors"
)

// Run is a run directory as it was read.
type Run struct {
	Dir    string
	Job    JobInfo
	Events [][]Event // of each rank, in the order in which it recorded them
	Torn   []int     // ranks whose record lacks its end, or all of it; ascending
}

// maxRanks bounds the ranks that a job can have had: a damaged number must not
// send the reader looking for files for hours.
const maxRanks = 1 << 20

// maxRecord bounds the length of a record line in bytes.
const maxRecord = 1 << 24

// ReadRun reads a run directory, also one of a job that is still running or
// that was killed: of a record that is torn it takes what is before. A rank
// that recorded nothing has no events.
func ReadRun(dir string) (*Run, error) {
	job, err := ReadJob(dir)
	if err != nil {
		return nil, err
	}
	r := &Run{Dir: dir, Job: job}
	files := make([]rankFile, r.Job.Ranks)
	for rank := range files {
		f, err := readFile(filepath.Join(dir, RankFile(rank)))
		if err != nil {
			return nil, err
		}
		files[rank] = f
		r.Events = append(r.Events, f.events)
	}
	for rank := range files {
		if lacking(&r.Job, files, rank) {
			r.Torn = append(r.Torn, rank)
		}
	}
	return r, nil
}

// ReadJob reads the description of the job in a run directory.
func ReadJob(dir string) (job JobInfo, err error) {
	name := filepath.Join(dir, JobFile)
	text, err := os.ReadFile(name)
	if err != nil {
		return job, errors.Wrap(err, "run directory")
	}
	if err := json.Unmarshal(text, &job); err != nil {
		return job, errors.Wrapf(err, "run directory: %s", name)
	}
	if job.Program == "" && job.Ranks == 0 {
		return job, errors.Errorf("run directory: %s names no program and no ranks: it describes no run", name)
	}
	if job.Ranks < 1 || job.Ranks > maxRanks {
		return job, errors.Errorf("run directory: %s: %d ranks", name, job.Ranks)
	}
	return job, nil
}

// rankFile is what was found of a rank's record.
type rankFile struct {
	events []Event
	torn   bool // it ends in the middle of a line
	absent bool
}

// lacking reports whether the record of the rank is not all there.
func lacking(job *JobInfo, files []rankFile, rank int) bool {
	f := files[rank]
	switch {
	case f.torn:
		return true
	case rank < len(job.Lines):
		return int64(len(f.events)) < job.Lines[rank]
	}
	// Nobody has counted. In many programs rank 0 records alone, or nobody does, but
	// not all save one.
	return f.absent && job.Ended && slices.ContainsFunc(files[1:], func(o rankFile) bool { return !o.absent })
}

func readFile(name string) (rankFile, error) {
	f, err := os.Open(name)
	if stderrors.Is(err, fs.ErrNotExist) {
		return rankFile{absent: true}, nil
	}
	if err != nil {
		return rankFile{}, errors.Wrap(err, "run directory")
	}
	events, torn, err := ReadEvents(f)
	_ = f.Close() // it was only read
	return rankFile{events: events, torn: torn}, errors.WithMessage(err, name)
}

// ReadEvents reads record lines up to the end or to the first line that is not
// a whole one; torn says which it was. An error is one of r. Fields and kinds
// that this version does not know are no fault.
func ReadEvents(r io.Reader) (events []Event, torn bool, err error) {
	torn, err = EachEvent(r, func(e *Event) error {
		events = append(events, *e)
		return nil
	})
	return events, torn, err
}

// EachEvent is ReadEvents for records that are not to be in memory at once: it
// calls f with each event in turn, which f may keep. An error of f ends it and
// is returned as it is. Where kinds are given, events of others need not be
// decoded, and f is not called with them.
func EachEvent(r io.Reader, f func(e *Event) error, kinds ...string) (torn bool, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxRecord)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if len(kinds) > 0 && !slices.ContainsFunc(kinds, func(k string) bool { return IsKind(lines.Bytes(), k) }) {
			continue
		}
		var e Event
		if err := e.Parse(lines.Bytes()); err != nil {
			return true, nil
		}
		if err := f(&e); err != nil {
			return false, err
		}
	}
	if err := lines.Err(); err == bufio.ErrTooLong {
		return true, nil
	} else if err != nil {
		return false, errors.Wrap(err, "read records")
	}
	return false, nil
}

// IsKind reports whether a record line is of a kind, without decoding it: it
// starts as all recorders write it.
func IsKind(line []byte, kind string) bool {
	const before = `{"ev":"`
	at := len(before)
	return len(line) > at+len(kind) && string(line[:at]) == before && string(line[at:at+len(kind)]) == kind && line[at+len(kind)] == '"'
}
