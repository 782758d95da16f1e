// Lda finds the topics of a corpus by collapsed Gibbs sampling: the counts of
// words and topics are tables of the store, documents stay with the rank that
// read them.
package main

import (
	"context"
	"math"
	"os"
	"strings"

	"github.com/pkg/errors"
	"github.com/urfave/cli/v2"

	"github.com/sspurn/sspurn/apps"
	"github.com/sspurn/sspurn/collectives"
)

func main() {
	var cfg config
	os.Exit(apps.Main(app(&cfg), os.Args))
}

// config are the flags of lda.
type config struct {
	topics      int
	alpha, beta float64
	vocab       string
	evaluate    int
	top         int
	lambda      float64
}

func app(cfg *config) apps.App {
	return apps.App{
		Name:    "lda",
		Summary: "topics of a corpus by collapsed Gibbs sampling (latent Dirichlet allocation)",
		Text: `Reads a bag of words in the format of the UCI repository: three lines with the numbers of documents, words and
entries, then lines "document word count". Every -evaluate passes it prints ln p(w, z) per token, the joint
log-likelihood of words and topics, which -target means too. With -vocab it ends with the words of each topic.

The model file (-out) is text: topics of every word in the form of Mallet's word-topic counts, then those of every
document.

A pass has 4 clocks, or staleness + 1 if that is more (async counts as a staleness of 3): what a worker reads is
then at most one pass old. More clocks a pass cost messages and make the ranks agree sooner.`,
		Examples: []string{
			"sspurn -n 4 lda -data docword.txt.zst -vocab vocab.txt.zst -topics 100 -beta 0.01 -sync essp:3 -epochs 40",
			"lda -data docword.txt -topics 20 -alpha 0.1 -beta 0.05 -epochs 100 -out model.txt",
		},
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "topics", Aliases: []string{"k"}, Value: 100, Usage: "number of topics", Destination: &cfg.topics},
			&cli.Float64Flag{Name: "alpha", Usage: "prior of a document's topics", DefaultText: "50 / topics", Destination: &cfg.alpha},
			&cli.Float64Flag{Name: "beta", Value: 0.01, Usage: "prior of a topic's words", Destination: &cfg.beta},
			&cli.StringFlag{Name: "vocab", Usage: "read the words from `FILE`, one a line", Destination: &cfg.vocab},
			&cli.IntFlag{Name: "evaluate", Value: 5, Usage: "passes between two evaluations, at which all ranks meet", Destination: &cfg.evaluate},
			&cli.IntFlag{Name: "top", Value: 10, Usage: "words to print of each topic", Destination: &cfg.top},
			&cli.Float64Flag{Name: "lambda", Value: 0.6, Usage: "rank words by frequency (1), by how typical they are (0), or between", Destination: &cfg.lambda},
		},
		Defaults: apps.Options{Epochs: 100},
		Check:    cfg.check,
		Run:      cfg.run,
	}
}

// check reports what is wrong with the flags.
func (cfg *config) check(o *apps.Options) error {
	switch {
	case len(o.Data) != 1:
		return errors.Errorf("-data given %d times: expected one docword file", len(o.Data))
	case o.Policy.Drops():
		return errors.Errorf("-sync %v: the topics are counted, so no update may be dropped", o.Policy)
	case cfg.topics < 2 || cfg.topics > 1<<16:
		return errors.Errorf("-topics %d: expected 2 to %d", cfg.topics, 1<<16)
	case cfg.alpha < 0 || math.IsNaN(cfg.alpha) || math.IsInf(cfg.alpha, 0):
		return errors.Errorf("-alpha %g: expected a number above 0", cfg.alpha)
	case !(cfg.beta > 0) || math.IsInf(cfg.beta, 0):
		return errors.Errorf("-beta %g: expected a number above 0", cfg.beta)
	case cfg.evaluate < 1:
		return errors.Errorf("-evaluate %d: expected at least 1", cfg.evaluate)
	case cfg.top < 0:
		return errors.Errorf("-top %d: expected at least 0", cfg.top)
	case !(cfg.lambda >= 0 && cfg.lambda <= 1):
		return errors.Errorf("-lambda %g: expected 0 to 1", cfg.lambda)
	}
	if cfg.alpha == 0 {
		cfg.alpha = 50 / float64(cfg.topics)
	}
	return nil
}

func (cfg *config) run(ctx context.Context, job *apps.Job) error {
	bag, vocab, err := cfg.read(job)
	if err := job.Together(ctx, err); err != nil {
		return err
	}
	sums := []int64{int64(len(bag.Word)), bag.Tokens(), int64(len(bag.Doc))}
	if err := collectives.Allreduce(ctx, job.Comm, sums, sums, collectives.Sum); err != nil {
		return err
	}
	err = bag.Check(job.Data[0], sums[0])
	if err == nil && (sums[1] == 0 || sums[1] > math.MaxInt32) {
		err = &apps.InputError{File: job.Data[0], Err: errors.Errorf("expected 1 to %d tokens, found %d", math.MaxInt32, sums[1])}
	}
	if err := job.Together(ctx, err); err != nil {
		return err
	}
	t, err := newTrainer(ctx, job, cfg, bag, sums[1])
	if err != nil {
		return err
	}
	job.Logf("%d documents, %d words, %d tokens; %d topics, %d clocks a pass", sums[2], bag.Words, sums[1], cfg.topics, t.chunks)
	if err := t.run(ctx); err != nil {
		return err
	}
	if err := cfg.finish(ctx, t, vocab); err != nil {
		return err
	}
	if err := t.store.Close(ctx); err != nil {
		return err
	}
	result := job.Result(t.clocks, t.spent.Seconds(), float64(t.tokens)*float64(t.epoch)/t.spent.Seconds())
	result.Add("loss", -t.loglik)
	result.Add("loglik", t.loglik)
	result.Add("epochs", t.epoch)
	result.Add("topics", cfg.topics)
	result.Add("tokens", t.tokens)
	result.Add("seed", job.Seed)
	return job.Finish(result)
}

// read reads this rank's documents and the vocabulary.
func (cfg *config) read(job *apps.Job) (*apps.Bag, []string, error) {
	bag, err := apps.ReadBag(job.Data[0], apps.Part{Index: job.Comm.Rank(), Count: job.Comm.Size()})
	if err != nil {
		return &apps.Bag{}, nil, err
	}
	if bag.Words == 0 {
		return bag, nil, &apps.InputError{File: job.Data[0], Line: 2, Err: errors.New("expected at least one word")}
	}
	if err := checkLengths(job.Data[0], bag, cfg.topics); err != nil {
		return bag, nil, err
	}
	if cfg.vocab == "" {
		return bag, nil, nil
	}
	vocab, err := apps.ReadVocab(cfg.vocab, bag.Words)
	return bag, vocab, err
}

// finish writes the model and prints the topics, as far as they are wanted. It
// is collective.
func (cfg *config) finish(ctx context.Context, t *trainer, vocab []string) error {
	if t.job.Out == "" && vocab == nil {
		return nil
	}
	m, err := t.model(ctx, vocab)
	if err != nil || m == nil {
		return err
	}
	if vocab != nil && cfg.top > 0 {
		totals := m.Totals()
		for k, words := range m.Top(cfg.top, cfg.lambda) {
			t.job.Logf("topic %d (%.1f %%): %s", k, 100*float64(totals[k])/float64(t.tokens), strings.Join(words, " "))
		}
	}
	if t.job.Out == "" {
		return nil
	}
	return apps.WriteFile(t.job.Out, m.Write)
}
