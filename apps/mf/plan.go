package main

import (
	"cmp"
	"slices"

	"github.com/sspurn/sspurn/apps"
)

// plan divides the work: users over the workers, items into the blocks of a
// pass. Every rank computes the same one.
//
// All workers go round the blocks in the same order, a worker each its own
// distance apart (the stratification of Gemulla et al., Large-scale matrix
// factorization with distributed SGD, KDD 2011, without its barriers): at any
// time they work on different items, and an item comes to the next worker
// after blocks/workers clocks, long after the update of the previous one. So
// updates hardly ever meet, whatever the staleness, and every worker edits an
// item once a pass, or two or three times if it has many ratings.
type plan struct {
	workers int     // of all ranks
	owner   []int32 // the worker of each user
	blocks  int     // clocks of a pass
	block   []int32 // the block of each item, or of the first visit to it
	count   []int32 // training ratings of each item
}

// gapClocks is how many clocks beyond the staleness lie between the visits of
// two workers to an item, as a multiple of staleness + 1.
const gapClocks = 8

// derivedClocks is the default number of clocks a pass: enough that an item
// rests for 8 × (staleness+1) clocks between two workers. It grows with the
// number of workers, which share a pass, and with the staleness; it never
// makes blocks without items.
func derivedClocks(workers, staleness, items int) int {
	if staleness >= items { // a bound as good as none must not overflow
		return max(1, items)
	}
	return max(1, min(gapClocks*(staleness+1)*workers, items))
}

// newPlan divides by the numbers of ratings of users and items, both at random
// by the seed, so that the halves of a file, or its frequent items, end up
// spread.
func newPlan(seed uint64, workers, blocks int, users, items []int32) *plan {
	return &plan{
		workers: workers,
		owner:   divide(apps.Mix(seed), workers, users),
		blocks:  blocks,
		block:   divide(apps.Mix(seed)^1, blocks, items),
		count:   items,
	}
}

// divide returns for each number one of parts, such that their weights are
// about equal. Which numbers come together depends on the seed alone.
func divide(seed uint64, parts int, weight []int32) []int32 {
	order := make([]int32, len(weight))
	total := int64(0)
	for i, w := range weight {
		order[i] = int32(i)
		total += int64(w)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Compare(apps.Mix(seed^apps.Mix(uint64(a))), apps.Mix(seed^apps.Mix(uint64(b))))
	})
	part := make([]int32, len(weight))
	sum := int64(0)
	for _, i := range order {
		// The middle of the number's weight decides, so that a heavy one does
		// not push all others into the next part.
		middle := 2*sum + int64(weight[i])
		part[i] = int32(min(middle*int64(parts)/max(2*total, 1), int64(parts)-1))
		sum += int64(weight[i])
	}
	return part
}

// at returns the block that a worker does at a clock, counted over all passes.
func (p *plan) at(worker int, clock int64) int {
	return int((clock + int64(worker)*int64(p.blocks)/int64(p.workers)) % int64(p.blocks))
}

// visitRatings is how many ratings of an item a worker's visit has at least, on
// average, when there is more than one.
const visitRatings = 64

// visits returns in how many visits, equally far apart in the pass, each worker
// does the ratings of an item that has count of them. An item with many goes,
// in a single visit, all the way to what this worker's users want, and is then
// far from what the other workers' users want when it comes to them: on
// eltec-cooc that costs two workers 1.1 % of the error after 20 passes, three
// visits 0.6 %. Visits of two workers never meet: their number has no divisor
// in common with that of the workers, and is small, so that they stay several
// times the staleness apart.
func (p *plan) visits(count int32) int {
	m := 1
	for _, k := range []int{2, 3} {
		if p.workers > 1 && p.workers%k != 0 && int(count) >= k*visitRatings*p.workers && p.blocks >= 2*k*p.workers {
			m = k
		}
	}
	return m
}

// arrange sets the keys by which a worker's ratings of one item are ordered: by
// the block of their visit, and in a block by item, in a random order. The
// numbers of items often go by frequency, and descending from the frequent to
// the rare ones ends up worse.
func (p *plan) arrange(ratings []entry) {
	item, n := ratings[0].item, len(ratings)
	m := p.visits(p.count[item])
	for i := range ratings {
		block := (int(p.block[item]) + i*m/n*p.blocks/m) % p.blocks
		ratings[i].key = uint64(block)<<32 | apps.Mix(uint64(item))>>32
	}
}
