package main

import (
	"cmp"
	"slices"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps"
)

// chunk is what a worker does between two clocks: the tokens of some of its
// documents, word by word, so that a row is edited once.
type chunk struct {
	words []int64  // rows, ascending
	from  []int    // the tokens of words[i] are [from[i], from[i+1])
	doc   []int32  // own number
	topic []uint16 // of each token
}

// share is a worker's part of the corpus.
type share struct {
	numbers []int32 // in the file, of each own document
	tokens  []int   // length of each
	docs    *documents
	chunks  []chunk
}

// checkLengths reports a document that is too long for the counts of its
// topics.
func checkLengths(path string, bag *apps.Bag, topics int) error {
	for i, number := range bag.Doc {
		n := int64(0)
		for _, c := range bag.Count[bag.Start[i]:bag.Start[i+1]] {
			n += int64(c)
		}
		if n > maxTokens(topics) {
			return &apps.InputError{File: path, Err: errors.Errorf("document %d has %d tokens, expected at most %d with %d topics", number, n, maxTokens(topics), topics)}
		}
	}
	return nil
}

// newShares deals the documents of a rank to its workers, each a run of
// documents with about the same number of tokens, and cuts the runs into
// chunks in the same way. Every token gets a random topic that depends on
// seed, document and place alone.
func newShares(bag *apps.Bag, topics, workers, chunks int, seed uint64) []*share {
	lengths := make([]int, len(bag.Doc))
	for i := range lengths {
		for _, c := range bag.Count[bag.Start[i]:bag.Start[i+1]] {
			lengths[i] += int(c)
		}
	}
	shares := make([]*share, workers)
	ends := cut(lengths, workers)
	for w, from := 0, 0; w < workers; w++ {
		s := &share{numbers: bag.Doc[from:ends[w]], tokens: lengths[from:ends[w]]}
		s.docs = newDocuments(topics, s.tokens)
		first := 0
		for _, end := range cut(s.tokens, chunks) {
			s.chunks = append(s.chunks, s.chunk(bag, from, first, end, topics, seed))
			first = end
		}
		shares[w] = s
		from = ends[w]
	}
	return shares
}

// cut divides a sequence of lengths into parts of about the same sum and
// returns their ends.
func cut(lengths []int, parts int) []int {
	total := 0
	for _, n := range lengths {
		total += n
	}
	ends := make([]int, parts)
	at, sum := 0, 0
	for p := range ends {
		for at < len(lengths) && (p == parts-1 || 2*sum+lengths[at] <= 2*total*(p+1)/parts) {
			sum += lengths[at]
			at++
		}
		ends[p] = at
	}
	return ends
}

// chunk makes the chunk of the own documents [first, end), which begin at
// document base of the bag.
func (s *share) chunk(bag *apps.Bag, base, first, end, topics int, seed uint64) chunk {
	type entry struct{ word, doc, count int32 }
	var entries []entry
	for d := first; d < end; d++ {
		for e := bag.Start[base+d]; e < bag.Start[base+d+1]; e++ {
			entries = append(entries, entry{bag.Word[e], int32(d), bag.Count[e]})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.word, b.word), cmp.Compare(a.doc, b.doc))
	})
	c := chunk{from: []int{0}}
	for _, e := range entries {
		if n := len(c.words); n == 0 || c.words[n-1] != int64(e.word) {
			if n > 0 {
				c.from = append(c.from, len(c.doc))
			}
			c.words = append(c.words, int64(e.word))
		}
		for i := range e.count {
			place := uint64(e.word)<<32 | uint64(i)
			t := int(apps.Uniform(seed, uint64(s.numbers[e.doc]), place) * float64(topics))
			c.doc, c.topic = append(c.doc, e.doc), append(c.topic, uint16(t))
			s.docs.add(int(e.doc), uint32(t))
		}
	}
	if len(c.words) > 0 {
		c.from = append(c.from, len(c.doc))
	}
	return c
}
