//go:build linux && !portable

package shm

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// sink is a receiver that counts and keeps nothing.
type sink struct {
	frames, lost int
	buf          []byte
}

func (s *sink) Begin(_ int, h *wire.Header) ([]byte, error) { return s.buf[:h.Payload()], nil }
func (s *sink) End(int, *wire.Header)                       { s.frames++ }
func (s *sink) Lost(int, error)                             { s.lost++ }

// BenchmarkPingPong is a round trip between two goroutines.
func BenchmarkPingPong(b *testing.B) {
	for _, n := range []int{8, 1024, 65536} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			recv := []*sink{{buf: make([]byte, n)}, {buf: make([]byte, n)}}
			ts := connect(b, []transport.Receiver{recv[0], recv[1]}, 2)
			payload := [][]byte{make([]byte, n)}
			h := wire.Header{Kind: wire.Eager, Length: uint64(n)}
			var stop atomic.Bool
			over := make(chan struct{})
			go func() {
				defer close(over)
				for seen := 0; !stop.Load(); {
					if ts[1].Poll(0); recv[1].frames > seen {
						seen++
						ts[1].Send(0, &h, payload, nil)
					}
				}
			}()
			for i := 0; b.Loop(); i++ {
				ts[0].Send(1, &h, payload, nil)
				for recv[0].frames == i {
					ts[0].Poll(1)
				}
			}
			stop.Store(true)
			<-over
			ts[0].Close()
			ts[1].Close()
		})
	}
}

// BenchmarkPut is a chunk's copy to so many bytes behind where it is read, by the
// addresses' last twelve bits.
func BenchmarkPut(b *testing.B) {
	from, to := make([]byte, longest), make([]byte, longest+4096)
	for _, behind := range []int{0, 8, 16, 24, 32, 64} {
		b.Run(strconv.Itoa(behind), func(b *testing.B) {
			b.SetBytes(longest)
			for b.Loop() {
				put(to[behind:], from)
			}
		})
	}
}
