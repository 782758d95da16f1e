package ssp

import (
	"context"
	"sync"
	"sync/atomic"
)

// idleCrew is how many goroutines without work a crew keeps at most.
const idleCrew = 64

// crew runs functions, each on a goroutine of its own, and keeps some of these
// for the next: the stack of a new one grows step by step, which took 4 % of the
// processor time of a program that does little but fetch.
type crew struct {
	life context.Context
	over <-chan struct{} // the job is
	wg   sync.WaitGroup
	next chan func(context.Context) // to goroutines without work
	idle atomic.Int32
}

func newCrew(life context.Context, over <-chan struct{}) *crew {
	return &crew{life: life, over: over, next: make(chan func(context.Context))}
}

// spawn runs f, whose context ends with the crew's.
func (c *crew) spawn(f func(context.Context)) {
	select {
	case c.next <- f:
	default:
		c.wg.Go(func() { c.work(f) })
	}
}

// work runs f and then what comes.
func (c *crew) work(f func(context.Context)) {
	for {
		f(c.life)
		if c.idle.Add(1) > idleCrew {
			c.idle.Add(-1)
			return
		}
		select {
		case f = <-c.next:
			c.idle.Add(-1)
		case <-c.life.Done():
			return
		case <-c.over: // the store is never closed then
			return
		}
	}
}

// disband waits for all goroutines, once the crew's life is over.
func (c *crew) disband() { c.wg.Wait() }
