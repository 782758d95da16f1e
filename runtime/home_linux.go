package runtime

import (
	goruntime "runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const canMove = true

// home is the core that the threads of this rank go back to.
type home struct {
	known bool
	core  int
}

// findHome is called when homes are known. A rank that may not use all cores of
// its host stays where it is.
func (e *engine) findHome() {
	e.home = home{}
	var own unix.CPUSet
	k := e.homes[e.rank]
	if k < 0 || unix.SchedGetaffinity(0, &own) != nil || own.Count() != e.cores[e.rank] {
		return
	}
	e.home = home{true, nth(&own, k)}
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
