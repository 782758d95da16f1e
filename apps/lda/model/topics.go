package model

import (
	"cmp"
	"math"
	"slices"
)

// Totals returns how many tokens each topic has.
func (m *Model) Totals() []int64 {
	totals := make([]int64, m.Topics)
	for _, list := range m.WordTopics {
		for _, c := range list {
			totals[c.Topic] += int64(c.N)
		}
	}
	return totals
}

// Top returns the n words that say most about each topic, best first: those
// with the highest relevance
//
//	λ ln p(w|k) + (1 − λ) ln (p(w|k) / p(w))
//
// (Sievert, Shirley: LDAvis, 2014, section 3.1). A λ of 1 ranks by frequency
// alone, which brings the same common words in every topic; 0.6 is what readers
// understood best there. Words that the topic does not have are not listed.
func (m *Model) Top(n int, lambda float64) [][]string {
	type scored struct {
		word  int
		score float64
	}
	totals := m.Totals()
	all := 0.0
	for _, t := range totals {
		all += float64(t)
	}
	lists := make([][]scored, m.Topics)
	for w, list := range m.WordTopics {
		sum := 0.0
		for _, c := range list {
			sum += float64(c.N)
		}
		for _, c := range list {
			p := math.Log(float64(c.N) / float64(totals[c.Topic]))
			lists[c.Topic] = append(lists[c.Topic], scored{w, lambda*p + (1-lambda)*(p-math.Log(sum/all))})
		}
	}
	top := make([][]string, m.Topics)
	for k, list := range lists {
		slices.SortFunc(list, func(a, b scored) int {
			return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.word, b.word))
		})
		for _, s := range list[:min(n, len(list))] {
			top[k] = append(top[k], m.Words[s.word])
		}
	}
	return top
}

// Strongest returns the most frequent topic of a document, the first of
// several; -1 for a document without tokens.
func (d Document) Strongest() int {
	best := Count{Topic: -1}
	for _, c := range d.Topics {
		if c.N > best.N || c.N == best.N && c.Topic < best.Topic {
			best = c
		}
	}
	return int(best.Topic)
}

// NMI returns the normalised mutual information of two labellings of the same
// things, 2 I(a; b) / (H(a) + H(b)): 1 when each label of one tells the label
// of the other, near 0 when they have nothing to do with one another. Two
// labellings with one label each have 1.
func NMI(a, b []int) float64 {
	if len(a) != len(b) {
		panic("model: NMI of labellings of different lengths")
	}
	n := float64(len(a))
	both, as, bs := map[[2]int]float64{}, map[int]float64{}, map[int]float64{}
	for i := range a {
		both[[2]int{a[i], b[i]}]++
		as[a[i]]++
		bs[b[i]]++
	}
	entropies := entropy(as, n) + entropy(bs, n)
	if entropies == 0 {
		return 1
	}
	return max(0, 2*(entropies-entropy(both, n))/entropies)
}

// entropy is the entropy of a labelling in nats. It adds up in the order of
// size, so that it does not depend on the order of a map.
func entropy[K comparable](counts map[K]float64, n float64) float64 {
	sizes := make([]float64, 0, len(counts))
	for _, c := range counts {
		sizes = append(sizes, c)
	}
	slices.Sort(sizes)
	h := 0.0
	for _, c := range sizes {
		h -= c / n * math.Log(c/n)
	}
	return h
}
