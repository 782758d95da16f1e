//go:build !race

package codec

import (
	"math/rand/v2"
	"testing"
)

// TestNoAllocation: encoding into a buffer that is long enough and applying in
// place make no object. (The race detector allocates.)
func TestNoAllocation(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	t.Run("floats", func(t *testing.T) { testNoAllocation(t, factors(rng, 32)) })
	t.Run("counts", func(t *testing.T) { testNoAllocation(t, topics(rng, 100)) })
}

func testNoAllocation[T Elem](t *testing.T, rows [][]T) {
	var e Encoder
	var d Decoder
	buf := encodeRows(&e, make([]byte, 0, 1<<20), rows)
	slab := make([]T, benchRows*len(rows[0]))
	if n := testing.AllocsPerRun(20, func() { buf = encodeRows(&e, buf, rows) }); n != 0 {
		t.Errorf("encode: %v allocations", n)
	}
	if n := testing.AllocsPerRun(20, func() {
		if err := decodeRows(&d, buf, slab); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("apply: %v allocations", n)
	}
}
