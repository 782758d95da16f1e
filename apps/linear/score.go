package main

import (
	"context"
	"math"
	"slices"

	"github.com/sspurn/sspurn/runtime"
)

// surest is the greatest certainty that logloss grants: probabilities count as
// at least 1e-15, as scikit-learn had it.
var surest = -math.Log(1e-15)

// logloss is -ln of the probability that a row with score z has its label, at
// most 34.5.
func logloss(z float64, positive bool) float64 {
	if positive {
		z = -z
	}
	switch { // ln(1 + e^z)
	case z > surest:
		return surest
	case z > 0:
		return z + math.Log1p(math.Exp(-z))
	}
	return max(math.Log1p(math.Exp(z)), 1e-15)
}

// probability is of a row with score z to be positive.
func probability(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

// rankTag is of the messages of auc.
const rankTag runtime.Tag = 2

// auc returns the area under the curve of true over false positives, which is
// the share of pairs of a positive and a negative row that the scores order
// right, ties counting as half (Hanley, McNeil: The meaning and use of the area
// under a ROC curve, Radiology 143, 1982); NaN without both kinds of rows. It
// sorts the scores of the own rows, and is exact: the sorted negatives of every
// rank go round and each rank counts those below its positives. It is
// collective, and all ranks get the same.
func auc(ctx context.Context, c *runtime.Comm, positive, negative []float64) (float64, error) {
	slices.Sort(positive)
	slices.Sort(negative)
	size, rank := c.Size(), c.Rank()
	sums := []int64{0, int64(len(positive)), int64(len(negative))} // twice the pairs in order, positives, negatives
	for step, passing := 0, negative; ; step++ {
		sums[0] += ordered(positive, passing)
		if step == size-1 {
			break
		}
		to, from := (rank+1)%size, (rank+size-1)%size
		n := []int64{0}
		if _, err := runtime.SendRecv(ctx, c, to, []int64{int64(len(passing))}, from, n, rankTag); err != nil {
			return 0, err
		}
		next := make([]float64, n[0])
		if _, err := runtime.SendRecv(ctx, c, to, passing, from, next, rankTag); err != nil {
			return 0, err
		}
		passing = next
	}
	if err := allSum(ctx, c, sums); err != nil {
		return 0, err
	}
	if sums[1] == 0 || sums[2] == 0 {
		return math.NaN(), nil
	}
	return float64(sums[0]) / 2 / float64(sums[1]) / float64(sums[2]), nil
}

// ordered counts the pairs whose positive has the greater score, twice, and
// those of equal scores, once. Both slices ascend.
func ordered(positive, negative []float64) int64 {
	sum := int64(0)
	below, upto := 0, 0 // negatives with a lesser, and with a lesser or equal score
	for _, s := range positive {
		for below < len(negative) && negative[below] < s {
			below++
		}
		for upto < len(negative) && negative[upto] <= s {
			upto++
		}
		sum += int64(below) + int64(upto)
	}
	return sum
}
