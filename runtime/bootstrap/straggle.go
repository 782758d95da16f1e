package bootstrap

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/errors"
)

// Straggle says which workers are slowed, for experiments: the delays of all
// its stragglers add. None slow nobody.
type Straggle []Straggler

// Straggler is one rule for who is slow, and by how much.
type Straggler struct {
	Kind   StragglerKind
	Ranks  []int         // of Permanent, ascending
	Factor float64       // of Permanent, how many times as long they compute; 0: Delay instead
	Delay  time.Duration // how much longer a slow worker takes for a clock; of Exponential, on average
	P      float64       // of Random, the probability
}

// StragglerKind is how a Straggler chooses.
type StragglerKind uint8

// Values of StragglerKind.
const (
	Permanent   StragglerKind = iota // the same ranks at every clock
	Rotating                         // at clock c, rank c modulo the ranks
	Random                           // any rank at any clock, with a probability
	Exponential                      // every rank at every clock, for a time that is exponentially distributed
)

// MaxStraggle is the longest delay of a clock.
const MaxStraggle = 24 * time.Hour

// ParseStraggle reads what -straggle takes: stragglers with semicolons between,
//
//	rank=1+3,factor=4     ranks 1 and 3 compute 4 times as long
//	rank=1,delay=200ms    rank 1 computes 200 ms longer in every clock
//	rotate,delay=200ms    at clock c, rank c modulo the ranks
//	random,p=0.05,delay=200ms  any rank at any clock, with probability p
//	exp,mean=20ms         every rank at every clock, by an exponentially distributed time
//
// The empty text is nobody.
func ParseStraggle(text string) (Straggle, error) {
	var all Straggle
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ";") {
		s, why := parseStraggler(strings.TrimSpace(part))
		if why != "" {
			return nil, errors.Errorf("straggle %q: %s; expected rank=R,factor=F or rank=R,delay=D or rotate,delay=D or random,p=P,delay=D or exp,mean=D", part, why)
		}
		all = append(all, s)
	}
	return all, nil
}

// parseStraggler returns why text is none.
func parseStraggler(text string) (s Straggler, why string) {
	if text == "" {
		return s, "empty"
	}
	seen := map[string]bool{}
	for i, part := range strings.Split(text, ",") {
		key, value, has := strings.Cut(part, "=")
		if seen[key] {
			return s, "two of " + strconv.Quote(key)
		}
		seen[key] = true
		var err error
		switch {
		case i == 0 && !has && key == "rotate":
			s.Kind = Rotating
		case i == 0 && !has && key == "random":
			s.Kind = Random
		case i == 0 && !has && key == "exp":
			s.Kind = Exponential
		case i == 0 && has && key == "rank":
			if s.Ranks, why = parseRanks(value); why != "" {
				return s, why
			}
		case i > 0 && has && key == "factor" && s.Kind == Permanent:
			s.Factor, err = strconv.ParseFloat(value, 64)
			if err != nil || !(s.Factor >= 1 && s.Factor <= 1e6) {
				return s, "factor " + strconv.Quote(value) + " is not from 1 to 1e6"
			}
		case i > 0 && has && key == "p" && s.Kind == Random:
			s.P, err = strconv.ParseFloat(value, 64)
			if err != nil || !(s.P >= 0 && s.P <= 1) {
				return s, "p " + strconv.Quote(value) + " is not from 0 to 1"
			}
		case i > 0 && has && (key == "delay" && s.Kind != Exponential || key == "mean" && s.Kind == Exponential):
			s.Delay, err = time.ParseDuration(value)
			if err != nil || s.Delay < 0 || s.Delay > MaxStraggle {
				return s, key + " " + strconv.Quote(value) + " is not a duration from 0 to 24h"
			}
		default:
			return s, strconv.Quote(part) + " is not known here"
		}
	}
	switch {
	case s.Kind == Permanent && seen["factor"] == seen["delay"]:
		return s, "one of factor and delay"
	case s.Kind == Random && !seen["p"]:
		return s, "no p"
	case s.Kind == Exponential && !seen["mean"]:
		return s, "no mean"
	case (s.Kind == Rotating || s.Kind == Random) && !seen["delay"]:
		return s, "no delay"
	}
	return s, ""
}

func parseRanks(text string) (ranks []int, why string) {
	for one := range strings.SplitSeq(text, "+") {
		r, err := strconv.ParseUint(one, 10, 31)
		if err != nil {
			return nil, "rank " + strconv.Quote(one) + " is not a number"
		}
		ranks = append(ranks, int(r))
	}
	slices.Sort(ranks)
	if n := len(ranks); len(slices.Compact(ranks)) < n {
		return nil, "two of the same rank"
	}
	return ranks, ""
}

// String returns text that ParseStraggle reads.
func (s Straggle) String() string {
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	var all []string
	for _, s := range s {
		text := ""
		switch s.Kind {
		case Permanent:
			text = "rank=" + joinRanks(s.Ranks, "+")
			if s.Factor > 0 {
				text += ",factor=" + number(s.Factor)
			} else {
				text += ",delay=" + s.Delay.String()
			}
		case Rotating:
			text = "rotate,delay=" + s.Delay.String()
		case Random:
			text = "random,p=" + number(s.P) + ",delay=" + s.Delay.String()
		case Exponential:
			text = "exp,mean=" + s.Delay.String()
		}
		all = append(all, text)
	}
	return strings.Join(all, ";")
}

// Describe says in a line, for people, what s does, such as
//
//	ranks 1, 3 compute 4 times as long; each rank at each clock computes longer, by 20 ms on average (exponential)
//
// and nothing when s slows nobody.
func (s Straggle) Describe() string {
	var all []string
	for _, s := range s {
		text := ""
		switch s.Kind {
		case Permanent:
			text = "rank " + joinRanks(s.Ranks, ", ") + " computes "
			if len(s.Ranks) > 1 {
				text = "ranks " + joinRanks(s.Ranks, ", ") + " compute "
			}
			if s.Factor > 0 {
				text += describeNumber(s.Factor) + " times as long"
			} else {
				text += describeTime(s.Delay) + " longer for each clock"
			}
		case Rotating:
			text = "one rank after the other computes " + describeTime(s.Delay) + " longer for a clock"
		case Random:
			text = "each rank at each clock computes " + describeTime(s.Delay) + " longer with probability " + describeNumber(s.P)
		case Exponential:
			text = "each rank at each clock computes longer, by " + describeTime(s.Delay) + " on average (exponential)"
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// Validate checks the ranks that s names against those of a job.
func (s Straggle) Validate(size int) error {
	for _, s := range s {
		for _, r := range s.Ranks {
			if r >= size {
				return errors.Errorf("straggle: rank %d does not exist, the ranks are 0 to %d", r, size-1)
			}
		}
	}
	return nil
}

func joinRanks(ranks []int, separator string) string {
	var all []string
	for _, r := range ranks {
		all = append(all, strconv.Itoa(r))
	}
	return strings.Join(all, separator)
}
