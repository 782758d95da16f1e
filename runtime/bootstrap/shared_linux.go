package bootstrap

import (
	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// NewShared makes memory for n ranks of a host, at slot 0: a memory file, and a
// counter for each rank that wakes it. No file system knows them, so that they
// end with the last process that has them. On systems other than Linux there is
// none: nil.
func NewShared(id string, n int) (*Shared, error) {
	fd, err := unix.MemfdCreate("sspurn", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, errors.Wrap(err, "memory file")
	}
	fds := []int{fd}
	for range n {
		if fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			closeAll(fds)
			return nil, errors.Wrap(err, "eventfd")
		}
		fds = append(fds, fd)
	}
	return sharedOf(Place{ID: id, Slots: n}, fds), nil
}

// At returns what the rank of a slot gets: descriptors of its own.
func (s *Shared) At(slot int) (*Shared, error) {
	var fds []int
	for _, fd := range s.Descriptors() {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			closeAll(fds)
			return nil, errors.Wrap(err, "duplicate descriptor")
		}
		fds = append(fds, own)
	}
	place := s.Place
	place.Slot = slot
	return sharedOf(place, fds), nil
}
