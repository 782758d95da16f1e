package shard_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/runtime/runtimetest/seeds"
	"github.com/sspurn/sspurn/ssp/internal/codec"
	"github.com/sspurn/sspurn/ssp/internal/rule"
	"github.com/sspurn/sspurn/ssp/internal/shard"
)

// One shard and ranks that send it gradients, in batches that tick or do not,
// sometimes twice, of one or several blocks; and take copies of its rows by
// requests and pushes. The reference keeps every row as one packed slice and
// steps it with the same rule; the rule itself is tested on its own.

const (
	ruledRows  = 9
	ruledWidth = 6
)

type ruledBlock struct {
	rows []int64
	g    [][]float64 // as long as the rule's head
}

type ruledSim struct {
	t     *testing.T
	rng   *rand.Rand
	n     int
	rule  *rule.Rule[float64]
	shard *shard.Shard[int]
	rows  *shard.Rows[float64]
	want  [][]float64           // packed
	held  [][]*ruledBatch       // ordered: by rank, those of later clocks
	copy  []map[int64][]float64 // by rank: the head of its newest copy
	last  [][]byte              // by rank: its last batch
	sent  []uint64
	clock []int64
	seen  int // rows compared
	steps int
}

type ruledBatch struct{ blocks []ruledBlock }

func (s *ruledSim) apply(b *ruledBatch) {
	for _, block := range b.blocks {
		for i, row := range block.rows {
			if !s.rows.Data().Sparse() {
				s.rule.Step(row, s.want[row], slices.Clone(block.g[i]))
				continue
			}
			// Elements without a gradient do not take part.
			packed := s.want[row]
			var at []int
			for c, v := range block.g[i] {
				if v != 0 {
					at = append(at, c)
				}
			}
			parts := len(packed) / ruledWidth
			x := make([]float64, parts*len(at))
			g := make([]float64, len(at))
			for k := range parts {
				for j, c := range at {
					x[k*len(at)+j] = packed[k*ruledWidth+c]
					g[j] = block.g[i][c]
				}
			}
			s.rule.Elements(x[:len(at)], x[len(at):], &packed[len(packed)-1], g)
			for k := range parts {
				for j, c := range at {
					packed[k*ruledWidth+c] = x[k*len(at)+j]
				}
			}
		}
	}
}

// send makes the next batch of a rank and delivers it.
func (s *ruledSim) send(rank int, ordered, sparse bool) {
	ticks := ordered || s.rng.IntN(3) > 0
	s.sent[rank]++
	h := codec.Header{Kind: codec.Batch, Rank: rank, Version: s.sent[rank]}
	if ticks {
		h.Flags, h.Clock = codec.Ticks, s.clock[rank]+1
		s.clock[rank]++
	}
	var enc codec.Encoder
	enc.Begin(nil, h)
	b := &ruledBatch{}
	for range s.rng.IntN(3) {
		enc.Table(codec.Block{Type: codec.Float64, Width: s.rule.Head()})
		var block ruledBlock
		for row := range int64(ruledRows) {
			if s.rng.IntN(3) == 0 {
				continue
			}
			g := make([]float64, s.rule.Head())
			for i := range ruledWidth {
				if s.rng.IntN(3) > 0 {
					g[i] = s.rng.NormFloat64()
				}
			}
			for i := ruledWidth; i < len(g); i++ {
				g[i] = math.NaN()
				if c := s.copy[rank][row]; c != nil {
					g[i] = c[i]
				}
			}
			codec.Dense(&enc, row, g)
			block.rows, block.g = append(block.rows, row), append(block.g, g)
		}
		b.blocks = append(b.blocks, block)
	}
	msg := enc.End()
	if _, _, err := s.shard.Batch(rank, msg); err != nil {
		s.t.Fatal(err)
	}
	s.last[rank] = msg
	if !ordered {
		s.apply(b)
		return
	}
	s.held[rank] = append(s.held[rank], b)
	for {
		for _, q := range s.held {
			if len(q) == 0 {
				return
			}
		}
		for r := range s.held {
			s.apply(s.held[r][0])
			s.held[r] = s.held[r][1:]
		}
	}
}

// take compares rows that left the shard with the reference.
func (s *ruledSim) take(rank int, msg []byte) {
	var d codec.Decoder
	if err := d.Reset(msg); err != nil {
		s.t.Fatal(err)
	}
	for d.NextTable() {
		for d.NextRow() {
			head := make([]float64, s.rule.Head())
			if err := codec.CopyTo(&d, head); err != nil {
				s.t.Fatal(err)
			}
			row := d.Row()
			if !slices.Equal(head, s.want[row][:len(head)]) {
				s.t.Fatalf("step %d: row %d leaves as %v, want %v", s.steps, row, head, s.want[row][:len(head)])
			}
			s.copy[rank][row] = head
			s.seen++
		}
	}
}

func simulateRule(t *testing.T, seed uint64, n int, spec rule.Spec, ordered, sparse bool, steps int) int {
	r := rule.New[float64](spec, ruledWidth, nil)
	s := &ruledSim{
		t: t, rng: rand.New(rand.NewPCG(seed, uint64(n))), n: n, rule: r, shard: shard.New[int](0, n),
		held: make([][]*ruledBatch, n), last: make([][]byte, n), sent: make([]uint64, n), clock: make([]int64, n),
	}
	init := func(row int64, x []float64) { x[row%ruledWidth] = float64(row) / 8 }
	s.rows = shard.NewRows(shard.Spec[float64]{
		Rows: ruledRows, Local: func(row int64) int64 { return row }, Global: func(local int64) int64 { return local },
		Owned: func(int64) bool { return true }, Width: ruledWidth, Sparse: sparse, Ordered: ordered, Pushed: !ordered, Eager: !ordered,
		Init: init, Rule: r,
	}, n)
	s.shard.AddTable(s.rows)
	for row := range int64(ruledRows) {
		packed := make([]float64, r.Packed())
		init(row, packed[:ruledWidth])
		r.Start(packed)
		s.want = append(s.want, packed)
	}
	for range n {
		s.copy = append(s.copy, map[int64][]float64{})
	}
	for s.steps = 0; s.steps < steps; s.steps++ {
		rank := s.rng.IntN(n)
		switch s.rng.IntN(4) {
		case 0:
			s.send(rank, ordered, sparse)
		case 1:
			if s.last[rank] == nil {
				continue
			}
			if rose, push, err := s.shard.Batch(rank, s.last[rank]); rose || push || err != nil { // a repeat
				t.Fatalf("step %d: repeat: %t, %t, %v", s.steps, rose, push, err)
			}
		case 2:
			var enc codec.Encoder
			flags := codec.Flags(0)
			if !ordered {
				flags = codec.Subscribe
			}
			enc.Begin(nil, codec.Header{Kind: codec.Request, Flags: flags, Rank: rank})
			enc.Table(codec.Block{Type: codec.Float64, Width: r.Head()})
			for row := range int64(ruledRows) {
				if s.rng.IntN(3) == 0 {
					enc.Want(row)
				}
			}
			out, err := s.shard.Answer(nil, rank, enc.End(), false)
			if err != nil {
				t.Fatal(err)
			}
			s.take(rank, out)
		default:
			if out, ok := s.shard.Push(nil, rank); ok {
				s.take(rank, out)
			}
		}
	}
	for row, want := range s.want {
		got := make([]float64, len(want))
		s.rows.Data().CopyTo(got, s.rows.Slot(int64(row)))
		if !slices.Equal(got, want) {
			t.Fatalf("row %d is %v at the end, want %v", row, got, want)
		}
	}
	return s.seen
}

// TestRuledSimulation: values and state of every rule are those of the
// reference, bit for bit, whatever comes in between; what leaves is the head.
func TestRuledSimulation(t *testing.T) {
	const steps = 400
	seen, all := 0, 0
	for seed := range seeds.Count(t, 3) {
		for _, spec := range []rule.Spec{
			{Clamped: true, Lo: -1, Hi: 1},
			{Kind: rule.SGD, Rate: 0.1, Schedule: rule.Sqrt, Radius: 2},
			{Kind: rule.Momentum, Rate: 0.01, Arg: [3]float64{0.9}},
			{Kind: rule.AdaGrad, Rate: 0.1, Clamped: true, Lo: -1, Hi: 0.5},
			{Kind: rule.Adam, Rate: 0.01, Arg: [3]float64{0.9, 0.999}},
			{Kind: rule.FTRL, Rate: 0.1, Arg: [3]float64{1, 0.1, 0.1}},
			{Kind: rule.AdaRevision, Rate: 0.1},
		} {
			for _, n := range []int{1, 2, 3, 5, 8} {
				for _, ordered := range []bool{false, true} {
					for _, sparse := range []bool{false, true} {
						if sparse && spec.Fits(false, true) != nil {
							continue
						}
						if sparse && !spec.Counts() {
							spec.Schedule, spec.Decay = rule.Inverse, 0.01 // one more column
							if !spec.Kind.Scheduled() {
								continue
							}
						}
						all += steps
						t.Run(fmt.Sprintf("kind=%d/ranks=%d/ordered=%t/sparse=%t/seed=%d", spec.Kind, n, ordered, sparse, seed), func(t *testing.T) {
							seen += simulateRule(t, seed, n, spec, ordered, sparse, steps)
						})
					}
				}
			}
		}
	}
	if all < 50_000 || seen < all/2 {
		t.Errorf("%d steps, %d rows compared", all, seen)
	}
	t.Logf("%d steps, %d rows compared", all, seen)
}
