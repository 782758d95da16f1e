package main

import (
	"fmt"

	"github.com/pkg/errors"
)

// unbounded is the staleness of a policy without bound.
const unbounded = -1

// checker tests every read of one worker against the rule of bounded
// staleness (Ho et al., More effective distributed ML via a stale synchronous
// parallel parameter server, NIPS 2013, section 2). A worker that has ended c
// clocks under a bound of s finds in a row
//
//   - its own c clocks, all of them and nothing else of its own;
//   - of every other worker at least c−s clocks and at most c+s+1: nobody who
//     reads at c can be slower than that, or faster (the gate is on reads, so
//     clock c+s may be over).
//
// Under bsp, which promises to repeat bit for bit, it finds c clocks of
// everybody; where clocks come in blocks (absp), the window is the policy's.
//
// Without a bound a row never loses what it contained at an earlier read, and
// never contains what had not been added yet; see trace.
type checker struct {
	self      int   // among all workers
	staleness int64 // or unbounded
	exact     bool  // nothing newer than the clock either
	window    func(c int64) (low, high int64)
	own       *tally
	low, high *tally  // nil when unbounded
	last      []int64 // when unbounded: rows × workers, as read last
	trace     *trace  // when unbounded
	reads     int64   // tested

	ages  int64 // ages that the store told since the last read
	stale error // what is wrong with one of them
}

func newChecker(l *ledger, self int, staleness int64, exact bool) *checker {
	k := &checker{self: self, staleness: staleness, exact: exact, own: newTally(l)}
	k.window = func(c int64) (low, high int64) {
		if exact {
			return max(0, c-staleness), c
		}
		return max(0, c-staleness), c + staleness + 1
	}
	if staleness == unbounded {
		k.last = make([]int64, l.rows*int64(l.workers))
		k.trace = &trace{workers: l.workers}
	} else {
		k.low, k.high = newTally(l), newTally(l)
	}
	return k
}

// begin moves to a clock: c are over.
func (k *checker) begin(c int64) {
	k.own.advance(c)
	if k.staleness != unbounded {
		low, high := k.window(c)
		k.low.advance(low)
		k.high.advance(high)
	}
}

// read tests what a read at this clock returned, finished at a time (of any
// clock that all ranks share).
func (k *checker) read(row int64, values []int64, now int64) error {
	k.reads++
	if k.ages != 1 {
		return errors.Errorf("violation: worker %d at clock %d read row %d once, and the store tells of %d reads", k.self, k.own.clock, row, k.ages)
	}
	if k.ages = 0; k.stale != nil {
		return k.stale
	}
	own := k.own.row(row)
	workers := len(own)
	if values[k.self] != own[k.self] {
		return k.fault(row, k.self, values, fmt.Sprintf("exactly %d of its own", own[k.self]))
	}
	for w, v := range values[:workers] {
		if w == k.self {
			continue
		}
		if k.staleness == unbounded {
			if v < k.last[row*int64(workers)+int64(w)] {
				return k.fault(row, w, values, fmt.Sprintf("at least %d, which it read before", k.last[row*int64(workers)+int64(w)]))
			}
			k.last[row*int64(workers)+int64(w)] = v
			continue
		}
		if low, high := k.low.row(row)[w], k.high.row(row)[w]; v < low || v > high {
			return k.fault(row, w, values, fmt.Sprintf("%d to %d", low, high))
		}
	}
	for w, v := range values[workers:] {
		if v != 0 {
			return k.fault(row, workers+w, values, "0 beyond the workers' columns")
		}
	}
	if k.trace != nil {
		k.trace.add(row, values[:workers], now)
	}
	return nil
}

// used takes the clock of a read and the age of the copy that it used, as the
// store tells them before the read returns. read reports what is wrong.
func (k *checker) used(clock, age int64) {
	k.ages++
	switch {
	case clock != k.own.clock:
		k.stale = errors.Errorf("violation: worker %d at clock %d read at clock %d", k.self, k.own.clock, clock)
	case k.staleness != unbounded && age < k.low.clock:
		k.stale = errors.Errorf("violation: worker %d at clock %d used a copy of age %d, expected at least %d",
			k.self, clock, age, k.low.clock)
	}
}

func (k *checker) fault(row int64, w int, values []int64, want string) error {
	return errors.Errorf("violation: worker %d at clock %d read row %d and found %d updates of worker %d, expected %s",
		k.self, k.own.clock, row, values[w], w, want)
}

// trace keeps what reads without bound returned and when, for a comparison with
// the times at which all updates were made.
type trace struct {
	workers int
	time    []int64 // of each read, when it had ended
	row     []int64
	value   []int64 // workers numbers for each read
}

func (t *trace) add(row int64, values []int64, now int64) {
	t.time, t.row, t.value = append(t.time, now), append(t.row, row), append(t.value, values...)
}

// check compares with the times, issued[worker][clock], at which each worker
// began to add its updates of a clock: nothing may be read before it exists.
func (t *trace) check(l *ledger, issued [][]int64) error {
	for w, times := range issued {
		made := make([][]int64, l.rows) // times of the worker's updates of each row
		for clock, at := range times {
			l.each(w, int64(clock), func(row int64) { made[row] = append(made[row], at) })
		}
		for i, row := range t.row {
			v := t.value[i*t.workers+w]
			if v > int64(len(made[row])) {
				return errors.Errorf("violation: a read of row %d found %d updates of worker %d, which made %d", row, v, w, len(made[row]))
			}
			if v > 0 && made[row][v-1] > t.time[i] {
				return errors.Errorf("violation: a read of row %d found %d updates of worker %d, the last of which was made %d ns later",
					row, v, w, made[row][v-1]-t.time[i])
			}
		}
	}
	return nil
}
