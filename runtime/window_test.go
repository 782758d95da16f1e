package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
)

// cells is what a window of the test has at every rank: for each origin a part
// of its own, where it knows what is there, and one that all add to.
type cells struct {
	each  int
	model [][]int32 // by target: the own part of this rank
	sums  []int32   // by target: what this rank has added
}

// TestWindowModel does random operations from seeds on the memory of all ranks
// and compares what they return, and what is there in the end, with a model.
func TestWindowModel(t *testing.T) {
	over(t, func(t *testing.T, run func(testing.TB, int, runtimetest.Body)) {
		for _, n := range []int{1, 2, 3, 5, 8} {
			for _, each := range []int{7, 300, 40_000} {
				t.Run(fmt.Sprintf("ranks=%d/each=%d", n, each), func(t *testing.T) {
					run(t, n, func(ctx context.Context, c *runtime.Comm) error { return model(ctx, c, each, 0) })
				})
			}
		}
	})
}

func model(ctx context.Context, c *runtime.Comm, each int, seed uint64) error {
	n := c.Size()
	w, err := runtime.NewWindow[int32](ctx, c, n*each+1)
	if err != nil {
		return err
	}
	m := &cells{each: each, sums: make([]int32, n)}
	for range n {
		m.model = append(m.model, make([]int32, each))
	}
	rnd := rand.New(rand.NewPCG(seed, uint64(each+c.Rank())))
	for round := range 3 {
		for i := range 60 {
			if err := m.operate(ctx, c, w, rnd); err != nil {
				return errors.WithMessagef(err, "round %d, operation %d", round, i)
			}
		}
		if err := m.compare(ctx, c, w); err != nil {
			return errors.WithMessagef(err, "round %d", round)
		}
	}
	return w.Close(ctx)
}

// operate does one random operation, or a batch of them.
func (m *cells) operate(ctx context.Context, c *runtime.Comm, w *runtime.Window[int32], rnd *rand.Rand) error {
	target := rnd.IntN(c.Size())
	base, own := c.Rank()*m.each, m.model[target]
	span := func() (lo, hi int) {
		lo = rnd.IntN(m.each + 1)
		return lo, lo + rnd.IntN(m.each-lo+1)
	}
	some := func(n int) []int32 {
		s := make([]int32, n)
		for i := range s {
			s[i] = int32(rnd.Uint32())
		}
		return s
	}
	verify := func(what string, got, want []int32) error {
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s %d: got %d elements that differ from the model", what, target, len(got))
		}
		return nil
	}
	switch rnd.IntN(9) {
	case 0, 1:
		lo, hi := span()
		src := some(hi - lo)
		copy(own[lo:], src)
		return w.Put(ctx, target, base+lo, src)
	case 2:
		lo, hi := span()
		dst := some(hi - lo)
		if err := w.Get(ctx, target, base+lo, dst); err != nil {
			return err
		}
		return verify("get from", dst, own[lo:hi])
	case 3:
		lo, hi := span()
		src := some(hi - lo)
		a := runtime.Accumulator(rnd.IntN(9))
		for i, v := range src {
			own[lo+i] = combined(a, own[lo+i], v)
		}
		return w.Accumulate(ctx, target, base+lo, src, a)
	case 4:
		lo, hi := span()
		src, old, want := some(hi-lo), some(hi-lo), slices.Clone(own[lo:hi])
		for i, v := range src {
			own[lo+i] = combined(runtime.Add, own[lo+i], v)
		}
		if err := w.GetAccumulate(ctx, target, base+lo, src, old, runtime.Add); err != nil {
			return err
		}
		return verify("get and accumulate at", old, want)
	case 5:
		i, v := rnd.IntN(m.each), int32(rnd.IntN(5))
		old, err := w.Fetch(ctx, target, base+i, v, runtime.Xor)
		if err != nil || old != own[i] {
			return fmt.Errorf("fetch: got %d, %v, want %d", old, err, own[i])
		}
		own[i] ^= v
	case 6:
		i, old, next := rnd.IntN(m.each), int32(rnd.IntN(3)), int32(rnd.IntN(3))
		if rnd.IntN(2) == 0 {
			old = own[i]
		}
		was, err := w.CompareAndSwap(ctx, target, base+i, old, next)
		if err != nil || was != own[i] {
			return fmt.Errorf("compare and swap: got %d, %v, want %d", was, err, own[i])
		}
		if was == old {
			own[i] = next
		}
	case 7:
		v := int32(rnd.IntN(100))
		m.sums[target] += v
		if rnd.IntN(2) == 0 {
			_, err := w.Fetch(ctx, target, c.Size()*m.each, v, runtime.Add)
			return err
		}
		return w.Accumulate(ctx, target, c.Size()*m.each, []int32{v}, runtime.Add)
	default:
		return m.batch(ctx, w, base, target, rnd, span, some, verify)
	}
	return nil
}

// batch does random operations together.
func (m *cells) batch(ctx context.Context, w *runtime.Window[int32], base, target int, rnd *rand.Rand,
	span func() (int, int), some func(int) []int32, verify func(string, []int32, []int32) error) error {
	own := m.model[target]
	b := w.Batch(target)
	var got, want [][]int32
	for range rnd.IntN(30) {
		lo, hi := span()
		var err error
		switch rnd.IntN(4) {
		case 0:
			src := some(hi - lo)
			copy(own[lo:], src)
			err = b.Put(ctx, base+lo, src)
		case 1:
			hi = min(hi, lo+8000) // a longer one may see what comes later
			got, want = append(got, some(hi-lo)), append(want, slices.Clone(own[lo:hi]))
			err = b.Get(ctx, base+lo, got[len(got)-1])
		case 2:
			src := some(hi - lo)
			got, want = append(got, some(hi-lo)), append(want, slices.Clone(own[lo:hi]))
			for i, v := range src {
				own[lo+i] = max(own[lo+i], v)
			}
			err = b.GetAccumulate(ctx, base+lo, src, got[len(got)-1], runtime.Max)
		default:
			i := rnd.IntN(m.each)
			got, want = append(got, some(1)), append(want, []int32{own[i]})
			err = b.CompareAndSwap(ctx, base+i, own[i], 77, &got[len(got)-1][0])
			own[i] = 77
		}
		if err != nil {
			return err
		}
	}
	if err := b.Flush(ctx); err != nil {
		return err
	}
	for i := range got {
		if err := verify(fmt.Sprintf("result %d of a batch for", i), got[i], want[i]); err != nil {
			return err
		}
	}
	return nil
}

// compare meets the others in a fence and reads this rank's memory.
func (m *cells) compare(ctx context.Context, c *runtime.Comm, w *runtime.Window[int32]) error {
	if err := w.Fence(ctx); err != nil {
		return err
	}
	n := c.Size()
	// Everybody sends everybody what should be there.
	var rs []*runtime.Request
	want := make([]int32, n*m.each)
	added := make([]int32, n)
	for r := range n {
		rs = append(rs, runtime.Irecv(c, r, 0, want[r*m.each:(r+1)*m.each]), runtime.Irecv(c, r, 1, added[r:r+1]),
			runtime.Isend(c, r, 0, m.model[r]), runtime.Isend(c, r, 1, m.sums[r:r+1]))
	}
	if err := runtime.WaitAll(ctx, rs...); err != nil {
		return err
	}
	sum := int32(0)
	for _, v := range added {
		sum += v
	}
	if want = append(want, sum); !slices.Equal(w.Local(), want) {
		return stderrors.New("the memory differs from the model")
	}
	return w.Fence(ctx) // before somebody writes again
}

// combined is what an accumulator does, one element at a time.
func combined(a runtime.Accumulator, there, sent int32) int32 {
	switch a {
	case runtime.Replace:
		return sent
	case runtime.Keep:
		return there
	case runtime.Add:
		return there + sent
	case runtime.Prod:
		return there * sent
	case runtime.Min:
		return min(there, sent)
	case runtime.Max:
		return max(there, sent)
	case runtime.And:
		return there & sent
	case runtime.Or:
		return there | sent
	}
	return there ^ sent
}
