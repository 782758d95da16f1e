package filter

import "math"

// Order says which rows leave first when bytes are short.
type Order uint8

// The orders. Those by magnitude go by Candidate.Max, which is the caller's.
const (
	Unordered Order = iota // there is no budget
	Relative
	Magnitude
	FIFO
	Random
)

// Queue is scratch of Spend: rows in buckets of about equal importance.
type Queue struct {
	head, tail [buckets]int32 // 1 + index of a candidate; 0: none
	next       []int32        // by candidate
	high       int            // no bucket above is in use
}

const (
	perOctave = 4 // buckets: importance is told apart by 1/4 of an octave
	lowest    = -64
	buckets   = 128 * perOctave
)

// Spend decides which candidates leave with the updates of a clock: those that
// are due, those that cost nothing, and of the others the most important first
// until allowed bytes are used up. It returns the bytes of both, and whether
// rows stay for want of bytes.
func (r Rule) Spend(cands []Candidate, clock, allowed int64, q *Queue) (must, may int64, short bool) {
	for b := range q.high {
		q.head[b] = 0
	}
	q.high = 0
	if len(q.next) < len(cands) {
		q.next = make([]int32, len(cands)+len(cands)/2)
	}
	for i := range cands {
		c := &cands[i]
		c.Leave = c.Bytes == 0 || r.Due(c.Since, clock)
		if c.Leave {
			must += int64(c.Bytes)
			continue
		}
		b := r.bucket(c, clock)
		q.next[i] = 0
		if q.head[b] == 0 {
			q.head[b] = int32(i) + 1
		} else {
			q.next[q.tail[b]-1] = int32(i) + 1
		}
		q.tail[b] = int32(i) + 1
		q.high = max(q.high, b+1)
	}
	allowed -= must
	for b := q.high - 1; b >= 0; b-- {
		for i := q.head[b]; i != 0; i = q.next[i-1] {
			c := &cands[i-1]
			if allowed < int64(c.Bytes) {
				return must, may, true
			}
			allowed -= int64(c.Bytes)
			may += int64(c.Bytes)
			c.Leave = true
		}
	}
	return must, may, false
}

// bucket is higher for rows that leave sooner.
func (r Rule) bucket(c *Candidate, clock int64) int {
	switch r.Order {
	case FIFO:
		return int(min(max(0, clock-c.Since), buckets-1))
	case Random:
		return int(mix(r.Seed^mix(uint64(c.Row)^mix(uint64(clock)))) % buckets)
	}
	if c.Max != c.Max {
		return buckets - 1 // a number that is none must not hide
	}
	// Exponent and the first bits of the fraction increase with the number.
	at := int64(math.Float64bits(math.Abs(c.Max))>>50) - (1023+lowest)*perOctave
	return int(min(max(0, at), buckets-1))
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
