package shard

import (
	"math"
	"math/bits"

	"github.com/sspurn/sspurn/ssp/internal/clock"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/filter"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// pace is what an owner announces that pushes rows later than they change: its
// clock, and how many of a subscriber's batches, as far as no row waits that they
// have changed. Rows wait in the order of the batches that changed them first.
type pace struct {
	on      bool  // rows of some table may wait
	lag     int64 // clocks that the announced one is behind at most
	clock   int64 // announced
	rises   []rise
	batches [][]applied // by sender
	upto    []uint64    // by sender: the version announced
}

// rise is the minimum after so many batches, applied the version of a sender's.
type (
	rise    struct{ count, clock uint64 }
	applied struct{ count, version uint64 }
)

// repace looks at what tables let wait. Those that are pushed at once set the
// pace for all, as a push has one clock.
func (s *Shard[R]) repace() {
	p := &s.pace
	p.on, p.lag = false, math.MaxInt64
	for _, t := range s.tables {
		if lag := t.lag(); lag > 0 {
			p.on = true
			p.lag = min(p.lag, lag)
		} else if t.pushed() {
			p.lag = 0
		}
	}
	if p.on && p.batches == nil {
		p.batches, p.upto = make([][]applied, len(s.senders)), make([]uint64, len(s.senders))
	}
	if p.on {
		s.announceAll()
	}
}

// announceAll makes all that has changed leave with the next pushes.
func (s *Shard[R]) announceAll() {
	p := &s.pace
	for _, t := range s.tables {
		t.release(s.count, 0)
	}
	p.clock, p.rises = s.clocks.Min(), p.rises[:0]
	for r := range p.batches {
		p.batches[r], p.upto[r] = p.batches[r][:0], s.senders[r].received
	}
}

// came notes a batch of a rank that has just been applied, rose that the minimum
// has risen since.
func (p *pace) came(rank int, count, version uint64) {
	p.batches[rank] = append(p.batches[rank], applied{count, version})
}

func (p *pace) rose(count uint64, low int64) {
	p.rises = append(p.rises, rise{count, uint64(low)})
}

// due returns the number of batches whose rows must not wait any longer.
func (s *Shard[R]) due() uint64 {
	p := &s.pace
	low := s.clocks.Min()
	if low == clock.Forever {
		return s.count
	}
	if p.clock >= low-p.lag {
		return 0 // what is announced will do
	}
	for _, x := range p.rises {
		if int64(x.clock) >= low-p.lag {
			return x.count
		}
	}
	return 0
}

// Pace lets rows leave with the next pushes that have changed: those that have
// waited long enough and, of the others, the first by their order until allowed
// bytes are used up. It returns about the bytes of all of them, and whether rows
// stay for want of bytes. It must be called when the minimum has risen, and may be
// at any other time.
func (s *Shard[R]) Pace(allowed int64) (bytes int64, short bool) {
	p := &s.pace
	if !p.on {
		return 0, false
	}
	due := s.due()
	for _, t := range s.tables {
		must, may, left := t.release(due, allowed)
		allowed -= must + may
		bytes += must + may
		short = short || left
	}
	s.announce()
	return bytes, short
}

// Paced reports whether Pace is of any use.
func (s *Shard[R]) Paced() bool { return s.pace.on }

// Pending returns about the bytes that are to leave with the next pushes.
func (s *Shard[R]) Pending() (bytes int64) {
	for _, t := range s.tables {
		bytes += t.pending()
	}
	return bytes
}

// announce finds the clock and the versions that may be announced.
func (s *Shard[R]) announce() {
	p := &s.pace
	done := s.count
	for _, t := range s.tables {
		if first := t.oldest(); first > 0 {
			done = min(done, first-1)
		}
	}
	n := 0
	for n < len(p.rises) && p.rises[n].count <= done {
		p.clock = int64(p.rises[n].clock)
		n++
	}
	p.rises = append(p.rises[:0], p.rises[n:]...)
	for r, q := range p.batches {
		n := 0
		for n < len(q) && q[n].count <= done {
			p.upto[r] = q[n].version
			n++
		}
		p.batches[r] = append(q[:0], q[n:]...)
	}
}

// announced returns the clock of the next push to a rank, and how many of its
// batches are in all rows.
func (s *Shard[R]) announced(rank int) (clock int64, version uint64) {
	if !s.pace.on {
		return s.clocks.Min(), s.senders[rank].received
	}
	return s.pace.clock, s.pace.upto[rank]
}

// paced is the rows of a table that have changed and wait.
type paced[T codec.Elem] struct {
	since  []uint64  // by slot: the batch that changed it first, 0: it does not wait
	weight []float64 // by slot: what the changes add up to
	list   []int32   // slots, in the order of since
	bytes  []int64   // by rank: of rows that leave with the next push
	cands  []filter.Candidate
	queue  filter.Queue
}

// lag is 0 for a table whose rows leave as soon as the clock rises.
func (t *Rows[T]) lag() int64 {
	if t.spec.Pace.Order == filter.Unordered {
		return 0
	}
	return t.spec.Pace.Hold
}

func (t *Rows[T]) oldest() uint64 {
	if len(t.paced.list) == 0 {
		return 0
	}
	return t.paced.since[t.paced.list[0]]
}

func (t *Rows[T]) pending() (bytes int64) {
	for _, n := range t.paced.bytes {
		bytes += n
	}
	return bytes
}

// applyPaced adds the change that the decoder holds, by the count-th batch.
func (t *Rows[T]) applyPaced(s int, d *codec.Decoder, count uint64) error {
	if t.lacking(s) == 0 {
		return t.rows.DecodeAdd(s, d)
	}
	t.scratch()
	if err := t.change.Decode(0, d); err != nil {
		return err
	}
	p := &t.paced
	if s >= len(p.since) {
		n := max(s+1, min(2*len(p.since), t.rows.Len()))
		p.since = append(p.since, make([]uint64, n-len(p.since))...)
		p.weight = append(p.weight, make([]float64, n-len(p.weight))...)
	}
	if p.since[s] == 0 {
		p.since[s] = count
		p.list = append(p.list, int32(s))
	}
	switch t.spec.Pace.Order {
	case filter.Relative:
		p.weight[s] += Relative(&t.change, 0, &t.rows, s)
	case filter.Magnitude:
		p.weight[s] += t.change.Max(0)
	}
	t.rows.Add(s, &t.change, 0)
	return nil
}

// lacking returns how many subscribers of a row will not get it with their next
// push.
func (t *Rows[T]) lacking(s int) (n int) {
	at := s * t.words
	if at+t.words > len(t.subs) {
		return 0
	}
	for w := range t.words {
		n += bits.OnesCount64(t.subs[at+w] &^ t.marks[at+w])
	}
	return n
}

// release makes waiting rows leave with the next pushes, as Shard.Pace says: those
// that a batch up to due has changed and others of so many bytes.
func (t *Rows[T]) release(due uint64, allowed int64) (must, may int64, short bool) {
	p := &t.paced
	if len(p.list) == 0 {
		return 0, 0, false
	}
	p.cands = p.cands[:0]
	for _, s := range p.list {
		bytes := t.rows.Travel(int(s), codec.Full) * t.lacking(int(s))
		p.cands = append(p.cands, filter.Candidate{
			Row: t.row(int(s)), Since: int64(p.since[s]), Max: p.weight[s], At: s, Bytes: int32(min(bytes, math.MaxInt32)),
		})
	}
	rule := t.spec.Pace
	rule.Hold = 1 // time is counted in batches here
	must, may, short = rule.Spend(p.cands, int64(due)+1, allowed, &p.queue)
	if p.bytes == nil {
		p.bytes = make([]int64, t.ranks)
	}
	n := 0
	for _, c := range p.cands {
		if !c.Leave {
			p.list[n] = c.At
			n++
			continue
		}
		p.since[c.At], p.weight[c.At] = 0, 0
		t.touch(int(c.At))
	}
	p.list = p.list[:n]
	return must, may, short
}

// Relative is Σ|δ/θ| over the columns of a change and the row that it is to: |δ|
// where θ is 0.
func Relative[T codec.Elem](change *slab.Rows[T], at int, rows *slab.Rows[T], slot int) float64 {
	sum := 0.0
	if !change.Sparse() {
		theta := rows.At(slot)
		for i, delta := range change.At(at) {
			sum += share(delta, theta[i])
		}
		return sum
	}
	cols, vals := change.Entries(at)
	own, x := rows.Entries(slot)
	j := 0
	for i, c := range cols {
		for j < len(own) && own[j] < c {
			j++
		}
		theta := T(0)
		if j < len(own) && own[j] == c {
			theta = x[j]
		}
		sum += share(vals[i], theta)
	}
	return sum
}

func share[T codec.Elem](delta, theta T) float64 {
	if theta == 0 {
		return math.Abs(float64(delta))
	}
	return math.Abs(float64(delta) / float64(theta))
}
