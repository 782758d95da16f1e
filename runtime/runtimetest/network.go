package runtimetest

import (
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest/race"
)

// Network is a way to connect the ranks of a test.
type Network struct {
	Name string
	// New returns a cluster of n ranks that are connected so.
	New func(n int) *Cluster
}

// Networks are all ways that this system has: in memory, over loopback, and
// where ranks share memory (Linux, without the tag portable) by that, and by
// both as on hosts of two ranks each, which connect when they first talk as in
// large jobs. The race detector, under which all takes
// many times as long, has each alone.
func Networks() []Network {
	all := []Network{{"mem", NewCluster}, {"tcp", NewTCPCluster}}
	if shares {
		all = append(all, Network{"shm", func(n int) *Cluster { return NewSharedCluster(n, n) }})
	}
	if shares && !race.Enabled {
		all = append(all, Network{"hosts", func(n int) *Cluster {
			c := NewSharedCluster(n, 2)
			c.Edit = OnDemand
			return c
		}})
	}
	return all
}

// OnDemand has pairs of ranks connect when they first talk; see Cluster.Edit.
func OnDemand(cfg *runtime.Config) { cfg.OnDemand = true }

// Run runs body on n ranks and fails the test like SPMD.
func (net Network) Run(t testing.TB, n int, body Body) {
	t.Helper()
	defer Leaks(t)()
	if err := Primary(net.New(n).Run(t.Context(), body)); err != nil {
		t.Fatal(err)
	}
}
