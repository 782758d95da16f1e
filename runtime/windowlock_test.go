package runtime

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// TestLockOrder gives a lock requests and returns at random, and compares who
// holds it with a list of all requests in order: of these, the first that have
// not come back hold it, as many as may hold it together.
func TestLockOrder(t *testing.T) {
	for seed := range seeds.Count(t, 50) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 2))
			e := newEngine(0, []string{"a", "b", "c"}, slog.New(slog.DiscardHandler))
			e.t = new(sink)
			g := newRegion(1, e.groups[0], newCells(elemOf[int8](), nil), 3)
			var all []lockRequest
			for id := range uint64(300) {
				if n := len(all); n > 0 && rnd.IntN(2) == 0 {
					i := rnd.IntN(n)
					e.unlock(g, all[i].peer, all[i].id)
					all = slices.Delete(all, i, i+1)
				} else {
					q := lockRequest{peer: rnd.IntN(3), id: id, shared: rnd.IntN(3) > 0}
					e.wantLock(g, q)
					all = append(all, q)
				}
				holders := min(len(all), 1)
				for holders > 0 && all[0].shared && holders < len(all) && all[holders].shared {
					holders++
				}
				if !slices.Equal(g.lock.holders, all[:holders]) || !slices.Equal(g.lock.queue, all[holders:]) {
					t.Fatalf("held by %v, wanted by %v; want %v and %v", g.lock.holders, g.lock.queue, all[:holders], all[holders:])
				}
			}
			e.unlock(g, 2, 1000) // not known: nothing happens
		})
	}
}
