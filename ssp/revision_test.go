package ssp

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/oplog"
)

// TestRevisionIsExact: under every policy each gradient is corrected by exactly
// the gradients that its copy lacked.
//
// z sums g² + 2g(G − G_old) over the gradients as they are applied. Of that, the
// sum of g² + 2gG is G² at the end, in whatever order they came and however they
// were merged; so z is G² − 2·Σ g·G_old with the G_old of the workers' copies.
// All of it are integers. The first column counts gradients, which shows what a
// copy contains.
func TestRevisionIsExact(t *testing.T) {
	const rows, clocks, width = 7, 15, 3
	for _, p := range []Policy{BSP(), SSP(1), SSP(3), ESSP(0), ESSP(3), Async()} {
		for _, n := range []int{1, 2, 3, 5, 8} {
			for _, workers := range []int{1, 3} {
				t.Run(fmt.Sprintf("%v/ranks=%d/workers=%d", p, n, workers), func(t *testing.T) {
					var mu sync.Mutex
					var products [rows][width]float64 // Σ g·G_old
					runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
						s, err := Open(ctx, c, Config{Policy: p, Workers: workers, CacheBytes: 4000})
						if err != nil {
							return err
						}
						table, err := CreateTable(ctx, s, TableSpec[float64]{Name: "x", Rows: rows, Width: width, Update: AdaRevision(0.1)})
						if err != nil {
							return err
						}
						err = s.Work(ctx, func(ctx context.Context, w *Worker) error {
							v, x := table.View(w), make([]float64, width)
							rng := rand.New(rand.NewPCG(uint64(c.Rank()), uint64(w.Index())))
							for k := range clocks {
								for row := range int64(rows) {
									slack := v.t.slack
									var err error
									switch rng.IntN(6) {
									case 0: // the copy of an earlier clock, as old as that may be
										slack = unbounded
										if k == 0 {
											err = v.Get(ctx, row, x)
										}
									case 1:
										slack = Clock(rng.IntN(6))
										_, err = v.GetWithin(ctx, row, x, slack)
									default:
										err = v.Get(ctx, row, x)
									}
									if err != nil {
										return err
									}
									old := append([]float64(nil), v.data.At(v.slot(row))[width:]...)
									low := float64(max(0, w.Now()-slack)) * float64(n*workers)
									if old[0] < low || old[0] > float64(clocks*n*workers) {
										return errors.Errorf("clock %d: a copy within %d has %v gradients, want %v or more", k, slack, old[0], low)
									}
									sum := []float64{1, 0, 0}
									g := []float64{0, 0, 0}
									for range 1 + rng.IntN(3) { // in several parts, other copies in between
										g[1], g[2] = float64(rng.IntN(7)-3), float64(rng.IntN(2))
										sum[1] += g[1]
										sum[2] += g[2]
										v.Inc(row, g)
										if _, err := v.GetWithin(ctx, row, x, 1); err != nil {
											return err
										}
									}
									v.IncAt(row, 0, 1)
									mu.Lock()
									for i := range sum {
										products[row][i] += sum[i] * old[i]
									}
									mu.Unlock()
								}
								if err := w.Clock(ctx); err != nil {
									return err
								}
							}
							return nil
						})
						if err != nil {
							return err
						}
						if err := s.Sync(ctx); err != nil {
							return err
						}
						mu.Lock() // all ranks have passed Sync: nothing is added any more
						want := products
						mu.Unlock()
						for row := range table.Owned() {
							s.mu.Lock()
							packed := append([]float64(nil), table.own.Data().At(table.own.Slot(row))...)
							s.mu.Unlock()
							sums, z := packed[width:2*width], packed[2*width:3*width]
							if sums[0] != float64(clocks*n*workers) {
								return errors.Errorf("row %d: %v gradients", row, sums[0])
							}
							for i := range z {
								if want := sums[i]*sums[i] - 2*want[row][i]; z[i] != want {
									return errors.Errorf("row %d, element %d: z = %v, want %v", row, i, z[i], want)
								}
							}
							if n*workers > 1 && p == BSP() && z[0] <= sums[0] { // elsewhere they may come one after the other
								return errors.Errorf("row %d: z = %v: no gradient was late", row, z[0])
							}
						}
						return s.Close(ctx)
					})
				})
			}
		}
	}
}

// TestRevisedBatch: the gradients of a batch, of several workers and several
// clocks, are added up by row and gradient sum, and nothing else.
func TestRevisedBatch(t *testing.T) {
	const rows, width, ranks = 20, 2, 3
	type key struct {
		row int64
		old float64
	}
	for seed := range uint64(50) {
		runtimetest.SPMD(t, ranks, func(ctx context.Context, c *runtime.Comm) error {
			s, err := Open(ctx, c, Config{})
			if err != nil {
				return err
			}
			table, err := CreateTable(ctx, s, TableSpec[float64]{Name: "x", Rows: rows, Width: width, Update: AdaRevision(1)})
			if err != nil {
				return err
			}
			rng := rand.New(rand.NewPCG(seed, uint64(c.Rank())))
			want := map[key]float64{}
			var merge []source[float64]
			for range rng.IntN(5) { // workers
				log := oplog.New[float64](rows, 2*width, false)
				for clock := range int64(rng.IntN(4)) {
					for range rng.IntN(2 * rows) {
						row := rng.Int64N(rows)
						n := log.Touched()
						at := log.Touch(row, int(row))
						x := log.Open().At(at)
						if at == n {
							x[width] = float64(rng.IntN(3))
							if x[width] == 2 {
								x[width] = math.NaN()
							}
						}
						g := float64(rng.IntN(9) - 4)
						x[0] += g
						x[1] += 2 * g
						if old := x[width]; !math.IsNaN(old) {
							want[key{row, old}] += g
						} else {
							want[key{row, -1}] += g
						}
					}
					if e := log.Seal(clock); e != nil {
						merge = append(merge, source[float64]{e: e})
					}
				}
			}
			encs, touched := make([]codec.Encoder, ranks), make([]bool, ranks)
			for o := range encs {
				encs[o].Begin(nil, codec.Header{Kind: codec.Batch, Rank: c.Rank(), Version: 1})
			}
			table.encodeMerged(merge, encs, touched)
			for o := range encs {
				var d codec.Decoder
				if err := d.Reset(encs[o].End()); err != nil {
					return err
				}
				for d.NextTable() {
					for d.NextRow() {
						x := make([]float64, 2*width)
						if err := codec.CopyTo(&d, x); err != nil {
							return err
						}
						k := key{d.Row(), x[width]}
						if math.IsNaN(x[width]) {
							k.old = -1
						}
						g, ok := want[k]
						if !ok || x[0] != g || x[1] != 2*g || table.owner(k.row) != o || !touched[o] {
							return errors.Errorf("seed %d: owner %d gets %v for row %d, want %v of %v", seed, o, x, k.row, g, k.old)
						}
						delete(want, k)
					}
				}
				if err := d.Err(); err != nil {
					return err
				}
			}
			if len(want) > 0 {
				return errors.Errorf("seed %d: not sent: %v", seed, want)
			}
			return s.Close(ctx)
		})
	}
}
