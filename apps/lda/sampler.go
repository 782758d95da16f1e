package main

import "github.com/sspurn/sspurn/apps"

// prior is what a model assumes before it has seen a word.
type prior struct {
	topics      int
	alpha, beta float64 // of a document's topics and of a topic's words; symmetric
	words       int     // of the vocabulary
}

// block is how many topics one partial sum of the smoothing bucket covers.
const block = 16

// sampler draws topics from their exact conditional distribution given all
// other assignments (collapsed Gibbs: Griffiths, Steyvers: Finding scientific
// topics, PNAS 101, 2004),
//
//	p(k) ∝ (n_dk + α) (n_wk + β) / (n_k + Wβ),   the token itself not counted,
//
// in time proportional to the topics of its document instead of all topics.
// Like SparseLDA (Yao, Mimno, McCallum: Efficient methods for topic model
// inference on streaming document collections, KDD 2009, section 3.2) it cuts
// the mass into buckets; as in F+LDA (Yu et al., WWW 2015, section 3.2) tokens
// come word by word, so that q_k = (n_wk + β)/(n_k + Wβ) stays in the cache:
//
//	Σ p = Σ_{k in d} n_dk q_k  +  α Σ_k q_k .
//
// The second sum is kept up to date, in blocks of 16, and drawn from in two
// steps. A tree would change in log K places with every token; blocks change
// in one, and at the few hundred topics of a table's row are as quick to draw
// from.
//
// Counts of a stale read miss what other workers did lately, so a topic's
// total may disagree with its words, and under policies that hold updates back
// a count may be negative for a while. Counts below 0 are taken as 0: every
// topic keeps a positive, finite mass, and the worker's own counts, which the
// store always shows, are never wrong.
type sampler struct {
	prior
	smooth float64 // Wβ
	rng    uint64

	totals []int32   // n_k, with the worker's own changes
	inv    []float64 // 1/(n_k + Wβ)
	row    []int32   // n_wk of the current word
	q      []float64
	sums   []float64 // of q over each block
	all    float64   // of sums
	cum    []float64 // scratch: partial sums over a document's topics
}

func newSampler(p prior) *sampler {
	return &sampler{
		prior: p, smooth: float64(p.words) * p.beta,
		inv: make([]float64, p.topics), q: make([]float64, p.topics),
		sums: make([]float64, (p.topics+block-1)/block), cum: make([]float64, p.topics),
	}
}

// seed fixes what is drawn from now on.
func (s *sampler) seed(seed, worker, clock uint64) {
	s.rng = apps.Mix(apps.Mix(apps.Mix(seed)^worker) ^ clock)
}

// uniform returns a number in [0, 1).
func (s *sampler) uniform() float64 {
	x := s.rng
	s.rng += 0x9E3779B97F4A7C15
	return float64(apps.Mix(x)>>11) * 0x1p-53
}

// begin starts with new totals, which the sampler changes until the next call.
func (s *sampler) begin(totals []int32) {
	s.totals = totals
	for k, n := range totals {
		s.inv[k] = 1 / (float64(max(n, 0)) + s.smooth)
	}
}

// word goes to a word whose row the sampler changes until the next call.
func (s *sampler) word(row []int32) {
	s.row = row
	q, inv := s.q[:len(row)], s.inv[:len(row)]
	for k, n := range row {
		q[k] = (float64(max(n, 0)) + s.beta) * inv[k]
	}
	s.all = 0
	for b := range s.sums {
		sum := 0.0
		for _, x := range q[b*block : min(b*block+block, len(q))] {
			sum += x
		}
		s.sums[b] = sum
		s.all += sum
	}
}

// move changes the counts of a topic by one token.
func (s *sampler) move(k int, by int32) {
	s.row[k] += by
	s.totals[k] += by
	inv := 1 / (float64(max(s.totals[k], 0)) + s.smooth)
	q := (float64(max(s.row[k], 0)) + s.beta) * inv
	diff := q - s.q[k]
	s.inv[k], s.q[k] = inv, q
	s.sums[k/block] += diff
	s.all += diff
}

// token draws a new topic for a token of the current word in document d whose
// topic was old, and moves the counts.
func (s *sampler) token(docs *documents, d int, old int) int {
	// Take the token out of the totals, and be ready to put it back: most
	// tokens keep their topic once the model has settled.
	inv, q, sum, all := s.inv[old], s.q[old], s.sums[old/block], s.all
	s.move(old, -1)

	list := docs.list(d)
	mass, at := s.document(list, uint32(old), docs.bits)
	out := s.q[old] // the token itself, which document counted
	total := mass - out + s.alpha*s.all
	u := s.uniform() * total
	var k, place int
	if u < mass-out {
		if u >= s.cum[at]-out { // leave out the last piece of old's share
			u += out
		}
		for place < len(list)-1 && u >= s.cum[place] {
			place++
		}
		k = int(list[place] & docs.mask)
	} else {
		k, place = s.flat((u-(mass-out))/s.alpha), -1
	}

	if k == old {
		s.row[old]++
		s.totals[old]++
		s.inv[old], s.q[old], s.sums[old/block], s.all = inv, q, sum, all
		return old
	}
	s.move(k, +1)
	docs.move(d, at, place, uint32(k))
	return k
}

// document returns the sum of n_dk q_k over a document's topics, its partial
// sums in cum, and the place of topic old in the list.
func (s *sampler) document(list []uint32, old uint32, bits uint) (sum float64, at int) {
	q, cum, mask := s.q, s.cum[:len(list)], uint32(1)<<bits-1
	for i, e := range list {
		k := e & mask
		sum += float64(e>>(bits&31)) * q[k]
		cum[i] = sum
		if k == old {
			at = i
		}
	}
	return sum, at
}

// flat returns the topic in whose share of all q the number u falls.
func (s *sampler) flat(u float64) int {
	b := 0
	for b < len(s.sums)-1 && u >= s.sums[b] {
		u -= s.sums[b]
		b++
	}
	k, last := b*block, min(b*block+block, s.topics)-1
	for k < last && u >= s.q[k] {
		u -= s.q[k]
		k++
	}
	return k
}

// documents are the topics of a worker's documents: for each a list of the
// topics that occur in it, each packed with its count, the count in the upper
// bits. Lists lie one behind the other, with room for what each may need.
type documents struct {
	bits    uint // of a topic
	mask    uint32
	entries []uint32
	from    []int // document d has room in [from[d], from[d+1])
	used    []int32
}

// maxTokens returns how many tokens a document may have.
func maxTokens(topics int) int64 { return 1<<(32-topicBits(topics)) - 1 }

// topicBits returns the number of bits that hold a topic.
func topicBits(topics int) uint {
	b := uint(1)
	for topics > 1<<b {
		b++
	}
	return b
}

// newDocuments returns empty documents of the given lengths in tokens.
func newDocuments(topics int, tokens []int) *documents {
	d := &documents{bits: topicBits(topics), from: make([]int, len(tokens)+1), used: make([]int32, len(tokens))}
	d.mask = 1<<d.bits - 1
	for i, n := range tokens {
		d.from[i+1] = d.from[i] + min(n, topics)
	}
	d.entries = make([]uint32, d.from[len(tokens)])
	return d
}

// list returns the topics of a document.
func (d *documents) list(i int) []uint32 { return d.entries[d.from[i]:][:d.used[i]] }

// add counts one more token of a topic in a document.
func (d *documents) add(i int, topic uint32) {
	list := d.list(i)
	for at, e := range list {
		if e&d.mask == topic {
			d.grow(list, at)
			return
		}
	}
	d.entries[d.from[i]+len(list)] = 1<<d.bits | topic
	d.used[i]++
}

// grow counts one more token at a place of a list and keeps frequent topics
// roughly in front, where a draw finds them first.
func (d *documents) grow(list []uint32, at int) {
	list[at] += 1 << d.bits
	if at > 0 && list[at-1] < list[at] {
		list[at-1], list[at] = list[at], list[at-1]
	}
}

// move takes a token from the topic at a place of document i's list and gives
// it to another topic, whose place is to when that is known and not negative.
func (d *documents) move(i, from, to int, topic uint32) {
	list := d.list(i)
	if list[from] -= 1 << d.bits; list[from]>>d.bits > 0 {
		if to >= 0 {
			d.grow(list, to)
		} else {
			d.add(i, topic)
		}
		return
	}
	last := len(list) - 1
	list[from] = list[last]
	d.used[i]--
	if to == last {
		to = from
	}
	if to >= 0 {
		d.grow(list[:last], to)
	} else {
		d.add(i, topic)
	}
}

// chunk draws the topic of every token of a chunk anew. row returns the counts
// of a word, to be changed in place.
func (s *sampler) chunk(docs *documents, c *chunk, row func(word int64) ([]int32, error)) error {
	for i, w := range c.words {
		counts, err := row(w)
		if err != nil {
			return err
		}
		s.word(counts)
		doc, topic := c.doc[c.from[i]:c.from[i+1]], c.topic[c.from[i]:c.from[i+1]]
		for t, d := range doc {
			topic[t] = uint16(s.token(docs, int(d), int(topic[t])))
		}
	}
	return nil
}
