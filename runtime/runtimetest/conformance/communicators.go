package conformance

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// communicators: those that a program makes and closes.
var communicators = []program{
	{"dup and close", []int{1, 2, 3, 5}, dupAndClose},
	{"split and close", []int{1, 2, 3, 5}, splitAndClose},
}

// manyComms is how many to make: fewer where ranks that wait for each other share
// the processors with others.
func manyComms(c *runtime.Comm) int { return min(200, 600/(c.Size()*c.Size())) }

func dupAndClose(ctx context.Context, c *runtime.Comm) error {
	for i := range manyComms(c) {
		d, err := c.Dup(ctx)
		if err != nil {
			return errors.WithMessagef(err, "number %d", i)
		}
		if d.Size() != c.Size() || d.Rank() != c.Rank() {
			return errors.Errorf("number %d: rank %d of %d is rank %d of %d", i, c.Rank(), c.Size(), d.Rank(), d.Size())
		}
		if err := useAndClose(ctx, d, i); err != nil {
			return errors.WithMessagef(err, "number %d", i)
		}
	}
	return meet(ctx, c) // who leaves is not who closes
}

// splitAndClose: in two, with other ranks together each time, and in one that
// not all are in.
func splitAndClose(ctx context.Context, c *runtime.Comm) error {
	for i := range manyComms(c) {
		color, members := (c.Rank()+i)%c.Size()/2, 0
		if i%3 == 2 && color == 0 {
			color = runtime.NoColor
		}
		for r := range c.Size() {
			if (r+i)%c.Size()/2 == color {
				members++
			}
		}
		part, err := c.Split(ctx, color, -c.Rank())
		if err != nil {
			return errors.WithMessagef(err, "number %d", i)
		}
		if (part == nil) != (color == runtime.NoColor) {
			return errors.Errorf("number %d: color %d gets %v", i, color, part)
		}
		if part == nil {
			continue
		}
		if part.Size() != members || part.JobRank(part.Rank()) != c.JobRank(c.Rank()) {
			return errors.Errorf("number %d: rank %d of %d, want one of %d", i, part.Rank(), part.Size(), members)
		}
		if err := useAndClose(ctx, part, i); err != nil {
			return errors.WithMessagef(err, "number %d", i)
		}
	}
	return meet(ctx, c)
}

// useAndClose sends messages around a ring, by one communicator like another, and
// leaves a receive behind that the end of the communicator ends.
func useAndClose(ctx context.Context, c *runtime.Comm, number int) error {
	right, left := neighbours(c)
	n := lengths[number%(len(lengths)-1)] // seldom long, never very long
	in := make([]int32, n)
	behind := runtime.Irecv(c, left, 1, make([]int32, 1))
	st, err := runtime.SendRecv(ctx, c, right, filled(n, c.Rank(), number), left, in, 0)
	if err != nil {
		return err
	}
	if err := expect(st, left, 0, n); err != nil {
		return err
	}
	if err := same(in, left, number); err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	if _, err := behind.Wait(ctx); !errors.Is(err, runtime.ErrClosed) {
		return errors.Errorf("a receive on what is closed: %v", err)
	}
	if err := c.Err(); !errors.Is(err, runtime.ErrClosed) {
		return errors.Errorf("closed: %v", err)
	}
	return nil
}
