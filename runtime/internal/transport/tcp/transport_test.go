package tcp

import (
	"context"
	"sync"
	"testing"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/transport/transporttest"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// testConfig is that of one rank of a job in this process.
func testConfig(rank, size int) Config {
	return Config{Job: "job", Rank: rank, Size: size, Secret: []byte("secret")}
}

// mesh connects len(recv) ranks in this process.
func mesh(tb testing.TB, recv []transport.Receiver, change ...func(*Config)) []*Transport {
	tb.Helper()
	n := len(recv)
	listeners, addrs := make([]*Listener, n), make([]string, n)
	for i := range n {
		cfg := testConfig(i, n)
		for _, f := range change {
			f(&cfg)
		}
		l, err := Listen(cfg)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { l.Close() })
		listeners[i], addrs[i] = l, l.Addr()
	}
	out, errs := make([]*Transport, n), make([]error, n)
	var wg sync.WaitGroup
	for i, l := range listeners {
		wg.Go(func() { out[i], errs[i] = l.Mesh(context.Background(), addrs, recv[i]) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			tb.Fatalf("rank %d: %v", i, err)
		}
	}
	return out
}

func TestTransport(t *testing.T) {
	transporttest.Run(t, transporttest.Suite{
		Connect: func(t *testing.T, recv []transport.Receiver) []transport.Transport {
			var out []transport.Transport
			for _, tr := range mesh(t, recv) {
				out = append(out, tr)
			}
			return out
		},
	})
}

// echo is a receiver that counts and keeps nothing.
type echo struct {
	frames, lost int
	buf          []byte
}

func (e *echo) Begin(_ int, h *wire.Header) ([]byte, error) { return e.buf[:h.Payload()], nil }
func (e *echo) End(int, *wire.Header)                       { e.frames++ }
func (e *echo) Lost(int, error)                             { e.lost++ }
