package collectives_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// sum is that of counts.
func sum(counts []int) int {
	n := 0
	for _, k := range counts {
		n += k
	}
	return n
}

// ringOf is a graph in which every rank sends to the next one so many times.
func ringOf(ctx context.Context, c *runtime.Comm, times int) (*collectives.Graph, error) {
	var in, out []int
	for range times {
		in, out = append(in, (c.Rank()+c.Size()-1)%c.Size()), append(out, (c.Rank()+1)%c.Size())
	}
	return collectives.NewGraph(ctx, c, in, out)
}

// TestEdgeCounts: whichever of several edges between two ranks it is whose ends
// have counts that differ, however long, all ranks get ErrMismatch, and the one
// that receives the block says the lengths.
func TestEdgeCounts(t *testing.T) {
	exchange := func(send, recv, edge int) runtimetest.Body {
		return func(ctx context.Context, c *runtime.Comm) error {
			g, err := ringOf(ctx, c, 3)
			if err != nil {
				return err
			}
			out, in := []int{1, 9000, 2}, []int{1, 9000, 2}
			if c.Rank() == 0 {
				out[edge] = send
			}
			if c.Rank() == 1 {
				in[edge] = recv
			}
			err = collectives.NeighborAlltoall(ctx, g, make([]int64, sum(in)), make([]int64, sum(out)), collectives.Counts(out), collectives.RecvCounts(in))
			if want := fmt.Sprintf("rank 0 sends %d bytes where rank 1 expects %d", 8*send, 8*recv); c.Rank() == 1 && (err == nil || !strings.Contains(err.Error(), want)) {
				return errors.Errorf("got %v, want %s", err, want)
			}
			for range 2 {
				if err == nil {
					err = collectives.Barrier(ctx, g.Comm())
				}
			}
			if !stderrors.Is(err, collectives.ErrMismatch) {
				return errors.Errorf("rank %d got %v", c.Rank(), err)
			}
			return nil
		}
	}
	for _, k := range []struct{ send, recv int }{
		{10, 20}, {20, 10}, {100_000, 10}, {10, 100_000}, {100_000, 200_000}, {200_000, 100_000}, {0, 5}, {5, 0}, {0, 100_000}, {100_000, 0},
	} {
		for edge := range 3 {
			for _, size := range []int{2, 3, 5} {
				t.Run(fmt.Sprintf("send=%d/recv=%d/edge=%d/ranks=%d", k.send, k.recv, edge, size), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { runtimetest.SPMD(t, size, exchange(k.send, k.recv, edge)) })
				})
			}
		}
		for _, net := range runtimetest.Networks() {
			t.Run(fmt.Sprintf("send=%d/recv=%d/net=%s", k.send, k.recv, net.Name), func(t *testing.T) { net.Run(t, 3, exchange(k.send, k.recv, 1)) })
		}
	}
}
