package collectives

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/sspurn/sspurn/collectives/schedule"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/telemetry"
)

// inline is the most that leaves before the receiver has asked for it, with the
// fingerprint if that has yet to be sent. What is longer the receiver pulls, as
// soon as there is room for it.
const inline = 64<<10 - headSize

// The tags of a lane; those of lane l have 4·l added.
const (
	tagHead runtime.Tag = iota // the first message of a call to a rank: the fingerprint, with the beginning of the data; every one of a counted call
	tagData                    // the rest of the data, and all later messages of the call
	tagPoke                    // from this rank to itself: look at the state
	tagControl
)

// lane runs calls one after the other. The calls of a communicator that run at
// the same time have lanes of their own, the same on all ranks.
type lane struct {
	s    *state
	id   int
	loop func()        // work
	c    *runtime.Comm // names the call that runs

	poke    runtime.Request // posted while a call runs
	pokeBuf [1]byte
	listens bool        // poke is posted
	poked   atomic.Bool // a poke is under way

	// What a poke is about.
	announce atomic.Bool           // the ranks that are waited for shall be told so
	gaveUp   atomic.Pointer[error] // the caller has; why

	// For the state's timer.
	waiting  atomic.Bool
	progress atomic.Uint64
	seen     uint64 // progress at the last tick; the timer's own

	now atomic.Uint64 // number of the running call

	// Owned by the running call.
	run     uint64 // calls so far
	f       *fingerprint
	elem    int
	counted bool // see task
	mem     [3][]byte
	met     []contact // by rank
	flights []*flight // under way, oldest first
	spare   []*flight
	reqs    []*runtime.Request // scratch of wait
	scratch []uint64

	combining bool     // the operation is at work; it may be the program's
	turn      *Request // the started call, or the one before
}

// contact is in which run of a lane the last message of a call went to and came
// from a rank.
type contact struct{ sent, received uint64 }

// keepWords is the scratch memory kept between calls: that of vectors of this
// many bytes is reused, longer ones do not notice the allocation.
const keepWords = 8 << 20

// at is the memory of a range.
func (l *lane) at(r schedule.Range) []byte {
	if r.Len == 0 {
		return nil
	}
	return l.mem[r.Buf][r.Off*l.elem : (r.Off+r.Len)*l.elem]
}

// task is a call that is ready to run.
type task struct {
	f        fingerprint
	p        *schedule.Schedule
	elem     int  // bytes of an element of the schedule
	counted  bool // each rank has counts of its own, so that every message has a head: the ends of one that differ by length would miss each other
	dst, src []byte
	k        combiner
	bad      string // what is wrong with the arguments
	kind     error  // of bad: ErrArgument or ErrMismatch
}

// perform is execute with a span in the trace.
func (l *lane) perform(ctx context.Context, t *task) error {
	rec := l.s.c.Recorder()
	if !rec.Tracing() {
		return l.execute(ctx, t)
	}
	start := time.Now()
	err := l.execute(ctx, t)
	rec.Trace(telemetry.Span{
		Kind: telemetry.Collective, Lane: telemetry.LaneRank, On: telemetry.NoRank, Name: t.f.verb.String() + " " + t.p.Name,
		Start: rec.At(start), End: rec.At(time.Now()), Bytes: int64(t.p.Sends() * t.elem),
	})
	return err
}

// execute runs this rank's part of a call. After it no message is under way.
func (l *lane) execute(ctx context.Context, t *task) error {
	l.run++
	l.f, l.elem, l.counted = &t.f, t.elem, t.counted
	l.now.Store(t.f.seq)
	words := (t.p.Scratch*t.elem + 7) / 8
	if len(l.scratch) < words {
		l.scratch = make([]uint64, words)
	}
	l.mem = [3][]byte{t.src, t.dst, bytesOf(l.scratch)}
	if l.s.c.Size() > 1 {
		if l.met == nil {
			l.met = make([]contact, l.s.c.Size())
		}
		if !l.listens {
			l.listen()
		}
	}
	err := l.rounds(ctx, t)
	l.finish(err)
	return err
}

// finish lets go of what a call has used.
func (l *lane) finish(err error) {
	if err != nil {
		l.cancel(err)
	}
	l.f, l.mem = nil, [3][]byte{}
	if len(l.scratch) > keepWords {
		l.scratch = nil
	}
}

func (l *lane) rounds(ctx context.Context, t *task) error {
	for i := range t.p.Rounds {
		round := &t.p.Rounds[i]
		// Receives first: what comes finds its place.
		for j := range round.Net {
			if step := &round.Net[j]; step.Kind == schedule.Recv {
				l.receive(step, i)
			}
		}
		for j := range round.Net {
			if step := &round.Net[j]; step.Kind == schedule.Send {
				l.send(step, i)
			}
		}
		if err := l.wait(ctx, i-round.Lag); err != nil {
			return err
		}
		for j := range round.Local {
			step := &round.Local[j]
			switch {
			case step.Dst.Len == 0:
			case step.Kind == schedule.Reduce:
				l.combining = true
				t.k.combine(l.at(step.Dst), l.at(step.Left), l.at(step.Src))
				l.combining = false
			default:
				copy(l.at(step.Dst), l.at(step.Src))
			}
		}
	}
	return nil
}

func (l *lane) tag(t runtime.Tag) runtime.Tag { return runtime.Tag(4*l.id) + t }

func (l *lane) receive(step *schedule.Step, round int) {
	into := l.at(step.Dst)
	c := l.c
	if met := &l.met[step.Peer]; met.received != l.run || l.counted {
		met.received = l.run
		f := l.flight(headComing, step, round)
		if len(into) <= inline {
			f.data, into = into, nil
		}
		// Room for the head of any other call, too, to be able to say which.
		runtime.StartRecv(&f.req, c, step.Peer, l.tag(tagHead), f.buffer(headSize+inline))
		if len(into) == 0 {
			return
		}
	}
	f := l.flight(dataComing, step, round)
	if f.data = into; len(into) > inline {
		runtime.StartPull(&f.req, c, step.Peer, l.tag(tagData), into)
		return
	}
	runtime.StartRecv(&f.req, c, step.Peer, l.tag(tagData), into)
}

func (l *lane) send(step *schedule.Step, round int) {
	from := l.at(step.Src)
	c := l.c
	if met := &l.met[step.Peer]; met.sent != l.run || l.counted {
		met.sent = l.run
		f := l.flight(sending, step, round)
		n := len(from)
		if n > inline {
			n = 0
		}
		b := f.buffer(headSize + n)
		l.f.encode(b)
		binary.LittleEndian.PutUint64(b[printSize:], uint64(len(from)))
		copy(b[headSize:], from[:n])
		runtime.StartSend(&f.req, c, step.Peer, l.tag(tagHead), b[:headSize+n])
		l.sent(f)
		if from = from[n:]; len(from) == 0 {
			return
		}
	}
	f := l.flight(sending, step, round)
	if len(from) > inline {
		runtime.StartOffer(&f.req, c, step.Peer, l.tag(tagData), from)
	} else {
		runtime.StartSend(&f.req, c, step.Peer, l.tag(tagData), from)
	}
	l.sent(f)
}

// cancel takes back the requests of a call that failed, so that their buffers
// are free.
func (l *lane) cancel(cause error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	for _, f := range l.flights {
		_, _ = f.req.Wait(ctx)
	}
	l.spare = append(l.spare, l.flights...)
	l.flights = l.flights[:0]
}

// listen posts the receive that pokes end.
func (l *lane) listen() {
	l.listens = true
	// From anywhere, so that nobody is told that this rank waits for itself.
	runtime.StartRecv(&l.poke, l.c, runtime.AnySource, l.tag(tagPoke), l.pokeBuf[:])
}

// wake has the lane look at the state, soon. Any goroutine may call it.
func (l *lane) wake() {
	if !l.poked.Swap(true) {
		_ = runtime.Isend(l.s.c, l.s.c.Rank(), l.tag(tagPoke), []byte{1})
	}
}

// look is told by a poke.
func (l *lane) look(ctx context.Context) error {
	if _, _, err := l.poke.Test(); err != nil {
		return l.s.broken(l, err)
	}
	l.poked.Store(false)
	l.listen()
	if err := l.s.ended(l.f.seq); err != nil {
		return err
	}
	if cause := l.gaveUp.Load(); cause != nil {
		return l.s.abandon(l, *cause)
	}
	if l.announce.Swap(false) {
		msg := make([]byte, 1+printSize)
		msg[0] = ctlWaiting
		l.f.encode(msg[1:])
		told := -1
		for _, f := range l.flights {
			if f.step.Peer != told {
				told = f.step.Peer
				l.s.tell(told, msg)
			}
		}
	}
	return nil
}
