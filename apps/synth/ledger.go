package main

import "github.com/sspurn/sspurn/apps"

// ledger knows what every worker adds to every row at every clock: 1 to its own
// column of each row that it touches then. So the value of a column says how
// many of a worker's clocks a copy of a row contains.
type ledger struct {
	seed    uint64
	workers int
	rows    int64
	touch   int64 // rows touched in a clock, neighbours modulo rows
	clocks  int64 // of the run
}

// first returns the first row that a worker touches at a clock.
func (l *ledger) first(worker int, clock int64) int64 {
	if l.touch >= l.rows {
		return 0
	}
	return int64(apps.Mix(apps.Mix(l.seed^uint64(worker))^uint64(clock)) % uint64(l.rows))
}

// each calls row for each row that a worker touches at a clock.
func (l *ledger) each(worker int, clock int64, row func(int64)) {
	first := l.first(worker, clock)
	for k := range l.touch {
		row((first + k) % l.rows)
	}
}

// tally is the content of the table when every worker has ended the same
// number of clocks.
type tally struct {
	*ledger
	clock int64   // that number
	count []int64 // rows × workers
}

func newTally(l *ledger) *tally {
	return &tally{ledger: l, count: make([]int64, l.rows*int64(l.workers))}
}

// advance moves to a later clock, at most the last one of the run.
func (t *tally) advance(to int64) {
	for to = min(to, t.clocks); t.clock < to; t.clock++ {
		for w := range t.workers {
			t.each(w, t.clock, func(row int64) { t.count[row*int64(t.workers)+int64(w)]++ })
		}
	}
}

// row returns the counts of the workers in a row, valid until advance.
func (t *tally) row(row int64) []int64 {
	return t.count[row*int64(t.workers):][:t.workers]
}
