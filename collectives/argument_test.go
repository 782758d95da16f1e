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

// wrongCalls are calls with an argument that no other rank is needed to find
// wrong, what the error says, and the call that other ranks make.
var wrongCalls = map[string]struct {
	usual, wrong callOf
	says         string
}{
	"root":    {bcastOf[int32](3, 0), bcastOf[int32](3, -2), "root -2 of"},
	"root -1": {bcastOf[int32](3, 0), bcastOf[int32](3, -1), "root -1 of"},
	"high root": {gatherOf(3, 0), func(ctx context.Context, c *runtime.Comm) error {
		return collectives.Gather(ctx, c, nil, make([]int32, 3), c.Size())
	}, "root "},
	"counts":   {gatherOf(3, 0), gatherOf(3, 0, collectives.Counts([]int{1, 2, 3, 4, 5, 6, 7, 8, 9})), "9 counts for"},
	"no block": {gatherOf(3, 0), gatherOf(3, 0, collectives.Counts(nil)), "0 counts for"},
	"negative": {alltoallOf(2, 2), func(ctx context.Context, c *runtime.Comm) error {
		counts := make([]int, c.Size())
		counts[c.Size()-1] = -1
		return collectives.Alltoall(ctx, c, nil, make([]int32, 2), collectives.Counts(counts))
	}, "counts: number "},
	"lengths": {allreduceOf[int32](3, collectives.Sum), func(ctx context.Context, c *runtime.Comm) error {
		return collectives.Allreduce(ctx, c, make([]int32, 2), make([]int32, 3), collectives.Sum)
	}, "dst has 2 elements and src 3"},
	"pairs":        {allreduceOf[int32](4, collectives.MinLoc), allreduceOf[int32](3, collectives.MinLoc), "3 elements for an operation on 2"},
	"no algorithm": {allreduceOf[int32](4, collectives.Sum), allreduceOf[int32](4, collectives.Sum, collectives.WithAlgorithm("best")), `no algorithm "best"; there are [doubling`},
	"misfit":       {allreduceOf[int32](4, collectives.Sum), allreduceOf[int32](4, collectives.Sum, collectives.InOrder, collectives.WithAlgorithm("ring")), "ring does not fit"},
	"started": {startedBcast, func(ctx context.Context, c *runtime.Comm) error {
		return collectives.StartBcast(c, make([]int32, 3), c.Size()).Wait(ctx)
	}, "root "},
}

// TestArgument: a call whose arguments are wrong on one rank ends on all, by an
// error that names the rank and what is wrong, and so do later ones.
func TestArgument(t *testing.T) {
	for name, w := range wrongCalls {
		for _, size := range []int{2, 3, 5, 8} {
			for _, odd := range []int{0, 1, size - 1} {
				t.Run(fmt.Sprintf("%s/ranks=%d/odd=%d", name, size, odd), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						runtimetest.SPMD(t, size, argumentBody(w.usual, w.wrong, odd, w.says))
					})
				})
			}
		}
	}
	for _, net := range runtimetest.Networks() {
		w := wrongCalls["lengths"]
		t.Run(net.Name, func(t *testing.T) { net.Run(t, 5, argumentBody(w.usual, w.wrong, 2, w.says)) })
	}
}

func argumentBody(usual, wrong callOf, odd int, says string) runtimetest.Body {
	return func(ctx context.Context, c *runtime.Comm) error {
		run := usual
		if c.Rank() == odd {
			run = wrong
		}
		if err := collectives.Barrier(ctx, c); err != nil {
			return err
		}
		err := run(ctx, c)
		for range 2 { // who only sent is done
			if err == nil {
				err = collectives.Barrier(ctx, c)
			}
		}
		for range 2 {
			if !stderrors.Is(err, collectives.ErrArgument) || stderrors.Is(err, collectives.ErrMismatch) {
				return errors.Errorf("rank %d got %v", c.Rank(), err)
			}
			for _, part := range []string{fmt.Sprintf("on world, rank %d in call 2", odd), says} {
				if !strings.Contains(err.Error(), part) {
					return errors.Errorf("%q does not say %q", err, part)
				}
			}
			err = collectives.Barrier(ctx, c) // the call after
		}
		return nil
	}
}

// TestArgumentAlone: on a communicator of one rank nobody else can be in the
// call, and later ones are as if it had not been.
func TestArgumentAlone(t *testing.T) {
	for name, w := range wrongCalls {
		t.Run(name, func(t *testing.T) {
			runtimetest.SPMD(t, 1, func(ctx context.Context, c *runtime.Comm) error {
				for range 2 {
					if err := w.wrong(ctx, c); !stderrors.Is(err, collectives.ErrArgument) || !strings.Contains(err.Error(), w.says) {
						return errors.Errorf("got %v, want %s", err, w.says)
					}
					if err := stderrors.Join(w.usual(ctx, c), startedBarrier(ctx, c)); err != nil {
						return err
					}
				}
				// Counts that differ are the rank's own.
				err := collectives.Alltoall(ctx, c, make([]int32, 2), make([]int32, 3), collectives.Counts([]int{3}), collectives.RecvCounts([]int{2}))
				if !stderrors.Is(err, collectives.ErrMismatch) {
					return errors.Errorf("3 elements for 2: %v", err)
				}
				return collectives.Barrier(ctx, c)
			})
		})
	}
}

// TestArgumentPrepared: it is local, and nothing is ended.
func TestArgumentPrepared(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5} {
		runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
			if c.Rank() == size-1 {
				if _, err := collectives.PrepareBcast(c, make([]int32, 3), size); !stderrors.Is(err, collectives.ErrArgument) || !strings.Contains(err.Error(), "in a prepared bcast") {
					return errors.Errorf("root %d: %v", size, err)
				}
			}
			return collectives.Barrier(ctx, c)
		})
	}
}
