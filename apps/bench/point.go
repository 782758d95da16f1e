package main

import (
	"context"
	"time"

	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
)

const (
	window  = 64 // messages of a stream under way
	control = runtime.Tag(1)
	ping    = runtime.Tag(2)
	ack     = runtime.Tag(3)

	firstBatch = 16
	lastBatch  = 4096
)

// point measures one operation at one size. Rank 0 keeps the time, the others
// follow it.
type point struct {
	c        *runtime.Comm
	ranks    int // that take part, from 0 up
	messages int // that a sample is divided by
	once     func(ctx context.Context) error
	peer     int // of ranks 0 and 1
	out, in  []byte
	vector   []float32
	requests []*runtime.Request
	note     [1]int64
}

func newPoint(c *runtime.Comm, op string, size int) *point {
	p := &point{c: c, ranks: 2, messages: 1, peer: 1 - c.Rank()}
	switch op {
	case "pingpong":
		p.messages, p.once = 2, p.pingpong
		p.out, p.in = make([]byte, size), make([]byte, size)
	case "stream":
		p.messages, p.once = window, p.stream
		p.out, p.in = make([]byte, size), make([]byte, size)
		p.requests = make([]*runtime.Request, window)
	case "barrier":
		p.ranks = c.Size()
		p.once = func(ctx context.Context) error { return collectives.Barrier(ctx, c) }
	case "allreduce":
		p.ranks = c.Size()
		p.vector = make([]float32, size/4)
		p.once = func(ctx context.Context) error {
			return collectives.Allreduce(ctx, c, p.vector, p.vector, collectives.Sum)
		}
	default:
		panic("bench: unknown operation " + op)
	}
	return p
}

// run warms up for a tenth of the time and then takes samples, of which rank 0
// gets the durations for one message.
func (p *point) run(ctx context.Context, limit time.Duration, iters int) ([]time.Duration, error) {
	if p.c.Rank() != 0 {
		return nil, p.follow(ctx)
	}
	if _, err := p.lead(ctx, limit/10, iters); err != nil {
		return nil, err
	}
	samples, err := p.lead(ctx, limit, iters)
	if err != nil {
		return nil, err
	}
	return samples, p.announce(ctx, 0)
}

// lead runs batches, announced to the other rank, until the time is over.
func (p *point) lead(ctx context.Context, limit time.Duration, iters int) ([]time.Duration, error) {
	samples := make([]time.Duration, 0, min(iters, 1<<18))
	batch := firstBatch
	for start := time.Now(); len(samples) == 0 || time.Since(start) < limit && len(samples) < iters; {
		n := min(batch, iters-len(samples))
		if err := p.announce(ctx, n); err != nil {
			return nil, err
		}
		begin := time.Now()
		for range n {
			t := time.Now()
			if err := p.once(ctx); err != nil {
				return nil, err
			}
			samples = append(samples, time.Since(t)/time.Duration(p.messages))
		}
		if time.Since(begin) < limit/20 {
			batch = min(2*batch, lastBatch)
		}
	}
	return samples, nil
}

// announce tells the other ranks how many samples come next, 0 for no more.
func (p *point) announce(ctx context.Context, n int) error {
	p.note[0] = int64(n)
	for rank := 1; rank < p.ranks; rank++ {
		if err := runtime.Send(ctx, p.c, rank, control, p.note[:]); err != nil {
			return err
		}
	}
	return nil
}

func (p *point) follow(ctx context.Context) error {
	for {
		if _, err := runtime.Recv(ctx, p.c, 0, control, p.note[:]); err != nil {
			return err
		}
		if p.note[0] == 0 {
			return nil
		}
		for range p.note[0] {
			if err := p.once(ctx); err != nil {
				return err
			}
		}
	}
}

// pingpong is a round trip.
func (p *point) pingpong(ctx context.Context) error {
	if p.c.Rank() == 0 {
		if err := runtime.Send(ctx, p.c, p.peer, ping, p.out); err != nil {
			return err
		}
		_, err := runtime.Recv(ctx, p.c, p.peer, ping, p.in)
		return err
	}
	if _, err := runtime.Recv(ctx, p.c, p.peer, ping, p.in); err != nil {
		return err
	}
	return runtime.Send(ctx, p.c, p.peer, ping, p.out)
}

// stream is a window of messages one way and an acknowledgement back.
func (p *point) stream(ctx context.Context) error {
	for i := range p.requests {
		if p.c.Rank() == 0 {
			p.requests[i] = runtime.Isend(p.c, p.peer, ping, p.out)
		} else {
			p.requests[i] = runtime.Irecv(p.c, p.peer, ping, p.in)
		}
	}
	if err := runtime.WaitAll(ctx, p.requests...); err != nil {
		return err
	}
	if p.c.Rank() == 0 {
		_, err := runtime.Recv(ctx, p.c, p.peer, ack, p.note[:])
		return err
	}
	return runtime.Send(ctx, p.c, p.peer, ack, p.note[:])
}
