// Package conformance holds what programs may rely on, as programs: point-to-point
// messages between ranks, and windows of their memory, however these were started
// and whatever connects them. Much of it says what the test suite of MPICH says, in this runtime's terms.
package conformance

import (
	"context"
	"fmt"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// Start runs body on n ranks and fails the test with what they return.
type Start = func(t testing.TB, n int, body runtimetest.Body)

// program is one that must end without an error on all ranks.
type program struct {
	name  string
	ranks []int // numbers of ranks to run it on
	body  runtimetest.Body
}

// PointToPoint runs every program of messages between ranks.
func PointToPoint(t *testing.T, start Start) {
	for _, list := range [][]program{matching, flow, requests, pulls, layouts, threads, communicators} {
		run(t, start, list)
	}
}

// OneSided runs every program of windows.
func OneSided(t *testing.T, start Start) { run(t, start, windows) }

func run(t *testing.T, start Start, list []program) {
	for _, p := range list {
		for _, n := range p.ranks {
			t.Run(fmt.Sprintf("%s/ranks=%d", p.name, n), func(t *testing.T) { start(t, n, p.body) })
		}
	}
}

// Lengths in elements of 4 bytes: none, one, small, the longest that is sent at
// once, the shortest that is announced, large.
var lengths = []int{0, 1, 1000, 16 << 10, 16<<10 + 1, 200_000}

// filled returns n elements that tell who sent them and the how many'th they are.
func filled(n, sender, number int) []int32 {
	b := make([]int32, n)
	for i := range b {
		b[i] = int32(sender<<24 ^ number<<12 ^ i)
	}
	return b
}

// same says where b differs from filled.
func same(b []int32, sender, number int) error {
	for i, got := range b {
		if want := int32(sender<<24 ^ number<<12 ^ i); got != want {
			return errors.Errorf("message %d of rank %d: element %d of %d is %#x, want %#x", number, sender, i, len(b), got, want)
		}
	}
	return nil
}

// expect compares a status.
func expect(got runtime.Status, source int, tag runtime.Tag, count int) error {
	if want := (runtime.Status{Source: source, Tag: tag, Count: count, Bytes: 4 * count}); got != want {
		return errors.Errorf("status %+v, want %+v", got, want)
	}
	return nil
}

// meet returns when all ranks have called it, by messages in a space of its own.
func meet(ctx context.Context, c *runtime.Comm) error {
	s := c.Space(200)
	out, in := make([]int8, 1), make([]int8, 1)
	for d := 1; d < c.Size(); d *= 2 {
		to, from := (c.Rank()+d)%c.Size(), (c.Rank()-d+c.Size())%c.Size()
		if _, err := runtime.SendRecv(ctx, s, to, out, from, in, runtime.Tag(d)); err != nil {
			return err
		}
	}
	return nil
}

// ended is a context that has ended.
func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	cancel(errEnough)
	return ctx
}

var errEnough = errors.New("enough")
