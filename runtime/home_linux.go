package runtime

import (
	goruntime "runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// homeShared is the number of ranks a core from which on each has a home.
const homeShared = 3

// home is the core that a rank goes back to while it polls.
//
// Ranks that poll and yield are all the same to the kernel, busy, and which of
// its threads the Go runtime has a rank poll on changes: of eight ranks five are
// on one of two cores, and three on the other, for a third of the time, and all
// wait for the five. Nobody stays bound: what computes goes where there is room.
type home struct {
	known bool
	core  int
}

// findHome gives this rank its share of the cores of the host, if several have to
// share each. Ranks that are bound stay where they are.
func (e *engine) findHome() {
	e.home = home{}
	place, ranks := 0, 0
	for r, host := range e.hosts {
		if host == e.hosts[e.rank] {
			if r < e.rank {
				place++
			}
			ranks++
		}
	}
	var own unix.CPUSet
	if cores := e.cores[e.rank]; cores < 2 || ranks < homeShared*cores || unix.SchedGetaffinity(0, &own) != nil || own.Count() != cores {
		return
	}
	e.home = home{true, nth(&own, place*own.Count()/ranks)}
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

// enter moves the calling thread there.
func (h home) enter() {
	if !h.known {
		return
	}
	if core, ok := current(); !ok || core == h.core {
		return
	}
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	var own, one unix.CPUSet
	if unix.SchedGetaffinity(0, &own) != nil || !own.IsSet(h.core) {
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
