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

// TestFindHome: the ranks of a host spread over its cores, those of a core next
// to one another, and only where at least three have to share each.
func TestFindHome(t *testing.T) {
	_, all := cores(t)
	k := len(all)
	if k < 2 {
		t.Skip("a single core")
	}
	homes := func(before, ranks, cores int) []home {
		hosts := slices.Repeat([]string{"elsewhere"}, before)
		hosts = append(hosts, slices.Repeat([]string{"here"}, ranks)...)
		var got []home
		for r := before; r < len(hosts); r++ {
			e := newEngine(r, hosts, nil)
			for i := range e.cores {
				e.cores[i] = cores
			}
			e.findHome()
			got = append(got, e.home)
		}
		return got
	}
	for _, ranks := range []int{3 * k, 3*k + 1, 4*k - 1, 4 * k} {
		count := make([]int, len(all))
		last := 0
		for r, h := range homes(2, ranks, k) {
			i := slices.Index(all, h.core)
			if !h.known || i < last {
				t.Fatalf("%d ranks on %d cores: rank %d of the host has %+v", ranks, k, r, h)
			}
			last = i
			count[i]++
		}
		if slices.Max(count)-slices.Min(count) > 1 {
			t.Errorf("%d ranks on %d cores: %v a core", ranks, k, count)
		}
	}
	for what, got := range map[string][]home{
		"two ranks a core":                homes(0, 2*k, k),
		"bound, or less than the host":    homes(0, 4*(k+1), k+1),
		"a host whose cores nobody knows": homes(0, 4*k, 0),
	} {
		if slices.ContainsFunc(got, func(h home) bool { return h.known }) {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// TestEnterHome: the thread is there afterwards, unless the kernel has moved it on
// at once, and may leave again.
func TestEnterHome(t *testing.T) {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	own, all := cores(t)
	for _, core := range append(all, all...) {
		there := false
		for range 1000 {
			home{true, core}.enter()
			at, ok := current()
			if !ok {
				t.Fatal("no core")
			}
			if there = at == core; there {
				break
			}
		}
		if !there {
			t.Errorf("never on core %d", core)
		}
	}
	home{true, 1 << 20}.enter() // no such core
	home{}.enter()
	if after, _ := cores(t); after != own {
		t.Errorf("bound to %v, was to %v", after, own)
	}
}
