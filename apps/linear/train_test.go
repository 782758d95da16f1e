package main

import (
	"context"
	"io"
	"math"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp"
)

// made returns a dataset of one worker on each rank.
func made(rank, rows, columns, entries int) *dataset {
	r := random(rows, columns, entries, uint64(rank))
	d := &dataset{columns: columns, trainRows: int64(rows), trainEntries: int64(len(r.Col)), square: 1, train: []*apps.Rows{r}, test: &apps.Rows{}}
	d.freq = counts(r, columns)
	return d
}

// TestSharesAddUp: over a pass the gradients for a weight pay the penalty of all
// rows, however workers' gradients leave.
func TestSharesAddUp(t *testing.T) {
	const rows, columns, workers = 120, 70, 2
	for _, policy := range []ssp.Policy{ssp.BSP(), ssp.SSP(3), ssp.Async()} {
		for _, ranks := range []int{1, 2, 3} {
			err := runtime.RunLocal(t.Context(), ranks, func(ctx context.Context, c *runtime.Comm) error {
				tr := &trainer{job: &apps.Job{Options: apps.Options{Policy: policy}}, width: 8, batches: 7, data: &dataset{trainRows: rows}}
				want := make([]int32, 72)
				for rank := range ranks {
					shares := [workers]*share{}
					for w := range shares {
						r := random(20+rank, columns, 4, uint64(rank*workers+w))
						shares[w] = newShare(r, 7, 8, columns, counts(r, columns), rows)
						for b := range 7 {
							from, to := r.Start[r.Len()*b/7], r.Start[r.Len()*(b+1)/7]
							for j := range int32(columns) {
								had := slices.Contains(r.Col[from:to], j)
								if had && w == 1 && policy != ssp.Async() { // in one message with worker 0's
									o := random(20+rank, columns, 4, uint64(rank*workers))
									had = !slices.Contains(o.Col[o.Start[o.Len()*b/7]:o.Start[o.Len()*(b+1)/7]], j)
								}
								if had {
									want[j]++
								}
							}
						}
						if rank == c.Rank() {
							tr.local = append(tr.local, &local{share: shares[w]})
						}
					}
				}
				got, err := tr.shares(ctx, c, 72)
				for j, n := range want {
					if x := float64(got[j]) * float64(n); n > 0 && math.Abs(x-rows) > 1e-3 || n == 0 && got[j] != 0 {
						t.Errorf("%v, %d ranks: %d gradients for column %d pay %g each", policy, ranks, n, j, got[j])
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestClocksDoNotAllocate: once the store has its memory, a clock on one rank
// needs a few allocations for its message and none for each row or value.
func TestClocksDoNotAllocate(t *testing.T) {
	for _, update := range []string{"add", "adagrad:0.1"} {
		cfg := config{features: "raw", l2: 1e-6, update: update, rate: 0.01, decay: 1, evaluate: 1}
		o := apps.Options{Policy: ssp.BSP(), Workers: 1, Seed: 1, ClocksPerEpoch: 8, Data: []string{"x"}, Target: math.NaN()}
		if err := cfg.check(&o); err != nil {
			t.Fatal(err)
		}
		err := runtime.RunLocal(t.Context(), 1, func(ctx context.Context, c *runtime.Comm) error {
			tr, err := newTrainer(ctx, apps.NewJob("linear", o, c, io.Discard, io.Discard), &cfg, made(0, 512, 5000, 100))
			if err != nil {
				return err
			}
			err = tr.store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
				clock := int64(0)
				each := func() {
					if e := tr.clock(ctx, w, clock); e != nil && err == nil {
						err = e
					}
					clock++
				}
				for range 24 {
					each()
				}
				if n := testing.AllocsPerRun(50, each); n > 20 {
					t.Errorf("%s: %g allocations a clock of 64 rows with 6400 values", update, n)
				}
				return err
			})
			if err != nil {
				return err
			}
			return tr.store.Close(ctx)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkPass is a pass with the store, on one rank, for rows like those of
// texts.
func BenchmarkPass(b *testing.B) {
	for _, update := range []string{"add", "adagrad:0.1"} {
		b.Run(update, func(b *testing.B) {
			cfg := config{features: "raw", l2: 1e-6, update: update, rate: 0.01, decay: 1, evaluate: 1}
			o := apps.Options{Policy: ssp.SSP(3), Workers: 1, Seed: 1, Data: []string{"x"}, Target: math.NaN()}
			if err := cfg.check(&o); err != nil {
				b.Fatal(err)
			}
			err := runtime.RunLocal(b.Context(), 1, func(ctx context.Context, c *runtime.Comm) error {
				d := made(0, 4096, 45000, 130)
				tr, err := newTrainer(ctx, apps.NewJob("linear", o, c, io.Discard, io.Discard), &cfg, d)
				if err != nil {
					return err
				}
				for b.Loop() {
					if err := tr.passes(ctx, 1); err != nil {
						return err
					}
				}
				b.ReportMetric(float64(d.trainEntries)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mnonzeros/s")
				return tr.store.Close(ctx)
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
