package runtime

import (
	goruntime "runtime"
	"time"
)

const (
	standFor = 500 * time.Microsecond // polls without an operation before it ends
	slow     = 100 * time.Microsecond // for one turn: others want the core
	restMost = 16 * time.Millisecond  // after several such turns
	calm     = 2 * time.Millisecond   // without one: the rest after the next is short again
)

// stand polls in the place of the callers that are parked, while others use
// this rank's windows. To wake the service goroutine's thread for each
// operation would cost several times as much as the operation. Who parks has
// no work to do; but another goroutine of the program, or another process, may
// have. Then a yield takes long, and a blocked thread is woken sooner than one
// that yields gets its turn: so it rests, and does what it has done before.
func (e *engine) stand() {
	if e.budget == 0 {
		return
	}
	var served uint64
	began := time.Now()
	if began.Before(e.rest) {
		return
	}
	for turn, before, last := 1, began, began; ; turn++ {
		if e.parked.Load() == 0 || e.pollers.Load() > 0 || e.computing.Load() > 1 {
			return
		}
		woke := false
		if e.mu.TryLock() {
			e.sendLazy()
			e.t.Poll(e.servedBy)
			woke, e.woke = e.woke, false
			if e.served != served {
				served, last = e.served, before
			}
			e.mu.Unlock()
		}
		if woke || turn%schedTurns == 0 {
			goruntime.Gosched()
		} else {
			yield()
		}
		now := time.Now()
		if now.Sub(before) > slow {
			if before.Sub(began) > calm {
				e.resting = 0
			}
			e.resting = min(max(2*e.resting, standFor), restMost)
			e.rest = now.Add(e.resting)
			return
		}
		if before = now; now.Sub(last) > standFor {
			return
		}
	}
}
