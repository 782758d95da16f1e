package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sspurn/sspurn/apps"
)

// state is the dumb reference: dense counts and the O(K) conditional.
type state struct {
	prior
	word, doc [][]int32 // [word or document][topic]
	totals    []int32
}

// conditional returns p(k) for a token of word w in document d with topic old,
// by the formula.
func (s *state) conditional(w, d, old int) []float64 {
	p := make([]float64, s.topics)
	for k := range p {
		own := int32(0)
		if k == old {
			own = 1
		}
		nd, nw, n := s.doc[d][k]-own, s.word[w][k]-own, s.totals[k]-own
		p[k] = (float64(nd) + s.alpha) * (float64(nw) + s.beta) / (float64(n) + float64(s.words)*s.beta)
	}
	return p
}

// randomBag returns documents over a few words.
func randomBag(rng *rand.Rand, docs, words, most int) *apps.Bag {
	b := &apps.Bag{Docs: docs, Words: words, Start: []int{0}}
	for d := range docs {
		b.Doc = append(b.Doc, int32(d+1))
		for w := range words {
			if c := rng.IntN(most+2) - 1; c > 0 && rng.IntN(3) > 0 || w == d%words {
				b.Word, b.Count = append(b.Word, int32(w)), append(b.Count, int32(max(c, 1)))
			}
		}
		b.Start = append(b.Start, len(b.Word))
	}
	b.Entries = int64(len(b.Word))
	return b
}

// count counts everything anew from the assignments.
func count(p prior, shares ...*share) *state {
	s := &state{prior: p, totals: make([]int32, p.topics)}
	for range p.words {
		s.word = append(s.word, make([]int32, p.topics))
	}
	for _, sh := range shares {
		base := len(s.doc)
		for range sh.tokens {
			s.doc = append(s.doc, make([]int32, p.topics))
		}
		for _, c := range sh.chunks {
			for i, w := range c.words {
				for at := c.from[i]; at < c.from[i+1]; at++ {
					s.word[w][c.topic[at]]++
					s.doc[base+int(c.doc[at])][c.topic[at]]++
					s.totals[c.topic[at]]++
				}
			}
		}
	}
	return s
}

func near(a, b, tolerance float64) bool {
	return math.Abs(a-b) <= tolerance*max(math.Abs(a), math.Abs(b))
}

// Every token of several sweeps: the buckets equal the sum of the dense
// conditional, and the counts equal a recount.
func TestSamplerSumsEqualTheConditional(t *testing.T) {
	for _, topics := range []int{2, 3, 5, 16, 17, 40} {
		rng := rand.New(rand.NewPCG(1, uint64(topics)))
		p := prior{topics: topics, alpha: 0.3, beta: 0.07, words: 11}
		sh := newShares(randomBag(rng, 13, p.words, 4), topics, 1, 3, 7)[0]
		s, ref := newSampler(p), count(p, sh)
		totals := slices.Clone(ref.totals)
		for sweep := range 4 {
			for c := range sh.chunks {
				ch := &sh.chunks[c]
				s.seed(1, 0, uint64(sweep*3+c))
				s.begin(totals)
				for i, w := range ch.words {
					row := slices.Clone(ref.word[w])
					s.word(row)
					for at := ch.from[i]; at < ch.from[i+1]; at++ {
						d, old := int(ch.doc[at]), int(ch.topic[at])
						want := 0.0
						for _, x := range ref.conditional(int(w), d, old) {
							want += x
						}
						s.move(old, -1)
						mass, _ := s.document(sh.docs.list(d), uint32(old), sh.docs.bits)
						if got := mass - s.q[old] + s.alpha*s.all; !near(got, want, 1e-10) {
							t.Fatalf("K %d: mass %g, want %g", topics, got, want)
						}
						s.move(old, +1)
						k := s.token(sh.docs, d, old)
						ch.topic[at] = uint16(k)
						ref.word[w][old]--
						ref.word[w][k]++
						ref.doc[d][old]--
						ref.doc[d][k]++
						ref.totals[old]--
						ref.totals[k]++
					}
					if !slices.Equal(row, ref.word[w]) {
						t.Fatalf("K %d: row %v, want %v", topics, row, ref.word[w])
					}
				}
			}
			fresh := count(p, sh)
			if !slices.Equal(totals, fresh.totals) {
				t.Fatalf("K %d: totals %v, want %v", topics, totals, fresh.totals)
			}
			for d := range sh.tokens {
				got := make([]int32, topics)
				for _, e := range sh.docs.list(d) {
					got[e&sh.docs.mask] += int32(e >> sh.docs.bits)
				}
				if !slices.Equal(got, fresh.doc[d]) {
					t.Fatalf("K %d: document %d has %v, want %v", topics, d, got, fresh.doc[d])
				}
			}
		}
	}
}

// Draws for one token from one state are distributed as the dense conditional
// says (chi-square over many seeded draws).
func TestSamplerFrequencies(t *testing.T) {
	const draws = 200000
	for _, topics := range []int{2, 5, 16, 33} {
		rng := rand.New(rand.NewPCG(2, uint64(topics)))
		p := prior{topics: topics, alpha: 0.4, beta: 0.2, words: 5}
		sh := newShares(randomBag(rng, 4, p.words, 6), topics, 1, 1, 3)[0]
		ref := count(p, sh)
		ch := sh.chunks[0]
		at := len(ch.doc) / 2
		i := slices.IndexFunc(ch.from, func(from int) bool { return from > at }) - 1
		w, d, old := int(ch.words[i]), int(ch.doc[at]), int(ch.topic[at])
		want := ref.conditional(w, d, old)
		sum := 0.0
		for _, x := range want {
			sum += x
		}
		s := newSampler(p)
		s.seed(5, 0, 0)
		got := make([]float64, topics)
		entries, used := slices.Clone(sh.docs.entries), slices.Clone(sh.docs.used)
		for range draws {
			copy(sh.docs.entries, entries)
			copy(sh.docs.used, used)
			s.begin(slices.Clone(ref.totals))
			s.word(slices.Clone(ref.word[w]))
			got[s.token(sh.docs, d, old)]++
		}
		chi := 0.0
		for k := range got {
			e := draws * want[k] / sum
			chi += (got[k] - e) * (got[k] - e) / e
		}
		free := float64(topics - 1)
		if limit := free + 5*math.Sqrt(2*free); chi > limit {
			t.Errorf("K %d: chi-square %.1f, want at most %.1f; got %v, want ∝ %v", topics, chi, limit, got, want)
		}
	}
}

// Stale reads may bring counts below zero; the sampler goes on, with masses
// that are positive and finite, and its own changes stay exact.
func TestSamplerNegativeCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	p := prior{topics: 6, alpha: 0.1, beta: 0.01, words: 7}
	sh := newShares(randomBag(rng, 9, p.words, 5), p.topics, 1, 1, 1)[0]
	ref := count(p, sh)
	before := make([]int32, p.topics)
	for k := range before {
		before[k] = int32(rng.IntN(40) - 30)
	}
	s, totals, moved := newSampler(p), slices.Clone(before), make([]int32, p.topics)
	s.begin(totals)
	ch := &sh.chunks[0]
	for i := range ch.words {
		row := slices.Clone(before)
		s.word(row)
		for at := ch.from[i]; at < ch.from[i+1]; at++ {
			old := int(ch.topic[at])
			k := s.token(sh.docs, int(ch.doc[at]), old)
			if k < 0 || k >= p.topics || math.IsNaN(s.all) || math.IsInf(s.all, 0) || s.all <= 0 {
				t.Fatalf("topic %d, sum %g", k, s.all)
			}
			ch.topic[at] = uint16(k)
			moved[old]--
			moved[k]++
		}
	}
	for k := range moved {
		if totals[k]-before[k] != moved[k] {
			t.Errorf("topic %d changed by %d, want %d", k, totals[k]-before[k], moved[k])
		}
	}
	if after := count(p, sh); slices.Equal(after.totals, ref.totals) {
		t.Error("no token moved")
	}
}

func TestSharesHoldTheCorpus(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	bag := randomBag(rng, 29, 12, 4)
	want := make([]int, bag.Words)
	for e, w := range bag.Word {
		want[w] += int(bag.Count[e])
	}
	for _, workers := range []int{1, 2, 3, 5, 8, 40} {
		for _, chunks := range []int{1, 3, 7} {
			got, docs := make([]int, bag.Words), 0
			for _, s := range newShares(bag, 4, workers, chunks, 1) {
				docs += len(s.numbers)
				if len(s.chunks) != chunks {
					t.Fatalf("%d chunks, want %d", len(s.chunks), chunks)
				}
				for _, c := range s.chunks {
					for i, w := range c.words {
						got[w] += c.from[i+1] - c.from[i]
					}
				}
			}
			if !slices.Equal(got, want) || docs != len(bag.Doc) {
				t.Errorf("%d workers, %d chunks: %d documents, words %v, want %d, %v", workers, chunks, docs, got, len(bag.Doc), want)
			}
		}
	}
}

// The likelihood in parts equals the formula written out.
func TestLikelihoodEqualsTheFormula(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	p := prior{topics: 7, alpha: 0.25, beta: 0.03, words: 9}
	shares := newShares(randomBag(rng, 21, p.words, 5), p.topics, 3, 2, 1)
	s := count(p, shares...)
	lg := func(x float64) float64 { y, _ := math.Lgamma(x); return y }
	want := 0.0
	for k := range p.topics {
		want += lg(float64(p.words)*p.beta) - lg(float64(s.totals[k])+float64(p.words)*p.beta)
		for w := range p.words {
			want += lg(float64(s.word[w][k])+p.beta) - lg(p.beta)
		}
	}
	for d := range s.doc {
		n := int32(0)
		for k := range p.topics {
			want += lg(float64(s.doc[d][k])+p.alpha) - lg(p.alpha)
			n += s.doc[d][k]
		}
		want += lg(float64(p.topics)*p.alpha) - lg(float64(n)+float64(p.topics)*p.alpha)
	}
	l := newLikelihood(p)
	got := l.ofTotals(s.totals)
	for _, row := range s.word {
		got += l.ofWord(row)
	}
	for _, sh := range shares {
		got += l.ofDocuments(sh)
	}
	if !near(got, want, 1e-12) {
		t.Errorf("got %.12g, want %.12g", got, want)
	}
}

func TestSamplerDoesNotAllocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	p := prior{topics: 20, alpha: 0.1, beta: 0.05, words: 50}
	sh := newShares(randomBag(rng, 50, p.words, 5), p.topics, 1, 1, 1)[0]
	ref, s := count(p, sh), newSampler(p)
	if n := testing.AllocsPerRun(5, func() { sweep(s, sh, ref.word, ref.totals) }); n > 0 {
		t.Errorf("%v allocations a sweep, want 0", n)
	}
}

func sweep(s *sampler, sh *share, word [][]int32, totals []int32) (tokens int) {
	for c := range sh.chunks {
		s.begin(totals)
		_ = s.chunk(sh.docs, &sh.chunks[c], func(w int64) ([]int32, error) { return word[w], nil }) // no row fails
		tokens += len(sh.chunks[c].doc)
	}
	return tokens
}

func BenchmarkSampler(b *testing.B) {
	for _, size := range []struct {
		name          string
		topics, words int
	}{{"K=20", 20, 2000}, {"K=100", 100, 2000}} {
		b.Run(size.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(7, 7))
			p := prior{topics: size.topics, alpha: 0.1, beta: 0.05, words: size.words}
			bag := &apps.Bag{Docs: 2000, Words: p.words, Start: []int{0}}
			for d := range bag.Docs { // documents of 120 words around one place each
				bag.Doc = append(bag.Doc, int32(d+1))
				count := map[int]int{}
				for range 120 {
					count[(rng.IntN(p.words/50)*rng.IntN(50)+d*37)%p.words]++
				}
				for w := range p.words {
					if n := count[w]; n > 0 {
						bag.Word, bag.Count = append(bag.Word, int32(w)), append(bag.Count, int32(n))
					}
				}
				bag.Start = append(bag.Start, len(bag.Word))
			}
			sh := newShares(bag, p.topics, 1, 1, 1)[0]
			ref, s := count(p, sh), newSampler(p)
			s.seed(1, 1, 1)
			tokens := 0
			b.ReportAllocs()
			for b.Loop() {
				tokens += sweep(s, sh, ref.word, ref.totals)
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds()/1e6, "Mtokens/s")
		})
	}
}
