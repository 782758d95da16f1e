package ssp_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/linalg"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/ssp"
)

const (
	floatRows  = 17
	floatWidth = 5
)

func initial(row int64, x []float32) {
	for i := range x {
		x[i] = float32(math.Sin(float64(row)*7 + float64(i)))
	}
}

// program is what a worker does in a clock, on rows that get and edit give it.
func program(self int, clock int64, get func(row int64) []float32, edit func(row int64) []float32, inc func(row int64, d []float32)) {
	rng := rand.New(rand.NewPCG(uint64(self), uint64(clock)))
	for range 6 {
		a, b := rng.Int64N(floatRows), rng.Int64N(floatRows)
		from := append([]float32(nil), get(a)...)
		switch rng.IntN(2) {
		case 0:
			x := edit(b)
			for i := range x {
				x[i] += 0.1*from[(i+1)%floatWidth] + float32(rng.NormFloat64())/3
			}
		default:
			d := make([]float32, floatWidth)
			for i := range d {
				d[i] = from[i]/7 - float32(rng.Float64())
			}
			inc(b, d)
		}
	}
}

// sequential runs the program of all workers one after another: the rows at the
// start of a block of clocks are those after all updates of the blocks before,
// the updates of a worker in a block are added up first, then those of a rank's
// workers; ranks follow in order.
func sequential(ranks, workers int, clocks, block int64) [][]float32 {
	rows := make([][]float32, floatRows)
	for r := range rows {
		rows[r] = make([]float32, floatWidth)
		initial(int64(r), rows[r])
	}
	open := make([]map[int64][]float32, ranks*workers) // by worker: its updates of the running block
	for clock := range clocks {
		deltas := make([]map[int64][]float32, ranks)
		over := (clock+1)%block == 0 || clock+1 == clocks
		for rank := range ranks {
			deltas[rank] = map[int64][]float32{}
			for w := range workers {
				seen := make([][]float32, floatRows)
				base := map[int64][]float32{}
				delta := open[rank*workers+w]
				if delta == nil {
					delta = map[int64][]float32{}
					open[rank*workers+w] = delta
				}
				row := func(r int64) []float32 {
					if seen[r] == nil {
						seen[r] = append([]float32(nil), rows[r]...)
						for i, d := range delta[r] {
							seen[r][i] += d
						}
					}
					return seen[r]
				}
				edit := func(r int64) []float32 {
					x := row(r)
					if base[r] == nil {
						base[r] = append([]float32(nil), x...)
					}
					return x
				}
				inc := func(r int64, d []float32) {
					if base[r] != nil {
						for i := range d {
							seen[r][i] += d[i]
						}
						return
					}
					if delta[r] == nil {
						delta[r] = make([]float32, floatWidth)
					}
					for i := range d {
						delta[r][i] += d[i]
						if seen[r] != nil {
							seen[r][i] += d[i]
						}
					}
				}
				program(rank*workers+w, clock, row, edit, inc)
				for r, b := range base {
					if delta[r] == nil {
						delta[r] = make([]float32, floatWidth)
					}
					for i := range b {
						delta[r][i] += seen[r][i] - b[i]
					}
				}
				if !over {
					continue
				}
				open[rank*workers+w] = nil
				for r, d := range delta {
					if sum := deltas[rank][r]; sum != nil {
						for i := range d {
							sum[i] += d[i]
						}
					} else {
						deltas[rank][r] = d
					}
				}
			}
		}
		for rank := range ranks {
			for r, d := range deltas[rank] {
				for i := range d {
					rows[r][i] += d[i]
				}
			}
		}
	}
	return rows
}

// TestBSPIsSequential: floats come out as in the sequential run, bit for bit.
func TestBSPIsSequential(t *testing.T) { isSequential(t, ssp.BSP()) }

// TestABSPIsSequential: so they do when clocks come in blocks, the last of which
// is not complete.
func TestABSPIsSequential(t *testing.T) { isSequential(t, ssp.ABSP(4)) }

func isSequential(t *testing.T, policy ssp.Policy) {
	const clocks = 15
	for _, n := range []int{1, 2, 3, 5, 8} {
		for _, workers := range []int{1, 3} {
			for _, place := range []ssp.Placement{ssp.Cyclic, ssp.Range} {
				t.Run(fmt.Sprintf("ranks=%d/workers=%d/place=%d", n, workers, place), func(t *testing.T) {
					want := sequential(n, workers, clocks, int64(policy.Block()))
					runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
						s, err := ssp.Open(ctx, c, ssp.Config{Workers: workers, Policy: policy, Prefetch: ssp.Prefetch((n + workers) % 3)})
						if err != nil {
							return err
						}
						table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float32]{Name: "x", Rows: floatRows, Width: floatWidth, Init: initial, Place: place})
						if err != nil {
							return err
						}
						err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
							v := table.View(w)
							var failed error
							x := make([]float32, floatWidth)
							for clock := range int64(clocks) {
								program(c.Rank()*workers+w.Index(), clock, func(row int64) []float32 {
									if err := v.Get(ctx, row, x); err != nil {
										failed = err
									}
									return x
								}, func(row int64) []float32 {
									x, err := v.Edit(ctx, row)
									if err != nil {
										failed = err
										return make([]float32, floatWidth)
									}
									return x
								}, v.Inc)
								if failed != nil {
									return failed
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
						err = table.Collect(ctx, 0, func(row int64, x []float32) error {
							for i := range x {
								if math.Float32bits(x[i]) != math.Float32bits(want[row][i]) {
									return errors.Errorf("row %d: %v, want %v", row, x, want[row])
								}
							}
							return nil
						})
						if err != nil {
							return err
						}
						return s.Close(ctx)
					})
				})
			}
		}
	}
}

// TestTinyCache: everything holds with room for hardly a row.
func TestTinyCache(t *testing.T) {
	for _, p := range policies {
		for _, refetch := range []int{0, -1} {
			t.Run(fmt.Sprintf("%v/refetch=%d", p, refetch), func(t *testing.T) {
				var mu sync.Mutex
				evicted := int64(0)
				runtimetest.SPMD(t, 3, func(ctx context.Context, c *runtime.Comm) error {
					return countClocksThen(ctx, c, ssp.Config{Workers: 2, Policy: p, CacheBytes: 600, Refetch: refetch}, false, func(s *ssp.Store) {
						mu.Lock()
						defer mu.Unlock()
						evicted += s.Stats().Evicted
					})
				})
				if evicted == 0 {
					t.Error("nothing was evicted")
				}
			})
		}
	}
}

// TestSparseTable: the same rules for rows that are kept as entries.
func TestSparseTable(t *testing.T) {
	for _, p := range policies {
		t.Run(p.String(), func(t *testing.T) {
			runtimetest.SPMD(t, 3, func(ctx context.Context, c *runtime.Comm) error {
				return countClocks(ctx, c, ssp.Config{Workers: 2, Policy: p}, true)
			})
		})
	}
}

// TestHugeSparse: rows beyond any array, as entries, from both ends of the API.
func TestHugeSparse(t *testing.T) {
	const rows, width = int64(1) << 40, 100_000
	runtimetest.SPMD(t, 3, func(ctx context.Context, c *runtime.Comm) error {
		s, err := ssp.Open(ctx, c, ssp.Config{Policy: ssp.SSP(1)})
		if err != nil {
			return err
		}
		table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float64]{Name: "huge", Rows: rows, Width: width, Sparse: true})
		if err != nil {
			return err
		}
		at := func(i int64) int64 { return i * (rows / 64) }
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			v := table.View(w)
			var x linalg.Sparse[float64]
			for clock := range int64(5) {
				for i := range int64(40) {
					if x, err = v.GetSparse(ctx, at(i), x); err != nil {
						return err
					}
					if err := x.Check(width); err != nil {
						return err
					}
					if own := x.At(int32(c.Rank())); own != float64(clock) {
						return errors.Errorf("row %d at clock %d: own %v", i, clock, own)
					}
					v.IncSparse(at(i), linalg.Sparse[float64]{Col: []int32{int32(c.Rank()), 99_999}, Val: []float64{1, 2}})
				}
				if _, err := v.Edit(ctx, 0); err == nil {
					return errors.New("a sparse row can be edited")
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
		n := int64(0)
		err = table.Collect(ctx, 0, func(row int64, x []float64) error {
			if row != at(n) || x[0] != 5 || x[1] != 5 || x[2] != 5 || x[99_999] != 30 {
				return errors.Errorf("row %d: %v %v %v", row, x[:3], x[99_999], n)
			}
			n++
			return nil
		})
		if err != nil {
			return err
		}
		if c.Rank() == 0 && n != 40 {
			return errors.Errorf("%d rows", n)
		}
		return s.Close(ctx)
	})
}
