package bootstrap

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/errors"
)

// Limits of an emulation, which also keep the arithmetic exact.
const (
	maxRate         = 1e12 // bits a second
	maxNetworkDelay = time.Minute
	maxOutage       = 24 * time.Hour // of each time in an Outage
	maxPairs        = 1 << 16
)

// AnyRank stands in a pair of ranks for every other one.
const AnyRank = -1

// Emulation says how the links between ranks are slowed, for experiments. The
// zero value leaves them as they are.
//
// A link has two directions, each with a rate and a queue of its own. What is
// slowed are the frames of the runtime, with their headers (32 bytes) but
// without those of TCP and IP. Each leaves when those before it have, at the
// rate, and arrives the delay later; frames of a direction never overtake each
// other. A sender has to wait, beyond what the runtime itself makes it wait
// for, when 256 KiB are on their way out. A rank's messages to itself are not
// slowed, nor is the word that the job has failed. All is on top of the network
// there is, which takes its own time.
//
// On Linux, where ranks have a core to run on and the network below is fast
// enough, rates up to 1 Gbit/s are met within 5 % and delays within 0.3 ms, as
// messages see them: a frame is late by what it takes to wake its sender, never
// early.
type Emulation struct {
	Clauses []Clause // of those that hold for a link, the last counts
}

// Clause says how some links are slowed.
type Clause struct {
	Link
	Pairs [][2]int // whose links these are: lower rank first, AnyRank second; none: all links
}

// Link says how each direction of a link is slowed.
type Link struct {
	Rate   float64       // bits a second that leave; 0: as fast as the network
	Delay  time.Duration // that a frame takes longer
	Jitter time.Duration // a frame's delay is up to this much shorter or longer
	Down   Outage        // when nothing leaves
}

// Outage says when a link is down. Frames wait until it is back, as those of a
// TCP connection do, and what has left before arrives. The zero value is never.
type Outage struct {
	After time.Duration // that it begins after the ranks have joined
	For   time.Duration // that it lasts
	Every time.Duration // from its beginning to the next one's; 0: there is one only
}

// ParseEmulation reads what -emulate takes: clauses with semicolons between,
// each of parts key=value with commas between,
//
//	rate=100mbit    bit, kbit, mbit or gbit (powers of 1000) a second
//	delay=2ms       a duration
//	jitter=0.5ms    a duration, at most the delay
//	down=5s+2s/30s  5 s after the ranks have joined, for 2 s; /30s: and every 30 s again
//	pairs=0-3,1-2   pairs of ranks whose link is slow, in both directions; 2-*: all links of rank 2
//
// each at most once in a clause. The first clause holds for all links unless it
// names pairs. A later one names the pairs for which it holds instead, whole.
// The empty text is the zero Emulation.
func ParseEmulation(text string) (Emulation, error) {
	var s Emulation
	if text == "" {
		return s, nil
	}
	clauses := strings.Split(text, ";")
	pairs := 0
	for i, clause := range clauses {
		c, err := parseClause(strings.TrimSpace(clause))
		pairs += len(c.Pairs)
		switch {
		case err != nil:
		case i == 0 && c.Link == Link{}:
			err = errors.New("it slows nothing: give a rate, a delay or when the link is down")
		case i > 0 && len(c.Pairs) == 0:
			err = errors.New("no pairs: only the first clause can be for all links")
		case pairs > maxPairs:
			err = errors.New("too many pairs")
		}
		if err != nil {
			if len(clauses) > 1 {
				err = errors.WithMessagef(err, "clause %d", i+1)
			}
			return Emulation{}, errors.WithMessage(err, "emulate")
		}
		s.Clauses = append(s.Clauses, c)
	}
	return s, nil
}

func parseClause(text string) (c Clause, err error) {
	if text == "" {
		return c, errors.New("empty")
	}
	seen := map[string]bool{}
	key := ""
	for part := range strings.SplitSeq(text, ",") {
		k, value, found := strings.Cut(part, "=")
		switch {
		case found && seen[k]:
			return c, errors.Errorf("%s is given twice", k)
		case found:
			key, seen[k] = k, true
		case key == "pairs":
			value = part // one more pair
		default:
			return c, errors.Errorf("%q is not of the form key=value", part)
		}
		switch key {
		case "rate":
			c.Rate, err = ParseRate(value)
		case "delay":
			c.Delay, err = parseNetworkDelay(value)
		case "jitter":
			c.Jitter, err = parseNetworkDelay(value)
		case "down":
			c.Down, err = parseOutage(value)
		case "pairs":
			var p [2]int
			p, err = parsePair(value)
			c.Pairs = append(c.Pairs, p)
		default:
			return c, errors.Errorf("unknown key %q: want rate, delay, jitter, down or pairs", key)
		}
		if err != nil {
			return c, errors.WithMessage(err, key)
		}
	}
	if c.Jitter > c.Delay {
		return c, errors.Errorf("jitter %v is more than the delay %v", c.Jitter, c.Delay)
	}
	if !seen["rate"] && !seen["delay"] && !seen["down"] {
		return c, errors.New("neither rate nor delay nor down is given")
	}
	return c, nil
}

// String is the text that ParseEmulation reads as s.
func (s Emulation) String() string {
	var clauses []string
	for _, c := range s.Clauses {
		var parts []string
		if c.Rate != 0 {
			parts = append(parts, "rate="+strconv.FormatFloat(c.Rate, 'f', -1, 64)+"bit")
		}
		if c.Delay != 0 || c.Link == (Link{}) {
			parts = append(parts, "delay="+c.Delay.String())
		}
		if c.Jitter != 0 {
			parts = append(parts, "jitter="+c.Jitter.String())
		}
		if d := c.Down; d.For != 0 {
			part := "down=" + d.After.String() + "+" + d.For.String()
			if d.Every != 0 {
				part += "/" + d.Every.String()
			}
			parts = append(parts, part)
		}
		for i, p := range c.Pairs {
			pair := strconv.Itoa(p[0]) + "-*"
			if p[1] != AnyRank {
				pair = strconv.Itoa(p[0]) + "-" + strconv.Itoa(p[1])
			}
			if i == 0 {
				pair = "pairs=" + pair
			}
			parts = append(parts, pair)
		}
		clauses = append(clauses, strings.Join(parts, ","))
	}
	return strings.Join(clauses, ";")
}

// Validate checks the ranks that s names against those of a job.
func (s Emulation) Validate(size int) error {
	for _, c := range s.Clauses {
		for _, p := range c.Pairs {
			if rank := max(p[0], p[1]); rank >= size {
				return errors.Errorf("emulate: pairs: rank %d does not exist, the ranks are 0 to %d", rank, size-1)
			}
		}
	}
	return nil
}

// Link returns how the link of two ranks is slowed; the zero value when it is
// not.
func (s Emulation) Link(a, b int) Link {
	if a == b {
		return Link{}
	}
	for _, c := range slices.Backward(s.Clauses) {
		if len(c.Pairs) == 0 {
			return c.Link
		}
		for _, p := range c.Pairs {
			if p == [2]int{min(a, b), max(a, b)} || p[1] == AnyRank && (p[0] == a || p[0] == b) {
				return c.Link
			}
		}
	}
	return Link{}
}

// RateOf returns the bits a second that the link of two ranks takes in each
// direction, 0 when that is not limited.
func (s Emulation) RateOf(a, b int) float64 { return s.Link(a, b).Rate }

// ParseRate reads a rate in bits a second: a number with bit, kbit, mbit or gbit
// (powers of 1000), from 1bit to 1000gbit.
func ParseRate(text string) (float64, error) {
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
	return parseTime(text, maxNetworkDelay)
}

// parseTime reads a duration from 0 to limit.
func parseTime(text string, limit time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.Errorf("%q is not a duration such as 2ms", text)
	}
	if d < 0 || d > limit {
		return 0, errors.Errorf("%v is not between 0 and %v", d, limit)
	}
	return d, nil
}

func parseOutage(text string) (o Outage, err error) {
	after, rest, found := strings.Cut(text, "+")
	length, every, again := strings.Cut(rest, "/")
	if !found {
		return o, errors.Errorf("%q is not of the form 5s+2s, beginning and length, or 5s+2s/30s", text)
	}
	if o.After, err = parseTime(after, maxOutage); err != nil {
		return o, err
	}
	if o.For, err = parseTime(length, maxOutage); err != nil {
		return o, err
	}
	if o.For == 0 {
		return o, errors.Errorf("%q lasts no time", text)
	}
	if again {
		if o.Every, err = parseTime(every, maxOutage); err != nil {
			return o, err
		}
		if o.Every <= o.For {
			return o, errors.Errorf("%q is never up again: every %v it is down for %v", text, o.Every, o.For)
		}
	}
	return o, nil
}

func parsePair(text string) ([2]int, error) {
	a, b, found := strings.Cut(text, "-")
	if a == "*" {
		a, b = b, a
	}
	x, errX := strconv.ParseUint(a, 10, 31)
	if found && errX == nil && b == "*" {
		return [2]int{int(x), AnyRank}, nil
	}
	y, errY := strconv.ParseUint(b, 10, 31)
	if !found || errX != nil || errY != nil {
		return [2]int{}, errors.Errorf("%q is not a pair of ranks such as 0-3, or 2-* for all links of rank 2", text)
	}
	if x == y {
		return [2]int{}, errors.Errorf("%q: a rank has no link to itself", text)
	}
	return [2]int{int(min(x, y)), int(max(x, y))}, nil
}
