package collectives_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// TestTrace: every operation is a span that names its algorithm and says what
// the rank has sent, also those of several communicators at a time.
func TestTrace(t *testing.T) {
	const n, rounds = 3, 20
	for _, record := range []bootstrap.Recording{bootstrap.RecordReport, bootstrap.RecordTrace} {
		cluster := runtimetest.NewCluster(n)
		cluster.Edit = func(cfg *runtime.Config) { cfg.Record = record }
		errs := cluster.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
			var calls sync.WaitGroup
			var errs [3]error
			for i := range errs {
				d, err := c.Dup(ctx)
				if err != nil {
					return err
				}
				calls.Go(func() {
					x := make([]float64, []int{1, 30_000, 7}[i])
					for range rounds {
						if errs[i] == nil {
							errs[i] = collectives.Allreduce(ctx, d, x, x, collectives.Sum)
						}
						if errs[i] == nil {
							errs[i] = collectives.Bcast(ctx, d, x[:1], 2)
						}
					}
				})
			}
			calls.Wait()
			for _, err := range errs {
				if err != nil {
					return err
				}
			}
			return collectives.Barrier(ctx, c)
		})
		if err := runtimetest.Primary(errs); err != nil {
			t.Fatal(err)
		}
		for rank := range n {
			names, ring := map[string]int{}, int64(0)
			for _, e := range cluster.Events(t, rank) {
				spans, err := e.Unpack()
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range spans {
					if s.Kind != telemetry.Collective || s.Lane != telemetry.LaneRank || s.On != telemetry.NoRank || s.End < s.Start {
						t.Errorf("rank %d: %+v", rank, s)
					}
					names[s.Name]++
					if s.Name == "allreduce ring" {
						ring += s.Bytes
					}
				}
			}
			if record != bootstrap.RecordTrace {
				if len(names) > 0 {
					t.Errorf("rank %d: spans %v without tracing", rank, names)
				}
				continue
			}
			calls := 0
			for name, k := range names {
				if verb, algorithm, ok := strings.Cut(name, " "); !ok || verb == "" || algorithm == "" {
					t.Errorf("rank %d: name %q", rank, name)
				}
				calls += k
			}
			if calls != 3*2*rounds+1 || names["allreduce direct"] != 2*rounds || names["allreduce ring"] != rounds ||
				names["bcast binomial"] != 3*rounds || names["barrier dissemination"] != 1 {
				t.Errorf("rank %d: %v", rank, names)
			}
			// Each rank passes on all blocks but one, twice.
			if want := int64(rounds * 2 * 20_000 * 8); ring != want {
				t.Errorf("rank %d: %d bytes sent around the ring, want %d", rank, ring, want)
			}
		}
	}
}
