package main

import (
	"time"

	"github.com/sspurn/sspurn/apps"
)

// goal is the target of a load that learns.
type goal struct {
	begin time.Time
	met   *reached // by worker 0 of rank 0; nil: not yet
}

// reached is when a loss was read that is as good as the target.
type reached struct {
	clock int64
	bytes int64 // that the rank had sent for the store
	since time.Duration
}

// meet looks whether a loss is as good as the target, a share of that at the start.
func (g *goal) meet(b *bench, clock int64, loss, start float64) {
	if g.met != nil || !(b.job.Target >= 0) || loss > b.job.Target*start { // NaN: none
		return
	}
	n := b.store.Stats().Bytes
	g.met = &reached{clock, n["update"] + n["fetch"] + n["push"] + n["control"], time.Since(g.begin)}
}

// report adds to the result when the target was met.
func (g *goal) report(result *apps.Result) {
	if g.met == nil {
		return
	}
	result.Add("target_clock", g.met.clock)
	result.Add("target_bytes", g.met.bytes)
	result.Add("target_seconds", g.met.since.Seconds())
}
