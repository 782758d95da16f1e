package transport

// fanout of the tree: with 1024 ranks five steps deep.
const fanout = 4

// InTree reports whether two ranks are neighbours in the tree that joins all
// ranks of a job. Where pairs connect on first use, those of the tree are
// connected from the start: what every rank must hear travels along it.
func InTree(a, b int) bool {
	a, b = min(a, b), max(a, b)
	return a >= 0 && a < b && (b-1)/fanout == a
}

// AppendTree appends the neighbours of a rank in the tree of size ranks.
func AppendTree(to []int, rank, size int) []int {
	if rank > 0 {
		to = append(to, (rank-1)/fanout)
	}
	for child := fanout*rank + 1; child <= fanout*rank+fanout && child < size; child++ {
		to = append(to, child)
	}
	return to
}
