package clock

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// TestVector compares the vector with a slice whose minimum is looked for.
func TestVector(t *testing.T) {
	for seed := range seeds.Count(t, 20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := []int{1, 2, 3, 5, 8}[seed%5]
		v, want := NewVector(n), make([]int64, n)
		for step := range 2000 {
			was, epoch := slices.Min(want), v.Epoch()
			m, to := rng.IntN(n), was+rng.Int64N(4)
			switch k := rng.IntN(50); {
			case k == 0: // another epoch begins
				v.Reset(to)
				for i := range want {
					want[i] = to
				}
				if v.Epoch() != epoch+1 {
					t.Fatalf("epoch %d after %d", v.Epoch(), epoch)
				}
			case k < 5: // announced for another one
				if v.Step(epoch+1, m, to+100) || v.Step(epoch-1, m, Forever) {
					t.Fatalf("seed %d step %d: another epoch's clock counts", seed, step)
				}
			default:
				if k == 5 {
					to = Forever
				}
				want[m] = max(want[m], to)
				if rose := v.Step(epoch, m, to); rose != (slices.Min(want) > was) {
					t.Fatalf("seed %d step %d: rose %v, %d after %d", seed, step, rose, slices.Min(want), was)
				}
			}
			if v.Min() != slices.Min(want) || v.At(m) != want[m] || v.Len() != n {
				t.Fatalf("seed %d step %d: %v, want %v", seed, step, v, want)
			}
			if v.Min() == Forever {
				v.Reset(0)
				clear(want)
			}
		}
	}
}

func TestVectorString(t *testing.T) {
	v := NewVector(3)
	v.Step(0, 0, Forever)
	v.Step(0, 2, 4)
	if got := v.String(); got != "min=0 [∞ 0 4]" {
		t.Error(got)
	}
}

// TestParking compares the heap with a sorted list.
func TestParking(t *testing.T) {
	type request struct {
		at  int64
		who int
	}
	for seed := range seeds.Count(t, 20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var p Parking[int]
		var want []request
		low := int64(0)
		for step := range 1000 {
			if rng.IntN(3) > 0 {
				at := low + rng.Int64N(10) - 2
				p.Park(at, step)
				want = append(want, request{at, step})
				slices.SortStableFunc(want, func(a, b request) int { return cmp.Compare(a.at, b.at) })
				continue
			}
			low += rng.Int64N(3)
			for {
				who, ok := p.Release(low)
				if ok != (len(want) > 0 && want[0].at <= low) || ok && who != want[0].who {
					t.Fatalf("seed %d step %d: released %d, %v of %v at %d", seed, step, who, ok, want, low)
				}
				if !ok {
					break
				}
				want = want[1:]
			}
			if p.Len() != len(want) {
				t.Fatalf("seed %d: %d wait, want %d", seed, p.Len(), len(want))
			}
		}
	}
}

// TestOrder: batches come out by clock, then by member, and none before its
// clock is over.
func TestOrder(t *testing.T) {
	type batch struct {
		clock  int64
		member int
	}
	for seed := range seeds.Count(t, 20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		n := []int{1, 2, 3, 5, 8}[seed%5]
		o, v := NewOrder[batch](n), NewVector(n)
		var got []batch
		held := 0
		for range 2000 {
			m := rng.IntN(n)
			at := v.At(m)
			if at == 50 {
				continue
			}
			o.Hold(m, at, batch{at, m})
			held++
			v.Step(0, m, at+1)
			for {
				member, b, ok := o.Next(v.Min())
				if !ok {
					break
				}
				if member != b.member || b.clock >= v.Min() {
					t.Fatalf("seed %d: %v of member %d at %v", seed, b, member, v)
				}
				got = append(got, b)
			}
			if done := int(min(v.Min(), 50)) * n; len(got) != done {
				t.Fatalf("seed %d: %d batches out, want %d at %v", seed, len(got), done, v)
			}
		}
		for i, b := range got {
			if b != (batch{int64(i / n), i % n}) {
				t.Fatalf("seed %d: batch %d is %v", seed, i, b)
			}
		}
	}
}
