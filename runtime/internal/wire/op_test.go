package wire

import (
	"bytes"
	stderrors "errors"
	"testing"
)

func TestOps(t *testing.T) {
	ops := []Op{
		{Kind: OpPut, Offset: 1 << 40, Length: 5},
		{Kind: OpGet, Offset: 8, Length: 1 << 50},
		{Kind: OpAccumulate, How: 3, Length: 16},
		{Kind: OpFetch, How: 1, Length: 8},
		{Kind: OpSwap, Offset: 3, Length: 1},
		{Kind: OpNotify, Tag: 0xfffffffe, Length: 5},
		{Kind: OpLock, How: 1, Offset: 1<<63 + 1},
		{Kind: OpUnlock, Offset: 7},
		{Kind: OpPut},
	}
	var b []byte
	size := 0
	for i := range ops {
		n := int(ops[i].Data())
		b = AppendOp(b, &ops[i], bytes.Repeat([]byte{byte(i)}, n/2), bytes.Repeat([]byte{byte(i)}, n-n/2))
		size += ops[i].Size()
	}
	if len(b) != size {
		t.Fatalf("%d bytes, want %d", len(b), size)
	}
	for i := range ops {
		var op Op
		data, rest, err := op.Decode(b)
		if err != nil || op != ops[i] || !bytes.Equal(data, bytes.Repeat([]byte{byte(i)}, int(op.Data()))) {
			t.Fatalf("operation %d: got %+v, % x, %v, want %+v", i, op, data, err, ops[i])
		}
		if short := len(b) - len(rest) - 1; i != len(ops)-1 {
			if _, _, err := op.Decode(b[:short]); !stderrors.Is(err, ErrOp) {
				t.Fatalf("operation %d, a byte short: %v", i, err)
			}
		}
		b = rest
	}
	if len(b) > 0 {
		t.Fatalf("%d bytes left over", len(b))
	}
}

func FuzzOp(f *testing.F) {
	f.Add(make([]byte, OpSize))
	f.Add(AppendOp(nil, &Op{Kind: OpPut, Offset: 9, Length: 3}, []byte{1, 2, 3}))
	f.Add(AppendOp(nil, &Op{Kind: OpSwap, Length: 1 << 63}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for {
			var op Op
			data, rest, err := op.Decode(b)
			if err != nil {
				return
			}
			if uint64(len(data)) != op.Data() || len(rest) >= len(b) || len(b)-len(rest) != op.Size() {
				t.Fatalf("%+v: %d bytes of data, %d of %d left", op, len(data), len(rest), len(b))
			}
			again := AppendOp(nil, &op, data)
			want := bytes.Clone(b[:len(again)])
			want[2], want[3] = 0, 0
			clear(want[OpSize+len(data):])
			if !bytes.Equal(again, want) {
				t.Fatalf("got % x, want % x", again, want)
			}
			b = rest
		}
	})
}

func BenchmarkOp(b *testing.B) {
	data := make([]byte, 8)
	var buf []byte
	b.Run("append", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if i%64 == 0 {
				buf = buf[:0]
			}
			op := Op{Kind: OpPut, Offset: 8, Length: 8}
			buf = AppendOp(buf, &op, data)
		}
	})
	b.Run("decode", func(b *testing.B) {
		rest := buf
		var op Op
		for b.Loop() {
			if len(rest) == 0 {
				rest = buf
			}
			_, rest, _ = op.Decode(rest)
		}
	})
}
