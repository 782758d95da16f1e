package main

import (
	"slices"
	"testing"

	"github.com/sspurn/sspurn/ssp"
)

func TestDerivedClocks(t *testing.T) {
	for _, x := range []struct {
		rows    int64
		workers int
		policy  ssp.Policy
		want    int
	}{
		{32000, 1, ssp.SSP(3), 125}, // nobody else: 256 rows
		{32000, 4, ssp.BSP(), 32},   // 4 batches under way
		{32000, 4, ssp.SSP(3), 103}, // 13
		{32000, 4, ssp.Async(), 103},
		{32000, 8, ssp.SSP(30), 125}, // as small as they get
		{5, 8, ssp.BSP(), 1},
		{1, 1, ssp.SSP(1 << 30), 1},
	} {
		if got := derivedClocks(x.rows, x.workers, x.policy); got != x.want {
			t.Errorf("%d rows, %d workers, %v: %d clocks, want %d", x.rows, x.workers, x.policy, got, x.want)
		}
	}
}

func TestDerivedRate(t *testing.T) {
	for _, x := range []struct{ square, want float64 }{{1, 1}, {14.87, 0.067}, {2, 0.5}, {3e8, 3.3e-9}, {0.012, 83}, {0, 1}, {1e300, 1}} {
		if got := derivedRate(x.square); got != x.want {
			t.Errorf("squared length %g: rate %g, want %g", x.square, got, x.want)
		}
	}
}

func TestDerivedWidth(t *testing.T) {
	for _, x := range []struct {
		weights  int
		distinct float64
		want     int
	}{
		{124, 120, 128},    // one row
		{45000, 6000, 256}, // a batch touches nearly all rows whatever the width
		{1 << 24, 6000, 8}, // alone in its row whatever the width
		{1 << 20, 1 << 20, 256},
		{0, 0, 8},
	} {
		if got := derivedWidth(x.weights, x.distinct); got != x.want {
			t.Errorf("%d weights, %g a batch: rows of %d, want %d", x.weights, x.distinct, got, x.want)
		}
	}
}

func TestShuffle(t *testing.T) {
	seen := map[int32]bool{}
	for pass := range 20 {
		order, again := make([]int32, 31), make([]int32, 31)
		shuffle(order, 7, 3, pass)
		shuffle(again, 7, 3, pass)
		if !slices.Equal(order, again) {
			t.Fatal("not the same twice")
		}
		seen[order[0]] = true
		slices.Sort(order)
		for i, x := range order {
			if int(x) != i {
				t.Fatalf("pass %d: %v", pass, order)
			}
		}
	}
	if len(seen) < 8 {
		t.Errorf("20 passes begin with %v", seen)
	}
}

// TestWorkersShareEvenly: each run of as many rows as workers has one of each.
func TestWorkersShareEvenly(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 5, 8} {
		first := map[int]bool{}
		for n := int64(0); n < int64(workers)*50; n += int64(workers) {
			seen := map[int]bool{}
			for k := range int64(workers) {
				seen[worker(9, n+k, workers)] = true
			}
			if len(seen) != workers {
				t.Fatalf("%d workers: rows from %d go to %v", workers, n, seen)
			}
			first[worker(9, n, workers)] = true
		}
		if len(first) != workers {
			t.Errorf("%d workers: every %d. row goes to %v", workers, workers, first)
		}
	}
}
