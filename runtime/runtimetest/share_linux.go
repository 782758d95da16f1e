//go:build !portable

package runtimetest

import (
	"github.com/pkg/errors"
	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

const shares = true

// share makes what the agent of a host with n ranks makes, and returns what
// each of them gets of it.
func share(id string, n int) (out []*bootstrap.Shared, err error) {
	defer func() {
		if err != nil {
			for _, s := range out {
				s.Close()
			}
			out = nil
		}
	}()
	memory, err := unix.MemfdCreate("sspurn-test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, errors.Wrap(err, "memory file")
	}
	first := &bootstrap.Shared{Place: bootstrap.Place{ID: id, Slots: n}, Memory: memory}
	out = append(out, first)
	for range n {
		bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return out, errors.Wrap(err, "bell")
		}
		first.Bells = append(first.Bells, bell)
	}
	for slot := 1; slot < n; slot++ {
		s := &bootstrap.Shared{Place: first.Place}
		s.Slot = slot
		if s.Memory, err = duplicate(memory); err != nil {
			return out, err
		}
		out = append(out, s)
		for _, fd := range first.Bells {
			bell, err := duplicate(fd)
			if err != nil {
				return out, err
			}
			s.Bells = append(s.Bells, bell)
		}
	}
	return out, nil
}

func duplicate(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return n, errors.Wrap(err, "duplicate descriptor")
}
