package collectives_test

import (
	"context"
	"fmt"
	"maps"
	goruntime "runtime"
	"testing"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/bootstrap"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// TestCores: how many ranks share a core is told to the choice of algorithms,
// and is the same at all ranks: calls by different algorithms would be an error.
func TestCores(t *testing.T) {
	for _, test := range []struct {
		size, hosts, cores int
		barrier            string // of all ranks, on Linux; "": any
	}{
		{1, 1, 1, ""}, {2, 1, 1, ""}, {3, 1, 2, ""}, {4, 1, 0, "doubling"}, {4, 1, 4, "doubling"}, {4, 1, 2, "by-core"}, {4, 1, 1, "flat"},
		{5, 2, 1, ""}, {6, 1, 2, "by-core"}, {7, 3, 2, ""}, {8, 1, 2, "by-core"}, {8, 1, 8, "doubling"}, {9, 2, 2, ""}, {16, 1, 2, "by-core"}, {16, 1, 8, "by-core"}, {17, 4, 2, ""},
	} {
		t.Run(fmt.Sprintf("ranks=%d/hosts=%d/cores=%d", test.size, test.hosts, test.cores), func(t *testing.T) {
			cluster := runtimetest.NewCluster(test.size)
			cluster.Edit = func(cfg *runtime.Config) {
				cfg.Record, cfg.Host = bootstrap.RecordTrace, fmt.Sprint(cfg.Rank%test.hosts)
				cfg.Cores = test.cores * (1 + cfg.Rank%test.hosts) // the same at all ranks of a host
			}
			if err := runtimetest.Primary(cluster.Run(t.Context(), inCrowd)); err != nil {
				t.Fatal(err)
			}
			var all map[string]int
			for rank := range test.size {
				names := map[string]int{}
				for _, e := range cluster.Events(t, rank) {
					spans, err := e.Unpack()
					if err != nil {
						t.Fatal(err)
					}
					for _, s := range spans {
						if s.Kind == telemetry.Collective {
							names[s.Name]++
						}
					}
				}
				if all == nil {
					all = names
				}
				if !maps.Equal(names, all) {
					t.Errorf("rank %d calls %v, rank 0 %v", rank, names, all)
				}
			}
			if test.barrier != "" && goruntime.GOOS == "linux" && all["barrier "+test.barrier] == 0 {
				t.Errorf("no barrier by %s: %v", test.barrier, all)
			}
		})
	}
}

// inCrowd makes calls of many lengths and checks what they bring.
func inCrowd(ctx context.Context, c *runtime.Comm) error {
	size, rank := c.Size(), c.Rank()
	if err := collectives.Barrier(ctx, c); err != nil {
		return err
	}
	for _, n := range []int{1, 700, 9_000, 100_000} {
		src, sum := make([]int64, n), make([]int64, n)
		for i := range src {
			src[i] = int64(rank*n + i)
		}
		if err := collectives.Allreduce(ctx, c, sum, src, collectives.Sum); err != nil {
			return err
		}
		for i, got := range sum {
			if want := int64(size*(size-1)/2*n + size*i); got != want {
				return fmt.Errorf("allreduce of %d: element %d is %d, want %d", n, i, got, want)
			}
		}
		all := make([]int64, n/size*size)
		if err := collectives.Allgather(ctx, c, all, src[:n/size]); err != nil {
			return err
		}
		for i, got := range all {
			if want := int64(i/(n/size)*n + i%(n/size)); got != want {
				return fmt.Errorf("allgather of %d: element %d is %d, want %d", n, i, got, want)
			}
		}
		if rank != size-1 {
			clear(src)
		}
		if err := collectives.Bcast(ctx, c, src, size-1); err != nil {
			return err
		}
		for i, got := range src {
			if want := int64((size-1)*n + i); got != want {
				return fmt.Errorf("bcast of %d: element %d is %d, want %d", n, i, got, want)
			}
		}
	}
	return nil
}
