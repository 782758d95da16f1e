package main

import (
	"context"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/runtime"
)

const (
	window = 64 // messages of a stream under way

	dataTag = runtime.Tag(1)
	ackTag  = runtime.Tag(2)
)

var messageSizes = []int{8, 64, 1 << 10, 8 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20}

// messages are what two ranks, or pairs of ranks, do.
var messages = []benchmark{
	{
		name: "pingpong", ranks: 2, sizes: messageSizes,
		text: "half a round trip between ranks 0 and 1",
		start: func(_ context.Context, e env) (*trial, error) {
			p := newPair(e, 2)
			return p.trial(p.pingpong, 2, 1), nil
		},
	},
	{
		name: "stream", ranks: 2, sizes: messageSizes,
		text: "a message of 64 from rank 0 that are under way at once, with one acknowledgement for all",
		start: func(_ context.Context, e env) (*trial, error) {
			p := newPair(e, 2)
			return p.trial(p.stream, window, 1), nil
		},
	},
	{
		name: "rate", ranks: 2, sizes: []int{8}, fixed: true,
		text: "stream with 8 bytes: what a message costs",
		start: func(_ context.Context, e env) (*trial, error) {
			p := newPair(e, 2)
			return p.trial(p.stream, window, 1), nil
		},
	},
	{
		name: "pairs-pingpong", ranks: 2, sizes: messageSizes,
		text: "pingpong of all pairs at once, rank i with rank i+n/2; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			p := newPair(e, e.Size())
			return p.trial(p.pingpong, 2, e.Size()/2), nil
		},
	},
	{
		name: "pairs-stream", ranks: 2, sizes: messageSizes,
		text: "stream of all pairs at once, rank i to rank i+n/2; MB/s of all; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			p := newPair(e, e.Size())
			return p.trial(p.stream, window, e.Size()/2), nil
		},
	},
	{
		name: "exchange", ranks: 2, sizes: messageSizes,
		text: "send to the next rank and receive from the one before, around the ring; slowest rank",
		start: func(_ context.Context, e env) (*trial, error) {
			next, last := (e.Rank()+1)%e.Size(), (e.Rank()-1+e.Size())%e.Size()
			out, in := filled(e.size, e.Rank()), make([]byte, e.size)
			return e.together(func(ctx context.Context) error {
				_, err := runtime.SendRecv(ctx, e.Comm, next, out, last, in, dataTag)
				return err
			}, func() error { return checkBytes(in, last) }), nil
		},
	},
}

// pair is a rank that talks to one other: the one with the lower number sends
// first.
type pair struct {
	env
	first    bool
	peer     int // -1: none
	among    int // how many ranks are in pairs
	out, in  []byte
	note     []byte
	requests []*runtime.Request
}

// newPair pairs the first half of so many ranks with the second.
func newPair(e env, among int) *pair {
	half := among / 2
	p := &pair{env: e, first: e.Rank() < half, peer: e.Rank() - half, among: among, note: make([]byte, 1)}
	if p.first {
		p.peer = e.Rank() + half
	}
	if p.peer >= 2*half || !p.first && e.Rank() >= 2*half {
		p.peer = -1
		return p
	}
	p.out, p.in = filled(e.size, e.Rank()), make([]byte, e.size)
	p.requests = make([]*runtime.Request, window)
	return p
}

// trial repeats what the pairs do; a sample is so many operations.
func (p *pair) trial(once func(ctx context.Context) error, per, pairs int) *trial {
	check := func() error {
		if p.peer < 0 || p.first && per == window { // a stream has one direction
			return nil
		}
		return checkBytes(p.in, p.peer)
	}
	if p.peer < 0 {
		once = nil
	}
	t := p.together(once, check)
	if p.among == 2 { // rank 0 alone keeps the time
		t.before, t.slowest = nil, false
	}
	t.per, t.flow = per, p.size*pairs
	return t
}

// pingpong is a round trip.
func (p *pair) pingpong(ctx context.Context) error {
	if p.first {
		if err := runtime.Send(ctx, p.Comm, p.peer, dataTag, p.out); err != nil {
			return err
		}
	}
	if _, err := runtime.Recv(ctx, p.Comm, p.peer, dataTag, p.in); err != nil {
		return err
	}
	if !p.first {
		return runtime.Send(ctx, p.Comm, p.peer, dataTag, p.out)
	}
	return nil
}

// stream is a window of messages one way and an acknowledgement back.
func (p *pair) stream(ctx context.Context) error {
	for i := range p.requests {
		if p.first {
			p.requests[i] = runtime.Isend(p.Comm, p.peer, dataTag, p.out)
		} else {
			p.requests[i] = runtime.Irecv(p.Comm, p.peer, dataTag, p.in)
		}
	}
	if err := runtime.WaitAll(ctx, p.requests...); err != nil {
		return err
	}
	if p.first {
		_, err := runtime.Recv(ctx, p.Comm, p.peer, ackTag, p.note)
		return err
	}
	return runtime.Send(ctx, p.Comm, p.peer, ackTag, p.note)
}

// filled returns the n bytes that a rank sends, none of them zero.
func filled(n, rank int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = pattern(rank, i)
	}
	return b
}

func pattern(rank, i int) byte { return byte((i+31*rank)%251) + 1 }

// checkBytes reports whether b is what the rank sends.
func checkBytes(b []byte, rank int) error {
	for i, got := range b {
		if want := pattern(rank, i); got != want {
			return errors.Errorf("wrong data from rank %d: byte %d of %d is %d, expected %d", rank, i, len(b), got, want)
		}
	}
	return nil
}
