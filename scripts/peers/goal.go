package main

import (
	"slices"
	"strings"
)

// The transports.
const (
	tcp = "tcp" // over loopback
	shm = "shm" // what a library does within a host by itself
)

// A point is one operation with one number of bytes and of ranks.
type point struct {
	transport string
	op        string
	bytes     int
	ranks     int
	goal      float64 // our time over that of the better peer, at most; 0: none
	most      float64 // µs, at most; 0: no such goal
}

// Starts of jobs, which need no transport.
const (
	launchTrue  = "launch-true"  // 64 processes of true(1)
	launchEmpty = "launch-empty" // 64 ranks that make one barrier

	launchRanks = 64
)

func isLaunch(op string) bool { return op == launchTrue || op == launchEmpty }

const (
	kib = 1 << 10
	mib = 1 << 20
)

// points are what is measured, with goals.
func points() []point {
	var all []point
	add := func(transport, op string, ranks int, goal float64, sizes ...int) {
		for _, n := range sizes {
			all = append(all, point{transport: transport, op: op, bytes: n, ranks: ranks, goal: goal})
		}
	}
	add(tcp, "pingpong", 2, 1, 8)
	add(tcp, "rate", 2, 0.2, 8)
	add(tcp, "stream", 2, 0.83, 64*kib, 256*kib, mib, 4*mib)
	add(tcp, "barrier", 2, 1, 0)
	add(tcp, "allreduce", 2, 1, 8)
	add(tcp, "allreduce", 2, 0.9, 128*kib)
	add(tcp, "allreduce", 2, 0.8, 2*mib)
	add(tcp, "allreduce", 2, 0.5, 64*mib)
	for _, op := range []string{"reduce-scatter", "allgather", "alltoall", "bcast"} {
		add(tcp, op, 2, 0.9, 8*mib, 16*mib)
	}
	for _, op := range []string{"put", "get", "fetch", "puts"} {
		add(tcp, op, 2, 1, 8)
	}
	for _, ranks := range []int{4, 8} {
		add(tcp, "barrier", ranks, 0.6, 0)
		add(tcp, "allreduce", ranks, 0.6, 8, 128*kib, 2*mib, 64*mib)
	}
	add(shm, "pingpong", 2, 1.5, 8)
	add(shm, "stream", 2, 1.11, 4*mib)
	add(shm, "allreduce", 2, 0.5, 64*mib)
	for _, op := range []string{"put", "get", "fetch"} {
		add(shm, op, 2, 1.5, 8)
	}
	all = append(all,
		point{op: launchTrue, ranks: launchRanks, most: 100e3},
		point{op: launchEmpty, ranks: launchRanks, most: 400e3})
	return all
}

// operations names the operations of points.
func operations() string {
	var names []string
	for _, p := range points() {
		if !slices.Contains(names, p.op) {
			names = append(names, p.op)
		}
	}
	return strings.Join(names, ", ")
}

// A group is what one run of a program measures: an operation at some sizes.
type group struct {
	transport, op string
	ranks         int
	sizes         []int
}

// groups puts points that differ in bytes only together, in their order.
func groups(all []point) []group {
	var list []group
	for _, p := range all {
		i := slices.IndexFunc(list, func(g group) bool { return g.transport == p.transport && g.op == p.op && g.ranks == p.ranks })
		if i < 0 {
			list = append(list, group{transport: p.transport, op: p.op, ranks: p.ranks})
			i = len(list) - 1
		}
		list[i].sizes = append(list[i].sizes, p.bytes)
	}
	return list
}
