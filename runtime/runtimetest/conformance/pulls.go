package conformance

import (
	"context"
	stderrors "errors"
	"math/rand/v2"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// pulls: messages that the receiver asks for.
var pulls = []program{
	{"pulled", []int{1, 2, 3}, pulled},
	{"pulled, head to head", []int{2, 3, 5}, pulledHeadToHead},
	{"pulled beside others", []int{2, 3}, pulledBeside},
	{"pulled at random", []int{1, 2, 3, 5}, pulledAtRandom},
	{"pulled, unlike", []int{1, 2}, pulledUnlike},
	{"pulled, given up", []int{1, 2}, pulledGivenUp},
	{"flood of pulls", []int{1, 2}, floodOfPulls},
	{"pulled behind others", []int{2}, pulledBehind},
	{"pulled, closed", []int{3}, pulledClosed},
	{"pulled from who closes", []int{2, 3}, pulledFromClosed},
	{"pulled, wrong", []int{2}, pulledWrong},
}

// pulled: each length, the pull first and the offer first.
func pulled(ctx context.Context, c *runtime.Comm) error {
	next, last := neighbours(c)
	for i, n := range lengths {
		for _, pullFirst := range []bool{true, false} {
			var out, in runtime.Request
			from, into := filled(n, c.Rank(), i), make([]int32, n)
			if pullFirst {
				runtime.StartPull(&in, c, last, 3, into)
			} else {
				runtime.StartOffer(&out, c, next, 3, from)
			}
			if err := meet(ctx, c); err != nil {
				return err
			}
			if pullFirst {
				runtime.StartOffer(&out, c, next, 3, from)
			} else {
				runtime.StartPull(&in, c, last, 3, into)
			}
			st, err := in.Wait(ctx)
			if err != nil {
				return err
			}
			if err := expect(st, last, 3, n); err != nil {
				return err
			}
			if err := same(into, last, i); err != nil {
				return err
			}
			if _, err := out.Wait(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// pulledHeadToHead: long ones in both directions between all pairs at once.
func pulledHeadToHead(ctx context.Context, c *runtime.Comm) error {
	const n = 400_000
	out, in := make([]runtime.Request, c.Size()), make([]runtime.Request, c.Size())
	into := make([][]int32, c.Size())
	for i := range 3 {
		from := filled(n, c.Rank(), i)
		for r := range c.Size() {
			into[r] = make([]int32, n)
			runtime.StartPull(&in[r], c, r, runtime.Tag(i), into[r])
			runtime.StartOffer(&out[r], c, r, runtime.Tag(i), from)
		}
		for r := range c.Size() {
			if _, err := in[r].Wait(ctx); err != nil {
				return err
			}
			if err := same(into[r], r, i); err != nil {
				return err
			}
			if _, err := out[r].Wait(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// pulledBeside: other messages of the same tag, wildcards and other spaces have
// nothing to do with pulls.
func pulledBeside(ctx context.Context, c *runtime.Comm) error {
	next, last := neighbours(c)
	for _, n := range lengths {
		var offer, pull, other, otherPull runtime.Request
		x, y, z, w := make([]int32, n), make([]int32, n), make([]int32, n), make([]int32, n)
		whatever := runtime.Irecv(c, runtime.AnySource, runtime.AnyTag, x)
		runtime.StartPull(&pull, c, last, 5, y)
		runtime.StartOffer(&other, c.Space(7), next, 5, filled(n, c.Rank(), 1))
		plain := runtime.Isend(c, next, 5, filled(n, c.Rank(), 2))
		runtime.StartOffer(&offer, c, next, 5, filled(n, c.Rank(), 3))
		runtime.StartPull(&otherPull, c.Space(7), last, 5, z)
		if err := runtime.WaitAll(ctx, whatever, &pull, &otherPull, plain, &offer, &other); err != nil {
			return err
		}
		for k, got := range [][]int32{z, x, y} {
			if err := same(got, last, k+1); err != nil {
				return errors.WithMessagef(err, "length %d", n)
			}
		}
		// A pull does not meet what is sent, a receive not what is offered.
		r := runtime.Irecv(c, last, 6, w)
		runtime.StartOffer(&offer, c, next, 6, filled(n, c.Rank(), 4))
		if err := meet(ctx, c); err != nil {
			return err
		}
		if _, done, err := r.Test(); done {
			return errors.Errorf("a receive met an offer: %v", err)
		}
		if err := meet(ctx, c); err != nil {
			return err
		}
		if err := runtime.Send(ctx, c, next, 6, filled(n, c.Rank(), 5)); err != nil {
			return err
		}
		if _, err := r.Wait(ctx); err != nil {
			return err
		}
		if err := same(w, last, 5); err != nil {
			return err
		}
		runtime.StartPull(&pull, c, last, 6, w)
		if err := runtime.WaitAll(ctx, &pull, &offer); err != nil {
			return err
		}
		if err := same(w, last, 4); err != nil {
			return err
		}
	}
	return nil
}

// pulledAtRandom: the k'th pull from a rank of a tag gets the k'th message that
// it offers with it, whatever the order and length.
func pulledAtRandom(ctx context.Context, c *runtime.Comm) error {
	const tags, each, most = 3, 40, 6
	shared := rand.New(rand.NewPCG(uint64(c.Size()), 5)) // the same on all ranks
	length := make([][][][]int, c.Size())                // by sender, receiver, tag, number
	for s := range length {
		length[s] = make([][][]int, c.Size())
		for r := range length[s] {
			length[s][r] = make([][]int, tags)
			for tag := range tags {
				for range each {
					length[s][r][tag] = append(length[s][r][tag], lengths[shared.IntN(len(lengths))]/(1+shared.IntN(9)))
				}
			}
		}
	}
	me := c.Rank()
	rnd := rand.New(rand.NewPCG(uint64(me), 6))
	type one struct {
		r                 *runtime.Request
		into              []int32
		from, tag, number int
	}
	var open []one
	pulls, offers := make([][tags]int, c.Size()), make([][tags]int, c.Size())
	finish := func(i int) error {
		o := open[i]
		open = append(open[:i], open[i+1:]...)
		st, err := o.r.Wait(ctx)
		if err != nil || o.into == nil {
			return err
		}
		if err := expect(st, o.from, runtime.Tag(o.tag), len(o.into)); err != nil {
			return err
		}
		return same(o.into, o.from, o.number)
	}
	for left := 2 * c.Size() * tags * each; left > 0; {
		peer, tag := rnd.IntN(c.Size()), rnd.IntN(tags)
		r := new(runtime.Request)
		if k := pulls[peer][tag]; rnd.IntN(2) == 0 && k < each {
			pulls[peer][tag]++
			left--
			into := make([]int32, length[peer][me][tag][k])
			runtime.StartPull(r, c, peer, runtime.Tag(tag), into)
			open = append(open, one{r, into, peer, tag, k})
		} else if k := offers[peer][tag]; k < each {
			offers[peer][tag]++
			left--
			runtime.StartOffer(r, c, peer, runtime.Tag(tag), filled(length[me][peer][tag][k], me, k))
			open = append(open, one{r: r})
		}
		for i := len(open) - 1; i >= 0 && len(open) > most; i-- {
			if open[i].r.Ended() {
				if err := finish(i); err != nil {
					return err
				}
			}
		}
	}
	for len(open) > 0 {
		if err := finish(len(open) - 1); err != nil {
			return err
		}
	}
	return nil
}

// pulledUnlike: a message of another length or type, which the sender does not
// hear of, and the next one.
func pulledUnlike(ctx context.Context, c *runtime.Comm) error {
	next, last := neighbours(c)
	for _, n := range []int{10, 30_000, 300_000} {
		for _, m := range []int{0, n - 1, n + 1, 2 * n} {
			var a, b, in runtime.Request
			runtime.StartOffer(&a, c, next, 1, filled(m, c.Rank(), 0))
			runtime.StartOffer(&b, c, next, 1, filled(n, c.Rank(), 1))
			into := make([]int32, n)
			runtime.StartPull(&in, c, last, 1, into)
			st, err := in.Wait(ctx)
			odd, ok := stderrors.AsType[*runtime.LengthError](err)
			if st.Bytes != 4*m || st.Count != m {
				return errors.Errorf("%d for %d: %+v", m, n, st)
			}
			if !errors.Is(err, runtime.ErrLength) || !ok || odd.Bytes != 4*m || odd.Room != 4*n {
				return errors.Errorf("%d for %d: %v", m, n, err)
			}
			runtime.StartPull(&in, c, last, 1, into)
			if err := runtime.WaitAll(ctx, &in, &a, &b); err != nil {
				return err
			}
			if err := same(into, last, 1); err != nil {
				return err
			}
		}
		var out, in runtime.Request
		runtime.StartOffer(&out, c, next, 1, filled(n, c.Rank(), 0))
		runtime.StartPull(&in, c, last, 1, make([]float32, n))
		if _, err := in.Wait(ctx); !errors.Is(err, runtime.ErrType) {
			return errors.Errorf("int32 for float32: %v", err)
		}
		if _, err := out.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pulledGivenUp: a pull that is given up takes its message with it, an offer that
// is given up leaves its pull to the next.
func pulledGivenUp(ctx context.Context, c *runtime.Comm) error {
	gone := ended(ctx)
	next, last := neighbours(c)
	for _, n := range lengths {
		var a, b, in runtime.Request
		into := make([]int32, n)
		runtime.StartPull(&in, c, last, 1, into)
		if err := meet(ctx, c); err != nil {
			return err
		}
		st, err := in.Wait(gone)
		if !errors.Is(err, errEnough) || !errors.Is(err, runtime.ErrDropped) || st != (runtime.Status{}) {
			return errors.Errorf("pull given up: %+v, %v", st, err)
		}
		runtime.StartPull(&in, c, last, 1, into)
		if err := meet(ctx, c); err != nil {
			return err
		}
		runtime.StartOffer(&a, c, next, 1, filled(n, c.Rank(), 1))
		runtime.StartOffer(&b, c, next, 1, filled(n, c.Rank(), 2))
		if err := runtime.WaitAll(ctx, &in, &a, &b); err != nil {
			return err
		}
		if err := same(into, last, 2); err != nil {
			return err
		}

		runtime.StartOffer(&a, c, next, 1, filled(n, c.Rank(), 3))
		if _, err := a.Wait(gone); !errors.Is(err, errEnough) {
			return errors.Errorf("offer given up: %v", err)
		}
		runtime.StartOffer(&b, c, next, 1, filled(n, c.Rank(), 4))
		if err := meet(ctx, c); err != nil {
			return err
		}
		runtime.StartPull(&in, c, last, 1, into)
		if err := runtime.WaitAll(ctx, &in, &b); err != nil {
			return err
		}
		if err := same(into, last, 4); err != nil {
			return err
		}
	}
	return nil
}

// floodOfPulls: many at once.
func floodOfPulls(ctx context.Context, c *runtime.Comm) error {
	const n = 20_000
	next, last := neighbours(c)
	in, into := make([]runtime.Request, n), make([]int32, n)
	for i := range in {
		runtime.StartPull(&in[i], c, last, 1, into[i:i+1])
	}
	if err := meet(ctx, c); err != nil {
		return err
	}
	out := make([]runtime.Request, n)
	for i := range out {
		runtime.StartOffer(&out[i], c, next, 1, []int32{int32(i)})
	}
	for i := range in {
		if _, err := in[i].Wait(ctx); err != nil {
			return err
		}
		if into[i] != int32(i) {
			return errors.Errorf("pull %d got %d", i, into[i])
		}
	}
	for i := range out {
		if _, err := out[i].Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pulledBehind: neither do pulls wait for messages that nobody has received, nor
// these for pulls that nobody has answered.
func pulledBehind(ctx context.Context, c *runtime.Comm) error {
	const n = 40_000
	next, last := neighbours(c)
	sent := make([]*runtime.Request, n)
	pulls, offers, into := make([]runtime.Request, n), make([]runtime.Request, n), make([]int32, 1)
	for i := range pulls {
		runtime.StartPull(&pulls[i], c, last, 2, into)
	}
	for i := range sent {
		sent[i] = runtime.Isend(c, next, 1, []int32{int32(i)})
	}
	var in, out runtime.Request
	long := make([]int32, 100_000)
	runtime.StartPull(&in, c, last, 3, long)
	runtime.StartOffer(&out, c, next, 3, filled(len(long), c.Rank(), 0))
	if err := runtime.WaitAll(ctx, &in, &out); err != nil {
		return err
	}
	if err := same(long, last, 0); err != nil {
		return err
	}
	for i := range sent {
		got := make([]int32, 1) // into is that of the pulls
		if _, err := runtime.Recv(ctx, c, last, 1, got); err != nil || got[0] != int32(i) {
			return errors.Errorf("message %d: %d, %v", i, got[0], err)
		}
	}
	for i := range offers {
		runtime.StartOffer(&offers[i], c, next, 2, into)
	}
	for i := range offers {
		if err := runtime.WaitAll(ctx, sent[i], &offers[i], &pulls[i]); err != nil {
			return err
		}
	}
	return nil
}

// pulledFromClosed: a pull from a rank that closes the communicator fails, whether
// it comes before that or after.
func pulledFromClosed(ctx context.Context, c *runtime.Comm) error {
	for _, first := range []bool{true, false} {
		d, err := c.Dup(ctx)
		if err != nil {
			return err
		}
		var r runtime.Request
		into := make([]int32, 100_000)
		if first && c.Rank() > 0 {
			runtime.StartPull(&r, d, 0, 2, into)
		}
		if err := meet(ctx, c); err != nil {
			return err
		}
		if c.Rank() == 0 {
			if err := d.Close(); err != nil {
				return err
			}
		}
		if err := meet(ctx, c); err != nil {
			return err
		}
		if c.Rank() > 0 {
			if !first {
				runtime.StartPull(&r, d, 0, 2, into)
			}
			if st, err := r.Wait(ctx); !errors.Is(err, runtime.ErrClosed) || st.Count != 0 {
				return errors.Errorf("got %+v, %v", st, err)
			}
			if err := d.Close(); err != nil {
				return err
			}
		}
		if err := meet(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// pulledClosed: pulls that wait at a communicator, or come when it is closed, end,
// and what goes on elsewhere does not notice.
func pulledClosed(ctx context.Context, c *runtime.Comm) error {
	next, last := neighbours(c)
	for range 4 {
		d, err := c.Dup(ctx)
		if err != nil {
			return err
		}
		in := make([]runtime.Request, 10_000)
		var b [1]int32
		for i := range in {
			runtime.StartPull(&in[i], d, last, 1, b[:])
		}
		var out runtime.Request
		runtime.StartOffer(&out, d, next, 2, b[:])
		if c.Rank() != 0 { // some are closed before all has come
			if err := meet(ctx, c); err != nil {
				return err
			}
		}
		if err := d.Close(); err != nil {
			return err
		}
		for i := range in {
			if _, err := in[i].Wait(ctx); !errors.Is(err, runtime.ErrClosed) {
				return errors.Errorf("pull %d: %v", i, err)
			}
		}
		if _, err := out.Wait(ctx); !errors.Is(err, runtime.ErrClosed) {
			return errors.Errorf("offer: %v", err)
		}
		if c.Rank() == 0 {
			if err := meet(ctx, c); err != nil {
				return err
			}
		}
	}
	return pulled(ctx, c)
}

// pulledWrong: arguments that can not be.
func pulledWrong(ctx context.Context, c *runtime.Comm) error {
	var r runtime.Request
	b := make([]int32, 1)
	for what, start := range map[string]func(){
		"pull from anywhere":    func() { runtime.StartPull(&r, c, runtime.AnySource, 1, b) },
		"pull of any tag":       func() { runtime.StartPull(&r, c, 0, runtime.AnyTag, b) },
		"pull from rank 2 of 2": func() { runtime.StartPull(&r, c, 2, 1, b) },
		"offer to rank 2 of 2":  func() { runtime.StartOffer(&r, c, 2, 1, b) },
		"offer with any tag":    func() { runtime.StartOffer(&r, c, 0, runtime.AnyTag, b) },
		"offer to any rank":     func() { runtime.StartOffer(&r, c, runtime.AnySource, 1, b) },
	} {
		start()
		if _, err := r.Wait(ctx); err == nil {
			return errors.New(what + ": no error")
		}
	}
	runtime.StartPull(&r, c, runtime.NoRank, 1, b)
	if st, err := r.Wait(ctx); err != nil || st.Source != runtime.NoRank {
		return errors.Errorf("pull from nobody: %+v: %v", st, err)
	}
	runtime.StartOffer(&r, c, runtime.NoRank, 1, b)
	_, err := r.Wait(ctx)
	return err
}
