package ssp

import (
	"strconv"
	"strings"
	"time"

	"github.com/pkg/errors"
)

// Straggle makes workers slow, for experiments. The zero value does not.
type Straggle struct {
	kind   straggler
	rank   int
	factor float64
	delay  time.Duration
	p      float64
}

type straggler uint8

const (
	nobody straggler = iota
	permanent
	rotating
	random
)

const maxDelay = 24 * time.Hour

// ParseStraggle reads what -straggle takes:
//
//	rank=1,factor=4       rank 1 computes 4 times as long
//	rank=1,delay=200ms    rank 1 computes 200 ms longer in every clock
//	rotate,delay=200ms    at clock c, rank c modulo the ranks
//	random,p=0.05,delay=200ms  any rank at any clock, with probability p
//
// The empty text is nobody.
func ParseStraggle(text string) (Straggle, error) {
	bad := func(why string) (Straggle, error) {
		return Straggle{}, errors.Errorf("straggle %q: %s; expected rank=R,factor=F or rank=R,delay=D or rotate,delay=D or random,p=P,delay=D", text, why)
	}
	s := Straggle{rank: -1}
	if text == "" {
		return Straggle{}, nil
	}
	seen := map[string]bool{}
	for i, part := range strings.Split(text, ",") {
		key, value, has := strings.Cut(part, "=")
		if seen[key] {
			return bad("two of " + strconv.Quote(key))
		}
		seen[key] = true
		var err error
		switch {
		case i == 0 && !has && key == "rotate":
			s.kind = rotating
		case i == 0 && !has && key == "random":
			s.kind = random
		case i == 0 && has && key == "rank":
			s.kind = permanent
			s.rank, err = strconv.Atoi(value)
			if err != nil || s.rank < 0 {
				return bad("rank " + strconv.Quote(value))
			}
		case i > 0 && has && key == "factor" && s.kind == permanent:
			s.factor, err = strconv.ParseFloat(value, 64)
			if err != nil || !(s.factor >= 1 && s.factor <= 1e6) {
				return bad("factor " + strconv.Quote(value) + " is not from 1 to 1e6")
			}
		case i > 0 && has && key == "p" && s.kind == random:
			s.p, err = strconv.ParseFloat(value, 64)
			if err != nil || !(s.p >= 0 && s.p <= 1) {
				return bad("p " + strconv.Quote(value) + " is not from 0 to 1")
			}
		case i > 0 && has && key == "delay":
			s.delay, err = time.ParseDuration(value)
			if err != nil || s.delay < 0 || s.delay > maxDelay {
				return bad("delay " + strconv.Quote(value))
			}
		default:
			return bad(strconv.Quote(part) + " is not known here")
		}
	}
	switch {
	case s.kind == permanent && seen["factor"] == seen["delay"]:
		return bad("one of factor and delay")
	case s.kind != permanent && !seen["delay"]:
		return bad("no delay")
	case s.kind == random && !seen["p"]:
		return bad("no p")
	}
	return s, nil
}

// Delay returns how much longer a worker of a rank takes for a clock that took
// it busy. Workers of a rank straggle together.
func (s Straggle) Delay(rank, ranks int, c Clock, seed uint64, busy time.Duration) time.Duration {
	switch s.kind {
	case permanent:
		if rank != s.rank {
			return 0
		}
		if s.factor > 0 {
			return time.Duration(min((s.factor-1)*float64(max(busy, 0)), float64(maxDelay)))
		}
		return s.delay
	case rotating:
		if int64(c)%int64(ranks) == int64(rank) {
			return s.delay
		}
	case random:
		x := mix(mix(mix(seed)^uint64(rank)) ^ uint64(c))
		if float64(x>>11)/(1<<53) < s.p {
			return s.delay
		}
	}
	return 0
}

// String returns text that ParseStraggle reads.
func (s Straggle) String() string {
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	switch s.kind {
	case permanent:
		if s.factor > 0 {
			return "rank=" + strconv.Itoa(s.rank) + ",factor=" + number(s.factor)
		}
		return "rank=" + strconv.Itoa(s.rank) + ",delay=" + s.delay.String()
	case rotating:
		return "rotate,delay=" + s.delay.String()
	case random:
		return "random,p=" + number(s.p) + ",delay=" + s.delay.String()
	}
	return ""
}

// mix is the finaliser of splitmix64 (Steele et al., OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
