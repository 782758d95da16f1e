package main

import (
	"context"
	"math"
	"time"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
)

// budget says how long a point is measured.
type budget struct {
	warmup, time time.Duration
	iters        int // samples at least
}

const (
	maxSamples = 1 << 20 // of a point
	maxBatch   = 4096    // samples between two words of rank 0
)

// What rank 0 tells the others to do next, and how often.
const (
	stop = iota
	sample
	check
)

// meter measures one trial on one rank: rank 0 leads, the others follow.
type meter struct {
	c       *runtime.Comm
	trial   *trial
	word    [2]int64 // what, how often
	batch   []float64
	slowest []float64
}

// measure runs the trial within the budget and returns, on rank 0, the
// nanoseconds of an operation in each sample. It is collective.
func measure(ctx context.Context, c *runtime.Comm, t *trial, b budget) ([]float64, error) {
	m := &meter{c: c, trial: t, batch: make([]float64, maxBatch)}
	if c.Rank() != 0 {
		return nil, m.follow(ctx)
	}
	if t.slowest {
		m.slowest = make([]float64, maxBatch)
	}
	took, _, err := m.lead(ctx, b.warmup, 1, 0, nil)
	if err != nil {
		return nil, err
	}
	if err := m.tell(ctx, check, 1); err != nil {
		return nil, err
	}
	_, samples, err := m.lead(ctx, b.time, b.iters, took, make([]float64, 0, 1<<16))
	if err != nil {
		return nil, err
	}
	return samples, m.tell(ctx, stop, 0)
}

// lead takes samples for a time, and at least some, and appends them to samples.
// took is how long a sample takes, about; 0 for unknown. It returns it anew.
func (m *meter) lead(ctx context.Context, limit time.Duration, least int, took time.Duration, samples []float64) (time.Duration, []float64, error) {
	done := 0
	for start := time.Now(); ; {
		left := limit - time.Since(start)
		if done >= least && (left <= 0 || done >= maxSamples) {
			return took, samples, nil
		}
		n := 1
		if took > 0 { // a tenth of what is left, so that the end is met
			n = int(min(max(left, 0)/10/took, maxBatch)) + 1
		}
		n = min(n, maxBatch, max(maxSamples-done, 1))
		begin := time.Now()
		if err := m.tell(ctx, sample, n); err != nil {
			return 0, nil, err
		}
		took = max(time.Since(begin)/time.Duration(n), 1)
		done += n
		times := m.batch[:n]
		if m.trial.slowest {
			times = m.slowest[:n]
		}
		if samples != nil {
			for _, ns := range times {
				samples = append(samples, ns/float64(max(m.trial.per, 1)))
			}
		}
	}
}

// tell has all ranks do something.
func (m *meter) tell(ctx context.Context, what, n int) error {
	m.word = [2]int64{int64(what), int64(n)}
	if err := collectives.Bcast(ctx, m.c, m.word[:], 0); err != nil {
		return err
	}
	return m.do(ctx)
}

func (m *meter) follow(ctx context.Context) error {
	for {
		if err := collectives.Bcast(ctx, m.c, m.word[:], 0); err != nil {
			return err
		}
		if m.word[0] == stop {
			return nil
		}
		if err := m.do(ctx); err != nil {
			return err
		}
	}
}

// do does what the word says.
func (m *meter) do(ctx context.Context) error {
	t := m.trial
	switch m.word[0] {
	case check:
		if t.check != nil {
			return t.check(ctx)
		}
	case sample:
		batch := m.batch[:m.word[1]]
		for i := range batch {
			if t.before != nil {
				if err := t.before(ctx); err != nil {
					return err
				}
			}
			batch[i] = math.Inf(-1)
			if t.once == nil {
				continue
			}
			begin := time.Now()
			if err := t.once(ctx); err != nil {
				return err
			}
			batch[i] = float64(time.Since(begin))
		}
		if t.slowest {
			var all []float64
			if m.slowest != nil {
				all = m.slowest[:len(batch)]
			}
			return collectives.Reduce(ctx, m.c, all, batch, collectives.Max, 0)
		}
	}
	return nil
}
