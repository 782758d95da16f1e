//go:build linux && !portable

package shm

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestPut copies runs of lengths around those at which the way to do it
// changes, from and to any alignment, and looks at what lies around them too.
func TestPut(t *testing.T) {
	var seed [32]byte
	from := make([]byte, 80<<10)
	rand.NewChaCha8(seed).Read(from)
	for _, n := range []int{0, 1, 63, 64, 511, 512, 513, 2047, 2048, 4096, 8192, 32 << 10, 64<<10 + 1} {
		for _, room := range []int{0, 1, 511, 512, 513, n - 1, n, n + 1} {
			for _, at := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {16, 0}, {31, 0}, {32, 0}, {16, 40}, {64, 3}, {7, 64}} {
				if room < 0 {
					continue
				}
				to := bytes.Repeat([]byte{0xaa}, at[0]+room+64)
				b := from[at[1] : at[1]+n]
				want := bytes.Clone(to)
				k := copy(want[at[0]:at[0]+room], b)
				if got := put(to[at[0]:at[0]+room], b); got != k {
					t.Fatalf("%d bytes into %d: %d copied, want %d", n, room, got, k)
				}
				if !bytes.Equal(to, want) {
					t.Fatalf("%d bytes into %d, offsets %d: memory differs", n, room, at)
				}
			}
		}
	}
}
