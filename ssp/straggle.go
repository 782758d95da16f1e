package ssp

import (
	"math"
	"slices"
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// delay returns how much longer a worker of a rank takes for a clock that took
// it busy: what all stragglers together say, at most bootstrap.MaxStraggle.
// Workers of a rank straggle together. Chance depends on the seed, the place of
// the straggler in s, the rank and the clock, and on nothing else.
func delay(s bootstrap.Straggle, rank, ranks int, c Clock, seed uint64, busy time.Duration) time.Duration {
	var sum time.Duration
	for i, one := range s {
		sum += straggle(one, rank, ranks, c, seed+uint64(i)*0x9e3779b97f4a7c15, busy)
		sum = min(sum, bootstrap.MaxStraggle)
	}
	return sum
}

// straggle is delay for one straggler.
func straggle(s bootstrap.Straggler, rank, ranks int, c Clock, seed uint64, busy time.Duration) time.Duration {
	switch s.Kind {
	case bootstrap.Permanent:
		if !slices.Contains(s.Ranks, rank) {
			return 0
		}
		if s.Factor > 0 {
			return atMost((s.Factor - 1) * float64(max(busy, 0)))
		}
		return s.Delay
	case bootstrap.Rotating:
		if int64(c)%int64(ranks) == int64(rank) {
			return s.Delay
		}
	case bootstrap.Random:
		if chance(seed, rank, c) < s.P {
			return s.Delay
		}
	case bootstrap.Exponential:
		return atMost(-float64(s.Delay) * math.Log1p(-chance(seed, rank, c)))
	}
	return 0
}

func atMost(nanoseconds float64) time.Duration {
	return time.Duration(min(nanoseconds, float64(bootstrap.MaxStraggle)))
}

// chance is uniform in [0, 1).
func chance(seed uint64, rank int, c Clock) float64 {
	x := mix(mix(mix(seed)^uint64(rank)) ^ uint64(c))
	return float64(x>>11) / (1 << 53)
}

// mix is the finaliser of splitmix64 (Steele et al., OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
