package bootstrap

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/errors"
)

// Limits of an emulation, which also keep the arithmetic exact.
const (
	maxRate         = 1e12 // bits a second
	maxNetworkDelay = time.Minute
	maxPairs        = 1 << 16
)

// Emulation says how the links between ranks are slowed, for experiments. The
// zero value leaves them as they are.
type Emulation struct {
	Rate   float64       // bits a second that leave a rank for each peer; 0: as fast as the network
	Delay  time.Duration // that a frame takes longer
	Jitter time.Duration // a frame's delay is up to this much shorter or longer; frames never overtake
	Pairs  [][2]int      // the links that are slow, lower rank first; none: all
}

// ParseEmulation reads what -emulate takes: parts key=value with commas between,
//
//	rate=100mbit    bit, kbit, mbit or gbit (powers of 1000) a second
//	delay=2ms       a duration
//	jitter=0.5ms    a duration, at most the delay
//	pairs=0-3,1-2   pairs of ranks whose link is slow, in both directions
//
// each at most once. The empty text is the zero Emulation.
func ParseEmulation(text string) (Emulation, error) {
	var s Emulation
	if text == "" {
		return s, nil
	}
	seen := map[string]bool{}
	key := ""
	for part := range strings.SplitSeq(text, ",") {
		k, value, found := strings.Cut(part, "=")
		switch {
		case found && seen[k]:
			return Emulation{}, errors.Errorf("emulate: %s is given twice", k)
		case found:
			key, seen[k] = k, true
		case key == "pairs":
			value = part // one more pair
		default:
			return Emulation{}, errors.Errorf("emulate: %q is not of the form key=value", part)
		}
		var err error
		switch key {
		case "rate":
			s.Rate, err = parseRate(value)
		case "delay":
			s.Delay, err = parseNetworkDelay(value)
		case "jitter":
			s.Jitter, err = parseNetworkDelay(value)
		case "pairs":
			var p [2]int
			if p, err = parsePair(value); err == nil {
				if len(s.Pairs) == maxPairs {
					return Emulation{}, errors.New("emulate: too many pairs")
				}
				s.Pairs = append(s.Pairs, p)
			}
		default:
			return Emulation{}, errors.Errorf("emulate: unknown key %q: want rate, delay, jitter or pairs", key)
		}
		if err != nil {
			return Emulation{}, errors.WithMessagef(err, "emulate: %s", key)
		}
	}
	if s.Jitter > s.Delay {
		return Emulation{}, errors.Errorf("emulate: jitter %v is more than the delay %v", s.Jitter, s.Delay)
	}
	if s.Rate == 0 && s.Delay == 0 {
		return Emulation{}, errors.New("emulate: neither rate nor delay is given")
	}
	return s, nil
}

// String is the text that ParseEmulation reads as s.
func (s Emulation) String() string {
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
func (s Emulation) Validate(size int) error {
	for _, p := range s.Pairs {
		if p[1] >= size {
			return errors.Errorf("emulate: pairs: rank %d does not exist, the ranks are 0 to %d", p[1], size-1)
		}
	}
	return nil
}

// Slows reports whether the link of two ranks is slow.
func (s Emulation) Slows(a, b int) bool {
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

func parseNetworkDelay(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.Errorf("%q is not a duration such as 2ms", text)
	}
	if d < 0 || d > maxNetworkDelay {
		return 0, errors.Errorf("%v is not between 0 and %v", d, maxNetworkDelay)
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
