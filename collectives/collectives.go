package collectives

import (
	"context"

	"github.com/sspurn/sspurn/collectives/schedule"
	"github.com/sspurn/sspurn/runtime"
)

// block makes a blocking call.
func block(ctx context.Context, c *runtime.Comm, a args) error {
	s := stateOf(c)
	s.lock()
	defer s.busy.Unlock()
	s.prepare(&s.call, &a)
	err := s.run(ctx, &s.call)
	s.call.dst, s.call.src, s.call.k = nil, nil, nil
	return err
}

// begin starts a call.
func begin(c *runtime.Comm, a args) *Request {
	r := &Request{s: stateOf(c)}
	r.s.prepare(&r.task, &a)
	r.s.start(r)
	return r
}

// ready prepares a call.
func ready(c *runtime.Comm, a args) (*Plan, error) {
	p := &Plan{Request{s: stateOf(c)}}
	p.r.s.prepare(&p.r.task, &a)
	if t := &p.r.task; t.bad != "" {
		return nil, &callError{t.kind, t.bad + " in a prepared " + a.verb.String()}
	}
	return p, nil
}

// Barrier returns on a rank when all ranks have entered it.
func Barrier(ctx context.Context, c *runtime.Comm) error {
	return block(ctx, c, vectorArgs[uint8](schedule.Barrier, noRoot, nil, nil, 0, nil))
}

// StartBarrier starts a [Barrier], which ends when all ranks have started it.
func StartBarrier(c *runtime.Comm, opts ...Option) *Request {
	return begin(c, vectorArgs[uint8](schedule.Barrier, noRoot, nil, nil, 0, opts))
}

// PrepareBarrier prepares a [Barrier].
func PrepareBarrier(c *runtime.Comm, opts ...Option) (*Plan, error) {
	return ready(c, vectorArgs[uint8](schedule.Barrier, noRoot, nil, nil, 0, opts))
}

// Bcast copies root's buf into every other rank's buf, which is as long.
func Bcast[T runtime.Elem](ctx context.Context, c *runtime.Comm, buf []T, root int, opts ...Option) error {
	return block(ctx, c, vectorArgs(schedule.Bcast, root, buf, nil, len(buf), opts))
}

// StartBcast starts a [Bcast].
func StartBcast[T runtime.Elem](c *runtime.Comm, buf []T, root int, opts ...Option) *Request {
	return begin(c, vectorArgs(schedule.Bcast, root, buf, nil, len(buf), opts))
}

// PrepareBcast prepares a [Bcast].
func PrepareBcast[T runtime.Elem](c *runtime.Comm, buf []T, root int, opts ...Option) (*Plan, error) {
	return ready(c, vectorArgs(schedule.Bcast, root, buf, nil, len(buf), opts))
}

// Reduce combines the src of all ranks into root's dst, which is as long; dst
// is ignored elsewhere. dst may be src.
func Reduce[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, op Op[T], root int, opts ...Option) error {
	return block(ctx, c, reduceArgs(schedule.ReduceTo, root, dst, src, op, c.Rank() == root, opts))
}

// StartReduce starts a [Reduce].
func StartReduce[T runtime.Elem](c *runtime.Comm, dst, src []T, op Op[T], root int, opts ...Option) *Request {
	return begin(c, reduceArgs(schedule.ReduceTo, root, dst, src, op, c.Rank() == root, opts))
}

// PrepareReduce prepares a [Reduce].
func PrepareReduce[T runtime.Elem](c *runtime.Comm, dst, src []T, op Op[T], root int, opts ...Option) (*Plan, error) {
	return ready(c, reduceArgs(schedule.ReduceTo, root, dst, src, op, c.Rank() == root, opts))
}

// Allreduce combines the src of all ranks into the dst of all ranks, which is
// as long. All ranks get bit-equal results. dst may be src.
func Allreduce[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) error {
	return block(ctx, c, reduceArgs(schedule.Allreduce, noRoot, dst, src, op, true, opts))
}

// StartAllreduce starts an [Allreduce].
func StartAllreduce[T runtime.Elem](c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) *Request {
	return begin(c, reduceArgs(schedule.Allreduce, noRoot, dst, src, op, true, opts))
}

// PrepareAllreduce prepares an [Allreduce].
func PrepareAllreduce[T runtime.Elem](c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) (*Plan, error) {
	return ready(c, reduceArgs(schedule.Allreduce, noRoot, dst, src, op, true, opts))
}

// AllreduceValue is Allreduce of one element, for losses and counters.
func AllreduceValue[T runtime.Elem](ctx context.Context, c *runtime.Comm, v T, op Op[T], opts ...Option) (T, error) {
	x := []T{v}
	err := Allreduce(ctx, c, x, x, op, opts...)
	return x[0], err
}

// ReduceScatter combines the src of all ranks, of which rank r gets block r in
// dst. All dst are equally long, or [Counts] says how long. dst may be the own
// block of src.
func ReduceScatter[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) error {
	return block(ctx, c, reduceScatterArgs(c, dst, src, op, opts))
}

// StartReduceScatter starts a [ReduceScatter].
func StartReduceScatter[T runtime.Elem](c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) *Request {
	return begin(c, reduceScatterArgs(c, dst, src, op, opts))
}

// PrepareReduceScatter prepares a [ReduceScatter].
func PrepareReduceScatter[T runtime.Elem](c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) (*Plan, error) {
	return ready(c, reduceScatterArgs(c, dst, src, op, opts))
}

func reduceScatterArgs[T runtime.Elem](c *runtime.Comm, dst, src []T, op Op[T], opts []Option) args {
	a := blockArgs(c, schedule.ReduceScatter, dst, src, src, dst, true, noRoot, opts)
	setOp(&a, op())
	return a
}

// Gather concatenates the src of all ranks, in rank order, into root's dst; dst
// is ignored elsewhere. All src are equally long, or [Counts] says how long. The
// root's src may be its own block of dst.
func Gather[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, root int, opts ...Option) error {
	return block(ctx, c, gatherArgs(c, dst, src, root, opts))
}

// StartGather starts a [Gather].
func StartGather[T runtime.Elem](c *runtime.Comm, dst, src []T, root int, opts ...Option) *Request {
	return begin(c, gatherArgs(c, dst, src, root, opts))
}

// PrepareGather prepares a [Gather].
func PrepareGather[T runtime.Elem](c *runtime.Comm, dst, src []T, root int, opts ...Option) (*Plan, error) {
	return ready(c, gatherArgs(c, dst, src, root, opts))
}

func gatherArgs[T runtime.Elem](c *runtime.Comm, dst, src []T, root int, opts []Option) args {
	if c.Rank() != root {
		dst = nil
	}
	return blockArgs(c, schedule.Gather, dst, src, dst, src, c.Rank() == root, root, opts)
}

// Allgather is Gather whose result every rank receives. src may be the own block
// of dst.
func Allgather[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, opts ...Option) error {
	return block(ctx, c, blockArgs(c, schedule.Allgather, dst, src, dst, src, true, noRoot, opts))
}

// StartAllgather starts an [Allgather].
func StartAllgather[T runtime.Elem](c *runtime.Comm, dst, src []T, opts ...Option) *Request {
	return begin(c, blockArgs(c, schedule.Allgather, dst, src, dst, src, true, noRoot, opts))
}

// PrepareAllgather prepares an [Allgather].
func PrepareAllgather[T runtime.Elem](c *runtime.Comm, dst, src []T, opts ...Option) (*Plan, error) {
	return ready(c, blockArgs(c, schedule.Allgather, dst, src, dst, src, true, noRoot, opts))
}

// Scatter sends block r of root's src to rank r's dst; src is ignored
// elsewhere. All dst are equally long, or [Counts] says how long. The root's dst
// may be its own block of src.
func Scatter[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, root int, opts ...Option) error {
	return block(ctx, c, scatterArgs(c, dst, src, root, opts))
}

// StartScatter starts a [Scatter].
func StartScatter[T runtime.Elem](c *runtime.Comm, dst, src []T, root int, opts ...Option) *Request {
	return begin(c, scatterArgs(c, dst, src, root, opts))
}

// PrepareScatter prepares a [Scatter].
func PrepareScatter[T runtime.Elem](c *runtime.Comm, dst, src []T, root int, opts ...Option) (*Plan, error) {
	return ready(c, scatterArgs(c, dst, src, root, opts))
}

func scatterArgs[T runtime.Elem](c *runtime.Comm, dst, src []T, root int, opts []Option) args {
	return blockArgs(c, schedule.Scatter, dst, src, src, dst, c.Rank() == root, root, opts)
}

// Alltoall sends block q of the src of rank r to rank q, which has it as block r
// of its dst. All blocks are equally long, or [Counts] and [RecvCounts] say how
// long each is: what r sends to q is what q receives from r. dst may be src.
func Alltoall[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, opts ...Option) error {
	return block(ctx, c, alltoallArgs(c, dst, src, opts))
}

// StartAlltoall starts an [Alltoall].
func StartAlltoall[T runtime.Elem](c *runtime.Comm, dst, src []T, opts ...Option) *Request {
	return begin(c, alltoallArgs(c, dst, src, opts))
}

// PrepareAlltoall prepares an [Alltoall].
func PrepareAlltoall[T runtime.Elem](c *runtime.Comm, dst, src []T, opts ...Option) (*Plan, error) {
	return ready(c, alltoallArgs(c, dst, src, opts))
}

// Scan combines, in every rank's dst, the src of the ranks up to it, in their
// order. dst is as long as src and may be src.
func Scan[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) error {
	return block(ctx, c, reduceArgs(schedule.Scan, noRoot, dst, src, op, true, opts))
}

// StartScan starts a [Scan].
func StartScan[T runtime.Elem](c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) *Request {
	return begin(c, reduceArgs(schedule.Scan, noRoot, dst, src, op, true, opts))
}

// PrepareScan prepares a [Scan].
func PrepareScan[T runtime.Elem](c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) (*Plan, error) {
	return ready(c, reduceArgs(schedule.Scan, noRoot, dst, src, op, true, opts))
}

// Exscan is Scan without the own src: rank 0 gets nothing, and its dst is left
// alone.
func Exscan[T runtime.Elem](ctx context.Context, c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) error {
	return block(ctx, c, reduceArgs(schedule.Exscan, noRoot, dst, src, op, true, opts))
}

// StartExscan starts an [Exscan].
func StartExscan[T runtime.Elem](c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) *Request {
	return begin(c, reduceArgs(schedule.Exscan, noRoot, dst, src, op, true, opts))
}

// PrepareExscan prepares an [Exscan].
func PrepareExscan[T runtime.Elem](c *runtime.Comm, dst, src []T, op Op[T], opts ...Option) (*Plan, error) {
	return ready(c, reduceArgs(schedule.Exscan, noRoot, dst, src, op, true, opts))
}
