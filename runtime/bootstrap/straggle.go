package bootstrap

import (
	"strconv"
	"strings"
	"time"

	"github.com/pkg/errors"
)

// Straggle says which workers are slowed, for experiments. The zero value
// slows none.
type Straggle struct {
	Kind   Straggler
	Rank   int           // of OneRank
	Factor float64       // of OneRank, how many times as long it computes; 0: Delay instead
	Delay  time.Duration // how much longer a slow worker takes for a clock
	P      float64       // of Random, the probability
}

// Straggler is a rule for who is slow.
type Straggler uint8

// Values of Straggler.
const (
	Nobody   Straggler = iota
	OneRank            // the same rank at every clock
	Rotating           // at clock c, rank c modulo the ranks
	Random             // any rank at any clock, with a probability
)

// MaxStraggle is the longest delay of a clock.
const MaxStraggle = 24 * time.Hour

// ParseStraggle reads what -straggle takes:
//
//	rank=1,factor=4       rank 1 computes 4 times as long
//	rank=1,delay=200ms    rank 1 computes 200 ms longer in every clock
//	rotate,delay=200ms    at clock c, rank c modulo the ranks
//	random,p=0.05,delay=200ms  any rank at any clock, with probability p
//
// The empty text is Nobody.
func ParseStraggle(text string) (Straggle, error) {
	bad := func(why string) (Straggle, error) {
		return Straggle{}, errors.Errorf("straggle %q: %s; expected rank=R,factor=F or rank=R,delay=D or rotate,delay=D or random,p=P,delay=D", text, why)
	}
	var s Straggle
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
			s.Kind = Rotating
		case i == 0 && !has && key == "random":
			s.Kind = Random
		case i == 0 && has && key == "rank":
			s.Kind = OneRank
			s.Rank, err = strconv.Atoi(value)
			if err != nil || s.Rank < 0 {
				return bad("rank " + strconv.Quote(value))
			}
		case i > 0 && has && key == "factor" && s.Kind == OneRank:
			s.Factor, err = strconv.ParseFloat(value, 64)
			if err != nil || !(s.Factor >= 1 && s.Factor <= 1e6) {
				return bad("factor " + strconv.Quote(value) + " is not from 1 to 1e6")
			}
		case i > 0 && has && key == "p" && s.Kind == Random:
			s.P, err = strconv.ParseFloat(value, 64)
			if err != nil || !(s.P >= 0 && s.P <= 1) {
				return bad("p " + strconv.Quote(value) + " is not from 0 to 1")
			}
		case i > 0 && has && key == "delay":
			s.Delay, err = time.ParseDuration(value)
			if err != nil || s.Delay < 0 || s.Delay > MaxStraggle {
				return bad("delay " + strconv.Quote(value))
			}
		default:
			return bad(strconv.Quote(part) + " is not known here")
		}
	}
	switch {
	case s.Kind == OneRank && seen["factor"] == seen["delay"]:
		return bad("one of factor and delay")
	case s.Kind != OneRank && !seen["delay"]:
		return bad("no delay")
	case s.Kind == Random && !seen["p"]:
		return bad("no p")
	}
	return s, nil
}

// String returns text that ParseStraggle reads.
func (s Straggle) String() string {
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	switch s.Kind {
	case OneRank:
		if s.Factor > 0 {
			return "rank=" + strconv.Itoa(s.Rank) + ",factor=" + number(s.Factor)
		}
		return "rank=" + strconv.Itoa(s.Rank) + ",delay=" + s.Delay.String()
	case Rotating:
		return "rotate,delay=" + s.Delay.String()
	case Random:
		return "random,p=" + number(s.P) + ",delay=" + s.Delay.String()
	}
	return ""
}

// Validate checks the rank that s names against those of a job.
func (s Straggle) Validate(size int) error {
	if s.Kind == OneRank && s.Rank >= size {
		return errors.Errorf("straggle: rank %d does not exist, the ranks are 0 to %d", s.Rank, size-1)
	}
	return nil
}
