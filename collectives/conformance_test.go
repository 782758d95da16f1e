package collectives_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/race"
)

// fixture is a call with what must come of it, by a dumb reference.
type fixture[T runtime.Elem] struct {
	verb     string
	dst, src []T // may be the same memory
	before   []T // src, or all memory of the call when it is in place
	memory   []T // that
	after    []T // dst; nil: it is left alone
	found    []T // dst before the call
	call     func(opts ...collectives.Option) error
	start    func(opts ...collectives.Option) *collectives.Request
	prepare  func(opts ...collectives.Option) (*collectives.Plan, error)
}

// reset fills the memory as it was before the call.
func (f *fixture[T]) reset() {
	var junk T
	junk--
	for i := range f.dst {
		f.dst[i] = junk
	}
	copy(f.memory, f.before)
	f.found = append(f.found[:0], f.dst...)
}

func (f *fixture[T]) check(how string) error {
	if f.after == nil {
		return expect(f.verb+" "+how+", whose dst is left alone", f.dst, f.found)
	}
	return expect(f.verb+" "+how, f.dst, f.after)
}

// forms runs the call in all its forms, and by all its algorithms.
func (f *fixture[T]) forms(ctx context.Context, opts []collectives.Option) error {
	plan, err := f.prepare(opts...)
	if err != nil {
		return err
	}
	run := map[string]func() error{
		"blocking": func() error { return f.call(opts...) },
		"started":  func() error { return f.start(opts...).Wait(ctx) },
		"prepared": func() error { return plan.Run(ctx) },
		"prepared and started": func() error {
			plan.Start()
			return plan.Wait(ctx)
		},
	}
	for _, how := range []string{"blocking", "started", "prepared", "prepared", "prepared and started", "prepared and started"} {
		f.reset()
		if err := run[how](); err != nil {
			return errors.WithMessage(err, f.verb+" "+how)
		}
		if err := f.check(how); err != nil {
			return err
		}
	}
	for _, name := range collectives.Algorithms()[f.verb] {
		p, err := f.prepare(append(slices.Clone(opts), collectives.WithAlgorithm(name))...)
		if err != nil {
			continue // does not fit, on any rank
		}
		f.reset()
		if err := p.Run(ctx); err != nil {
			return errors.WithMessage(err, f.verb+" by "+name)
		}
		if err := f.check("by " + name); err != nil {
			return err
		}
	}
	return nil
}

// sumOf is the sum over the ranks from lo on, below hi, of elements from off on.
func sumOf[T runtime.Elem](lo, hi, off, n int) []T {
	x := make([]T, n)
	for r := lo; r < hi; r++ {
		for i, v := range vector[T](r, off+n)[off:] {
			x[i] += v
		}
	}
	return x
}

// fixtures are calls of all verbs over blocks of the given lengths, one for each
// rank. All sums are exact.
func fixtures[T runtime.Elem](ctx context.Context, c *runtime.Comm, counts []int, root int, inPlace bool) []fixture[T] {
	rank, size := c.Rank(), c.Size()
	off := 0
	for _, n := range counts[:rank] {
		off += n
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	n := counts[rank]
	var list []fixture[T]
	// add makes a fixture of a dst and a src. In place, the shorter is the part
	// of the longer from shift on.
	add := func(verb string, before []T, dstLen, shift int, after []T, make3 func(f *fixture[T])) {
		f := fixture[T]{verb: verb, before: before, after: after}
		switch {
		case !inPlace:
			f.dst, f.src = make([]T, dstLen), make([]T, len(before))
			f.memory = f.src
		case dstLen >= len(before):
			f.dst = make([]T, dstLen)
			f.src = f.dst[shift : shift+len(before)]
			f.memory = f.src
		default:
			f.src = make([]T, len(before))
			f.dst = f.src[shift : shift+dstLen]
			f.memory = f.src
		}
		list = append(list, f)
		make3(&list[len(list)-1])
	}
	mine := vector[T](rank, total)
	sum := sumOf[T](0, size, 0, total)
	at := func(here bool, x []T) []T {
		if here {
			return x
		}
		return nil
	}
	add("allreduce", mine, total, 0, sum, func(f *fixture[T]) {
		dst, src := f.dst, f.src
		f.call = func(o ...collectives.Option) error {
			return collectives.Allreduce(ctx, c, dst, src, collectives.Sum, o...)
		}
		f.start = func(o ...collectives.Option) *collectives.Request {
			return collectives.StartAllreduce(c, dst, src, collectives.Sum, o...)
		}
		f.prepare = func(o ...collectives.Option) (*collectives.Plan, error) {
			return collectives.PrepareAllreduce(c, dst, src, collectives.Sum, o...)
		}
	})
	add("reduce", mine, total, 0, at(rank == root, sum), func(f *fixture[T]) {
		dst, src := f.dst, f.src
		f.call = func(o ...collectives.Option) error {
			return collectives.Reduce(ctx, c, dst, src, collectives.Sum, root, o...)
		}
		f.start = func(o ...collectives.Option) *collectives.Request {
			return collectives.StartReduce(c, dst, src, collectives.Sum, root, o...)
		}
		f.prepare = func(o ...collectives.Option) (*collectives.Plan, error) {
			return collectives.PrepareReduce(c, dst, src, collectives.Sum, root, o...)
		}
	})
	add("scan", mine, total, 0, sumOf[T](0, rank+1, 0, total), func(f *fixture[T]) {
		dst, src := f.dst, f.src
		f.call = func(o ...collectives.Option) error { return collectives.Scan(ctx, c, dst, src, collectives.Sum, o...) }
		f.start = func(o ...collectives.Option) *collectives.Request {
			return collectives.StartScan(c, dst, src, collectives.Sum, o...)
		}
		f.prepare = func(o ...collectives.Option) (*collectives.Plan, error) {
			return collectives.PrepareScan(c, dst, src, collectives.Sum, o...)
		}
	})
	add("exscan", mine, total, 0, at(rank > 0, sumOf[T](0, rank, 0, total)), func(f *fixture[T]) {
		dst, src := f.dst, f.src
		f.call = func(o ...collectives.Option) error {
			return collectives.Exscan(ctx, c, dst, src, collectives.Sum, o...)
		}
		f.start = func(o ...collectives.Option) *collectives.Request {
			return collectives.StartExscan(c, dst, src, collectives.Sum, o...)
		}
		f.prepare = func(o ...collectives.Option) (*collectives.Plan, error) {
			return collectives.PrepareExscan(c, dst, src, collectives.Sum, o...)
		}
	})
	blocks := collectives.Counts(counts)
	with := func(o []collectives.Option) []collectives.Option { return append([]collectives.Option{blocks}, o...) }
	add("reduce-scatter", mine, n, off, sum[off:off+n], func(f *fixture[T]) {
		dst, src := f.dst, f.src
		f.call = func(o ...collectives.Option) error {
			return collectives.ReduceScatter(ctx, c, dst, src, collectives.Sum, with(o)...)
		}
		f.start = func(o ...collectives.Option) *collectives.Request {
			return collectives.StartReduceScatter(c, dst, src, collectives.Sum, with(o)...)
		}
		f.prepare = func(o ...collectives.Option) (*collectives.Plan, error) {
			return collectives.PrepareReduceScatter(c, dst, src, collectives.Sum, with(o)...)
		}
	})
	add("allgather", vector[T](rank, n), total, off, concat[T](counts), func(f *fixture[T]) {
		dst, src := f.dst, f.src
		f.call = func(o ...collectives.Option) error { return collectives.Allgather(ctx, c, dst, src, with(o)...) }
		f.start = func(o ...collectives.Option) *collectives.Request {
			return collectives.StartAllgather(c, dst, src, with(o)...)
		}
		f.prepare = func(o ...collectives.Option) (*collectives.Plan, error) {
			return collectives.PrepareAllgather(c, dst, src, with(o)...)
		}
	})
	add("gather", vector[T](rank, n), total, off, at(rank == root, concat[T](counts)), func(f *fixture[T]) {
		dst, src := f.dst, f.src
		f.call = func(o ...collectives.Option) error { return collectives.Gather(ctx, c, dst, src, root, with(o)...) }
		f.start = func(o ...collectives.Option) *collectives.Request {
			return collectives.StartGather(c, dst, src, root, with(o)...)
		}
		f.prepare = func(o ...collectives.Option) (*collectives.Plan, error) {
			return collectives.PrepareGather(c, dst, src, root, with(o)...)
		}
	})
	add("scatter", concat[T](counts), n, off, vector[T](rank, n), func(f *fixture[T]) {
		dst, src := f.dst, f.src
		f.call = func(o ...collectives.Option) error { return collectives.Scatter(ctx, c, dst, src, root, with(o)...) }
		f.start = func(o ...collectives.Option) *collectives.Request {
			return collectives.StartScatter(c, dst, src, root, with(o)...)
		}
		f.prepare = func(o ...collectives.Option) (*collectives.Plan, error) {
			return collectives.PrepareScatter(c, dst, src, root, with(o)...)
		}
	})
	bcast := make([]T, total)
	if rank == root {
		bcast = vector[T](root, total)
	}
	add("bcast", bcast, total, 0, vector[T](root, total), func(f *fixture[T]) {
		f.dst = f.src
		buf := f.dst
		f.call = func(o ...collectives.Option) error { return collectives.Bcast(ctx, c, buf, root, o...) }
		f.start = func(o ...collectives.Option) *collectives.Request { return collectives.StartBcast(c, buf, root, o...) }
		f.prepare = func(o ...collectives.Option) (*collectives.Plan, error) {
			return collectives.PrepareBcast(c, buf, root, o...)
		}
	})
	// Rank r has a block of counts[q] for q: in place that is possible if all are
	// equal.
	if even := slices.Max(counts) == slices.Min(counts); even || !inPlace {
		var out, in []T
		recv := make([]int, size)
		for q := range size {
			recv[q] = n
			out = append(out, vector[T](100*rank+q, counts[q])...)
			in = append(in, vector[T](100*q+rank, n)...)
		}
		var counted []collectives.Option
		if !even {
			counted = []collectives.Option{blocks, collectives.RecvCounts(recv)}
		}
		add("alltoall", out, len(in), 0, in, func(f *fixture[T]) {
			dst, src := f.dst, f.src
			o := func(o []collectives.Option) []collectives.Option { return append(slices.Clone(counted), o...) }
			f.call = func(p ...collectives.Option) error { return collectives.Alltoall(ctx, c, dst, src, o(p)...) }
			f.start = func(p ...collectives.Option) *collectives.Request {
				return collectives.StartAlltoall(c, dst, src, o(p)...)
			}
			f.prepare = func(p ...collectives.Option) (*collectives.Plan, error) {
				return collectives.PrepareAlltoall(c, dst, src, o(p)...)
			}
		})
	}
	return list
}

// conformance runs all verbs, in all forms and by all algorithms, over blocks
// of several lengths.
func conformance[T runtime.Elem](ctx context.Context, c *runtime.Comm) error {
	size := c.Size()
	lengths := []int{0, 1, 5, 300}
	if size > 6 {
		lengths = []int{0, 3}
	}
	switch size {
	case 2:
		lengths = append(lengths, 40_000) // longer than what goes in pieces
	case 3:
		lengths = append(lengths, 9_000)
	}
	if size%2 != 0 {
		// Pipelines of many short parts.
		m := collectives.DefaultModel()
		m.Segment = 128
		if size == 3 {
			m.Segment = 32 << 10
		}
		if err := collectives.Install(c, m); err != nil {
			return err
		}
	}
	for k, n := range lengths {
		for _, inPlace := range []bool{false, true} {
			counts := make([]int, size)
			for r := range counts {
				if counts[r] = n; inPlace == (k%2 == 0) && n < 1000 {
					counts[r] = n * (r % 3) / 2 // different, some of them none
				}
			}
			for _, f := range fixtures[T](ctx, c, counts, (k*3+1)%size, inPlace) {
				for _, opts := range [][]collectives.Option{nil, {collectives.InOrder}} {
					if opts != nil && (n > 5 || f.verb == "gather" || f.verb == "scatter") {
						continue
					}
					if err := f.forms(ctx, opts); err != nil {
						return errors.WithMessagef(err, "counts %v in place %v", counts[:min(size, 5)], inPlace)
					}
				}
			}
		}
	}
	return nil
}

func TestConformance(t *testing.T) {
	for _, net := range runtimetest.Networks() {
		for _, size := range sizes {
			if race.Enabled && net.Name != "mem" && size != 2 && size != 5 {
				continue // minutes
			}
			t.Run(fmt.Sprintf("net=%s/ranks=%d", net.Name, size), func(t *testing.T) {
				net.Run(t, size, conformance[int32])
				if size == 4 && (net.Name == "mem" || net.Name == "shm") {
					net.Run(t, size, conformance[complex128])
					net.Run(t, size, conformance[int8])
					net.Run(t, size, conformance[float64])
				}
			})
		}
	}
}

// TestHosts: the algorithms that know of hosts, on ranks of several hosts.
func TestHosts(t *testing.T) {
	for _, hosts := range []string{"aabb", "abab", "aaabc", "aabbcc", "abcabc", "aabcde", "aaabbbccc", "aaaabbaab"} {
		t.Run(hosts, func(t *testing.T) {
			cluster := runtimetest.NewCluster(len(hosts))
			cluster.Edit = func(cfg *runtime.Config) { cfg.Host = hosts[cfg.Rank : cfg.Rank+1] }
			if err := runtimetest.Primary(cluster.Run(t.Context(), conformance[int64])); err != nil {
				t.Fatal(err)
			}
		})
	}
}
