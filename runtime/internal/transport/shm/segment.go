//go:build linux && !portable

package shm

import (
	"math/rand/v2"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// layout changes with what the memory holds and where. The first rank of a
// host that maps it may have been built from another version.
const layout = 0x73737072_00000001

// slot is what a rank tells all others of its host.
type slot struct {
	layout   atomic.Uint64 // stored last: the rank is there
	pid      atomic.Uint32
	rank     atomic.Uint32
	key      atomic.Uint64 // of the rings that it writes
	_        [40]byte
	sleeping atomic.Uint32 // ring its bell
	_        [60]byte
}

const (
	slotSize  = unsafe.Sizeof(slot{})
	linesSize = unsafe.Sizeof(lines{})
	pageSize  = 4096
)

// ringSize is that of each ring of a host with so many ranks: a power of two.
func ringSize(slots int) int {
	switch {
	case slots <= 4:
		return 1 << 20
	case slots <= 8:
		return 256 << 10
	}
	return 64 << 10
}

// rings is where the first ring begins.
func rings(slots int) int {
	n := slots*int(slotSize) + slots*slots*int(linesSize)
	return (n + pageSize - 1) / pageSize * pageSize
}

// sizeOf is the size of the memory of a host.
func sizeOf(slots int) int { return rings(slots) + slots*(slots-1)*ringSize(slots) }

// Segment is the memory that the ranks of a host share, mapped by one of them.
type Segment struct {
	mem   []byte
	bells []int // descriptors by slot
	slots int
	own   int
	areas areas
}

// Open maps the memory as the rank that has slot own, one for each bell, and
// tells the others. It takes over the descriptors, also when it fails. Nobody
// may be sent to before all have opened it.
func Open(memory int, bells []int, own, rank int) (*Segment, error) {
	s := &Segment{bells: bells, slots: len(bells), own: own, areas: areas{file: memory, next: areaBegin(own)}}
	if err := s.open(memory, rank); err != nil {
		s.Close()
		return nil, errors.WithMessage(err, "shared memory")
	}
	return s, nil
}

func (s *Segment) open(memory, rank int) (err error) {
	if s.own < 0 || s.own >= s.slots {
		return errors.Errorf("slot %d of %d", s.own, s.slots)
	}
	size := sizeOf(s.slots)
	if err := unix.Ftruncate(memory, int64(size)); err != nil {
		return errors.Wrap(err, "set its size")
	}
	// Once more does no harm; to grow or shrink by nothing is allowed then.
	if _, err := unix.FcntlInt(uintptr(memory), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK); err != nil {
		return errors.Wrap(err, "seal")
	}
	if s.mem, err = unix.Mmap(memory, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return errors.Wrap(err, "map")
	}
	own := s.slot(s.own)
	own.key.Store(rand.Uint64())
	own.pid.Store(uint32(os.Getpid()))
	own.rank.Store(uint32(rank))
	own.layout.Store(layout)
	return nil
}

// Close gives the memory back. Nothing that refers to it may be used any more.
func (s *Segment) Close() error {
	for _, fd := range s.bells {
		_ = unix.Close(fd)
	}
	s.bells = nil
	s.areas.mu.Lock()
	if s.areas.file >= 0 {
		_ = unix.Close(s.areas.file)
		s.areas.file = -1
	}
	s.areas.mu.Unlock()
	if s.mem == nil {
		return nil
	}
	err := unix.Munmap(s.mem)
	s.mem = nil
	return errors.Wrap(err, "unmap shared memory")
}

func (s *Segment) slot(i int) *slot {
	return (*slot)(unsafe.Pointer(&s.mem[i*int(slotSize)]))
}

// ring returns the ring between two slots.
func (s *Segment) ring(from, to int) ring {
	at := s.slots*int(slotSize) + (to*s.slots+from)*int(linesSize)
	size := ringSize(s.slots)
	n := to*(s.slots-1) + from // of the ring: nobody has one to itself
	if from > to {
		n--
	}
	begin := rings(s.slots) + n*size
	return ring{
		lines: (*lines)(unsafe.Pointer(&s.mem[at])),
		data:  s.mem[begin : begin+size : begin+size],
		key:   s.slot(from).key.Load(),
	}
}
