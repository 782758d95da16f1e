package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	stderrors "errors"

	"github.com/pkg/errors"
)

// keepFor is how long a staged program that nobody runs stays in the cache.
const keepFor = 30 * 24 * time.Hour

// stager puts programs into the host's cache. A program lives in a directory
// named after its hash and is renamed into place when it is complete and its
// hash is right, so that concurrent launches do not see each other's parts.
type stager struct {
	offered OfferInfo
	target  string
	file    *os.File // nil when nothing is being received
	sum     hash.Hash
	size    int64
}

// offer answers where the program is, or asks for it.
func (t *stager) offer(o OfferInfo) StagedInfo {
	t.abandon()
	if o.Never {
		path, err := find(o)
		if err != nil {
			return StagedInfo{Error: err.Error()}
		}
		return StagedInfo{Path: path}
	}
	cache, err := cacheDir()
	if err != nil {
		return StagedInfo{Error: err.Error()}
	}
	target := filepath.Join(cache, o.Hash, filepath.Base(o.Path))
	if !o.Force {
		for _, path := range []string{o.Path, target} {
			if sameProgram(path, o) {
				if path == target {
					now := time.Now()
					_ = os.Chtimes(filepath.Dir(target), now, now) // it only ages sooner
				}
				return StagedInfo{Path: path}
			}
		}
	}
	if err := t.receive(o, target); err != nil {
		t.abandon()
		return StagedInfo{Error: err.Error()}
	}
	prune(cache)
	return StagedInfo{Path: target, Need: true}
}

// find returns the program where staging is off.
func find(o OfferInfo) (string, error) {
	if st, err := os.Stat(o.Path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
		return o.Path, nil
	}
	if filepath.Base(o.Name) == o.Name {
		if path, err := exec.LookPath(o.Name); err == nil {
			return path, nil
		}
	}
	return "", errors.Errorf("%s is not there as a program (staging is off)", o.Path)
}

// sameProgram reports whether path is an executable file with the offered
// content.
func sameProgram(path string, o OfferInfo) bool {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() || st.Size() != o.Size || st.Mode()&0o111 == 0 {
		return false
	}
	sum, err := HashFile(path)
	return err == nil && sum == o.Hash
}

// HashFile returns the SHA-256 of a file in hexadecimal.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", errors.Wrap(err, "hash")
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", errors.Wrapf(err, "hash %s", path)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// receive prepares for the chunks of a program.
func (t *stager) receive(o OfferInfo, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return errors.Wrap(err, "stage")
	}
	f, err := os.CreateTemp(filepath.Dir(target), ".part-*")
	if err != nil {
		return errors.Wrap(err, "stage")
	}
	*t = stager{offered: o, target: target, file: f, sum: sha256.New()}
	return nil
}

// chunk takes a part of the program. The last, empty one is answered, and so
// is a failure.
func (t *stager) chunk(b []byte) (StagedInfo, bool) {
	if t.file == nil {
		return StagedInfo{}, false // after a failure that was reported
	}
	if len(b) == 0 {
		err := t.finish()
		if err != nil {
			t.abandon()
			return StagedInfo{Error: err.Error()}, true
		}
		return StagedInfo{Path: t.target}, true
	}
	t.size += int64(len(b))
	_, _ = t.sum.Write(b) // a hash takes everything
	if _, err := t.file.Write(b); err != nil {
		t.abandon()
		return StagedInfo{Error: errors.Wrap(err, "stage").Error()}, true
	}
	return StagedInfo{}, false
}

// finish checks the program and puts it into place.
func (t *stager) finish() error {
	if sum := hex.EncodeToString(t.sum.Sum(nil)); sum != t.offered.Hash || t.size != t.offered.Size {
		return errors.Errorf("stage %s: %d bytes with SHA-256 %s arrived, want %d bytes with %s", t.target, t.size, sum, t.offered.Size, t.offered.Hash)
	}
	name := t.file.Name()
	err := stderrors.Join(t.file.Chmod(0o700), t.file.Close())
	if err == nil {
		err = os.Rename(name, t.target)
	}
	if err != nil {
		return errors.Wrap(err, "stage")
	}
	t.file = nil
	return nil
}

// abandon drops a program that has arrived in part.
func (t *stager) abandon() {
	if t.file == nil {
		return
	}
	_ = t.file.Close() // it is removed
	_ = os.Remove(t.file.Name())
	t.file = nil
}

// prune removes programs that nobody has run for long. What can not be removed
// stays.
func prune(cache string) {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && e.IsDir() && len(e.Name()) == hex.EncodedLen(sha256.Size) && time.Since(info.ModTime()) > keepFor {
			_ = os.RemoveAll(filepath.Join(cache, e.Name()))
		}
	}
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
