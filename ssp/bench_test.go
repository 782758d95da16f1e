package ssp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/race"
	"github.com/sspurn/sspurn/ssp"
)

// alone runs body as the only worker of a job of n ranks that measures; the
// others clock along with it until it is done.
func alone(b testing.TB, n int, p ssp.Policy, rows int64, width int, body func(ctx context.Context, w *ssp.Worker, v *ssp.View[float32])) {
	runtimetest.SPMD(b, n, func(ctx context.Context, c *runtime.Comm) error {
		s, err := ssp.Open(ctx, c, ssp.Config{Policy: p})
		if err != nil {
			return err
		}
		t, err := ssp.CreateTable(ctx, s, ssp.TableSpec[float32]{Name: "x", Rows: rows, Width: width})
		if err != nil {
			return err
		}
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			if c.Rank() == 0 {
				body(ctx, w, t.View(w))
			}
			return nil
		})
		if err != nil {
			return err
		}
		return s.Close(ctx)
	})
}

func BenchmarkGet(b *testing.B) {
	alone(b, 2, ssp.SSP(3), 4096, 32, func(ctx context.Context, w *ssp.Worker, v *ssp.View[float32]) {
		x := make([]float32, 32)
		for r := range int64(4096) {
			if err := v.Get(ctx, r, x); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
		row := int64(0)
		for b.Loop() {
			row = (row*5 + 1) & 4095
			if err := v.Get(ctx, row, x); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEdit(b *testing.B) {
	alone(b, 2, ssp.SSP(3), 4096, 32, func(ctx context.Context, w *ssp.Worker, v *ssp.View[float32]) {
		b.ReportAllocs()
		row := int64(0)
		for b.Loop() {
			row = (row*5 + 1) & 4095
			x, err := v.Edit(ctx, row)
			if err != nil {
				b.Fatal(err)
			}
			x[0]++
		}
	})
}

func BenchmarkInc(b *testing.B) {
	for _, width := range []int{16, 32} {
		b.Run(fmt.Sprintf("width=%d", width), func(b *testing.B) {
			alone(b, 2, ssp.SSP(3), 4096, width, func(ctx context.Context, w *ssp.Worker, v *ssp.View[float32]) {
				d := make([]float32, width)
				b.ReportAllocs()
				row := int64(0)
				for b.Loop() {
					row = (row*5 + 1) & 4095
					v.Inc(row, d)
				}
			})
		})
	}
}

// BenchmarkCycle is a clock that reads and changes many rows: ns/row is the whole
// path of a row, both ends: Edit, Clock, encode, apply, answer, install.
func BenchmarkCycle(b *testing.B) {
	const rows, width = 20_000, 32
	for _, p := range []ssp.Policy{ssp.BSP(), ssp.SSP(3), ssp.ESSP(3), ssp.Async()} {
		for _, n := range []int{1, 2} {
			for _, prefetch := range []bool{false, true} {
				b.Run(fmt.Sprintf("policy=%v/ranks=%d/prefetch=%v", p, n, prefetch), func(b *testing.B) {
					all := make([]int64, rows)
					for i := range all {
						all[i] = int64(i)
					}
					alone(b, n, p, rows, width, func(ctx context.Context, w *ssp.Worker, v *ssp.View[float32]) {
						b.ReportAllocs()
						b.SetBytes(rows * width * 4)
						k := 0
						for b.Loop() {
							k++
							if prefetch {
								v.Prefetch(all...)
							}
							for _, r := range all {
								x, err := v.Edit(ctx, r)
								if err != nil {
									b.Fatal(err)
								}
								for i := range x {
									x[i] += float32(k)
								}
							}
							if err := w.Clock(ctx); err != nil {
								b.Fatal(err)
							}
						}
						b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
					})
				})
			}
		}
	}
}

// TestAllocs: what a worker does between two clocks does not allocate.
func TestAllocs(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	alone(t, 2, ssp.SSP(3), 64, 32, func(ctx context.Context, w *ssp.Worker, v *ssp.View[float32]) {
		x := make([]float32, 32)
		rows := []int64{1, 2, 3, 4}
		many := make([]float32, 4*32)
		use := func() {
			for r := range int64(64) {
				if err := v.Get(ctx, r, x); err != nil {
					t.Error(err)
				}
				y, err := v.Edit(ctx, r)
				if err != nil {
					t.Error(err)
				}
				y[0]++
				v.Inc(r, x)
				v.IncAt(r, 3, 1)
			}
			if err := v.GetMany(ctx, rows, many); err != nil {
				t.Error(err)
			}
		}
		use()
		if n := testing.AllocsPerRun(100, use); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestClockAllocs: a clock allocates a little for itself and nothing for rows,
// under each policy.
func TestClockAllocs(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for _, p := range policies {
		for _, rows := range []int64{1, 500} {
			alone(t, 1, p, 500, 32, func(ctx context.Context, w *ssp.Worker, v *ssp.View[float32]) {
				cycle := func() {
					for r := range rows {
						x, err := v.Edit(ctx, r)
						if err != nil {
							t.Error(err)
						}
						x[0]++
						v.IncAt((r*7)%500, 3, 1)
					}
					if err := w.Clock(ctx); err != nil {
						t.Error(err)
					}
				}
				for range 20 {
					cycle()
				}
				most := 8.0
				if strings.Contains(p.String(), "vap") { // notes of what is on its way, a round of news
					most = 24
				}
				if n := testing.AllocsPerRun(100, cycle); n > most {
					t.Errorf("%v, %d rows: %v allocations a clock", p, rows, n)
				}
			})
		}
	}
}
