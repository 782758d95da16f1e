package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/apps/lda/model"
	"github.com/sspurn/sspurn/scripts/demo/corpus"
)

const (
	shownTopics   = 12
	shownWords    = 8
	shownPackages = 3
	relevance     = 0.6 // see model.Top
)

// topicsOf prints topics of a setting's model and how well they agree with the
// packages; enough is whether that is twice the agreement of shuffled labels.
func (d *demo) topicsOf(c *corpus.Corpus, setting string) (enough bool, err error) {
	f, err := os.Open(d.modelFile(setting))
	if err != nil {
		return false, errors.Wrap(err, "demo")
	}
	defer f.Close() // it is only read
	m, err := model.Read(f)
	if err != nil {
		return false, errors.WithMessage(err, d.modelFile(setting))
	}
	fmt.Fprintf(d.w, "\nTopics under %s, the likeliest model, and the packages they are strongest in:\n\n", setting)
	strong := strongest(m, c)
	top := m.Top(shownWords, relevance)
	tab := tabwriter.NewWriter(d.w, 0, 8, 2, ' ', 0)
	for _, t := range strong[:min(shownTopics, len(strong))] {
		fmt.Fprintf(tab, "  %s\t%s\n", strings.Join(top[t.topic], " "), strings.Join(t.packages, ", "))
	}
	if err := tab.Flush(); err != nil {
		return false, err
	}
	real, shuffled := agreement(m, c)
	fmt.Fprintf(d.w, "\nNormalised mutual information of a file's strongest topic and its top-level package: %.3f;\nwith shuffled labels: %.3f.\n", real, shuffled)
	return real >= 2*shuffled, nil
}

// found is a topic and where it is.
type found struct {
	topic    int
	packages []string // with most of its tokens, most first
	share    float64  // of its tokens that these have
}

// strongest returns the topics, those first that are most at home in a few
// packages.
func strongest(m *model.Model, c *corpus.Corpus) []found {
	tokens := make([]map[string]int64, m.Topics)
	totals := make([]int64, m.Topics)
	for k := range tokens {
		tokens[k] = map[string]int64{}
	}
	for _, d := range m.Docs {
		for _, t := range d.Topics {
			tokens[t.Topic][c.Folder(int(d.Number)-1)] += int64(t.N)
			totals[t.Topic] += int64(t.N)
		}
	}
	var list []found
	for k, counts := range tokens {
		if totals[k] == 0 {
			continue
		}
		f := found{topic: k}
		for p := range counts {
			f.packages = append(f.packages, p)
		}
		slices.SortFunc(f.packages, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
		f.packages = f.packages[:min(shownPackages, len(f.packages))]
		for _, p := range f.packages {
			f.share += float64(counts[p]) / float64(totals[k])
		}
		list = append(list, f)
	}
	slices.SortStableFunc(list, func(a, b found) int { return cmp.Compare(b.share, a.share) })
	return list
}

// agreement returns the normalised mutual information of each file's strongest
// topic and its top-level package, and the same when the packages are dealt to
// the files at random.
func agreement(m *model.Model, c *corpus.Corpus) (real, shuffled float64) {
	number := map[string]int{}
	var topics, packages []int
	for _, d := range m.Docs {
		name := c.Package(int(d.Number) - 1)
		if _, ok := number[name]; !ok {
			number[name] = len(number)
		}
		topics, packages = append(topics, d.Strongest()), append(packages, number[name])
	}
	real = model.NMI(topics, packages)
	rng := rand.New(rand.NewPCG(1, 2))
	rng.Shuffle(len(packages), func(i, j int) { packages[i], packages[j] = packages[j], packages[i] })
	return real, model.NMI(topics, packages)
}
