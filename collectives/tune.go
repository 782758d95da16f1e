package collectives

import (
	"context"
	"math"
	"reflect"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives/schedule"
	"github.com/sspurn/sspurn/runtime"
)

// tagTune is beyond those of the lanes.
const tagTune runtime.Tag = 4 * (1 + started)

// Tune measures what messages, bytes and additions cost between the ranks of the
// communicator, within hosts and between them, and which algorithms are quicker
// or slower than these numbers say: the rules of the model are such cases. It is
// collective, all ranks get the same model, takes a few seconds, and installs
// nothing: see [Install]. Nothing else should run meanwhile.
func Tune(ctx context.Context, c *runtime.Comm) (Model, error) {
	s := stateOf(c)
	before := Installed(c)
	m := DefaultModel()
	m.Gamma = measureAdd()
	if c.Size() == 1 {
		return m, nil
	}
	if err := s.measureLinks(ctx, &m); err != nil {
		return m, errors.WithMessage(err, "tune")
	}
	// The slowest rank counts.
	numbers := []float64{m.Alpha, m.Beta, m.Gamma, 0, 0}
	if m.Local != nil {
		numbers[3], numbers[4] = m.Local.Alpha, m.Local.Beta
	}
	if err := Allreduce(ctx, c, numbers, numbers, Max); err != nil {
		return m, errors.WithMessage(err, "tune")
	}
	m.Link, m.Gamma = Link{Alpha: numbers[0], Beta: numbers[1]}, numbers[2]
	if numbers[3] > 0 {
		m.Local = &Link{Alpha: numbers[3], Beta: numbers[4]}
	}
	t := tuner{c: c, m: &m}
	err := t.segment(ctx)
	for _, v := range []schedule.Verb{
		schedule.Barrier, schedule.Bcast, schedule.ReduceTo, schedule.Allreduce, schedule.ReduceScatter, schedule.Allgather,
		schedule.Alltoall, schedule.Gather, schedule.Scatter, schedule.Scan,
	} {
		if err == nil {
			err = t.verb(ctx, v)
		}
	}
	_ = Install(c, before)
	return m, errors.WithMessage(err, "tune")
}

// measureAdd returns the nanoseconds that adding takes for each byte of the
// result.
func measureAdd() float64 {
	const n = 256 << 10
	x, y := make([]byte, n), make([]byte, n)
	add := builtins[opSum][reflect.Float32]
	best := math.Inf(1)
	for range 20 {
		start := time.Now()
		add.combine(y, y, x)
		best = min(best, float64(time.Since(start).Nanoseconds())/n)
	}
	return best
}

// measureLinks measures between the first ranks of all hosts, and among the
// ranks of a host.
func (s *state) measureLinks(ctx context.Context, m *Model) error {
	hosts := s.hosts
	if hosts == nil {
		hosts = make([]int, s.c.Size())
	}
	var mine, leaders []int
	seen := map[int]bool{}
	for r, h := range hosts {
		if h == hosts[s.c.Rank()] {
			mine = append(mine, r)
		}
		if !seen[h] {
			seen[h] = true
			leaders = append(leaders, r)
		}
	}
	if len(leaders) == 1 {
		link, err := s.measureRing(ctx, mine, m.Gamma)
		m.Link = alone(link, len(mine), s.cores[mine[0]])
		return err
	}
	m.Link = Link{}
	if leaders[hosts[s.c.Rank()]] == s.c.Rank() {
		link, err := s.measureRing(ctx, leaders, m.Gamma)
		if err != nil {
			return err
		}
		m.Link = link
	}
	if len(mine) > 1 {
		link, err := s.measureRing(ctx, mine, m.Gamma)
		link = alone(link, len(mine), s.cores[mine[0]])
		m.Local = &link
		return err
	}
	return nil
}

// alone is what a link costs ranks that have a core each, by what it cost when
// they all used it on fewer: the choice counts by itself how many share one.
func alone(l Link, ranks, cores int) Link {
	if cores == 0 || ranks <= cores {
		return l
	}
	share := float64(cores) / float64(ranks)
	return Link{Alpha: l.Alpha * share, Beta: l.Beta * share}
}

// measureRing has all members send to the next one at once. A byte takes at least
// so many nanoseconds: a busy machine may be slower with short messages.
func (s *state) measureRing(ctx context.Context, members []int, least float64) (Link, error) {
	place := 0
	for i, r := range members {
		if r == s.c.Rank() {
			place = i
		}
	}
	n := len(members)
	right, left := members[(place+1)%n], members[(place+n-1)%n]
	exchange := func(out, in []byte, times int) (float64, error) {
		best := math.Inf(1)
		for range 5 {
			start := time.Now()
			for range times {
				if _, err := runtime.SendRecv(ctx, s.c, right, out, left, in, tagTune); err != nil {
					return 0, err
				}
			}
			best = min(best, float64(time.Since(start).Nanoseconds())/float64(times))
		}
		return best, nil
	}
	const long = 1 << 20
	out, in := make([]byte, long), make([]byte, long)
	alpha, err := exchange(out[:8], in[:8], 40)
	if err != nil {
		return Link{}, err
	}
	whole, err := exchange(out, in, 4)
	return Link{Alpha: alpha, Beta: max((whole-alpha)/long, least)}, err
}

// tuneLengths are the vectors that algorithms are compared on, in elements of
// four bytes.
var tuneLengths = []int{2, 512, 8 << 10, 64 << 10, 512 << 10}

// tuner measures algorithms.
type tuner struct {
	c *runtime.Comm
	m *Model
}

// segment chooses the length of the parts that pipelines move.
func (t *tuner) segment(ctx context.Context) error {
	best := math.Inf(1)
	for _, bytes := range []int{128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20} {
		try := *t.m
		try.Segment = bytes
		if err := Install(t.c, try); err != nil {
			return err
		}
		took, err := t.time(ctx, schedule.Allreduce, 4*tuneLengths[len(tuneLengths)-1], "pairwise", best)
		if err != nil {
			return err
		}
		if took < 0.95*best {
			best, t.m.Segment = took, bytes
		}
	}
	return Install(t.c, *t.m)
}

// verb adds rules where the model's choice is clearly not the quickest.
func (t *tuner) verb(ctx context.Context, v schedule.Verb) error {
	lengths := tuneLengths
	if v == schedule.Barrier {
		lengths = lengths[:1]
	}
	var rules []Rule
	for i, n := range lengths {
		chosen, winner := "", ""
		first, best := math.Inf(1), math.Inf(1)
		for _, name := range append([]string{""}, schedule.Names(v)...) {
			took, err := t.time(ctx, v, n, name, min(best, first))
			switch {
			case err != nil:
				return err
			case took < 0: // does not fit
			case name == "":
				first, chosen = took, "" // what the model chooses
			case took < best:
				best, winner = took, name
			}
		}
		if best < 0.85*first {
			chosen = winner
		}
		if chosen == "" {
			continue
		}
		rule := Rule{Verb: v.String(), Ranks: t.c.Size(), Algorithm: chosen}
		if i+1 < len(lengths) {
			// Up to where the next length is as near.
			rule.UpToBytes = int64(4 * math.Sqrt(float64(t.total(v, n))*float64(t.total(v, lengths[i+1]))))
		}
		if i > 0 {
			rule.OverBytes = int64(4 * math.Sqrt(float64(t.total(v, n))*float64(t.total(v, lengths[i-1]))))
		}
		rules = append(rules, rule)
	}
	t.m.Rules = append(t.m.Rules, rules...)
	return nil
}

// total is how many elements rules count in a call of about n.
func (t *tuner) total(v schedule.Verb, n int) int { return max(n/t.c.Size(), 1) * t.c.Size() }

// time returns the nanoseconds of a call over n elements in all, by the slowest
// rank; below zero when the algorithm does not fit. All ranks get the same. What
// is far from beating a known time is not measured well.
func (t *tuner) time(ctx context.Context, v schedule.Verb, n int, algorithm string, known float64) (float64, error) {
	p, err := t.plan(v, n, algorithm)
	if err != nil {
		return -1, nil
	}
	times := 3
	if n > 32<<10 {
		times = 1
	}
	best := math.Inf(1)
	for i := 0; i < 4 && (i < 2 || best < 1.5*known); i++ {
		if err := Barrier(ctx, t.c); err != nil {
			return 0, err
		}
		start := time.Now()
		for range times {
			if err := p.Run(ctx); err != nil {
				return 0, err
			}
		}
		took, err := AllreduceValue(ctx, t.c, float64(time.Since(start).Nanoseconds())/float64(times), Max)
		if err != nil {
			return 0, err
		}
		best = min(best, took)
	}
	return best, nil
}

func (t *tuner) plan(v schedule.Verb, n int, algorithm string) (*Plan, error) {
	c := t.c
	n = t.total(v, n)
	part := n / c.Size()
	x, y := make([]float32, n), make([]float32, n)
	var opts []Option
	if algorithm != "" {
		opts = append(opts, WithAlgorithm(algorithm))
	}
	switch v {
	case schedule.Barrier:
		return PrepareBarrier(c, opts...)
	case schedule.Bcast:
		return PrepareBcast(c, x, 0, opts...)
	case schedule.ReduceTo:
		return PrepareReduce(c, y, x, Sum, 0, opts...)
	case schedule.Allreduce:
		return PrepareAllreduce(c, y, x, Sum, opts...)
	case schedule.ReduceScatter:
		return PrepareReduceScatter(c, y[:part], x, Sum, opts...)
	case schedule.Allgather:
		return PrepareAllgather(c, y, x[:part], opts...)
	case schedule.Alltoall:
		return PrepareAlltoall(c, y, x, opts...)
	case schedule.Gather:
		return PrepareGather(c, y, x[:part], 0, opts...)
	case schedule.Scatter:
		return PrepareScatter(c, y[:part], x, 0, opts...)
	default:
		return PrepareScan(c, y, x, Sum, opts...)
	}
}
