package wire

import (
	"bytes"
	stderrors "errors"
	"testing"
)

func TestHeaderRoundTrip(t *testing.T) {
	for kind := Eager; kind < kindEnd; kind++ {
		want := Header{
			Kind: kind, Flags: CreditPorts | WantReply, Elem: 14, Context: 0x01020304, Tag: 0xfffffffe,
			Credits: 70_000, ID: 1<<63 + 5, Length: 1<<40 + 3,
		}
		var b [HeaderSize]byte
		want.Encode(b[:])
		var got Header
		if err := got.Decode(b[:], 1<<41); err != nil {
			t.Fatalf("kind %d: %v", kind, err)
		}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestHeaderRefuses(t *testing.T) {
	var good [HeaderSize]byte
	h := Header{Kind: Eager, Length: 100}
	h.Encode(good[:])
	with := func(at int, v byte) []byte {
		b := bytes.Clone(good[:])
		b[at] = v
		return b
	}
	for _, test := range []struct {
		name string
		b    []byte
		max  uint64
		want error
	}{
		{"empty", nil, 100, ErrShort},
		{"one byte short", good[:HeaderSize-1], 100, ErrShort},
		{"kind 0", with(0, 0), 100, ErrKind},
		{"kind beyond the last", with(0, byte(kindEnd)), 100, ErrKind},
		{"a byte longer than the limit", good[:], 99, ErrSize},
		{"just the limit", good[:], 100, nil},
		{"negative as an int", with(31, 0x80), 1 << 40, ErrSize},
	} {
		var got Header
		if err := got.Decode(test.b, test.max); !stderrors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

func TestPayload(t *testing.T) {
	for kind, want := range map[Kind]int{Eager: 9, Data: 9, Reply: 9, Request: 0} {
		if got := (&Header{Kind: kind, Length: 9}).Payload(); got != want {
			t.Errorf("kind %d: got %d, want %d", kind, got, want)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(make([]byte, HeaderSize))
	f.Add(bytes.Repeat([]byte{1}, HeaderSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Header
		if err := h.Decode(b, 1<<40); err != nil {
			return
		}
		if h.Length > 1<<40 || h.Payload() < 0 {
			t.Fatalf("accepted %+v", h)
		}
		var again [HeaderSize]byte
		h.Encode(again[:])
		want := bytes.Clone(b[:HeaderSize])
		want[3] = 0 // the spare byte is not kept
		if !bytes.Equal(again[:], want) {
			t.Fatalf("got % x, want % x", again, want)
		}
	})
}
