package launcher

import (
	"fmt"
	"os"
	goruntime "runtime"

	"github.com/pkg/errors"
)

// MapBy is the order in which ranks fill hosts.
type MapBy string

// Values of MapBy.
const (
	BySlot MapBy = "slot" // a host is filled before the next one
	ByNode MapBy = "node" // one rank a host in turn
)

// Binding says what cores a rank and all that it starts may run on.
type Binding string

// Values of Binding.
const (
	BindNone Binding = "none" // all that its agent may
	BindCore Binding = "core" // its share of those that its agent may, which are divided among the ranks of the host
)

// Placement says how ranks are put on hosts.
type Placement struct {
	By            MapBy // "" means BySlot
	PerHost       int   // ranks on each host; 0: as its slots say
	Oversubscribe bool  // more ranks than slots are fine
}

// Layout is where every rank goes.
type Layout struct {
	Ranks int
	Hosts []Host  // those that get ranks, in the order of the list
	On    [][]int // ranks of each host, ascending
	Notes []string
}

// Plan decides where the ranks of the job go.
func Plan(job *Job) (*Layout, error) {
	hosts := job.Hosts
	if len(hosts) == 0 {
		name, err := os.Hostname()
		if err != nil {
			name = "localhost"
		}
		hosts = []Host{{Name: name, here: true}}
	}
	return place(hosts, job.Ranks, job.Place, goruntime.NumCPU())
}

// place puts n ranks on the hosts; with n = 0 as many as there are slots. A
// host without slots takes an equal share of the ranks that the others leave,
// or one when n is 0; a host of this machine then takes one for each core. It is
// pure.
func place(hosts []Host, n int, how Placement, cores int) (*Layout, error) {
	l := &Layout{}
	if n < 0 {
		return nil, errors.Errorf("%d ranks", n)
	}
	if how.PerHost > maxSlots {
		return nil, errors.Errorf("-ppr %d: a host can take %d", how.PerHost, maxSlots)
	}
	if n > maxSlots*len(hosts) {
		return nil, errors.Errorf("%d ranks are more than %d hosts can take, %d each", n, len(hosts), maxSlots)
	}
	slots := make([]int, len(hosts))
	written, open := 0, 0
	for i, h := range hosts {
		slots[i] = h.Slots
		written += h.Slots
		if h.Slots == 0 {
			open++
		}
	}
	switch {
	case how.PerHost > 0:
		over := 0
		for i, h := range hosts {
			if h.Slots > 0 && how.PerHost > h.Slots {
				over++
			}
			slots[i] = how.PerHost
		}
		if over > 0 && !how.Oversubscribe {
			return nil, errors.Errorf("-ppr %d is more than the slots of %d hosts (-oversubscribe allows it)", how.PerHost, over)
		}
		if n == 0 {
			n = how.PerHost * len(hosts)
		}
		if n > how.PerHost*len(hosts) {
			return nil, errors.Errorf("%d ranks do not fit on %d hosts with -ppr %d, which take %d", n, len(hosts), how.PerHost, how.PerHost*len(hosts))
		}
	case n == 0:
		for i, h := range hosts {
			if h.Slots == 0 {
				slots[i] = 1
				if h.here {
					slots[i] = cores
				}
			}
			n += slots[i]
		}
	case open > 0:
		// An equal share of what the others leave, the first ones one more.
		rest := max(0, n-written)
		share, extra := rest/open, rest%open
		for i, h := range hosts {
			if h.Slots == 0 {
				slots[i] = share
				if extra > 0 {
					slots[i]++
					extra--
				}
			}
		}
	case n > written:
		if !how.Oversubscribe {
			return nil, errors.Errorf("%d ranks are more than the %d slots of the hosts (-oversubscribe allows it)", n, written)
		}
		// The surplus goes round in proportion to the slots.
		for i, h := range hosts {
			slots[i] = h.Slots * (n / written)
		}
		for i, left := 0, n-written*(n/written); left > 0; i = (i + 1) % len(hosts) {
			more := min(left, hosts[i].Slots)
			slots[i] += more
			left -= more
		}
	}
	on := make([][]int, len(hosts))
	next := 0
	switch how.By {
	case ByNode:
		for i := 0; next < n; i = (i + 1) % len(hosts) {
			if len(on[i]) < slots[i] {
				on[i] = append(on[i], next)
				next++
			}
		}
	case BySlot, "":
		for i := range hosts {
			for len(on[i]) < slots[i] && next < n {
				on[i] = append(on[i], next)
				next++
			}
		}
	default:
		return nil, errors.Errorf("-map-by %s: want slot or node", how.By)
	}
	l.Ranks = n
	for i, h := range hosts {
		if len(on[i]) > 0 {
			l.Hosts = append(l.Hosts, h)
			l.On = append(l.On, on[i])
		}
		if isLocal(h) && len(on[i]) > cores {
			l.Notes = append(l.Notes, fmt.Sprintf("host %s: %d ranks on %d cores", h.Name, len(on[i]), cores))
		}
	}
	return l, nil
}

// hostNames returns the name of each rank's host.
func (l *Layout) hostNames() []string {
	names := make([]string, l.Ranks)
	for i, ranks := range l.On {
		for _, r := range ranks {
			names[r] = l.Hosts[i].Name
		}
	}
	return names
}

// local reports whether all ranks are on this machine.
func (l *Layout) local() bool {
	for _, h := range l.Hosts {
		if !isLocal(h) {
			return false
		}
	}
	return true
}
