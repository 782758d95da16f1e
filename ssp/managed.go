package ssp

import (
	"context"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sspurn/sspurn/ssp/internal/filter"
	"github.com/sspurn/sspurn/ssp/internal/oplog"
	"github.com/sspurn/sspurn/ssp/internal/rate"
	"github.com/sspurn/sspurn/ssp/internal/shard"
	"github.com/sspurn/sspurn/ssp/internal/slab"
)

// Managed is ESSP that spends the bandwidth that is left over on the most
// important updates (Wei et al., Managed communication and consistency for fast
// data-parallel iterative analytics, SoCC 2015). At a worker's Clock, the updates
// of a row leave when the oldest of them has waited for a third of s clocks, rounded
// up, whatever the network does; of the other rows those that are first by the
// priority leave, as long as the rank's rate allows. What waits adds up, and is in
// all that the worker itself reads. An owner does the same with the rows that have
// changed, when its clock advances: they wait for a third of s clocks at most, and
// the clock that it announces, by which copies age, is the one up to which all have
// been pushed. The bound of reads is s: copies count what waits as missing, so that
// a read waits for other workers as under ESSP with s less those clocks. In a store
// with tables whose rows are pushed at once, those of all are.
//
// The rate is Config.Bandwidth or, where the network takes less or there is none,
// what it takes: it grows by steps while rows wait and falls by a fifth or more
// when messages are late. All that leaves the rank for the store is charged to it:
// requests, answers, pushes and what had to leave, which it never delays. What is
// not used adds up to a second's worth. Once half of that is there, in long clocks,
// owners push rows that wait between the advances of their clock, too (the paper's
// idle pushes). Updates leave at Clock only, unlike the paper's.
//
// In tables whose Update is not addition nothing waits. It panics unless
// 0 <= s <= 2³⁰ and first is one of the priorities.
func Managed(s int, first Priority) Policy {
	if int(first) >= len(priorities) {
		panic("ssp: priority " + strconv.Itoa(int(first)))
	}
	p := bounded(managed, s)
	p.first = first
	return p
}

// Priority says which updates leave first under Managed.
type Priority uint8

// Of a row, δ is the sum of its updates that wait and θ the worker's copy.
const (
	RelativeMagnitude Priority = iota // Σ|δ/θ| over the columns; |δ| where θ is 0 or was never read
	Magnitude                         // the largest |δ|
	FIFO                              // the row whose oldest update has waited longest
	Random                            // by Config.Seed, anew each clock
)

var priorities = [...]struct {
	name  string
	order filter.Order
}{{"relmag", filter.Relative}, {"mag", filter.Magnitude}, {"fifo", filter.FIFO}, {"random", filter.Random}}

const managedUsage = "managed:S[,relmag|mag|fifo|random]"

func parseManaged(a *arguments) (Policy, error) {
	if len(a.list) > 2 {
		return Policy{}, a.fail("expected %s", managedUsage)
	}
	s, err := a.bound(0)
	if err != nil {
		return Policy{}, err
	}
	if len(a.list) < 2 {
		return Managed(int(s), RelativeMagnitude), nil
	}
	for i, p := range priorities {
		if p.name == a.list[1] {
			return Managed(int(s), Priority(i)), nil
		}
	}
	return Policy{}, a.fail("priority %q: expected relmag, mag, fifo or random", a.list[1])
}

func managedArgs(p Policy) string {
	if p.first == RelativeMagnitude {
		return staleness(p)
	}
	return staleness(p) + "," + priorities[p.first].name
}

// order is how rows leave that wait under the policy.
func (p Policy) order() filter.Order {
	if p.kind != managed {
		return filter.Unordered
	}
	return priorities[p.first].order
}

// keeper names what keeps updates back.
func (t *Table[T]) keeper() string {
	if t.rule.Order != filter.Unordered {
		return t.spec.Policy.String()
	}
	return "the filter " + t.spec.Filter.String()
}

// budget is the bytes that the workers of a rank share. It does nothing as long as
// no table wants it.
type budget struct {
	tables    atomic.Int32 // that want it
	voluntary atomic.Int64 // about the bytes that were let leave
	pushing   atomic.Int64 // about the bytes that are to leave with the next pushes

	waiting chan struct{} // wakes idle; nil: no table of the store lets rows wait

	mu       sync.Mutex
	limit    *rate.Limiter
	charged  int64 // bytes of the links
	promised []promise

	// What a promised byte costs in the end: less where rows encode well, more for
	// what is around them.
	cost, est float64 // sums of both that fade
	last      int64   // charged, when cost was added to
}

// fade is the weight of what was before, from clock to clock.
const fade = 0.95

// promise is about the bytes of updates that are to leave with a clock.
type promise struct{ clock, bytes int64 }

// now is the time for the limiter.
func (s *Store) now(t time.Time) int64 { return int64(t.Sub(s.start)) }

// charge takes out of the bucket what has left since it was last looked at, with mu.
func (b *budget) charge(s *Store, now int64) {
	total := int64(0)
	for i := range s.links {
		l := &s.links[i]
		total += l.updates.Load() + l.fetches.Load() + l.pushed.Load() + l.control.Load()
	}
	b.limit.Charge(now, total-b.charged)
	b.charged = total
}

// allowed returns the bytes that the workers may send now, or the owner push: each
// takes half of what there is and leaves the rest, so that neither gets all.
func (b *budget) allowed(s *Store) int64 {
	now := s.now(time.Now())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.charge(s, now)
	n := float64(b.limit.Allowed(now))
	if b.est > 0 && b.cost > 0 {
		n *= b.est / b.cost
	}
	for _, p := range b.promised {
		n -= float64(p.bytes)
	}
	n -= float64(b.pushing.Load())
	return int64(max(0, min(n/2, 1<<50)))
}

// pace lets rows of this rank leave with the next pushes, with s.mu. It returns
// whether any do; those that stay wait for the rank to be idle.
func (s *Store) pace() (released bool) {
	b := &s.budget
	bytes, short := s.shard.Pace(b.allowed(s))
	b.pushing.Store(s.shard.Pending())
	b.mu.Lock()
	defer b.mu.Unlock()
	if short {
		b.limit.Short()
		select {
		case b.waiting <- struct{}{}:
		default:
		}
	}
	b.est += float64(bytes)
	return bytes > 0
}

// promise notes what was decided.
func (b *budget) promise(clock int64, spent oplog.Spent) {
	b.voluntary.Add(spent.May)
	b.mu.Lock()
	defer b.mu.Unlock()
	if spent.Short {
		b.limit.Short()
	}
	if spent.Bytes > 0 {
		b.promised = append(b.promised, promise{clock, spent.Bytes})
	}
}

// left says that all updates up to a clock have left: the links count them now.
func (b *budget) left(s *Store, clock int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.charge(s, s.now(time.Now()))
	b.cost, b.est = fade*b.cost+float64(b.charged-b.last), fade*b.est
	b.last = b.charged
	n := 0
	for _, p := range b.promised {
		if p.clock > clock {
			b.promised[n] = p
			n++
			continue
		}
		b.est += float64(p.bytes)
	}
	b.promised = b.promised[:n]
}

// took says that a message, which is there now, took a time.
func (b *budget) took(s *Store, bytes int, d time.Duration) {
	if b.tables.Load() == 0 {
		return
	}
	now := s.now(time.Now())
	b.mu.Lock()
	b.charge(s, now)
	b.limit.Took(now, int64(bytes), int64(d))
	b.mu.Unlock()
}

// postTimed posts a batch: a network that takes it late is slower than the rate.
func (s *Store) postTimed(ctx context.Context, owner int, msg []byte) error {
	start := time.Now()
	if err := s.data.Post(ctx, owner, msg); err != nil {
		return err
	}
	s.budget.took(s, len(msg), time.Since(start))
	return nil
}

// sealAllowed is SealSome with a budget.
func (v *View[T]) sealAllowed(clock int64, all bool) *oplog.Entry[T] {
	b := &v.t.s.budget
	if all {
		return v.log.SealSome(clock, true)
	}
	v.log.Allow(b.allowed(v.t.s) / int64(v.t.s.cfg.Workers) / int64(max(1, b.tables.Load())))
	e := v.log.SealSome(clock, false)
	b.promise(clock, v.log.Spent())
	return e
}

// weighs tells the log what rows weigh.
func (v *View[T]) weighs() {
	if v.t.rule.Order == filter.Relative {
		v.log.Weigh(v.relative)
	}
}

// relative is Σ|δ/θ| of a delta to the row at slot; |δ| where the worker has no
// copy.
func (v *View[T]) relative(d *slab.Rows[T], at int, slot int32) float64 {
	if v.stamp[slot] != 0 || v.age[slot] != 0 {
		return shard.Relative(d, at, &v.data, int(slot))
	}
	sum := 0.0
	if d.Sparse() {
		_, vals := d.Entries(at)
		for _, x := range vals {
			sum += math.Abs(float64(x))
		}
		return sum
	}
	for _, x := range d.At(at) {
		sum += math.Abs(float64(x))
	}
	return sum
}
