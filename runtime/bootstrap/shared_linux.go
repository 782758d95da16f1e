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
	s := &Shared{Place: Place{ID: id, Slots: n}}
	var err error
	if s.Memory, err = unix.MemfdCreate("sspurn", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING); err != nil {
		return nil, errors.Wrap(err, "memory file")
	}
	for range n {
		bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			s.Close()
			return nil, errors.Wrap(err, "eventfd")
		}
		s.Bells = append(s.Bells, bell)
	}
	return s, nil
}

// At returns what the rank of a slot gets: descriptors of its own.
func (s *Shared) At(slot int) (*Shared, error) {
	at := &Shared{Place: s.Place}
	at.Slot = slot
	var err error
	if at.Memory, err = duplicate(s.Memory); err != nil {
		return nil, err
	}
	for _, fd := range s.Bells {
		bell, err := duplicate(fd)
		if err != nil {
			at.Close()
			return nil, err
		}
		at.Bells = append(at.Bells, bell)
	}
	return at, nil
}

func duplicate(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return n, errors.Wrap(err, "duplicate descriptor")
}
