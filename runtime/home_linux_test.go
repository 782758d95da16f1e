package runtime

import (
	goruntime "runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// cores returns those that this thread may run on.
func cores(t *testing.T) (set unix.CPUSet, list []int) {
	t.Helper()
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	for k := range set.Count() {
		list = append(list, nth(&set, k))
	}
	return set, list
}

// TestHomes: the ranks of a host that has no more cores spread over these, those
// of a core next to one another, also where ranks of other hosts lie between.
func TestHomes(t *testing.T) {
	for _, cores := range []int{2, 3, 4, 7, 64} {
		for _, ranks := range []int{cores, cores + 1, 2*cores - 1, 2 * cores, 3*cores + 1, 200} {
			hosts, of := []string{"else", "else"}, []int{cores, cores}
			for range ranks {
				hosts, of = append(hosts, "here", "else"), append(of, cores, cores)
			}
			count, last := make([]int, cores), 0
			for r, h := range homes(hosts, of) {
				if hosts[r] != "here" {
					continue
				}
				if h < last || h >= cores {
					t.Fatalf("%d ranks on %d cores: core %d after %d", ranks, cores, h, last)
				}
				last = h
				count[h]++
			}
			if slices.Max(count)-slices.Min(count) > 1 {
				t.Errorf("%d ranks on %d cores: %v a core", ranks, cores, count)
			}
		}
	}
	for what, x := range map[string]struct{ ranks, cores int }{
		"more cores than ranks": {3, 4}, "a core": {4, 1}, "a host whose cores nobody knows": {4, 0},
	} {
		if got := homes(slices.Repeat([]string{"here"}, x.ranks), slices.Repeat([]int{x.cores}, x.ranks)); slices.Max(got) >= 0 {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// TestFindHome: a rank has the core that all expect it to have, unless it may not
// use all of its host's.
func TestFindHome(t *testing.T) {
	own, all := cores(t)
	k := len(all)
	if k < 2 {
		t.Skip("a single core")
	}
	for _, of := range []int{k, k - 1, k + 1} {
		hosts := slices.Repeat([]string{"here"}, 2*k+2)
		e := newEngine(2*k-1, hosts, nil)
		e.homes = homes(hosts, slices.Repeat([]int{of}, len(hosts)))
		e.cores[e.rank] = of
		e.findHome()
		h := &e.home
		if h.known != (of == k) || h.known && (h.core != all[(2*k-1)*k/(2*k+2)] || h.own != own) {
			t.Errorf("%d cores, of which %d are those of the rank: %v, core %d of %v", of, k, h.known, h.core, h.own)
		}
	}
}

// TestEnterHome: the thread is there afterwards, unless the kernel has moved it on
// at once, and may leave again. One that others have given other cores stays.
func TestEnterHome(t *testing.T) {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	own, all := cores(t)
	ever := func(h *home) bool {
		for range 1000 {
			h.enter()
			at, ok := current()
			if !ok {
				t.Fatal("no core")
			}
			if at == h.core {
				return true
			}
		}
		return false
	}
	for _, core := range append(all, all...) {
		if !ever(&home{known: true, core: core, own: own}) {
			t.Errorf("never on core %d", core)
		}
	}
	if len(all) > 1 {
		var first unix.CPUSet
		first.Set(all[0])
		if err := unix.SchedSetaffinity(0, &first); err != nil {
			t.Fatal(err)
		}
		if ever(&home{known: true, core: all[1], own: own}) {
			t.Errorf("on core %d, with only %d to use", all[1], all[0])
		}
		if err := unix.SchedSetaffinity(0, &own); err != nil {
			t.Fatal(err)
		}
	}
	(&home{known: true, core: 1 << 20, own: own}).enter() // no such core
	(&home{}).pass()
	if after, _ := cores(t); after != own {
		t.Errorf("bound to %v, was to %v", after, own)
	}
}
