package agent

// divide deals the cores of a host out to its n ranks, both in their order:
// a run of cores for each, as even as possible, or, with fewer cores than ranks,
// one core for some neighbours. There is at least one core. It is pure.
func divide(cores []int, n int) [][]int {
	shares := make([][]int, n)
	for i := range shares {
		from := i * len(cores) / n
		shares[i] = cores[from:max(from+1, (i+1)*len(cores)/n)]
	}
	return shares
}
