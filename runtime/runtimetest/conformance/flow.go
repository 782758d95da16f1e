package conformance

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// flow: messages to oneself, floods, exchanges head to head, synchronous sends.
var flow = []program{
	{"to oneself", []int{1, 2}, toOneself},
	{"short into long", []int{1, 2}, shortIntoLong},
	{"head to head", []int{2, 3, 5}, headToHead},
	{"ping ping", []int{2}, pingPing},
	{"flood one", []int{2, 3, 5, 8}, floodOne},
	{"flood oneself", []int{1}, floodOneself},
	{"many large", []int{2, 3}, manyLarge},
	{"pipeline", []int{2, 5}, pipeline},
	{"synchronous", []int{2, 3}, synchronous},
	{"synchronous, matched", []int{1, 2, 3}, synchronousMatched},
	{"synchronous, left", []int{2}, synchronousLeft},
	{"too long", []int{1, 2}, tooLong},
	{"other type", []int{1, 2}, otherType},
}

// toOneself: also a blocking send of any length, before its receive is posted.
func toOneself(ctx context.Context, c *runtime.Comm) error {
	me := c.Rank()
	for i, n := range lengths {
		out := filled(n, me, i)
		if err := runtime.Send(ctx, c, me, 0, out); err != nil {
			return err
		}
		clear(out) // it is the caller's again
		st, err := runtime.Probe(ctx, c, me, 0)
		if err != nil {
			return err
		}
		if err := expect(st, me, 0, n); err != nil {
			return err
		}
		in := make([]int32, n)
		if _, err := runtime.Recv(ctx, c, me, 0, in); err != nil {
			return err
		}
		if err := same(in, me, i); err != nil {
			return err
		}
		r := runtime.Irecv(c, me, 1, in)
		if err := runtime.SendSync(ctx, c, me, 1, filled(n, me, i+100)); err != nil {
			return err
		}
		if _, err := r.Wait(ctx); err != nil {
			return err
		}
		if err := same(in, me, i+100); err != nil {
			return err
		}
	}
	return nil
}

func shortIntoLong(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for i, n := range lengths {
		in := make([]int32, 300_000)
		in[n] = 77
		st, err := runtime.SendRecv(ctx, c, right, filled(n, c.Rank(), i), left, in, 0)
		if err != nil {
			return err
		}
		if err := expect(st, left, 0, n); err != nil {
			return err
		}
		if in[n] != 77 {
			return errors.Errorf("the buffer was written beyond %d elements", n)
		}
		if err := same(in[:n], left, i); err != nil {
			return err
		}
	}
	return nil
}

// headToHead exchanges large messages with all at once, by sends that are started
// before any receive.
func headToHead(ctx context.Context, c *runtime.Comm) error {
	const count = 300_000
	var sends []*runtime.Request
	for dst := range c.Size() {
		sends = append(sends, runtime.Isend(c, dst, 9, filled(count, c.Rank(), dst)))
	}
	in := make([]int32, count)
	for src := range c.Size() {
		if _, err := runtime.Recv(ctx, c, src, 9, in); err != nil {
			return err
		}
		if err := same(in, src, c.Rank()); err != nil {
			return err
		}
	}
	return runtime.WaitAll(ctx, sends...)
}

func pingPing(ctx context.Context, c *runtime.Comm) error {
	other := 1 - c.Rank()
	for i, n := range lengths {
		in := make([]int32, n)
		for round := range 10 {
			s := runtime.Isend(c, other, 2, filled(n, c.Rank(), 10*i+round))
			if _, err := runtime.Recv(ctx, c, other, 2, in); err != nil {
				return err
			}
			if err := same(in, other, 10*i+round); err != nil {
				return err
			}
			if _, err := s.Wait(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// floodOne: all send to rank 0 by blocking sends, far more than the credits, and
// it takes them in the order of ranks, so that the last ones' wait for long.
func floodOne(ctx context.Context, c *runtime.Comm) error {
	const each = 500
	count := func(i int) int { return []int{1, 10, 4000, 20_000}[i%4] }
	if c.Rank() > 0 {
		for i := range each {
			if err := runtime.Send(ctx, c, 0, 0, filled(count(i), c.Rank(), i)); err != nil {
				return err
			}
		}
		return nil
	}
	in := make([]int32, 20_000)
	for src := 1; src < c.Size(); src++ {
		for i := range each {
			st, err := runtime.Recv(ctx, c, src, 0, in)
			if err != nil {
				return err
			}
			if err := expect(st, src, 0, count(i)); err != nil {
				return err
			}
			if err := same(in[:st.Count], src, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// floodOneself sends more to itself than its own credits, by blocking sends.
func floodOneself(ctx context.Context, c *runtime.Comm) error {
	const many, count = 1200, 2000
	for i := range many {
		if err := runtime.Send(ctx, c, 0, 0, filled(count, 0, i)); err != nil {
			return err
		}
	}
	in := make([]int32, count)
	for i := range many {
		if _, err := runtime.Recv(ctx, c, 0, 0, in); err != nil {
			return err
		}
		if err := same(in, 0, i); err != nil {
			return err
		}
	}
	return nil
}

// manyLarge has many announced messages at once, and takes the last first.
func manyLarge(ctx context.Context, c *runtime.Comm) error {
	const many, count = 40, 20_000
	right, left := neighbours(c)
	var rs []*runtime.Request
	for i := range many {
		rs = append(rs, runtime.Isend(c, right, runtime.Tag(i), filled(count, c.Rank(), i)))
	}
	in := make([][]int32, many)
	for i := many - 1; i >= 0; i-- {
		in[i] = make([]int32, count)
		rs = append(rs, runtime.Irecv(c, left, runtime.Tag(i), in[i]))
	}
	if err := runtime.WaitAll(ctx, rs...); err != nil {
		return err
	}
	for i := range in {
		if err := same(in[i], left, i); err != nil {
			return err
		}
	}
	return nil
}

// pipeline passes messages along all ranks.
func pipeline(ctx context.Context, c *runtime.Comm) error {
	const many, count = 60, 6000
	to, from := c.Rank()+1, c.Rank()-1
	if to == c.Size() {
		to = runtime.NoRank
	}
	buf := make([]int32, count)
	for i := range many {
		if from < 0 {
			copy(buf, filled(count, 0, i))
		} else if _, err := runtime.Recv(ctx, c, from, 0, buf); err != nil {
			return err
		}
		if err := same(buf, 0, i); err != nil {
			return err
		}
		if err := runtime.Send(ctx, c, to, 0, buf); err != nil {
			return err
		}
	}
	return nil
}

// synchronous: such a send has not ended before its receive was posted, however
// much is heard of the receiver otherwise.
func synchronous(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for i, n := range lengths {
		s := runtime.IsendSync(c, right, 4, filled(n, c.Rank(), i))
		for range 3 {
			if err := meet(ctx, c); err != nil {
				return err
			}
			if _, done, err := s.Test(); done {
				return errors.Errorf("a synchronous send of %d ended too early: %v", n, err)
			}
		}
		if err := meet(ctx, c); err != nil { // after all have looked
			return err
		}
		in := make([]int32, n)
		if _, err := runtime.Recv(ctx, c, left, 4, in); err != nil {
			return err
		}
		if err := same(in, left, i); err != nil {
			return err
		}
		if _, err := s.Wait(ctx); err != nil {
			return err
		}
		// Posted before, and by a call that waits.
		r := runtime.Irecv(c, left, 5, in)
		if err := runtime.SendSync(ctx, c, right, 5, filled(n, c.Rank(), i)); err != nil {
			return err
		}
		if _, err := r.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// synchronousMatched: a match takes such a message out of the queues, but the
// send ends only when it is received.
func synchronousMatched(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for i, n := range lengths {
		for _, match := range []func() (*runtime.Matched, error){
			func() (*runtime.Matched, error) { return runtime.Match(ctx, c, left, 4) },
			func() (*runtime.Matched, error) {
				if _, err := runtime.Probe(ctx, c, left, 4); err != nil {
					return nil, err
				}
				return runtime.TryMatch(c, runtime.AnySource, 4)
			},
		} {
			s := runtime.IsendSync(c, right, 4, filled(n, c.Rank(), i))
			m, err := match()
			if err != nil || m == nil {
				return errors.Errorf("matched %+v, %v", m, err)
			}
			for range 3 {
				if err := meet(ctx, c); err != nil {
					return err
				}
				if _, done, err := s.Test(); done {
					return errors.Errorf("a synchronous send of %d ended when it was matched: %v", n, err)
				}
			}
			if err := meet(ctx, c); err != nil { // after all have looked
				return err
			}
			in := make([]int32, n)
			if st, err := runtime.RecvMatched(ctx, m, in); err != nil || st != m.Status {
				return errors.Errorf("%+v, %v, matched was %+v", st, err, m.Status)
			}
			if err := same(in, left, i); err != nil {
				return err
			}
			if _, err := s.Wait(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// synchronousLeft: a rank whose body has returned receives nothing more.
func synchronousLeft(ctx context.Context, c *runtime.Comm) error {
	if c.Rank() == 1 {
		return nil
	}
	for _, n := range []int{1, 100_000} {
		if err := runtime.SendSync(ctx, c, 1, 0, filled(n, 0, 0)); !errors.Is(err, runtime.ErrLeft) {
			return errors.Errorf("to a rank that has left: %v", err)
		}
	}
	return nil
}

// tooLong: the error tells both sizes, other messages are not affected, and of
// several requests each has its own error.
func tooLong(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for _, n := range []int{10, 16 << 10, 100_000} {
		for _, posted := range []bool{true, false} {
			var rs []*runtime.Request
			in := make([][]int32, 3)
			post := func() {
				for i := range in {
					in[i] = make([]int32, n-i%2)
					rs = append(rs, runtime.Irecv(c, left, 0, in[i]))
				}
			}
			if posted {
				post()
			}
			var sends []*runtime.Request
			for i := range in {
				sends = append(sends, runtime.Isend(c, right, 0, filled(n, c.Rank(), i)))
			}
			if !posted {
				if _, err := runtime.Probe(ctx, c, left, 0); err != nil {
					return err
				}
				post()
			}
			err := runtime.WaitAll(ctx, rs...)
			var long *runtime.TruncationError
			if !errors.Is(err, runtime.ErrTruncated) || !errors.As(err, &long) || long.Bytes != 4*n || long.Room != 4*(n-1) {
				return errors.Errorf("%d elements into %d: %v", n, n-1, err)
			}
			for i, r := range rs {
				st, err := r.Wait(ctx)
				if (err != nil) != (i == 1) {
					return errors.Errorf("request %d: %v", i, err)
				}
				if err := expect(st, left, 0, n); err != nil {
					return err
				}
				if i == 1 {
					continue
				}
				if err := same(in[i], left, i); err != nil {
					return err
				}
			}
			if err := runtime.WaitAll(ctx, sends...); err != nil {
				return err
			}
		}
	}
	return nil
}

func otherType(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for _, n := range []int{1, 100_000} {
		s := runtime.Isend(c, right, 0, make([]float32, n))
		_, err := runtime.Recv(ctx, c, left, 0, make([]int32, n))
		var other *runtime.TypeError
		if !errors.Is(err, runtime.ErrType) || !errors.As(err, &other) || other.Sent != "float32" || other.Want != "int32" {
			return errors.Errorf("float32 into int32: %v", err)
		}
		if _, err := s.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
