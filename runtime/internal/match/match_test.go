package match

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// reference is the same machine with two plain slices.
type reference struct {
	receives, messages []item
}

type item struct {
	id, source int
	tag        uint32
}

func meets(r, m item) bool {
	return (r.source == AnySource || r.source == m.source) && (r.tag == AnyTag || r.tag == m.tag)
}

// take removes and returns the identity of the first item that ok accepts, or −1.
func take(items *[]item, ok func(item) bool) int {
	for i, it := range *items {
		if ok(it) {
			*items = append((*items)[:i:i], (*items)[i+1:]...)
			return it.id
		}
	}
	return -1
}

// machines runs both and compares them after every step.
type machines struct {
	t        *testing.T
	q        *Queues[int, int]
	ref      reference
	receives []*Entry[int] // by identity
	messages []*Entry[int]
}

const sources = 3

func (m *machines) step(op, source, tag byte) {
	src, tg := int(source%(sources+1)), uint32(tag%4)
	switch op % 6 {
	case 0, 1: // a message arrives
		it := item{len(m.messages), src % sources, tg}
		e := &Entry[int]{Source: it.source, Tag: it.tag, Value: it.id}
		m.messages = append(m.messages, e)
		got := value(m.q.Deliver(it.source, it.tag))
		want := take(&m.ref.receives, func(r item) bool { return meets(r, it) })
		if want < 0 {
			m.ref.messages = append(m.ref.messages, it)
		}
		if got < 0 {
			m.q.Hold(e)
		}
		m.check("deliver", it, got, want)
	case 2, 3: // a receive is posted
		it := m.receive(src, tg)
		e := &Entry[int]{Source: it.source, Tag: it.tag, Value: it.id}
		m.receives = append(m.receives, e)
		got := value(m.q.Claim(it.source, it.tag))
		want := take(&m.ref.messages, func(msg item) bool { return meets(it, msg) })
		if want < 0 {
			m.ref.receives = append(m.ref.receives, it)
		}
		if got < 0 {
			m.q.Post(e)
		}
		m.check("claim", it, got, want)
	case 4:
		it := m.receive(src, tg)
		want := -1
		for _, msg := range m.ref.messages {
			if meets(it, msg) {
				want = msg.id
				break
			}
		}
		m.check("probe", it, value(m.q.Probe(it.source, it.tag)), want)
	case 5: // a receive or a message goes away, if it is still there
		if tg%2 == 0 && len(m.receives) > 0 {
			id := int(source) % len(m.receives)
			want := take(&m.ref.receives, func(r item) bool { return r.id == id }) >= 0
			if got := m.q.Cancel(m.receives[id]); got != want {
				m.t.Fatalf("cancel receive %d: got %v, want %v", id, got, want)
			}
		} else if len(m.messages) > 0 {
			id := int(source) % len(m.messages)
			want := take(&m.ref.messages, func(r item) bool { return r.id == id }) >= 0
			if got := m.q.Drop(m.messages[id]); got != want {
				m.t.Fatalf("drop message %d: got %v, want %v", id, got, want)
			}
		}
	}
	oldest := -1
	if len(m.ref.messages) > 0 {
		oldest = m.ref.messages[0].id
	}
	m.check("oldest", item{}, value(m.q.Oldest()), oldest)
	for _, queued := range []struct {
		entries []*Entry[int]
		items   []item
	}{{m.receives, m.ref.receives}, {m.messages, m.ref.messages}} {
		n := 0
		for _, e := range queued.entries {
			if e.Queued() {
				n++
			}
		}
		if n != len(queued.items) {
			m.t.Fatalf("%d entries are queued, want %d", n, len(queued.items))
		}
	}
}

// receive makes wildcards of the largest source and tag.
func (m *machines) receive(src int, tag uint32) item {
	it := item{len(m.receives), src, tag}
	if src == sources {
		it.source = AnySource
	}
	if tag == 3 {
		it.tag = AnyTag
	}
	return it
}

func (m *machines) check(what string, it item, got, want int) {
	m.t.Helper()
	if got != want {
		m.t.Fatalf("%s (source %d, tag %d): got %d, want %d", what, it.source, it.tag, got, want)
	}
}

func value(e *Entry[int]) int {
	if e == nil {
		return -1
	}
	return e.Value
}

func newMachines(t *testing.T) *machines {
	return &machines{t: t, q: New[int, int](sources)}
}

func TestAgainstReference(t *testing.T) {
	for seed := range seeds.Count(t, 200) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			m := newMachines(t)
			bias := byte(rnd.IntN(3)) // long queues of messages, of receives, or neither
			for range 400 {
				op := byte(rnd.IntN(6))
				if rnd.IntN(3) == 0 && bias < 2 {
					op = 2 * bias
				}
				m.step(op, byte(rnd.IntN(256)), byte(rnd.IntN(256)))
			}
		})
	}
}

func FuzzMatch(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0, 1, 2, 2, 3, 3, 4, 3, 3})
	f.Add([]byte{2, 3, 3, 2, 1, 1, 0, 1, 1, 0, 1, 1, 5, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		m := newMachines(t)
		for ; len(script) >= 3 && len(m.messages)+len(m.receives) < 500; script = script[3:] {
			m.step(script[0], script[1], script[2])
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for _, depth := range []int{0, 10, 1000} {
		b.Run(fmt.Sprintf("waiting=%d", depth), func(b *testing.B) {
			q := New[int, int](64)
			for i := range depth { // of other sources
				q.Post(&Entry[int]{Source: 1 + i%63, Tag: uint32(i)})
			}
			r := &Entry[int]{Source: 0, Tag: 7}
			b.ReportAllocs()
			for b.Loop() {
				if q.Claim(0, 7) != nil {
					b.Fatal("a message from nowhere")
				}
				q.Post(r)
				if q.Deliver(0, 7) != r {
					b.Fatal("another receive")
				}
			}
		})
	}
}
