package codec

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// draw makes a row: normal numbers of many sizes, zeros, and sometimes one that
// has no place among them.
func draw[T float32 | float64](rng *rand.Rand, x []T) {
	base := rng.IntN(600) - 300
	if TypeOf[T]() == Float32 {
		base = rng.IntN(80) - 40
	}
	for i := range x {
		x[i] = 0
		if rng.IntN(4) > 0 {
			x[i] = T(math.Ldexp(rng.NormFloat64(), base+rng.IntN(20)))
		}
	}
	switch rng.IntN(20) {
	case 0:
		x[rng.IntN(len(x))] = T(math.Inf(1))
	case 1:
		x[rng.IntN(len(x))] = T(math.NaN())
	case 2:
		x[rng.IntN(len(x))] = T(math.Copysign(0, -1))
	case 3:
		if TypeOf[T]() == Float32 {
			x[0] = math.SmallestNonzeroFloat32
		}
	case 4:
		x[0] = T(math.Ldexp(255.5, base)) // rounds up to the next power of two
	}
}

func same[T Elem](a, b []T) bool {
	return slices.EqualFunc(a, b, func(x, y T) bool { return math.Float64bits(float64(x)) == math.Float64bits(float64(y)) })
}

func testRound[T float32 | float64](t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	for range 300 {
		width := 1 + rng.IntN(40)
		x, rest, zero := make([]T, width), make([]T, width), make([]T, width)
		draw(rng, x)
		bits := Bits8
		if rng.IntN(2) == 0 {
			bits = Bits16
		}
		q := slices.Clone(x)
		Round(q, rest, bits)
		most, odd := 0.0, false
		for i := range x {
			most = max(most, math.Abs(float64(x[i])))
			odd = odd || math.IsNaN(float64(x[i])) || math.IsInf(float64(x[i]), 0)
			if sum := q[i] + rest[i]; sum != x[i] && !math.IsNaN(float64(x[i])) {
				t.Fatalf("seed %d, %v: %v and %v are not %v", seed, bits, q[i], rest[i], x[i])
			}
		}
		for i := range x {
			if unit := most / float64(int(1)<<(bits.digits()-1)); math.Abs(float64(rest[i])) > unit/2*1.005 && !odd {
				t.Fatalf("seed %d: %v of %v is left over of %v", seed, rest[i], x[i], x)
			}
		}
		again := slices.Clone(q)
		Round(again, zero, bits)
		if !odd && (!slices.Equal(again, q) || slices.ContainsFunc(zero, func(v T) bool { return v != 0 })) {
			t.Fatalf("seed %d: %v is rounded again to %v", seed, q, again)
		}
		// Rounded or not, rows arrive as they left.
		var e Encoder
		e.Begin(nil, Header{Kind: Batch})
		e.Table(Block{Type: TypeOf[T](), Width: width, Bits: bits})
		Dense(&e, 0, q)
		Dense(&e, 1, x)
		length := e.Len()
		Dense(&e, 2, q)
		size := e.Len() - length
		var col []int32
		var val []T
		for i, v := range q {
			if !isZero(v) {
				col, val = append(col, int32(i)), append(val, v)
			}
		}
		Sparse(&e, 5, col, val)
		msg := e.End()
		if full := width * TypeOf[T]().Size(); !odd && most > 0x1p-120 && slices.IndexFunc(x, func(v T) bool { return v == 0 && !isZero(v) }) < 0 && size > 4+width*bits.Size(TypeOf[T]()) {
			t.Fatalf("seed %d: %d bytes for %d", seed, size, full)
		}
		var d Decoder
		if err := d.Reset(msg); err != nil {
			t.Fatal(err)
		}
		if !d.NextTable() || d.Block().Bits != bits {
			t.Fatal(d.Err())
		}
		got := make([]T, width)
		for _, want := range [][]T{q, x, q, q} {
			if !d.NextRow() {
				t.Fatal(d.Err())
			}
			if err := CopyTo(&d, got); err != nil {
				t.Fatal(err)
			}
			if !same(got, want) {
				t.Fatalf("seed %d: %v arrives as %v", seed, want, got)
			}
		}
		if d.NextRow() || d.NextTable() || d.Err() != nil {
			t.Fatal(d.Err())
		}
		if err := Check(msg); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRound: what is rounded and what is left over are the row, exactly; a
// rounded row stays as it is and travels in as many bits as it should.
func TestRound(t *testing.T) {
	for seed := range seeds.Count(t, 20) {
		testRound[float32](t, seed)
		testRound[float64](t, seed)
	}
}

func BenchmarkRound(b *testing.B) {
	for _, bits := range []Bits{Full, Bits16, Bits8} {
		name := []string{"full", "half", "byte"}[bits]
		const rows, width = 512, 32
		rng := rand.New(rand.NewPCG(1, 1))
		x, q, rest := make([]float32, rows*width), make([]float32, rows*width), make([]float32, width)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		b.Run("do=round/bits="+name, func(b *testing.B) {
			b.SetBytes(4 * rows * width)
			for b.Loop() {
				copy(q, x)
				for r := range rows {
					if bits != Full {
						Round(q[r*width:(r+1)*width], rest, bits)
					}
				}
			}
		})
		copy(q, x)
		for r := range rows {
			if bits != Full {
				Round(q[r*width:(r+1)*width], rest, bits)
			}
		}
		var msg []byte
		encode := func() {
			var e Encoder
			e.Begin(msg[:0], Header{Kind: Batch})
			e.Table(Block{Type: Float32, Width: width, Bits: bits})
			for r := range int64(rows) {
				Dense(&e, r, q[r*width:(r+1)*width])
			}
			msg = e.End()
		}
		encode()
		b.Run("do=encode/bits="+name, func(b *testing.B) {
			b.SetBytes(4 * rows * width)
			b.ReportAllocs()
			for b.Loop() {
				encode()
			}
			b.ReportMetric(float64(len(msg)), "bytes")
		})
		b.Run("do=add/bits="+name, func(b *testing.B) {
			b.SetBytes(4 * rows * width)
			b.ReportAllocs()
			for b.Loop() {
				var d Decoder
				if err := d.Reset(msg); err != nil {
					b.Fatal(err)
				}
				for d.NextTable() {
					for d.NextRow() {
						if err := AddTo(&d, x[d.Row()*width:(d.Row()+1)*width]); err != nil {
							b.Fatal(err)
						}
					}
				}
			}
		})
	}
}
