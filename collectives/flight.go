package collectives

import (
	"context"
	"encoding/binary"
	stderrors "errors"
	"fmt"

	"github.com/sspurn/sspurn/collectives/schedule"
	"github.com/sspurn/sspurn/runtime"
)

// flight is a message under way.
type flight struct {
	req   runtime.Request
	step  *schedule.Step
	kind  flightKind
	round int
	data  []byte // where what comes belongs
	slot  []byte // of heads
}

type flightKind uint8

const (
	sending flightKind = iota
	headComing
	dataComing
)

// flight makes one.
func (l *lane) flight(kind flightKind, step *schedule.Step, round int) *flight {
	var f *flight
	if n := len(l.spare); n > 0 {
		f = l.spare[n-1]
		l.spare = l.spare[:n-1]
	} else {
		f = new(flight)
	}
	f.kind, f.step, f.round = kind, step, round
	l.flights = append(l.flights, f)
	return f
}

// buffer is that of a head, of n bytes.
func (f *flight) buffer(n int) []byte {
	if cap(f.slot) < n {
		f.slot = make([]byte, n)
	}
	f.slot = f.slot[:n]
	return f.slot
}

// sent forgets the flight made last if it has ended well, as small ones do at
// once.
func (l *lane) sent(f *flight) {
	if f.req.Ended() {
		if _, _, err := f.req.Test(); err == nil {
			l.flights = l.flights[:len(l.flights)-1]
			l.spare = append(l.spare, f)
		}
	}
}

// wait waits until nothing of the rounds up to limit is under way.
func (l *lane) wait(ctx context.Context, limit int) error {
	for len(l.flights) > 0 && l.flights[0].round <= limit {
		moved, err := l.collect()
		if err != nil {
			return err
		}
		if moved {
			continue
		}
		l.reqs = append(l.reqs[:0], &l.poke)
		peer := l.flights[0].step.Peer
		for _, f := range l.flights {
			l.reqs = append(l.reqs, &f.req)
			if f.step.Peer != peer {
				peer = runtime.AnySource
			}
		}
		l.waiting.Store(true)
		i, _, _ := runtime.WaitAnyFrom(ctx, l.s.c, peer, l.reqs...)
		l.waiting.Store(false)
		switch {
		case i < 0:
			return l.s.abandon(l, context.Cause(ctx))
		case i == 0:
			if err := l.look(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// collect ends the flights whose requests have ended, and reports whether there
// were any.
func (l *lane) collect() (bool, error) {
	kept := l.flights[:0]
	for i, f := range l.flights {
		if !f.req.Ended() {
			kept = append(kept, f)
			continue
		}
		if err := l.end(f); err != nil {
			l.flights = append(kept, l.flights[i:]...)
			return true, err
		}
		l.spare = append(l.spare, f)
	}
	moved := len(kept) < len(l.flights)
	l.flights = kept
	if moved {
		l.progress.Add(1)
	}
	return moved, nil
}

// end takes what a flight has brought.
func (l *lane) end(f *flight) error {
	st, _, err := f.req.Test()
	if err != nil {
		return l.failed(f, err)
	}
	switch f.kind {
	case headComing:
		return l.head(f, st)
	case dataComing:
		if st.Bytes != len(f.data) {
			return l.differ(f.step.Peer, fmt.Sprintf("rank %d sent %d bytes where", f.step.Peer, st.Bytes), len(f.data))
		}
	}
	return nil
}

// head takes a head with what is behind it.
func (l *lane) head(f *flight, st runtime.Status) error {
	peer := f.step.Peer
	if st.Bytes < headSize {
		return l.s.fail(l.f.seq, ErrMismatch, fmt.Sprintf("rank %d sent a head of %d bytes", peer, st.Bytes))
	}
	var theirs fingerprint
	theirs.decode(f.slot)
	if theirs != *l.f {
		return l.s.disagree(peer, theirs)
	}
	want := f.step.Dst.Len * l.elem
	if n := binary.LittleEndian.Uint64(f.slot[printSize:]); n != uint64(want) {
		return l.differ(peer, fmt.Sprintf("rank %d sends %d bytes where", peer, n), want)
	}
	copy(f.data, f.slot[headSize:st.Bytes])
	return nil
}

// differ is the end of a call in which two ranks have counts for one another
// that differ.
func (l *lane) differ(peer int, what string, want int) error {
	return l.s.fail(l.f.seq, ErrMismatch, fmt.Sprintf("on %s, %s rank %d expects %d, in %v", l.s.c.Name(), what, l.s.c.Rank(), want, l.f))
}

// failed is the end of a call one of whose requests has failed.
func (l *lane) failed(f *flight, err error) error {
	// A message that does not fit may be that of another call: its head, which
	// comes before it but for want of credits, knows.
	for _, g := range l.flights {
		if g != f && g.kind == headComing && g.step.Peer == f.step.Peer && g.req.Ended() {
			if st, _, bad := g.req.Test(); bad == nil {
				if bad := l.head(g, st); bad != nil {
					return bad
				}
			}
		}
	}
	if odd, ok := stderrors.AsType[*runtime.LengthError](err); ok {
		return l.differ(f.step.Peer, fmt.Sprintf("rank %d sends %d bytes where", f.step.Peer, odd.Bytes), len(f.data))
	}
	switch {
	case stderrors.Is(err, runtime.ErrTruncated):
		return l.differ(f.step.Peer, fmt.Sprintf("rank %d sent more bytes than", f.step.Peer), len(f.data))
	case stderrors.Is(err, runtime.ErrLeft):
		return l.s.deserted(l, err)
	}
	return l.s.broken(l, err)
}
