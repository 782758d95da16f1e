package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const prSetChildSubreaper = 36

// adoptOrphans makes this process the parent of what its children leave behind,
// in whatever process group.
func adoptOrphans() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0) // old kernels do without
}

// killOrphans kills all children, and theirs. No command may be running.
func killOrphans() {
	for {
		found := false
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range stats {
			stat, err := os.ReadFile(path)
			if err != nil {
				continue // it has ended
			}
			// pid (name) state parent; a name may contain anything.
			fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
			if len(fields) < 2 || string(fields[1]) != strconv.Itoa(os.Getpid()) {
				continue
			}
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil || syscall.Kill(pid, syscall.SIGKILL) != nil {
				continue
			}
			found = true
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
		if !found {
			return
		}
	}
}
