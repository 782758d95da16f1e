package runtime_test

import (
	"context"
	stderrors "errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/runtime/runtimetest"
	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// TestSimulation runs random programs over a network of random delays, from
// seeds. Every message must come once, in order; with a rank killed at a random
// moment every other rank must say so, and nobody may hang: a bubble whose
// goroutines all wait fails the job.
func TestSimulation(t *testing.T) {
	for seed := range seeds.Count(t, 40) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

// shake has each frame of a cluster take a time of its own, a third of them
// none, the slowest most.
func shake(cl *runtimetest.Cluster, seed uint64, most time.Duration) {
	rnd := rand.New(rand.NewPCG(seed, 4))
	var mu sync.Mutex // guards rnd
	cl.Delay(func(int, int) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return max(0, time.Duration(rnd.Int64N(3*int64(most)/2))-most/2)
	})
}

func simulate(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	n := 2 + rnd.IntN(4)
	cl := runtimetest.NewCluster(n)
	shake(cl, seed, 5*time.Millisecond)
	victim := -1
	if seed%2 == 1 {
		victim = rnd.IntN(n)
		after := time.Duration(rnd.Int64N(int64(100 * time.Millisecond)))
		timer := time.AfterFunc(after, func() { cl.Kill(victim) })
		defer timer.Stop()
	}
	start := time.Now()
	errs := cl.Run(t.Context(), func(ctx context.Context, c *runtime.Comm) error {
		return program(ctx, c, seed)
	})
	if victim < 0 {
		if err := stderrors.Join(errs...); err != nil {
			t.Fatalf("%d ranks: %v", n, err)
		}
		return
	}
	killed := false
	for rank, err := range errs {
		if rank == victim || err == nil {
			continue
		}
		killed = true
		if lost, ok := stderrors.AsType[*runtime.RankError](err); !ok || lost.Rank != victim {
			t.Errorf("%d ranks, rank %d: %v, want the loss of rank %d", n, rank, err, victim)
		}
	}
	if took := time.Since(start); killed && took > time.Second {
		t.Errorf("the job with a lost rank took %v", took)
	}
}

// program is the same on every rank: each sends every other numbered messages
// on two communicators, by messages and by a port, and calls it now and then.
func program(ctx context.Context, c *runtime.Comm, seed uint64) error {
	const each = 15
	n, rank := c.Size(), c.Rank()
	rnd := rand.New(rand.NewPCG(seed, uint64(2+rank)))
	dup, err := c.Dup(ctx)
	if err != nil {
		return err
	}
	var wrong error
	next := make([]int, n)
	full := make(chan struct{})
	handled := 0
	p, err := c.OpenPort(ctx, "numbers", func(m *runtime.Message) {
		if got := int(m.Payload[0]); got != next[m.Source] {
			wrong = fmt.Errorf("port: message %d of rank %d, want %d", got, m.Source, next[m.Source])
		}
		next[m.Source]++
		if m.Wanted() {
			if err := m.Reply(m.Payload); err != nil {
				wrong = err
			}
		}
		if handled++; handled == n*each {
			close(full)
		}
	})
	if err != nil {
		return err
	}
	size := func(r *rand.Rand) int { return []int{1, 100, 10_000, 64 << 10, 70_000, 200_000}[r.IntN(6)] }

	var workers sync.WaitGroup
	errs := make([]error, 2)
	for i, comm := range []*runtime.Comm{c, dup} {
		mine := rand.New(rand.NewPCG(seed, uint64(100+10*rank+i)))
		workers.Go(func() { errs[i] = traffic(ctx, comm, mine, each, size) })
	}
	portErr := func() error {
		for number := range each {
			for dst := range n {
				payload := make([]byte, size(rnd))
				payload[0] = byte(number)
				if rnd.IntN(3) > 0 {
					if err := p.Post(ctx, dst, payload); err != nil {
						return err
					}
					continue
				}
				reply, err := p.Call(ctx, dst, payload)
				if err != nil {
					return err
				}
				if len(reply) != len(payload) || reply[0] != payload[0] {
					return fmt.Errorf("call: a reply of %d bytes to %d", len(reply), len(payload))
				}
			}
		}
		return nil
	}()
	workers.Wait()
	if err := stderrors.Join(portErr, errs[0], errs[1]); err != nil {
		return err
	}
	select {
	case <-full:
		return wrong
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// traffic sends each rank numbered messages and receives theirs.
func traffic(ctx context.Context, c *runtime.Comm, rnd *rand.Rand, each int, size func(*rand.Rand) int) error {
	n := c.Size()
	var sends []*runtime.Request
	next := make([]int, n)
	received := 0
	buf := make([]byte, 200_000)
	receive := func(src int) error {
		st, err := runtime.Recv(ctx, c, src, 0, buf)
		if err != nil {
			return err
		}
		if int(buf[0]) != next[st.Source] {
			return fmt.Errorf("message %d of rank %d on %s, want %d", buf[0], st.Source, c.Name(), next[st.Source])
		}
		next[st.Source]++
		received++
		return nil
	}
	for number := range each {
		for dst := range n {
			m := make([]byte, size(rnd))
			m[0] = byte(number)
			sends = append(sends, runtime.Isend(c, dst, 0, m))
		}
		for received < number*n/2 {
			src := rnd.IntN(n)
			if next[src] > number {
				// Who waits for a rank waits for one that is further back
				// than itself, so that they do not wait in a circle.
				src = runtime.AnySource
			}
			if err := receive(src); err != nil {
				return stderrors.Join(err, runtime.WaitAll(ctx, sends...))
			}
		}
	}
	for received < each*n {
		if err := receive(runtime.AnySource); err != nil {
			return stderrors.Join(err, runtime.WaitAll(ctx, sends...))
		}
	}
	return runtime.WaitAll(ctx, sends...)
}
