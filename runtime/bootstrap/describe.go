package bootstrap

import (
	"strconv"
	"strings"
	"time"
)

// Describe says in a line, for people, what s does, such as
//
//	every link: 1 Gbit/s, 1 ms; link 0–3: 10 Mbit/s, 20 ms ± 2 ms, down from 5 s for 2 s
//
// and nothing for the zero Emulation.
func (s Emulation) Describe() string {
	var clauses []string
	for _, c := range s.Clauses {
		clauses = append(clauses, describePairs(c.Pairs)+": "+c.Link.Describe())
	}
	return strings.Join(clauses, "; ")
}

// Describe says, for people, how the link is slowed.
func (l Link) Describe() string {
	var parts []string
	if l.Rate > 0 {
		parts = append(parts, describeRate(l.Rate))
	}
	switch {
	case l.Jitter > 0:
		parts = append(parts, describeTime(l.Delay)+" ± "+describeTime(l.Jitter))
	case l.Delay > 0:
		parts = append(parts, describeTime(l.Delay))
	}
	if d := l.Down; d.For > 0 {
		part := "down from " + describeTime(d.After) + " for " + describeTime(d.For)
		if d.Every > 0 {
			part += ", again every " + describeTime(d.Every)
		}
		parts = append(parts, part)
	}
	if parts == nil {
		return "not slowed"
	}
	return strings.Join(parts, ", ")
}

// shownPairs is how many pairs a description lists.
const shownPairs = 8

func describePairs(pairs [][2]int) string {
	if len(pairs) == 0 {
		return "every link"
	}
	var all []string
	for i, p := range pairs {
		switch {
		case i == shownPairs:
			all = append(all, "and "+strconv.Itoa(len(pairs)-i)+" more")
		case i > shownPairs:
		case p[1] == AnyRank:
			all = append(all, strconv.Itoa(p[0])+"–any")
		default:
			all = append(all, strconv.Itoa(p[0])+"–"+strconv.Itoa(p[1]))
		}
	}
	if len(pairs) == 1 && pairs[0][1] == AnyRank {
		return "links of rank " + strconv.Itoa(pairs[0][0])
	}
	if len(pairs) == 1 {
		return "link " + all[0]
	}
	return "links " + strings.Join(all, ", ")
}

func describeRate(x float64) string {
	switch {
	case x >= 1e9:
		return describeNumber(x/1e9) + " Gbit/s"
	case x >= 1e6:
		return describeNumber(x/1e6) + " Mbit/s"
	case x >= 1e3:
		return describeNumber(x/1e3) + " kbit/s"
	}
	return describeNumber(x) + " bit/s"
}

func describeTime(d time.Duration) string {
	switch {
	case d == 0 || d >= time.Second:
		return describeNumber(d.Seconds()) + " s"
	case d >= 100*time.Microsecond:
		return describeNumber(float64(d)/1e6) + " ms"
	case d >= time.Microsecond:
		return describeNumber(float64(d)/1e3) + " µs"
	}
	return strconv.FormatInt(int64(d), 10) + " ns"
}

// describeNumber keeps six digits.
func describeNumber(x float64) string {
	short, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 6, 64), 64)
	if err != nil {
		short = x
	}
	return strconv.FormatFloat(short, 'f', -1, 64)
}
