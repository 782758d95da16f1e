//go:build linux

package testbed

import (
	"fmt"
	"os"
	goruntime "runtime"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// space is one kind of namespace to enter.
type space struct {
	name string // in /proc/PID/ns
	flag int
}

func allSpaces() []space {
	return []space{{"net", unix.CLONE_NEWNET}, {"uts", unix.CLONE_NEWUTS}, {"ipc", unix.CLONE_NEWIPC}, {"pid", unix.CLONE_NEWPID}, {"mnt", unix.CLONE_NEWNS}}
}

func networkOnly() []space { return []space{{"net", unix.CLONE_NEWNET}} }

// inside runs f on a thread of its own that is in the given namespaces of
// process pid (and sees its root, if the mount namespace is among them).
// Processes that f starts are born there. Goroutines that f starts run outside.
func inside(pid int, spaces []space, f func() error) error {
	return onOwnThread(func() error {
		if err := enter(pid, spaces); err != nil {
			return err
		}
		return f()
	})
}

// onOwnThread runs f on a thread that ends with f, so that f may change what
// belongs to a thread. The main thread is spared: it can not end, and others
// take it for the process when they look into /proc.
func onOwnThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // without unlocking, the runtime ends the thread with the goroutine
		if unix.Gettid() != unix.Getpid() {
			result <- f()
			return
		}
		result <- onOwnThread(f) // not here, as this thread is taken
		goruntime.UnlockOSThread()
	}()
	return <-result
}

// enter moves the calling thread.
func enter(pid int, spaces []space) error {
	root, err := os.Open(fmt.Sprintf("/proc/%d/root", pid))
	if err != nil {
		return errors.Wrap(err, "enter host")
	}
	defer root.Close()
	files := make([]*os.File, len(spaces)) // all open before the first move hides /proc
	for i, s := range spaces {
		if files[i], err = os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, s.name)); err != nil {
			return errors.Wrap(err, "enter host")
		}
		defer files[i].Close()
	}
	for i, s := range spaces {
		if s.flag == unix.CLONE_NEWNS {
			if err := unix.Unshare(unix.CLONE_FS); err != nil { // a thread with a root of its own
				return errors.Wrap(err, "enter host: unshare fs")
			}
		}
		if err := unix.Setns(int(files[i].Fd()), s.flag); err != nil {
			return errors.Wrapf(err, "enter host: %s namespace", s.name)
		}
		if s.flag == unix.CLONE_NEWNS {
			if err := unix.Fchdir(int(root.Fd())); err != nil {
				return errors.Wrap(err, "enter host: root")
			}
			if err := unix.Chroot("."); err != nil {
				return errors.Wrap(err, "enter host: root")
			}
		}
	}
	return nil
}
