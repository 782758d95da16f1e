package main

import "math"

// loggamma returns ln Γ(n + a) − ln Γ(a) for whole n, from a table while n is
// small.
type loggamma struct {
	a     float64
	base  float64 // ln Γ(a)
	table []float64
}

func newLoggamma(a float64, size int) *loggamma {
	g := &loggamma{a: a, table: make([]float64, size)}
	g.base, _ = math.Lgamma(a)
	for n := range g.table {
		g.table[n] = g.exact(n)
	}
	return g
}

func (g *loggamma) exact(n int) float64 {
	x, _ := math.Lgamma(float64(n) + g.a)
	return x - g.base
}

func (g *loggamma) of(n int) float64 {
	if n < len(g.table) {
		return g.table[n]
	}
	return g.exact(n)
}

// The joint log-likelihood ln p(w, z) = ln p(w | z) + ln p(z) of collapsed
// Gibbs sampling (Griffiths, Steyvers 2004, equations 2 and 3) is a sum over
// words, topics and documents, which ranks add up in parts.

// likelihood adds up parts of ln p(w, z).
type likelihood struct {
	prior
	word, doc *loggamma
}

func newLikelihood(p prior) *likelihood {
	return &likelihood{prior: p, word: newLoggamma(p.beta, 1024), doc: newLoggamma(p.alpha, 1024)}
}

// ofWord is the part of a word's row.
func (l *likelihood) ofWord(row []int32) float64 {
	sum := 0.0
	for _, n := range row {
		if n > 0 {
			sum += l.word.of(int(n))
		}
	}
	return sum
}

// ofTotals is the part of the topics' totals.
func (l *likelihood) ofTotals(totals []int32) float64 {
	topic := newLoggamma(float64(l.words)*l.beta, 0)
	sum := 0.0
	for _, n := range totals {
		sum -= topic.exact(int(n))
	}
	return sum
}

// ofDocuments is the part of a worker's documents.
func (l *likelihood) ofDocuments(s *share) float64 {
	length := newLoggamma(float64(l.topics)*l.alpha, 4096)
	sum := 0.0
	for d, n := range s.tokens {
		for _, e := range s.docs.list(d) {
			sum += l.doc.of(int(e >> s.docs.bits))
		}
		sum -= length.of(n)
	}
	return sum
}
