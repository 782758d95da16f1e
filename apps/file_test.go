package apps

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFileIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	put := func(text string, fail error) error {
		return WriteFile(path, func(w io.Writer) error {
			if _, err := io.WriteString(w, text); err != nil {
				return err
			}
			return fail
		})
	}
	bad := errors.New("bad")
	steps := []struct {
		text string
		fail error
		want string
	}{{"one", nil, "one"}, {"two", bad, "one"}, {"three", nil, "three"}}
	for _, s := range steps {
		if err := put(s.text, s.fail); !errors.Is(err, s.fail) {
			t.Fatalf("%s: %v, want %v", s.text, err, s.fail)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != s.want {
			t.Fatalf("after %s: %q, %v, want %q", s.text, got, err, s.want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Fatalf("after %s: files %v, %v", s.text, left, err)
		}
	}
	if err := CheckWritable(filepath.Join(dir, "absent", "model")); err == nil {
		t.Error("a file in a folder that does not exist counts as writable")
	}
	if err := CheckWritable(path); err != nil {
		t.Error(err)
	}
}
