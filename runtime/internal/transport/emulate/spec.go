// Package emulate makes a network slower: it wraps a transport and delays and
// paces what a rank sends. Experiments that need a slow network run with it on
// any machine.
package emulate

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/errors"
)

// Limits of a specification, which also keep the arithmetic exact.
const (
	maxRate  = 1e12 // bits a second
	maxDelay = time.Minute
	maxPairs = 1 << 16
)

// Spec says how links are slowed. The zero value leaves them as they are.
type Spec struct {
	Rate   float64       // bits a second that leave a rank for each peer; 0: as fast as the network
	Delay  time.Duration // that a frame takes longer
	Jitter time.Duration // a frame's delay is up to this much shorter or longer; frames never overtake
	Pairs  [][2]int      // the links that are slow, lower rank first; none: all
}

// Parse reads a specification: parts key=value with commas between,
//
//	rate=100mbit    bit, kbit, mbit or gbit (powers of 1000) a second
//	delay=2ms       a duration
//	jitter=0.5ms    a duration, at most the delay
//	pairs=0-3,1-2   pairs of ranks whose link is slow, in both directions
//
// each at most once. The empty text is the zero Spec.
func Parse(text string) (Spec, error) {
	var s Spec
	if text == "" {
		return s, nil
	}
	seen := map[string]bool{}
	key := ""
	for part := range strings.SplitSeq(text, ",") {
		k, value, found := strings.Cut(part, "=")
		switch {
		case found && seen[k]:
			return Spec{}, errors.Errorf("emulate: %s is given twice", k)
		case found:
			key, seen[k] = k, true
		case key == "pairs":
			value = part // one more pair
		default:
			return Spec{}, errors.Errorf("emulate: %q is not of the form key=value", part)
		}
		var err error
		switch key {
		case "rate":
			s.Rate, err = parseRate(value)
		case "delay":
			s.Delay, err = parseDelay(value)
		case "jitter":
			s.Jitter, err = parseDelay(value)
		case "pairs":
			var p [2]int
			if p, err = parsePair(value); err == nil {
				if len(s.Pairs) == maxPairs {
					return Spec{}, errors.New("emulate: too many pairs")
				}
				s.Pairs = append(s.Pairs, p)
			}
		default:
			return Spec{}, errors.Errorf("emulate: unknown key %q: want rate, delay, jitter or pairs", key)
		}
		if err != nil {
			return Spec{}, errors.WithMessagef(err, "emulate: %s", key)
		}
	}
	if s.Jitter > s.Delay {
		return Spec{}, errors.Errorf("emulate: jitter %v is more than the delay %v", s.Jitter, s.Delay)
	}
	if s.Rate == 0 && s.Delay == 0 {
		return Spec{}, errors.New("emulate: neither rate nor delay is given")
	}
	return s, nil
}

// String is the text that Parse reads as s.
func (s Spec) String() string {
	var parts []string
	if s.Rate != 0 {
		parts = append(parts, "rate="+strconv.FormatFloat(s.Rate, 'f', -1, 64)+"bit")
	}
	if s.Delay != 0 {
		parts = append(parts, "delay="+s.Delay.String())
	}
	if s.Jitter != 0 {
		parts = append(parts, "jitter="+s.Jitter.String())
	}
	for i, p := range s.Pairs {
		pair := strconv.Itoa(p[0]) + "-" + strconv.Itoa(p[1])
		if i == 0 {
			pair = "pairs=" + pair
		}
		parts = append(parts, pair)
	}
	return strings.Join(parts, ",")
}

// Validate checks the ranks that s names against those of a job.
func (s Spec) Validate(size int) error {
	for _, p := range s.Pairs {
		if p[1] >= size {
			return errors.Errorf("emulate: pairs: rank %d does not exist, the ranks are 0 to %d", p[1], size-1)
		}
	}
	return nil
}

// slows reports whether the link of two ranks is slow.
func (s Spec) slows(a, b int) bool {
	if a == b || s.Rate == 0 && s.Delay == 0 {
		return false
	}
	for _, p := range s.Pairs {
		if p == [2]int{min(a, b), max(a, b)} {
			return true
		}
	}
	return len(s.Pairs) == 0
}

func parseRate(text string) (float64, error) {
	units := []struct {
		name  string
		scale float64
	}{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}
	for _, u := range units {
		number, found := strings.CutSuffix(text, u.name)
		if !found {
			continue
		}
		x, err := strconv.ParseFloat(number, 64)
		if err != nil || math.IsNaN(x) || x*u.scale < 1 || x*u.scale > maxRate {
			return 0, errors.Errorf("%q is not a rate from 1bit to 1000gbit", text)
		}
		return x * u.scale, nil
	}
	return 0, errors.Errorf("%q has no unit: want bit, kbit, mbit or gbit", text)
}

func parseDelay(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.Errorf("%q is not a duration such as 2ms", text)
	}
	if d < 0 || d > maxDelay {
		return 0, errors.Errorf("%v is not between 0 and %v", d, maxDelay)
	}
	return d, nil
}

func parsePair(text string) ([2]int, error) {
	a, b, found := strings.Cut(text, "-")
	x, errX := strconv.ParseUint(a, 10, 31)
	y, errY := strconv.ParseUint(b, 10, 31)
	if !found || errX != nil || errY != nil {
		return [2]int{}, errors.Errorf("%q is not a pair of ranks such as 0-3", text)
	}
	if x == y {
		return [2]int{}, errors.Errorf("%q: a rank has no link to itself", text)
	}
	return [2]int{int(min(x, y)), int(max(x, y))}, nil
}
