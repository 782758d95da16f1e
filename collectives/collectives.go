package collectives

import (
	"context"
	"fmt"
	"time"

	"github.com/sspurn/sspurn/collectives/schedule"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// noRoot in a fingerprint stands for calls without one.
const noRoot = -1

// Barrier returns on a rank when all ranks have entered it.
func Barrier(ctx context.Context, c *runtime.Comm) error {
	f := newFingerprint[uint8](barrier, 0, noRoot, options{})
	return call[uint8](ctx, c, &f, options{}, nil, nil, Kernel[uint8]{}, "")
}

// Bcast copies root's buf into every other rank's buf, which is as long.
func Bcast[T runtime.Elem](ctx context.Context, c *runtime.Comm, buf []T, root int) error {
	f := newFingerprint[T](bcast, len(buf), root, options{})
	return call(ctx, c, &f, options{}, buf, nil, Kernel[T]{}, "")
}

// Reduce combines the src of all ranks into root's dst, which is as long; dst
// is ignored elsewhere.
func Reduce[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, op Op[T], root int, opts ...Option) error {
	o, k := optionsOf(opts), op()
	f := newFingerprint[T](reduce, len(src), root, o)
	copy(f.op[:], k.name)
	bad := ""
	if c.Rank() == root && len(dst) != len(src) {
		bad = fmt.Sprintf("dst has %d elements and src %d", len(dst), len(src))
	}
	return call(ctx, c, &f, o, dst, src, k, bad)
}

// Allreduce combines the src of all ranks into the dst of all ranks, which is
// as long. All ranks get bit-equal results.
func Allreduce[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) error {
	o, k := optionsOf(opts), op()
	f := newFingerprint[T](allreduce, len(src), noRoot, o)
	copy(f.op[:], k.name)
	bad := ""
	if len(dst) != len(src) {
		bad = fmt.Sprintf("dst has %d elements and src %d", len(dst), len(src))
	}
	return call(ctx, c, &f, o, dst, src, k, bad)
}

// AllreduceValue is Allreduce of one element, for losses and counters.
func AllreduceValue[T runtime.Elem](ctx context.Context, c *runtime.Comm, v T, op Op[T], opts ...Option) (T, error) {
	x := []T{v}
	err := Allreduce(ctx, c, x, x, op, opts...)
	return x[0], err
}

// Gather concatenates the src of all ranks, in rank order, into root's dst; dst
// is ignored elsewhere. All src are equally long, or [Counts] says how long.
func Gather[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, root int, opts ...Option) error {
	whole := dst
	if c.Rank() != root {
		whole = nil
	}
	return blocks(ctx, c, gather, dst, src, whole, src, c.Rank() == root, root, opts)
}

// Allgather is Gather whose result every rank receives.
func Allgather[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, opts ...Option) error {
	return blocks(ctx, c, allgather, dst, src, dst, src, true, noRoot, opts)
}

// Scatter sends block r of root's src to rank r's dst; src is ignored
// elsewhere. All dst are equally long, or [Counts] says how long.
func Scatter[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, root int, opts ...Option) error {
	return blocks(ctx, c, scatter, dst, src, src, dst, c.Rank() == root, root, opts)
}

// blocks is the common part of the verbs over blocks: whole is the slice of all
// blocks, where this rank has it, and part that of its own.
func blocks[T runtime.Elem](ctx context.Context, c *runtime.Comm, v verb, dst, src, whole, part []T, has bool, root int, opts []Option) error {
	o := optionsOf(opts)
	count, total, bad := len(part), c.Size()*len(part), ""
	if o.counts != nil {
		total = 0
		for r, n := range o.counts {
			if n < 0 {
				bad = fmt.Sprintf("count %d of rank %d is negative", n, r)
			}
			total += n
		}
		count = total
		if len(o.counts) != c.Size() {
			bad = fmt.Sprintf("%d counts for %d ranks", len(o.counts), c.Size())
		} else if bad == "" && len(part) != o.counts[c.Rank()] {
			bad = fmt.Sprintf("a block of %d elements where the counts say %d", len(part), o.counts[c.Rank()])
		}
	}
	if bad == "" && has && len(whole) != total {
		bad = fmt.Sprintf("%d elements where the blocks have %d in total", len(whole), total)
	}
	f := newFingerprint[T](v, count, root, o)
	return call(ctx, c, &f, o, dst, src, Kernel[T]{}, bad)
}

// call makes a collective call with arguments that are known to be good unless
// bad says otherwise.
func call[T runtime.Elem](ctx context.Context, c *runtime.Comm, f *fingerprint, o options, dst, src []T, k Kernel[T], bad string) error {
	s := stateOf(c)
	s.lock()
	defer s.busy.Unlock()
	if err := s.enter(f); err != nil {
		return err
	}
	if f.root != noRoot && (f.root < 0 || int(f.root) >= c.Size()) {
		bad = fmt.Sprintf("root %d of %d ranks", f.root, c.Size())
	}
	if bad != "" {
		return s.fail(ErrMismatch, f.seq, fmt.Sprintf("on %s, rank %d in %v: %s", c.Name(), c.Rank(), f, bad))
	}
	if ctx.Err() != nil {
		return s.broken(ctx, context.Cause(ctx))
	}
	p := s.plan(f, sizeOf[T](), o)
	rec := c.Recorder()
	if !rec.Tracing() {
		return execute(ctx, s, f, p, dst, src, k)
	}
	start := time.Now()
	err := execute(ctx, s, f, p, dst, src, k)
	rec.Trace(telemetry.Span{
		Kind: telemetry.Collective, Lane: telemetry.LaneRank, On: telemetry.NoRank, Name: f.verb.String() + " " + p.Name,
		Start: rec.At(start), End: rec.At(time.Now()), Bytes: int64(p.Sends() * sizeOf[T]()),
	})
	return err
}

// The machine that algorithms are chosen for, in nanoseconds a message and a
// byte: loopback, or the network of a data centre.
const (
	alpha = 15_000
	beta  = 0.4
	gamma = 0.15
)

// plan returns this rank's part of a call, a remembered one if there is.
func (s *state) plan(f *fingerprint, elemSize int, o options) *schedule.Schedule {
	key := plan{f.verb, int(f.root), int(f.count), elemSize, f.inOrder}
	if o.counts == nil {
		if p := s.plans[key]; p != nil {
			return p
		}
	}
	p := newPlan(s.c.Rank(), s.c.Size(), key, o.counts)
	if o.counts == nil {
		if s.plans == nil || len(s.plans) >= maxPlans {
			s.plans = map[plan]*schedule.Schedule{}
		}
		s.plans[key] = &p
	}
	return &p
}

func newPlan(rank, size int, key plan, counts []int) schedule.Schedule {
	m := schedule.Model{Alpha: alpha, Beta: beta * float64(key.size), Gamma: gamma * float64(key.size)}
	total := key.count
	if key.verb >= gather && counts == nil {
		counts = make([]int, size)
		for r := range counts {
			counts[r] = key.count
		}
		total *= size
	}
	switch key.verb {
	case barrier:
		return schedule.BarrierDissemination(rank, size, 0, 0)
	case bcast:
		return m.ChooseBcast(size, total)(rank, size, key.root, total)
	case reduce:
		return schedule.ReduceBinomial(rank, size, key.root, total)
	case allreduce:
		return m.ChooseAllreduce(size, total, key.inOrder)(rank, size, 0, total)
	case gather:
		return m.ChooseGather(size, total)(rank, size, key.root, counts)
	case allgather:
		return m.ChooseAllgather(size, total)(rank, size, 0, counts)
	default:
		return m.ChooseScatter(size, total)(rank, size, key.root, counts)
	}
}
