package frames

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
		var q Queue
		var p Pool
		var want, got []byte
		var outcomes Outcomes
		type flying struct {
			done    *mark
			payload []byte
			end     int // in want
		}
		var all []flying
		for range 300 {
			switch k := random.IntN(10); {
			case k < 5:
				n := []int{0, 1, 8, 100, SmallSize, SmallSize + 1, 5000, ChunkSize, ChunkSize + 1, 3 * ChunkSize}[random.IntN(10)]
				payload := make([]byte, n)
				rand.NewChaCha8([32]byte{byte(seed), byte(len(want))}).Read(payload)
				h := wire.Header{Kind: wire.Eager, Tag: random.Uint32(), Length: uint64(n)}
				var head [wire.HeaderSize]byte
				h.Encode(head[:])
				want = append(append(want, head[:]...), payload...)
				cut := random.IntN(n + 1)
				parts := [][]byte{payload[:cut], nil, payload[cut:]}
				if random.IntN(2) == 0 {
					q.Push(&p, &h, parts, n, nil)
					if n > SmallSize {
						q.Own(&p, nil)
					}
					clear(payload)
				} else {
					m := new(mark)
					q.Push(&p, &h, parts, n, m)
					all = append(all, flying{m, payload, len(want)})
				}
			case k == 5 && len(all) > 0:
				i := random.IntN(len(all))
				if f := all[i]; f.done.told == 0 {
					if !q.Own(&p, f.done) {
						t.Fatalf("seed %d: a frame in the queue is not found", seed)
					}
					clear(f.payload)
					f.done.told = -1
				}
			default:
				n := random.IntN(100_000)
				for _, s := range q.Pending() {
					k := min(n, len(s.Data))
					got = append(got, s.Data[:k]...)
					n -= k
				}
				outcomes = q.Advance(&p, len(got)-consumed(&q, want), outcomes[:0])
				for _, o := range outcomes {
					o.Done.Sent(o.Err)
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
		for _, s := range q.Pending() {
			got = append(got, s.Data...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: bytes differ", seed)
		}
		for _, o := range q.Fail(&p, cause, nil) {
			o.Done.Sent(o.Err)
		}
		for _, f := range all {
			if f.done.told != -1 && f.done.told != 1 {
				t.Errorf("seed %d: completion told %d times in the end", seed, f.done.told)
			}
		}
		if !q.Empty() || q.tail != nil {
			t.Errorf("seed %d: not empty after fail", seed)
		}
		for _, c := range p.spare {
			if c.refs != 0 || c.N != 0 {
				t.Errorf("seed %d: a spare chunk with %d segments, %d bytes", seed, c.refs, c.N)
			}
		}
	}
}

// consumed is how many of the bytes pushed had left before the last reads:
// those pushed less those still in the queue.
func consumed(q *Queue, pushed []byte) int {
	n := len(pushed)
	for _, s := range q.Pending() {
		n -= len(s.Data)
	}
	return n
}

// TestQueueCoalesces checks that small frames share a segment.
func TestQueueCoalesces(t *testing.T) {
	var q Queue
	var p Pool
	for i := range 100 {
		h := wire.Header{Kind: wire.Eager, Tag: uint32(i), Length: 8}
		q.Push(&p, &h, [][]byte{make([]byte, 8)}, 8, nil)
	}
	if n := len(q.Pending()); n != 1 {
		t.Errorf("100 small frames make %d segments", n)
	}
}
