package slab

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// TestIndex compares the index with a map.
func TestIndex(t *testing.T) {
	for seed := range seeds.Count(t, 20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		rows := int64(300)
		if seed%2 == 1 {
			rows = 1 << 50
		}
		row := func() int64 { return rng.Int64N(150) * (rows / 300) }
		x, want := NewIndex(rows), map[int64]int{}
		if x.Direct() != (rows == 300) {
			t.Fatal("wrong kind of index")
		}
		for i := range 5000 {
			r := row()
			if s, ok := want[r]; ok != (x.Find(r) >= 0) || ok && s != x.Find(r) {
				t.Fatalf("seed %d step %d: row %d at %d, want %d %v", seed, i, r, x.Find(r), s, ok)
			}
			_, has := want[r]
			switch {
			case !has:
				x.Put(r, i)
				want[r] = i
			case rng.IntN(3) > 0:
				x.Delete(r)
				delete(want, r)
			case rng.IntN(200) == 0:
				x.Reset()
				clear(want)
			}
		}
		if x.Find(-1) >= 0 || x.Find(rows) >= 0 {
			t.Error("a row outside was found")
		}
	}
}

// TestRows does the same with dense and with sparse rows.
func TestRows(t *testing.T) {
	const width, slots = 40, 30
	rng := rand.New(rand.NewPCG(1, 2))
	dense, sparse := NewRows[int32](width, false), NewRows[int32](width, true)
	dense.Grow(slots)
	sparse.Grow(slots)
	x, y := make([]int32, width), make([]int32, width)
	for i := range 20_000 {
		s := rng.IntN(slots)
		clear(x)
		var col []int32
		var val []int32
		for c := range int32(width) {
			if rng.IntN(12) == 0 {
				x[c] = int32(rng.IntN(5) - 2)
				col, val = append(col, c), append(val, x[c])
			}
		}
		switch rng.IntN(7) {
		case 0:
			dense.Clear(s)
			sparse.Clear(s)
		case 1:
			dense.SetDense(s, x)
			sparse.SetDense(s, x)
		case 2:
			dense.AddDense(s, x)
			sparse.AddDense(s, x)
		case 3:
			dense.AddEntries(s, col, val)
			sparse.AddEntries(s, col, val)
		case 4:
			o := (s + 1 + rng.IntN(slots-1)) % slots
			dense.Set(s, &dense, o)
			sparse.Set(s, &sparse, o)
		case 5:
			o := (s + 1 + rng.IntN(slots-1)) % slots
			dense.Add(s, &dense, o)
			sparse.Add(s, &sparse, o)
		default:
			c, v := rng.IntN(width), int32(rng.IntN(3)-1)
			dense.AddAt(s, c, v)
			sparse.AddAt(s, c, v)
		}
		dense.CopyTo(x, s)
		sparse.CopyTo(y, s)
		if !slices.Equal(x, y) || dense.Zero(s) != sparse.Zero(s) {
			t.Fatalf("step %d, slot %d: dense %v, sparse %v", i, s, x, y)
		}
		if c, v := sparse.Entries(s); slices.Contains(v, 0) || !slices.IsSorted(c) {
			t.Fatalf("step %d: entries %v %v", i, c, v)
		}
	}
}
