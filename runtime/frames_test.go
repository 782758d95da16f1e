package runtime

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/sspurn/sspurn/runtime/internal/transport"
	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// sink is a transport that loses everything.
type sink struct{ closed bool }

func (s *sink) Send(int, *wire.Header, [][]byte, transport.Completion) bool { return true }
func (s *sink) Discard(int)                                                 {}
func (s *sink) Detach(int, transport.Completion)                            {}
func (s *sink) Poll(int) bool                                               { return false }
func (s *sink) Wait(time.Duration)                                          {}
func (s *sink) Wake()                                                       {}
func (s *sink) PollBudget() time.Duration                                   { return 0 }
func (s *sink) Polls(int) int                                               { return 1 }
func (s *sink) Pending() bool                                               { return false }
func (s *sink) Link(int) transport.Link                                     { return transport.Linked }
func (s *sink) Bytes() (sent, received uint64)                              { return 0, 0 }
func (s *sink) Close() error                                                { s.closed = true; return nil }

// FuzzFrames feeds an engine with frames that no honest peer would send, while
// it has calls of every kind pending. It must refuse or take each, without a
// panic, give exactly the memory that the payload needs, and hold no more than
// the windows allow.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{1, 0, 0, 8, 2, 0, 0, 9, 4, 0, 1, 100, 9, 0, 1, 3})
	f.Add([]byte{2, 1, 0, 255, 2, 3, 7, 255, 4, 0, 0, 255, 3, 0, 1, 0, 3, 1, 2, 0})
	f.Add([]byte{6, 0, 7, 10, 7, 0, 7, 10, 8, 0, 3, 20, 8, 1, 4, 0, 11, 0, 0, 20, 9, 0, 0, 0, 10, 0, 0, 0})
	f.Add([]byte{11, 1, 1, 60, 12, 1, 0, 8, 13, 0, 1, 8, 13, 0, 2, 0, 11, 0, 3, 255, 13, 2, 5, 0})
	f.Add([]byte{1, 1, 7, 10, 3, 1, 7, 10})
	f.Add([]byte{15, 0, 17, 10, 3, 1, 33, 5, 3, 0, 34, 5, 15, 0, 16, 0, 15, 8, 20, 100, 3, 2, 35, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		const peer = 1
		e := newEngine(0, []string{"a", "b", "c"}, slog.New(slog.DiscardHandler))
		e.t = new(sink)
		e.tree = []int{1, 2}
		c := &Comm{e: e, group: e.groups[0]}
		rs := []*Request{
			Irecv(c, peer, 0, make([]int8, 100)),
			Irecv(c, peer, AnyTag, make([]int8, 200_000)),
			Irecv(c, AnySource, 1, make([]int8, 10)),
			Isend(c, peer, 0, make([]int8, 100_000)),
			Isend(c, peer, 0, make([]int8, 200_000)),
			IsendSync(c, peer, 0, make([]int8, 100)),
			IrecvParts(c, peer, 2, Strided(make([]int8, 300), 100, 150, 2)),
		}
		gaveUp, cancel := context.WithCancel(t.Context())
		cancel()
		for tag, n := range []int{0, 5, 200, 8000, 80_000, 100, 1, 2} {
			pull, offer := new(Request), new(Request)
			StartPull(pull, c, peer, Tag(tag), make([]int8, n))
			StartOffer(offer, c, peer, Tag(tag), make([]int8, n))
			if tag%3 == 2 {
				_, _ = pull.Wait(gaveUp)
			}
			rs = append(rs, pull, offer)
		}
		for _, n := range []int{5, 100_000} {
			r := &Request{kind: opCall, group: c.group, peer: peer, head: wire.Header{Kind: wire.Call, Length: uint64(n)}, payload: [][]byte{make([]byte, n)}}
			if n > eagerLimit {
				r.head.Kind, r.head.Flags = wire.Request, wire.ToPort|wire.WantReply
			}
			e.start(r)
			rs = append(rs, r)
		}
		e.mu.Lock()
		match := &Request{e: e, kind: opMatch, group: c.group, peer: AnySource, context: c.context(), phase: posted}
		match.entry.Source, match.entry.Tag, match.entry.Value = AnySource, 3, match
		c.group.link(match)
		e.queuesOf(c.context()).Post(&match.entry)
		e.mu.Unlock()
		rs = append(rs, match)
		w := &view{c: c, lens: []int{16, 1 << 20, 0}, region: newRegion(3, c.group, newCells(elemOf[int64](), make([]byte, 128)), 3)}
		e.regions[3] = w.region
		e.mu.Lock()
		for i, dst := range []int{8, 100_000} {
			r := w.request("get from ", peer)
			r.buf, r.results = make([]byte, dst), dst
			e.collect(peer, w.region, &wire.Op{Kind: wire.OpGet, Length: uint64(dst)})
			e.dispatch(peer, w.region, r)
			rs = append(rs, r)
			r = w.request("lock ", peer)
			r.phase, r.until = locking, uint64(5+i)
			e.locks[r.until] = r
			rs = append(rs, r)
		}
		r := w.request("wait for a notification by ", peer)
		r.entry.Source, r.entry.Tag, r.entry.Value, r.phase = peer, uint32(AnyTag), r, awaiting
		w.region.notes.Post(&r.entry)
		rs = append(rs, r)
		e.mu.Unlock()
		d := e.doorOf(7) // of a port that is open, but whose handler does not come to it
		d.port = &Port{c: c, door: d}
		for script = script[:min(len(script), 400)]; len(script) >= 4; script = script[4:] {
			h := wire.Header{
				Kind: wire.Kind(script[0]%16 + 1), Flags: script[1] & 3, Elem: elemOf[int8](),
				Tag: uint32(script[2] % 8), ID: uint64(script[2] % 8), Length: uint64(script[3]),
			}
			if script[1]&4 != 0 {
				h.Context = 1 << 8 // not known here
			}
			if script[1]&8 != 0 {
				h.Length *= 800 // beyond what is small
			}
			if script[1]&16 != 0 {
				h.Credits = uint32(script[2])
			}
			if script[1]&32 != 0 {
				h.Length = 1 << (script[3] % 48)
			}
			if script[0]&128 != 0 {
				h.Context |= 1 // another window
			}
			h.Flags |= script[1] & (wire.CreditPorts | wire.CreditSpaces)
			if h.Length > 1<<20 && h.Kind != wire.Eager { // too much to make up
				h.Length = 1 << 20
			}
			if h.Kind == wire.Access || h.Kind == wire.Put {
				h.Context = uint32(script[2] & 3)
				h.Length &^= uint64(script[2]&4) * 2
			}
			switch {
			case script[2]&16 != 0: // a pull of the peer's
				h.ID |= wire.PullID
			case script[2]&32 != 0: // one of those above, maybe
				h.ID = wire.PullID | (e.lastOp - h.ID)
			}
			if script[2]&64 != 0 {
				h.Elem = script[3]
			}
			buf, err := e.Begin(peer, &h)
			if err != nil {
				break
			}
			if buf != nil && len(buf) != h.Payload() {
				t.Fatalf("%d bytes of memory for %d", len(buf), h.Payload())
			}
			if h.Kind == wire.Access {
				operations(buf, script)
			}
			e.End(peer, &h)
			for w, held := range e.peers[peer].held {
				if held < 0 || held > e.window+overdraft {
					t.Fatalf("window %d: %d bytes held", w, held)
				}
			}
			if p := &e.peers[peer]; p.coming < 0 || p.coming > len(p.inbound) {
				t.Fatalf("%d of %d payloads are wanted", p.coming, len(p.inbound))
			}
			if e.granted < 0 || e.granted > portBound+1<<20 {
				t.Fatalf("%d bytes granted", e.granted)
			}
		}
		e.Lost(peer, nil)
		for i, r := range rs {
			if !r.done.Load() {
				t.Fatalf("request %d (%v) is pending although the peer is lost", i, r)
			}
		}
		if c.group.pending != nil {
			t.Fatalf("%v is still linked", c.group.pending)
		}
	})
}

// operations fills the payload of an Access with operations that are mostly
// whole.
func operations(b, script []byte) {
	for len(b) >= wire.OpSize && len(script) >= 4 {
		op := wire.Op{
			Kind: wire.OpKind(script[0]%9 + 1), How: script[1] % 12, Tag: uint32(script[2] % 8),
			Offset: uint64(script[2]) &^ uint64(script[1]>>4&7), Length: uint64(script[3]) &^ uint64(script[1]&15),
		}
		if script[1] == 255 {
			op.Length = 1 << script[3] % 64
		}
		data := make([]byte, min(op.Data(), 1<<16))
		n := copy(b, wire.AppendOp(nil, &op, data))
		b, script = b[n:], script[4:]
	}
}

func FuzzCause(f *testing.F) {
	f.Add([]byte{}, 1)
	f.Add(encodeCause(3, "killed by signal 9"), 1)
	f.Fuzz(func(t *testing.T, b []byte, peer int) {
		rank, cause := decodeCause(b, peer)
		if len(b) >= 4 && len(b) <= maxCause && rank >= 0 {
			if again := encodeCause(rank, cause.Error()); string(again) != string(b) {
				t.Fatalf("got %q, want %q", again, b)
			}
		} else if len(b) < 4 && rank != peer {
			t.Fatalf("rank %d of a short payload from %d", rank, peer)
		}
	})
}
