package runtimetest

import "testing"

// Network is a way to connect the ranks of a test.
type Network struct {
	Name string
	// Run runs body on n ranks and fails the test like SPMD.
	Run func(t testing.TB, n int, body Body)
}

// Networks are all ways that this system has: in memory, over loopback, and
// where ranks share memory (Linux, without the tag portable) by that, and by
// both as on hosts of two ranks each. The race detector, under which all takes
// many times as long, has each alone.
func Networks() []Network {
	all := []Network{{"mem", SPMD}, {"tcp", TCP}}
	if shares {
		all = append(all, Network{"shm", Shared})
	}
	if shares && !raced {
		all = append(all, Network{"hosts", Hosts})
	}
	return all
}

// Shared is SPMD over memory that all ranks share.
func Shared(t testing.TB, n int, body Body) {
	t.Helper()
	shared(t, n, n, body)
}

// Hosts is SPMD over real connections, and memory that ranks 0 and 1 share,
// ranks 2 and 3, and so on.
func Hosts(t testing.TB, n int, body Body) {
	t.Helper()
	shared(t, n, 2, body)
}

func shared(t testing.TB, n, perHost int, body Body) {
	t.Helper()
	if !shares {
		t.Skip("ranks share no memory here")
	}
	defer Leaks(t)()
	if err := Primary(NewSharedCluster(n, perHost).Run(t.Context(), body)); err != nil {
		t.Fatal(err)
	}
}
