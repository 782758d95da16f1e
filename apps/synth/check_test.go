package main

import (
	"fmt"
	"strings"
	"testing"
)

// content is what a row holds when each worker has done its own number of
// clocks: the dumb twin of tally.
func content(l *ledger, row int64, clocks []int64) []int64 {
	out := make([]int64, l.workers)
	for w, n := range clocks {
		for c := range n {
			for k := range l.touch {
				if (l.first(w, c)+k)%l.rows == row {
					out[w]++
				}
			}
		}
	}
	return out
}

func TestTallyIsTheContent(t *testing.T) {
	for _, l := range []*ledger{
		{seed: 1, workers: 1, rows: 1, touch: 1, clocks: 9},
		{seed: 2, workers: 3, rows: 7, touch: 2, clocks: 20},
		{seed: 3, workers: 5, rows: 4, touch: 4, clocks: 6},
	} {
		x := newTally(l)
		for clock := range l.clocks + 3 {
			x.advance(clock)
			all := make([]int64, l.workers)
			for w := range all {
				all[w] = min(clock, l.clocks)
			}
			for row := range l.rows {
				if got, want := fmt.Sprint(x.row(row)), fmt.Sprint(content(l, row, all)); got != want {
					t.Fatalf("%+v: row %d at clock %d: %s, want %s", *l, row, clock, got, want)
				}
			}
		}
	}
}

func TestCheckerAcceptsTheWindowAndNothingElse(t *testing.T) {
	const workers, self, other = 3, 1, 2
	l := &ledger{seed: 1, workers: workers, rows: 2, touch: 2, clocks: 12}
	for _, x := range []struct {
		s     int64
		exact bool
	}{{0, true}, {0, false}, {1, false}, {3, false}} {
		s, ahead := x.s, x.s+1
		if x.exact {
			ahead = 0
		}
		for c := range l.clocks {
			for n := int64(-1); n <= l.clocks+1; n++ {
				k := newChecker(l, self, s, x.exact)
				k.begin(c)
				values := []int64{c, c, c, 0}
				values[other] = n
				k.used(c, c)
				err := k.read(1, values, 0)
				good := n >= max(0, c-s) && n <= min(c+ahead, l.clocks)
				if (err == nil) != good {
					t.Errorf("s=%d exact=%t c=%d: %d clocks of another worker: %v", s, x.exact, c, n, err)
				}
				if err != nil && !strings.Contains(err.Error(), "violation: worker 1 at clock") {
					t.Errorf("unclear: %v", err)
				}
			}
		}
	}
}

func TestCheckerFindsPlantedViolations(t *testing.T) {
	l := &ledger{seed: 1, workers: 2, rows: 1, touch: 1, clocks: 10}
	for name, x := range map[string]struct {
		staleness int64
		values    []int64
		want      string
	}{
		"own update lost":       {3, []int64{4, 5}, "exactly 5 of its own"},
		"own update twice":      {3, []int64{6, 5}, "exactly 5 of its own"},
		"own lost, no bound":    {unbounded, []int64{4, 5}, "exactly 5 of its own"},
		"too old":               {3, []int64{5, 1}, "2 to 9"},
		"too new":               {3, []int64{5, 10}, "2 to 9"},
		"another's column":      {3, []int64{5, 5, 1}, "0 beyond"},
		"went back, no bound":   {unbounded, []int64{5, 2}, "at least 3"},
		"nothing wrong":         {3, []int64{5, 2}, ""},
		"forward, no bound":     {unbounded, []int64{5, 3}, ""},
		"far ahead, no bound":   {unbounded, []int64{5, 10}, ""},
		"exactly at the bounds": {0, []int64{5, 6}, ""},
	} {
		k := newChecker(l, 0, x.staleness, false)
		k.begin(5)
		if x.staleness == unbounded {
			k.used(5, 0)
			if err := k.read(0, []int64{5, 3}, 1); err != nil {
				t.Fatal(err)
			}
		}
		k.used(5, 5)
		err := k.read(0, x.values, 2)
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: error %v, want one that says %q", name, err, x.want)
		}
	}
}

func TestCheckerAge(t *testing.T) {
	l := &ledger{workers: 2, rows: 1, touch: 1, clocks: 10}
	for clock := range int64(10) {
		for age := range int64(10) {
			for _, staleness := range []int64{2, unbounded} {
				k := newChecker(l, 0, staleness, false)
				k.begin(clock)
				k.used(clock, age)
				err := k.read(0, []int64{clock, clock}, 0)
				if good := staleness == unbounded || age >= clock-2; (err == nil) != good {
					t.Errorf("staleness %d, age %d at clock %d: %v", staleness, age, clock, err)
				}
			}
		}
	}
	k := newChecker(l, 0, 2, false)
	k.begin(5)
	if err := k.read(0, []int64{5, 5}, 0); err == nil {
		t.Error("a read of which the store does not tell is accepted")
	}
	k.used(4, 4)
	if err := k.read(0, []int64{5, 5}, 0); err == nil {
		t.Error("a read at another clock is accepted")
	}
}

func TestTraceFindsReadsOfTheFuture(t *testing.T) {
	l := &ledger{seed: 1, workers: 2, rows: 1, touch: 1, clocks: 3}
	issued := [][]int64{{10, 20, 30}, {15, 25, 35}}
	for _, x := range []struct {
		values []int64
		time   int64
		good   bool
	}{
		{[]int64{0, 0}, 1, true},
		{[]int64{1, 1}, 20, true},
		{[]int64{2, 1}, 20, true},
		{[]int64{2, 2}, 20, false},
		{[]int64{3, 3}, 40, true},
		{[]int64{4, 3}, 40, false},
	} {
		tr := &trace{workers: 2}
		tr.add(0, x.values, x.time)
		if err := tr.check(l, issued); (err == nil) != x.good {
			t.Errorf("%v at %d: %v", x.values, x.time, err)
		}
	}
}
