package collectives

import (
	"context"
	stderrors "errors"
	"fmt"
	"slices"

	"github.com/sspurn/sspurn/collectives/schedule"
	"github.com/sspurn/sspurn/runtime"
)

// operation is what a pending request does.
type operation struct {
	kind opKind
	step schedule.Step
	slot []byte // of heads
}

type opKind uint8

const (
	listening opKind = iota // for control messages
	sending
	head // receiving a head
	data // receiving data behind a head
)

// memory is the three buffers of a call.
type memory[T runtime.Elem] [3][]T

func (m *memory[T]) at(r schedule.Range) []T {
	if r.Len == 0 {
		return nil
	}
	return m[r.Buf][r.Off : r.Off+r.Len]
}

// execute runs this rank's part of a call. After an error no request is left.
func execute[T runtime.Elem](ctx context.Context, s *state, f *fingerprint, p *schedule.Schedule, dst, src []T, k Kernel[T]) error {
	words := (p.Scratch*sizeOf[T]() + 7) / 8
	if len(s.scratch) < words {
		s.scratch = make([]uint64, words)
	}
	m := memory[T]{src, dst, viewAs[T](s.scratch, p.Scratch)}
	if len(s.scratch) > keepWords {
		defer func() { s.scratch = nil }()
	}
	for i := range p.Rounds {
		round := &p.Rounds[i]
		if len(round.Net) > 0 {
			if err := exchange(ctx, s, f, round.Net, &m); err != nil {
				s.cancel(err)
				return err
			}
		}
		for _, step := range round.Local {
			if step.Kind == schedule.Reduce {
				if step.Dst.Len > 0 {
					k.combine(m.at(step.Dst), m.at(step.Src))
				}
			} else {
				copy(m.at(step.Dst), m.at(step.Src))
			}
		}
	}
	return nil
}

// exchange starts the sends and receives of a round and waits for them.
func exchange[T runtime.Elem](ctx context.Context, s *state, f *fingerprint, steps []schedule.Step, m *memory[T]) error {
	s.reqs = append(s.reqs[:0], s.control)
	s.ops = append(s.ops[:0], operation{kind: listening})
	used := 0
	for _, step := range steps {
		if used == len(s.slots) {
			s.slots = append(s.slots, make([]byte, printSize+inline))
		}
		slot := s.slots[used]
		used++
		if step.Kind == schedule.Recv {
			s.start(runtime.Irecv(s.c, step.Peer, tagHead, slot), operation{head, step, slot})
			continue
		}
		f.encode(slot)
		b := bytesOf(m.at(step.Src))
		if len(b) <= inline {
			n := printSize + copy(slot[printSize:], b)
			s.start(runtime.Isend(s.c, step.Peer, tagHead, slot[:n]), operation{sending, step, slot})
			continue
		}
		s.start(runtime.Isend(s.c, step.Peer, tagHead, slot[:printSize]), operation{sending, step, slot})
		s.start(runtime.Isend(s.c, step.Peer, tagData, b), operation{sending, step, nil})
	}
	for len(s.reqs) > 1 {
		i, st, err := s.next(ctx)
		if err != nil {
			return err
		}
		op := s.ops[i]
		s.reqs, s.ops = slices.Delete(s.reqs, i, i+1), slices.Delete(s.ops, i, i+1)
		if op.kind != head {
			continue
		}
		if st.Count < printSize {
			return s.fail(ErrMismatch, f.seq, fmt.Sprintf("rank %d sent a head of %d bytes", op.step.Peer, st.Count))
		}
		var theirs fingerprint
		theirs.decode(op.slot)
		if theirs != *f {
			return s.disagree(op.step.Peer, theirs)
		}
		into := bytesOf(m.at(op.step.Dst))
		if len(into) > inline {
			s.start(runtime.Irecv(s.c, op.step.Peer, tagData, into), operation{data, op.step, nil})
			continue
		}
		if st.Count-printSize != len(into) {
			return s.fail(ErrMismatch, f.seq, fmt.Sprintf("rank %d sent %d bytes, rank %d expects %d in %v", op.step.Peer, st.Count-printSize, s.c.Rank(), len(into), f))
		}
		copy(into, op.slot[printSize:])
	}
	return nil
}

func (s *state) start(r *runtime.Request, op operation) {
	s.reqs, s.ops = append(s.reqs, r), append(s.ops, op)
}

// next waits for one of the requests of a round, control messages apart, and
// returns its index and status.
func (s *state) next(ctx context.Context) (int, runtime.Status, error) {
	s.arm()
	defer s.disarm()
	for {
		i, st, err := runtime.WaitAny(ctx, s.reqs...)
		switch {
		case i > 0 && stderrors.Is(err, runtime.ErrLeft):
			return i, st, s.deserted(ctx, err)
		case i < 0 || i > 0 && err != nil:
			return i, st, s.broken(ctx, err)
		case i > 0:
			return i, st, nil
		}
		if err := s.hear(st, err); err != nil {
			return i, st, err
		}
		s.reqs[0] = s.control
	}
}

// cancel takes back the requests of a round that failed, so that their buffers
// are free.
func (s *state) cancel(cause error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	for _, r := range s.reqs[1:] {
		_, _ = r.Wait(ctx)
	}
	s.reqs, s.ops = s.reqs[:0], s.ops[:0]
}
