package collectives

import (
	"fmt"
	"reflect"

	"github.com/sspurn/sspurn/collectives/schedule"
	"github.com/sspurn/sspurn/runtime"
)

// noRoot in a fingerprint stands for calls without one.
const noRoot = -1

// args are the arguments of a call.
type args struct {
	verb     schedule.Verb
	root     int // or noRoot
	dst, src []byte
	kind     reflect.Kind
	size     int // of an element
	count    int // elements of the vector, or of a block
	total    int // elements of the vector, or of all blocks
	counts   []int
	transfer schedule.Transfer // of Alltoall
	uneven   bool
	k        combiner
	op       string
	unit     int // elements that belong together
	o        options
	bad      string
	topology *topology // of a neighbourhood exchange
}

// fill begins the arguments of a call, in place: to copy them takes longer than
// to look up a plan.
func fill[T runtime.Elem](a *args, v schedule.Verb, root int, dst, src []T, opts []Option) {
	a.verb, a.root, a.unit = v, root, 1
	a.dst, a.src, a.kind, a.size = bytesOf(dst), bytesOf(src), reflect.TypeFor[T]().Kind(), sizeOf[T]()
	if len(opts) > 0 {
		a.o = optionsOf(opts)
	}
}

// vectorArgs are those of a call over vectors of n elements.
func vectorArgs[T runtime.Elem](v schedule.Verb, root int, dst, src []T, n int, opts []Option) (a args) {
	fill(&a, v, root, dst, src, opts)
	a.count, a.total = n, n
	return a
}

// reduceArgs are vectorArgs with an operation. has says whether this rank has a
// dst.
func reduceArgs[T runtime.Elem](v schedule.Verb, root int, dst, src []T, op Op[T], has bool, opts []Option) (a args) {
	fill(&a, v, root, dst, src, opts)
	a.count, a.total = len(src), len(src)
	setOp(&a, op())
	if has && len(dst) != len(src) {
		a.bad = fmt.Sprintf("dst has %d elements and src %d", len(dst), len(src))
	}
	return a
}

func setOp[T runtime.Elem](a *args, k Kernel[T]) {
	a.k, a.op, a.unit = combinerOf(k), k.name, k.unit
}

// blockArgs are those of the verbs over blocks: whole is the slice of all
// blocks, where this rank has it, and part that of its own.
func blockArgs[T runtime.Elem](c *runtime.Comm, v schedule.Verb, dst, src, whole, part []T, has bool, root int, opts []Option) (a args) {
	fill(&a, v, root, dst, src, opts)
	a.count, a.total, a.counts = len(part), c.Size()*len(part), a.o.counts
	if a.counts != nil {
		a.total = a.check("counts", a.counts, c.Size(), "ranks")
		a.count = a.total
		if a.bad == "" && len(part) != a.counts[c.Rank()] {
			a.bad = fmt.Sprintf("a block of %d elements where the counts say %d", len(part), a.counts[c.Rank()])
		}
	}
	if a.bad == "" && has && len(whole) != a.total {
		a.bad = fmt.Sprintf("%d elements where the blocks have %d in total", len(whole), a.total)
	}
	return a
}

// check returns the sum of counts, of which there must be n.
func (a *args) check(what string, counts []int, n int, of string) int {
	total := 0
	for r, k := range counts {
		if k < 0 {
			a.bad = fmt.Sprintf("%s: number %d is %d", what, r, k)
		}
		total += k
	}
	if len(counts) != n {
		a.bad = fmt.Sprintf("%d %s for %d %s", len(counts), what, n, of)
	}
	return total
}

// toItself says what is wrong with a block that a rank has for itself: nobody
// else compares its lengths.
func (a *args) toItself(block, sends, expects int) string {
	if sends == expects {
		return ""
	}
	return fmt.Sprintf("it sends itself %d bytes where it expects %d in block %d", sends*a.size, expects*a.size, block)
}

// alltoallArgs are those of Alltoall.
func alltoallArgs[T runtime.Elem](c *runtime.Comm, dst, src []T, opts []Option) (a args) {
	fill(&a, schedule.Alltoall, noRoot, dst, src, opts)
	n := c.Size()
	out, in := a.o.counts, a.o.recv
	a.uneven = out != nil || in != nil
	switch {
	case out != nil && in == nil:
		in = out
	case !a.uneven:
		a.count = len(src) / n
		out = make([]int, n)
		for r := range out {
			out[r] = a.count
		}
		in = out
		if len(src)%n != 0 {
			a.bad = fmt.Sprintf("%d elements for %d ranks", len(src), n)
		}
	case out == nil:
		a.bad = "counts of what is received, but not of what is sent"
		return a
	}
	sent, received := a.check("counts", out, n, "ranks"), a.check("receive counts", in, n, "ranks")
	a.total = sent
	a.transfer = schedule.Transfer{Send: out, Recv: in, InPlace: same(a.dst, a.src)}
	if a.bad == "" && (len(src) != sent || len(dst) != received) {
		a.bad = fmt.Sprintf("src has %d elements and dst %d where the blocks have %d and %d", len(src), len(dst), sent, received)
	}
	return a
}

// planKey is what a schedule depends on, but for counts.
type planKey struct {
	verb      schedule.Verb
	root      int
	total     int
	elem      int
	inOrder   bool
	inPlace   bool // of Alltoall
	apart     bool
	keeps     bool
	algorithm string
}

// plan is a rank's part of calls of one kind.
type plan struct {
	key       planKey
	algorithm uint8
	part      schedule.Schedule
}

// maxPlans is how many are remembered.
const maxPlans = 128

// prepare makes a task of arguments. mu is not held.
func (s *state) prepare(t *task, a *args) {
	if a.bad == "" && rooted(a.verb) && (a.root < 0 || a.root >= s.c.Size()) {
		a.bad = fmt.Sprintf("root %d of %d ranks", a.root, s.c.Size())
	}
	if a.bad == "" && a.unit > 1 && (a.total%a.unit != 0 || a.count%a.unit != 0) {
		a.bad = fmt.Sprintf("%d elements for an operation on %d at a time", a.total, a.unit)
	}
	t.f = fingerprint{verb: a.verb, elem: a.kind, inOrder: a.o.inOrder, root: int32(a.root), count: int64(a.count)}
	copy(t.f.op[:], a.op)
	if a.counts != nil {
		t.f.counts = hashCounts(a.counts)
	}
	if a.uneven {
		t.f.counts = ownCounts
	}
	t.elem, t.counted, t.dst, t.src, t.k, t.bad = a.size*a.unit, a.uneven, a.dst, a.src, a.k, a.bad
	if t.kind = ErrArgument; t.bad != "" {
		return
	}
	if a.topology != nil {
		if t.p, t.bad = a.topology.part(a, s.c.Rank()); t.bad != "" {
			t.kind = ErrMismatch
		}
		return
	}
	p, err := s.plan(a)
	if err != nil {
		t.bad = err.Error()
		return
	}
	if r := s.c.Rank(); a.verb == schedule.Alltoall {
		if t.bad = a.toItself(r, a.transfer.Send[r], a.transfer.Recv[r]); t.bad != "" {
			t.kind = ErrMismatch
			return
		}
	}
	t.p, t.f.algorithm = &p.part, p.algorithm
}

// plan returns this rank's part of a call, a remembered one if there is.
func (s *state) plan(a *args) (*plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := planKey{a.verb, a.root, a.total / a.unit, a.size * a.unit, a.o.inOrder, a.transfer.InPlace, !overlap(a.dst, a.src), keeps(a.k), a.o.algorithm}
	known := a.counts == nil && !a.uneven
	if known {
		if p := s.recent; p != nil && p.key == key {
			return p, nil
		}
		if p := s.plans[key]; p != nil {
			s.recent = p
			return p, nil
		}
	}
	call := schedule.Call{
		Verb: a.verb, Size: s.c.Size(), Root: max(a.root, 0), Count: key.total, Elem: key.elem, InOrder: a.o.inOrder, Hosts: s.hosts,
		Cores: s.cores, Homes: s.homes, Apart: key.apart, Keeps: key.keeps, Uneven: a.uneven, Transfer: a.transfer,
	}
	if a.uneven {
		call.Count = 0 // differs between ranks, which choose alike
	}
	switch a.verb {
	case schedule.Gather, schedule.Allgather, schedule.Scatter, schedule.ReduceScatter:
		call.Counts = make([]int, s.c.Size())
		for r := range call.Counts {
			call.Counts[r] = a.count / a.unit
			if a.counts != nil {
				if call.Counts[r] = a.counts[r] / a.unit; a.counts[r]%a.unit != 0 {
					return nil, fmt.Errorf("a block of %d elements for an operation on %d at a time", a.counts[r], a.unit)
				}
			}
		}
	}
	i := 0
	if a.o.algorithm != "" {
		var err error
		if i, err = schedule.Find(&call, a.o.algorithm); err != nil {
			return nil, err
		}
	} else {
		i = s.model.Choose(&call)
	}
	p := &plan{key, uint8(i), s.model.Build(&call, i, s.c.Rank())}
	if known {
		if s.plans == nil || len(s.plans) >= maxPlans {
			s.plans = map[planKey]*plan{}
		}
		s.plans[key], s.recent = p, p
	}
	return p, nil
}
