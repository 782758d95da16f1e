package ssp_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/telemetry"
	"github.com/sspurn/sspurn/ssp"
)

// slowed runs clocks of 10 ms on three ranks in no time, those of one rank of the
// job 10 ms longer, in a store whose ranks are numbered the other way round.
func slowed(t *testing.T, p ssp.Policy, record bootstrap.Recording, slow, workers int, clocks ssp.Clock) *runtimetest.Cluster {
	cluster := runtimetest.NewCluster(3)
	cluster.Delay(func(int, int) time.Duration { return 100 * time.Microsecond })
	cluster.Edit = func(cfg *runtime.Config) { cfg.Record = record }
	errs := cluster.Run(t.Context(), func(ctx context.Context, world *runtime.Comm) error {
		c, err := world.Split(ctx, 0, -world.Rank())
		if err != nil {
			return err
		}
		s, err := ssp.Open(ctx, c, ssp.Config{Workers: workers, Policy: p, LogBytes: 1, Straggle: fmt.Sprintf("rank=%d,delay=15ms", 2-slow)})
		if err != nil {
			return err
		}
		table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "x", Rows: 6, Width: 2})
		if err != nil {
			return err
		}
		err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
			v, x := table.View(w), make([]int32, 2)
			for w.Now() < clocks {
				for row := range int64(6) {
					if err := v.Get(ctx, row, x); err != nil {
						return err
					}
				}
				<-time.After(15 * time.Millisecond)
				for row := range int64(6) {
					v.IncAt(row, 0, 1)
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
		return s.Close(ctx)
	})
	if err := runtimetest.Primary(errs); err != nil {
		t.Fatal(err)
	}
	return cluster
}

// TestGatesByRank: the records of all ranks name the one that was waited for,
// whoever owns the row and however it came.
func TestGatesByRank(t *testing.T) {
	for _, p := range []ssp.Policy{ssp.BSP(), ssp.SSP(1), ssp.ESSP(0), ssp.ESSP(2), ssp.Async(), ssp.ABSP(4), ssp.CAP(2)} {
		for slow := range 3 {
			synctest.Test(t, func(t *testing.T) {
				cluster := slowed(t, p, bootstrap.RecordReport, slow, 2, 40)
				for rank := range 3 {
					last := map[int]telemetry.Event{}
					for _, e := range cluster.Events(t, rank) {
						if e.Kind == "clock" {
							last[e.Worker] = e
						}
					}
					for w, e := range last {
						sum, most, on := 0.0, 0.0, -1
						for i, x := range e.On {
							if i > 0 && e.On[i-1][0] >= x[0] || x[1] <= 0 {
								t.Errorf("%v: on %v", p, e.On)
							}
							if sum += x[1]; x[1] > most {
								most, on = x[1], int(x[0])
							}
						}
						if math.Abs(sum-e.Gate) > 1e-6 {
							t.Errorf("%v: rank %d, worker %d: %v s at the gate, %v by rank", p, rank, w, e.Gate, e.On)
						}
						if p == ssp.Async() {
							continue // no gate but the acknowledgements, which are quick
						}
						if rank != slow && (on != slow || most < 0.9*e.Gate || e.Gate < 0.2) {
							t.Errorf("%v: rank %d, worker %d: waited %v s, %v; rank %d is slow", p, rank, w, e.Gate, e.On, slow)
						}
						if rank == slow && e.Gate > 0.05 {
							t.Errorf("%v: the slow rank %d waited %v s, %v", p, rank, e.Gate, e.On)
						}
					}
				}
			})
		}
	}
}

// TestSpans: the spans of a worker follow one another and have all of the time
// that its last clock event tells of: every clock when there are few in a
// window, and all of them, without gaps, when tracing.
func TestSpans(t *testing.T) {
	const clocks, workers = 40, 2
	for _, record := range []bootstrap.Recording{bootstrap.RecordReport, bootstrap.RecordTrace} {
		for _, p := range policies {
			synctest.Test(t, func(t *testing.T) {
				cluster := slowed(t, p, record, 1, workers, clocks)
				for rank := range 3 {
					end, last := map[int]telemetry.Span{}, map[int]telemetry.Event{}
					sums, seen := map[int]map[telemetry.SpanKind]time.Duration{}, map[int]int64{}
					gates := map[int]map[int]float64{}
					for _, e := range cluster.Events(t, rank) {
						if e.Kind == "clock" {
							last[e.Worker] = e
						}
						spans, err := e.Unpack()
						if err != nil {
							t.Fatal(err)
						}
						for _, s := range spans {
							was, old := end[s.Lane]
							if s.Start < was.End || s.End <= s.Start || s.Lane < workers && s.Clock < was.Clock {
								t.Fatalf("%v: rank %d: %+v after %+v", p, rank, s, was)
							}
							if old && 0 <= s.Lane && s.Lane < workers && s.Start != was.End {
								t.Fatalf("%v: rank %d: a gap between %+v and %+v", p, rank, was, s)
							}
							if sums[s.Lane] == nil {
								sums[s.Lane], gates[s.Lane] = map[telemetry.SpanKind]time.Duration{}, map[int]float64{}
							}
							if s.Kind == telemetry.Gate {
								gates[s.Lane][s.On] += (s.End - s.Start).Seconds()
							}
							sums[s.Lane][s.Kind] += s.End - s.Start
							end[s.Lane], seen[s.Lane] = s, max(seen[s.Lane], s.Clock)
						}
					}
					for w := range workers {
						e, sum := last[w], sums[w]
						near := func(a time.Duration, b float64) bool { return math.Abs(a.Seconds()-b) < 1e-6+float64(e.Clock)*2e-6 }
						if !near(sum[telemetry.Compute]+sum[telemetry.Straggle], e.Compute) || !near(sum[telemetry.Straggle], e.Straggle) ||
							!near(sum[telemetry.Gate], e.Gate) || !near(sum[telemetry.Miss], e.Miss) || !near(sum[telemetry.Flush], e.Flush) {
							t.Errorf("%v: rank %d, worker %d: spans have %v of %+v", p, rank, w, sum, e)
						}
						if e.Clock != clocks || seen[w] < clocks-1 {
							t.Errorf("%v: rank %d, worker %d: spans of clocks up to %d of %d", p, rank, w, seen[w], e.Clock)
						}
						for _, x := range e.On {
							if math.Abs(gates[w][int(x[0])]-x[1]) > 1e-6+float64(e.Clock)*2e-6 {
								t.Errorf("%v: rank %d, worker %d: spans wait on %v, the event says %v", p, rank, w, gates[w], e.On)
							}
						}
					}
					lanes := 0
					for lane := range end {
						if lane >= telemetry.LanePush {
							lanes++
							if peer := lane - telemetry.LanePush; end[lane].On != peer || peer == rank || end[lane].Bytes == 0 {
								t.Errorf("%v: rank %d: push %+v", p, rank, end[lane])
							}
						}
					}
					want := 0
					if record == bootstrap.RecordTrace && pushes(p) {
						want = 2
					}
					if lanes != want {
						t.Errorf("%v: rank %d: %d lanes of pushes, want %d", p, rank, lanes, want)
					}
					if _, ok := end[telemetry.LaneRank]; ok != (record == bootstrap.RecordTrace) || ok && end[telemetry.LaneRank].Name != "close" {
						t.Errorf("%v: rank %d: %+v", p, rank, end[telemetry.LaneRank])
					}
				}
			})
		}
	}
}

// TestSilence: a rank whose workers wait for long says each second how much has
// left, and its last word has all.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := runtimetest.NewCluster(2)
		sent := [2]int64{}
		errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			s, err := ssp.Open(ctx, c, ssp.Config{})
			if err != nil {
				return err
			}
			table, err := ssp.CreateTable(ctx, s, ssp.TableSpec[int32]{Name: "x", Rows: 2, Width: 2})
			if err != nil {
				return err
			}
			err = s.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
				if c.Rank() == 1 {
					<-time.After(10 * time.Second)
				}
				if err := w.Clock(ctx); err != nil {
					return err
				}
				return table.View(w).Get(ctx, 0, make([]int32, 2))
			})
			if err != nil {
				return err
			}
			if err := s.Close(ctx); err != nil {
				return err
			}
			total, _ := c.Traffic()
			sent[c.Rank()] = int64(total)
			return nil
		})
		if err := runtimetest.Primary(errs); err != nil {
			t.Fatal(err)
		}
		for rank := range 2 {
			last, n := telemetry.Event{}, 0
			for _, e := range cluster.Events(t, rank) {
				if e.Kind == "bytes" {
					if e.Time-last.Time > 2 {
						t.Errorf("rank %d: nothing between %v s and %v s", rank, last.Time, e.Time)
					}
					last = e
					n++
				}
			}
			if n < 8 || n > 20 {
				t.Errorf("rank %d: %d events in 10 s", rank, n)
			}
			if last.Bytes["wire"] != sent[rank] || last.Time < 10 {
				t.Errorf("rank %d: the last event has %d of %d bytes", rank, last.Bytes["wire"], sent[rank])
			}
		}
	})
}
