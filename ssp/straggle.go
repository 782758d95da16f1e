package ssp

import (
	"time"

	"github.com/sspurn/sspurn/runtime/bootstrap"
)

// delay returns how much longer a worker of a rank takes for a clock that took
// it busy. Workers of a rank straggle together.
func delay(s bootstrap.Straggle, rank, ranks int, c Clock, seed uint64, busy time.Duration) time.Duration {
	switch s.Kind {
	case bootstrap.OneRank:
		if rank != s.Rank {
			return 0
		}
		if s.Factor > 0 {
			return time.Duration(min((s.Factor-1)*float64(max(busy, 0)), float64(bootstrap.MaxStraggle)))
		}
		return s.Delay
	case bootstrap.Rotating:
		if int64(c)%int64(ranks) == int64(rank) {
			return s.Delay
		}
	case bootstrap.Random:
		x := mix(mix(mix(seed)^uint64(rank)) ^ uint64(c))
		if float64(x>>11)/(1<<53) < s.P {
			return s.Delay
		}
	}
	return 0
}

// mix is the finaliser of splitmix64 (Steele et al., OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
