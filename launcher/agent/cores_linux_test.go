package agent

import (
	stderrors "errors"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// onThread calls f on a thread that ends with it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		goruntime.LockOSThread() // and no more than that: the thread ends with the goroutine
		f()
	}()
	<-done
}

// cores is ownCores of a thread that may run somewhere.
func cores(t *testing.T) []int {
	t.Helper()
	own, err := ownCores()
	if err != nil || len(own) == 0 || !slices.IsSorted(own) {
		t.Errorf("cores %v, %v", own, err)
	}
	return own
}

// TestBound: the thread is bound while start runs and has its cores back on
// every path.
func TestBound(t *testing.T) {
	onThread(func() {
		own := cores(t)
		if len(own) != goruntime.NumCPU() {
			t.Errorf("%d cores, of which Go counts %d", len(own), goruntime.NumCPU())
		}
		broken := stderrors.New("broken")
		for _, core := range own {
			for _, want := range []error{nil, broken} {
				err := bound([]int{core}, func() error {
					if got := cores(t); !slices.Equal(got, []int{core}) {
						t.Errorf("on %v, want %d", got, core)
					}
					return want
				})
				if !stderrors.Is(err, want) || (err == nil) != (want == nil) {
					t.Errorf("got %v, want %v", err, want)
				}
				if got := cores(t); !slices.Equal(got, own) {
					t.Errorf("on %v afterwards, before on %v", got, own)
				}
			}
		}
		// A core that this host does not have.
		err := bound([]int{maxCores - 1}, func() error { t.Error("started all the same"); return nil })
		if err == nil || !strings.Contains(err.Error(), "bind to cores [65535]: invalid argument") {
			t.Errorf("got %v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = bound(own[:1], func() error { panic("start") })
		}()
		if got := cores(t); !slices.Equal(got, own) {
			t.Errorf("on %v at the end, before on %v", got, own)
		}
	})
}

// TestBoundForGood: a thread that does not get its cores back is an error, and
// what was started stays started.
func TestBoundForGood(t *testing.T) {
	onThread(func() {
		own, started := cores(t), false
		err := bound(own[:1], func() error {
			started = true
			return refuse(unix.SYS_SCHED_SETAFFINITY)
		})
		if stderrors.Is(err, errUnfiltered) {
			t.Skip(err)
		}
		if !stderrors.Is(err, unix.EXDEV) || !strings.Contains(err.Error(), "give the agent its cores back") || !started {
			t.Errorf("got %v, started: %v", err, started)
		}
		if got := cores(t); !slices.Equal(got, own[:1]) {
			t.Errorf("on %v, want what it was bound to, %v", got, own[:1])
		}
	})
}

var errUnfiltered = stderrors.New("no filter of system calls here")

// refuse has the kernel refuse this thread a system call, to its end.
func refuse(call uint32) error {
	const (
		number = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS // at offset 0: the number of the call
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		result = unix.BPF_RET | unix.BPF_K
	)
	filter := []unix.SockFilter{
		{Code: number},
		{Code: equal, K: call, Jf: 1},
		{Code: result, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EXDEV)},
		{Code: result, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return stderrors.Join(errUnfiltered, err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return stderrors.Join(errUnfiltered, err)
	}
	return nil
}
