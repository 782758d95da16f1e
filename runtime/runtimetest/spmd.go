// Package runtimetest runs the ranks of a job inside a test: on goroutines,
// connected in memory (SPMD), by real loopback connections (TCP) or in every way
// that there is (Networks), or under a script that delays, cuts off and loses
// ranks (Cluster).
package runtimetest

import (
	"context"
	stderrors "errors"
	goruntime "runtime"
	"testing"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// Body is what a rank runs.
type Body = func(ctx context.Context, c *runtime.Comm) error

// limit ends a job that hangs: one beside busy processes may take a minute. In a
// bubble of testing/synctest that is at once, when all goroutines wait for one
// another.
const limit = 4 * time.Minute

var errHang = stderrors.New("the job hangs")

// SPMD runs body on n ranks in memory. The test fails with what the ranks
// return, and when goroutines are left behind: do not use it in parallel with
// other tests of the package.
func SPMD(t testing.TB, n int, body Body) {
	t.Helper()
	defer Leaks(t)()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errHang)
	defer cancel()
	if err := runtime.RunLocal(ctx, n, body); err != nil {
		t.Fatal(err)
	}
}

// TCP is SPMD over real connections.
func TCP(t testing.TB, n int, body Body) {
	t.Helper()
	Network{"tcp", NewTCPCluster}.Run(t, n, body)
}

// Leaks counts goroutines; the function it returns fails the test if there are
// more a while later.
func Leaks(t testing.TB) func() {
	before := goruntime.NumGoroutine()
	return func() {
		t.Helper()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := range 5000 {
			if goruntime.NumGoroutine() <= before {
				return
			}
			<-tick.C
			if i%50 == 49 {
				// A finalizer that runs counts as a goroutine, and in a synctest
				// bubble ticks take no time: a collection does.
				goruntime.GC()
			}
		}
		stacks := make([]byte, 1<<20)
		stacks = stacks[:goruntime.Stack(stacks, true)]
		t.Errorf("%d goroutines, there were %d:\n%s", goruntime.NumGoroutine(), before, stacks)
	}
}

// Primary joins the errors of the ranks that failed by themselves; those of
// ranks that failed because another was lost only when there is no other.
func Primary(errs []error) error {
	var own, all []error
	for rank, err := range errs {
		if err == nil {
			continue
		}
		err = errors.WithMessagef(err, "rank %d", rank)
		all = append(all, err)
		if lost, ok := stderrors.AsType[*runtime.RankError](err); !ok || lost.Rank == rank {
			own = append(own, err)
		}
	}
	if own == nil {
		own = all
	}
	return stderrors.Join(own...)
}
