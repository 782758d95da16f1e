package runtime

import (
	"context"
	"encoding/binary"
	stderrors "errors"
	"fmt"

	"github.com/pkg/errors"
)

// Calls of the runtime's own that all ranks of a communicator make together: to
// make communicators and windows, and fences.
//
// A rank numbers them. In each of them it sends what it has to send exactly to
// whom the call says, with the number, and when it gives the call up it sends word
// of that, for all that is to come of it. So messages of an earlier number are
// those of a call that the receiver has given up, or word that came too late, and
// are passed over: calls never meet the messages of others, and who waits in one
// hears who has left it.

// ErrMismatch matches the errors of calls of all ranks of a communicator that
// differ between ranks.
var ErrMismatch = stderrors.New("ranks disagree")

// ErrAbandoned matches the errors of calls of all ranks of a communicator that
// another rank has given up.
var ErrAbandoned = stderrors.New("a rank gave up")

// accordVerb is what ranks make together.
type accordVerb int64

const (
	verbDup accordVerb = iota + 1
	verbSplit
	verbSplitHost
	verbWindow
)

func (v accordVerb) String() string {
	names := [...]string{verbDup: "dup", verbSplit: "split", verbSplitHost: "split by host", verbWindow: "new window"}
	if v > 0 && int(v) < len(names) {
		return names[v]
	}
	return "an unknown call"
}

const (
	accordHead = 2 // words that messages begin with: call and try, and one more than the rank that has given the call up, or 0
	tryBits    = 8 // of the first
)

// accord is one such call at this rank.
type accord struct {
	c      *Comm // for messages of the runtime's own
	number int64
	try    int64      // of a call that has several
	verb   accordVerb // of exchanges
	quit   int64      // as in a message
	left   bool       // it has been given up
}

// newAccord begins a call. All are named for who asks what ranks wait for.
func newAccord(c *Comm, number int64, name func() string) *accord {
	own := &Comm{e: c.e, group: c.group, space: ownSpace, op: name}
	return &accord{c: own, number: number}
}

// meet begins a call that makes something of a communicator.
func (c *Comm) meet(verb accordVerb) *accord {
	c.e.mu.Lock()
	c.group.accords++
	number := c.group.accords
	c.e.mu.Unlock()
	a := newAccord(c, number, func() string { return fmt.Sprintf("call %d, %v", number, verb) })
	a.verb = verb
	a.sweep()
	return a
}

// sweep throws away what is left of earlier calls.
func (a *accord) sweep() {
	e := a.c.e
	e.mu.Lock()
	defer e.mu.Unlock()
	q := e.queuesOf(a.c.context())
	if q == nil {
		return
	}
	a.neighbours(func(peer int, _ bool) {
		for tag := range uint32(2 * accordStages) {
			for en := q.Probe(a.c.group.ranks[peer], tag); en != nil; en = q.Probe(a.c.group.ranks[peer], tag) {
				m := en.Value
				if m.large || !m.whole || len(m.buf) < 8*accordHead || int64(binary.NativeEndian.Uint64(m.buf))>>tryBits >= a.number {
					break
				}
				q.Drop(en)
				e.drop(m)
			}
		}
	})
	e.flush()
}

// neighbours calls f with the ranks next to this one in the tree of exchanges, and
// whether they are below it.
func (a *accord) neighbours(f func(peer int, below bool)) {
	rank, size := a.c.Rank(), a.c.Size()
	mask := 1
	for ; mask < size && rank&mask == 0; mask <<= 1 {
		if child := rank | mask; child < size {
			f(child, true)
		}
	}
	if rank > 0 {
		f(rank&^mask, false)
	}
}

// head is the first word of messages.
func (a *accord) head() int64 { return a.number<<tryBits | a.try }

const (
	accordWords  = 6 // that a rank contributes in each exchange, its verb included
	accordStages = 3 // exchanges in a call at most
)

// exchange gives all ranks the words of each, by rank: up a binomial tree to rank 0
// and down again. mine are accordWords−1 at most. Exchanges of all calls are of the
// same lengths, so that those that differ find out.
func (a *accord) exchange(ctx context.Context, stage int, mine ...int64) ([]int64, error) {
	rank, size := a.c.Rank(), a.c.Size()
	up, down := Tag(2*stage), Tag(2*stage+1)
	all := make([]int64, accordHead+accordWords*size)
	own := all[accordHead+accordWords*rank:][:accordWords]
	own[0] = int64(a.verb)
	copy(own[1:], mine)
	// A rank of the tree has below it the ranks up to the next multiple of its
	// lowest set bit.
	mask := 1
	for ; mask < size && rank&mask == 0; mask <<= 1 {
		if child := rank | mask; child < size {
			at := accordHead + accordWords*child
			// The head goes where the words before these are, for a while.
			part := all[at-accordHead : at+accordWords*(min(child+mask, size)-child)]
			before := [accordHead]int64(part)
			err := a.recv(ctx, child, up, part)
			copy(part, before[:])
			if err != nil {
				return nil, a.leave(err)
			}
		}
	}
	if rank > 0 {
		parent := rank &^ mask
		at := accordHead + accordWords*rank
		part := all[at-accordHead : at+accordWords*(min(rank+mask, size)-rank)]
		part[0], part[1] = a.head(), 0
		if err := Send(ctx, a.c, parent, up, part); err != nil {
			return nil, a.leave(err)
		}
		if err := a.recv(ctx, parent, down, all); err != nil {
			return nil, a.leave(err)
		}
	}
	all[0], all[1] = a.head(), 0
	for mask >>= 1; mask > 0; mask >>= 1 {
		if child := rank | mask; child < size {
			if err := Send(ctx, a.c, child, down, all); err != nil {
				return nil, a.leave(err)
			}
		}
	}
	all = all[accordHead:]
	for r := range size {
		if other := accordVerb(all[accordWords*r]); other != accordVerb(all[0]) {
			return nil, errors.WithMessagef(ErrMismatch, "on %s, rank 0 is in call %d, %v, rank %d in call %d, %v",
				a.c.Name(), a.number, accordVerb(all[0]), r, a.number, other)
		}
	}
	return all, nil
}

// recv receives a message of this call.
func (a *accord) recv(ctx context.Context, from int, tag Tag, buf []int64) error {
	for {
		st, err := Recv(ctx, a.c, from, tag, buf)
		if err != nil {
			return err
		}
		if past, err := a.read(st.Count, buf); !past {
			return err
		}
	}
}

// read looks at what has been received. past says that it is nothing of this call.
func (a *accord) read(count int, buf []int64) (past bool, err error) {
	switch call := buf[0] >> tryBits; {
	case count < accordHead || call > a.number:
		return false, errAtOnce
	case call < a.number:
		return true, nil
	case buf[1] != 0:
		a.quit = buf[1]
		return false, errors.WithMessagef(ErrAbandoned, "on %s, rank %d left %s", a.c.Name(), a.quit-1, a.c.op())
	case count < len(buf) || buf[0] != a.head():
		return false, errAtOnce
	}
	return false, nil
}

// leave gives the call up because of err, which it returns: all that wait for this
// rank in it, or will, hear so.
func (a *accord) leave(err error) error {
	if a.left {
		return err
	}
	a.left = true
	a.neighbours(func(peer int, below bool) {
		for stage := range Tag(accordStages) {
			if below {
				a.tell(peer, 2*stage+1)
			} else {
				a.tell(peer, 2*stage)
			}
		}
	})
	return err
}

// tell sends word that the call has been given up, by this rank unless it was
// another. Nobody waits until that has left.
func (a *accord) tell(rank int, tag Tag) {
	if a.quit == 0 {
		a.quit = int64(a.c.Rank()) + 1
	}
	_ = Isend(a.c, rank, tag, []int64{a.head(), a.quit})
}

// barrier waits until all ranks have come to it, by dissemination: in round k each
// rank hears from the one 2^k before it.
func (a *accord) barrier(ctx context.Context, tag Tag) error {
	rank, size := a.c.Rank(), a.c.Size()
	out, in := [accordHead]int64{a.head()}, [accordHead]int64{}
	for d := 1; d < size; d, tag = 2*d, tag+1 {
		next, last := (rank+d)%size, (rank+size-d)%size
		st, err := SendRecv(ctx, a.c, next, out[:], last, in[:], tag)
		if err == nil {
			var past bool
			if past, err = a.read(st.Count, in[:]); past {
				err = a.recv(ctx, last, tag, in[:])
			}
		}
		if err != nil {
			a.leaveBarrier(d, tag)
			return err
		}
	}
	return nil
}

// leaveBarrier tells all that wait for this rank, from the round of distance d on.
func (a *accord) leaveBarrier(d int, tag Tag) {
	rank, size := a.c.Rank(), a.c.Size()
	for ; d < size; d, tag = 2*d, tag+1 {
		a.tell((rank+d)%size, tag)
	}
}
