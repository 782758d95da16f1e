package codec

import (
	"bytes"
	stderrors "errors"
	goruntime "runtime"
	"slices"
	"testing"
)

// samples are messages of every kind.
func samples() [][]byte {
	var e Encoder
	var out [][]byte
	e.Begin(nil, Header{Kind: Batch, Flags: Ticks, Rank: 1, Version: 7, Clock: 3})
	e.Table(Block{Table: 2, Type: Float32, Width: 4})
	Dense(&e, 5, []float32{1, 2, 3, 4})
	Dense(&e, 9, []float32{0, 0, 0, 1})
	e.Table(Block{Table: 3, Type: Int32, Width: 9})
	Dense(&e, 0, []int32{0, 0, 0, 0, -1, 0, 0, 0, 0})
	Dense(&e, 1, []int32{1, 2, 3, 4, 5, 6, 7, 8, 9})
	e.Table(Block{Table: 4, Type: Float32, Width: 4, Bits: Bits8})
	Dense(&e, 1, []float32{1, -2, 127, 4})
	Dense(&e, 2, []float32{1, 2, 300.5, 4})
	Dense(&e, 3, []float32{0, 0, 0, 0.25})
	e.Table(Block{Table: 4, Type: Float64, Width: 40, Bits: Bits16})
	Sparse(&e, 1, []int32{3, 9}, []float64{1, 2000})
	out = append(out, e.End())
	e.Begin(nil, Header{Kind: Rows, Flags: Push, Clock: Forever, Last: 300})
	e.Table(Block{Type: Int64, Width: 2, Age: 1})
	e.Age(8)
	Sparse(&e, 1<<50, []int32{1}, []int64{-1 << 60})
	out = append(out, e.End())
	e.Begin(nil, Header{Kind: Request, ID: 4})
	e.Table(Block{Type: Float64, Width: 1 << 20})
	e.Want(3)
	out = append(out, e.End())
	e.Begin(nil, Header{Kind: Ack, Version: 1 << 63})
	return append(out, e.End())
}

// decode reads a whole message in every way there is and encodes what it read.
func decode(msg []byte) ([]byte, error) {
	var d Decoder
	var e Encoder
	if err := d.Reset(msg); err != nil {
		return nil, err
	}
	e.Begin(nil, d.Header())
	for d.NextTable() {
		e.Table(d.Block())
		for d.NextRow() {
			e.Age(d.Age())
			if d.Header().Kind.names() {
				e.Want(d.Row())
				continue
			}
			switch d.Block().Type {
			case Float32:
				again[float32](&d, &e)
			case Float64:
				again[float64](&d, &e)
			case Int32:
				again[int32](&d, &e)
			case Int64:
				again[int64](&d, &e)
			}
		}
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return e.End(), nil
}

func again[T Elem](d *Decoder, e *Encoder) {
	width := d.Block().Width
	if d.Row()%2 == 0 && width < 1<<10 {
		x := make([]T, width)
		if CopyTo(d, x) == nil {
			Dense(e, d.Row(), x)
		}
		return
	}
	col, val, err := SparseTo[T](d, width, nil, nil)
	if err == nil && width < 1<<10 {
		Sparse(e, d.Row(), col, val)
	}
}

// FuzzDecode: no input makes a decoder crash or hang; what it accepts comes out
// the same when it is encoded and read again.
func FuzzDecode(f *testing.F) {
	for _, s := range samples() {
		f.Add(s)
	}
	f.Add([]byte("\x05\x01000000000!000")) // an Order that names a row
	f.Fuzz(func(t *testing.T, msg []byte) {
		checked := Check(msg)
		once, err := decode(msg)
		if (err == nil) != (checked == nil) {
			t.Fatalf("decode: %v, check: %v", err, checked)
		}
		if err != nil {
			if !stderrors.Is(err, ErrMalformed) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		twice, err := decode(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("encoded again: %x, then %x: %v", once, twice, err)
		}
	})
}

// FuzzOpen: a compressed message unfolds to what was compressed; no input
// allocates beyond the limit.
func FuzzOpen(f *testing.F) {
	for _, s := range samples() {
		f.Add(s)
		if packed, ok := Compress(nil, append(s, make([]byte, 4096)...)); ok {
			f.Add(packed)
		}
	}
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0x0f, 0})
	f.Fuzz(func(t *testing.T, msg []byte) {
		const limit = 1 << 16
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		out, err := Open(nil, msg, limit)
		goruntime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > limit+1<<16 {
			t.Fatalf("%d bytes allocated for %d", n, len(msg))
		}
		if err != nil && !stderrors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
		if err == nil && len(out) > max(limit, len(msg)) {
			t.Fatalf("%d bytes unfolded", len(out))
		}
		if len(msg) == 0 || msg[0]&compressed != 0 {
			return
		}
		packed, ok := Compress([]byte("kept"), msg)
		if !ok {
			return
		}
		packed, kept := bytes.CutPrefix(packed, []byte("kept"))
		plain, err := Open(nil, packed, len(msg))
		if !kept || err != nil || !bytes.Equal(plain, msg) || len(packed) >= len(msg) {
			t.Fatalf("%d bytes in %d came back as %d: %v", len(msg), len(packed), len(plain), err)
		}
		if _, err := Open(nil, packed, len(msg)-1); !stderrors.Is(err, ErrMalformed) {
			t.Fatalf("over the limit: %v", err)
		}
	})
}

func TestOpenInto(t *testing.T) {
	msg := append(samples()[0], bytes.Repeat([]byte{1, 2, 3, 4}, 500)...)
	packed, ok := Compress(nil, msg)
	if !ok {
		t.Fatal("repetition does not compress")
	}
	scratch := make([]byte, len(msg))
	plain, err := Open(scratch, packed, len(msg))
	if err != nil || !slices.Equal(plain, msg) || &plain[0] != &scratch[0] {
		t.Fatalf("scratch was not used: %v", err)
	}
	if same, err := Open(scratch, msg, 1); err != nil || &same[0] != &msg[0] {
		t.Fatalf("a plain message was copied: %v", err)
	}
	if _, ok := Compress(nil, make([]byte, MinCompress-1)); ok {
		t.Error("a short message was compressed")
	}
}

// TestEstimator plays links of known speed: bytes cost what they cost, whatever
// the latency.
func TestEstimator(t *testing.T) {
	for _, c := range []struct {
		name             string
		latency, perByte float64 // ns
		ratio, effort    float64
		pays             bool
	}{
		{"slow link, counts", 200_000, 8, 0.1, 0.3, true},
		{"slow link, noise", 200_000, 8, 0.99, 0.05, false},
		{"loopback, counts", 20_000, 0.1, 0.1, 0.3, false},
		{"far and fast, counts", 50_000_000, 0.01, 0.1, 0.3, false},
		{"slow codec", 1000, 1, 0.5, 1, false},
	} {
		var e Estimator
		tried := 0
		const messages = 1000
		for i := range messages {
			n := 2000 + 37*(i%50)
			sent := n
			if e.Try(n) {
				tried++
				sent = int(float64(n) * c.ratio)
				e.Compressed(n, sent, int64(c.effort*float64(n)))
			}
			e.Sent(sent, int64(c.latency+c.perByte*float64(sent)))
			if e.Try(MinCompress - 1) {
				t.Fatalf("%s: a short message", c.name)
			}
		}
		if e.Pays() != c.pays {
			t.Errorf("%s: pays %v", c.name, e.Pays())
		}
		if c.pays && tried < messages*9/10 || !c.pays && (tried > messages/retry+3 || tried < messages/retry-3) {
			t.Errorf("%s: %d of %d compressed", c.name, tried, messages)
		}
	}
}

// TestEstimatorTurns: what stops paying stops, what begins to pay is noticed.
func TestEstimatorTurns(t *testing.T) {
	var e Estimator
	play := func(perByte float64) {
		for i := range 2000 {
			n := 2000 + 37*(i%50)
			sent := n
			if e.Try(n) {
				sent = n / 4
				e.Compressed(n, sent, int64(n))
			}
			e.Sent(sent, int64(1000+perByte*float64(sent)))
		}
	}
	for i, c := range []struct {
		perByte float64
		pays    bool
	}{{8, true}, {0.1, false}, {8, true}} {
		if play(c.perByte); e.Pays() != c.pays {
			t.Errorf("phase %d: pays %v", i, e.Pays())
		}
	}
}
