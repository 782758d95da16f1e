package codec

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// plainCount is count, an element at a time.
func plainCount[T integer](x []T) (c counting) {
	next := 0
	for i, v := range x {
		l := len(appendUvarint(nil, zigzag(int64(v))))
		c.all += l
		if v != 0 {
			c.entries++
			c.few += l + len(appendUvarint(nil, uint64(i-next)))
			next = i + 1
		}
	}
	c.few += len(appendUvarint(nil, uint64(c.entries)))
	return c
}

func plainCounts[T integer](x []T, c counting, s shape) (b []byte) {
	next := 0
	if s == sparseCounted {
		b = appendUvarint(b, uint64(c.entries))
	}
	for i, v := range x {
		switch {
		case s == counted:
			b = appendUvarint(b, zigzag(int64(v)))
		case s == sparseCounted && v != 0:
			b = appendUvarint(appendUvarint(b, uint64(i-next)), zigzag(int64(v)))
			next = i + 1
		case s == dense:
			b = appendRaw(b, x[i:i+1])
		}
	}
	return b
}

func testCounts[T integer](t *testing.T, least, most T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 5000 {
		x := make([]T, rng.IntN(70)+rng.IntN(2)*rng.IntN(400))
		density := rng.Float64() * rng.Float64()
		for i := range x {
			if rng.Float64() < density {
				x[i] = []T{1, -1, 63, 64, -64, -65, least, most, T(rng.Uint64())}[rng.IntN(9)]
			}
		}
		c, want := count(x), plainCount(x)
		if c != want {
			t.Fatalf("%v: %+v, want %+v", x, c, want)
		}
		for _, s := range []shape{dense, counted, sparseCounted} {
			before := []byte{1, 2, 3}
			if got, want := appendCounts(bytes.Clone(before), x, c, s), append(before, plainCounts(x, c, s)...); !bytes.Equal(got, want) {
				t.Fatalf("%v, shape %d: %v, want %v", x, s, got, want)
			}
		}
	}
}

func TestCounts(t *testing.T) {
	t.Run("int32", func(t *testing.T) { testCounts[int32](t, math.MinInt32, math.MaxInt32) })
	t.Run("int64", func(t *testing.T) { testCounts[int64](t, math.MinInt64, math.MaxInt64) })
}

// The smallest shape is taken.
func TestCountsShape(t *testing.T) {
	for range 2000 {
		x := make([]int32, rand.IntN(50))
		for i := range x {
			x[i] = int32(rand.Uint32()) >> rand.IntN(32) * int32(rand.IntN(2))
		}
		c := count(x)
		best := len(plainCounts(x, c, c.shape(len(x), 4)))
		for _, s := range []shape{dense, counted, sparseCounted} {
			if n := len(plainCounts(x, c, s)); n < best {
				t.Fatalf("%v: shape %d takes %d bytes, less than %d", x, s, n, best)
			}
		}
	}
}
