package runtime

// homes are the cores that ranks come back to while they poll, of those of their
// hosts from 0 on, or −1.
//
// Ranks that poll and yield are all the same to the kernel, busy, and which of
// its threads the Go runtime has a rank poll on changes: of eight ranks five are
// on one of two cores, and three on the other, for a third of the time, and all
// wait for the five; of two, both are on one now and then. Nobody stays bound:
// what computes goes where there is room, and who has a core to itself keeps it.
// Where a host has more cores than ranks, the kernel knows better which of them
// are free.
//
// The ranks of a core are neighbours, as they are where the launcher binds them.
func homes(hosts []string, cores []int) []int {
	ranks, before := map[string]int{}, map[string]int{}
	for _, host := range hosts {
		ranks[host]++
	}
	all := make([]int, len(hosts))
	for r, host := range hosts {
		all[r] = -1
		if n := cores[r]; canMove && n > 1 && ranks[host] >= n {
			all[r] = before[host] * n / ranks[host]
		}
		before[host]++
	}
	return all
}

// Home is the core that a rank comes back to when it waits for others on one that
// it has to share, of those of its host from 0 on: neighbours have the same where
// ranks outnumber cores. It is −1 where the host has more cores than ranks, or
// one, or its cores are not known (see [Comm.Cores]), and on systems other than
// Linux. All ranks of a host get the same answer. A rank whose own cores are fewer
// than its host's, or that does not poll while it waits, stays where it is.
func (c *Comm) Home(rank int) int { return c.e.homes[c.group.ranks[rank]] }
