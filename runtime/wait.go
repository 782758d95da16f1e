package runtime

import "context"

// WaitAll waits for all requests and returns the first error, by position; Wait
// of each returns its own at once then. Those that are nil are passed over.
// When ctx ends, those that have not ended are cancelled as in Wait.
func WaitAll(ctx context.Context, rs ...*Request) error {
	var first error
	for _, r := range rs {
		if r == nil {
			continue
		}
		if _, err := r.Wait(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// WaitAny waits until one of the requests has ended and returns its index,
// status and error. Those that are nil are passed over: a caller who sets what
// has ended to nil gets one after the other. The index is −1 when there is none
// or ctx ended first: then none is cancelled and all may be waited for again.
func WaitAny(ctx context.Context, rs ...*Request) (int, Status, error) {
	return waitAny(ctx, rs, AnySource)
}

// WaitAnyFrom is WaitAny for requests that will most likely be ended by rank
// peer of the communicator; AnySource when that is not known.
func WaitAnyFrom(ctx context.Context, c *Comm, peer int, rs ...*Request) (int, Status, error) {
	hint, err := c.source(peer)
	if err != nil { // a guess that is wrong costs time only
		hint = AnySource
	}
	return waitAny(ctx, rs, hint)
}

func waitAny(ctx context.Context, rs []*Request, hint int) (int, Status, error) {
	i, err := awaitSome(ctx, rs, hint)
	if i < 0 {
		return -1, Status{}, err
	}
	st, err := rs[i].result()
	return i, st, err
}

// WaitSome waits until at least one of the requests has ended and appends the
// indices of all that have to ended[:0], in ascending order; Wait of each
// returns its status and error at once. Those that are nil are passed over.
// There are none when all are nil, or when ctx ended first: then the error is
// its cause, none is cancelled and all may be waited for again.
func WaitSome(ctx context.Context, ended []int, rs ...*Request) ([]int, error) {
	ended = ended[:0]
	first, err := awaitSome(ctx, rs, AnySource)
	if first < 0 {
		return ended, err
	}
	for i := first; i < len(rs); i++ {
		if rs[i] != nil && rs[i].done.Load() {
			ended = append(ended, i)
		}
	}
	return ended, nil
}

// awaitSome waits until one of the requests has ended and returns the first that
// has, or −1. hint is the place in the job whose frame is awaited.
func awaitSome(ctx context.Context, rs []*Request, hint int) (int, error) {
	if i := firstDone(rs); i >= 0 {
		return i, nil
	}
	for _, r := range rs {
		if r != nil {
			if i := r.e.awaitAny(ctx, rs, hint); i >= 0 {
				return i, nil
			}
			return -1, context.Cause(ctx)
		}
	}
	return -1, nil
}

// firstDone returns the first request that has ended, or −1.
func firstDone(rs []*Request) int {
	for i, r := range rs {
		if r != nil && r.done.Load() {
			return i
		}
	}
	return -1
}
