package conformance

import (
	"context"
	"slices"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// requests: started operations, and those that are started again and again.
var requests = []program{
	{"wait for any", []int{1, 2, 5}, waitAny},
	{"wait for some", []int{1, 2, 5}, waitSome},
	{"errors of each", []int{1, 2, 3}, errorsOfEach},
	{"wait for none", []int{1}, waitNone},
	{"wait in vain", []int{1, 2}, waitInVain},
	{"prepared", []int{1, 2, 3}, preparedRing},
	{"prepared from any", []int{2, 3}, preparedFromAny},
	{"prepared, never started", []int{1}, preparedIdle},
	{"prepared wrongly", []int{1}, preparedWrongly},
}

// gather starts a send to every rank and a receive from each.
func gather(c *runtime.Comm, count int) (in [][]int32, receives, sends []*runtime.Request) {
	for peer := range c.Size() {
		b := make([]int32, count)
		in = append(in, b)
		receives = append(receives, runtime.Irecv(c, peer, 0, b))
	}
	for peer := range c.Size() {
		sends = append(sends, runtime.Isend(c, peer, 0, filled(count, c.Rank(), peer)))
	}
	return in, receives, sends
}

func waitAny(ctx context.Context, c *runtime.Comm) error {
	for _, count := range []int{1, 100_000} {
		in, receives, sends := gather(c, count)
		for range c.Size() {
			i, st, err := runtime.WaitAny(ctx, receives...)
			if err != nil {
				return err
			}
			if err := expect(st, i, 0, count); err != nil {
				return err
			}
			if err := same(in[i], i, c.Rank()); err != nil {
				return err
			}
			receives[i] = nil
		}
		if i, st, err := runtime.WaitAny(ctx, receives...); i != -1 || st != (runtime.Status{}) || err != nil {
			return errors.Errorf("all have ended: %d, %+v, %v", i, st, err)
		}
		if err := runtime.WaitAll(ctx, append(sends, receives...)...); err != nil {
			return err
		}
	}
	return nil
}

func waitSome(ctx context.Context, c *runtime.Comm) error {
	for _, count := range []int{1, 100_000} {
		in, receives, sends := gather(c, count)
		var got []int
		var err error
		for left := c.Size(); left > 0; left -= len(got) {
			if got, err = runtime.WaitSome(ctx, got, receives...); err != nil || len(got) == 0 {
				return errors.Errorf("%d to come, %v came: %v", left, got, err)
			}
			for _, i := range got {
				st, err := receives[i].Wait(ctx)
				if err != nil {
					return err
				}
				if err := expect(st, i, 0, count); err != nil {
					return err
				}
				if err := same(in[i], i, c.Rank()); err != nil {
					return err
				}
				receives[i] = nil
			}
		}
		if got, err = runtime.WaitSome(ctx, got, receives...); err != nil || len(got) > 0 {
			return errors.Errorf("all have ended: %v, %v", got, err)
		}
		if err := runtime.WaitAll(ctx, sends...); err != nil {
			return err
		}
	}
	return nil
}

// errorsOfEach: whatever call tells that a request has ended tells how, and of
// several that have ended all are named.
func errorsOfEach(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for _, n := range []int{10, 100_000} {
		rs := []*runtime.Request{
			runtime.Irecv(c, left, 0, make([]int32, n)), nil,
			runtime.Irecv(c, left, 1, make([]int32, n-1)),
			runtime.Irecv(c, left, 2, make([]float32, n)),
			runtime.Irecv(c, left, 3, make([]int32, n)),
		}
		want := []error{nil, nil, runtime.ErrTruncated, runtime.ErrType, nil} // by tag + 1, but for the first
		var sends []*runtime.Request
		for tag := range 4 {
			sends = append(sends, runtime.Isend(c, right, runtime.Tag(tag), filled(n, c.Rank(), tag)))
		}
		check := func(how string, i int, st runtime.Status, err error) error {
			if (err != nil) != (want[i] != nil) || !errors.Is(err, want[i]) {
				return errors.Errorf("%s: request %d of %d elements: %v, want %v", how, i, n, err, want[i])
			}
			return errors.WithMessagef(expect(st, left, runtime.Tag(max(i-1, 0)), n), "%s: request %d", how, i)
		}
		// Each as it ends, when nobody has asked for it before.
		open := slices.Clone(rs)
		for range 4 {
			i, st, err := runtime.WaitAny(ctx, open...)
			if i < 0 {
				return errors.Errorf("none ended: %v", err)
			}
			if err := check("wait for any", i, st, err); err != nil {
				return err
			}
			open[i] = nil
		}
		// All have ended.
		ended, err := runtime.WaitSome(ctx, nil, rs...)
		if err != nil || !slices.Equal(ended, []int{0, 2, 3, 4}) {
			return errors.Errorf("of 0, 2, 3 and 4, which have ended, some are %v: %v", ended, err)
		}
		for _, i := range ended {
			st, done, err := rs[i].Test()
			if !done {
				return errors.Errorf("request %d has not ended any more", i)
			}
			if err := check("test", i, st, err); err != nil {
				return err
			}
			st, err = rs[i].Wait(ctx)
			if err := check("wait", i, st, err); err != nil {
				return err
			}
			if got, st, err := runtime.WaitAny(ctx, nil, rs[i]); got != 1 {
				return errors.Errorf("any of one: %d, %v", got, err)
			} else if err := check("wait for any, again", i, st, err); err != nil {
				return err
			}
		}
		if err := runtime.WaitAll(ctx, rs...); !errors.Is(err, runtime.ErrTruncated) {
			return errors.Errorf("the first error of all: %v", err)
		}
		if err := runtime.WaitAll(ctx, sends...); err != nil {
			return err
		}
	}
	return nil
}

func waitNone(ctx context.Context, _ *runtime.Comm) error {
	if err := runtime.WaitAll(ctx); err != nil {
		return err
	}
	if err := runtime.WaitAll(ctx, nil, nil); err != nil {
		return err
	}
	if i, _, err := runtime.WaitAny(ctx); i != -1 || err != nil {
		return errors.Errorf("any of none: %d, %v", i, err)
	}
	if got, err := runtime.WaitSome(ctx, nil); len(got) != 0 || err != nil {
		return errors.Errorf("some of none: %v, %v", got, err)
	}
	return nil
}

// waitInVain: a wait for any or some that is given up cancels nothing.
func waitInVain(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	buf := make([]int32, 2)
	rs := []*runtime.Request{runtime.Irecv(c, left, 0, buf[:1]), nil, runtime.Irecv(c, left, 1, buf[1:])}
	gone := ended(ctx)
	if i, _, err := runtime.WaitAny(gone, rs...); i != -1 || !errors.Is(err, errEnough) {
		return errors.Errorf("any, given up: %d, %v", i, err)
	}
	if got, err := runtime.WaitSome(gone, nil, rs...); len(got) != 0 || !errors.Is(err, errEnough) {
		return errors.Errorf("some, given up: %v, %v", got, err)
	}
	if err := meet(ctx, c); err != nil {
		return err
	}
	for tag := range 2 {
		if err := runtime.Send(ctx, c, right, runtime.Tag(tag), filled(1, c.Rank(), tag)); err != nil {
			return err
		}
	}
	if err := runtime.WaitAll(ctx, rs...); err != nil {
		return err
	}
	for tag := range 2 {
		if err := same(buf[tag:tag+1], left, tag); err != nil {
			return err
		}
	}
	return nil
}

func preparedRing(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for _, n := range lengths {
		out, in := make([]int32, n), make([]int32, n)
		send, receive := runtime.PrepareSend(c, right, 7, out), runtime.PrepareRecv(c, left, 7, in)
		for i := range 5 {
			copy(out, filled(n, c.Rank(), i))
			receive.Start()
			send.Start()
			if err := runtime.WaitAll(ctx, send, receive); err != nil {
				return err
			}
			st, done, err := receive.Test()
			if !done || err != nil {
				return errors.Errorf("ended: %v, %v", done, err)
			}
			if err := expect(st, left, 7, n); err != nil {
				return err
			}
			if err := same(in, left, i); err != nil {
				return err
			}
		}
		// One that is given up can be started again.
		receive.Start()
		if _, err := receive.Wait(ended(ctx)); !errors.Is(err, errEnough) {
			return errors.Errorf("given up: %v", err)
		}
		if err := meet(ctx, c); err != nil {
			return err
		}
		receive.Start()
		copy(out, filled(n, c.Rank(), 9))
		send.Start()
		if err := runtime.WaitAll(ctx, send, receive); err != nil {
			return err
		}
		if err := same(in, left, 9); err != nil {
			return err
		}
	}
	return nil
}

func preparedFromAny(ctx context.Context, c *runtime.Comm) error {
	const each = 20
	if c.Rank() > 0 {
		out := make([]int32, 1)
		send := runtime.PrepareSend(c, 0, runtime.Tag(c.Rank()), out)
		for i := range each {
			copy(out, filled(1, c.Rank(), i))
			send.Start()
			if _, err := send.Wait(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	in := make([]int32, 1)
	receive := runtime.PrepareRecv(c, runtime.AnySource, runtime.AnyTag, in)
	next := make([]int, c.Size())
	for range each * (c.Size() - 1) {
		receive.Start()
		st, err := receive.Wait(ctx)
		if err != nil {
			return err
		}
		if err := expect(st, st.Source, runtime.Tag(st.Source), 1); err != nil {
			return err
		}
		if err := same(in, st.Source, next[st.Source]); err != nil {
			return err
		}
		next[st.Source]++
	}
	return nil
}

func preparedIdle(ctx context.Context, c *runtime.Comm) error {
	for _, r := range []*runtime.Request{
		runtime.PrepareSend(c, 0, 0, make([]int32, 1)), runtime.PrepareRecv(c, 0, 0, make([]int32, 1)),
	} {
		if st, done, err := r.Test(); st != (runtime.Status{}) || !done || err != nil {
			return errors.Errorf("never started: %+v, %v, %v", st, done, err)
		}
		if i, _, err := runtime.WaitAny(ctx, r); i != 0 || err != nil {
			return errors.Errorf("never started: %d, %v", i, err)
		}
	}
	return nil
}

func preparedWrongly(ctx context.Context, c *runtime.Comm) error {
	for _, r := range []*runtime.Request{
		runtime.PrepareSend(c, 1, 0, make([]int32, 1)), runtime.PrepareRecv(c, 1, 0, make([]int32, 1)),
		runtime.PrepareSend(c, 0, runtime.AnyTag, make([]int32, 1)),
	} {
		r.Start()
		if _, err := r.Wait(ctx); err == nil {
			return errors.New("wrong arguments were taken")
		}
	}
	return nil
}
