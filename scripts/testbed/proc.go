//go:build linux

package testbed

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// process is a process and when it started, so that a later one with the same
// number is not taken for it.
type process struct {
	PID   int
	Start uint64 // clock ticks since the machine's start
}

func processOf(pid int) (process, error) {
	st, err := readStat(pid)
	return process{pid, st.start}, err
}

func (p process) alive() bool {
	st, err := readStat(p.PID)
	return err == nil && st.start == p.Start && st.state != 'Z'
}

// stat is the part of /proc/PID/stat that the testbed reads.
type stat struct {
	state  byte
	parent int
	start  uint64
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, errors.Wrapf(err, "process %d", pid)
	}
	return parseStat(data)
}

// parseStat reads a line of /proc/PID/stat. The second field is the name in
// parentheses, in which anything may stand, parentheses and spaces included.
func parseStat(line []byte) (st stat, err error) {
	end := bytes.LastIndexByte(line, ')')
	fields := strings.Fields(string(line[end+1:])) // from field 3, the state
	if end < 0 || len(fields) < 20 || len(fields[0]) != 1 {
		return st, errors.Errorf("process stat %q: want a name in parentheses and 20 fields", line)
	}
	st.state = fields[0][0]
	if st.parent, err = strconv.Atoi(fields[1]); err != nil {
		return st, errors.Wrap(err, "process stat: parent")
	}
	if st.start, err = strconv.ParseUint(fields[19], 10, 64); err != nil {
		return st, errors.Wrap(err, "process stat: start")
	}
	return st, nil
}

// Process is a process of a host as this machine sees it.
type Process struct {
	PID    int      // on this machine, fit for kill
	Parent int      // on this machine; 0 when outside of what /proc shows
	State  byte     // as in /proc/PID/stat: R running, S sleeping, T stopped, Z ended and not waited for
	Args   []string // command line; empty for a process that ended
}

// String returns the number, state and command line.
func (p Process) String() string {
	return fmt.Sprintf("%d %c %s", p.PID, p.State, strings.Join(p.Args, " "))
}

// processesOf lists the processes in the process namespace of init, but for
// those whose number inside is in except. Processes that end meanwhile are
// left out.
func processesOf(init int, except ...int) ([]Process, error) {
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", init))
	if err != nil {
		return nil, errors.Wrap(err, "process namespace")
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, errors.Wrap(err, "processes")
	}
	var list []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err != nil || s != space {
			continue // ended, or of another host
		}
		st, err := readStat(pid)
		if err != nil {
			continue
		}
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue
		}
		if inner, err := innerPID(pid); err != nil || slices.Contains(except, inner) {
			continue
		}
		list = append(list, Process{pid, st.parent, st.state, strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")})
	}
	return list, nil
}

// innerPID returns a process's number in its own process namespace.
func innerPID(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, errors.Wrapf(err, "process %d", pid)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(rest)
			if len(fields) == 0 {
				break
			}
			n, err := strconv.Atoi(fields[len(fields)-1])
			return n, errors.Wrapf(err, "process %d", pid)
		}
	}
	return 0, errors.Errorf("process %d: no NSpid in its status", pid)
}
