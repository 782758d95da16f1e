package collectives_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"slices"
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

// TestOwnCounts: what a rank has for itself is as long as what it expects of
// itself, or all get ErrMismatch, and the error says both lengths.
func TestOwnCounts(t *testing.T) {
	// Two edges to itself, and one to the next rank.
	graph := func(ctx context.Context, c *runtime.Comm) (*collectives.Graph, error) {
		me, n := c.Rank(), c.Size()
		return collectives.NewGraph(ctx, c, []int{me, me, (me + n - 1) % n}, []int{me, me, (me + 1) % n})
	}
	alltoall := func(c *runtime.Comm, own int) (out, in []int) {
		for range c.Size() {
			out, in = append(out, 3), append(in, 3)
		}
		in[c.Rank()] = own
		return out, in
	}
	for name, x := range map[string]struct {
		call callOf
		want string
	}{
		"alltoall, less": {func(ctx context.Context, c *runtime.Comm) error {
			out, in := alltoall(c, 2)
			return collectives.Alltoall(ctx, c, make([]int64, sum(in)), make([]int64, sum(out)), collectives.Counts(out), collectives.RecvCounts(in))
		}, "24 bytes where it expects 16"},
		"alltoall, more": {func(ctx context.Context, c *runtime.Comm) error {
			out, in := alltoall(c, 9000)
			return collectives.StartAlltoall(c, make([]int64, sum(in)), make([]int64, sum(out)), collectives.Counts(out), collectives.RecvCounts(in)).Wait(ctx)
		}, "24 bytes where it expects 72000"},
		"first edge": {func(ctx context.Context, c *runtime.Comm) error {
			g, err := graph(ctx, c)
			if err != nil {
				return err
			}
			return collectives.NeighborAlltoall(ctx, g, make([]int64, 6), make([]int64, 6), collectives.Counts([]int{3, 2, 1}), collectives.RecvCounts([]int{2, 3, 1}))
		}, "24 bytes where it expects 16 in block 0"},
		"second edge": {func(ctx context.Context, c *runtime.Comm) error {
			g, err := graph(ctx, c)
			if err != nil {
				return err
			}
			return collectives.NeighborAlltoall(ctx, g, make([]int64, 6), make([]int64, 5), collectives.Counts([]int{2, 2, 1}), collectives.RecvCounts([]int{2, 3, 1}))
		}, "16 bytes where it expects 24 in block 1"},
		"gather": {func(ctx context.Context, c *runtime.Comm) error {
			g, err := graph(ctx, c)
			if err != nil {
				return err
			}
			return collectives.NeighborAllgather(ctx, g, make([]int64, 8), make([]int64, 3), collectives.Counts([]int{3, 2, 3}))
		}, "24 bytes where it expects 16 in block 1"},
	} {
		for _, size := range []int{1, 2, 3, 5} {
			t.Run(fmt.Sprintf("%s/ranks=%d", name, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
						err := x.call(ctx, c)
						if !stderrors.Is(err, collectives.ErrMismatch) || !strings.Contains(err.Error(), x.want) {
							return errors.Errorf("rank %d got %v, want %s", c.Rank(), err, x.want)
						}
						return nil
					})
				})
			})
		}
	}
}

// TestOwnCountsOfOne: it is the same where one rank only has it wrong.
func TestOwnCountsOfOne(t *testing.T) {
	for _, net := range runtimetest.Networks() {
		for _, size := range []int{2, 3, 5} {
			t.Run(fmt.Sprintf("net=%s/ranks=%d", net.Name, size), func(t *testing.T) {
				net.Run(t, size, func(ctx context.Context, c *runtime.Comm) error {
					out, in := make([]int, size), make([]int, size)
					out[c.Rank()], in[c.Rank()] = 4, 4
					if c.Rank() == size-1 {
						in[c.Rank()] = 5
					}
					err := collectives.Alltoall(ctx, c, make([]int64, sum(in)), make([]int64, 4), collectives.Counts(out), collectives.RecvCounts(in))
					if want := fmt.Sprintf("rank %d in call 1, alltoall", size-1); !stderrors.Is(err, collectives.ErrMismatch) || !strings.Contains(err.Error(), want) {
						return errors.Errorf("rank %d got %v, want %s", c.Rank(), err, want)
					}
					return nil
				})
			})
		}
	}
}

// TestOneWay: the counts of a rank without neighbours on a side are none, in a
// list that may be nil, and it is in the same call as the others.
func TestOneWay(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5} {
		for _, net := range runtimetest.Networks() {
			t.Run(fmt.Sprintf("net=%s/ranks=%d", net.Name, size), func(t *testing.T) {
				net.Run(t, size, func(ctx context.Context, c *runtime.Comm) error {
					// Along a line, from rank 0 on.
					var in, out, send, recv []int
					var src, want []int64
					for r := c.Rank() + 1; r < size; r++ {
						out, send = append(out, r), append(send, r)
						for range r {
							src = append(src, int64(c.Rank()))
						}
					}
					for r := range c.Rank() {
						in, recv = append(in, r), append(recv, c.Rank())
						for range c.Rank() {
							want = append(want, int64(r))
						}
					}
					g, err := collectives.NewGraph(ctx, c, in, out)
					if err != nil {
						return err
					}
					dst := make([]int64, len(want))
					if err := collectives.NeighborAlltoall(ctx, g, dst, src, collectives.Counts(send), collectives.RecvCounts(recv)); err != nil || !slices.Equal(dst, want) {
						return errors.Errorf("rank %d got %v, want %v: %v", c.Rank(), dst, want, err)
					}
					// Rank r has r+1 elements for all after it.
					mine := make([]int64, c.Rank()+1)
					for i := range mine {
						mine[i] = int64(c.Rank())
					}
					want = nil
					for i, r := range in {
						recv[i] = r + 1
						for range r + 1 {
							want = append(want, int64(r))
						}
					}
					dst = make([]int64, len(want))
					if err := collectives.NeighborAllgather(ctx, g, dst, mine, collectives.Counts(recv)); err != nil || !slices.Equal(dst, want) {
						return errors.Errorf("rank %d gathers %v, want %v: %v", c.Rank(), dst, want, err)
					}
					// Without counts all blocks have two elements.
					dst, src = make([]int64, 2*len(in)), make([]int64, 2*len(out))
					if err := collectives.NeighborAlltoall(ctx, g, dst, src); err != nil {
						return err
					}
					return collectives.Barrier(ctx, g.Comm())
				})
			})
		}
	}
}

// TestNilCounts: counts that are nil are none, not absent.
func TestNilCounts(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5} {
		runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
			x := make([]int64, size)
			_, gather := collectives.PrepareGather(c, x, x[:1], 0, collectives.Counts(nil))
			_, alltoall := collectives.PrepareAlltoall(c, make([]int64, size), x, collectives.Counts(nil), collectives.RecvCounts(nil))
			for _, err := range []error{gather, alltoall} {
				if want := fmt.Sprintf("counts for %d ranks", size); err == nil || !strings.Contains(err.Error(), want) {
					return errors.Errorf("got %v, want %s", err, want)
				}
			}
			return nil
		})
	}
}
