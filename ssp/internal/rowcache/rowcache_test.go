package rowcache

import (
	"math/rand/v2"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
	"github.com/sspurn/sspurn/ssp/internal/codec"
)

func same(row int64) int64 { return row }

// copyOf is a copy of a row on its way.
type copyOf struct {
	row, value     int64
	epoch          uint32
	age            int64
	applied, order uint64
}

func install(t *testing.T, c *Cache[int64], x copyOf) {
	t.Helper()
	var e codec.Encoder
	e.Begin(nil, codec.Header{Kind: codec.Rows, Epoch: x.epoch})
	e.Table(codec.Block{Type: codec.Int64, Width: 2, Age: max(0, x.age)})
	codec.Dense(&e, x.row, []int64{x.value, -x.value})
	var d codec.Decoder
	if err := d.Reset(e.End()); err != nil {
		t.Fatal(err)
	}
	if !d.NextTable() || !d.NextRow() {
		t.Fatal("no row")
	}
	if err := c.Install(&d, x.epoch, x.age, x.applied, x.order); err != nil {
		t.Fatal(err)
	}
}

// shows fails unless the cache has the row with a value, an age and a version.
func shows(t *testing.T, c *Cache[int64], row, value, age int64, applied uint64) {
	t.Helper()
	s := c.Find(row)
	if s < 0 {
		t.Fatalf("row %d is absent", row)
	}
	x := c.Rows().At(s)
	if a, v := c.Age(s); x[0] != value || x[1] != -value || a != age || v != applied {
		t.Fatalf("row %d: %v, age %d, applied %d; want %d, %d, %d", row, x, a, v, value, age, applied)
	}
}

// TestOvertaking: the copy that the owner made last stays, whatever comes last.
func TestOvertaking(t *testing.T) {
	c := New[int64](10, same, 2, false, false, 1<<20)
	install(t, c, copyOf{row: 3, value: 1, age: 1, order: 1})
	if c.Find(3) >= 0 {
		t.Fatal("a row that nobody wants is kept")
	}
	c.Want(3, 1, 1, false)
	if c.Find(3) >= 0 {
		t.Fatal("a row is there before it has come")
	}
	install(t, c, copyOf{row: 3, value: 5, age: 5, applied: 4, order: 50})
	install(t, c, copyOf{row: 3, value: 4, age: 4, applied: 3, order: 40})
	shows(t, c, 3, 5, 5, 4)
	install(t, c, copyOf{row: 3, value: 6, age: 6, applied: 6, order: 60})
	shows(t, c, 3, 6, 6, 6)
}

// TestPushed: a row that was not in a push has the clock and version of it, also
// when its copy comes after the push.
func TestPushed(t *testing.T) {
	c := New[int64](10, same, 2, false, true, 1<<20)
	c.Want(3, 1, 1, false)
	c.Pushed(0, 7, 9, 70)
	install(t, c, copyOf{row: 3, value: 5, age: 5, applied: 4, order: 50})
	shows(t, c, 3, 5, 7, 9)
	install(t, c, copyOf{row: 3, value: 6, age: 8, applied: 10, order: 80})
	c.Pushed(0, 8, 10, 80)
	shows(t, c, 3, 6, 8, 10)
	c.Pushed(0, 9, 11, 90)
	shows(t, c, 3, 6, 9, 11)
	if clock, version := c.Told(); clock != 9 || version != 11 {
		t.Errorf("told %d, %d", clock, version)
	}
}

// TestEvicted: an answer from before an eviction, when pushes passed the row by,
// is not taken for one from after it.
func TestEvicted(t *testing.T) {
	c := New[int64](10, same, 2, false, true, overhead+16)
	c.Want(1, 0, 0, false)
	install(t, c, copyOf{row: 1, value: 1, order: 10})
	for row := int64(2); c.Find(1) >= 0; row++ { // room for one
		if row == 10 {
			t.Fatal("row 1 stays")
		}
		c.Want(row, 0, 0, false)
		install(t, c, copyOf{row: row, value: row, order: 20})
	}
	if c.Evicted() == 0 {
		t.Error("no eviction is counted")
	}
	install(t, c, copyOf{row: 1, value: 3, order: 30}) // pushed, and ignored
	c.Pushed(0, 4, 4, 30)
	if !c.Want(1, 0, 0, false) {
		t.Fatal("an evicted row is not asked for")
	}
	install(t, c, copyOf{row: 1, value: 2, order: 25})
	if c.Find(1) >= 0 {
		t.Fatal("a copy from before the eviction is taken for a new one")
	}
	install(t, c, copyOf{row: 1, value: 3, age: 4, applied: 4, order: 30})
	shows(t, c, 1, 3, 4, 4)
}

// TestWant: a row is asked for again unless the answer under way will do and
// does not wait for the asker itself.
func TestWant(t *testing.T) {
	for _, x := range []struct {
		name     string
		push     bool
		present  bool
		asked    int64 // by whoever came first; None
		age, now int64
		pin      bool
		ask      bool
	}{
		{"absent", false, false, None, 2, 2, true, true},
		{"asked for", false, false, 2, 2, 2, true, false},
		{"asked for something fresher, which will come", false, false, 2, 1, 2, true, false},
		{"asked for something older", false, false, 1, 2, 2, true, true},
		{"what was asked for waits for the asker", false, false, 3, 2, 2, true, true},
		{"prefetches do not wait", false, false, 3, 2, 2, false, false},
		{"too old", false, true, None, 2, 2, true, true},
		{"pushed", true, true, None, 2, 2, true, false},
		{"to be pushed, not there yet", true, false, None, 2, 2, true, true},
	} {
		c := New[int64](10, same, 2, false, x.push, 1<<20)
		if x.present {
			c.Want(3, 0, 0, false)
			install(t, c, copyOf{row: 3, value: 1, order: 1})
		}
		if x.asked != None {
			c.Want(3, x.asked, x.asked, false)
		}
		if ask := c.Want(3, x.age, x.now, x.pin); ask != x.ask {
			t.Errorf("%s: ask %v", x.name, ask)
		}
	}
}

// TestReset: copies of an epoch are too old for the next one, also those that
// come late; pushes of the next one that came early count.
func TestReset(t *testing.T) {
	c := New[int64](10, same, 2, false, false, 1<<20)
	c.Want(3, 5, 5, false)
	install(t, c, copyOf{row: 3, value: 1, age: 1 << 62, applied: 1, order: 1})
	c.Want(4, 6, 5, false) // prefetched for a clock that the epoch does not reach
	c.Reset(1, 5)
	shows(t, c, 3, 1, 4, 1)
	install(t, c, copyOf{row: 4, value: 2, age: 1 << 62, order: 2})
	shows(t, c, 4, 2, 4, 0)
	if !c.Want(4, 6, 6, true) {
		t.Error("nobody asks for what an answer of the old epoch was to be")
	}
	install(t, c, copyOf{row: 4, value: 3, epoch: 1, age: 6, order: 3})
	shows(t, c, 4, 3, 6, 0)

	p := New[int64](10, same, 2, false, true, 1<<20)
	p.Want(3, 0, 0, false)
	install(t, p, copyOf{row: 3, value: 1, age: 2, order: 1})
	p.Pushed(1, 5, 8, 9)
	p.Reset(1, 5)
	shows(t, p, 3, 1, 5, 8)
	p.Pushed(0, 1<<62, 7, 8) // of the epoch that is over
	shows(t, p, 3, 1, 5, 8)
	p.Pushed(1, 6, 9, 10)
	shows(t, p, 3, 1, 6, 9)
}

// TestBounded: pinned copies stay, others go when there is no room, and what is
// there is what the owner had last. Pins that are taken back hold nothing.
func TestBounded(t *testing.T) {
	const rows = 200
	for seed := range seeds.Count(t, 10) {
		rng := rand.New(rand.NewPCG(seed, 1))
		const limit = 20 * (overhead + 16)
		c := New[int64](rows, same, 2, false, seed%2 == 1, limit)
		values, pins, present := map[int64]int64{}, map[int64]int{}, map[int64]bool{}
		order, most := uint64(0), 0
		for step := range int64(5000) {
			row := rng.Int64N(rows)
			if len(pins) < 15 && rng.IntN(3) == 0 {
				c.Want(row, 0, 0, true)
				pins[row]++
			} else {
				c.Want(row, 0, 0, false)
			}
			order++
			values[row] = step
			install(t, c, copyOf{row: row, value: step, order: order})
			present[row] = true
			for row := range pins {
				if c.Find(row) < 0 {
					t.Fatalf("seed %d step %d: pinned row %d has gone", seed, step, row)
				}
				if rng.IntN(10) == 0 {
					for range pins[row] {
						c.Unpin(row)
					}
					delete(pins, row)
				}
			}
			used := 0
			for row := range present {
				s := c.Find(row)
				if s < 0 {
					delete(present, row)
					continue
				}
				used += overhead + 16
				if got := c.Rows().At(s)[0]; got != values[row] {
					t.Fatalf("seed %d step %d: row %d holds %d, want %d", seed, step, row, got, values[row])
				}
			}
			if used != c.Bytes() {
				t.Fatalf("seed %d step %d: %d bytes, want %d", seed, step, c.Bytes(), used)
			}
			most = max(most, used)
		}
		if most > limit || c.Evicted() < 1000 {
			t.Errorf("seed %d: %d bytes of %d, %d evictions", seed, most, limit, c.Evicted())
		}
	}
}
