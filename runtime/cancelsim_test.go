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

// TestCancelSimulation runs random programs that give up sends, receives and
// matches at random moments, over a network of random delays. Each message must
// come once and in its sender's order, unless an error has said what became of
// it.
func TestCancelSimulation(t *testing.T) {
	for seed := range seeds.Count(t, 15) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				n := 1 + rnd.IntN(4)
				cl := runtimetest.NewCluster(n)
				shake(cl, seed, 2*time.Millisecond)
				if err := runtimetest.Primary(cl.Run(t.Context(), cancelling(n, seed))); err != nil {
					t.Fatalf("%d ranks: %v", n, err)
				}
			})
		})
	}
}

// TestCancelSimulationTCP runs such programs over connections, where payloads
// arrive in pieces.
func TestCancelSimulationTCP(t *testing.T) {
	for seed := range seeds.Count(t, 4) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			n := 2 + int(seed%3)
			runtimetest.TCP(t, n, cancelling(n, seed))
		})
	}
}

// cancelling is what each rank of a program runs.
func cancelling(n int, seed uint64) runtimetest.Body {
	s := &ledger{n: n, dropped: map[[3]int]bool{}}
	return func(ctx context.Context, c *runtime.Comm) error {
		sent := make(chan error, 1)
		go func() { sent <- s.send(ctx, c, rand.New(rand.NewPCG(seed, uint64(10+c.Rank())))) }()
		err := s.receive(ctx, c, rand.New(rand.NewPCG(seed, uint64(100+c.Rank()))))
		return stderrors.Join(err, <-sent)
	}
}

// ledger is what the ranks of one program know together.
type ledger struct {
	n int

	mu      sync.Mutex
	dropped map[[3]int]bool // source, destination, number of messages that may not come
}

const perPair = 30 // messages; the last is not given up

func (s *ledger) drop(src, dst, number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped[[3]int{src, dst, number}] = true
}

func (s *ledger) gone(src, dst, number int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped[[3]int{src, dst, number}]
}

// soon is a context that ends within a few milliseconds, or, rarely, at once.
func soon(ctx context.Context, rnd *rand.Rand) context.Context {
	return brief(ctx, time.Duration(rnd.Int64N(int64(3*time.Millisecond))))
}

// send sends everybody numbered messages, by calls of all kinds.
func (s *ledger) send(ctx context.Context, c *runtime.Comm, rnd *rand.Rand) error {
	var started []*runtime.Request
	for number := range perPair {
		for dst := range s.n {
			m := make([]int32, 1+[]int{0, 30, 3000, 16<<10 - 1, 16 << 10, 50_000}[rnd.IntN(6)])
			m[0] = int32(number)
			kind := rnd.IntN(6)
			if number == perPair-1 {
				kind = 0
			}
			var err error
			switch kind {
			case 0:
				started = append(started, runtime.Isend(c, dst, runtime.Tag(number), m))
			case 1:
				started = append(started, runtime.IsendSync(c, dst, runtime.Tag(number), m))
			case 2:
				r := runtime.PrepareSend(c, dst, runtime.Tag(number), m)
				r.Start()
				started = append(started, r)
			case 3:
				started = append(started, runtime.IsendParts(c, dst, runtime.Tag(number), runtime.Strided(m, 1, 1, len(m))))
			case 4:
				_, err = runtime.IsendSync(c, dst, runtime.Tag(number), m).Wait(soon(ctx, rnd))
			case 5:
				err = runtime.Send(soon(ctx, rnd), c, dst, runtime.Tag(number), m)
			}
			if stderrors.Is(err, errEnough) {
				s.drop(c.Rank(), dst, number)
				clear(m) // it is the caller's again
			} else if err != nil {
				return err
			}
		}
	}
	return runtime.WaitAll(ctx, started...)
}

// receive takes what comes, giving up now and then.
func (s *ledger) receive(ctx context.Context, c *runtime.Comm, rnd *rand.Rand) error {
	next := make([]int, s.n)
	came := func(src, number int) error {
		for ; next[src] < number; next[src]++ {
			if !s.gone(src, c.Rank(), next[src]) {
				return fmt.Errorf("message %d of rank %d came, not %d", number, src, next[src])
			}
		}
		if next[src] != number {
			return fmt.Errorf("message %d of rank %d came again or late, next is %d", number, src, next[src])
		}
		next[src]++
		return nil
	}
	// outcome accounts for one receive, of which buf is what it got.
	outcome := func(st runtime.Status, err error, buf []int32) error {
		switch {
		case stderrors.Is(err, runtime.ErrDropped):
			return came(st.Source, int(st.Tag))
		case stderrors.Is(err, errEnough):
			if st != (runtime.Status{}) {
				return fmt.Errorf("a receive that was taken back says %+v", st)
			}
			return nil
		case stderrors.Is(err, runtime.ErrLeft):
			return nil // all of that source has come
		case err != nil:
			return err
		}
		if int(buf[0]) != int(st.Tag) {
			return fmt.Errorf("message %d of rank %d has the content of %d", st.Tag, st.Source, buf[0])
		}
		return came(st.Source, int(st.Tag))
	}
	complete := func() bool {
		for _, k := range next {
			if k < perPair {
				return false
			}
		}
		return true
	}
	for !complete() {
		src := rnd.IntN(s.n+1) - 1
		if src < 0 {
			src = runtime.AnySource
		}
		switch rnd.IntN(3) {
		case 0:
			buf := make([]int32, 50_001)
			st, err := runtime.Recv(soon(ctx, rnd), c, src, runtime.AnyTag, buf)
			if err := outcome(st, err, buf); err != nil {
				return err
			}
		case 1:
			m, err := runtime.Match(soon(ctx, rnd), c, src, runtime.AnyTag)
			if stderrors.Is(err, errEnough) || stderrors.Is(err, runtime.ErrLeft) {
				continue
			} else if err != nil {
				return err
			}
			buf := make([]int32, m.Count)
			st, err := runtime.RecvMatched(soon(ctx, rnd), m, buf)
			if err := outcome(st, err, buf); err != nil {
				return err
			}
		case 2:
			rs := make([]*runtime.Request, 4)
			bufs := make([][]int32, len(rs))
			for i := range rs {
				bufs[i] = make([]int32, 50_001)
				from := src
				if rnd.IntN(2) == 0 {
					from = runtime.AnySource
				}
				rs[i] = runtime.Irecv(c, from, runtime.AnyTag, bufs[i])
			}
			for i, r := range rs {
				st, err := r.Wait(soon(ctx, rnd))
				if err := outcome(st, err, bufs[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
