package codec

import (
	"bytes"
	stderrors "errors"
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// keysMessage makes a batch of several tables, with rows of few patterns.
func keysMessage(rng *rand.Rand, version uint64, incarnation uint32) []byte {
	var e Encoder
	e.Begin(nil, Header{Kind: Batch, Flags: Ticks, Rank: 3, Version: version, Incarnation: incarnation, Clock: int64(version)})
	for range rng.IntN(4) {
		table := rng.Uint32N(3)
		pattern := rng.Int64N(5)
		if rng.IntN(3) == 0 {
			pattern = rng.Int64N(2000) // more than are remembered
		}
		rows := make([]int64, 0, 8)
		for i := range 1 + pattern%6 {
			rows = append(rows, i*(pattern+1))
		}
		switch table {
		case 0:
			e.Table(Block{Table: table, Type: Float32, Width: 2})
			for _, row := range rows {
				Dense(&e, row, []float32{rng.Float32(), 1})
			}
		case 1:
			e.Table(Block{Table: table, Type: Int32, Width: 9})
			for _, row := range rows {
				x := make([]int32, 9)
				x[rng.IntN(9)] = rng.Int32N(300)
				Dense(&e, row, x)
			}
		default:
			e.Table(Block{Table: table, Type: Float64, Width: 3, Bits: Bits8})
			for _, row := range rows {
				Dense(&e, row, []float64{float64(rng.IntN(100)), 0.1 * float64(rng.IntN(2)), 0})
			}
		}
	}
	return e.End()
}

// TestKeys: batches come out as they went in, over more lists than are
// remembered; repeats are told; a sender's next life begins anew.
func TestKeys(t *testing.T) {
	var before, after, known int
	for seed := range seeds.Count(t, 4) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var w KeyWriter
		var r KeyReader
		version, life := uint64(0), uint32(0)
		var last []byte
		for step := range 4000 {
			if rng.IntN(500) == 0 {
				w, version, life, last = KeyWriter{}, 0, life+1, nil
			}
			version++
			msg := keysMessage(rng, version, life)
			packed := w.Pack(msg, func(table uint32) bool { return table != 1 || seed%2 == 0 })
			before, after = before+len(msg), after+len(packed)
			if last != nil && rng.IntN(4) == 0 {
				if _, repeat, err := r.Unpack(last, 1<<20); err != nil || !repeat {
					t.Fatalf("seed %d step %d: a repeat is %v: %v", seed, step, repeat, err)
				}
			}
			got, repeat, err := r.Unpack(packed, 1<<20)
			if err != nil || repeat || !bytes.Equal(got, msg) {
				t.Fatalf("seed %d step %d: %x came as %x: repeat %v, %v", seed, step, msg, got, repeat, err)
			}
			if len(packed) < len(msg) {
				known++
			}
			if packed[0]&keyed != 0 {
				last = append([]byte(nil), packed...)
			}
		}
		// What was not defined is not known.
		var other KeyReader
		for {
			version++
			msg := keysMessage(rng, version, life)
			packed := w.Pack(msg, func(uint32) bool { return true })
			if got, _, err := other.Unpack(packed, 1<<20); err != nil {
				if !stderrors.Is(err, ErrMalformed) {
					t.Fatal(err)
				}
				break
			} else if !bytes.Equal(got, msg) {
				t.Fatalf("seed %d: %x came as %x", seed, msg, got)
			}
		}
	}
	if known < 1000 {
		t.Errorf("%d bytes became %d, %d messages shorter", before, after, known)
	}
	t.Logf("%d bytes became %d, %d messages shorter", before, after, known)
}

// TestKeysKnown: of rows that were named before, nothing but values travels.
func TestKeysKnown(t *testing.T) {
	var w KeyWriter
	var e Encoder
	for version := range uint64(3) {
		e.Begin(nil, Header{Kind: Batch, Version: version + 1})
		e.Table(Block{Type: Float32, Width: 1})
		for row := range int64(1000) {
			Dense(&e, row*77, []float32{1})
		}
		n := len(w.Pack(e.End(), func(uint32) bool { return true }))
		if version > 0 && n > 4000+24 || version == 0 && n > 6000+24 {
			t.Errorf("batch %d has %d bytes", version+1, n)
		}
	}
}

// FuzzUnpack: no input makes a reader crash or give more than the limit; what
// it accepts is packed and unpacked to the same.
func FuzzUnpack(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 9))
	var w KeyWriter
	var all []byte
	for v := range uint64(6) {
		packed := w.Pack(keysMessage(rng, v+1, 0), func(uint32) bool { return true })
		all = append(append(all, byte(len(packed)>>8), byte(len(packed))), packed...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, in []byte) {
		var r, back KeyReader
		var w KeyWriter
		version := uint64(0)
		for len(in) >= 2 {
			n := min(len(in)-2, int(in[0])<<8|int(in[1]))
			msg := in[2 : 2+n]
			in = in[2+n:]
			out, repeat, err := r.Unpack(msg, 1<<16)
			if err != nil {
				if !stderrors.Is(err, ErrMalformed) {
					t.Fatal(err)
				}
				return
			}
			if len(out) > max(len(msg), 1<<16+1<<13) {
				t.Fatalf("%d bytes of %d", len(out), len(msg))
			}
			var d Decoder
			if repeat || Check(out) != nil || d.Reset(out) != nil || d.Header().Version <= version || d.Header().Incarnation != 0 || d.Header().Kind != Batch {
				continue
			}
			version = d.Header().Version
			again, repeat, err := back.Unpack(w.Pack(out, func(uint32) bool { return true }), 1<<20)
			if err != nil || repeat || !bytes.Equal(again, out) {
				t.Fatalf("%x came as %x: repeat %v, %v", out, again, repeat, err)
			}
		}
	})
}

func BenchmarkKeys(b *testing.B) {
	var w KeyWriter
	var r KeyReader
	var e Encoder
	version := uint64(0)
	var msg []byte
	b.SetBytes(1000 * 8)
	for b.Loop() {
		version++
		e.Begin(msg[:0], Header{Kind: Batch, Version: version})
		e.Table(Block{Type: Float32, Width: 2})
		for row := range int64(1000) {
			Dense(&e, row*37, []float32{1, 2})
		}
		msg = e.End()
		if _, _, err := r.Unpack(w.Pack(msg, func(uint32) bool { return true }), 1<<30); err != nil {
			b.Fatal(err)
		}
	}
}
