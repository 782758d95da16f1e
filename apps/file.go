package apps

import (
	"bufio"
	stderrors "errors"
	"io"
	"os"
	"path/filepath"

	"github.com/pkg/errors"
)

// WriteFile writes a file through write, buffered, beside its final place and
// renames it when all of it is on disk: a reader sees the old file or the whole
// new one, and a run that fails leaves the old one.
func WriteFile(path string, write func(w io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return errors.Wrapf(cause(err), "write %s", path)
	}
	defer func() {
		if err != nil {
			err = stderrors.Join(err, cause(os.Remove(f.Name())))
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return errors.Wrapf(cause(err), "write %s", path)
}

// CheckWritable reports, before hours of work, that a file could not be written
// at its end.
func CheckWritable(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return &InputError{File: path, Err: errors.WithMessage(cause(err), "can not be written")}
	}
	return stderrors.Join(f.Close(), os.Remove(f.Name()))
}
