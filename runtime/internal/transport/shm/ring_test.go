//go:build linux && !portable

package shm

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// ends are the two ends of a ring in plain memory.
func ends(size int) (*sender, *receiver) {
	r := ring{lines: new(lines), data: make([]byte, size), key: 0x1234567890abcdef}
	return &sender{ring: r}, &receiver{ring: r}
}

// TestRing writes and reads random amounts, and compares with one long slice.
// What is written is full of words that would be marks without the key.
func TestRing(t *testing.T) {
	for seed := range seeds.Count(t, 20) {
		random := rand.New(rand.NewPCG(seed, 1))
		s, r := ends(1 << (6 + random.IntN(12)))
		var want, got []byte
		for len(want) < 1<<20 && len(want) < 50*len(s.data) {
			if random.IntN(2) == 0 {
				n := 1 + random.IntN([]int{8, 100, longChunk, 2 * longChunk, 2 * longest}[random.IntN(5)])
				to, err := s.space(n)
				if err != nil || len(to) > min(n, longest) {
					t.Fatalf("seed %d: %d bytes, %v", seed, len(to), err)
				}
				if len(to) == 0 {
					if s.next-r.at < uint64(len(s.data)) {
						t.Fatalf("seed %d: no room in a ring that holds %d of %d", seed, s.next-r.at, len(s.data))
					}
					continue
				}
				for i := range to {
					to[i] = byte(len(want)/8 + i)
				}
				want = append(want, to...)
				s.publish(len(to))
				continue
			}
			b, err := r.peek()
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if len(b) == 0 {
				if r.at != s.next {
					t.Fatalf("seed %d: nothing at %d, written up to %d", seed, r.at, s.next)
				}
				continue
			}
			got = append(got, b...)
			if r.release() {
				t.Fatalf("seed %d: a sender that does not wait", seed)
			}
		}
		for b, err := r.peek(); len(b) > 0; b, err = r.peek() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b...)
			r.release()
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: bytes differ", seed)
		}
		if r.ended() {
			t.Error("ended")
		}
		if s.closed.Store(1); !r.ended() {
			t.Error("not ended")
		}
	}
}

// TestStale leaves marks of earlier rounds and payloads that look like marks
// where the next chunk would be.
func TestStale(t *testing.T) {
	s, r := ends(4 * align)
	for range 3 {
		for range 4 {
			to, err := s.space(48)
			if err != nil || len(to) != 48 {
				t.Fatal(len(to), err)
			}
			binary.NativeEndian.PutUint64(to, s.next+align+1) // the next mark, but for the key
			s.publish(48)
			if b, err := r.peek(); err != nil || len(b) != 48 {
				t.Fatal(len(b), err)
			}
			r.release()
			if b, err := r.peek(); err != nil || len(b) != 0 {
				t.Fatalf("%d bytes, %v, where nothing was sent", len(b), err)
			}
		}
	}
}

// FuzzRing spoils the memory between two ranks in every way, while both go on:
// each must take it or lose the other, once, and touch nothing outside.
func FuzzRing(f *testing.F) {
	f.Add([]byte{0, 0, 8, 1, 3, 0, 0, 255, 0, 0, 0, 4, 9, 9, 2, 2, 0, 1})
	f.Add([]byte{5, 1, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3})
	f.Add(bytes.Repeat([]byte{2, 200, 0, 3, 7, 1, 4}, 9))
	f.Add([]byte("000&\xa60C0")) // a ring that has to be condemned while it is written to
	f.Fuzz(func(t *testing.T, script []byte) {
		recv := &fuzzed{sink: sink{buf: make([]byte, 1<<16)}}
		ring := func() ring { return ring{lines: new(lines), data: make([]byte, 1<<12), key: 1} }
		p := &peer{rank: 1, in: receiver{ring: ring()}, out: sender{ring: ring()}, slot: new(slot), pidfd: -1}
		tr := &Transport{rest: nobody{}, recv: recv, own: new(slot), peers: []*peer{nil, p}, locals: []*peer{p}, life: -1}
		other := sender{ring: p.in.ring}
		in := script
		next := func() (b byte) {
			if len(in) > 0 {
				b, in = in[0], in[1:]
			}
			return b
		}
		number := func() uint64 {
			n := uint64(next()) << (next() % 64)
			return n + uint64(next())
		}
		for range 300 {
			if len(in) == 0 {
				break
			}
			switch next() % 8 {
			case 0: // an honest frame
				n := int(next())
				if to, err := other.space(wire.HeaderSize + n); err == nil && len(to) == wire.HeaderSize+n {
					h := wire.Header{Kind: wire.Eager, Length: uint64(n)}
					h.Encode(to)
					other.publish(len(to))
				}
			case 1: // any bytes as a chunk
				if to, err := other.space(int(next())); err == nil && len(to) > 0 {
					copy(to, in)
					other.publish(len(to))
				}
			case 2: // a chunk of any length
				p.in.word(p.in.offset(p.in.at) + 8).Store(number())
				p.in.word(p.in.offset(p.in.at)).Store(p.in.mark(p.in.at))
			case 3:
				p.out.head.Store(number())
			case 4:
				p.in.head.Store(number())
			case 5:
				p.in.want.Store(uint32(next()))
				p.in.closed.Store(uint32(next() % 2))
			case 6:
				n := int(next()) << 5
				tr.Send(1, &wire.Header{Kind: wire.Eager, Length: uint64(n)}, [][]byte{make([]byte, n)}, nil)
			case 7:
				p.out.head.Store(p.out.next)
			}
			tr.ready()
			tr.Poll(1 - 2*int(next()%2)) // the peer, or all
		}
		if recv.lost > 1 || (recv.lost == 1) != p.lost.Load() {
			t.Errorf("lost %d times, %v", recv.lost, p.lost.Load())
		}
	})
}

// fuzzed is a receiver that refuses what it has no memory for.
type fuzzed struct{ sink }

func (f *fuzzed) Begin(peer int, h *wire.Header) ([]byte, error) {
	if h.Payload() > len(f.buf) || h.Payload() < 0 {
		return nil, io.ErrShortBuffer
	}
	return f.sink.Begin(peer, h)
}

// nobody is a Rest without peers.
type nobody struct{ transport.Transport }

func (nobody) Watch(int) error { return nil }
func (nobody) Wake()           {}
