package main

import (
	"context"
	"math"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/ssp"
)

// open opens the store and the table.
func (b *bench) open(ctx context.Context) error {
	cfg := ssp.Config{Workers: b.job.Workers, Policy: b.job.Policy, Filter: b.job.Filter, Bandwidth: b.job.Bandwidth, Seed: b.job.Seed, Prefetch: b.cfg.mode}
	if b.cfg.check {
		bound := int64(unbounded)
		if s, ok := b.rule.Staleness(); ok && !b.rule.Frees() {
			bound = int64(s)
		} else {
			b.issued = make([][]int64, b.job.Workers)
		}
		for w := range b.job.Workers {
			k := newChecker(b.ledger, b.job.Comm.Rank()*b.job.Workers+w, bound, b.rule == ssp.BSP())
			if bound != unbounded {
				k.window = func(c int64) (low, high int64) {
					l, h, _ := b.rule.Window(ssp.Clock(c))
					return int64(l), int64(h)
				}
			}
			b.checkers = append(b.checkers, k)
		}
		cfg.Access = func(a ssp.Access) {
			if a.Kind == ssp.Read {
				clock := int64(a.Clock)
				if b.rule.Frees() { // a rank that counts again has skipped some
					clock = b.checkers[a.Worker].own.clock
				}
				b.checkers[a.Worker].used(clock, int64(a.Age))
			}
		}
	}
	store, err := ssp.Open(ctx, b.job.Comm, cfg)
	if err != nil {
		return err
	}
	b.store = store
	spec := ssp.TableSpec[int64]{Name: "counts", Rows: b.cfg.rows, Width: b.width}
	if b.cfg.noise {
		spec.Init = b.noise
	}
	b.table, err = ssp.CreateTable(ctx, store, spec)
	return err
}

// noise fills the columns to which nobody adds.
func (b *bench) noise(row int64, x []int64) {
	for col := b.ledger.workers; col < len(x); col++ {
		x[col] = int64(apps.Mix(b.job.Seed ^ uint64(row)<<20 ^ uint64(col)))
	}
}

// totals are sums over all ranks.
type totals struct {
	reads, fetches  float64 // rows
	bytes           float64 // that the store has sent
	mean, deviation float64 // of age − clock over the reads
	checked         float64 // reads that were tested
	iterations      float64 // of all workers
	latest          float64 // the most of a rank's worker, about
	freed           float64 // how often ranks were freed
	dropped         float64 // batches that came too late
	check           bool
	freeing         bool // ranks may be freed
	drops           bool // batches may be too late
}

// sum adds up what the ranks did. It is collective.
func (b *bench) sum(ctx context.Context) (totals, error) {
	s := b.store.Stats()
	var n, sum, squares float64
	for behind, count := range s.Stale {
		age, reads := float64(behind), float64(count)
		n, sum, squares = n+reads, sum+reads*age, squares+reads*age*age
	}
	checked := 0.0
	for _, k := range b.checkers {
		checked += float64(k.reads)
	}
	all := []float64{float64(s.Reads), float64(s.Fetches), n, sum, squares, checked, float64(s.Clocks), float64(s.Freed), float64(s.Dropped), float64(s.Bytes["update"] + s.Bytes["fetch"] + s.Bytes["push"])}
	if err := collectives.Allreduce(ctx, b.job.Comm, all, all, collectives.Sum); err != nil {
		return totals{}, err
	}
	t := totals{
		reads: all[0], fetches: all[1], checked: all[5], iterations: all[6], freed: all[7], dropped: all[8], bytes: all[9],
		check: b.cfg.check, freeing: b.job.Policy.Frees(), drops: b.job.Policy.Drops(),
	}
	var err error
	if t.latest, err = collectives.AllreduceValue(ctx, b.job.Comm, float64(s.Clocks)/float64(b.job.Workers), collectives.Max); err != nil {
		return totals{}, err
	}
	if n = all[2]; n > 0 {
		t.mean = all[3] / n
		t.deviation = math.Sqrt(max(0, all[4]/n-t.mean*t.mean))
	}
	return t, nil
}

// report adds the totals to the result.
func (t totals) report(r *apps.Result) {
	r.Add("iterations", int64(t.iterations))
	if t.freeing {
		r.Add("freed", int64(t.freed))
	}
	if t.drops {
		r.Add("dropped", int64(t.dropped))
	}
	r.Add("reads", int64(t.reads))
	r.Add("fetches", int64(t.fetches))
	r.Add("bytes", int64(t.bytes))
	r.Add("stale_mean", t.mean)
	r.Add("stale_sd", t.deviation)
	if t.check {
		r.Add("checked", int64(t.checked))
	}
}
