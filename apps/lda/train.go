package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/apps/lda/model"
	"github.com/sspurn/sspurn/collectives"
	"github.com/sspurn/sspurn/runtime"
	"github.com/sspurn/sspurn/ssp"
)

// trainer is a training run on one rank: approximate distributed sampling
// (Newman et al.: Distributed algorithms for topic models, JMLR 10, 2009) with
// counts as fresh as the policy says.
type trainer struct {
	job    *apps.Job
	prior  prior
	every  int   // passes between evaluations
	tokens int64 // of all ranks
	chunks int   // clocks of a pass

	store  *ssp.Store
	words  *ssp.Table[int32] // a row for each word: its tokens by topic
	totals *ssp.Table[int32] // one row: all tokens by topic
	shares []*share          // by worker
	local  []*sampler        // by worker
	score  *likelihood

	epoch  int
	clocks int64         // of every worker, those that set up the counts not counted
	spent  time.Duration // training so far
	loglik float64       // per token, as of the last evaluation
}

// derivedClocks returns the clocks of a pass: enough that a read is at most a
// pass old, and at least four.
func derivedClocks(p ssp.Policy) int {
	return max(4, int(p.Typical())+1)
}

// newTrainer opens the store and puts the first, random assignments into it.
// It is collective.
func newTrainer(ctx context.Context, job *apps.Job, cfg *config, bag *apps.Bag, tokens int64) (*trainer, error) {
	t := &trainer{
		job: job, every: cfg.evaluate, tokens: tokens, chunks: job.ClocksPerEpoch,
		prior: prior{topics: cfg.topics, alpha: cfg.alpha, beta: cfg.beta, words: bag.Words},
	}
	if t.chunks == 0 {
		t.chunks = derivedClocks(job.Policy)
	}
	t.score = newLikelihood(t.prior)
	t.shares = newShares(bag, cfg.topics, job.Workers, t.chunks, job.Seed)
	for range t.shares {
		t.local = append(t.local, newSampler(t.prior))
	}
	var err error
	if t.store, err = ssp.Open(ctx, job.Comm, ssp.Config{Workers: job.Workers, Policy: job.Policy, Filter: job.Filter, Bandwidth: job.Bandwidth, Seed: job.Seed}); err != nil {
		return nil, err
	}
	t.words, err = ssp.CreateTable(ctx, t.store, ssp.TableSpec[int32]{Name: "words", Rows: int64(bag.Words), Width: cfg.topics})
	if err != nil {
		return nil, err
	}
	if t.totals, err = ssp.CreateTable(ctx, t.store, ssp.TableSpec[int32]{Name: "totals", Rows: 1, Width: cfg.topics}); err != nil {
		return nil, err
	}
	job.Plan(1 + int64(job.Epochs)*int64(t.chunks)) // the first one counts
	if err := t.store.Work(ctx, t.count); err != nil {
		return nil, err
	}
	return t, t.store.Sync(ctx)
}

// count adds a worker's tokens to the tables.
func (t *trainer) count(ctx context.Context, w *ssp.Worker) error {
	words, totals := t.words.View(w), t.totals.View(w)
	row, all := make([]int32, t.prior.topics), make([]int32, t.prior.topics)
	for c := range t.shares[w.Index()].chunks {
		ch := &t.shares[w.Index()].chunks[c]
		for i, word := range ch.words {
			clear(row)
			for _, k := range ch.topic[ch.from[i]:ch.from[i+1]] {
				row[k]++
				all[k]++
			}
			words.Inc(word, row)
		}
	}
	totals.Inc(0, all)
	return w.Clock(ctx)
}

// passes trains for n passes and leaves every update applied everywhere.
func (t *trainer) passes(ctx context.Context, n int) error {
	if err := collectives.Barrier(ctx, t.job.Comm); err != nil { // so that nobody's evaluation counts as training
		return err
	}
	start := time.Now()
	err := t.store.Work(ctx, func(ctx context.Context, w *ssp.Worker) error {
		first := &t.shares[w.Index()].chunks[t.clocks%int64(t.chunks)]
		if err := t.words.View(w).Fetch(ctx, first.words...); err != nil { // no clock before this one has asked for them
			return err
		}
		for i := range n * t.chunks {
			if err := t.clock(ctx, w, t.clocks+int64(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := t.store.Sync(ctx); err != nil {
		return err
	}
	t.spent += time.Since(start)
	t.epoch += n
	t.clocks += int64(n * t.chunks)
	return nil
}

// clock is one clock of a worker: a chunk of its documents. The totals, which
// every token changes, are edited in place, so that they cost a read and a
// write a clock.
func (t *trainer) clock(ctx context.Context, w *ssp.Worker, clock int64) error {
	words, totals := t.words.View(w), t.totals.View(w)
	sh, s := t.shares[w.Index()], t.local[w.Index()]
	now, next := int(clock%int64(t.chunks)), int((clock+1)%int64(t.chunks))
	words.Prefetch(sh.chunks[next].words...) // they come while this clock computes
	s.seed(t.job.Seed, uint64(t.job.Comm.Rank()*t.job.Workers+w.Index()), uint64(clock))
	all, err := totals.Edit(ctx, 0)
	if err != nil {
		return err
	}
	s.begin(all)
	err = s.chunk(sh.docs, &sh.chunks[now], func(word int64) ([]int32, error) { return words.Edit(ctx, word) })
	if err != nil {
		return err
	}
	return w.Clock(ctx)
}

// evaluate computes the likelihood and checks that no token was lost. It is
// collective, and legal after a Sync.
func (t *trainer) evaluate(ctx context.Context) error {
	sum, counted := 0.0, [2]int64{}
	for _, row := range t.words.Owned() {
		sum += t.score.ofWord(row)
		for _, n := range row {
			counted[0] += int64(n)
		}
	}
	for _, row := range t.totals.Owned() {
		sum += t.score.ofTotals(row)
		for _, n := range row {
			counted[1] += int64(n)
		}
	}
	for _, sh := range t.shares {
		sum += t.score.ofDocuments(sh)
	}
	if err := collectives.Allreduce(ctx, t.job.Comm, counted[:], counted[:], collectives.Sum); err != nil {
		return err
	}
	if counted != [2]int64{t.tokens, t.tokens} {
		return errors.Errorf("after pass %d the words have %d tokens and the topics %d, expected %d", t.epoch, counted[0], counted[1], t.tokens)
	}
	sum, err := collectives.AllreduceValue(ctx, t.job.Comm, sum, collectives.Sum)
	t.loglik = sum / float64(t.tokens)
	return err
}

// run trains until the epochs are over or the target is reached.
func (t *trainer) run(ctx context.Context) error {
	if err := t.evaluate(ctx); err != nil {
		return err
	}
	t.report(0)
	for t.epoch < t.job.Epochs {
		n, before := min(t.every, t.job.Epochs-t.epoch), t.spent
		if err := t.passes(ctx, n); err != nil {
			return err
		}
		if err := t.evaluate(ctx); err != nil {
			return err
		}
		t.store.Loss(-t.loglik)
		t.report(float64(t.tokens) * float64(n) / (t.spent - before).Seconds())
		if t.job.Reached(t.figure()) {
			break
		}
	}
	return nil
}

func (t *trainer) figure() apps.Figure {
	return apps.Figure{Metric: "loglik", Better: "higher", Value: t.loglik}
}

func (t *trainer) report(rate float64) {
	t.job.Report(apps.Point{
		Pass: float64(t.epoch), Goal: float64(t.job.Epochs), Clocks: t.clocks, Seconds: t.spent.Seconds(),
		Rate: rate, Unit: "tokens", Figures: []apps.Figure{t.figure()},
	})
}

// gatherTag is of the messages that bring the documents' topics to rank 0.
const gatherTag runtime.Tag = 1

// model brings the counts to rank 0, where it returns the whole model; the
// other ranks get nil. Without a vocabulary words are called by their numbers
// in the file. It is collective, and legal after a Sync.
func (t *trainer) model(ctx context.Context, vocab []string) (*model.Model, error) {
	m := &model.Model{
		Topics: t.prior.topics, Alpha: t.prior.alpha, Beta: t.prior.beta,
		Words: vocab, WordTopics: make([][]model.Count, t.prior.words),
	}
	err := t.words.Collect(ctx, 0, func(word int64, row []int32) error {
		for k, n := range row {
			if n != 0 {
				m.WordTopics[word] = append(m.WordTopics[word], model.Count{Topic: int32(k), N: n})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	docs := []model.Document{}
	for _, sh := range t.shares {
		for d, number := range sh.numbers {
			doc := model.Document{Number: number}
			for _, e := range sh.docs.list(d) {
				doc.Topics = append(doc.Topics, model.Count{Topic: int32(e & sh.docs.mask), N: int32(e >> sh.docs.bits)})
			}
			slices.SortFunc(doc.Topics, func(a, b model.Count) int { return cmp.Compare(a.Topic, b.Topic) })
			docs = append(docs, doc)
		}
	}
	c := t.job.Comm
	if c.Rank() != 0 {
		return nil, runtime.SendGob(ctx, c, 0, gatherTag, docs)
	}
	m.Docs = docs
	for from := 1; from < c.Size(); from++ {
		var theirs []model.Document
		if _, err := runtime.RecvGob(ctx, c, from, gatherTag, &theirs); err != nil {
			return nil, err
		}
		m.Docs = append(m.Docs, theirs...)
	}
	slices.SortFunc(m.Docs, func(a, b model.Document) int { return cmp.Compare(a.Number, b.Number) })
	for i := range m.WordTopics[len(m.Words):] {
		m.Words = append(m.Words, strconv.Itoa(i+1))
	}
	return m, nil
}
