package runtime

import (
	goruntime "runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const canMove = true

// lonely is less than a yield takes that lets another thread have its turn: some
// 2 µs, where one that finds nobody takes 0.5.
const lonely = time.Microsecond

// wantedOften is how many yields in a row must find another thread: the service
// goroutines of ranks that are parked come and go.
const wantedOften = 3

// home is the core that the threads of this rank go back to.
type home struct {
	known bool
	core  int
	own   unix.CPUSet // what they may use

	wanted atomic.Uint32 // yields in a row, of those that are timed, that found another thread
}

// findHome is called when homes are known. A rank that may not use all cores of
// its host stays where it is.
func (e *engine) findHome() {
	var own unix.CPUSet
	k := e.homes[e.rank]
	if k < 0 || unix.SchedGetaffinity(0, &own) != nil || own.Count() != e.cores[e.rank] {
		return
	}
	e.home.known, e.home.core, e.home.own = true, nth(&own, k), own
}

// pass is yield, and goes home from a core that another thread wanted: who is
// alone on one stays, as it may be the only one that others leave free.
func (h *home) pass() {
	if !h.known {
		yield()
		return
	}
	began := time.Now()
	yield()
	if time.Since(began) < lonely {
		h.wanted.Store(0)
	} else if h.wanted.Add(1) >= wantedOften {
		h.enter()
	}
}

// nth is the core that has k others of a set below it.
func nth(set *unix.CPUSet, k int) int {
	for core := 0; ; core++ {
		if set.IsSet(core) {
			if k--; k < 0 {
				return core
			}
		}
	}
}

// current is the core that the calling thread is on.
func current() (core int, ok bool) {
	var cpu uint32
	_, _, errno := syscall.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0)
	return int(cpu), errno == 0
}

// enter moves the calling thread there, unless others have given it other cores.
func (h *home) enter() {
	if core, ok := current(); !ok || core == h.core {
		return
	}
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	var own, one unix.CPUSet
	if unix.SchedGetaffinity(0, &own) != nil || own != h.own {
		return
	}
	one.Set(h.core)
	if unix.SchedSetaffinity(0, &one) != nil || unix.SchedSetaffinity(0, &own) == nil {
		return
	}
	for core := range 1024 { // none of its own is left: those that there are now
		own.Set(core)
	}
	_ = unix.SchedSetaffinity(0, &own)
}
