package ssp_test

import (
	"context"
	"encoding/json"
	stderrors "errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/telemetry"
	"github.com/sspurn/sspurn/ssp"
)

// TestMixedPolicies: tables of all policies in one store, each held to its own
// rule, by workers in the long form.
func TestMixedPolicies(t *testing.T) {
	const rows, clocks, workers = 5, 15, 2
	for _, n := range []int{1, 2, 3, 5} {
		t.Run(fmt.Sprintf("ranks=%d", n), func(t *testing.T) {
			runtimetest.SPMD(t, n, func(ctx context.Context, c *runtime.Comm) error {
				s, err := ssp.Open(ctx, c, ssp.Config{Workers: workers})
				if err != nil {
					return err
				}
				var tables []*ssp.Table[int64]
				for _, p := range policies {
					table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int64]{Name: p.String(), Rows: rows, Width: n * workers, Policy: p})
					if err != nil {
						return err
					}
					tables = append(tables, table)
				}
				for round := range int64(2) {
					var group sync.WaitGroup
					errs := make([]error, workers)
					for i := range workers {
						w, err := s.NewWorker()
						if err != nil {
							return err
						}
						if w.Index() != i || int64(w.Now()) != round*clocks {
							return errors.Errorf("worker %d at clock %d", w.Index(), w.Now())
						}
						group.Go(func() {
							errs[i] = mixed(ctx, w, tables, c.Rank()*workers+i, round*clocks, (round+1)*clocks)
							errs[i] = stderrors.Join(errs[i], w.Close(), w.Close()) // the second does nothing
						})
					}
					if _, err := s.NewWorker(); err == nil {
						return errors.New("one worker too many")
					}
					group.Wait()
					if err := stderrors.Join(errs...); err != nil {
						return err
					}
					if err := s.Sync(ctx); err != nil {
						return err
					}
				}
				for i, table := range tables {
					for row, x := range table.Owned() {
						for o, sum := range x {
							if sum != 2*clocks {
								return errors.Errorf("table %v: row %d holds %d of worker %d", policies[i], row, sum, o)
							}
						}
					}
				}
				return s.Close(ctx)
			})
		})
	}
}

// mixed works from one clock to another and checks each read.
func mixed(ctx context.Context, w *ssp.Worker, tables []*ssp.Table[int64], self int, from, to int64) error {
	for clock := from; clock < to; clock++ {
		for i, table := range tables {
			v := table.View(w)
			x := make([]int64, table.Width())
			for row := range table.Rows() {
				if (row+clock+int64(i))%4 == 0 {
					continue
				}
				if err := v.Get(ctx, row, x); err != nil {
					return err
				}
				for o, sum := range x {
					low, high := from, to
					if least, most, ok := table.Policy().Window(ssp.Clock(clock)); ok {
						low, high = max(from, int64(least)), min(to, max(from, int64(most)))
					}
					if o == self {
						low, high = clock, clock
					}
					if sum < low || sum > high {
						return errors.Errorf("table %s: worker %d at clock %d reads %d of %d in row %d: want %d to %d", table.Name(), self, clock, sum, o, row, low, high)
					}
				}
			}
			if err := v.GetMany(ctx, []int64{1, table.Rows()}, make([]int64, 2*table.Width())); err == nil {
				return errors.New("a row outside the table can be read")
			}
			for row := range table.Rows() {
				v.IncAt(row, self, 1)
			}
		}
		if err := w.Clock(ctx); err != nil {
			return err
		}
	}
	return nil
}

// TestManyOutside: GetMany that fails leaves the rows before the bad one as they
// were: not read.
func TestManyOutside(t *testing.T) {
	alone(t, 2, ssp.SSP(3), 4, 2, func(ctx context.Context, w *ssp.Worker, v *ssp.View[float32]) {
		v.Inc(1, []float32{3, 4})
		x := make([]float32, 4)
		if err := v.GetMany(ctx, []int64{1, 4}, x); err == nil {
			t.Error("no error")
		}
		if err := v.Get(ctx, 1, x[:2]); err != nil || x[0] != 3 || x[1] != 4 {
			t.Errorf("row 1: %v, %v", x[:2], err)
		}
	})
}

// TestEvents: the record of a rank has its workers' clocks and its bytes, as
// totals that never fall, and ends with what Stats returns.
func TestEvents(t *testing.T) {
	const workers, clocks, rows = 2, 20, 6
	for _, p := range policies {
		t.Run(p.String(), func(t *testing.T) {
			cluster := runtimetest.NewCluster(2)
			stats := make([]ssp.Stats, 2)
			errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
				s, err := ssp.Open(ctx, c, ssp.Config{Workers: workers, Policy: p})
				if err != nil {
					return err
				}
				table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "x", Rows: rows, Width: 3})
				if err != nil {
					return err
				}
				for range 2 {
					err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
						v, x := table.View(w), make([]int32, 3)
						for range clocks {
							for row := range int64(rows) {
								if err := v.Get(ctx, row, x); err != nil {
									return err
								}
								v.IncAt(row, 1, 1)
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
				}
				stats[c.Rank()] = s.Stats()
				return s.Close(ctx)
			})
			if err := runtimetest.Primary(errs); err != nil {
				t.Fatal(err)
			}
			for rank := range 2 {
				last, bytes, to := map[int]telemetry.Event{}, map[string]int64{}, []int64{}
				for _, line := range cluster.Lines(rank) {
					var e telemetry.Event
					if err := json.Unmarshal([]byte(line), &e); err != nil {
						t.Fatal(err)
					}
					switch was := last[e.Worker]; {
					case e.Kind == "bytes":
						for class, n := range bytes {
							if e.Bytes[class] < n {
								t.Errorf("rank %d: %s fell from %d to %d", rank, class, n, e.Bytes[class])
							}
						}
						bytes, to = e.Bytes, e.To
					case e.Kind != "clock":
					case e.Rank != rank || e.Clock < was.Clock || e.Reads < was.Reads || e.Fetches < was.Fetches ||
						e.Compute < was.Compute || e.Gate < was.Gate || e.Miss < was.Miss || e.Flush < was.Flush:
						t.Errorf("rank %d: %+v after %+v", rank, e, was)
					default:
						last[e.Worker] = e
					}
				}
				st := stats[rank]
				reads, fetches := int64(0), int64(0)
				for w := range workers {
					e := last[w]
					if e.Clock != 2*clocks || e.Reads != 2*clocks*rows {
						t.Errorf("rank %d: worker %d ends with %+v", rank, w, e)
					}
					sum := int64(0)
					for _, x := range e.Stale {
						if bound, ok := p.Staleness(); x[0] > 0 || ok && -x[0] > int64(bound) {
							t.Errorf("rank %d: %d reads of a copy %d clocks off", rank, x[1], x[0])
						}
						sum += x[1]
					}
					if sum != e.Reads {
						t.Errorf("rank %d: %d reads in the histogram of %d", rank, sum, e.Reads)
					}
					reads, fetches = reads+e.Reads, fetches+e.Fetches
				}
				if st.Reads != reads || st.Fetches != fetches || st.Clocks != 2*clocks*workers {
					t.Errorf("rank %d: %+v", rank, st)
				}
				want := []string{"control", "fetch", "push", "raw", "update", "wire"}
				if keeps(p) > 0 {
					want = slices.Insert(want, 5, "voluntary")
				}
				if classes := slices.Sorted(maps.Keys(bytes)); !slices.Equal(classes, want) {
					t.Errorf("rank %d: classes %v", rank, classes)
				}
				if pushed := bytes["push"] > 0; pushed != pushes(p) || bytes["update"] == 0 || bytes["fetch"] == 0 {
					t.Errorf("rank %d: bytes %v", rank, bytes)
				}
				if raw := bytes["update"] + bytes["fetch"] + bytes["push"]; bytes["raw"] != raw { // too little to compress
					t.Errorf("rank %d: %d bytes before compression, %d after", rank, bytes["raw"], raw)
				}
				if len(to) != 2 || to[rank] != 0 || to[1-rank] != bytes["wire"] {
					t.Errorf("rank %d: %v of %d bytes", rank, to, bytes["wire"])
				}
				if bytes["wire"] < bytes["update"]+bytes["fetch"]+bytes["push"]+bytes["control"] {
					t.Errorf("rank %d: the wire has less than the store sent: %v", rank, bytes)
				}
			}
		})
	}
}
