package tcp

import (
	"bytes"
	stderrors "errors"
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/internal/wire"
	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// mark is a completion that counts.
type mark struct{ told, failed int }

func (m *mark) Sent(err error) {
	if m.told++; err != nil {
		m.failed++
	}
}

// TestQueue pushes random frames and takes random amounts out, and compares
// with one long slice of bytes; payloads are spoilt as soon as they may be.
func TestQueue(t *testing.T) {
	for seed := range seeds.Count(t, 20) {
		random := rand.New(rand.NewPCG(seed, 0))
		var q queue
		var p pool
		var want, got []byte
		var outcomes []outcome
		type flying struct {
			done    *mark
			payload []byte
			end     int // in want
		}
		var all []flying
		for range 300 {
			switch k := random.IntN(10); {
			case k < 5:
				n := []int{0, 1, 8, 100, smallSize, smallSize + 1, 5000, chunkSize, chunkSize + 1, 3 * chunkSize}[random.IntN(10)]
				payload := make([]byte, n)
				rand.NewChaCha8([32]byte{byte(seed), byte(len(want))}).Read(payload)
				h := wire.Header{Kind: wire.Eager, Tag: random.Uint32(), Length: uint64(n)}
				var head [wire.HeaderSize]byte
				h.Encode(head[:])
				want = append(append(want, head[:]...), payload...)
				cut := random.IntN(n + 1)
				parts := [][]byte{payload[:cut], nil, payload[cut:]}
				if random.IntN(2) == 0 {
					q.push(&p, &h, parts, n, nil)
					if n > smallSize {
						q.own(&p, nil)
					}
					clear(payload)
				} else {
					m := new(mark)
					q.push(&p, &h, parts, n, m)
					all = append(all, flying{m, payload, len(want)})
				}
			case k == 5 && len(all) > 0:
				i := random.IntN(len(all))
				if f := all[i]; f.done.told == 0 {
					if !q.own(&p, f.done) {
						t.Fatalf("seed %d: a frame in the queue is not found", seed)
					}
					clear(f.payload)
					f.done.told = -1
				}
			default:
				n := random.IntN(100_000)
				for _, s := range q.pending() {
					k := min(n, len(s.data))
					got = append(got, s.data[:k]...)
					n -= k
				}
				outcomes = q.advance(&p, len(got)-consumed(&q, want), outcomes[:0])
				for _, o := range outcomes {
					o.done.Sent(o.err)
				}
				for _, f := range all {
					if told := f.done.told; told > 1 || (told == 1) != (f.end <= len(got) && told >= 0) {
						t.Fatalf("seed %d: completion of the frame that ends at %d told %d times at %d", seed, f.end, told, len(got))
					}
					if f.done.told == 1 {
						clear(f.payload)
					}
				}
			}
		}
		cause := stderrors.New("cause")
		for _, s := range q.pending() {
			got = append(got, s.data...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: bytes differ", seed)
		}
		for _, o := range q.fail(&p, cause, nil) {
			o.done.Sent(o.err)
		}
		for _, f := range all {
			if f.done.told != -1 && f.done.told != 1 {
				t.Errorf("seed %d: completion told %d times in the end", seed, f.done.told)
			}
		}
		if !q.empty() || q.tail != nil {
			t.Errorf("seed %d: not empty after fail", seed)
		}
		for _, c := range p.spare {
			if c.refs != 0 || c.n != 0 {
				t.Errorf("seed %d: a spare chunk with %d segments, %d bytes", seed, c.refs, c.n)
			}
		}
	}
}

// consumed is how many of the bytes pushed had left before the last reads:
// those pushed less those still in the queue.
func consumed(q *queue, pushed []byte) int {
	n := len(pushed)
	for _, s := range q.pending() {
		n -= len(s.data)
	}
	return n
}

// TestQueueCoalesces checks that small frames share a segment.
func TestQueueCoalesces(t *testing.T) {
	var q queue
	var p pool
	for i := range 100 {
		h := wire.Header{Kind: wire.Eager, Tag: uint32(i), Length: 8}
		q.push(&p, &h, [][]byte{make([]byte, 8)}, 8, nil)
	}
	if n := len(q.pending()); n != 1 {
		t.Errorf("100 small frames make %d segments", n)
	}
}
