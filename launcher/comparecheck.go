package launcher

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	stderrors "errors"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime/telemetry"
)

// check reports what is wrong before anything is started. It returns the path of
// the program.
func (c *Comparison) check() (program string, err error) {
	for i, a := range c.Job.Args {
		name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if !strings.HasPrefix(a, "-") {
			continue
		}
		said := strings.Join(c.Job.Args[i:min(i+2, len(c.Job.Args))], " ")
		switch name {
		case "sync":
			return "", errors.Errorf("%s is among the arguments of %s: compare gives it -sync itself (compare -sync LIST says which)", said, c.Job.Program)
		case "staleness":
			return "", errors.Errorf("%s is among the arguments of %s: it changes what settings mean (compare -sync LIST has settings as ssp:3)", said, c.Job.Program)
		}
	}
	if t := c.Job.Trace; t != "" && (filepath.Base(t) != t || t == "." || t == "..") {
		return "", errors.Errorf("-trace %s: compare writes a trace into the folder of each run: want a name without a folder", t)
	} else if own, _ := filepath.Match("rank-*.jsonl", t); own || slices.Contains([]string{telemetry.JobFile, "output"}, t) {
		return "", errors.Errorf("-trace %s: the record of a run has a file of this name", t)
	}
	plan, err := Plan(&c.Job)
	if err != nil {
		return "", err
	}
	if err := c.Job.checkSlowing(plan.Ranks); err != nil {
		return "", err
	}
	if program, err = lookProgram(c.Job.Program); err != nil {
		return "", err
	}
	_, err = c.earlier()
	return program, err
}

// earlier returns the directories of runs in the folder that are to be removed. It
// is an error when there are some and they are to stay, or something else where
// runs are to go.
func (c *Comparison) earlier() ([]string, error) {
	dir := c.Job.RunDir
	if _, err := os.Stat(filepath.Join(dir, telemetry.JobFile)); err == nil {
		return nil, errors.Errorf("-run-dir %s: this is the record of one run: name another folder", dir)
	}
	entries, err := os.ReadDir(dir)
	if stderrors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errors.Wrap(err, "run directory")
	}
	var old []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if _, err := os.Stat(filepath.Join(path, telemetry.JobFile)); err == nil {
			old = append(old, path)
		}
	}
	for _, t := range c.Plan() {
		if in, err := os.ReadDir(t.Dir); err == nil && len(in) > 0 && !slices.Contains(old, t.Dir) {
			return nil, errors.Errorf("%s is there and holds no record of a run: it is not overwritten", t.Dir)
		}
	}
	if len(old) == 0 {
		return nil, nil
	}
	if !c.Replace {
		return nil, errors.Errorf("-run-dir %s: the runs of an earlier comparison are there (%s), and would be taken for some of this one: name another folder, or let -replace remove them", dir, summary(old))
	}
	for _, path := range old { // nothing else than a comparison's
		if job, err := telemetry.ReadJob(path); err != nil || job.Setting == "" {
			return nil, errors.Errorf("-run-dir %s: %s is no run of a comparison: -replace does not remove it", dir, path)
		}
	}
	return old, nil
}

// summary names the first of several paths.
func summary(paths []string) string {
	const most = 3
	var names []string
	for _, p := range paths[:min(most, len(paths))] {
		names = append(names, filepath.Base(p))
	}
	text := strings.Join(names, ", ")
	if len(paths) > most {
		text += ", …"
	}
	return text
}

// makeFolder makes the folder, without the runs of an earlier comparison.
func (c *Comparison) makeFolder() error {
	old, err := c.earlier()
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.RemoveAll(path); err != nil {
			return errors.Wrap(err, "run directory")
		}
	}
	return errors.Wrap(os.MkdirAll(c.Job.RunDir, 0o777), "run directory")
}
