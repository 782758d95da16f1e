package codec

import (
	"bytes"
	stderrors "errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
)

// entry is a row as the tests remember it.
type entry[T Elem] struct {
	row int64
	age int64
	x   []T
}

// fill makes rows of a given density.
func fill[T Elem](rng *rand.Rand, width int, density float64) []T {
	x := make([]T, width)
	for i := range x {
		if rng.Float64() >= density {
			continue
		}
		switch p := any(&x[i]).(type) {
		case *float32:
			*p = float32(rng.NormFloat64())
		case *float64:
			*p = rng.NormFloat64()
		case *int32:
			*p = int32(rng.Uint32()) >> rng.IntN(32)
		case *int64:
			*p = int64(rng.Uint64()) >> rng.IntN(64)
		}
	}
	return x
}

func bitsOf[T Elem](v T) uint64 {
	switch v := any(v).(type) {
	case float32:
		return uint64(math.Float32bits(v))
	case float64:
		return math.Float64bits(v)
	case int32:
		return uint64(v)
	case int64:
		return uint64(v)
	}
	panic("unreachable")
}

func sameBits[T Elem](a, b []T) bool {
	return slices.EqualFunc(a, b, func(x, y T) bool { return bitsOf(x) == bitsOf(y) })
}

func toSparse[T Elem](x []T) (col []int32, val []T) {
	for i, v := range x {
		if bitsOf(v) != 0 {
			col, val = append(col, int32(i)), append(val, v)
		}
	}
	return col, val
}

func testRoundTrip[T Elem](t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	h := Header{
		Kind: Rows, Flags: Push | More, Rank: rng.IntN(1 << 20), Incarnation: rng.Uint32(), Version: rng.Uint64(),
		Clock: rng.Int64(), Epoch: rng.Uint32(), Branch: rng.Uint32(), ID: rng.Uint64(), Last: rng.IntN(1 << 31),
	}
	blocks := make([]Block, rng.IntN(4))
	rows := make([][]entry[T], len(blocks))
	var e Encoder
	e.Begin([]byte("before"), h)
	for i := range blocks {
		blocks[i] = Block{Table: rng.Uint32() >> rng.IntN(32), Type: TypeOf[T](), Width: rng.IntN(40), Age: rng.Int64N(100)}
		e.Table(blocks[i])
		row, age, density := int64(-1), blocks[i].Age, rng.Float64()
		for range rng.IntN(12) {
			row += 1 + rng.Int64N(int64(1)<<rng.IntN(40))
			if rng.IntN(4) == 0 {
				age = rng.Int64N(200)
				e.Age(age)
			}
			x := fill[T](rng, blocks[i].Width, density)
			if rng.IntN(2) == 0 {
				Dense(&e, row, x)
			} else {
				col, val := toSparse(x)
				Sparse(&e, row, col, val)
			}
			rows[i] = append(rows[i], entry[T]{row, age, x})
		}
	}
	msg, ok := bytes.CutPrefix(e.End(), []byte("before"))
	if !ok {
		t.Fatalf("seed %d: the buffer's content was lost", seed)
	}
	if err := Check(msg); err != nil {
		t.Fatalf("seed %d: check: %v", seed, err)
	}
	// Every cut of a message is malformed, and so is a byte more.
	for n := range msg {
		if err := Check(msg[:n]); !stderrors.Is(err, ErrMalformed) {
			t.Fatalf("seed %d: cut to %d of %d: %v", seed, n, len(msg), err)
		}
	}
	if err := Check(append(slices.Clone(msg), 0)); !stderrors.Is(err, ErrMalformed) {
		t.Fatalf("seed %d: a byte behind the end: %v", seed, err)
	}

	var d Decoder
	if err := d.Reset(msg); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if d.Header() != h {
		t.Fatalf("seed %d: header %+v, want %+v", seed, d.Header(), h)
	}
	for i, b := range blocks {
		if !d.NextTable() {
			t.Fatalf("seed %d: table %d missing: %v", seed, i, d.Err())
		}
		if d.Block() != b {
			t.Fatalf("seed %d: block %+v, want %+v", seed, d.Block(), b)
		}
		if rng.IntN(5) == 0 {
			continue // pass over the table
		}
		for _, want := range rows[i] {
			if !d.NextRow() || d.Row() != want.row || d.Age() != want.age {
				t.Fatalf("seed %d: row %d age %d, want %d age %d: %v", seed, d.Row(), d.Age(), want.row, want.age, d.Err())
			}
			readRow(t, rng, &d, want.x, seed)
		}
		if d.NextRow() {
			t.Fatalf("seed %d: row %d too many", seed, d.Row())
		}
	}
	if d.NextTable() || d.Err() != nil {
		t.Fatalf("seed %d: end: %v", seed, d.Err())
	}
}

func readRow[T Elem](t *testing.T, rng *rand.Rand, d *Decoder, want []T, seed uint64) {
	t.Helper()
	got := fill[T](rng, len(want), 1)
	switch rng.IntN(4) {
	case 0: // pass over the row
		return
	case 1:
		if err := CopyTo(d, got); err != nil || !sameBits(got, want) {
			t.Fatalf("seed %d: copy %v, want %v: %v", seed, got, want, err)
		}
	case 2:
		sum := slices.Clone(got)
		for i, v := range want {
			sum[i] += v
		}
		if err := AddTo(d, got); err != nil || !sameBits(got, sum) {
			t.Fatalf("seed %d: add %v, want %v: %v", seed, got, sum, err)
		}
	case 3:
		wc, wv := toSparse(want)
		col, val, err := SparseTo[T](d, len(want), nil, nil)
		if err != nil || !slices.Equal(col, wc) || !sameBits(val, wv) {
			t.Fatalf("seed %d: sparse %v %v, want %v %v: %v", seed, col, val, wc, wv, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for seed := range seeds.Count(t, 300) {
		testRoundTrip[float32](t, seed)
		testRoundTrip[float64](t, seed)
		testRoundTrip[int32](t, seed)
		testRoundTrip[int64](t, seed)
	}
}

func TestExtremes(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	testRow(t, []float64{0, math.Copysign(0, -1), inf, -inf, nan, math.SmallestNonzeroFloat64, math.MaxFloat64})
	testRow(t, []float32{0, float32(math.Copysign(0, -1)), float32(inf), float32(nan)})
	testRow(t, []float32{0, 0, 0, 0, 0, 0, float32(math.Copysign(0, -1)), 0, 0, 0})
	testRow(t, []int32{math.MinInt32, math.MaxInt32, 0, -1, 1})
	testRow(t, []int64{math.MinInt64, math.MaxInt64, 0, -1, 1})
	testRow(t, []int64{})
}

func testRow[T Elem](t *testing.T, x []T) {
	t.Helper()
	var e Encoder
	var d Decoder
	col, val := toSparse(x)
	for _, row := range []int64{0, math.MaxInt64 >> 4} {
		for i, add := range []func(){
			func() { Dense(&e, row, x) },
			func() { Sparse(&e, row, col, val) },
		} {
			e.Begin(nil, Header{Kind: Batch, Flags: Ticks, Clock: Forever})
			e.Table(Block{Table: math.MaxUint32, Type: TypeOf[T](), Width: len(x)})
			add()
			if err := d.Reset(e.End()); err != nil {
				t.Fatal(err)
			}
			if !d.NextTable() || d.Block().Table != math.MaxUint32 || !d.NextRow() || d.Row() != row {
				t.Fatalf("form %d: table %v row %d: %v", i, d.Block(), d.Row(), d.Err())
			}
			got := make([]T, len(x))
			if err := CopyTo(&d, got); err != nil || !sameBits(got, x) {
				t.Fatalf("form %d: got %v, want %v: %v", i, got, x, err)
			}
		}
	}
}

// TestSmallest compares the length of a row with that of every shape it could
// have taken.
func TestSmallest(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 500 {
		width := 1 + rng.IntN(200)
		x := fill[int32](rng, width, rng.Float64())
		raw, all, few, n, last := 4*width, 0, 0, 0, -1
		for i, v := range x {
			l := uvarintLen(zigzag(int64(v)))
			all += l
			if v != 0 {
				few += l + uvarintLen(uint64(i-last-1))
				last = i
				n++
			}
		}
		few += uvarintLen(uint64(n))
		best := min(raw, all, few)
		col, val := toSparse(x)
		var e Encoder
		e.Begin(nil, Header{Kind: Batch})
		e.Table(Block{Type: Int32, Width: width})
		start := e.Len()
		Dense(&e, 0, x)
		if got := e.Len() - start - 1; got != best {
			t.Fatalf("dense row of %d bytes, the smallest shape has %d (raw %d, counted %d, sparse %d)", got, best, raw, all, few)
		}
		start = e.Len()
		Sparse(&e, 1, col, val)
		if got := e.Len() - start - 1; got > best {
			t.Fatalf("sparse row of %d bytes, the smallest shape has %d (raw %d, counted %d, sparse %d)", got, best, raw, all, few)
		}
		e.End()
	}
}

func TestRequest(t *testing.T) {
	var e Encoder
	e.Begin(nil, Header{Kind: Request, Flags: Subscribe, Rank: 3, ID: 9})
	e.Table(Block{Table: 1, Type: Float32, Width: 32, Age: 5})
	e.Want(0)
	e.Want(7)
	e.Age(6)
	e.Want(1 << 40)
	e.Table(Block{Table: 0, Type: Int64, Width: 1})
	e.Want(2)
	msg := e.End()
	if err := Check(msg); err != nil {
		t.Fatal(err)
	}
	type want struct {
		table    uint32
		row, age int64
	}
	var got []want
	var d Decoder
	if err := d.Reset(msg); err != nil {
		t.Fatal(err)
	}
	for d.NextTable() {
		for d.NextRow() {
			got = append(got, want{d.Block().Table, d.Row(), d.Age()})
		}
	}
	if d.Err() != nil || !slices.Equal(got, []want{{1, 0, 5}, {1, 7, 5}, {1, 1 << 40, 6}, {0, 2, 0}}) {
		t.Fatalf("got %v: %v", got, d.Err())
	}
}

func TestMalformed(t *testing.T) {
	header := []byte{byte(Rows), 0, 0, 0, 0, 0, 0, 0, 0}
	over := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	for name, body := range map[string][]byte{
		"no end":            {},
		"unknown type":      {1, 9, 0, 0, 0, 0},
		"value coding":      {1, 0x11, 0, 0, 0, 0},
		"table too large":   append(slices.Clone(over), 1, 1, 0, 0, 0),
		"width too large":   {1, 1, 0x81, 0x80, 0x80, 0x40, 0, 0, 0},
		"counts of floats":  {1, 1, 1, 0, 8 | 2, 0, 0, 0},
		"too many entries":  {1, 1, 1, 0, 8 | 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"column outside":    {1, 3, 2, 0, 8 | 3, 1, 2, 0, 0, 0},
		"count overflows":   append(append([]byte{1, 3, 1, 0, 8 | 2}, over[1:]...), 0, 0),
		"short dense":       {1, 1, 4, 0, 8, 1, 2, 3},
		"row overflows":     append(append([]byte{1, 1, 0, 0}, bytes.Repeat(append([]byte{0xf8}, over[2:]...), 9)...), 0, 0),
		"gap of zero":       {1, 1, 0, 0, 1, 0, 0},
		"varint of 11 byte": append([]byte{1, 1}, append(bytes.Repeat([]byte{0x80}, 11), 0, 0, 0)...),
	} {
		if err := Check(append(slices.Clone(header), body...)); !stderrors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, msg := range map[string][]byte{
		"empty": {}, "kind 0": {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "kind 9": {9, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "flags": {1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		if err := Check(msg); !stderrors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWrongTable: the reader's idea of a table wins over the message's.
func TestWrongTable(t *testing.T) {
	var e Encoder
	e.Begin(nil, Header{Kind: Rows})
	e.Table(Block{Type: Float32, Width: 3})
	Dense(&e, 0, []float32{1, 2, 3})
	msg := e.End()
	row := func() *Decoder {
		d := new(Decoder)
		if err := d.Reset(msg); err != nil || !d.NextTable() || !d.NextRow() {
			t.Fatal(d.Err())
		}
		return d
	}
	if err := AddTo(row(), make([]float32, 4)); !stderrors.Is(err, ErrMalformed) {
		t.Errorf("width: %v", err)
	}
	if err := CopyTo(row(), make([]int32, 3)); !stderrors.Is(err, ErrMalformed) {
		t.Errorf("type: %v", err)
	}
	if _, _, err := SparseTo[float32](row(), 2, nil, nil); !stderrors.Is(err, ErrMalformed) {
		t.Errorf("sparse width: %v", err)
	}
}
