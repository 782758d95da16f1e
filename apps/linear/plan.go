package main

import (
	"context"
	"math"
	"strconv"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp"
)

// allSum adds up over all ranks, in place.
func allSum[T int64 | float64](ctx context.Context, c *runtime.Comm, x []T) error {
	return collectives.Allreduce(ctx, c, x, x, collectives.Sum, collectives.InOrder)
}

// underway is how many batches may be on their way to the weights that a worker
// computes with, its own included: all other workers' of staleness + 1 clocks.
func underway(workers int, p ssp.Policy) int {
	return (workers-1)*(int(min(p.Typical(), 1<<20))+1) + 1
}

const (
	rowsUnderway = 1024 // training rows that may be on their way together, by derivedClocks
	leastBatch   = 32   // rows that are worth a clock
	mostBatch    = 256  // rows after which a gradient is worth a step
)

// derivedClocks is the default number of clocks a pass: so many that the rows of
// all batches under way are 1024 together, in batches of 32 to 256 rows.
func derivedClocks(rows int64, workers int, p ssp.Policy) int {
	each := (rows + int64(workers) - 1) / int64(workers)
	batch := min(max(rowsUnderway/int64(underway(workers, p)), leastBatch), mostBatch)
	return int(max(1, (each+batch-1)/batch))
}

// derivedRate is the default rate of AdaGrad for rows of a mean squared length,
// to two digits, so that it is the same whatever the number of ranks. A first
// step moves every weight of a batch by the rate; weights are the smaller the
// longer the rows, and rows with many values have many weights to share a step.
func derivedRate(square float64) float64 {
	rate := 1 / square
	if !(rate > 1e-30 && rate < 1e30) { // rows without values, or absurd ones
		return 1
	}
	rate, _ = strconv.ParseFloat(strconv.FormatFloat(rate, 'e', 1, 64), 64) // what was a number still is one
	return rate
}

// What reading, adding to and sending a table row and each of its elements
// costs, relative to each other.
const (
	rowCost     = 100
	elementCost = 1
)

// derivedWidth is the default number of weights in a table row: the power of two
// from 8 to 256 that makes a batch cheapest when it touches distinct of the
// weights and these lie anywhere. Then a row of w weights is touched with the
// probability 1 - (1 - distinct/weights)^w.
func derivedWidth(weights int, distinct float64) int {
	density := min(1, distinct/float64(max(1, weights)))
	best, least := 0, math.Inf(1)
	for w := 8; w <= 256; w *= 2 {
		touched := math.Ceil(float64(weights)/float64(w)) * (1 - math.Pow(1-density, float64(w)))
		if cost := touched * (rowCost + elementCost*float64(w)); cost < least {
			best, least = w, cost
		}
	}
	return best
}

// distinct returns how many columns a batch has on average, over all workers of
// all ranks. It is collective.
func distinct(ctx context.Context, c *runtime.Comm, rows []*apps.Rows, batches, weights int) (float64, error) {
	last := make([]int32, weights) // batch that had the column last
	sums := []int64{0, int64(len(rows) * batches)}
	n := int32(0)
	for _, r := range rows {
		for b := range batches {
			n++
			for i := r.Len() * b / batches; i < r.Len()*(b+1)/batches; i++ {
				col, _ := r.Row(i)
				for _, k := range col {
					if last[k] != n {
						last[k] = n
						sums[0]++
					}
				}
			}
		}
	}
	if err := allSum(ctx, c, sums); err != nil {
		return 0, err
	}
	return float64(sums[0]) / float64(sums[1]), nil
}

// shuffle sets order to a random order of the batches that seed, rank and pass
// decide.
func shuffle(order []int32, seed uint64, rank, pass int) {
	for i := range order {
		order[i] = int32(i)
	}
	for i := len(order) - 1; i > 0; i-- {
		k := int(apps.Uniform(seed, uint64(rank)<<32|uint64(pass), uint64(i)) * float64(i+1))
		order[i], order[k] = order[k], order[i]
	}
}
