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

type callOf func(ctx context.Context, c *runtime.Comm) error

func allreduceOf[T runtime.Elem](n int, op collectives.Op[T], opts ...collectives.Option) callOf {
	return func(ctx context.Context, c *runtime.Comm) error {
		x := make([]T, n)
		return collectives.Allreduce(ctx, c, x, x, op, opts...)
	}
}

func bcastOf[T runtime.Elem](n, root int) callOf {
	return func(ctx context.Context, c *runtime.Comm) error {
		return collectives.Bcast(ctx, c, make([]T, n), root)
	}
}

func gatherOf(n, root int, opts ...collectives.Option) callOf {
	return func(ctx context.Context, c *runtime.Comm) error {
		return collectives.Gather(ctx, c, make([]int32, n*c.Size()), make([]int32, n), root, opts...)
	}
}

func scanOf(n int) callOf {
	return func(ctx context.Context, c *runtime.Comm) error {
		x := make([]int32, n)
		return collectives.Scan(ctx, c, x, x, collectives.Sum)
	}
}

// alltoallOf sends and expects counted blocks.
func alltoallOf(sends, expects int) callOf {
	return func(ctx context.Context, c *runtime.Comm) error {
		out, in := make([]int, c.Size()), make([]int, c.Size())
		for r := range out {
			out[r], in[r] = sends, expects
		}
		in[c.Rank()] = sends
		total := expects*(c.Size()-1) + sends
		return collectives.Alltoall(ctx, c, make([]int32, total), make([]int32, sends*c.Size()), collectives.Counts(out), collectives.RecvCounts(in))
	}
}

func startedBarrier(ctx context.Context, c *runtime.Comm) error {
	return collectives.StartBarrier(c).Wait(ctx)
}

func startedBcast(ctx context.Context, c *runtime.Comm) error {
	return collectives.StartBcast(c, make([]int32, 3), 0).Wait(ctx)
}

func startedSum(n int) callOf {
	return func(ctx context.Context, c *runtime.Comm) error {
		x := make([]int64, n)
		return collectives.StartAllreduce(c, x, x, collectives.Sum).Wait(ctx)
	}
}

// TestMismatch: whoever calls something else, all ranks get ErrMismatch, at the
// latest from the second barrier after, and it names both sides. The jobs run in bubbles:
// a hang is found at once.
func TestMismatch(t *testing.T) {
	noop := collectives.Func("noop", func(dst, src []int32) {})
	for name, m := range map[string]struct {
		usual, other callOf
		names        []string
	}{
		"verb":             {collectives.Barrier, allreduceOf[int32](1, collectives.Sum), []string{"barrier", "allreduce of 1 int32 by sum"}},
		"count":            {allreduceOf[int32](1, collectives.Sum), allreduceOf[int32](3, collectives.Sum), []string{"of 1 int32", "of 3 int32"}},
		"count, long":      {allreduceOf[int32](100_000, collectives.Sum), allreduceOf[int32](3, collectives.Sum), []string{"of 100000 int32", "of 3 int32"}},
		"count, both long": {allreduceOf[int32](100_000, collectives.Sum), allreduceOf[int32](100_001, collectives.Sum), []string{"of 100000 int32", "of 100001 int32"}},
		"zero":             {allreduceOf[int32](0, collectives.Sum), allreduceOf[int32](1, collectives.Sum), []string{"of 0 int32", "of 1 int32"}},
		"type":             {allreduceOf[int32](4, collectives.Sum), allreduceOf[float32](4, collectives.Sum), []string{"int32", "float32"}},
		"op":               {allreduceOf[int32](4, collectives.Sum), allreduceOf[int32](4, collectives.Max), []string{"sum", "max"}},
		"named op":         {allreduceOf[int32](4, noop), allreduceOf[int32](4, collectives.Max), []string{"noop", "max"}},
		"order":            {allreduceOf[int32](4, collectives.Sum), allreduceOf[int32](4, collectives.Sum, collectives.InOrder), []string{"in order"}},
		"root":             {bcastOf[int32](3, 0), bcastOf[int32](3, 1), []string{"root 0", "root 1"}},
		"counted alltoall": {alltoallOf(2, 2), collectives.Barrier, []string{"barrier", "alltoall of int32 in counted blocks"}},
		"bcast count":      {bcastOf[int32](3, 0), bcastOf[int32](4, 0), []string{"of 3 int32", "of 4 int32"}},
		"long bcast count": {bcastOf[int32](90_000, 0), bcastOf[int32](4, 0), []string{"of 90000 int32", "of 4 int32"}},
		"gather root":      {gatherOf(1, 0), gatherOf(1, 1), []string{"root 0", "root 1"}},
		"gather of bcast":  {gatherOf(1, 0), bcastOf[int32](1, 0), []string{"gather", "bcast"}},
		"bcast of barrier": {bcastOf[int32](1, 0), collectives.Barrier, []string{"barrier", "bcast"}},
		"scan":             {scanOf(3), allreduceOf[int32](3, collectives.Sum), []string{"scan", "allreduce"}},
		"alltoall counts":  {alltoallOf(2, 2), alltoallOf(2, 3), []string{"alltoall", "bytes", "expects"}},
		"alltoall lengths": {alltoallOf(2, 2), alltoallOf(2, 30_000), []string{"alltoall", "bytes", "expects"}},
		"pulled by none":   {alltoallOf(2, 2), alltoallOf(60_000, 2), []string{"alltoall", "bytes", "expects"}},
		"offered by none":  {alltoallOf(2, 2), alltoallOf(2, 60_000), []string{"alltoall", "bytes", "expects"}},
		"pulled lengths":   {alltoallOf(50_000, 50_000), alltoallOf(50_000, 60_000), []string{"alltoall", "bytes", "expects"}},
		"algorithm":        {allreduceOf[int32](40, collectives.Sum), allreduceOf[int32](40, collectives.Sum, collectives.WithAlgorithm("ring")), []string{"algorithm ring"}},
		"started":          {collectives.Barrier, startedBarrier, []string{"started barrier", "barrier"}},
		"started verb":     {startedBarrier, startedBcast, []string{"started barrier", "started bcast"}},
		"started count":    {startedSum(3), startedSum(40_000), []string{"of 3 int64", "of 40000 int64"}},
	} {
		for _, size := range []int{2, 3, 5, 8} {
			for _, odd := range []int{0, 1, size - 1} {
				t.Run(fmt.Sprintf("%s/ranks=%d/odd=%d", name, size, odd), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
							run := m.usual
							if c.Rank() == odd {
								run = m.other
							}
							if err := collectives.Barrier(ctx, c); err != nil {
								return err
							}
							err := run(ctx, c)
							// Who only sent is done; the disagreement shows where a message
							// is left over, and no barrier can end after that.
							for range 2 {
								if err == nil {
									err = collectives.Barrier(ctx, c)
								}
							}
							if !stderrors.Is(err, collectives.ErrMismatch) {
								return errors.Errorf("rank %d got %v", c.Rank(), err)
							}
							// A rank whose part was over may have gone on to call 3.
							names := m.names
							if strings.Contains(err.Error(), "call 3") {
								names = []string{"call 2"}
							}
							for _, part := range names {
								if !strings.Contains(err.Error(), part) {
									return errors.Errorf("%q does not say %q", err, part)
								}
							}
							if again := collectives.Barrier(ctx, c); !stderrors.Is(again, collectives.ErrMismatch) {
								return errors.Errorf("rank %d, the call after: %v", c.Rank(), again)
							}
							return nil
						})
					})
				})
			}
		}
	}
}

// TestMismatchOverTCP: ranks that all wait for one another find out over real
// connections too.
func TestMismatchOverTCP(t *testing.T) {
	for _, size := range []int{2, 3, 5} {
		runtimetest.TCP(t, size, func(ctx context.Context, c *runtime.Comm) error {
			err := bcastOf[int32](3, (c.Rank()+1)%size)(ctx, c)
			for range 2 {
				if err == nil {
					err = collectives.Barrier(ctx, c)
				}
			}
			if !stderrors.Is(err, collectives.ErrMismatch) {
				return errors.Errorf("rank %d got %v", c.Rank(), err)
			}
			return nil
		})
	}
}

// TestSkipped: a rank that leaves out a call is found at its next.
func TestSkipped(t *testing.T) {
	for _, size := range []int{2, 3, 5} {
		synctest.Test(t, func(t *testing.T) {
			runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
				var err error
				for i := 0; err == nil && i < 10; i++ {
					if i != 4 || c.Rank() != 1 {
						err = bcastOf[int32](1, i%size)(ctx, c)
					}
				}
				if err == nil {
					err = collectives.Barrier(ctx, c)
				}
				if !stderrors.Is(err, collectives.ErrMismatch) {
					return errors.Errorf("rank %d got %v", c.Rank(), err)
				}
				return nil
			})
		})
	}
}

var errEnough = stderrors.New("enough")

// TestGivenUp: a call whose context ends on one rank ends on all.
func TestGivenUp(t *testing.T) {
	for _, size := range []int{2, 3, 5} {
		synctest.Test(t, func(t *testing.T) {
			runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
				if c.Rank() == 0 {
					// Comes when all wait for it.
					synctest.Wait()
					gone, cancel := context.WithCancelCause(ctx)
					cancel(errEnough)
					if err := allreduceOf[int64](5, collectives.Sum)(gone, c); !stderrors.Is(err, errEnough) {
						return errors.Errorf("rank 0 got %v", err)
					}
					return nil
				}
				err := allreduceOf[int64](5, collectives.Sum)(ctx, c)
				if !stderrors.Is(err, collectives.ErrAbandoned) || !strings.Contains(err.Error(), "rank 0 left call 1") {
					return errors.Errorf("rank %d got %v", c.Rank(), err)
				}
				return nil
			})
		})
	}
}

// TestLostRank: calls fail with the rank that was lost, its host, and what they are.
func TestLostRank(t *testing.T) {
	for _, call := range []struct {
		op  string
		run callOf
	}{
		{"call 2, barrier on world", collectives.Barrier},
		{"call 2, started barrier on world", startedBarrier},
		{"call 2, allreduce of 20000 int64 by sum on world", allreduceOf[int64](20_000, collectives.Sum)},
	} {
		for _, size := range []int{2, 3, 5} {
			t.Run(fmt.Sprintf("%s/ranks=%d", call.op, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cl := runtimetest.NewCluster(size)
					err := runtimetest.Primary(cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
						if err := collectives.Barrier(ctx, c); err != nil {
							return err
						}
						if c.Rank() == size-1 {
							synctest.Wait()
							return errEnough
						}
						err := call.run(ctx, c)
						if lost, ok := stderrors.AsType[*runtime.RankError](err); !ok || lost.Rank != size-1 || lost.Host != cl.Host(size-1) || lost.Op != call.op {
							// What it returned would be taken for what follows from the loss.
							t.Errorf("rank %d got %v", c.Rank(), err)
						}
						return nil
					}))
					if !stderrors.Is(err, errEnough) {
						t.Error(err)
					}
				})
			})
		}
	}
}

// TestDeserted: a rank that returns instead of making a call is named.
func TestDeserted(t *testing.T) {
	for _, size := range []int{2, 3, 5} {
		synctest.Test(t, func(t *testing.T) {
			err := runtime.RunLocal(t.Context(), size, func(ctx context.Context, c *runtime.Comm) error {
				if err := collectives.Barrier(ctx, c); err != nil || c.Rank() == 1 {
					return err
				}
				return allreduceOf[int32](3, collectives.Sum)(ctx, c)
			})
			for _, part := range []string{"call 2, allreduce of 3 int32 by sum", "rank 1 on host localhost has left"} {
				if !stderrors.Is(err, collectives.ErrMismatch) || !strings.Contains(err.Error(), part) {
					t.Errorf("%d ranks: got %v, want %s", size, err, part)
				}
			}
		})
	}
}
