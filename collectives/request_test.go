package collectives_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/race"
)

// TestStartedBarrier: it ends when all have started it, not before.
func TestStartedBarrier(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5} {
		synctest.Test(t, func(t *testing.T) {
			runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
				for late := range size {
					if c.Rank() == late {
						synctest.Wait() // until all others wait
					}
					r := collectives.StartBarrier(c)
					if c.Rank() != late {
						if done, err := r.Test(); done {
							return errors.Errorf("rank %d is past the barrier: %v", c.Rank(), err)
						}
					}
					if err := r.Wait(ctx); err != nil {
						return err
					}
					if done, err := r.Test(); !done || err != nil || r.Wait(ctx) != nil {
						return errors.Errorf("after the wait: %v, %v", done, err)
					}
				}
				return nil
			})
		})
	}
}

// TestPastWhatWaits: seven started calls end although the one that was started
// before them can not.
func TestPastWhatWaits(t *testing.T) {
	for _, size := range []int{2, 3, 5} {
		synctest.Test(t, func(t *testing.T) {
			past := make(chan struct{})
			runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
				last := size - 1 // nobody needs it in a bcast of rank 0
				if c.Rank() == last {
					for range last {
						select {
						case <-past:
						case <-ctx.Done():
							return context.Cause(ctx)
						}
					}
				}
				barrier := collectives.StartBarrier(c)
				var bcasts []*collectives.Request
				x := make([][]int32, 7)
				for i := range x {
					x[i] = make([]int32, 5)
					if c.Rank() == 0 {
						x[i] = vector[int32](i, 5)
					}
					bcasts = append(bcasts, collectives.StartBcast(c, x[i], 0, collectives.WithAlgorithm("binomial")))
				}
				for i, r := range slices.Backward(bcasts) {
					if err := r.Wait(ctx); err != nil {
						return errors.WithMessagef(err, "bcast %d, behind a barrier that has not ended", i)
					}
					if err := expect(fmt.Sprintf("bcast %d", i), x[i], vector[int32](i, 5)); err != nil {
						return err
					}
				}
				if c.Rank() != last {
					select {
					case past <- struct{}{}:
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				}
				return barrier.Wait(ctx)
			})
		})
	}
}

// TestManyInFlight: more started calls than run at a time, on two communicators,
// with blocking ones between them, waited for in any order.
func TestManyInFlight(t *testing.T) {
	body := func(ctx context.Context, c *runtime.Comm) error {
		d, err := c.Dup(ctx)
		if err != nil {
			return err
		}
		size, rank := c.Size(), c.Rank()
		draw := rand.New(rand.NewPCG(7, uint64(size))) // the same on all ranks
		for range 3 {
			var rs []*collectives.Request
			var checks []func() error
			for k := range 30 {
				comm := []*runtime.Comm{c, d}[draw.IntN(2)]
				n := []int{0, 1, 50, 3000, 20_000}[draw.IntN(5)]
				x := make([]int64, n)
				for i := range x {
					x[i] = int64(rank + k + i)
				}
				var r *collectives.Request
				want := func(i int) int64 { return int64(size*(size-1)/2 + size*(k+i)) }
				switch root := draw.IntN(size); draw.IntN(4) {
				case 0:
					r = collectives.StartAllreduce(comm, x, x, collectives.Sum)
				case 1:
					r = collectives.StartBcast(comm, x, root)
					want = func(i int) int64 { return int64(root + k + i) }
				case 2:
					r = collectives.StartScan(comm, x, x, collectives.Sum)
					want = func(i int) int64 { return int64(rank*(rank+1)/2 + (rank+1)*(k+i)) }
				default:
					if err := collectives.Allreduce(ctx, comm, x, x, collectives.Sum); err != nil {
						return err
					}
				}
				checks = append(checks, func() error {
					for i, v := range x {
						if v != want(i) {
							return errors.Errorf("call %d element %d is %d, want %d", k, i, v, want(i))
						}
					}
					return nil
				})
				if r != nil {
					rs = append(rs, r)
				}
			}
			rand.New(rand.NewPCG(3, uint64(rank))).Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
			if err := collectives.WaitAll(ctx, rs...); err != nil {
				return err
			}
			for _, check := range checks {
				if err := check(); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, size := range []int{1, 2, 3, 5} {
		t.Run(fmt.Sprintf("ranks=%d", size), func(t *testing.T) {
			runtimetest.SPMD(t, size, body)
			runtimetest.TCP(t, size, body)
		})
	}
}

// TestThreads: goroutines of a rank with communicators of their own.
func TestThreads(t *testing.T) {
	body := func(ctx context.Context, c *runtime.Comm) error {
		var calls sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			d, err := c.Dup(ctx)
			if err != nil {
				return err
			}
			calls.Go(func() {
				x := make([]int32, []int{1, 1000, 40_000, 7}[i])
				for round := int32(1); errs[i] == nil && round < 15; round++ {
					for k := range x {
						x[k] = round
					}
					errs[i] = collectives.Allreduce(ctx, d, x, x, collectives.Sum)
					if slices.ContainsFunc(x, func(v int32) bool { return v != round*int32(c.Size()) }) {
						errs[i] = errors.Errorf("goroutine %d round %d: %v...: %v", i, round, x[0], errs[i])
					}
				}
			})
		}
		calls.Wait()
		return stderrors.Join(errs...)
	}
	for _, size := range []int{2, 3} {
		runtimetest.SPMD(t, size, body)
		runtimetest.TCP(t, size, body)
	}
}

// TestHeadToHead: all ranks send all others long vectors at once.
func TestHeadToHead(t *testing.T) {
	for _, size := range []int{2, 3} {
		runtimetest.TCP(t, size, func(ctx context.Context, c *runtime.Comm) error {
			const n = 300_000
			src, dst := make([]float32, n*size), make([]float32, n*size)
			for i := range src {
				src[i] = float32(c.Rank()*size + i/n)
			}
			for _, name := range []string{"pairwise", "linear", "bruck"} {
				if err := collectives.Alltoall(ctx, c, dst, src, collectives.WithAlgorithm(name)); err != nil {
					return err
				}
				for i, v := range dst {
					if v != float32(i/n*size+c.Rank()) {
						return errors.Errorf("%s: element %d is %v", name, i, v)
					}
				}
			}
			return nil
		})
	}
}

// TestBehindAFlood: a long call that was started comes to its end, however many
// short messages of later calls wait for credits.
func TestBehindAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runtimetest.SPMD(t, 2, func(ctx context.Context, c *runtime.Comm) error {
			long, short := make([]int32, 8<<20), make([]int32, 1)
			if c.Rank() == 1 {
				synctest.Wait() // until rank 0 has no credits any more
			}
			r := collectives.StartBcast(c, long, 1, collectives.WithAlgorithm("chain"))
			if c.Rank() == 1 {
				if err := r.Wait(ctx); err != nil {
					return err
				}
			}
			for range 30_000 {
				if err := collectives.Bcast(ctx, c, short, 0); err != nil {
					return err
				}
			}
			return r.Wait(ctx)
		})
	})
}

// TestAheadOfStarted: a rank that leaves a started call behind and runs ahead in
// others, which it is the root of, does not keep the started call's messages from
// those who have yet to make them.
func TestAheadOfStarted(t *testing.T) {
	for _, size := range []int{2, 3, 4, 5} {
		for _, count := range []int{1, 1000, 20_000, 100_000} {
			t.Run(fmt.Sprintf("ranks=%d/count=%d", size, count), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					stuck := make(chan struct{}) // rank 0 is
					runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
						switch c.Rank() {
						case 0:
						case 1:
							synctest.Wait()
							close(stuck)
						default:
							<-stuck
						}
						x := make([]float64, count)
						for i := range x {
							x[i] = float64(c.Rank() + i)
						}
						r := collectives.StartAllreduce(c, x, x, collectives.Sum)
						if c.Rank() != 0 {
							if err := r.Wait(ctx); err != nil {
								return err
							}
						}
						for i := range int32(33_000) {
							word := []int32{i}
							if err := collectives.Bcast(ctx, c, word, 0); err != nil || word[0] != i {
								return errors.Errorf("bcast %d: %v, %v", i, word, err)
							}
						}
						if err := r.Wait(ctx); err != nil {
							return err
						}
						for i, v := range x {
							if want := float64(size*(size-1)/2 + size*i); v != want {
								return errors.Errorf("element %d is %v, not %v", i, v, want)
							}
						}
						return nil
					})
				})
			})
		}
	}
}

// TestStartedGivenUp: a started call whose wait is given up ends on all ranks,
// whether it runs or waits for its turn, and later ones with it.
func TestStartedGivenUp(t *testing.T) {
	for _, before := range []int{0, 3, 12} {
		for _, size := range []int{2, 3} {
			synctest.Test(t, func(t *testing.T) {
				runtimetest.SPMD(t, size, func(ctx context.Context, c *runtime.Comm) error {
					if c.Rank() == 1 {
						synctest.Wait() // until rank 0 has given up
					}
					var rs []*collectives.Request
					for range before {
						rs = append(rs, collectives.StartAllreduce(c, make([]int64, 5), make([]int64, 5), collectives.Sum))
					}
					last := collectives.StartAllreduce(c, make([]int64, 5), make([]int64, 5), collectives.Sum)
					if c.Rank() == 0 {
						gone, cancel := context.WithCancelCause(ctx)
						cancel(errEnough)
						if err := last.Wait(gone); !stderrors.Is(err, errEnough) {
							return errors.Errorf("rank 0 got %v", err)
						}
					} else if err := last.Wait(ctx); !stderrors.Is(err, collectives.ErrAbandoned) || !strings.Contains(err.Error(), "rank 0 left") {
						return errors.Errorf("rank %d got %v", c.Rank(), err)
					}
					return collectives.WaitAll(ctx, rs...)
				})
			})
		}
	}
}

// TestNoAllocations: plans allocate nothing, blocking calls of a few elements
// next to nothing: less than one on average, what parking allocates included.
func TestNoAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	const rounds = 300
	runtimetest.TCP(t, 2, func(ctx context.Context, c *runtime.Comm) error {
		x, y := make([]float32, 100), make([]float32, 100)
		p, err := collectives.PrepareAllreduce(c, y, x, collectives.Sum)
		if err != nil {
			return err
		}
		for _, call := range []struct {
			name string
			most float64
			run  func() error
		}{
			{"plan", 0.5, func() error { return p.Run(ctx) }},
			{"started plan", 0.5, func() error { p.Start(); return p.Wait(ctx) }},
			{"allreduce", 0.5, func() error { return collectives.Allreduce(ctx, c, y, x, collectives.Sum) }},
			{"barrier", 0.5, func() error { return collectives.Barrier(ctx, c) }},
		} {
			var before, after goruntime.MemStats
			for i := range 2 * rounds {
				if i == rounds {
					goruntime.ReadMemStats(&before)
				}
				if err := call.run(); err != nil {
					return err
				}
			}
			goruntime.ReadMemStats(&after)
			// Those of both ranks, which are in this process.
			if n := float64(after.Mallocs-before.Mallocs) / rounds / 2; n > call.most {
				return errors.Errorf("%s: %.2f allocations", call.name, n)
			}
		}
		return nil
	})
}
