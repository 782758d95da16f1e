package codec

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

const benchRows = 256

// topics makes rows of word counts as topic models have them: few topics a
// word, small counts.
func topics(rng *rand.Rand, width int) [][]int32 {
	rows := make([][]int32, benchRows)
	for r := range rows {
		rows[r] = make([]int32, width)
		for range 1 + rng.IntN(6) {
			rows[r][rng.IntN(width)] += int32(rng.IntN(9) - 4)
		}
	}
	return rows
}

func factors(rng *rand.Rand, width int) [][]float32 {
	rows := make([][]float32, benchRows)
	for r := range rows {
		rows[r] = fill[float32](rng, width, 1)
	}
	return rows
}

func encodeRows[T Elem](e *Encoder, buf []byte, rows [][]T) []byte {
	e.Begin(buf[:0], Header{Kind: Batch, Flags: Ticks, Version: 1, Clock: 1})
	e.Table(Block{Type: TypeOf[T](), Width: len(rows[0])})
	for r, x := range rows {
		Dense(e, int64(3*r), x)
	}
	return e.End()
}

func decodeRows[T Elem](d *Decoder, msg []byte, slab []T) error {
	if err := d.Reset(msg); err != nil {
		return err
	}
	for d.NextTable() {
		w := d.Block().Width
		for r := 0; d.NextRow(); r += w {
			if err := AddTo(d, slab[r:r+w]); err != nil {
				return err
			}
		}
	}
	return d.Err()
}

func benchmarkRows[T Elem](b *testing.B, rows [][]T) {
	var e Encoder
	var d Decoder
	width := len(rows[0])
	buf := encodeRows(&e, nil, rows)
	slab := make([]T, benchRows*width)
	raw := int64(benchRows * width * TypeOf[T]().Size())
	b.Run(fmt.Sprintf("encode/width=%d", width), func(b *testing.B) {
		b.SetBytes(raw)
		b.ReportAllocs()
		for b.Loop() {
			buf = encodeRows(&e, buf, rows)
		}
		b.ReportMetric(float64(len(buf))/benchRows, "B/row")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
	})
	b.Run(fmt.Sprintf("apply/width=%d", width), func(b *testing.B) {
		b.SetBytes(raw)
		b.ReportAllocs()
		for b.Loop() {
			if err := decodeRows(&d, buf, slab); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
	})
}

func BenchmarkFloats(b *testing.B) {
	for _, w := range []int{16, 32, 64, 100} {
		benchmarkRows(b, factors(rand.New(rand.NewPCG(1, 1)), w))
	}
}

// BenchmarkGradients: one element in six is not zero, anywhere.
func BenchmarkGradients(b *testing.B) {
	for _, w := range []int{64, 256} {
		rng := rand.New(rand.NewPCG(1, 1))
		rows := factors(rng, w)
		for _, x := range rows {
			for i := range x {
				if rng.IntN(6) > 0 {
					x[i] = 0
				}
			}
		}
		benchmarkRows(b, rows)
	}
}

// BenchmarkWide: long rows of few entries.
func BenchmarkWide(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	rows := make([][]int64, benchRows)
	for r := range rows {
		rows[r] = make([]int64, 4096)
		for range 8 {
			rows[r][rng.IntN(4096)] += int64(rng.IntN(500))
		}
	}
	benchmarkRows(b, rows)
}

func BenchmarkCounts(b *testing.B) {
	for _, w := range []int{20, 100} {
		benchmarkRows(b, topics(rand.New(rand.NewPCG(1, 1)), w))
	}
}

func BenchmarkCompress(b *testing.B) {
	var e Encoder
	for name, msg := range map[string][]byte{
		"floats": encodeRows(&e, nil, factors(rand.New(rand.NewPCG(1, 1)), 32)),
		"counts": encodeRows(&e, nil, topics(rand.New(rand.NewPCG(1, 1)), 100)),
	} {
		b.Run("payload="+name, func(b *testing.B) {
			var out []byte
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				out, _ = Compress(out[:0], msg)
			}
		})
	}
}
