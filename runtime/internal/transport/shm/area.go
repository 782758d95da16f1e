//go:build linux && !portable

package shm

import (
	"math"
	"os"
	"sync"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"

	"github.com/sspurn/sspurn/runtime/internal/transport"
)

// areaBits is the length of the part of the file in which a rank has room for
// what it shares beside the rings, as a power of two. Nothing in it is used
// twice, so that who still has memory mapped that was freed spoils nothing.
const areaBits = 55

// areaAlign is that of areas.
var areaAlign = int64(os.Getpagesize())

// areas is the file beyond the rings. The file is as long as its farthest end
// that is in use, and takes memory only where something has been written.
type areas struct {
	mu   sync.Mutex
	file int // -1: closed
	next int64
}

var errAreas = errors.New("shared memory: closed")

func areaBegin(slot int) int64 { return int64(slot+1) << areaBits }

// Shares reports whether a peer maps the same memory.
func (t *Transport) Shares(peer int) bool { return t.peers[peer] != nil }

// Room returns where the room of this rank begins that has never been used, and
// its length.
func (t *Transport) Room() (at, n int64) {
	s := t.seg
	s.areas.mu.Lock()
	defer s.areas.mu.Unlock()
	return s.areas.next, areaBegin(s.own+1) - s.areas.next
}

// Take uses n bytes of the room, which begins at at unless it has been used
// meanwhile.
func (t *Transport) Take(at, n int64) error {
	s := t.seg
	s.areas.mu.Lock()
	defer s.areas.mu.Unlock()
	if at != s.areas.next || n < 0 || n > areaBegin(s.own+1)-at {
		return errors.Errorf("shared memory: %d bytes at %#x, the room begins at %#x", n, at, s.areas.next)
	}
	s.areas.next += (n + areaAlign - 1) / areaAlign * areaAlign
	return nil
}

// Map maps n bytes that some rank has taken, zero at first.
func (t *Transport) Map(at, n int64) (transport.Memory, error) {
	s := t.seg
	s.areas.mu.Lock()
	defer s.areas.mu.Unlock()
	switch {
	case s.areas.file < 0:
		return nil, errAreas
	case at < areaBegin(0) || at%areaAlign != 0 || n <= 0 || n > math.MaxInt64-at || at+n > areaBegin(s.slots):
		return nil, errors.Errorf("shared memory: %d bytes at %#x", n, at)
	}
	if err := s.areas.extend(at + n); err != nil {
		return nil, errors.WithMessage(err, "shared memory")
	}
	b, err := unix.Mmap(s.areas.file, at, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Wrapf(err, "shared memory: map %d bytes", n)
	}
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // where the system lets files have them
	return &area{b}, nil
}

// extend makes the file reach end.
func (a *areas) extend(end int64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err == nil && limit.Cur < uint64(end) {
		return errors.Errorf("files of %d bytes are the longest allowed", limit.Cur) // going beyond would be a signal
	}
	// Another rank may make it longer meanwhile; then it can not be made shorter any more.
	var st unix.Stat_t
	err := unix.Fstat(a.file, &st)
	if err == nil && st.Size < end {
		if err = unix.Ftruncate(a.file, end); err == unix.EPERM {
			if err = unix.Fstat(a.file, &st); err == nil && st.Size < end {
				err = unix.EPERM
			}
		}
	}
	return errors.Wrap(err, "set its size")
}

// area is mapped memory of the file.
type area struct{ b []byte }

func (a *area) Bytes() []byte { return a.b }

func (a *area) Empty(from, n int) error {
	return errors.Wrap(unix.Madvise(a.b[from:from+n], unix.MADV_REMOVE), "empty shared memory")
}

func (a *area) Close() error {
	if a.b == nil {
		return nil
	}
	err := unix.Munmap(a.b)
	a.b = nil
	return errors.Wrap(err, "unmap shared memory")
}
