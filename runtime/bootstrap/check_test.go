package bootstrap

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// checking returns the environment of a process that is to check its arguments, and
// what it says until it has told.
func checking(t *testing.T) (lookup func(string) (string, bool), said func() []byte) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(write.Fd())) // which Checking closes
	if err == nil {
		err = write.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	lookup = func(name string) (string, bool) {
		if name == EnvCheck {
			return strconv.Itoa(fd), true
		}
		return "", false
	}
	return lookup, func() []byte {
		text, err := io.ReadAll(read)
		if err != nil {
			t.Error(err)
		}
		_ = read.Close() // it was only read
		return text
	}
}

func TestChecking(t *testing.T) {
	for _, tt := range []struct {
		wrong error
		want  string
	}{{nil, ""}, {errors.New("-sync x: what?"), "-sync x: what?"}, {errors.New("two\nlines"), "two; lines"}} {
		lookup, said := checking(t)
		tell, ok := Checking(lookup)
		if !ok {
			t.Fatal("not checking")
		}
		tell(tt.wrong)
		if wrong, whole := Checked(said()); wrong != tt.want || !whole {
			t.Errorf("%v: got %q, %v", tt.wrong, wrong, whole)
		}
	}
	for _, text := range []string{"", "x", "2", "-1"} {
		if _, ok := Checking(func(string) (string, bool) { return text, true }); ok {
			t.Errorf("%q is a descriptor to tell", text)
		}
	}
	for _, said := range []string{"", "o", "ok", "-sync x: wh"} {
		if wrong, whole := Checked([]byte(said)); whole {
			t.Errorf("%q is whole: %q", said, wrong)
		}
	}
}

// A program that joins has found its arguments good, and does no more.
func TestFromEnvWhileChecking(t *testing.T) {
	lookup, said := checking(t)
	if _, err := FromEnv(lookup); err == nil || !strings.Contains(err.Error(), "only to check") {
		t.Errorf("error %v", err)
	}
	if wrong, whole := Checked(said()); wrong != "" || !whole {
		t.Errorf("got %q, %v", wrong, whole)
	}
}
