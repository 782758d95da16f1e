package conformance

import (
	"context"
	"slices"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

// matching: which message meets which receive.
var matching = []program{
	{"both wildcards", []int{1, 2, 3, 5}, bothWildcards},
	{"any tag of one source", []int{2, 3}, anyTag},
	{"extreme tags", []int{1, 2}, extremeTags},
	{"contexts keep apart", []int{1, 2, 3}, contexts},
	{"receives taken back", []int{1, 2}, takenBack},
	{"probe, then receive", []int{1, 2}, probeThenReceive},
	{"probe past others", []int{3, 5}, probePastOthers},
	{"matched messages", []int{1, 2, 3}, matchedMessages},
	{"matched in its turn", []int{1, 2}, matchedInTurn},
	{"matched at once", []int{1, 2, 3}, matchedAtOnce},
	{"looked for and left", []int{2, 3}, lookedForAndLeft},
	{"matched and dropped", []int{1, 2}, matchedAndDropped},
	{"matched and closed", []int{1, 2}, matchedAndClosed},
	{"ranks of a part", []int{3, 5}, ranksOfPart},
	{"nobody", []int{1, 2}, nobody},
}

// neighbours are the ranks after and before the own one; itself when alone.
func neighbours(c *runtime.Comm) (right, left int) {
	return (c.Rank() + 1) % c.Size(), (c.Rank() + c.Size() - 1) % c.Size()
}

func bothWildcards(ctx context.Context, c *runtime.Comm) error {
	const each = 10
	n := c.Size()
	var sends []*runtime.Request
	for i := range each {
		for dst := range n {
			sends = append(sends, runtime.Isend(c, dst, runtime.Tag(i), filled(i*5000, c.Rank(), i)))
		}
	}
	next := make([]int, n)
	buf := make([]int32, each*5000)
	for range n * each {
		st, err := runtime.Recv(ctx, c, runtime.AnySource, runtime.AnyTag, buf)
		if err != nil {
			return err
		}
		number := next[st.Source]
		next[st.Source]++
		if err := expect(st, st.Source, runtime.Tag(number), number*5000); err != nil {
			return err
		}
		if err := same(buf[:st.Count], st.Source, number); err != nil {
			return err
		}
	}
	return runtime.WaitAll(ctx, sends...)
}

func anyTag(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	sends := []*runtime.Request{
		runtime.Isend(c, right, 5, filled(3, c.Rank(), 0)),
		runtime.Isend(c, right, 6, filled(70_000, c.Rank(), 1)),
		runtime.Isend(c, right, 5, filled(4, c.Rank(), 2)),
	}
	buf := make([]int32, 70_000)
	for _, test := range []struct {
		ask, tag      runtime.Tag
		number, count int
	}{
		{6, 6, 1, 70_000}, {runtime.AnyTag, 5, 0, 3}, {runtime.AnyTag, 5, 2, 4},
	} {
		st, err := runtime.Recv(ctx, c, left, test.ask, buf)
		if err != nil {
			return err
		}
		if err := expect(st, left, test.tag, test.count); err != nil {
			return err
		}
		if err := same(buf[:st.Count], left, test.number); err != nil {
			return err
		}
	}
	return runtime.WaitAll(ctx, sends...)
}

func extremeTags(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	tags := []runtime.Tag{0, 1, 1<<31 - 1, 1 << 31, runtime.AnyTag - 1}
	for i, tag := range tags {
		if err := runtime.Send(ctx, c, right, tag, filled(1, c.Rank(), i)); err != nil {
			return err
		}
	}
	for i, tag := range slices.Backward(tags) {
		buf := make([]int32, 1)
		st, err := runtime.Recv(ctx, c, left, tag, buf)
		if err != nil {
			return err
		}
		if err := errors.WithMessagef(expect(st, left, tag, 1), "tag %d", tag); err != nil {
			return err
		}
		if err := same(buf, left, i); err != nil {
			return err
		}
	}
	if err := runtime.Send(ctx, c, right, runtime.AnyTag, filled(1, 0, 0)); err == nil {
		return errors.New("AnyTag could be sent")
	}
	return nil
}

func contexts(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	comms := []*runtime.Comm{c, c.Space(100), c.Space(101)}
	for range 2 {
		dup, err := comms[len(comms)-1].Dup(ctx)
		if err != nil {
			return err
		}
		comms = append(comms, dup)
	}
	for i, in := range comms {
		if err := runtime.Send(ctx, in, right, 1, filled(1, c.Rank(), i)); err != nil {
			return err
		}
	}
	for i, in := range slices.Backward(comms) {
		buf := make([]int32, 1)
		if _, err := runtime.Recv(ctx, in, runtime.AnySource, runtime.AnyTag, buf); err != nil {
			return err
		}
		if err := errors.WithMessagef(same(buf, left, i), "%s", in.Name()); err != nil {
			return err
		}
	}
	return nil
}

// takenBack: receives that were cancelled before a message met them leave all
// messages to others, in order.
func takenBack(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	gone := ended(ctx)
	for _, src := range []int{left, runtime.AnySource} {
		for _, tag := range []runtime.Tag{3, runtime.AnyTag} {
			early := runtime.Irecv(c, src, tag, make([]int32, 1))
			if st, err := early.Wait(gone); !errors.Is(err, errEnough) || errors.Is(err, runtime.ErrDropped) || st != (runtime.Status{}) {
				return errors.Errorf("cancelled: %+v, %v", st, err)
			}
			if _, err := runtime.Probe(gone, c, src, tag); !errors.Is(err, errEnough) {
				return errors.Errorf("cancelled probe: %v", err)
			}
			if m, err := runtime.Match(gone, c, src, tag); m != nil || !errors.Is(err, errEnough) {
				return errors.Errorf("cancelled match: %v", err)
			}
			if err := meet(ctx, c); err != nil {
				return err
			}
			for i := range 2 {
				if err := runtime.Send(ctx, c, right, 3, filled(1+i, c.Rank(), i)); err != nil {
					return err
				}
			}
			for i := range 2 {
				buf := make([]int32, 2)
				st, err := runtime.Recv(ctx, c, src, tag, buf)
				if err != nil {
					return err
				}
				if err := expect(st, left, 3, 1+i); err != nil {
					return err
				}
				if err := same(buf[:1+i], left, i); err != nil {
					return err
				}
			}
			if err := meet(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func probeThenReceive(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for i, n := range lengths {
		s := runtime.Isend(c, right, runtime.Tag(i), filled(n, c.Rank(), i))
		st, err := runtime.Probe(ctx, c, runtime.AnySource, runtime.AnyTag)
		if err != nil {
			return err
		}
		if err := expect(st, left, runtime.Tag(i), n); err != nil {
			return err
		}
		if again, found, err := runtime.TryProbe(c, left, runtime.Tag(i)); again != st || !found || err != nil {
			return errors.Errorf("the same message again: %+v, %v, %v", again, found, err)
		}
		if _, found, err := runtime.TryProbe(c, left, runtime.Tag(i+100)); found || err != nil {
			return errors.Errorf("a message that was not sent: %v, %v", found, err)
		}
		buf, got, err := runtime.RecvAlloc[int32](ctx, c, st.Source, st.Tag, st.Count)
		if err != nil || got != st || len(buf) != n {
			return errors.Errorf("received %d, %+v, %v; probe said %+v", len(buf), got, err, st)
		}
		if err := same(buf, left, i); err != nil {
			return err
		}
		if _, err := s.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// probePastOthers: a probe of one source that waits is not ended by what comes
// from others meanwhile. Rank 0 asks, and all others answer in their turn.
func probePastOthers(ctx context.Context, c *runtime.Comm) error {
	const rounds, ask, answer = 30, 1, 2
	last := c.Size() - 1
	for i := range rounds {
		if c.Rank() > 0 {
			if _, err := runtime.Recv(ctx, c, c.Rank()-1, ask, make([]int32, 1)); err != nil {
				return err
			}
			if err := runtime.Send(ctx, c, 0, answer, filled(c.Rank(), c.Rank(), i)); err != nil {
				return err
			}
		}
		if c.Rank() < last {
			if err := runtime.Send(ctx, c, c.Rank()+1, ask, filled(1, c.Rank(), i)); err != nil {
				return err
			}
		}
		if c.Rank() > 0 {
			continue
		}
		for src := last; src > 0; src-- {
			tag := runtime.Tag(answer)
			if i%2 == 1 {
				tag = runtime.AnyTag
			}
			st, err := runtime.Probe(ctx, c, src, tag)
			if err != nil {
				return err
			}
			if err := errors.WithMessagef(expect(st, src, answer, src), "probe of rank %d", src); err != nil {
				return err
			}
			in := make([]int32, src)
			if _, err := runtime.Recv(ctx, c, src, tag, in); err != nil {
				return err
			}
			if err := same(in, src, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// matchedMessages: what Match has taken nobody else gets, and it can be received
// later, in any order, or too short.
func matchedMessages(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	var sends []*runtime.Request
	for i, n := range lengths {
		sends = append(sends, runtime.Isend(c, right, 0, filled(n, c.Rank(), i)))
	}
	last := len(lengths) - 1
	var taken []*runtime.Matched
	for i := range last {
		m, err := runtime.Match(ctx, c, left, runtime.AnyTag)
		if err != nil {
			return err
		}
		if err := expect(m.Status, left, 0, lengths[i]); err != nil {
			return err
		}
		taken = append(taken, m)
	}
	buf := make([]int32, 200_000)
	st, err := runtime.Recv(ctx, c, left, 0, buf)
	if err != nil || st.Count != lengths[last] {
		return errors.Errorf("past matched messages: %+v, %v", st, err)
	}
	if err := same(buf[:st.Count], left, last); err != nil {
		return err
	}
	if m, err := runtime.TryMatch(c, runtime.AnySource, runtime.AnyTag); m != nil || err != nil {
		return errors.Errorf("a message too many: %v, %v", m, err)
	}
	for i, m := range slices.Backward(taken) {
		if i == 2 {
			var short *runtime.TruncationError
			if _, err := runtime.RecvMatched(ctx, m, buf[:999]); !errors.As(err, &short) || short.Bytes != 4000 || short.Room != 3996 {
				return errors.Errorf("short buffer: %v", err)
			}
		} else {
			st, err := runtime.RecvMatched(ctx, m, buf)
			if err != nil || st != m.Status {
				return errors.Errorf("message %d: %+v, %v, matched was %+v", i, st, err, m.Status)
			}
			if err := same(buf[:st.Count], left, i); err != nil {
				return err
			}
		}
		if _, err := runtime.RecvMatched(ctx, m, buf); err == nil {
			return errors.New("a matched message could be received twice")
		}
	}
	return runtime.WaitAll(ctx, sends...)
}

// matchedAtOnce: TryMatch takes what is there, and says what it is.
func matchedAtOnce(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for i, n := range lengths {
		for k, src := range []int{left, runtime.AnySource} {
			tag := runtime.Tag(2*i + k) // the neighbour may be ahead
			s := runtime.Isend(c, right, tag, filled(n, c.Rank(), i))
			st, err := runtime.Probe(ctx, c, left, tag)
			if err != nil {
				return err
			}
			if m, err := runtime.TryMatch(c, src, 100); m != nil || err != nil {
				return errors.Errorf("a message that was not sent: %+v, %v", m, err)
			}
			m, err := runtime.TryMatch(c, src, runtime.AnyTag)
			if m == nil || err != nil || m.Status != st {
				return errors.Errorf("matched %+v, %v, probe said %+v", m, err, st)
			}
			if err := expect(m.Status, left, tag, n); err != nil {
				return err
			}
			if _, found, err := runtime.TryProbe(c, left, tag); found || err != nil {
				return errors.Errorf("what was matched is still there: %v, %v", found, err)
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

// lookedForAndLeft: what a rank has sent before its body returned is found by
// calls that do not wait, and then they say that nothing can come any more.
func lookedForAndLeft(ctx context.Context, c *runtime.Comm) error {
	last := c.Size() - 1
	if c.Rank() == last {
		return runtime.Send(ctx, c, 0, 1, filled(3, last, 0))
	}
	if c.Rank() > 0 {
		return nil
	}
	if _, err := runtime.Recv(ctx, c, last, 2, make([]int32, 1)); !errors.Is(err, runtime.ErrLeft) {
		return errors.Errorf("received what was not sent: %v", err)
	}
	gone := func(tag runtime.Tag) error {
		if st, found, err := runtime.TryProbe(c, last, tag); found || st != (runtime.Status{}) || !errors.Is(err, runtime.ErrLeft) {
			return errors.Errorf("probe of a rank that has left, tag %d: %+v, %v, %v", tag, st, found, err)
		}
		if m, err := runtime.TryMatch(c, last, tag); m != nil || !errors.Is(err, runtime.ErrLeft) {
			return errors.Errorf("match from a rank that has left, tag %d: %+v, %v", tag, m, err)
		}
		return nil
	}
	if err := gone(2); err != nil {
		return err
	}
	st, found, err := runtime.TryProbe(c, last, runtime.AnyTag)
	if !found || err != nil {
		return errors.Errorf("probe of what was sent: %v, %v", found, err)
	}
	if err := expect(st, last, 1, 3); err != nil {
		return err
	}
	m, err := runtime.TryMatch(c, last, 1)
	if m == nil || err != nil || m.Status != st {
		return errors.Errorf("matched %+v, %v, probe said %+v", m, err, st)
	}
	in := make([]int32, 3)
	if _, err := runtime.RecvMatched(ctx, m, in); err != nil {
		return err
	}
	if err := same(in, last, 0); err != nil {
		return err
	}
	for _, tag := range []runtime.Tag{1, runtime.AnyTag} {
		if err := gone(tag); err != nil {
			return err
		}
	}
	return nil
}

// matchedInTurn: a Match that waits has its place among the receives.
func matchedInTurn(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	buf := make([]int32, 3)
	before := runtime.Irecv(c, left, 1, buf[:1])
	type match struct {
		m   *runtime.Matched
		err error
	}
	matched := make(chan match, 1)
	go func() {
		m, err := runtime.Match(ctx, c, runtime.AnySource, 1)
		matched <- match{m, err}
	}()
	if err := meet(ctx, c); err != nil {
		return err
	}
	for i := range 2 {
		if err := runtime.Send(ctx, c, right, 1, filled(1, c.Rank(), i)); err != nil {
			return err
		}
	}
	if _, err := before.Wait(ctx); err != nil {
		return err
	}
	got := <-matched
	if got.err != nil {
		return got.err
	}
	if _, err := runtime.RecvMatched(ctx, got.m, buf[1:]); err != nil {
		return err
	}
	if err := same(buf[:1], left, 0); err != nil {
		return err
	}
	return same(buf[1:2], left, 1)
}

// matchedAndDropped: what is dropped gives its room back and lets its sender go.
func matchedAndDropped(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	var sends []*runtime.Request
	const many = 300 // of 16 KiB: more than a window
	for i := range many {
		sends = append(sends, runtime.IsendSync(c, right, 0, filled(4<<10, c.Rank(), i)))
	}
	for range many {
		m, err := runtime.Match(ctx, c, left, 0)
		if err != nil {
			return err
		}
		m.Drop()
		m.Drop()
	}
	return runtime.WaitAll(ctx, sends...)
}

func matchedAndClosed(ctx context.Context, c *runtime.Comm) error {
	right, left := neighbours(c)
	for _, n := range []int{10, 100_000} {
		dup, err := c.Dup(ctx)
		if err != nil {
			return err
		}
		s := runtime.Isend(dup, right, 0, filled(n, c.Rank(), 0))
		m, err := runtime.Match(ctx, dup, left, 0)
		if err != nil {
			return err
		}
		if err := meet(ctx, c); err != nil {
			return err
		}
		if err := dup.Close(); err != nil {
			return err
		}
		if _, err := runtime.RecvMatched(ctx, m, make([]int32, n)); !errors.Is(err, runtime.ErrClosed) {
			return errors.Errorf("received of a closed communicator: %v", err)
		}
		if _, err := s.Wait(ctx); err != nil && !errors.Is(err, runtime.ErrClosed) {
			return err
		}
	}
	return nil
}

// ranksOfPart: all calls name ranks as their communicator does.
func ranksOfPart(ctx context.Context, c *runtime.Comm) error {
	part, err := c.Split(ctx, c.Rank()%2, -c.Rank()) // the other way round
	if err != nil {
		return err
	}
	right, left := neighbours(part)
	for i, n := range lengths {
		s := runtime.IsendSync(part, right, 1, filled(n, part.Rank(), i))
		st, err := runtime.Probe(ctx, part, runtime.AnySource, 1)
		if err != nil {
			return err
		}
		if err := expect(st, left, 1, n); err != nil {
			return err
		}
		m, err := runtime.Match(ctx, part, left, 1)
		if err != nil {
			return err
		}
		in := make([]int32, n)
		if st, err = runtime.RecvMatched(ctx, m, in); err != nil || st != m.Status {
			return errors.Errorf("%+v, %v, matched was %+v", st, err, m.Status)
		}
		if err := expect(st, left, 1, n); err != nil {
			return err
		}
		if err := same(in, left, i); err != nil {
			return err
		}
		if _, err := s.Wait(ctx); err != nil {
			return err
		}
		r := runtime.IrecvParts(part, runtime.AnySource, 2, cut(in, 100))
		if err := runtime.SendParts(ctx, part, right, 2, cut(filled(n, part.Rank(), i), 1000)); err != nil {
			return err
		}
		if st, err = r.Wait(ctx); err != nil {
			return err
		}
		if err := expect(st, left, 2, n); err != nil {
			return err
		}
	}
	return nil
}

func nobody(ctx context.Context, c *runtime.Comm) error {
	want := runtime.Status{Source: runtime.NoRank, Tag: runtime.AnyTag}
	buf := filled(5, 1, 2)
	out := []*runtime.Request{
		runtime.Isend(c, runtime.NoRank, 0, buf), runtime.IsendSync(c, runtime.NoRank, 0, buf),
		runtime.PrepareSend(c, runtime.NoRank, 0, buf),
	}
	in := []*runtime.Request{runtime.Irecv(c, runtime.NoRank, 3, buf), runtime.PrepareRecv(c, runtime.NoRank, 3, buf)}
	out[2].Start()
	in[1].Start()
	if err := runtime.WaitAll(ctx, out...); err != nil {
		return err
	}
	for _, r := range in {
		if st, done, err := r.Test(); st != want || !done || err != nil {
			return errors.Errorf("started receive from nobody: %+v, %v, %v", st, done, err)
		}
	}
	if err := runtime.SendSync(ctx, c, runtime.NoRank, 0, buf); err != nil {
		return err
	}
	st, err := runtime.SendRecv(ctx, c, runtime.NoRank, buf, runtime.NoRank, buf, 1)
	if st != want || err != nil {
		return errors.Errorf("exchange with nobody: %+v, %v", st, err)
	}
	if st, err := runtime.Probe(ctx, c, runtime.NoRank, 3); st != want || err != nil {
		return errors.Errorf("probe of nobody: %+v, %v", st, err)
	}
	m, err := runtime.Match(ctx, c, runtime.NoRank, 3)
	if err != nil {
		return err
	}
	if st, err := runtime.RecvMatched(ctx, m, buf); st != want || err != nil {
		return errors.Errorf("matched of nobody: %+v, %v", st, err)
	}
	return same(buf, 1, 2)
}
