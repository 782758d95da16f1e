package collectives_test

import (
	"context"
	"fmt"
	"maps"
	goruntime "runtime"
	"slices"
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

// TestByCore: over every network, whatever communicator the ranks of some cores
// make, and in place; operands stay in order where they have to.
func TestByCore(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("ranks keep to no cores")
	}
	for _, net := range runtimetest.Networks() {
		for _, x := range [][2]int{{4, 2}, {6, 2}, {8, 3}} {
			ranks, cores := x[0], x[1]
			t.Run(fmt.Sprintf("%s/ranks=%d/cores=%d", net.Name, ranks, cores), func(t *testing.T) {
				cluster := net.New(ranks)
				edit := cluster.Edit
				cluster.Edit = func(cfg *runtime.Config) {
					if edit != nil {
						edit(cfg)
					}
					cfg.Host, cfg.Cores = "here", cores
				}
				errs := cluster.Run(t.Context(), func(ctx context.Context, world *runtime.Comm) error {
					r := world.Rank()
					for _, split := range [][2]int{{0, r}, {0, ranks - r}, {r % 2, r}, {0, (r*3 + 1) % ranks}, {r / 3, -r}} {
						c, err := world.Split(ctx, split[0], split[1])
						if err != nil {
							return err
						}
						if err := byCore(ctx, c); err != nil {
							return fmt.Errorf("%s: %w", c.Name(), err)
						}
					}
					return nil
				})
				if err := runtimetest.Primary(errs); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// byCore makes calls of a communicator, by core where several ranks share one of
// several, as all of the job do.
func byCore(ctx context.Context, c *runtime.Comm) error {
	size, ranks := c.Size(), map[int]int{}
	for r := range size {
		ranks[c.Home(r)]++
	}
	how := collectives.WithAlgorithm("by-core")
	if len(ranks) == 1 || len(ranks) == size {
		how = collectives.WithAlgorithm("tree")
	}
	for _, n := range []int{0, 1, 700, 9_000} {
		mine := matrices(c.Rank(), n)
		for _, inPlace := range []bool{false, true} {
			dst, src := make([]int64, 4*n), slices.Clone(mine)
			if inPlace {
				dst = src
			}
			if err := collectives.Allreduce(ctx, c, dst, src, matrix, collectives.InOrder); err != nil {
				return err
			}
			if !slices.Equal(dst, product(0, size, n)) {
				return fmt.Errorf("product of %d matrices, in place %v: wrong", n, inPlace)
			}
			copy(src, mine)
			if err := collectives.Allreduce(ctx, c, dst, src, collectives.Sum, how); err != nil {
				return err
			}
			if !slices.Equal(dst, total(size, n)) {
				return fmt.Errorf("sum of %d matrices, in place %v: wrong", n, inPlace)
			}
		}
		if err := collectives.Barrier(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
