package frames

import (
	"bytes"
	stderrors "errors"
	"fmt"
	"testing"

	"github.com/sspurn/sspurn/runtime/internal/wire"
)

// record writes down what it is told, in a form that can be compared.
type record struct {
	text bytes.Buffer
	cur  []byte
}

func (r *record) Begin(peer int, h *wire.Header) ([]byte, error) {
	if h.Tag == 0xdead {
		return nil, stderrors.New("refused")
	}
	if h.Length > 1<<16 && h.Kind != wire.Request {
		return nil, stderrors.New("longer than the input")
	}
	r.cur = nil
	if h.Flags&1 == 0 {
		r.cur = make([]byte, h.Payload())
	}
	return r.cur, nil
}

func (r *record) End(peer int, h *wire.Header) {
	fmt.Fprintf(&r.text, "%d %+v %x\n", peer, *h, r.cur)
}

func (r *record) Lost(int, error) {}

// whole is the plain decoder that stream is compared with: all input at once.
func whole(recv *record, limit uint64, b []byte) error {
	for len(b) >= wire.HeaderSize {
		var h wire.Header
		if err := h.Decode(b, limit); err != nil {
			return err
		}
		dst, err := recv.Begin(7, &h)
		if err != nil {
			return err
		}
		b = b[wire.HeaderSize:]
		if len(b) < h.Payload() {
			return nil
		}
		copy(dst, b)
		b = b[h.Payload():]
		recv.End(7, &h)
	}
	return nil
}

// FuzzStream cuts input in pieces of any length and compares the frames with
// those that the plain decoder finds.
func FuzzStream(f *testing.F) {
	var b []byte
	for i, n := range []int{0, 5, 100, 0, 33} {
		h := wire.Header{Kind: wire.Eager, Flags: uint8(i), Tag: uint32(i), Length: uint64(n)}
		var head [wire.HeaderSize]byte
		h.Encode(head[:])
		b = append(append(b, head[:]...), bytes.Repeat([]byte{byte(n)}, n)...)
	}
	f.Add(b, uint8(1))
	f.Add(b, uint8(40))
	f.Add(b[:len(b)-1], uint8(255))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		const limit = 1 << 20
		var want, got record
		wantErr := whole(&want, limit, b)
		s := Stream{Peer: 7}
		var err error
		for rest := b; len(rest) > 0 && err == nil; {
			n := min(len(rest), int(step)+1)
			err = s.Feed(&got, limit, rest[:n])
			rest = rest[n:]
		}
		if want.text.String() != got.text.String() {
			t.Errorf("whole:\n%sin pieces of %d:\n%s", want.text.String(), int(step)+1, got.text.String())
		}
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("error %v, want %v", err, wantErr)
		}
	})
}
