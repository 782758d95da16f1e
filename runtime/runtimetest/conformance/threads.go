package conformance

import (
	"context"
	"sync"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// threads: many goroutines on one communicator.
var threads = []program{
	{"a stream for each goroutine", []int{1, 2, 3}, streams},
	{"one stream for all goroutines", []int{1, 2}, oneStream},
	{"matched by many", []int{1, 2}, matchedByMany},
	{"all to all", []int{2, 3, 5}, allToAll},
}

// each runs f on n goroutines and returns the first error.
func each(n int, f func(g int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for g := range n {
		all.Go(func() { errs[g] = f(g) })
	}
	all.Wait()
	for g, err := range errs {
		if err != nil {
			return errors.WithMessagef(err, "goroutine %d", g)
		}
	}
	return nil
}

func streams(ctx context.Context, c *runtime.Comm) error {
	const goroutines, rounds = 8, 40
	right, left := neighbours(c)
	return each(goroutines, func(g int) error {
		n := lengths[g%len(lengths)]
		in := make([]int32, n)
		for i := range rounds {
			if _, err := runtime.SendRecv(ctx, c, right, filled(n, g, i), left, in, runtime.Tag(g)); err != nil {
				return err
			}
			if err := same(in, g, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// oneStream: goroutines that receive from one stream get each message once, each
// in order.
func oneStream(ctx context.Context, c *runtime.Comm) error {
	const goroutines, rounds = 6, 60
	right, left := neighbours(c)
	seen := make([]bool, goroutines*rounds)
	var mu sync.Mutex
	var sends []*runtime.Request
	for i := range seen {
		n := 1 + i%3*10_000
		sends = append(sends, runtime.Isend(c, right, 0, filled(n, c.Rank(), i)))
	}
	err := each(goroutines, func(int) error {
		in := make([]int32, 30_000)
		last := -1
		for range rounds {
			st, err := runtime.Recv(ctx, c, left, runtime.AnyTag, in)
			if err != nil {
				return err
			}
			number := int(in[0]^int32(left<<24)) >> 12
			if err := same(in[:st.Count], left, number); err != nil {
				return err
			}
			mu.Lock()
			again := seen[number]
			seen[number] = true
			mu.Unlock()
			if again || number <= last {
				return errors.Errorf("message %d came after %d, again: %v", number, last, again)
			}
			last = number
		}
		return nil
	})
	if err != nil {
		return err
	}
	return runtime.WaitAll(ctx, sends...)
}

// matchedByMany: goroutines that ask what there is and then receive it never
// take another's message.
func matchedByMany(ctx context.Context, c *runtime.Comm) error {
	const goroutines, rounds = 6, 40
	right, left := neighbours(c)
	var sends []*runtime.Request
	for i := range goroutines * rounds {
		sends = append(sends, runtime.Isend(c, right, runtime.Tag(i), filled(1+i*50, c.Rank(), i)))
	}
	err := each(goroutines, func(int) error {
		for range rounds {
			m, err := runtime.Match(ctx, c, runtime.AnySource, runtime.AnyTag)
			if err != nil {
				return err
			}
			in := make([]int32, m.Count) // exactly
			st, err := runtime.RecvMatched(ctx, m, in)
			if err != nil {
				return err
			}
			if err := expect(st, left, m.Tag, 1+50*int(m.Tag)); err != nil {
				return err
			}
			if err := same(in, left, int(m.Tag)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return runtime.WaitAll(ctx, sends...)
}

func allToAll(ctx context.Context, c *runtime.Comm) error {
	const rounds = 10
	return each(c.Size(), func(peer int) error {
		return each(2, func(side int) error {
			for i := range rounds {
				n := lengths[i%len(lengths)]
				if side == 0 {
					if err := runtime.Send(ctx, c, peer, 0, filled(n, c.Rank(), i)); err != nil {
						return err
					}
					continue
				}
				in := make([]int32, n)
				if _, err := runtime.Recv(ctx, c, peer, 0, in); err != nil {
					return err
				}
				if err := same(in, peer, i); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
