package agent

import (
	stderrors "errors"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// maxCores bounds the numbers of cores: eight times what kernels are built for.
const maxCores = 1 << 16

// ownCores returns the cores that this thread may run on, ascending: what
// cpusets, taskset and the like leave of those of the host.
func ownCores() ([]int, error) {
	set := unix.NewCPUSet(maxCores)
	if err := unix.SchedGetaffinityDynamic(0, set); err != nil {
		return nil, errors.Wrapf(err, "cores below %d of this host", maxCores)
	}
	cores := make([]int, 0, set.Count()) // there is one, on which this runs
	for core := 0; len(cores) < cap(cores); core++ {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores, nil
}

// bound calls start with this thread bound to the cores: a process begins on
// those of the thread that starts it, so that all its threads and children are
// bound. The caller has locked the thread. Where that does not get its own cores
// back, which is an error even if start succeeded, it must never be unlocked.
func bound(cores []int, start func() error) (err error) {
	own := unix.NewCPUSet(maxCores)
	if err := unix.SchedGetaffinityDynamic(0, own); err != nil {
		return errors.Wrap(err, "cores of the agent")
	}
	set := unix.NewCPUSet(maxCores)
	for _, core := range cores {
		set.Set(core)
	}
	if err := unix.SchedSetaffinityDynamic(0, set); err != nil {
		return errors.Wrapf(err, "bind to cores %v", cores)
	}
	defer func() {
		back := unix.SchedSetaffinityDynamic(0, own)
		err = stderrors.Join(err, errors.Wrap(back, "give the agent its cores back"))
	}()
	return start()
}
